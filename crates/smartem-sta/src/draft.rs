//! What a client wants to have written.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::Period;

use crate::{EntityType, Expr, Property, Relation, ResourcePath, ResultValue, TimeValue};

/// In whose name something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The only project in which it may write; `None`: everywhere. What it makes is of this project.
    pub project: Option<Arc<str>>,
}

/// Values of properties, checked: each is of the kind of its property, and JSON `null` where it is to be
/// emptied. Times are texts in the form of [`TimeValue`].
pub type Fields = BTreeMap<Property, Value>;

/// An entity to be made, with others that come with it (deep insert).
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its type.
    pub entity_type: EntityType,
    /// Its properties; the mandatory ones are there.
    pub fields: Fields,
    /// What it is related to, in the order of the document.
    pub related: Vec<(Relation, Vec<Related>)>,
}

/// An entity that another is related to.
#[derive(Clone, Debug, PartialEq)]
pub enum Related {
    /// One that is there.
    Link(Reference),
    /// One that is made with it.
    New(Draft),
}

/// Names an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// By its id.
    Id(i64),
    /// The entity that an earlier operation of the same batch made: its index.
    Earlier(usize),
}

/// An observation to be made: the short way, for many.
#[derive(Clone, Debug, PartialEq)]
pub struct NewObservation {
    /// In this datastream.
    pub datastream: i64,
    /// When it was so; `None`: when it is written.
    pub phenomenon_time: Option<TimeValue>,
    /// When the result was there.
    pub result_time: Option<Timestamp>,
    /// What was found; of a `MultiDatastream` an array.
    pub result: ResultValue,
    /// How good it is.
    pub result_quality: Option<Value>,
    /// When it may be used.
    pub valid_time: Option<Period>,
    /// Under which conditions.
    pub parameters: Option<Value>,
    /// Of this feature; `None`: of the one made of the location of the thing.
    pub feature: Option<i64>,
}

/// What happens when an observation of the same datastream and phenomenon time is there (extension).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Another one is made, as the standard has it.
    #[default]
    Keep,
    /// The one that is there takes its values and keeps its id.
    Update,
    /// It is refused.
    Refuse,
}

/// Where an operation applies.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A path to one entity (`Datastreams(1)/Thing`), or to a set for what is made.
    Path(ResourcePath),
    /// The entity that an earlier operation made, and the set of its relation where something is made in it.
    Earlier(usize, Option<Relation>),
}

/// A change. Those of one list happen all or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Makes an entity in a set; one that is reached from another is linked to that.
    Create {
        /// The set.
        target: Target,
        /// The entity.
        draft: Draft,
        /// For observations.
        on_duplicate: OnDuplicate,
    },
    /// Makes observations; the outcome tells of each, and one that is refused does not hold up the others.
    CreateObservations {
        /// In the order of the answer.
        observations: Vec<NewObservation>,
        /// For each.
        on_duplicate: OnDuplicate,
    },
    /// Gives properties and relations new values.
    Update {
        /// The entity.
        target: Target,
        /// What changes.
        fields: Fields,
        /// Relations that change: to one: the new one; to many: those that are added (of a thing's `Locations`:
        /// its new locations, in place of the old).
        related: Vec<(Relation, Vec<Related>)>,
        /// Whether properties that are not among the fields are emptied (PUT).
        replace: bool,
    },
    /// Removes an entity and what cannot be without it.
    Delete {
        /// The entity.
        target: Target,
    },
    /// Removes all entities of a set for which a filter holds.
    DeleteMany {
        /// The set.
        path: ResourcePath,
        /// Which of it.
        filter: Expr,
    },
    /// Links two entities (`POST .../$ref`, `PUT .../$ref`).
    Link {
        /// A path to the relation.
        path: ResourcePath,
        /// What is linked.
        id: i64,
    },
    /// Removes the link of two entities (`DELETE .../$ref`).
    Unlink {
        /// A path to the relation.
        path: ResourcePath,
        /// What is unlinked; `None`: the one it leads to.
        id: Option<i64>,
    },
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Made an entity, or found the one that the draft names by its natural key.
    Created {
        /// Its type.
        entity_type: EntityType,
        /// Its id.
        id: i64,
        /// Whether it was there (`OnDuplicate::Update`).
        updated: bool,
    },
    /// Made observations: the id of each, or why not.
    Observations(Vec<Result<i64, String>>),
    /// Changed an entity.
    Updated {
        /// Its type.
        entity_type: EntityType,
        /// Its id.
        id: i64,
    },
    /// Removed so many entities of those that were named; what went with them is not counted.
    Deleted(u64),
    /// Linked or unlinked.
    Linked,
}
