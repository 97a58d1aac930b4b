//! The Timeseries REST API of 52North below `/api/v1`, as RIVM has served it: hourly means of reference stations,
//! stamped at the end of the hour.
//!
//! | path below `/api/v1` | answer |
//! |---|---|
//! | `/timeseries?expanded=true` | all series, without first and last value |
//! | `/timeseries/{id}` | one series with first and last value |
//! | `/timeseries/{id}/getData?timespan={start}/PT{n}H` | `{values: [{timestamp, value}]}`, both ends included |
//!
//! As at RIVM a station of the API is one component of a site, and carbon monoxide is in mg/m³. Some values are null,
//! and the last of a series comes twice.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

use crate::instruments::{self, Instrument, Site, json_body};
use crate::whale::Clock;

/// Under which path everything stands.
pub const PREFIX: &str = "/api/v1";

const INSTRUMENTS: [Instrument; 4] = [
    Instrument {
        title: "Carbon monoxide (air)",
        unit: "mg.m-3",
        model: "CO",
        range: (0.1, 2.0),
    },
    Instrument {
        title: "Nitrogen dioxide (air)",
        unit: "ug.m-3",
        model: "NO2",
        range: (2.0, 90.0),
    },
    Instrument {
        title: "Ozone (air)",
        unit: "ug.m-3",
        model: "O3",
        range: (0.0, 150.0),
    },
    Instrument {
        title: "Ammonia (air)",
        unit: "ug.m-3",
        model: "NH3",
        range: (0.0, 30.0),
    },
];

/// Reference stations with hourly values.
#[derive(Clone, Debug)]
pub struct World(instruments::World);

impl World {
    /// A network whose first hours begin at `start`.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        Self(instruments::World::of(seed, start, 3600, &INSTRUMENTS))
    }

    fn series(&self, now: Timestamp) -> Vec<Series> {
        let each = |site: Site| {
            (0..self.0.instruments().len()).map(move |instrument| Series {
                id: site.number * 10 + instrument as u64,
                site: site.clone(),
                instrument,
            })
        };
        self.0.sites(now).flat_map(each).collect()
    }

    fn find(&self, id: &str, now: Timestamp) -> Option<Series> {
        let mut all = self.series(now).into_iter();
        all.find(|series| series.id.to_string() == id)
    }

    fn describe(&self, series: &Series) -> Value {
        let Series {
            id,
            site,
            instrument,
        } = series;
        let kind = self.0.instruments()[*instrument];
        let station = format!("Nijmegen-{}: {}", site.name, kind.model);
        let procedure = format!("NL.TEST.AQ/SPP-{}", kind.model);
        let part = |label: &str| json!({"id": id.to_string(), "label": label});
        json!({
            "id": id.to_string(),
            "label": format!("{} {procedure}, {station}", kind.title),
            "uom": kind.unit,
            "station": {
                "properties": {"id": id, "label": station},
                "geometry": {"coordinates": [site.longitude, site.latitude, 2.0], "type": "Point"},
                "type": "Feature",
            },
            "referenceValues": [],
            "parameters": {
                "service": part("Timeseries Service"),
                "offering": part(&procedure),
                "feature": part(&station),
                "procedure": part(&procedure),
                "phenomenon": part(kind.title),
                "category": part(kind.title),
            },
        })
    }

    fn value(arrived: &instruments::Arrived) -> Value {
        // An instrument is calibrated now and then.
        let value = if arrived.number % 23 == 0 {
            Value::Null
        } else {
            arrived.value.into()
        };
        json!({"timestamp": arrived.time.as_millisecond(), "value": value})
    }
}

struct Series {
    id: u64,
    site: Site,
    instrument: usize,
}

/// All routes, `/api/v1` included.
pub fn router(world: Arc<World>, clock: Clock) -> Router {
    let at = |path: &str| format!("{PREFIX}/timeseries{path}");
    Router::new()
        .route(&at(""), get(list))
        .route(&at("/{id}"), get(describe))
        .route(&at("/{id}/getData"), get(data))
        .with_state(Served { world, clock })
}

#[derive(Clone)]
struct Served {
    world: Arc<World>,
    clock: Clock,
}

async fn list(
    State(served): State<Served>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let now = (served.clock)();
    let is_expanded = query.get("expanded").is_some_and(|text| text == "true");
    let all = served.world.series(now);
    let entries = all.iter().map(|series| {
        let mut entry = served.world.describe(series);
        if !is_expanded && let Some(entry) = entry.as_object_mut() {
            entry.retain(|key, _| ["id", "label", "uom", "station"].contains(&key.as_str()));
        }
        entry
    });
    json_body(&entries.collect())
}

async fn describe(State(served): State<Served>, Path(id): Path<String>) -> Response {
    let now = (served.clock)();
    let Some(series) = served.world.find(&id, now) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut entry = served.world.describe(&series);
    if let Some((first, last)) = served.world.0.ends(&series.site, series.instrument, now) {
        entry["firstValue"] = World::value(&first);
        entry["lastValue"] = World::value(&last);
    }
    json_body(&entry)
}

async fn data(
    State(served): State<Served>,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let now = (served.clock)();
    let Some(series) = served.world.find(&id, now) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some((start, end)) = query.get("timespan").and_then(|text| timespan(text)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let found = served
        .world
        .0
        .arrived(&series.site, series.instrument, start..=end, now);
    let mut values: Vec<Value> = found.iter().map(World::value).collect();
    values.extend(values.last().cloned());
    json_body(&json!({ "values": values }))
}

/// `2026-11-20T00:00:00Z/PT240H`
fn timespan(text: &str) -> Option<(Timestamp, Timestamp)> {
    let (start, length) = text.split_once('/')?;
    let start: Timestamp = start.parse().ok()?;
    let length: Span = length.parse().ok()?;
    Some((start, start.checked_add(length).ok()?))
}
