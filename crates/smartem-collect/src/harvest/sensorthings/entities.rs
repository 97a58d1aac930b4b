//! Things, Datastreams and Observations, as any server of SensorThings 1.0 or 1.1 writes them.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_model::{Hour, Position, parse_timestamp};

use super::config::Stamp;
use crate::harvest::hours::number;

/// Names and definitions of observed properties, in lower case, and the indicators that they are.
const PROPERTIES: [(&str, &str); 36] = [
    ("pm10", "pm10"),
    ("pm10_kal", "pm10"),
    ("pm2.5", "pm2_5"),
    ("pm25", "pm2_5"),
    ("pm2_5", "pm2_5"),
    ("pm25_kal", "pm2_5"),
    ("pm1", "pm1"),
    ("pm1.0", "pm1"),
    ("pm1_0", "pm1"),
    ("no2", "no2"),
    ("nitrogen dioxide", "no2"),
    ("no", "no"),
    ("nitrogen monoxide", "no"),
    ("nitric oxide", "no"),
    ("o3", "o3"),
    ("ozone", "o3"),
    ("co", "co"),
    ("carbon monoxide", "co"),
    ("temperature", "temperature"),
    ("temp", "temperature"),
    ("ta", "temperature"),
    ("t", "temperature"),
    ("air temperature", "temperature"),
    ("airtemperature", "temperature"),
    ("temperatuur", "temperature"),
    ("humidity", "humidity"),
    ("rh", "humidity"),
    ("relative humidity", "humidity"),
    ("relativehumidity", "humidity"),
    ("relative_humidity", "humidity"),
    ("luchtvochtigheid", "humidity"),
    ("pressure", "pressure"),
    ("pres", "pressure"),
    ("air pressure", "pressure"),
    ("atmospheric pressure", "pressure"),
    ("luchtdruk", "pressure"),
];

/// The indicator that a property is; of a definition what stands behind its last `/` or `#`.
pub(super) fn indicator_of(property: &str) -> Option<&'static str> {
    let property = property.trim().to_lowercase();
    let last = property.rsplit(['/', '#']).next().unwrap_or(&property);
    let found = PROPERTIES
        .iter()
        .find(|(name, _)| *name == property || *name == last);
    found.map(|(_, indicator)| *indicator)
}

/// A Thing with its Datastreams.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub id: String,
    pub name: String,
    pub position: Option<Position>,
    pub datastreams: Vec<Datastream>,
    /// Entries that are no Datastreams, by their number in the list, and what is wrong.
    pub strange: Vec<(usize, String, String)>,
}

/// A Datastream with what it observes.
#[derive(Clone, Debug)]
pub(super) struct Datastream {
    /// As it stands between the parentheses of an address.
    pub id: String,
    /// Where its Observations are, if it says so.
    pub observations: Option<String>,
    pub name: String,
    pub sensor: Option<String>,
    /// Name and definition.
    pub property: [String; 2],
    pub unit: String,
    /// From the first Observation to the newest.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The newest Observation, where it was asked for.
    pub newest: Vec<Value>,
    /// Whether the service gave them, if only an empty list.
    pub tells_newest: bool,
}

/// An id as it stands in an address: a text in quotes, which are doubled within.
fn id_of(entity: &Value) -> Option<String> {
    match entity.get("@iot.id")? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(format!("'{}'", text.replace('\'', "''"))),
        _ => None,
    }
}

fn text<'a>(entity: &'a Value, member: &str) -> Option<&'a str> {
    let text = entity.get(member)?.as_str()?.trim();
    (!text.is_empty()).then_some(text)
}

/// A Thing; the error tells what is missing.
pub(super) fn thing(entity: &Value) -> Result<Thing, String> {
    let id = id_of(entity).ok_or("a Thing without `@iot.id`")?;
    let datastreams = entity.get("Datastreams").and_then(Value::as_array);
    let (mut read, mut strange) = (Vec::new(), Vec::new());
    for (i, entry) in datastreams.into_iter().flatten().enumerate() {
        match datastream(entry) {
            Ok(datastream) => read.push(datastream),
            Err(problem) => {
                strange.push((i, format!("Thing {id}: {problem}"), entry.to_string()));
            }
        }
    }
    Ok(Thing {
        name: text(entity, "name").unwrap_or(&id).to_owned(),
        position: entity
            .get("Locations")
            .and_then(Value::as_array)
            .and_then(|locations| locations.iter().find_map(position)),
        datastreams: read,
        strange,
        id,
    })
}

pub(super) fn datastream(entity: &Value) -> Result<Datastream, String> {
    let id = id_of(entity).ok_or("a Datastream without `@iot.id`")?;
    let property = |member| {
        let property = entity.get("ObservedProperty");
        let found = property.and_then(|property| text(property, member));
        found.unwrap_or_default().to_owned()
    };
    let unit = entity.get("unitOfMeasurement");
    let unit = unit.and_then(|unit| text(unit, "symbol").or_else(|| text(unit, "name")));
    let newest = entity.get("Observations").and_then(Value::as_array);
    Ok(Datastream {
        observations: text(entity, "Observations@iot.navigationLink").map(str::to_owned),
        name: text(entity, "name").unwrap_or(&id).to_owned(),
        sensor: entity
            .get("Sensor")
            .and_then(|sensor| text(sensor, "name"))
            .map(str::to_owned),
        property: [property("name"), property("definition")],
        unit: unit.unwrap_or_default().to_owned(),
        span: text(entity, "phenomenonTime").and_then(span),
        tells_newest: newest.is_some(),
        newest: newest.cloned().unwrap_or_default(),
        id,
    })
}

/// A point, or the middle of nothing: other geometries tell no position of a station.
fn position(location: &Value) -> Option<Position> {
    let geometry = location.get("location")?;
    let geometry = geometry.get("geometry").unwrap_or(geometry);
    if geometry.get("type")?.as_str()? != "Point" {
        return None;
    }
    let list = geometry.get("coordinates")?.as_array()?;
    let at = |i: usize| list.get(i).and_then(Value::as_f64);
    Some(Position {
        lon: at(0)?,
        lat: at(1)?,
        alt: at(2),
    })
}

/// An instant, or `start/end`.
fn span(text: &str) -> Option<(Timestamp, Timestamp)> {
    match text.split_once('/') {
        Some((start, end)) => Some((parse_timestamp(start)?, parse_timestamp(end)?)),
        None => parse_timestamp(text).map(|time| (time, time)),
    }
}

/// The time of an Observation; of an interval its start.
pub(super) fn time_of(entity: &Value) -> Option<Timestamp> {
    text(entity, "phenomenonTime")
        .and_then(span)
        .map(|(start, _)| start)
}

/// What an Observation tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub hour: Hour,
    /// Of an interval its start.
    pub time: Timestamp,
    /// The hour it belongs to does not follow from its time.
    pub is_mean: bool,
    pub value: f64,
}

/// Reads an Observation; the error names what is wrong in a word.
pub(super) fn measured(entity: &Value, stamp: Stamp) -> Result<Measured, &'static str> {
    let value = entity.get("result").and_then(number);
    let time = entity.get("phenomenonTime").and_then(Value::as_str);
    let (start, end) = time.and_then(span).ok_or("invalid_time")?;
    let just_before = |time: Timestamp| time.checked_sub(SignedDuration::from_nanos(1)).ok();
    // An interval that ends at 10:00 holds nothing of the hour that begins there.
    let (hour, is_mean) = if end > start {
        (just_before(end).and_then(Hour::containing), true)
    } else if stamp == Stamp::End {
        (just_before(start).and_then(Hour::containing), true)
    } else {
        (Hour::containing(start), false)
    };
    Ok(Measured {
        hour: hour.ok_or("invalid_time")?,
        time: start,
        is_mean,
        value: value.ok_or("not_a_number")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn observations_are_read_as_samen_meten_and_others_write_them() {
        let read = |time: &str, result: Value, stamp| {
            let found = measured(
                &json!({"phenomenonTime": time, "result": result, "resultTime": null}),
                stamp,
            );
            found.map(|m| (m.hour.to_string(), m.value, m.is_mean))
        };
        let hour = |text: &str| text.to_owned();
        assert_eq!(
            read("2019-09-09T00:00:00.000Z", json!(4.03), Stamp::Instant),
            Ok((hour("2019-09-09 hour 1"), 4.03, false))
        );
        assert_eq!(
            read("2019-09-09T02:00:00+02:00", json!("4.90"), Stamp::End),
            Ok((hour("2019-09-08 hour 24"), 4.9, true))
        );
        let interval = "2019-09-09T09:00:00Z/2019-09-09T10:00:00Z";
        assert_eq!(
            read(interval, json!(1), Stamp::Instant),
            Ok((hour("2019-09-09 hour 10"), 1.0, true))
        );
        assert_eq!(
            read("2019-09-09T00:00:00Z", json!(null), Stamp::Instant),
            Err("not_a_number")
        );
        assert_eq!(
            read("yesterday", json!(1), Stamp::Instant),
            Err("invalid_time")
        );
    }

    #[test]
    fn ids_are_numbers_or_texts_in_quotes() {
        assert_eq!(id_of(&json!({"@iot.id": 7})).unwrap(), "7");
        assert_eq!(id_of(&json!({"@iot.id": "it's"})).unwrap(), "'it''s'");
        assert_eq!(id_of(&json!({"@iot.id": null})), None);
        assert!(thing(&json!({"name": "x"})).is_err());
    }

    #[test]
    fn properties_are_known_by_name_and_definition() {
        for (property, indicator) in [
            ("PM2.5", Some("pm2_5")),
            ("http://example.org/def/observedProperty/NO2", Some("no2")),
            (
                "http://qudt.org/vocab/quantitykind#RelativeHumidity",
                Some("humidity"),
            ),
            ("Temp", Some("temperature")),
            ("Soil moisture", None),
        ] {
            assert_eq!(indicator_of(property), indicator, "{property}");
        }
    }

    #[test]
    fn the_recorded_answer_of_samen_meten_is_read_whole() {
        let recorded =
            "../../../shared/samples/samenmeten-sta/Datastreams_2819_Observations_2019-09-09.json";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded);
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: no recorded answers here");
            return;
        };
        let page: Value = serde_json::from_str(&text).unwrap();
        let observations = page["value"].as_array().unwrap();
        let mut hours: Vec<i64> = observations
            .iter()
            .map(|entity| measured(entity, Stamp::Instant).unwrap().hour.of_day())
            .collect();
        hours.sort_unstable();
        hours.dedup();
        assert!(hours.len() >= 24 && observations.len() >= 24);
    }
}
