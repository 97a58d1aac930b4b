//! Values of single properties.

use jiff::Timestamp;
use serde_json::{Map, Value};
use smartem_model::Period;

use crate::{EntityType, Property, TimeValue, Version};

use super::error::below;
use super::geojson;
use super::text::{Problem, check_json, check_text, show};

/// The observation type of `MultiDatastream`s.
pub(super) const COMPLEX_OBSERVATION: &str =
    "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_ComplexObservation";

/// Whether an entity cannot be without a property.
pub(super) fn is_mandatory(of: EntityType, property: Property, version: Version) -> bool {
    match property {
        Property::Name
        | Property::Definition
        | Property::EncodingType
        | Property::Metadata
        | Property::Location
        | Property::Feature
        | Property::Time
        | Property::UnitOfMeasurement
        | Property::UnitOfMeasurements
        | Property::MultiObservationDataTypes
        | Property::Result => true,
        Property::Description => version.is_1(),
        Property::ObservationType => of == EntityType::Datastream,
        Property::Id
        | Property::SelfLink
        | Property::ObservedArea
        | Property::PhenomenonTime
        | Property::ResultTime
        | Property::ResultQuality
        | Property::ValidTime
        | Property::Parameters
        | Property::Properties => false,
    }
}

/// Whether the service keeps a property itself; what a client says of it is ignored.
pub(super) fn is_kept(of: EntityType, property: Property) -> bool {
    match property {
        Property::Id | Property::SelfLink => true,
        Property::PhenomenonTime | Property::ResultTime => of != EntityType::Observation,
        _ => false,
    }
}

/// The value of a property in the form of [`crate::Fields`]; only of results it may be null. `siblings` is the object
/// that it is in.
pub(super) fn read(
    property: Property,
    value: &Value,
    siblings: &Map<String, Value>,
) -> Result<Value, Problem> {
    let here = |message: String| (String::new(), message);
    match property {
        Property::Name | Property::Description => text(value).map_err(here),
        Property::Definition | Property::EncodingType | Property::ObservationType => {
            some_text(value).map_err(here)
        }
        Property::Time | Property::ResultTime => instant(value)
            .map(|at| canonical(TimeValue::Instant(at)))
            .map_err(here),
        Property::PhenomenonTime => time(value).map(canonical).map_err(here),
        Property::ValidTime => time(value)
            .map(|it| canonical(TimeValue::Interval(period(it))))
            .map_err(here),
        Property::Location | Property::Feature => {
            check_json(value)?;
            place(value, siblings).map_err(here)
        }
        Property::ObservedArea => {
            check_json(value)?;
            geojson::check_plain(value).map_err(here)?;
            Ok(value.clone())
        }
        Property::UnitOfMeasurement => unit(value),
        Property::UnitOfMeasurements => elements(value, unit),
        Property::MultiObservationDataTypes => {
            elements(value, |it| some_text(it).map_err(|it| (String::new(), it)))
        }
        Property::Properties => {
            check_structure(value, "an object", value.is_object())?;
            Ok(value.clone())
        }
        Property::Parameters => {
            check_parameters(value)?;
            Ok(value.clone())
        }
        Property::ResultQuality
        | Property::Metadata
        | Property::Result
        | Property::Id
        | Property::SelfLink => {
            check_json(value)?;
            Ok(value.clone())
        }
    }
}

fn text(value: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            check_text(text)?;
            Ok(value.clone())
        }
        other => Err(format!("must be a text, and is {}", show(other))),
    }
}

fn some_text(value: &Value) -> Result<Value, String> {
    match text(value)? {
        Value::String(text) if text.trim().is_empty() => Err("must not be empty".to_owned()),
        text => Ok(text),
    }
}

/// A time or interval.
pub(super) fn time(value: &Value) -> Result<TimeValue, String> {
    let Value::String(text) = value else {
        return Err(format!(
            "must be a time such as \"2020-01-31T12:00:00Z\", and is {}",
            show(value)
        ));
    };
    text.parse().map_err(|error| format!("{error}"))
}

/// A time that is no interval.
pub(super) fn instant(value: &Value) -> Result<Timestamp, String> {
    match time(value)? {
        TimeValue::Interval(_) => Err(format!(
            "must be one moment, and {} is an interval",
            show(value)
        )),
        TimeValue::Instant(at) => Ok(at),
    }
}

fn canonical(time: TimeValue) -> Value {
    Value::String(time.to_string())
}

/// A time as an interval; an instant is one that ends where it begins.
pub(super) fn period(time: TimeValue) -> Period {
    Period {
        start: time.start(),
        end: time.end(),
    }
}

/// A location or feature, in the encoding that the entity says.
fn place(value: &Value, siblings: &Map<String, Value>) -> Result<Value, String> {
    let encoding = siblings
        .get(Property::EncodingType.name())
        .and_then(Value::as_str);
    let is_geojson = match encoding {
        Some(encoding) => geojson::is_encoding(encoding),
        None => geojson::is_like(value),
    };
    if is_geojson {
        geojson::check(value)?;
    }
    Ok(value.clone())
}

/// `{"name": ..., "symbol": ..., "definition": ...}`, members of which may be null or missing.
fn unit(value: &Value) -> Result<Value, Problem> {
    check_json(value)?;
    let Value::Object(members) = value else {
        return Err((
            String::new(),
            format!(
                "must be an object such as {{\"name\":\"degree Celsius\",\"symbol\":\"°C\",\"definition\":\"https://…\"}}, and is {}",
                show(value)
            ),
        ));
    };
    for name in ["name", "symbol", "definition"] {
        if let Some(member) = members.get(name)
            && !(member.is_string() || member.is_null())
        {
            return Err((
                below("", name),
                format!("must be a text or null, and is {}", show(member)),
            ));
        }
    }
    Ok(value.clone())
}

/// An array of one element at least.
fn elements(
    value: &Value,
    read: impl Fn(&Value) -> Result<Value, Problem>,
) -> Result<Value, Problem> {
    let some = value.as_array().filter(|it| !it.is_empty());
    let Some(items) = some else {
        return Err((
            String::new(),
            format!(
                "must be an array with one element for each observed property, and is {}",
                show(value)
            ),
        ));
    };
    items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            read(item).map_err(|(rest, message)| (below("", index) + &rest, message))
        })
        .collect::<Result<_, _>>()
        .map(Value::Array)
}

/// Conditions of an observation: an object; an array in version 1.0.
pub(super) fn check_parameters(value: &Value) -> Result<(), Problem> {
    let is_good = value.is_object() || value.is_array();
    check_structure(value, "an object or an array", is_good)
}

fn check_structure(value: &Value, expected: &str, is_good: bool) -> Result<(), Problem> {
    if !is_good {
        return Err((
            String::new(),
            format!("must be {expected}, and is {}", show(value)),
        ));
    }
    check_json(value)
}
