//! From what a store answers to the bytes of a response.
//!
//! - [`answer`]: writes an [`Answer`] in the form of a [`Frame`]: the JSON of a version, data arrays, CSV or
//!   GeoJSON
//! - [`entity`]: one entity, as it is told on its own (an answer to POST, a message)
//! - [`number`], [`timestamp`]: the text of numbers and times
//!
//! Everything goes straight into a byte buffer; no tree of JSON values is built on the way.

mod csv;
mod data_array;
mod entity;
mod geojson;
mod page;
mod select;
mod swe;
mod text;
mod value;

#[cfg(test)]
mod tests;

use crate::{Answer, Entity, EntityType, Page, Query, ResourcePath, ResultFormat, Target, Version};

pub use text::{number, timestamp};

/// What is known of a request when its answer is written.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// In the form of this version.
    pub version: Version,
    /// The URL of the face, without a slash at its end: `https://example.org/sta/v1.1`.
    pub root: &'a str,
    /// What was asked for.
    pub path: &'a ResourcePath,
    /// The path as it stands in the URL, after the root and without a slash at its beginning.
    pub path_text: &'a str,
    /// How.
    pub query: &'a Query,
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The value of `Content-Type`.
    pub media_type: &'static str,
    /// What is sent.
    pub bytes: Vec<u8>,
}

impl Body {
    /// JSON.
    pub const JSON: &'static str = "application/json";
    /// Text.
    pub const TEXT: &'static str = "text/plain; charset=utf-8";
    /// Comma-separated values with a header row (RFC 4180).
    pub const CSV: &'static str = "text/csv; charset=utf-8; header=present";
    /// GeoJSON (RFC 7946).
    pub const GEO_JSON: &'static str = "application/geo+json";

    fn json(bytes: Vec<u8>) -> Self {
        Self {
            media_type: Self::JSON,
            bytes,
        }
    }

    fn text(bytes: Vec<u8>) -> Self {
        Self {
            media_type: Self::TEXT,
            bytes,
        }
    }
}

/// Why an answer has no body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no such entity.
    #[error("there is no such entity")]
    NoEntity,
    /// The entity has no such member.
    #[error("the entity has no `{0}`")]
    NoMember(String),
    /// The property is null: an answer without content.
    #[error("the property is null")]
    Null,
    /// What was asked for has no such form.
    #[error("{0}")]
    Form(&'static str),
}

/// Writes an answer as the frame asks for.
///
/// # Errors
/// [`WriteError::NoEntity`] and [`WriteError::NoMember`] where the path leads nowhere, [`WriteError::Null`]
/// where it leads to a null, [`WriteError::Form`] where the result format does not fit.
pub fn answer(answer: &Answer, frame: &Frame<'_>) -> Result<Body, WriteError> {
    let of = frame.path.entity_type();
    match answer {
        Answer::Count(count) => Ok(Body::text(count.to_string().into_bytes())),
        Answer::Rows(rows, next) => match frame.query.result_format {
            ResultFormat::Json => Ok(Body::json(page::rows(rows, next.as_ref(), frame))),
            ResultFormat::Csv => Ok(csv::rows(rows)),
            ResultFormat::DataArray | ResultFormat::GeoJson => Err(WriteError::Form(
                "sums and averages are written as JSON or CSV",
            )),
        },
        Answer::One(None) => Err(WriteError::NoEntity),
        Answer::One(Some(it)) => one(it, of, frame),
        Answer::Many(page) => many(page, of, frame),
    }
}

fn one(it: &Entity, of: EntityType, frame: &Frame<'_>) -> Result<Body, WriteError> {
    match &frame.path.target {
        Target::Entities => match frame.query.result_format {
            ResultFormat::Json => Ok(Body::json(entity(
                it,
                frame.version,
                frame.root,
                frame.query,
            ))),
            ResultFormat::Csv => Ok(csv::entities([it], of, frame)),
            ResultFormat::GeoJson => Ok(geojson::feature(it, frame)),
            ResultFormat::DataArray => Err(WriteError::Form(data_array::ONLY_OBSERVATIONS)),
        },
        Target::References => Ok(Body::json(page::reference(it, frame))),
        Target::Count => Err(WriteError::Form("only sets have a number of entities")),
        Target::Property(property, members) => value::property(it, *property, members, frame),
        Target::RawValue(property, members) => value::raw(it, *property, members, frame),
    }
}

fn many(page: &Page, of: EntityType, frame: &Frame<'_>) -> Result<Body, WriteError> {
    if frame.path.target == Target::References {
        return Ok(Body::json(page::references(page, frame)));
    }
    match frame.query.result_format {
        ResultFormat::Json => Ok(Body::json(page::entities(page, frame))),
        ResultFormat::DataArray if of == EntityType::Observation => {
            Ok(Body::json(data_array::observations(page, frame)))
        }
        ResultFormat::DataArray => Err(WriteError::Form(data_array::ONLY_OBSERVATIONS)),
        ResultFormat::Csv => Ok(csv::entities(&page.entities, of, frame)),
        ResultFormat::GeoJson => Ok(geojson::collection(page, frame)),
    }
}

/// Writes one entity with what is expanded of it; `query` says what is selected.
pub fn entity(it: &Entity, version: Version, root: &str, query: &Query) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let links = text::Links::new(version, root);
    entity::Writer::new(&links, it.record.entity_type(), query).write(&mut out, it);
    out
}

/// The URL of an entity: `https://example.org/sta/v1.1/Things(1)`.
pub fn self_link(version: Version, root: &str, of: EntityType, id: i64) -> String {
    format!("{root}/{}({id})", of.set_name(version))
}
