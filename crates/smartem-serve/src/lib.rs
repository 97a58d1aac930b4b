//! What the world asks of smartem, one folder for each service.
//!
//! - `api`: stations, newest values and observations as JSON, below `/api/v1/`
//! - `view`: the viewer, embedded in the program, at `/`
//! - `metrics`: `/metrics` for Prometheus, read from the store when it is asked for
//! - `health`: `/healthz` and `/readyz`
//! - `landing`: `/api/v1/` and `/openapi.json`, the sums of what the others contribute
//!
//! [`router`] sums them from a [`ServeState`]. Everything here only reads. A new service is a
//! folder with a function that gives a [`ServicePart`], and a line in [`router_with`].

mod answer;
mod api;
mod health;
mod landing;
mod metrics;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use serde::Serialize;
use smartem_http::{HttpMetrics, Limits, MetricSource, Readiness, ServicePart, assemble};
use smartem_model::Vocabulary;
use smartem_store::Store;
use utoipa::ToSchema;

pub use metrics::Planned;

/// Where the time of answers comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the services need; cheap to clone.
#[derive(Clone)]
pub struct ServeState {
    /// What they read from.
    pub store: Store,
    /// The indicators.
    pub vocabulary: Arc<Vocabulary>,
    /// What the viewer is told.
    pub viewer: ViewerSettings,
    /// The commit that the program was built from, where it is known.
    pub commit: Option<String>,
    /// After how long a newest value counts as stale.
    pub stale_after: Duration,
    /// The time; nothing here reads it elsewhere.
    pub clock: Clock,
    /// Whether the process is going down; also given to [`smartem_http::serve`].
    pub readiness: Readiness,
    /// What is taken upon itself at most.
    pub limits: Limits,
    /// What `/metrics` tells of processes by the configuration; `None`: nothing, where it need not be
    /// that of the platform.
    pub planned: Option<Arc<Planned>>,
    /// What other parts of the program tell in `/metrics`.
    pub metrics: Vec<MetricSource>,
}

/// What the viewer must know before it can draw.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Viewer)]
pub struct ViewerSettings {
    /// Map tiles with `{z}`, `{x}` and `{y}`; null: only the map that the viewer brings.
    #[schema(required)]
    pub tile_url: Option<String>,
    /// Whom the tiles are owed to.
    pub tile_attribution: String,
    /// Where the map opens; null: on the stations.
    #[schema(required)]
    pub start_view: Option<StartView>,
    /// Whether the values are simulated.
    pub demo: bool,
    /// The version of the program.
    pub version: String,
}

/// Where a map opens.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct StartView {
    /// Degrees east.
    pub lon: f64,
    /// Degrees north.
    pub lat: f64,
    /// The zoom level of web maps: 0 is the world, 12 a city.
    pub zoom: f64,
}

/// All services of this crate behind the common layers.
pub fn router(state: ServeState) -> Router {
    router_with(state, Vec::new())
}

/// The services of this crate together with `others`, such as a collector in the same process.
pub fn router_with(state: ServeState, others: Vec<ServicePart>) -> Router {
    let limits = state.limits;
    let requests = HttpMetrics::default();
    assemble(parts(state, &requests, others), limits, requests)
}

/// Only `parts`, with what every server has: health, metrics and the landing document.
pub fn collector_router(state: ServeState, mut parts: Vec<ServicePart>) -> Router {
    let (limits, version) = (state.limits, state.viewer.version.clone());
    let requests = HttpMetrics::default();
    parts.push(health::part(state.clone()));
    parts.push(metrics::part(state, requests.clone()));
    let landing = landing::part(version, &parts);
    parts.push(landing);
    assemble(parts, limits, requests)
}

/// The parts that [`router_with`] sums.
pub fn parts(
    state: ServeState,
    requests: &HttpMetrics,
    others: Vec<ServicePart>,
) -> Vec<ServicePart> {
    let version = state.viewer.version.clone();
    let mut parts = vec![
        view::part::<view::Dist>(),
        api::part(state.clone()),
        health::part(state.clone()),
        metrics::part(state, requests.clone()),
    ];
    parts.extend(others);
    let landing = landing::part(version, &parts);
    parts.push(landing);
    parts
}
