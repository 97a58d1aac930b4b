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
use smartem_points::{Cells, MemoryPoints, Order, PointBatch, PointSource};
use smartem_store::{
    Access, DEFAULT_MOVE_M, NewToken, PointsError, QuarantineEntry, QuarantineFilter, Refusal,
    Secret, SecretHash, StationDeclaration, Store, WriteReport,
};
use tempfile::TempDir;
use tower::ServiceExt;

const NOW: &str = "2026-11-28T13:20:00Z";

/// Points in memory, as the engine would keep them.
#[derive(Default)]
pub(crate) struct MemorySink {
    points: Mutex<MemoryPoints>,
    is_full: AtomicBool,
}

#[async_trait]
impl PointSink for MemorySink {
    async fn create_database(&self, name: &str) -> Result<bool, PointsError> {
        let mut points = self.points.lock().unwrap();
        let is_new = !points.databases().contains(&name.to_owned());
        points.create_database(name);
        Ok(is_new)
    }

    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError> {
        if self.is_full.load(Ordering::Relaxed) {
            let problem = "the disk is full".to_owned();
            return Err(PointsError::Unavailable { problem });
        }
        let mut points = self.points.lock().unwrap();
        if !points.databases().contains(&database.to_owned()) {
            let name = database.to_owned();
            return Err(PointsError::NoDatabase { name });
        }
        let known = |points: &MemoryPoints, measurement: &str, field: &str| {
            let fields = points.fields(database, measurement);
            fields.into_iter().find(|(name, _)| name == field)
        };
        let mut refused = Vec::new();
        for point in batch.points() {
            let measurement = &batch.series()[point.series.index()].measurement;
            for (field, value) in point.fields() {
                let field = &batch.fields()[field.index()];
                if let Some((_, known)) = known(&points, measurement, field)
                    && known != value.field_type()
                {
                    refused.push(Refusal {
                        line: point.line,
                        measurement: measurement.to_string(),
                        field: field.to_string(),
                        sent: value.field_type(),
                        known,
                    });
                }
            }
        }
        let lost = points.write(database, &batch).len();
        let written = (batch.len() - lost) as u64;
        Ok(WriteReport { written, refused })
    }

    fn project_of(&self, _: &str) -> Option<String> {
        None
    }
}

/// A receiver with its store, a clock that stands, and points in memory.
pub(crate) struct Bench {
    _dir: TempDir,
    pub(crate) store: Store,
    pub(crate) sink: Arc<MemorySink>,
    pub(crate) now: Arc<Mutex<Timestamp>>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let now = NOW.parse().unwrap();
        let store = Store::open(dir.path(), Access::Create { now });
        Self {
            store: store.await.unwrap(),
            _dir: dir,
            sink: Arc::default(),
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
        self.sink.is_full.store(is_full, Ordering::Relaxed);
    }

    /// All points of a database: measurement and tags, time, fields.
    pub(crate) fn points(&self, database: &str) -> Vec<(String, Timestamp, BTreeMap<String, f64>)> {
        let points = self.sink.points.lock().unwrap();
        let mut found = Vec::new();
        for measurement in points.measurements(database) {
            let fields = points.fields(database, &measurement);
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            for series in points.series(database, &measurement) {
                let tags = series.key.tags.iter();
                let tags: Vec<String> =
                    tags.map(|(key, value)| format!(",{key}={value}")).collect();
                let name = format!("{measurement}{}", tags.concat());
                let all = i64::MIN..=i64::MAX;
                let mut take = |chunk: &smartem_points::Chunk| {
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
