//! A store with two stations, a clock that is set by hand, and questions to the router.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartem_http::{Limits, Readiness};
use smartem_model::raw::RawRecord;
use smartem_model::{
    Flag, Hour, Observation, Period, Position, PositionSource, Quality, StationId, Vocabulary,
};
use smartem_serve::{ServeState, StartView, ViewerSettings};
use smartem_store::{
    Access, Columns, CommitRefined, DEFAULT_MOVE_M, Intake, LastIntake, LastItem, ReceivedRecord,
    RefinedHour, Store,
};
use tempfile::TempDir;
use tower::ServiceExt;

/// Three hours of temperature and noise at station 1001, one newest value at station `a/b c`.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) state: ServeState,
    pub(crate) router: Router,
    clock: Arc<AtomicI64>,
    _dir: TempDir,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

pub(crate) const START: &str = "2026-11-15T10:00:00Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn id(text: &str) -> StationId {
    StationId::new(text).unwrap()
}

impl World {
    pub(crate) async fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = at("2026-11-15T13:10:30Z");
        let store = Store::open(dir.path(), Access::Create { now })
            .await
            .unwrap();
        let clock = Arc::new(AtomicI64::new(now.as_second()));
        let vocabulary = include_str!("../../../../vocabulary/indicators.toml");
        let units = include_str!("../../../../vocabulary/units.toml");
        let state = ServeState {
            store: store.clone(),
            vocabulary: Arc::new(Vocabulary::from_toml(vocabulary, units).unwrap()),
            commit: None,
            viewer: ViewerSettings {
                tile_url: None,
                tile_attribution: String::new(),
                start_view: Some(StartView {
                    lon: 5.85,
                    lat: 51.84,
                    zoom: 12.0,
                }),
                demo: false,
                version: "0.1.0".into(),
            },
            sensorthings: smartem_serve::SensorThingsSettings::default(),
            stale_after: Duration::from_secs(7200),
            clock: {
                let clock = clock.clone();
                Arc::new(move || Timestamp::from_second(clock.load(Ordering::Relaxed)).unwrap())
            },
            readiness: Readiness::default(),
            limits: Limits::default(),
            planned: None,
            metrics: Vec::new(),
            has_internal: false,
        };
        Self {
            router: smartem_serve::router(state.clone()),
            state,
            store,
            clock,
            _dir: dir,
        }
    }

    pub(crate) async fn filled() -> Self {
        let world = Self::empty().await;
        world.receive("1001", 3).await;
        world.refine("1001").await;
        world.newest("a/b c", "no2", "2026-11-15T13:10:00Z").await;
        world
    }

    pub(crate) fn set_clock(&self, now: &str) {
        self.clock.store(at(now).as_second(), Ordering::Relaxed);
    }

    /// Takes in that many raw hours from [`START`] on.
    pub(crate) async fn receive(&self, station: &str, hours: i64) {
        let first = Hour::containing(at(START)).unwrap().index();
        let record = |n| {
            let hour = Hour::from_index(first + n).unwrap();
            let document = json!({"device_id": station, "device_type": "jose",
                "day": hour.day().to_string(), "hour": hour.of_day(),
                "data": {"timeseries": [{"s_temperatureunit": 1}]}});
            ReceivedRecord {
                standing: smartem_store::Standing::Whole,
                record: RawRecord::from_json(&document.to_string(), &|_| true).unwrap(),
                place: format!("{station}/{n}"),
            }
        };
        let intake = Intake {
            process: "harvester-whale".into(),
            source: "test".into(),
            network: "whale".into(),
            project: Some("nijmegen".into()),
            now: at(START),
            records: (0..hours).map(record).collect(),
            quarantined: Vec::new(),
            understood: Vec::new(),
            checkpoints: Vec::new(),
        };
        self.store.take_in(intake).await.unwrap();
    }

    async fn refine(&self, station: &str) {
        while let Some(work) = self
            .store
            .work(&id(station), 10, Columns::All, smartem_store::Growing::No)
            .await
            .unwrap()
        {
            let hours = work.hours.iter().map(|hour| {
                let period = hour.hour.period();
                RefinedHour {
                    hour: hour.hour,
                    revision: hour.revision,
                    observations: vec![
                        observation(station, "temperature", "temp-S12", period),
                        observation(station, "noiseavg", "noise-V30", period),
                    ],
                    rejections: Vec::new(),
                    state: "{}".into(),
                    position: Some((place(), PositionSource::Fix)),
                    station_altitude: false,
                    quarantine: None,
                }
            });
            let commit = CommitRefined {
                process: "refiner".into(),
                now: at(START),
                station: id(station),
                move_m: DEFAULT_MOVE_M,
                hours: hours.collect(),
            };
            self.store.commit_refined(commit).await.unwrap();
        }
    }

    /// Takes in a newest value that was current at `time`.
    pub(crate) async fn newest(&self, station: &str, indicator: &str, time: &str) {
        let end = at(time);
        let start = end - SignedDuration::from_mins(1);
        let text = json!({"time": time, "a": 1}).to_string();
        let item = LastItem {
            record: RawRecord::from_last_sample(&text, &id(station), "jose").unwrap(),
            time: end,
            place: format!("{station}/last"),
            observations: vec![observation(
                station,
                indicator,
                "gas-S27",
                Period { start, end },
            )],
        };
        let intake = LastIntake {
            process: "last".into(),
            source: "test".into(),
            network: "push".into(),
            project: None,
            now: end,
            items: vec![item],
            quarantined: Vec::new(),
        };
        self.store.take_in_last(intake).await.unwrap();
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.ask("GET", uri, &[]).await
    }

    pub(crate) async fn ask(&self, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.router, method, uri, headers).await
    }
}

pub(crate) async fn ask(
    router: &Router,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The detail of a problem with this status.
    pub(crate) fn detail(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], self.header("x-request-id"));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn place() -> Position {
    Position {
        lon: 5.86,
        lat: 51.84,
        alt: Some(12.0),
    }
}

pub(crate) fn observation(
    station: &str,
    indicator: &str,
    sensor: &str,
    period: Period,
) -> Observation {
    Observation {
        station: id(station),
        station_type: "jose".into(),
        indicator: indicator.into(),
        label: indicator.to_uppercase().into(),
        unit: "Cel".into(),
        phenomenon_time: period,
        value: 12.34,
        min: 11.0,
        max: 13.5,
        raw: Some(285_490.0),
        raw_unit: Some("mK".into()),
        accepted_count: 59,
        rejected_count: 1,
        quality: Quality {
            fraction: 59.0 / 60.0,
            coverage: None,
            flags: vec![Flag::LowCoverage],
        },
        location: place(),
        sensor: sensor.into(),
        definition: "jose/1".into(),
        model: None,
    }
}
