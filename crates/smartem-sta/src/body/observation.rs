//! The commonest body, read without maps: an observation with links.

use std::fmt;

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{NewObservation, ResultValue, TimeValue};

use super::field::{self, period};
use super::text::{check_json, check_text};

/// Reads an observation that consists of values and links to its datastream and feature; `datastream` is the one
/// that the request is about, if it is.
///
/// `None` for whatever is not of this form, wrong or only unusual: [`super::draft`] reads that, and tells what is wrong.
pub fn observation(body: &[u8], datastream: Option<i64>) -> Option<NewObservation> {
    let plain: Plain = serde_json::from_slice(body).ok()?;
    let datastream = match (plain.datastream, datastream) {
        (Some(Link { id: Id(named) }), Some(known)) if named != known => return None,
        (Some(Link { id: Id(id) }), _) | (None, Some(id)) => id,
        (None, None) => return None,
    };
    if let Some(quality) = &plain.result_quality {
        check_json(quality).ok()?;
    }
    if let Some(parameters) = &plain.parameters {
        field::check_parameters(parameters).ok()?;
    }
    Some(NewObservation {
        datastream,
        phenomenon_time: plain.phenomenon_time.map(|Time(time)| time),
        result_time: plain.result_time.map(|Instant(at)| at),
        result: plain.result.0,
        result_quality: plain.result_quality,
        valid_time: plain.valid_time.map(|Time(time)| period(time)),
        parameters: plain.parameters,
        feature: plain.feature.map(|Link { id: Id(id) }| id),
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Plain {
    result: PlainResult,
    phenomenon_time: Option<Time>,
    result_time: Option<Instant>,
    valid_time: Option<Time>,
    result_quality: Option<Value>,
    parameters: Option<Value>,
    #[serde(rename = "Datastream")]
    datastream: Option<Link>,
    #[serde(rename = "FeatureOfInterest", alias = "Feature")]
    feature: Option<Link>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    #[serde(rename = "@iot.id", alias = "@id", alias = "id")]
    id: Id,
}

/// A whole number, also as text.
pub(super) struct Id(pub(super) i64);

pub(super) struct Time(pub(super) TimeValue);

pub(super) struct Instant(pub(super) Timestamp);

/// A result, with numbers as numbers.
pub(super) struct PlainResult(pub(super) ResultValue);

/// A number as a result: exact, or as JSON.
pub(super) fn whole_result(value: i64) -> ResultValue {
    /// Up to here a double holds every whole number.
    const EXACT: u64 = 1 << 53;
    if value.unsigned_abs() <= EXACT {
        return ResultValue::Number(value as f64);
    }
    ResultValue::Json(Value::from(value))
}

/// Any JSON as a result.
pub(super) fn result_of(value: Value) -> ResultValue {
    match &value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole_result(whole),
            (None, Some(real)) if number.is_f64() => ResultValue::Number(real),
            _ => ResultValue::Json(value),
        },
        _ => ResultValue::Json(value),
    }
}

impl<'de> Deserialize<'de> for PlainResult {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ResultVisitor).map(Self)
    }
}

struct ResultVisitor;

impl<'de> Visitor<'de> for ResultVisitor {
    type Value = ResultValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<ResultValue, E> {
        Ok(whole_result(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<ResultValue, E> {
        Ok(i64::try_from(value).map_or_else(
            |_| ResultValue::Json(Value::Number(Number::from(value))),
            whole_result,
        ))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<ResultValue, E> {
        Ok(ResultValue::Number(value))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<ResultValue, E> {
        Ok(ResultValue::Json(Value::Bool(value)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<ResultValue, E> {
        check_text(value).map_err(E::custom)?;
        Ok(ResultValue::Json(Value::from(value)))
    }

    fn visit_unit<E: de::Error>(self) -> Result<ResultValue, E> {
        Ok(ResultValue::Json(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<ResultValue, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element::<Value>()? {
            array.push(item);
        }
        checked(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ResultValue, A::Error> {
        let mut object = Map::new();
        while let Some((name, member)) = members.next_entry::<String, Value>()? {
            object.insert(name, member);
        }
        checked(Value::Object(object))
    }
}

fn checked<E: de::Error>(value: Value) -> Result<ResultValue, E> {
    check_json(&value).map_err(|(_, message)| E::custom(message))?;
    Ok(ResultValue::Json(value))
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimeVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_str(TimeVisitor)? {
            TimeValue::Instant(at) => Ok(Self(at)),
            TimeValue::Interval(_) => Err(de::Error::custom("an interval")),
        }
    }
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = TimeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeValue, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor).map(Self)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i64, E> {
        text.trim().parse().map_err(E::custom)
    }
}
