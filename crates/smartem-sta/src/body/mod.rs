//! JSON that clients send, as drafts of entities, changes and observations (18-088, sections 10 and 11).
//!
//! - [`draft()`]: an entity to be made, with others inline; [`changes()`]: what PATCH and PUT change
//! - [`observation()`]: the short way for the commonest body; [`data_array()`]: rows of many observations
//! - [`reference()`]: what `$ref` links to
//!
//! Members that the standard does not know, links and counts are ignored, so that an entity can be sent as it was
//! received. A member that is written wrong by its case only is refused: it would be lost. What is wrong is told
//! together, each with its JSON pointer ([`BodyError`]).
//!
//! Which relations an entity must have is not judged here: the path of the request may give them.

mod data_array;
mod entity;
mod error;
mod field;
mod geojson;
mod observation;
mod reference;
mod text;

use serde_json::Value;

use crate::{Draft, EntityType, Fields, Reference, Related, Relation, Version};

pub use data_array::data_array;
pub use error::{BodyError, BodyProblem};
pub use observation::observation;

/// How many entities one body may make.
const ENTITIES_MAX: usize = 1_000;
/// How deep JSON may be.
const DEPTH_MAX: usize = 64;

/// Finds the earlier operation of a batch that a reference such as `$1` names (without `$`): its index.
pub type Earlier<'a> = &'a dyn Fn(&str) -> Option<usize>;

/// For a body that is in no batch.
pub const NO_BATCH: Earlier<'static> = &|_| None;

/// What PATCH and PUT change: properties and relations.
pub type Changes = (Fields, Vec<(Relation, Vec<Related>)>);

/// Reads a body as JSON.
///
/// # Errors
/// Where the syntax is broken.
pub fn json(body: &[u8]) -> Result<Value, BodyError> {
    serde_json::from_slice(body).map_err(|error| BodyError::syntax(&error))
}

/// An entity to be made, with related ones inline.
///
/// # Errors
/// All that is wrong with it.
pub fn draft(
    entity_type: EntityType,
    version: Version,
    value: &Value,
    earlier: Earlier<'_>,
) -> Result<Draft, BodyError> {
    let mut reader = entity::Reader::new(version, earlier);
    let draft = reader.draft(entity_type, value, "");
    reader.finish(draft)
}

/// What changes of an entity: `replace` for PUT, whose body has all mandatory properties. Related entities are named
/// by their ids; only version 2.0 makes new ones here.
///
/// # Errors
/// All that is wrong with it.
pub fn changes(
    entity_type: EntityType,
    version: Version,
    value: &Value,
    replace: bool,
    earlier: Earlier<'_>,
) -> Result<Changes, BodyError> {
    let mut reader = entity::Reader::new(version, earlier);
    let changes = reader.changes(entity_type, value, replace);
    reader.finish(changes)
}

/// The entity that a body of `$ref` names: `{"@id": "Things(1)"}`, `{"@iot.id": 1}`; `of` is its type.
///
/// # Errors
/// When it names none, or one of another type.
pub fn reference(
    of: EntityType,
    version: Version,
    value: &Value,
    earlier: Earlier<'_>,
) -> Result<Reference, BodyError> {
    reference::of_body(of, version, value, earlier)
        .map_err(|(pointer, message)| BodyError::one(pointer, message))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
