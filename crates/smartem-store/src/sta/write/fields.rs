//! Properties as columns.

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::Period;
use smartem_sta::{EntityType, Fields, Property, ResultValue, TimeValue};

use super::error::{invalid, missing};
use super::geometry::Bounds;
use crate::sta::error::Fault;
use crate::sta::sql::Param;

/// A column with its value.
pub(super) type Columns = Vec<(&'static str, Param)>;

/// How a property is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    /// JSON, with its bounding box beside it.
    Geometry,
    Instant,
}

/// A property, its column and form, and whether an entity must have it.
struct Kept(Property, &'static str, Form, bool);

fn kept(of: EntityType) -> &'static [Kept] {
    use Form::{Geometry, Instant, Json, Text};
    use Property as P;
    const NAME: Kept = Kept(P::Name, "name", Text, true);
    // Version 2.0 does not ask for one.
    const DESCRIPTION: Kept = Kept(P::Description, "description", Text, false);
    const ENCODING: Kept = Kept(P::EncodingType, "encoding_type", Text, true);
    const PROPERTIES: Kept = Kept(P::Properties, "properties", Json, false);
    const TYPE: Kept = Kept(P::ObservationType, "observation_type", Text, true);
    const AREA: Kept = Kept(P::ObservedArea, "area", Json, false);
    match of {
        EntityType::Thing => &[NAME, DESCRIPTION, PROPERTIES],
        EntityType::Location => &[
            NAME,
            DESCRIPTION,
            ENCODING,
            Kept(P::Location, "location", Geometry, true),
            PROPERTIES,
        ],
        EntityType::HistoricalLocation => &[Kept(P::Time, "time", Instant, true)],
        EntityType::Datastream => &[
            NAME,
            DESCRIPTION,
            TYPE,
            Kept(P::UnitOfMeasurement, "unit", Json, true),
            AREA,
            PROPERTIES,
        ],
        EntityType::MultiDatastream => &[
            NAME,
            DESCRIPTION,
            TYPE,
            Kept(P::UnitOfMeasurements, "unit", Json, true),
            Kept(P::MultiObservationDataTypes, "multi_types", Json, true),
            AREA,
            PROPERTIES,
        ],
        EntityType::Sensor => &[
            NAME,
            DESCRIPTION,
            ENCODING,
            Kept(P::Metadata, "metadata", Json, true),
            PROPERTIES,
        ],
        EntityType::ObservedProperty => &[
            NAME,
            Kept(P::Definition, "definition", Text, true),
            DESCRIPTION,
            PROPERTIES,
        ],
        EntityType::Feature => &[
            NAME,
            DESCRIPTION,
            ENCODING,
            Kept(P::Feature, "feature", Geometry, true),
            PROPERTIES,
        ],
        // Its columns depend on each other: see `observation`.
        EntityType::Observation => &[],
    }
}

/// Columns that properties change. With `complete` those are all: what is not given is emptied, and what must
/// be there is asked for.
pub(super) fn columns(of: EntityType, fields: &Fields, complete: bool) -> Result<Columns, Fault> {
    let mut columns = Columns::new();
    for Kept(property, column, form, mandatory) in kept(of) {
        let given = fields.get(property);
        let value = given.filter(|value| !value.is_null());
        if value.is_none() && *mandatory && (complete || given.is_some()) {
            return Err(missing(of, &format!("`{}`", property.name())));
        }
        if given.is_none() && !complete {
            continue;
        }
        if let Some(value) = value {
            writable(*property, value)?;
            if *property == Property::Name {
                short_enough(value)?;
            }
        }
        match form {
            Form::Text => {
                let text = value.and_then(Value::as_str).unwrap_or_default();
                columns.push((column, Param::text(text)));
            }
            Form::Json => columns.push((column, Param::optional_json(value))),
            Form::Geometry => {
                columns.push((column, Param::optional_json(value)));
                columns.extend(bounds(value.and_then(Bounds::of)));
            }
            Form::Instant => {
                let time = value.map(|value| instant(*property, value)).transpose()?;
                columns.push((column, Param::optional_time(time)));
            }
        }
    }
    Ok(columns)
}

/// Names are in indexes, which hold no longer ones on PostgreSQL.
fn short_enough(name: &Value) -> Result<(), Fault> {
    const LONGEST: usize = 2000;
    let length = name.as_str().map_or(0, str::len);
    if length > LONGEST {
        return Err(invalid(format!(
            "`name` has {length} bytes, and {LONGEST} can be stored; put the rest into `description`"
        )));
    }
    Ok(())
}

/// The columns of a bounding box.
pub(super) fn bounds(bounds: Option<Bounds>) -> [(&'static str, Param); 4] {
    let [west, south, east, north] = bounds.map_or([None; 4], |it| it.0.map(Some));
    [
        ("west", Param::Real(west)),
        ("south", Param::Real(south)),
        ("east", Param::Real(east)),
        ("north", Param::Real(north)),
    ]
}

/// A value with the character of number 0 is one that PostgreSQL cannot keep.
pub(super) fn writable(property: Property, value: &Value) -> Result<(), Fault> {
    if has_nul(value) {
        let name = property.name();
        return Err(invalid(format!(
            "`{name}` holds the character U+0000, which cannot be stored; leave it out"
        )));
    }
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => {
            let mut members = members.iter();
            members.any(|(name, value)| name.contains('\0') || has_nul(value))
        }
        _ => false,
    }
}

/// The first moment of years that databases know: 4713 BC is where PostgreSQL begins.
const EARLIEST: i64 = -148_000_000_000_000_000;

/// A moment, microseconds since 1970.
pub(super) fn micros(property: Property, time: Timestamp) -> Result<i64, Fault> {
    let micros = time.as_microsecond();
    if micros < EARLIEST {
        let name = property.name();
        return Err(invalid(format!(
            "`{name}` is {time}, which is before what can be stored; give a time after 2720 BC"
        )));
    }
    Ok(micros)
}

/// An instant as properties have it.
pub(super) fn instant(property: Property, value: &Value) -> Result<Timestamp, Fault> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    let time: Timestamp = parsed.ok_or_else(|| no_time(property, value))?;
    micros(property, time)?;
    Ok(time)
}

/// An instant or interval as properties have it.
pub(super) fn time_value(property: Property, value: &Value) -> Result<TimeValue, Fault> {
    let parsed = || {
        let text = value.as_str()?;
        let Some((start, end)) = text.split_once('/') else {
            return text.parse().ok().map(TimeValue::Instant);
        };
        let (start, end) = (start.parse().ok()?, end.parse().ok()?);
        Some(TimeValue::Interval(Period { start, end }))
    };
    let time = parsed().ok_or_else(|| no_time(property, value))?;
    in_order(property, time)?;
    Ok(time)
}

/// Both ends of a time, the end of an instant being none.
pub(super) fn ends(property: Property, time: TimeValue) -> Result<(i64, Option<i64>), Fault> {
    in_order(property, time)?;
    let start = micros(property, time.start())?;
    match time {
        TimeValue::Instant(_) => Ok((start, None)),
        TimeValue::Interval(period) => Ok((start, Some(micros(property, period.end)?))),
    }
}

fn in_order(property: Property, time: TimeValue) -> Result<(), Fault> {
    if time.end() < time.start() {
        let name = property.name();
        return Err(invalid(format!(
            "`{name}` is {time}, which ends before it begins"
        )));
    }
    Ok(())
}

fn no_time(property: Property, value: &Value) -> Fault {
    let name = property.name();
    invalid(format!(
        "`{name}` is {value}, which is no time; give one as 2020-01-01T00:00:00Z"
    ))
}

/// The result of an observation as it is kept.
pub(super) fn result(value: &Value) -> ResultValue {
    /// Whole numbers up to here are doubles exactly.
    const EXACT: u64 = 1 << 53;
    let Value::Number(number) = value else {
        return ResultValue::Json(value.clone());
    };
    let is_exact = number.is_f64()
        || number
            .as_i64()
            .is_some_and(|whole| whole.unsigned_abs() <= EXACT);
    match number.as_f64() {
        Some(double) if is_exact => ResultValue::Number(double),
        _ => ResultValue::Json(value.clone()),
    }
}
