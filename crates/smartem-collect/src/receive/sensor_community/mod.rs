//! What stations with the airRohr firmware of Sensor.Community push: `POST /v1/push-sensor-data/`.
//!
//! The firmware sends one request for each instrument (`X-Pin`), or all values in one to a server of
//! one's own ("custom API"). It names itself in `X-Sensor` and sends no time: the time is that of
//! arrival.

mod body;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smartem_etl::Clock;
use smartem_http::auth::{Caller, Guard, Right};
use smartem_http::{Kind, Problem, ServicePart, shorten};
use smartem_model::{QuarantineReason, StationId};
use smartem_points::{FieldValue, PointBatch, SeriesKey};
use smartem_store::{Quarantined, Store, StoreError};
use tracing::debug;

use super::PointSink;
use super::aside::Aside;
use super::sink::not_kept;
use super::stations::{Known, Stations};
use body::Reading;

/// The database of these points.
pub const DATABASE: &str = "sensor-community";
/// Both with and without the slash, as people copy it.
const PATHS: [&str; 2] = ["/v1/push-sensor-data/", "/v1/push-sensor-data"];
const RECEIVER: &str = "sensor-community";
const BODY_LIMIT: usize = 32 * 1024;
const LONGEST_SENSOR: usize = 64;

/// Settings of the receiver.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SensorCommunityPushConfig {
    /// Whether registered sensors may push without a token. The ids of sensors are no secret, so
    /// anybody may then send values in their name.
    pub allow_unauthenticated: bool,
    /// Whether a sensor that is not registered becomes a station of its own.
    pub auto_register: bool,
    /// Registered sensors: the text of `X-Sensor`, and the id of the station. A station whose id is
    /// the text of `X-Sensor` is registered too.
    pub sensors: BTreeMap<String, String>,
    /// The type of stations that become known by a push.
    pub station_type: String,
}

impl Default for SensorCommunityPushConfig {
    fn default() -> Self {
        Self {
            allow_unauthenticated: false,
            auto_register: false,
            sensors: BTreeMap::new(),
            station_type: "luftdaten".to_owned(),
        }
    }
}

/// What the receiver works with.
pub struct SensorCommunityPush {
    /// The settings.
    pub config: SensorCommunityPushConfig,
    /// Which stations there are; takes what cannot be used.
    pub store: Store,
    /// Takes the points; must have the database [`DATABASE`].
    pub databases: Arc<dyn PointSink>,
    /// Knows who may write.
    pub guard: Guard,
    /// The time of arrival.
    pub clock: Clock,
}

struct Receiver {
    push: SensorCommunityPush,
    stations: Stations,
    aside: Aside,
}

/// The part of the server that takes the pushes.
pub fn part(push: SensorCommunityPush) -> ServicePart {
    let receiver = Arc::new(Receiver {
        stations: Stations::new(push.store.clone()),
        aside: Aside::new(push.store.clone(), RECEIVER),
        push,
    });
    PATHS.into_iter().fold(
        ServicePart::new("sensor-community").body_limit(BODY_LIMIT),
        |part, path| part.route(path, post(receive).with_state(Arc::clone(&receiver))),
    )
}

/// What the firmware is told; it looks at the status only.
#[derive(Serialize)]
struct Accepted {
    /// Values that were kept.
    accepted: usize,
    /// Values that are no numbers.
    skipped: usize,
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let sensor = sensor_of(&headers)?;
    let pin = pin_of(&headers)?;
    let now = (receiver.push.clock)();
    let (station, known) = receiver.admit(&caller, &sensor, &body, now).await?;
    let (readings, skipped) = match body::readings(&body, pin) {
        Ok(read) => read,
        Err(detail) => {
            return Err(receiver
                .refuse(&sensor, station, detail, &body, now)
                .await?);
        }
    };
    let accepted = readings.iter().map(|reading| reading.fields.len()).sum();
    let batch = batch_of(&readings, &station, &known, &sensor, now);
    let written = receiver.push.databases.write(DATABASE, batch);
    let written = written.await.map_err(not_kept)?;
    if let Some(refused) = written.refused.first() {
        let detail = format!(
            "field `{}` of `{}` is {} there, and {} was sent; drop what was written there by \
             another way",
            refused.field, refused.measurement, refused.known, refused.sent
        );
        return Err(receiver
            .refuse(&sensor, station, detail, &body, now)
            .await?);
    }
    receiver.aside.understood(&sensor, now).await;
    debug!(%station, sensor, accepted, skipped, "took a push");
    Ok((StatusCode::CREATED, Json(Accepted { accepted, skipped })).into_response())
}

impl Receiver {
    /// The station of a sensor, if the caller may write its values.
    async fn admit(
        &self,
        caller: &Caller,
        sensor: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(StationId, Known), Problem> {
        let config = &self.push.config;
        let may_be_nobody = config.allow_unauthenticated && !caller.has_credentials();
        let principal = if may_be_nobody {
            None
        } else {
            Some(self.push.guard.identify(caller).await?)
        };
        let mapped = config.sensors.get(sensor);
        let station = StationId::new(mapped.map_or(sensor, String::as_str))
            .ok_or_else(|| bad_header("X-Sensor", sensor))?;
        let is_mapped = mapped.is_some();
        let known = match self.stations.find(&station).await.map_err(failed)? {
            Some(known) => known,
            None if is_mapped || config.auto_register => {
                // Who may not write in the project of the new station must not make it.
                let project = principal.as_ref().and_then(|who| who.project.clone());
                if let Some(principal) = &principal {
                    principal.demand(Right::Write, project.as_deref())?;
                }
                let new = Known {
                    station_type: config.station_type.as_str().into(),
                    project,
                };
                let registered = self.stations.register(&station, new, RECEIVER, now);
                registered.await.map_err(failed)?
            }
            None => return Err(self.unknown(sensor, body, now).await?),
        };
        if let Some(principal) = &principal {
            principal.demand(Right::Write, known.project.as_deref())?;
        }
        Ok((station, known))
    }

    /// Sets aside what an unknown sensor sends.
    async fn unknown(&self, sensor: &str, body: &[u8], now: Timestamp) -> Result<Problem, Problem> {
        let detail = format!(
            "The sensor `{sensor}` is not registered here; whoever runs the server adds it to \
             `collect.sensor_community.sensors`, or makes a station of this id known with `smartem \
             device import`."
        );
        let entry = Quarantined {
            station: None,
            place: sensor.to_owned(),
            reason: QuarantineReason::UnknownStation,
            detail: detail.clone(),
            body: body.to_owned(),
        };
        self.aside.put(vec![entry], now).await.map_err(failed)?;
        Ok(Problem::new(Kind::Forbidden, detail))
    }

    /// Sets aside a body that cannot be used.
    async fn refuse(
        &self,
        sensor: &str,
        station: StationId,
        detail: String,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Problem, Problem> {
        let problem = Problem::new(Kind::InvalidBody, format!("The push is refused: {detail}."));
        let entry = Quarantined {
            station: Some(station),
            place: sensor.to_owned(),
            reason: QuarantineReason::MalformedRecord,
            detail,
            body: body.to_owned(),
        };
        self.aside.put(vec![entry], now).await.map_err(failed)?;
        Ok(problem)
    }
}

/// A point for each instrument, named as the harvester of Sensor.Community names them.
fn batch_of(
    readings: &[Reading],
    station: &StationId,
    known: &Known,
    sensor: &str,
    now: Timestamp,
) -> PointBatch {
    let mut batch = PointBatch::new();
    // The year 2262 is the last that nanoseconds of 64 bits reach.
    let time = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
    for reading in readings {
        let meta_id = format!("{}-{sensor}", reading.instrument);
        let tags = [("station", station.as_str()), ("meta_id", &meta_id)];
        let key = SeriesKey::new(&known.station_type, tags);
        let fields = reading.fields.iter();
        batch.push(
            key,
            time,
            fields.map(|(key, value)| (key.as_str(), FieldValue::Float(*value))),
        );
    }
    batch
}

/// The name that the firmware gives itself, for example `esp8266-12345678`.
fn sensor_of(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get("x-sensor") else {
        let detail = "The header `X-Sensor` is missing; the airRohr firmware sends its id there, \
                      for example `esp8266-12345678`.";
        return Err(Problem::new(Kind::InvalidParameter, detail));
    };
    let text = value.to_str().unwrap_or_default().trim();
    let is_good = (1..=LONGEST_SENSOR).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if !is_good {
        return Err(bad_header("X-Sensor", text));
    }
    Ok(text.to_owned())
}

fn pin_of(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(value) = headers.get("x-pin") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    match text.parse() {
        Ok(pin) => Ok(Some(pin)),
        Err(_) => Err(bad_header("X-Pin", text)),
    }
}

fn bad_header(name: &str, value: &str) -> Problem {
    let remedy = match name {
        "X-Pin" => "it must be a whole number, for example 1 for a dust sensor",
        _ => "it must have 1 to 64 letters, digits, `-`, `_`, `.` or `:`",
    };
    let detail = format!("The header `{name}` is `{}`; {remedy}.", shorten(value));
    Problem::new(Kind::InvalidParameter, detail)
}

fn failed(error: StoreError) -> Problem {
    let detail = "What was sent could not be kept; send it again.";
    Problem::new(Kind::Unavailable, detail).because(error)
}
