//! The openSenseMap API: boxes whose sensors are called as their owners like.
//!
//! | path | answer |
//! |---|---|
//! | `/boxes` | all boxes; `full=true` with the newest value of each sensor; `exposure` and `bbox` choose |
//! | `/boxes/{id}` | one box |
//! | `/boxes/{id}/data/{sensor}?from-date=..&to-date=..` | values, the newest first, both ends included, at most 10,000 |
//!
//! Values are texts, and every box writes its units another way. Every 97th value is none, and the newest of an answer
//! comes twice.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::instruments::{self, Arrived, Instrument, Site, json_body};
use crate::whale::Clock;

const INSTRUMENTS: [Instrument; 4] = [
    Instrument {
        title: "PM2.5",
        unit: "\u{b5}g/m\u{b3}",
        model: "SDS 011",
        range: (1.0, 60.0),
    },
    Instrument {
        title: "Luftdruck",
        unit: "hPa",
        model: "BME280",
        range: (980.0, 1040.0),
    },
    Instrument {
        title: "Temperature",
        unit: "\u{b0}C",
        model: "BME280",
        range: (-5.0, 30.0),
    },
    Instrument {
        title: "Zonnestroom",
        unit: "Watt",
        model: "Cub",
        range: (0.0, 900.0),
    },
];

/// Values of one answer at most.
const MOST: usize = 10_000;

/// Boxes with sensors that tell a value every half minute.
#[derive(Clone, Debug)]
pub struct World {
    network: instruments::World,
    start: Timestamp,
}

impl World {
    /// A network whose first values are at `start`.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        Self {
            network: instruments::World::of(seed, start, 30, &INSTRUMENTS),
            start,
        }
    }

    /// Ids begin with the seconds at which they were made.
    fn id(&self, number: u64) -> String {
        format!("{:08x}{number:016x}", self.start.as_second())
    }

    fn exposure(site: &Site) -> &'static str {
        if site.number == 4 {
            "indoor"
        } else {
            "outdoor"
        }
    }

    fn describe(&self, site: &Site, is_full: bool, now: Timestamp) -> Value {
        let sensors = (0..INSTRUMENTS.len()).map(|instrument| {
            let kind = INSTRUMENTS[instrument];
            // Micro sign or Greek letter, both are in use.
            let unit = if site.number.is_multiple_of(2) {
                kind.unit.replace('\u{b5}', "\u{3bc}")
            } else {
                kind.unit.to_owned()
            };
            let mut sensor = json!({
                "_id": self.id(site.number * 16 + instrument as u64 + 256),
                "title": kind.title, "unit": unit, "sensorType": kind.model,
            });
            let hour = jiff::SignedDuration::from_hours(6);
            let recent = self
                .network
                .arrived(site, instrument, now - hour..=now, now);
            if let Some(newest) = recent.last() {
                sensor["lastMeasurement"] = if is_full {
                    Self::value(site, newest)
                } else {
                    self.id(newest.number.unsigned_abs()).into()
                };
            }
            sensor
        });
        json!({
            "_id": self.id(site.number),
            "name": site.name,
            "exposure": Self::exposure(site),
            "model": "custom",
            "createdAt": format!("{:.3}", site.since),
            "updatedAt": format!("{now:.3}"),
            "currentLocation": {"type": "Point", "coordinates": [site.longitude, site.latitude], "timestamp": format!("{:.3}", site.since)},
            "sensors": sensors.collect::<Vec<_>>(),
        })
    }

    fn value(site: &Site, arrived: &Arrived) -> Value {
        let text = if arrived.number % 97 == 0 {
            "nan".to_owned()
        } else {
            format!("{:.2}", arrived.value)
        };
        json!({
            "value": text,
            "location": [site.longitude, site.latitude],
            "createdAt": format!("{:.3}", arrived.time),
        })
    }
}

/// All routes.
pub fn router(world: Arc<World>, clock: Clock) -> Router {
    Router::new()
        .route("/boxes", get(boxes))
        .route("/boxes/{id}", get(one))
        .route("/boxes/{id}/data/{sensor}", get(data))
        .with_state(Served { world, clock })
}

#[derive(Clone)]
struct Served {
    world: Arc<World>,
    clock: Clock,
}

type Parameters = HashMap<String, String>;

async fn boxes(State(served): State<Served>, Query(query): Query<Parameters>) -> Response {
    let now = (served.clock)();
    let is_full = query.get("full").is_some_and(|text| text == "true");
    let bbox: Vec<f64> = query
        .get("bbox")
        .map_or("", String::as_str)
        .split(',')
        .filter_map(|edge| edge.parse().ok())
        .collect();
    let is_within = |site: &Site| match bbox[..] {
        [west, south, east, north] => {
            (west..=east).contains(&site.longitude) && (south..=north).contains(&site.latitude)
        }
        _ => true,
    };
    let is_exposed = |site: &Site| {
        query
            .get("exposure")
            .is_none_or(|wanted| wanted == World::exposure(site))
    };
    let sites = served.world.network.sites(now);
    let chosen = sites.filter(|site| is_within(site) && is_exposed(site));
    json_body(
        &chosen
            .map(|site| served.world.describe(&site, is_full, now))
            .collect(),
    )
}

async fn one(State(served): State<Served>, Path(id): Path<String>) -> Response {
    let now = (served.clock)();
    let mut sites = served.world.network.sites(now);
    match sites.find(|site| served.world.id(site.number) == id) {
        Some(site) => json_body(&served.world.describe(&site, true, now)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn data(
    State(served): State<Served>,
    Path((id, sensor)): Path<(String, String)>,
    Query(query): Query<Parameters>,
) -> Response {
    let now = (served.clock)();
    let World { network, .. } = &*served.world;
    let site = network
        .sites(now)
        .find(|site| served.world.id(site.number) == id);
    let instrument = site.as_ref().and_then(|site| {
        (0..INSTRUMENTS.len())
            .find(|i| served.world.id(site.number * 16 + *i as u64 + 256) == sensor)
    });
    let (Some(site), Some(instrument)) = (site, instrument) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let date = |name: &str| {
        query
            .get(name)
            .and_then(|text| text.parse::<Timestamp>().ok())
    };
    let (Some(from), Some(to)) = (date("from-date"), date("to-date")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let found = network.arrived(&site, instrument, from..=to, now);
    let mut values: Vec<Value> = found
        .iter()
        .rev()
        .map(|arrived| World::value(&site, arrived))
        .collect();
    if let Some(newest) = values.first().cloned() {
        values.insert(0, newest);
    }
    values.truncate(MOST);
    json_body(&values.into())
}
