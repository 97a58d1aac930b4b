//! What is read of which table, and how a row becomes a record.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_model::Period;
use smartem_sta::{
    Datastream, EntityType, Feature, HistoricalLocation, LocationRecord, Observation,
    ObservedProperty, Provenance, Record, ResultValue, Sensor, Thing, TimeValue,
};

use crate::columns::{flags, to_count};
use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Row};

/// A table of entities. Observations are in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Thing,
    Location,
    HistoricalLocation,
    /// Also of several observed properties.
    Datastream,
    Sensor,
    ObservedProperty,
    Feature,
    /// Observations that clients made.
    Made,
    /// Hourly observations of stations.
    Refined,
}

/// Both tables of observations, in the order in which they are asked.
pub(super) const BOTH: [Kind; 2] = [Kind::Refined, Kind::Made];

impl Kind {
    /// The table of a type; `None` for observations.
    pub(super) fn of(entity_type: EntityType) -> Option<Self> {
        Some(match entity_type {
            EntityType::Thing => Self::Thing,
            EntityType::Location => Self::Location,
            EntityType::HistoricalLocation => Self::HistoricalLocation,
            EntityType::Datastream | EntityType::MultiDatastream => Self::Datastream,
            EntityType::Sensor => Self::Sensor,
            EntityType::ObservedProperty => Self::ObservedProperty,
            EntityType::Feature => Self::Feature,
            EntityType::Observation => return None,
        })
    }

    pub(super) fn table(self, dialect: Dialect) -> String {
        match self {
            Self::Thing => dialect.table("thing"),
            Self::Location => dialect.table("location"),
            Self::HistoricalLocation => dialect.table("historical_location"),
            Self::Datastream => dialect.table("datastream"),
            Self::Sensor => dialect.table("sensor"),
            Self::ObservedProperty => dialect.table("observed_property"),
            Self::Feature => dialect.table("feature"),
            Self::Made => dialect.table("observation"),
            Self::Refined => dialect.other_table("smartem_refined", "observation"),
        }
    }

    pub(super) fn is_observation(self) -> bool {
        matches!(self, Self::Made | Self::Refined)
    }

    /// The column with the datastream of an observation.
    pub(super) fn datastream_column(self) -> &'static str {
        if self == Self::Refined {
            "series_key"
        } else {
            "datastream_id"
        }
    }

    /// The id of a row `a`.
    pub(super) fn id(self, dialect: Dialect, a: &str) -> String {
        match self {
            Self::Made => format!("(({a}.datastream_id << 32) | {a}.n)"),
            Self::Refined => {
                let hour = hour(dialect, &format!("{a}.start_time"));
                match dialect {
                    Dialect::Sqlite => format!("(({a}.series_key << 32) | {hour})"),
                    Dialect::Postgres => format!("(({a}.series_key::bigint << 32) | {hour})"),
                }
            }
            _ => format!("{a}.id"),
        }
    }

    /// The number of an observation within its datastream.
    pub(super) fn n(self, dialect: Dialect, a: &str) -> String {
        if self == Self::Refined {
            hour(dialect, &format!("{a}.start_time"))
        } else {
            format!("{a}.n")
        }
    }
}

/// The hours from 1970 to a time.
fn hour(dialect: Dialect, time: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("({time} / 3600000000)"),
        Dialect::Postgres => format!("(extract(epoch FROM {time})::bigint / 3600)"),
    }
}

/// The datastream of an observation, and its number in it.
pub(super) fn split_id(id: i64) -> (i64, i64) {
    (id >> 32, id & 0xffff_ffff)
}

/// What is read of an entity of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) kind: Kind,
    /// Of observations: whether quality, parameters and how a value came about are read.
    pub(super) with_origin: bool,
}

impl Columns {
    /// How many there are; those of both tables of observations are alike.
    pub(super) fn len(self) -> usize {
        match self.kind {
            Kind::Thing => 4,
            Kind::Location | Kind::Sensor | Kind::Feature => 6,
            Kind::HistoricalLocation => 2,
            Kind::Datastream => 16,
            Kind::ObservedProperty => 5,
            Kind::Made | Kind::Refined => 22,
        }
    }

    /// The columns of a row `a`, the id first; of datastreams `s` is their series.
    pub(super) fn list(self, dialect: Dialect, a: &str, s: &str) -> String {
        let named = |names: &[&str]| {
            let columns: Vec<String> = names.iter().map(|name| format!("{a}.{name}")).collect();
            columns.join(", ")
        };
        match self.kind {
            Kind::Thing => named(&["id", "name", "description", "properties"]),
            Kind::Location => named(&[
                "id",
                "name",
                "description",
                "encoding_type",
                "location",
                "properties",
            ]),
            Kind::HistoricalLocation => named(&["id", "time"]),
            Kind::Sensor => named(&[
                "id",
                "name",
                "description",
                "encoding_type",
                "metadata",
                "properties",
            ]),
            Kind::ObservedProperty => {
                named(&["id", "name", "definition", "description", "properties"])
            }
            Kind::Feature => named(&[
                "id",
                "name",
                "description",
                "encoding_type",
                "feature",
                "properties",
            ]),
            Kind::Datastream => {
                let plain = named(&[
                    "id",
                    "name",
                    "description",
                    "observation_type",
                    "unit",
                    "multi_types",
                    "properties",
                    "area",
                    "west",
                    "south",
                    "east",
                    "north",
                ]);
                format!(
                    "{plain}, COALESCE({a}.phenomenon_start, {s}.first_time), \
                     COALESCE({a}.phenomenon_end, {s}.last_time), \
                     COALESCE({a}.result_start, {s}.first_time), \
                     COALESCE({a}.result_end, {s}.last_time)"
                )
            }
            Kind::Made => self.made(dialect, a),
            Kind::Refined => self.refined(dialect, a),
        }
    }

    fn made(self, dialect: Dialect, a: &str) -> String {
        let id = self.kind.id(dialect, a);
        let datastream = dialect.table("datastream");
        let given = if self.with_origin {
            format!("{a}.quality, {a}.parameters")
        } else {
            format!("{0}, {0}", null(dialect, "jsonb"))
        };
        let origin = origin(dialect, None);
        format!(
            "{id}, {a}.datastream_id, {a}.start_time, {a}.end_time, {a}.result, {a}.result_json, \
             {a}.result_time, {a}.valid_start, {a}.valid_end, {given}, \
             (SELECT multi_types IS NOT NULL FROM {datastream} WHERE id = {a}.datastream_id), {origin}"
        )
    }

    fn refined(self, dialect: Dialect, a: &str) -> String {
        let id = self.kind.id(dialect, a);
        let (json, time) = (null(dialect, "jsonb"), null(dialect, "timestamptz"));
        let (key, not) = match dialect {
            Dialect::Sqlite => (format!("{a}.series_key"), "0"),
            Dialect::Postgres => (format!("{a}.series_key::bigint"), "false"),
        };
        let origin = origin(dialect, self.with_origin.then_some(a));
        format!(
            "{id}, {key}, {a}.start_time, {a}.end_time, {a}.value, {json}, {a}.end_time, {time}, {time}, \
             {json}, {json}, {not}, {origin}"
        )
    }

    /// The entity of a row, with its id.
    pub(super) fn record(self, row: &Row) -> Result<(i64, Record), Fault> {
        let id = row.int(0)?;
        let record = match self.kind {
            Kind::Thing => Record::Thing(Thing {
                name: row.text(1)?,
                description: row.text(2)?,
                properties: row.optional_json(3)?,
            }),
            Kind::Location => Record::Location(LocationRecord {
                name: row.text(1)?,
                description: row.text(2)?,
                encoding_type: row.text(3)?,
                location: row.json(4)?,
                properties: row.optional_json(5)?,
            }),
            Kind::HistoricalLocation => {
                Record::HistoricalLocation(HistoricalLocation { time: row.time(1)? })
            }
            Kind::Sensor => Record::Sensor(Sensor {
                name: row.text(1)?,
                description: row.text(2)?,
                encoding_type: row.text(3)?,
                metadata: row.json(4)?,
                properties: row.optional_json(5)?,
            }),
            Kind::ObservedProperty => Record::ObservedProperty(ObservedProperty {
                name: row.text(1)?,
                definition: row.text(2)?,
                description: row.text(3)?,
                properties: row.optional_json(4)?,
            }),
            Kind::Feature => Record::Feature(Feature {
                name: row.text(1)?,
                description: row.text(2)?,
                encoding_type: row.text(3)?,
                feature: row.json(4)?,
                properties: row.optional_json(5)?,
            }),
            Kind::Datastream => Record::Datastream(Box::new(datastream(row)?)),
            Kind::Made | Kind::Refined => Record::Observation(Box::new(observation(row)?)),
        };
        Ok((id, record))
    }
}

/// A column without a value, of the type that the other table has there.
fn null(dialect: Dialect, ty: &str) -> String {
    match dialect {
        Dialect::Sqlite => "NULL".to_owned(),
        Dialect::Postgres => format!("NULL::{ty}"),
    }
}

/// How a refined value came about, of a row `a` of its table.
fn origin(dialect: Dialect, a: Option<&str>) -> String {
    let Some(a) = a else {
        let types = [
            "float8", "float8", "float8", "integer", "float8", "integer", "integer", "smallint",
            "integer", "integer",
        ];
        return types.map(|ty| null(dialect, ty)).join(", ");
    };
    format!(
        "{a}.min, {a}.max, {a}.raw, {a}.raw_unit, {a}.coverage, {a}.accepted, {a}.rejected, {a}.flags, \
         {a}.definition, {a}.model"
    )
}

fn period(row: &Row, start: usize, end: usize) -> Result<Option<Period>, Fault> {
    let bounds = row.optional_time(start)?.zip(row.optional_time(end)?);
    Ok(bounds.map(|(start, end)| Period { start, end }))
}

fn datastream(row: &Row) -> Result<Datastream, Fault> {
    let multi = row.optional_json(5)?;
    let multi = multi.map(|types| {
        serde_json::from_value(types.clone())
            .map_err(|_| Fault::unknown("the types of a multi datastream", &types))
    });
    let area = match row.optional_json(7)? {
        Some(area) => Some(area),
        None => area(row, 8)?,
    };
    Ok(Datastream {
        name: row.text(1)?,
        description: row.text(2)?,
        observation_type: row.text(3)?,
        unit_of_measurement: row.json(4)?,
        multi_observation_data_types: multi.transpose()?,
        observed_area: area,
        phenomenon_time: period(row, 12, 13)?,
        result_time: period(row, 14, 15)?,
        properties: row.optional_json(6)?,
    })
}

/// The box of columns from `at` on as GeoJSON; a point where it has no extent.
fn area(row: &Row, at: usize) -> Result<Option<Value>, Fault> {
    let mut sides = [0.0; 4];
    for (place, side) in sides.iter_mut().enumerate() {
        match row.optional_real(at + place)? {
            Some(value) => *side = value,
            None => return Ok(None),
        }
    }
    let [west, south, east, north] = sides;
    Ok(Some(box_geometry(west, south, east, north)))
}

/// A box as GeoJSON; a point where it has no extent, a line where it has one only one way.
pub(crate) fn box_geometry(west: f64, south: f64, east: f64, north: f64) -> Value {
    #[expect(clippy::float_cmp, reason = "the same coordinate, not a near one")]
    let (is_thin, is_flat) = (west == east, south == north);
    if is_thin && is_flat {
        return json!({"type": "Point", "coordinates": [west, south]});
    }
    if is_thin || is_flat {
        return json!({"type": "LineString", "coordinates": [[west, south], [east, north]]});
    }
    json!({"type": "Polygon", "coordinates":
        [[[west, south], [east, south], [east, north], [west, north], [west, south]]]})
}

fn observation(row: &Row) -> Result<Observation, Fault> {
    let start = row.time(2)?;
    let result = match row.optional_real(4)? {
        Some(number) => ResultValue::Number(number),
        None => ResultValue::Json(row.optional_json(5)?.unwrap_or(Value::Null)),
    };
    Ok(Observation {
        phenomenon_time: time_value(start, row.optional_time(3)?),
        result_time: row.optional_time(6)?,
        result,
        result_quality: row.optional_json(9)?,
        valid_time: period(row, 7, 8)?,
        parameters: row.optional_json(10)?,
        provenance: provenance(row)?.map(Box::new),
        datastream: row.int(1)?,
        is_multi: row.optional_int(11)? == Some(1),
    })
}

pub(super) fn time_value(start: Timestamp, end: Option<Timestamp>) -> TimeValue {
    match end {
        Some(end) => TimeValue::Interval(Period { start, end }),
        None => TimeValue::Instant(start),
    }
}

/// The numbers of texts of a refined observation, which [`name_terms`] puts in place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    raw_unit: Option<i64>,
    definition: Option<i64>,
    model: Option<i64>,
}

impl Terms {
    pub(super) fn read(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            raw_unit: row.optional_int(15)?,
            definition: row.optional_int(20)?,
            model: row.optional_int(21)?,
        })
    }

    pub(super) fn numbers(self) -> impl Iterator<Item = i64> {
        [self.raw_unit, self.definition, self.model]
            .into_iter()
            .flatten()
    }
}

/// Gives a refined observation its texts.
pub(super) fn name_terms(record: &mut Record, terms: Terms, texts: &HashMap<i64, Arc<str>>) {
    let Record::Observation(observation) = record else {
        return;
    };
    let Some(origin) = &mut observation.provenance else {
        return;
    };
    let text = |number: Option<i64>| number.and_then(|it| texts.get(&it).cloned());
    origin.raw_unit = text(terms.raw_unit);
    origin.model = text(terms.model);
    origin.definition = text(terms.definition).unwrap_or_else(|| "".into());
}

/// Without its texts, see [`Terms`].
fn provenance(row: &Row) -> Result<Option<Provenance>, Fault> {
    let Some(min) = row.optional_real(12)? else {
        return Ok(None);
    };
    Ok(Some(Provenance {
        min,
        max: row.real(13)?,
        raw: row.optional_real(14)?,
        raw_unit: None,
        accepted: to_count(row.int(17)?),
        rejected: to_count(row.int(18)?),
        coverage: row.optional_real(16)?,
        flags: flags(row.int(19)?)
            .into_iter()
            .map(smartem_model::Flag::as_str)
            .collect(),
        definition: "".into(),
        model: None,
    }))
}
