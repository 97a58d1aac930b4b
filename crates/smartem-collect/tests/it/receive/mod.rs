//! What is pushed to us.

mod authority;
mod json;
mod sensor_community;
mod whale;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use smartem_collect::receive::PointSink;
use smartem_collect::receive::authority::StoreAuthority;
use smartem_etl::Clock;
use smartem_http::auth::{Guard, GuardSettings};
use smartem_http::{HttpMetrics, Limits, ServicePart, assemble};
use smartem_model::StationId;
use smartem_points::{Cells, Chunk, Order, PointBatch, PointSource};
use smartem_store::{
    Access, DEFAULT_MOVE_M, DatabaseSettings, NameFrom, NewToken, Points, PointsSettings,
    QuarantineEntry, QuarantineFilter, Secret, SecretHash, StationDeclaration, StationMapping,
    Store, TypeFrom,
};
use smartem_store::{PointsError, WriteReport};
use tempfile::TempDir;
use tower::ServiceExt;

const NOW: &str = "2026-11-28T13:20:00Z";

/// The points of the store, on a disk that can be full.
pub(crate) struct Disk {
    pub(crate) points: Points,
    is_full: AtomicBool,
}

#[async_trait]
impl PointSink for Disk {
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError> {
        if self.is_full.load(Ordering::Relaxed) {
            let problem = "the disk is full".to_owned();
            return Err(PointsError::Unavailable { problem });
        }
        PointSink::write(&self.points, database, batch).await
    }

    fn project_of(&self, database: &str) -> Option<String> {
        PointSink::project_of(&self.points, database)
    }
}

/// A database whose measurements are station types, its tag `station` the station.
fn own_database(name: &str) -> DatabaseSettings {
    DatabaseSettings {
        name: name.to_owned(),
        project: None,
        network: name.to_owned(),
        mapping: Some(StationMapping {
            station: NameFrom::Tag("station".to_owned()),
            station_type: TypeFrom::Measurement,
            stations: BTreeMap::new(),
        }),
    }
}

/// A store with its points, and a clock that stands.
pub(crate) struct Bench {
    _dir: TempDir,
    pub(crate) store: Store,
    pub(crate) disk: Arc<Disk>,
    pub(crate) now: Arc<Mutex<Timestamp>>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let now = NOW.parse().unwrap();
        let store = Store::open(dir.path(), Access::Create { now });
        let store = store.await.unwrap();
        let databases = ["push", "sensor-community"].map(own_database).into();
        let settings = PointsSettings::new(databases, Arc::new(move || now));
        let points = Points::open(&store, settings).await.unwrap();
        Self {
            store,
            _dir: dir,
            disk: Arc::new(Disk {
                points,
                is_full: AtomicBool::new(false),
            }),
            now: Arc::new(Mutex::new(now)),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Arc::new(move || *now.lock().unwrap())
    }

    pub(crate) fn authority(&self) -> StoreAuthority {
        StoreAuthority::new(self.store.clone(), self.clock())
    }

    pub(crate) fn guard(&self) -> Guard {
        Guard::new(Arc::new(self.authority()), GuardSettings::default())
    }

    /// A token with this right; its secret.
    pub(crate) async fn token(&self, name: &str, right: &str, project: Option<&str>) -> String {
        let secret = Secret::generate();
        self.add_token(name, secret.hash(), right, project).await;
        secret.reveal().to_owned()
    }

    pub(crate) async fn add_token(
        &self,
        name: &str,
        hash: SecretHash,
        right: &str,
        project: Option<&str>,
    ) {
        let token = NewToken {
            name: name.to_owned(),
            hash,
            rights: vec![right.to_owned()],
            project: project.map(str::to_owned),
            now: *self.now.lock().unwrap(),
            expires_at: None,
        };
        self.store.add_token(token).await.unwrap();
    }

    pub(crate) async fn station(&self, id: &str, station_type: &str, project: Option<&str>) {
        let declaration = StationDeclaration {
            id: StationId::new(id).unwrap(),
            station_type: station_type.to_owned(),
            name: None,
            network: None,
            project: project.map(str::to_owned),
            cadence_s: None,
            location: None,
            move_m: DEFAULT_MOVE_M,
            now: *self.now.lock().unwrap(),
        };
        self.store.declare_station(declaration).await.unwrap();
    }

    pub(crate) async fn quarantine(&self) -> Vec<QuarantineEntry> {
        let filter = QuarantineFilter {
            open_only: true,
            limit: 100,
        };
        let mut entries = self.store.quarantine_list(filter).await.unwrap();
        entries.sort_by_key(|entry| entry.id);
        let mut whole = Vec::new();
        for entry in entries {
            whole.push(self.store.quarantine_get(entry.id).await.unwrap().unwrap());
        }
        whole
    }

    pub(crate) fn fill_disk(&self, is_full: bool) {
        self.disk.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Commits the points, and with them the station-hours they make.
    pub(crate) async fn commit(&self) {
        self.disk.points.commit().await.unwrap();
    }

    /// All points of a database: measurement and tags, time, fields.
    pub(crate) async fn points(&self, database: &'static str) -> Vec<Point> {
        let points = self.disk.points.clone();
        let read = tokio::task::spawn_blocking(move || points_of(&points, database));
        read.await.unwrap()
    }
}

/// Measurement and tags, time, fields.
pub(crate) type Point = (String, Timestamp, BTreeMap<String, f64>);

fn points_of(points: &Points, database: &str) -> Vec<Point> {
    let mut found = Vec::new();
    for measurement in points.measurements(database) {
        let fields = points.fields(database, &measurement);
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        for series in points.series(database, &measurement) {
            let tags = series.key.tags.iter();
            let tags: Vec<String> = tags.map(|(key, value)| format!(",{key}={value}")).collect();
            let name = format!("{measurement}{}", tags.concat());
            let all = i64::MIN..=i64::MAX;
            let mut take = |chunk: &Chunk| {
                for (row, time) in chunk.times.iter().enumerate() {
                    let values = names.iter().zip(&chunk.columns);
                    let values = values.filter_map(|(name, cells)| match cells {
                        Cells::Floats(cells) => Some(((*name).to_owned(), cells[row]?)),
                        _ => None,
                    });
                    let time = Timestamp::from_nanosecond((*time).into()).unwrap();
                    found.push((name.clone(), time, values.collect()));
                }
                ControlFlow::Continue(())
            };
            points
                .scan(series.id, &names, all, Order::Ascending, &mut take)
                .unwrap();
        }
    }
    found
}

pub(crate) fn router(part: ServicePart) -> Router {
    assemble(vec![part], Limits::default(), HttpMetrics::default())
}

/// Sends a request; status and body, which is JSON or nothing.
pub(crate) async fn post(
    router: &Router,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (StatusCode, Value) {
    let mut request = Request::post(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (
        head.status,
        serde_json::from_slice(&body).unwrap_or_default(),
    )
}
