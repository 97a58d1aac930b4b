//! A service of OGC SensorThings, version 1.0 or 1.1, with hourly and finer Datastreams.
//!
//! | path below `/v1.0` or `/v1.1` | answer |
//! |---|---|
//! | `/Things`, `/Things({id})` | Things with Locations and Datastreams expanded, with `ObservedProperty` and `Sensor` |
//! | `/Datastreams({id})/Observations` | Observations |
//!
//! Understood are `$top`, `$skip`, `$count`, `$filter` on `phenomenonTime` with `ge` and `le`, `$orderby` on it, and
//! `Observations` in `$expand`; everything else is ignored. Pages are small and have links to the next one, from 1.1 on
//! relative ones. The flavours differ as servers do: 1.0 has ids that are numbers, absolute links and ids that are not in
//! the order of time, 1.1 has ids that are texts, and means with an interval as `phenomenonTime`. Without `$orderby` the
//! order is any.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::instruments::{self, Arrived, Instrument, Site, json_body};
use crate::whale::Clock;

const INSTRUMENTS: [Instrument; 4] = [
    Instrument {
        title: "PM2.5",
        unit: "ug/m3",
        model: "SDS011",
        range: (1.0, 60.0),
    },
    Instrument {
        title: "NO2",
        unit: "ppb",
        model: "NO2-B43F",
        range: (2.0, 40.0),
    },
    Instrument {
        title: "temp",
        unit: "C",
        model: "BME280",
        range: (-5.0, 30.0),
    },
    Instrument {
        title: "Soil moisture",
        unit: "%",
        model: "VH400",
        range: (0.0, 100.0),
    },
];

/// Entities of a page at most.
const PAGE: usize = 37;

/// Which version of the standard the service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// 1.0: instants, ids are numbers, links absolute.
    V1_0,
    /// 1.1: intervals, ids are texts, links relative.
    V1_1,
}

/// Things with Datastreams.
#[derive(Clone, Debug)]
pub struct World {
    network: instruments::World,
    flavour: Flavour,
}

impl World {
    /// A network of this version whose first Observations are at `start`.
    pub fn new(seed: u64, start: Timestamp, flavour: Flavour) -> Self {
        Self {
            network: instruments::World::of(seed, start, 600, &INSTRUMENTS),
            flavour,
        }
    }

    fn prefix(&self) -> &'static str {
        match self.flavour {
            Flavour::V1_0 => "/v1.0",
            Flavour::V1_1 => "/v1.1",
        }
    }

    fn id(&self, number: u64) -> Value {
        match self.flavour {
            Flavour::V1_0 => number.into(),
            Flavour::V1_1 => format!("e-{number}").into(),
        }
    }

    fn in_address(&self, number: u64) -> String {
        match self.flavour {
            Flavour::V1_0 => number.to_string(),
            Flavour::V1_1 => format!("'e-{number}'"),
        }
    }

    fn phenomenon_time(&self, time: Timestamp) -> String {
        match self.flavour {
            Flavour::V1_0 => format!("{time:.3}"),
            Flavour::V1_1 => format!("{}/{time}", time - SignedDuration::from_mins(10)),
        }
    }

    fn thing(&self, site: &Site, with_newest: bool, base: &str, now: Timestamp) -> Value {
        let streams = (0..INSTRUMENTS.len())
            .map(|instrument| self.datastream(site, instrument, with_newest, base, now));
        json!({
            "@iot.id": self.id(site.number),
            "@iot.selfLink": format!("{base}/Things({})", self.in_address(site.number)),
            "name": format!("NMG-{}", site.name),
            "description": "a station",
            "Locations": [{
                "@iot.id": self.id(site.number),
                "name": site.name,
                "encodingType": "application/vnd.geo+json",
                "location": {"type": "Point", "coordinates": [site.longitude, site.latitude]},
            }],
            "Datastreams": streams.collect::<Vec<_>>(),
        })
    }

    fn datastream(
        &self,
        site: &Site,
        instrument: usize,
        with_newest: bool,
        base: &str,
        now: Timestamp,
    ) -> Value {
        let kind = INSTRUMENTS[instrument];
        let number = site.number * 10 + instrument as u64;
        let address = format!("{base}/Datastreams({})", self.in_address(number));
        let mut entity = json!({
            "@iot.id": self.id(number),
            "@iot.selfLink": address,
            "name": format!("{}-{}", site.name, kind.title),
            "unitOfMeasurement": {"name": kind.unit, "symbol": kind.unit, "definition": null},
            "ObservedProperty": {"@iot.id": instrument, "name": kind.title, "definition": format!("http://example.org/{}", kind.title)},
            "Sensor": {"@iot.id": instrument, "name": kind.model},
            "Observations@iot.navigationLink": format!("{address}/Observations"),
        });
        let ends = self.network.ends(site, instrument, now);
        if let (Flavour::V1_1, Some((first, newest))) = (self.flavour, ends) {
            let first = first.time - SignedDuration::from_mins(10);
            entity["phenomenonTime"] = format!("{first}/{}", newest.time).into();
        }
        if with_newest {
            let newest = ends.map(|(_, newest)| self.observation(number, &newest));
            entity["Observations"] = newest.into_iter().collect();
        }
        entity
    }

    fn observation(&self, datastream: u64, arrived: &Arrived) -> Value {
        // Ids follow no order of time.
        let number =
            arrived.number.unsigned_abs().wrapping_mul(7919) % 1_000_003 + datastream * 2_000_003;
        json!({
            "@iot.id": self.id(number),
            "phenomenonTime": self.phenomenon_time(arrived.time),
            "result": arrived.value,
            "resultTime": null,
        })
    }

    fn find(&self, id: &str, now: Timestamp) -> Option<(Site, usize)> {
        let each = |site: Site| (0..INSTRUMENTS.len()).map(move |i| (site.clone(), i));
        let mut all = self.network.sites(now).flat_map(each);
        all.find(|(site, i)| self.in_address(site.number * 10 + *i as u64) == id)
    }
}

/// All routes, the version included.
pub fn router(world: Arc<World>, clock: Clock) -> Router {
    let at = |path: &str| format!("{}{path}", world.prefix());
    Router::new()
        .route(&at("/Things"), get(things))
        .route(&at("/{entity}"), get(thing))
        .route(&at("/{entity}/Observations"), get(observations))
        .with_state(Served { world, clock })
}

#[derive(Clone)]
struct Served {
    world: Arc<World>,
    clock: Clock,
}

type Parameters = HashMap<String, String>;

fn base(served: &Served, headers: &HeaderMap) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    format!(
        "http://{}{}",
        host.unwrap_or("localhost"),
        served.world.prefix()
    )
}

/// `Datastreams(7)` is the entity 7.
fn id_in<'a>(entity: &'a str, set: &str) -> Option<&'a str> {
    entity
        .strip_prefix(set)?
        .strip_prefix('(')?
        .strip_suffix(')')
}

async fn things(
    State(served): State<Served>,
    headers: HeaderMap,
    Query(query): Query<Parameters>,
) -> Response {
    let now = (served.clock)();
    let base = base(&served, &headers);
    let with_newest = wants_newest(&query);
    let all = served.world.network.sites(now);
    let all = all.map(|site| served.world.thing(&site, with_newest, &base, now));
    page(
        &served.world,
        all.collect(),
        &format!("{base}/Things"),
        &query,
        3,
    )
}

async fn thing(
    State(served): State<Served>,
    headers: HeaderMap,
    Path(entity): Path<String>,
    Query(query): Query<Parameters>,
) -> Response {
    let now = (served.clock)();
    let base = base(&served, &headers);
    let mut sites = served.world.network.sites(now);
    let id = id_in(&entity, "Things");
    let found = sites.find(|site| Some(served.world.in_address(site.number).as_str()) == id);
    match found {
        Some(site) => json_body(&served.world.thing(&site, wants_newest(&query), &base, now)),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn observations(
    State(served): State<Served>,
    headers: HeaderMap,
    Path(entity): Path<String>,
    Query(query): Query<Parameters>,
) -> Response {
    let now = (served.clock)();
    let id = id_in(&entity, "Datastreams");
    let Some((site, instrument)) = id.and_then(|id| served.world.find(id, now)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (from, to) = range(query.get("$filter").map_or("", String::as_str));
    let range = from.unwrap_or(site.since)..=to.unwrap_or(now);
    let mut found = served.world.network.arrived(&site, instrument, range, now);
    match query.get("$orderby").map(String::as_str) {
        Some("phenomenonTime desc") => found.reverse(),
        Some(_) => {}
        None => found.sort_by_key(|arrived| arrived.number.wrapping_mul(7919) % 101),
    }
    let number = site.number * 10 + instrument as u64;
    let all = found
        .iter()
        .map(|arrived| served.world.observation(number, arrived));
    let address = format!("{}/{entity}/Observations", base(&served, &headers));
    page(&served.world, all.collect(), &address, &query, PAGE)
}

fn wants_newest(query: &Parameters) -> bool {
    query
        .get("$expand")
        .is_some_and(|expand| expand.contains("Observations("))
}

/// The bounds of `phenomenonTime ge A and phenomenonTime le B`.
fn range(filter: &str) -> (Option<Timestamp>, Option<Timestamp>) {
    let bound = |operator: &str| {
        let rest = filter.split_once(operator)?.1;
        rest.split_whitespace().next()?.parse().ok()
    };
    (bound("phenomenonTime ge "), bound("phenomenonTime le "))
}

fn page(
    world: &World,
    all: Vec<Value>,
    address: &str,
    query: &Parameters,
    most: usize,
) -> Response {
    let count = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let (skip, top) = (count("$skip").unwrap_or(0), count("$top").unwrap_or(most));
    let size = top.min(most);
    let rest = all.len().saturating_sub(skip + size);
    let value: Vec<Value> = all.into_iter().skip(skip).take(size).collect();
    // What is asked for ends at `$top` in 1.1, only a page does in 1.0; there pages overlap, as when entities come in
    // between two requests.
    let (has_next, overlap) = match world.flavour {
        Flavour::V1_0 => (
            rest > 0 && !(query.contains_key("$top") && top == 1),
            usize::from(size > 1),
        ),
        Flavour::V1_1 => (rest > 0 && top > size, 0),
    };
    let mut document = json!({ "value": value });
    if has_next {
        let mut kept: Vec<(&String, &String)> =
            query.iter().filter(|(name, _)| *name != "$skip").collect();
        kept.sort();
        let escape = |text: &str| {
            text.replace('%', "%25")
                .replace(' ', "%20")
                .replace('&', "%26")
        };
        let parts = kept.iter().map(|(name, text)| match name.as_str() {
            "$top" if world.flavour == Flavour::V1_1 => format!("$top={}", top - size),
            name => format!("{name}={}", escape(text)),
        });
        let mut parts: Vec<String> = parts.collect();
        parts.push(format!("$skip={}", skip + size - overlap));
        let start = match world.flavour {
            Flavour::V1_0 => address,
            Flavour::V1_1 => address.rsplit('/').next().unwrap_or_default(),
        };
        document["@iot.nextLink"] = format!("{start}?{}", parts.join("&")).into();
    }
    json_body(&document)
}
