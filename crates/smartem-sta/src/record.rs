//! What a store answers.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::Period;

use crate::{Cursor, Relation, ResultValue, TimeValue};

/// An entity with what was expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Its id.
    pub id: i64,
    /// Its properties.
    pub record: Record,
    /// What was asked for of its relations, in the order of the question.
    pub expanded: Vec<Expanded>,
}

/// Related entities within an entity.
#[derive(Clone, Debug, PartialEq)]
pub struct Expanded {
    /// Along this.
    pub relation: Relation,
    /// These.
    pub content: Expansion,
}

/// What a relation leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Expansion {
    /// One, if any.
    One(Option<Box<Entity>>),
    /// Any number.
    Many(Page),
}

/// Some of the entities that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In the order that was asked for.
    pub entities: Vec<Entity>,
    /// How many there are without paging, if that was asked.
    pub count: Option<u64>,
    /// Where to go on; `None` when there are no more.
    pub next: Option<Cursor>,
}

/// What a store answers to a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Entities of a set.
    Many(Page),
    /// One entity; `None`: there is no such.
    One(Option<Box<Entity>>),
    /// Rows of `$apply` and `resample`: objects, and where to go on.
    Rows(Vec<Value>, Option<Cursor>),
    /// The number of entities.
    Count(u64),
}

/// The properties of an entity.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Record {
    Thing(Thing),
    Location(LocationRecord),
    HistoricalLocation(HistoricalLocation),
    /// Also of a `MultiDatastream`.
    Datastream(Box<Datastream>),
    Sensor(Sensor),
    ObservedProperty(ObservedProperty),
    Observation(Box<Observation>),
    Feature(Feature),
}

/// A `Thing`. A JSON object or nothing is in `properties`, here and elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Thing {
    /// The name; the id of a station.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Whatever else.
    pub properties: Option<Value>,
}

/// A `Location`.
#[derive(Clone, Debug, PartialEq)]
pub struct LocationRecord {
    /// The name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The media type of `location`.
    pub encoding_type: String,
    /// GeoJSON, or what the encoding says.
    pub location: Value,
    /// Whatever else.
    pub properties: Option<Value>,
}

/// A `HistoricalLocation`.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoricalLocation {
    /// From when on.
    pub time: Timestamp,
}

/// A `Datastream` or `MultiDatastream`.
#[derive(Clone, Debug, PartialEq)]
pub struct Datastream {
    /// The name; the indicator of a refined one.
    pub name: String,
    /// What it is.
    pub description: String,
    /// `OM_Measurement` and so on, a URI.
    pub observation_type: String,
    /// Of a datastream of one observed property an object; of a multi one an array of objects.
    pub unit_of_measurement: Value,
    /// Of a multi one, `multiObservationDataTypes`: URIs.
    pub multi_observation_data_types: Option<Vec<String>>,
    /// The area of its observations, GeoJSON.
    pub observed_area: Option<Value>,
    /// From its first to its last observation.
    pub phenomenon_time: Option<Period>,
    /// Likewise.
    pub result_time: Option<Period>,
    /// Whatever else.
    pub properties: Option<Value>,
}

impl Datastream {
    /// Whether it is a `MultiDatastream` in versions 1.x.
    pub fn is_multi(&self) -> bool {
        self.multi_observation_data_types.is_some()
    }
}

/// A `Sensor`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// The name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The media type of `metadata`.
    pub encoding_type: String,
    /// A description of it, or where there is one.
    pub metadata: Value,
    /// Whatever else.
    pub properties: Option<Value>,
}

/// An `ObservedProperty`.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedProperty {
    /// The name; an indicator.
    pub name: String,
    /// A URI.
    pub definition: String,
    /// What it is.
    pub description: String,
    /// Whatever else.
    pub properties: Option<Value>,
}

/// An `Observation`.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// When it was so.
    pub phenomenon_time: TimeValue,
    /// When the result was there.
    pub result_time: Option<Timestamp>,
    /// What was found.
    pub result: ResultValue,
    /// How good it is, as it was given.
    pub result_quality: Option<Value>,
    /// When it may be used.
    pub valid_time: Option<Period>,
    /// Under which conditions, as they were given.
    pub parameters: Option<Value>,
    /// Of a refined value, how it came about: it is written as `resultQuality` and `parameters`.
    pub provenance: Option<Box<Provenance>>,
    /// Its datastream.
    pub datastream: i64,
    /// Whether that is a `MultiDatastream` in versions 1.x.
    pub is_multi: bool,
}

/// How a refined value came about; see `smartem_model::Observation`.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    /// Smallest accepted sample value.
    pub min: f64,
    /// Largest accepted sample value.
    pub max: f64,
    /// Mean of the primary raw input.
    pub raw: Option<f64>,
    /// UCUM code of its unit.
    pub raw_unit: Option<Arc<str>>,
    /// Samples that made the value.
    pub accepted: u64,
    /// Samples that were refused.
    pub rejected: u64,
    /// Share of the hour that samples cover.
    pub coverage: Option<f64>,
    /// Names of flags, sorted.
    pub flags: Vec<&'static str>,
    /// The station-type definition.
    pub definition: Arc<str>,
    /// The calibration model.
    pub model: Option<Arc<str>>,
}

/// A `Feature` (`FeatureOfInterest` in 1.x).
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// The name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// The media type of `feature`.
    pub encoding_type: String,
    /// GeoJSON, or what the encoding says.
    pub feature: Value,
    /// Whatever else.
    pub properties: Option<Value>,
}
