//! The Raw Sensor ("Whale") API v1.1, served from what the store has, so that another smartem, or
//! the original platform, can harvest it.
//!
//! | path | answer |
//! |---|---|
//! | `/sensors/v1/devices` | `{devices: [paths]}` |
//! | `/sensors/v1/devices/{id}` | `{id, timeseries, last, outputs}` |
//! | `/sensors/v1/devices/{id}/timeseries` | `{id, days: [paths]}` |
//! | `/sensors/v1/devices/{id}/timeseries/{yyyymmdd}` | `{id, date, hours}`; hour 1 is 00:00 to 01:00 UTC |
//! | `/sensors/v1/devices/{id}/timeseries/{yyyymmdd}/{hour}` | `{id, date, hour, timeseries: [samples]}` |
//! | `/sensors/v1/devices/{id}/last` | one sample |
//!
//! The API does not say of which type a station is, and whoever harvests it takes all for Josene
//! stations: only stations of the types in the settings are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use smartem_etl::Clock;
use smartem_http::{ETag, Kind, Link, Problem, ServicePart};
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, StationId, parse_timestamp};
use smartem_store::{Store, StoreError};

const BASE: &str = "/sensors/v1/devices";

/// Settings of the API.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WhaleFaceConfig {
    /// Types of the stations that are served.
    pub station_types: Vec<String>,
    /// How long after its end an hour is listed: the original harvester reads an hour once.
    #[schemars(with = "String")]
    pub grace: SignedDuration,
}

impl Default for WhaleFaceConfig {
    fn default() -> Self {
        Self {
            station_types: vec!["jose".to_owned()],
            grace: SignedDuration::from_mins(2),
        }
    }
}

struct Face {
    store: Store,
    config: WhaleFaceConfig,
    clock: Clock,
}

type Served = State<Arc<Face>>;
/// Parts of a path; a part that is not UTF-8 is no address of ours.
type Parts<T> = Result<Path<T>, PathRejection>;
/// `None` when there is no such thing.
type Answer = Result<Option<String>, Problem>;

/// The part of the server that serves the API.
pub fn part(store: Store, config: WhaleFaceConfig, clock: Clock) -> ServicePart {
    let face = Arc::new(Face {
        store,
        config,
        clock,
    });
    let served = |methods: MethodRouter<Arc<Face>>| methods.with_state(Arc::clone(&face));
    ServicePart::new("whale")
        .route("/sensors/v1/devices", served(get(devices)))
        .route("/sensors/v1/devices/{id}", served(get(device)))
        .route("/sensors/v1/devices/{id}/timeseries", served(get(days)))
        .route(
            "/sensors/v1/devices/{id}/timeseries/{day}",
            served(get(hours)),
        )
        .route(
            "/sensors/v1/devices/{id}/timeseries/{day}/{hour}",
            served(get(hour)),
        )
        .route("/sensors/v1/devices/{id}/last", served(get(last)))
        .link(Link {
            rel: "item",
            href: BASE,
            media_type: "application/json",
            title: "Raw Sensor API: hours and newest values of stations, to be harvested",
        })
}

async fn devices(State(face): Served, headers: HeaderMap) -> Result<Response, Problem> {
    face.answer(&headers, async |_| face.devices().await).await
}

async fn device(
    State(face): Served,
    parts: Parts<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    face.answer(&headers, async |now| face.device(parts.ok(), now).await)
        .await
}

async fn days(
    State(face): Served,
    parts: Parts<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    face.answer(&headers, async |now| face.days(parts.ok(), now).await)
        .await
}

async fn hours(
    State(face): Served,
    parts: Parts<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    face.answer(&headers, async |now| face.hours(parts.ok(), now).await)
        .await
}

async fn hour(
    State(face): Served,
    parts: Parts<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    face.answer(&headers, async |_| face.hour(parts.ok()).await)
        .await
}

async fn last(
    State(face): Served,
    parts: Parts<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    face.answer(&headers, async |_| face.last(parts.ok()).await)
        .await
}

impl Face {
    /// An answer, unless the client has it; 404 where there is no such thing.
    async fn answer(
        &self,
        headers: &HeaderMap,
        make: impl AsyncFnOnce(Timestamp) -> Answer,
    ) -> Result<Response, Problem> {
        let now = (self.clock)();
        // Read before the content: what changes meanwhile is asked for again.
        let change = self.store.change().await.map_err(failed)?;
        // Hours become listed as time passes.
        let listed = self.end_of_listed(now).map_or(0, Hour::index);
        let etag = ETag::new(&format!("{change}-{listed}"));
        if etag.is_known_to(headers) {
            return Ok(etag.not_modified());
        }
        Ok(match make(now).await? {
            Some(body) => etag.on((JSON, body)),
            None => missing(),
        })
    }

    async fn devices(&self) -> Answer {
        let stations = self.store.stations().await.map_err(failed)?;
        let paths: Vec<String> = stations
            .iter()
            .filter(|station| self.serves(&station.id, &station.station_type))
            .map(|station| format!("{BASE}/{}", station.id))
            .collect();
        Ok(Some(json!({ "devices": paths }).to_string()))
    }

    async fn device(&self, parts: Option<Path<String>>, now: Timestamp) -> Answer {
        let Some(Path(id)) = parts else {
            return Ok(None);
        };
        let Some(station) = self.station(&id).await? else {
            return Ok(None);
        };
        let newest = self.listed_hours(&station, now).await?.pop();
        let record = match newest {
            Some(hour) => self
                .store
                .raw_record(&station, hour)
                .await
                .map_err(failed)?,
            None => None,
        };
        let columns = record.iter().flat_map(|record| record.samples.columns());
        let outputs: Vec<Value> = columns.map(|it| json!({ "name": it.name() })).collect();
        let document = json!({
            "id": id,
            "timeseries": format!("{BASE}/{id}/timeseries"),
            "last": format!("{BASE}/{id}/last"),
            "outputs": outputs,
        });
        Ok(Some(document.to_string()))
    }

    async fn days(&self, parts: Option<Path<String>>, now: Timestamp) -> Answer {
        let Some(Path(id)) = parts else {
            return Ok(None);
        };
        let Some(station) = self.station(&id).await? else {
            return Ok(None);
        };
        let mut days: Vec<Date> = self
            .listed_hours(&station, now)
            .await?
            .into_iter()
            .map(Hour::day)
            .collect();
        days.dedup();
        let paths: Vec<String> = days
            .into_iter()
            .map(|day| format!("{BASE}/{id}/timeseries/{}", compact(day)))
            .collect();
        Ok(Some(json!({"id": id, "days": paths}).to_string()))
    }

    async fn hours(&self, parts: Option<Path<(String, String)>>, now: Timestamp) -> Answer {
        let Some(Path((id, day))) = parts else {
            return Ok(None);
        };
        let Some(day) = day_of(&day) else {
            return Ok(None);
        };
        let Some(station) = self.station(&id).await? else {
            return Ok(None);
        };
        let (Some(first), Some(last)) = (Hour::new(day, 1), Hour::new(day, 24)) else {
            return Ok(None);
        };
        let of_day = self.listed_between(&station, first, last, now).await?;
        if of_day.is_empty() {
            return Ok(None);
        }
        let numbers: Vec<i64> = of_day.into_iter().map(Hour::of_day).collect();
        let document = json!({"id": id, "date": day.to_string(), "hours": numbers});
        Ok(Some(document.to_string()))
    }

    async fn hour(&self, parts: Option<Path<(String, String, String)>>) -> Answer {
        let Some(Path((id, day, number))) = parts else {
            return Ok(None);
        };
        let hour = day_of(&day).zip(number.parse::<i64>().ok());
        // One hour has one address: "07" and "+7" are not it.
        let hour = hour.filter(|(_, parsed)| parsed.to_string() == number);
        let Some(hour) = hour.and_then(|(day, number)| Hour::new(day, number)) else {
            return Ok(None);
        };
        let Some(station) = self.station(&id).await? else {
            return Ok(None);
        };
        let record = self
            .store
            .raw_record(&station, hour)
            .await
            .map_err(failed)?;
        let Some(record) = record else {
            return Ok(None);
        };
        blocking(move || hour_body(&record, hour)).await.map(Some)
    }

    /// The newest sample: that of the snapshot, or a newer one of an hour.
    async fn last(&self, parts: Option<Path<String>>) -> Answer {
        let Some(Path(id)) = parts else {
            return Ok(None);
        };
        let Some(station) = self.station(&id).await? else {
            return Ok(None);
        };
        let snapshot = self.store.last_sample(&station).await.map_err(failed)?;
        let (taken, snapshot) = snapshot.unzip();
        let from = taken.and_then(Hour::containing).or(Hour::from_index(0));
        let newest = match (from, last_of_time()) {
            (Some(from), Some(to)) => self.store.stored_hours(&station, from, to).await,
            _ => Ok(Vec::new()),
        };
        let record = match newest.map_err(failed)?.pop() {
            Some(hour) => self
                .store
                .raw_record(&station, hour)
                .await
                .map_err(failed)?,
            None => None,
        };
        blocking(move || {
            let of_hour = record.and_then(|record| newest_sample(&record));
            let of_hour = of_hour.filter(|(time, _)| taken.is_none_or(|taken| *time > taken));
            let of_snapshot = || snapshot.and_then(|record| only_sample(&record));
            let sample = of_hour.map(|(_, sample)| sample).or_else(of_snapshot);
            sample.map(|sample| with_id(&sample, &id))
        })
        .await
    }

    /// A station that is served.
    async fn station(&self, id: &str) -> Result<Option<StationId>, Problem> {
        let Some(id) = StationId::new(id) else {
            return Ok(None);
        };
        let view = self.store.station(&id).await.map_err(failed)?;
        let is_served = view.is_some_and(|view| self.serves(&id, &view.station_type));
        Ok(is_served.then_some(id))
    }

    fn serves(&self, id: &StationId, station_type: &str) -> bool {
        self.config
            .station_types
            .iter()
            .any(|it| it == station_type)
            && is_path_segment(id)
    }

    /// The first hour that is not listed yet.
    fn end_of_listed(&self, now: Timestamp) -> Option<Hour> {
        Hour::containing(now.checked_sub(self.config.grace).ok()?)
    }

    async fn listed_hours(
        &self,
        station: &StationId,
        now: Timestamp,
    ) -> Result<Vec<Hour>, Problem> {
        let (Some(first), Some(last)) = (Hour::from_index(0), last_of_time()) else {
            return Ok(Vec::new());
        };
        self.listed_between(station, first, last, now).await
    }

    /// Stored hours from `first` to `last` that have ended and so grow no more, in order.
    async fn listed_between(
        &self,
        station: &StationId,
        first: Hour,
        last: Hour,
        now: Timestamp,
    ) -> Result<Vec<Hour>, Problem> {
        let Some(end) = self.end_of_listed(now) else {
            return Ok(Vec::new());
        };
        let after = Hour::from_index(last.index() + 1).unwrap_or(last);
        let hours = self
            .store
            .stored_hours(station, first, end.min(after))
            .await;
        hours.map_err(failed)
    }
}

fn last_of_time() -> Option<Hour> {
    Hour::new(Date::constant(2999, 12, 31), 24)
}

/// Whether an id can stand in a path as it is: collectors do not escape, and harvesters neither.
fn is_path_segment(id: &StationId) -> bool {
    id.as_str()
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~:@".contains(&byte))
}

/// `20160108`
fn compact(day: Date) -> String {
    format!("{:04}{:02}{:02}", day.year(), day.month(), day.day())
}

fn day_of(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, month, day) = (&text[..4], &text[4..6], &text[6..]);
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// An hour as the API has it; one that came from such an API as it came.
fn hour_body(record: &RawRecord, hour: Hour) -> String {
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(record.envelope()).unwrap_or_default();
    let is_of_whale = ["id", "date", "hour"]
        .iter()
        .all(|name| members.contains_key(*name));
    if is_of_whale && !members.contains_key("data") {
        return record.to_json();
    }
    format!(
        r#"{{"id":{},"date":"{}","hour":{},"timeseries":{}}}"#,
        Value::from(record.station.as_str()),
        hour.day(),
        hour.of_day(),
        record.samples.to_json(),
    )
}

/// The newest sample of a record with its time, as JSON.
fn newest_sample(record: &RawRecord) -> Option<(Timestamp, String)> {
    #[derive(Deserialize)]
    struct Timed {
        time: String,
    }
    let samples = record.samples.to_json();
    let samples: Vec<&RawValue> = serde_json::from_str(&samples).ok()?;
    let timed = samples.into_iter().filter_map(|sample| {
        let time: Timed = serde_json::from_str(sample.get()).ok()?;
        Some((parse_timestamp(&time.time)?, sample.get()))
    });
    let (time, sample) = timed.max_by_key(|(time, _)| *time)?;
    Some((time, sample.to_owned()))
}

fn only_sample(record: &RawRecord) -> Option<String> {
    let samples = record.samples.to_json();
    let samples: Vec<&RawValue> = serde_json::from_str(&samples).ok()?;
    Some(samples.first()?.get().to_owned())
}

/// A sample that says of which station it is: the original leaves out one that does not.
fn with_id(sample: &str, id: &str) -> String {
    #[derive(Deserialize)]
    struct Identified {
        id: Value,
    }
    let says = serde_json::from_str::<Identified>(sample).is_ok_and(|it| !it.id.is_null());
    match sample.strip_prefix('{') {
        Some(members) if !says => format!(r#"{{"id":{},{members}"#, Value::from(id)),
        _ => sample.to_owned(),
    }
}

const JSON: [(header::HeaderName, HeaderValue); 1] = [(
    header::CONTENT_TYPE,
    HeaderValue::from_static("application/json"),
)];

fn missing() -> Response {
    let content = json!({"error": "there is no such device, day or hour", "status": 404});
    (StatusCode::NOT_FOUND, JSON, content.to_string()).into_response()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::internal)
}

fn failed(error: StoreError) -> Problem {
    let detail = "The store cannot be read now; try again.";
    Problem::new(Kind::Unavailable, detail).because(error)
}
