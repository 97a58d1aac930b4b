//! The language of the OGC SensorThings API (18-088, version 1.1; 15-078r6, version 1.0; 23-019, version
//! 2.0): what entities there are, how clients ask for them and how they are written. No I/O.
//!
//! - [`EntityType`], [`Property`], [`Relation`], [`Version`]: the entity model, and how each version names it
//! - [`ResourcePath`], [`Query`], [`Expr`]: what a URL asks for
//! - [`Entity`], [`Record`], [`Page`]: what a store answers
//! - [`Draft`], [`Operation`]: what a client wants to have written; [`body`] reads it of JSON
//! - [`mod@write`]: answers as JSON, CSV and GeoJSON
//!
//! The core is shaped after version 2.0: a datastream may have several observed properties (version 1.1 shows
//! it as `MultiDatastream`), and an observation needs no feature.

pub mod body;
mod draft;
mod model;
mod parse;
mod path;
mod query;
mod record;
mod time;
pub mod write;

pub use draft::{
    Author, Draft, Fields, NewObservation, OnDuplicate, Operation, Outcome, Reference, Related,
    Target as WriteTarget,
};
pub use model::{EntityType, Property, PropertyKind, Relation, Version};
pub use parse::SyntaxError;
pub use path::{PathStep, ResourcePath, Target};
pub use query::{
    Aggregate, AggregateMethod, Apply, BinaryOp, Cursor, Expand, Expr, ExprKind, Function, Literal,
    OrderBy, Path, Query, Resample, ResultFormat, SelectItem, Type,
};
pub use record::{
    Answer, Datastream, Entity, Expanded, Expansion, Feature, HistoricalLocation, LocationRecord,
    Observation, ObservedProperty, Page, Provenance, Record, Sensor, Thing,
};
pub use time::{ResultValue, TimeValue};
