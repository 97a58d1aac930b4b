//! The addresses and documents of the 52North Timeseries REST API, version 1.

use jiff::Timestamp;
use serde_json::Value;
use smartem_etl::Run;
use smartem_model::Position;
use url::Url;

use crate::harvest::hours::{Odd, number, told_apart};
use crate::harvest::http::{Client, FetchError};

/// The API of one source.
pub(super) struct Api {
    client: Client,
    /// Up to `/timeseries`, without a slash at its end.
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

/// What the source says of a series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Described {
    pub id: String,
    pub label: String,
    /// The unit, as the source writes it.
    pub unit: String,
    pub station: String,
    pub phenomenon: String,
    pub position: Option<Position>,
    pub first: Option<Timestamp>,
    pub newest: Option<Timestamp>,
}

/// An entry of the list of series that is not understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Strange {
    pub place: String,
    pub id: Option<String>,
    pub detail: String,
    pub text: String,
}

/// A value of a series; `None` when the source has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub time: Timestamp,
    pub value: Option<f64>,
}

impl Api {
    pub(super) fn new(client: Client, url: &Url) -> Self {
        let root = url.as_str().trim_end_matches('/');
        let root = root.strip_suffix("/timeseries").unwrap_or(root);
        Self {
            client,
            base: format!("{root}/timeseries"),
        }
    }

    /// Requests under way at the same time.
    pub(super) fn parallel(&self) -> usize {
        self.client.parallel()
    }

    /// Places are addresses below the base, so that they stay the same when the source moves.
    pub(super) fn listing_place() -> String {
        "/timeseries".to_owned()
    }

    pub(super) fn series_place(id: &str) -> String {
        format!("/timeseries/{id}")
    }

    pub(super) fn data_place(id: &str) -> String {
        format!("/timeseries/{id}/getData")
    }

    /// All series, in the order of their ids, and what of the list is none.
    pub(super) async fn list(&self, run: &Run) -> Result<(Vec<Described>, Vec<Strange>), ApiError> {
        let body = self.get(run, "", &[("expanded", "true")]).await?;
        let entries = match parse(&body) {
            Ok(Value::Array(entries)) => entries,
            Ok(_) => {
                let detail = "not a list of series".to_owned();
                return Err(ApiError::NotUnderstood { detail, body });
            }
            Err(detail) => return Err(ApiError::NotUnderstood { detail, body }),
        };
        let (mut all, mut strange) = (Vec::new(), Vec::new());
        for (i, entry) in entries.iter().enumerate() {
            match described(entry) {
                Ok(series) => all.push(series),
                Err(detail) => {
                    let id = entry.get("id").and_then(id_of);
                    let name = id.clone().unwrap_or_else(|| format!("entry {i}"));
                    strange.push(Strange {
                        place: format!("{}#{name}", Self::listing_place()),
                        id,
                        detail,
                        text: entry.to_string(),
                    });
                }
            }
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.dedup_by(|a, b| a.id == b.id);
        Ok((all, strange))
    }

    /// What the source says of one series.
    pub(super) async fn describe(&self, run: &Run, id: &str) -> Result<Described, ApiError> {
        let body = self.get(run, id, &[]).await?;
        let read = parse(&body).and_then(|document| {
            let series = described(&document)?;
            if series.id == id {
                Ok(series)
            } else {
                Err(format!("asked for series {id}, and got {}", series.id))
            }
        });
        read.map_err(|detail| ApiError::NotUnderstood { detail, body })
    }

    /// The values of a series from `start` on, for so many hours.
    pub(super) async fn values(
        &self,
        run: &Run,
        id: &str,
        start: Timestamp,
        hours: i64,
    ) -> Result<(Vec<Measured>, Vec<Odd>), ApiError> {
        let span = format!("{start}/PT{hours}H");
        let path = format!("{id}/getData");
        let body = self.get(run, &path, &[("timespan", &span)]).await?;
        let read = parse(&body).and_then(|document| values(&document));
        read.map_err(|detail| ApiError::NotUnderstood { detail, body })
    }

    async fn get(
        &self,
        run: &Run,
        below: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, ApiError> {
        let not_there = || ApiError::Fetch(FetchError::Refused(reqwest::StatusCode::NOT_FOUND));
        let mut url: Url = self.base.parse().map_err(|_| not_there())?;
        if !below.is_empty() {
            let mut path = url.path_segments_mut().map_err(|()| not_there())?;
            path.extend(below.split('/'));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.client.get(run, &url).await.map_err(ApiError::Fetch)
    }
}

fn parse(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// An id is a text or a number, depending on the server.
fn id_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn described(entry: &Value) -> Result<Described, String> {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
    let id = entry
        .get("id")
        .and_then(id_of)
        .ok_or("a series without `id`")?;
    let needed = |pointer: &str| {
        let found = text(pointer).map(str::to_owned);
        found.ok_or_else(|| format!("series {id}: no text at `{pointer}`"))
    };
    Ok(Described {
        label: needed("/label")?,
        unit: text("/uom").unwrap_or_default().to_owned(),
        station: needed("/station/properties/label")?,
        phenomenon: needed("/parameters/phenomenon/label")?,
        position: position(entry.pointer("/station/geometry/coordinates")),
        first: entry.pointer("/firstValue/timestamp").and_then(moment),
        newest: entry.pointer("/lastValue/timestamp").and_then(moment),
        id,
    })
}

/// `[lon, lat, alt]`; the altitude may be absent or the text `NaN`.
fn position(coordinates: Option<&Value>) -> Option<Position> {
    let list = coordinates?.as_array()?;
    let at = |i: usize| list.get(i).and_then(Value::as_f64);
    Some(Position {
        lon: at(0)?,
        lat: at(1)?,
        alt: at(2),
    })
}

/// Milliseconds since 1970. Some servers give seconds: what would lie before March 1973 in
/// milliseconds is meant so. Nothing at all is written as 0.
fn moment(value: &Value) -> Option<Timestamp> {
    let count = value.as_f64().filter(|count| *count > 0.0)?;
    let milliseconds = if count < 1e11 { count * 1000.0 } else { count };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float is cut to the range of integers"
    )]
    let time = Timestamp::from_millisecond(milliseconds as i64);
    time.ok()
}

/// `{values: [{timestamp, value}]}`; pairs in place of objects are taken too.
fn values(document: &Value) -> Result<(Vec<Measured>, Vec<Odd>), String> {
    let list = document.get("values").and_then(Value::as_array);
    let list = list.ok_or("no list `values`")?;
    let read = |entry: &Value| {
        let (time, value) = match entry {
            Value::Array(pair) => (pair.first(), pair.get(1)),
            entry => (entry.get("timestamp"), entry.get("value")),
        };
        Some(Measured {
            time: time.and_then(moment)?,
            value: value.and_then(number),
        })
    };
    Ok(told_apart(list, read, |measured| measured.time))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_come_as_objects_or_pairs_and_may_be_none() {
        let document = json!({"values": [
            {"timestamp": 1_518_001_200_000_i64, "value": 0.46},
            {"timestamp": 1_518_004_800_000_i64, "value": null},
            {"timestamp": 1_518_008_400_000_i64, "value": "NaN"},
            [1_518_012_000_000_i64, "12.30"],
        ]});
        let (found, _) = values(&document).unwrap();
        let numbers: Vec<_> = found.iter().map(|measured| measured.value).collect();
        assert_eq!(numbers, [Some(0.46), None, None, Some(12.3)]);
        assert_eq!(found[0].time.to_string(), "2018-02-07T11:00:00Z");
        let (_, odd) = values(&json!({"values": [{"value": 1}]})).unwrap();
        assert_eq!(odd[0].text, r#"{"value":1}"#);
        assert!(values(&json!([])).is_err());
    }

    #[test]
    fn a_moment_is_in_milliseconds_or_clearly_in_seconds() {
        let time = |value| moment(&value).map(|time| time.to_string());
        assert_eq!(
            time(json!(1_455_099_591.0)).unwrap(),
            "2016-02-10T10:19:51Z"
        );
        assert_eq!(
            time(json!(1_405_350_000_000_i64)).unwrap(),
            "2014-07-14T15:00:00Z"
        );
        // D-055: no request may go into 1969.
        assert_eq!(time(json!(0)), None);
        assert_eq!(time(json!(-1)), None);
        assert_eq!(time(json!(null)), None);
    }

    #[test]
    fn a_series_is_described_as_rivm_and_irceline_do() {
        let series = described(&json!({
            "id": 7, "label": "Carbon monoxide (air) X, Town-Street: CO", "uom": "mg.m-3",
            "station": {"properties": {"id": 2, "label": "Town-Street: CO"},
                "geometry": {"coordinates": [4.8, 52.3, "NaN"], "type": "Point"}, "type": "Feature"},
            "parameters": {"phenomenon": {"id": "124", "label": "Carbon monoxide (air)"}},
        }))
        .unwrap();
        assert_eq!((series.id.as_str(), series.unit.as_str()), ("7", "mg.m-3"));
        let position = series.position.unwrap();
        assert_eq!(
            (position.lon, position.lat, position.alt),
            (4.8, 52.3, None)
        );
        assert_eq!((series.first, series.newest), (None, None));
        assert!(
            described(&json!({"id": "7"}))
                .unwrap_err()
                .contains("series 7")
        );
    }
}
