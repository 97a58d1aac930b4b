//! How long the answer of `/api/v1/stations` takes for 11,000 stations of 12 values each, and how
//! long the router takes to be made.
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first fault")]

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use divan::Bencher;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartem_http::{Limits, Readiness};
use smartem_model::raw::RawRecord;
use smartem_model::{Observation, Period, Position, Quality, StationId, Vocabulary};
use smartem_serve::{ServeState, ViewerSettings, router};
use smartem_store::{Access, LastIntake, LastItem, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const STATIONS: u32 = 11_000;
const VALUES: u32 = 12;

fn main() {
    divan::main();
}

struct World {
    runtime: Runtime,
    state: ServeState,
    router: Router,
    minute: Arc<AtomicI64>,
    _dir: TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let now = time();
    let store = runtime.block_on(async {
        let store = Store::open(dir.path(), Access::Create { now })
            .await
            .unwrap();
        let items = (0..STATIONS).map(station).collect();
        let intake = LastIntake {
            process: "last".into(),
            source: "bench".into(),
            network: "whale".into(),
            project: None,
            now,
            items,
            quarantined: Vec::new(),
        };
        store.take_in_last(intake).await.unwrap();
        store
    });
    let minute = Arc::new(AtomicI64::new(0));
    let clock = minute.clone();
    let vocabulary = include_str!("../../../vocabulary/indicators.toml");
    let units = include_str!("../../../vocabulary/units.toml");
    let state = ServeState {
        store,
        vocabulary: Arc::new(Vocabulary::from_toml(vocabulary, units).unwrap()),
        commit: None,
        viewer: ViewerSettings {
            tile_url: None,
            tile_attribution: String::new(),
            start_view: None,
            demo: false,
            version: "0.1.0".into(),
        },
        sensorthings: smartem_serve::SensorThingsSettings::default(),
        stale_after: Duration::from_secs(7200),
        clock: Arc::new(move || time() + SignedDuration::from_mins(clock.load(Ordering::Relaxed))),
        readiness: Readiness::default(),
        limits: Limits::default(),
        planned: None,
        metrics: Vec::new(),
        has_internal: false,
    };
    World {
        router: router(state.clone()),
        runtime,
        state,
        minute,
        _dir: dir,
    }
});

fn time() -> Timestamp {
    "2026-11-15T13:00:00Z".parse().unwrap()
}

fn station(number: u32) -> LastItem {
    let id = StationId::new(&format!("whale:{number}")).unwrap();
    let text = json!({"time": time().to_string()}).to_string();
    let value = |index: u32| Observation {
        station: id.clone(),
        station_type: "jose".into(),
        indicator: format!("indicator_{index}").into(),
        label: "Nitrogen dioxide".into(),
        unit: "ug/m3".into(),
        phenomenon_time: Period {
            start: time() - SignedDuration::from_mins(1),
            end: time(),
        },
        value: f64::from(number * VALUES + index) / 7.0,
        min: 0.0,
        max: 1.0,
        raw: None,
        raw_unit: None,
        accepted_count: 1,
        rejected_count: 0,
        quality: Quality {
            fraction: 1.0,
            coverage: None,
            flags: Vec::new(),
        },
        location: Position::horizontal(5.0 + f64::from(number) / 11_000.0, 51.84).unwrap(),
        sensor: "gas-S27".into(),
        definition: "jose/1".into(),
        model: None,
    };
    LastItem {
        record: RawRecord::from_last_sample(&text, &id, "jose").unwrap(),
        time: time(),
        place: format!("{number}/last"),
        observations: (0..VALUES).map(value).collect(),
    }
}

/// The length of an answer.
fn get(uri: &str, encoding: &str) -> usize {
    let request = Request::builder()
        .uri(uri)
        .header("accept-encoding", encoding);
    let request = request.body(Body::empty()).unwrap();
    let body = async {
        let response = WORLD.router.clone().oneshot(request).await.unwrap();
        assert!(response.status().is_success());
        response.into_body().collect().await.unwrap().to_bytes()
    };
    WORLD.runtime.block_on(body).len()
}

/// Read from the store, written and compressed.
#[divan::bench(sample_count = 5)]
fn stations_anew(bencher: Bencher) {
    get("/api/v1/stations", "gzip");
    bencher
        .with_inputs(|| {
            // A body that took long is served on for ten times as long.
            std::thread::sleep(Duration::from_secs(5));
            WORLD.minute.fetch_add(1, Ordering::Relaxed);
        })
        .bench_values(|()| get("/api/v1/stations", "gzip"));
}

#[divan::bench(sample_count = 10)]
fn stations_read_from_the_store(bencher: Bencher) {
    get("/api/v1/stations", "gzip");
    bencher.bench(|| WORLD.runtime.block_on(WORLD.state.store.stations()));
}

/// Asked for again within the minute.
#[divan::bench]
fn stations_kept(bencher: Bencher) {
    get("/api/v1/stations", "gzip");
    bencher.bench(|| get("/api/v1/stations", "gzip"));
}

/// As above, by a client that takes no gzip.
#[divan::bench(sample_count = 10)]
fn stations_kept_plain(bencher: Bencher) {
    let length = get("/api/v1/stations", "identity");
    bencher
        .counter(divan::counter::BytesCount::new(length))
        .bench(|| get("/api/v1/stations", "identity"));
}

#[divan::bench(sample_count = 10)]
fn stations_of_one_indicator(bencher: Bencher) {
    bencher.bench(|| get("/api/v1/stations?indicator=indicator_3", "gzip"));
}

#[divan::bench]
fn router_made(bencher: Bencher) {
    LazyLock::force(&WORLD);
    bencher.bench(|| router(WORLD.state.clone()));
}
