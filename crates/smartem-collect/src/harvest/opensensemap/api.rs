//! The addresses and documents of the openSenseMap API.

use jiff::Timestamp;
use serde_json::Value;
use smartem_etl::Run;
use smartem_model::{Hour, Position, parse_timestamp};
use url::Url;

use super::config::OpenSenseMapConfig;
use crate::harvest::hours::{Odd, number, told_apart};
use crate::harvest::http::{Client, FetchError};

/// The API never gives more values of a sensor with one request.
const MOST_VALUES: usize = 10_000;

/// The API of one source.
pub(super) struct Api {
    client: Client,
    /// Without a slash at its end.
    base: String,
}

/// An answer that could not be had.
#[derive(Debug)]
pub(super) enum ApiError {
    /// It did not arrive.
    Fetch(FetchError),
    /// It arrived whole and is not what the API describes.
    NotUnderstood { detail: String, body: Vec<u8> },
}

impl ApiError {
    /// Reads a document; one that is none of its kind was not understood.
    pub(super) fn understand<T>(
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> impl Fn(Value) -> Result<T, Self> {
        move |document| {
            read(&document)
                .map_err(|detail| not_understood(&detail, document.to_string().into_bytes()))
        }
    }
}

/// A box with its sensors.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SenseBox {
    pub id: String,
    pub exposure: String,
    /// When it was made.
    pub since: Option<Timestamp>,
    /// Of all its sensors.
    pub newest: Option<Timestamp>,
    pub position: Option<Position>,
    pub sensors: Vec<Sensor>,
    /// Entries of sensors that are none, by their number in the list.
    pub strange: Vec<(usize, String)>,
}

/// A sensor of a box.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sensor {
    pub id: String,
    pub title: String,
    pub unit: String,
    pub model: String,
    pub last: Option<Measured>,
}

/// A value of a sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub time: Timestamp,
    /// `None` for what is no finite number.
    pub value: Option<f64>,
    pub position: Option<Position>,
}

impl Api {
    pub(super) fn new(client: Client, url: &Url) -> Self {
        Self {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
        }
    }

    /// Requests under way at the same time.
    pub(super) fn parallel(&self) -> usize {
        self.client.parallel()
    }

    /// Places are addresses below the base, so that they stay the same when the source moves.
    pub(super) fn boxes_place() -> String {
        "/boxes".to_owned()
    }

    pub(super) fn box_place(id: &str) -> String {
        format!("/boxes/{id}")
    }

    pub(super) fn data_place(id: &str, sensor: &str) -> String {
        format!("/boxes/{id}/data/{sensor}")
    }

    /// The entries of all boxes that the settings choose, with the newest values of their sensors.
    pub(super) async fn boxes(
        &self,
        run: &Run,
        config: &OpenSenseMapConfig,
    ) -> Result<Vec<Value>, ApiError> {
        let mut query = vec![("format", "json".to_owned()), ("full", "true".to_owned())];
        if let Some(bbox) = config.bbox {
            query.push(("bbox", bbox.map(|edge| edge.to_string()).join(",")));
        }
        query.extend(config.grouptag.clone().map(|tag| ("grouptag", tag)));
        // More than one exposure is told apart here; not every version takes a list.
        if let [exposure] = &config.exposure[..] {
            query.push(("exposure", exposure.clone()));
        }
        let body = self.get(run, &Self::boxes_place(), &query).await?;
        match serde_json::from_slice(&body) {
            Ok(Value::Array(boxes)) => Ok(boxes),
            Ok(_) => Err(not_understood("not a list of boxes", body)),
            Err(error) => Err(not_understood(&error.to_string(), body)),
        }
    }

    /// The entry of one box.
    pub(super) async fn one(&self, run: &Run, id: &str) -> Result<Value, ApiError> {
        let query = [("format", "json".to_owned())];
        let body = self.get(run, &Self::box_place(id), &query).await?;
        serde_json::from_slice(&body).map_err(|error| not_understood(&error.to_string(), body))
    }

    /// The values of a sensor from one hour up to another, in any order.
    ///
    /// Where there are more than one answer holds, the time is asked for in halves.
    pub(super) async fn values(
        &self,
        run: &Run,
        id: &str,
        sensor: &str,
        (from, to): (Hour, Hour),
    ) -> Result<(Vec<Measured>, Vec<Odd>), ApiError> {
        let (mut all, mut odd) = (Vec::new(), Vec::new());
        let mut spans = vec![(from.period().start, to.period().start)];
        while let Some((from, to)) = spans.pop() {
            let (values, strange) = self.some_values(run, id, sensor, (from, to)).await?;
            let length = to.duration_since(from);
            if values.len() + strange.len() < MOST_VALUES || length.as_secs() < 2 {
                all.extend(values);
                odd.extend(strange);
            } else {
                let middle = from + length / 2;
                spans.extend([(middle, to), (from, middle)]);
            }
        }
        Ok((all, odd))
    }

    /// As many values of a sensor between two times as one answer holds.
    pub(super) async fn some_values(
        &self,
        run: &Run,
        id: &str,
        sensor: &str,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<(Vec<Measured>, Vec<Odd>), ApiError> {
        let query = [
            ("from-date", from.to_string()),
            ("to-date", to.to_string()),
            ("format", "json".to_owned()),
        ];
        let body = self.get(run, &Self::data_place(id, sensor), &query).await?;
        values(&body).map_err(|detail| not_understood(&detail, body))
    }

    async fn get(
        &self,
        run: &Run,
        place: &str,
        query: &[(&str, String)],
    ) -> Result<Vec<u8>, ApiError> {
        let parsed: Result<Url, _> = format!("{}{place}", self.base).parse();
        let mut url = parsed
            .map_err(|_| ApiError::Fetch(FetchError::Refused(reqwest::StatusCode::NOT_FOUND)))?;
        url.query_pairs_mut().extend_pairs(query);
        self.client.get(run, &url).await.map_err(ApiError::Fetch)
    }
}

fn not_understood(detail: &str, body: Vec<u8>) -> ApiError {
    ApiError::NotUnderstood {
        detail: detail.to_owned(),
        body,
    }
}

fn text<'a>(entry: &'a Value, member: &str) -> Option<&'a str> {
    entry.get(member)?.as_str()
}

fn time(entry: &Value, member: &str) -> Option<Timestamp> {
    parse_timestamp(text(entry, member)?)
}

/// When an id was made: its first eight digits are the seconds since 1970. `createdAt` of old boxes is
/// the day on which they were moved to another database.
fn made(id: &str) -> Option<Timestamp> {
    let seconds = i64::from_str_radix(id.get(..8)?, 16).ok()?;
    (id.len() == 24)
        .then_some(seconds)
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
}

/// `[lon, lat, height]`, or a GeoJSON point.
fn position(value: &Value) -> Option<Position> {
    let list = value.get("coordinates").unwrap_or(value).as_array()?;
    let at = |i: usize| list.get(i).and_then(Value::as_f64);
    Some(Position {
        lon: at(0)?,
        lat: at(1)?,
        alt: at(2),
    })
}

/// A box; the error tells what is missing.
pub(super) fn sense_box(entry: &Value) -> Result<SenseBox, String> {
    let id = text(entry, "_id").ok_or("a box without `_id`")?;
    let sensors = entry.get("sensors").and_then(Value::as_array);
    let sensors = sensors.ok_or_else(|| format!("box {id}: no list `sensors`"))?;
    // Older answers have the location in `loc`, a list of features.
    let location = entry
        .get("currentLocation")
        .or_else(|| entry.pointer("/loc/0/geometry"));
    Ok(SenseBox {
        exposure: text(entry, "exposure").unwrap_or("unknown").to_owned(),
        since: time(entry, "createdAt").into_iter().chain(made(id)).min(),
        newest: time(entry, "lastMeasurementAt"),
        position: location.and_then(position),
        sensors: sensors.iter().filter_map(sensor).collect(),
        strange: sensors
            .iter()
            .enumerate()
            .filter(|(_, entry)| sensor(entry).is_none())
            .map(|(i, entry)| (i, entry.to_string()))
            .collect(),
        id: id.to_owned(),
    })
}

fn sensor(entry: &Value) -> Option<Sensor> {
    let own = |member| text(entry, member).unwrap_or_default().trim().to_owned();
    Some(Sensor {
        id: text(entry, "_id")?.to_owned(),
        title: own("title"),
        unit: own("unit"),
        model: own("sensorType"),
        // An id in place of the value tells that it has to be asked for.
        last: entry.get("lastMeasurement").and_then(measured),
    })
}

fn measured(entry: &Value) -> Option<Measured> {
    Some(Measured {
        time: time(entry, "createdAt")?,
        value: entry.get("value").and_then(number),
        position: entry.get("location").and_then(position),
    })
}

fn values(body: &[u8]) -> Result<(Vec<Measured>, Vec<Odd>), String> {
    let document: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let list = document.as_array().ok_or("not a list of values")?;
    Ok(told_apart(list, measured, |measured| measured.time))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_box_is_as_old_as_its_id() {
        let found = sense_box(&json!({
            "_id": "56d077882cb6e1e4106868fb", "exposure": "outdoor",
            "createdAt": "2022-03-30T11:25:43.000Z",
            "currentLocation": {"type": "Point", "coordinates": [6.09, 52.5]},
            "lastMeasurementAt": "2019-11-28T19:31:29.000Z",
            "sensors": [
                {"_id": "a", "title": " PM10 ", "unit": "µg/m³", "sensorType": "SDS 011",
                    "lastMeasurement": {"value": "12.30", "createdAt": "2019-11-28T19:31:29.000Z"}},
                {"_id": "b", "title": "PM2.5", "lastMeasurement": "5bf8379d86f11b001aae79d0"},
            ],
        }))
        .unwrap();
        assert_eq!(found.since.unwrap().to_string(), "2016-02-26T16:04:24Z");
        assert_eq!(found.sensors[0].last.unwrap().value, Some(12.3));
        assert_eq!(
            (found.sensors[0].title.as_str(), found.sensors[1].last),
            ("PM10", None)
        );
        assert_eq!(
            found.position.map(|at| (at.lon, at.lat)),
            Some((6.09, 52.5))
        );
        assert!(
            sense_box(&json!({"_id": "x"}))
                .unwrap_err()
                .contains("box x")
        );
    }

    #[test]
    fn values_are_texts_with_their_own_place() {
        let body =
            br#"[{"location":[7.6,51.9],"createdAt":"2023-02-27T06:00:00.302Z","value":"32.0"},
            {"createdAt":"2023-02-27T06:00:16.013Z","value":"nan"}]"#;
        let (found, _) = values(body).unwrap();
        assert_eq!(found[0].value, Some(32.0));
        assert_eq!(
            found[0].position.map(|at| (at.lon, at.lat)),
            Some((7.6, 51.9))
        );
        assert_eq!((found[1].value, found[1].position), (None, None));
        assert!(values(b"{}").is_err());
        assert_eq!(values(br#"[{"value":"1"}]"#).unwrap().1.len(), 1);
    }
}
