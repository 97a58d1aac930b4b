//! What the world asks of smartem, one folder for each service.
//!
//! - `api`: stations, newest values and observations as JSON, below `/api/v1/`
//! - `sensorthings`: the OGC SensorThings API at `/sta/v1.1`, `/sta/v1.0`, `/gost/v1.0` and `/sta/v2.0`
//! - `view`: the viewer, embedded in the program, at `/`
//! - `metrics`: `/metrics` for Prometheus, read from the store when it is asked for
//! - `health`: `/healthz` and `/readyz`
//! - `landing`: `/api/v1/` and `/openapi.json`, the sums of what the others contribute
//!
//! [`routers`] sums them from a [`ServeState`]. Everything here only reads, but for SensorThings. A new service is a
//! folder with a function that gives a [`ServicePart`], and a line in [`parts`].

mod answer;
mod api;
mod health;
mod landing;
mod metrics;
mod sensorthings;
mod view;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use serde::Serialize;
use smartem_http::{HttpMetrics, Limits, MetricSource, Readiness, Routers, ServicePart};
use smartem_model::Vocabulary;
use smartem_store::Store;
use utoipa::ToSchema;

pub use metrics::Planned;
pub use sensorthings::SensorThingsSettings;

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
    /// How SensorThings behaves.
    pub sensorthings: SensorThingsSettings,
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
    /// Whether there is an address for what is not for everybody, such as `/metrics`.
    pub has_internal: bool,
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
    routers(state, Vec::new()).public
}

/// The services of this crate together with `others`, such as a collector in the same process.
pub fn routers(state: ServeState, others: Vec<ServicePart>) -> Routers {
    let (limits, has_internal) = (state.limits, state.has_internal);
    let requests = HttpMetrics::default();
    let parts = parts(state, &requests, others);
    sum(parts, limits, requests, has_internal)
}

/// Only `parts`, with what every server has: health, metrics and the landing document.
pub fn collector_routers(state: ServeState, mut parts: Vec<ServicePart>) -> Routers {
    let (limits, has_internal) = (state.limits, state.has_internal);
    let requests = HttpMetrics::default();
    let version = state.viewer.version.clone();
    parts.extend(own(state, &requests));
    parts.push(landing(version, has_internal, &parts));
    sum(parts, limits, requests, has_internal)
}

/// What is answered before the store is reached: that the program lives, and that all else must wait.
pub fn waiting_routers(readiness: Readiness, has_internal: bool) -> Routers {
    let parts = vec![health::waiting(readiness)];
    sum(
        parts,
        Limits::default(),
        HttpMetrics::default(),
        has_internal,
    )
}

fn sum(
    parts: Vec<ServicePart>,
    limits: Limits,
    requests: HttpMetrics,
    has_internal: bool,
) -> Routers {
    if has_internal {
        Routers::apart(parts, limits, requests)
    } else {
        Routers::together(parts, limits, requests)
    }
}

/// Health and metrics.
fn own(state: ServeState, requests: &HttpMetrics) -> [ServicePart; 2] {
    [
        health::part(state.clone()),
        metrics::part(state, requests.clone()).only_internal(),
    ]
}

/// The landing document of the public address.
fn landing(version: String, has_internal: bool, parts: &[ServicePart]) -> ServicePart {
    let is_told = |part: &&ServicePart| part.is_public() || !has_internal;
    let told: Vec<&ServicePart> = parts.iter().filter(is_told).collect();
    landing::part(version, &told)
}

/// The parts that [`routers`] sums.
pub fn parts(
    state: ServeState,
    requests: &HttpMetrics,
    others: Vec<ServicePart>,
) -> Vec<ServicePart> {
    let (version, has_internal) = (state.viewer.version.clone(), state.has_internal);
    let mut parts = vec![
        view::part::<view::Dist>(),
        api::part(state.clone()),
        sensorthings::part(&state),
    ];
    parts.extend(own(state, requests));
    parts.extend(others);
    parts.push(landing(version, has_internal, &parts));
    parts
}
