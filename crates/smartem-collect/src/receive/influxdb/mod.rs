//! The faces of InfluxDB: `/write`, `/query` and `/ping` of 1.x, `/api/v2/write` of 2.
//!
//! Stations, Telegraf and client libraries that push to an InfluxDB push here without a change.
//! Statuses, errors and their JSON are those of InfluxDB 1.6.7; what differs stands in
//! `docs/reference/line-protocol.md`.
//!
//! - `v1.rs`, `v2.rs`: the two faces, each with its words
//! - `intake.rs`: what both do: who may write, read the lines, keep the points, count
//! - `body.rs`: bodies within limits, unpacked
//! - `query.rs`: InfluxQL over what was received
//! - `answer.rs`: JSON as Go writes it, and the headers

mod answer;
mod body;
mod counts;
mod intake;
mod query;
mod v1;
mod v2;

use std::sync::Arc;

use axum::routing::{get, post};
use smartem_etl::Clock;
use smartem_http::ServicePart;
use smartem_http::auth::Guard;
use tokio::sync::Semaphore;
use utoipa::OpenApi;

use crate::receive::PointSink;

pub use counts::{DatabaseCounts, PointCounts};
pub use query::{Queried, QuerySettings, query_part};

/// How much the faces take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfluxdbSettings {
    /// The largest body, as it comes, in bytes.
    pub body_limit: usize,
    /// The largest body after unpacking, in bytes.
    pub unpacked_limit: usize,
    /// All bodies that are being taken in at the same time, unpacked, in bytes; further ones wait.
    pub memory: usize,
}

impl Default for InfluxdbSettings {
    /// 25 MB as InfluxDB, 100 MB unpacked, 400 MB at the same time.
    fn default() -> Self {
        Self {
            body_limit: 25_000_000,
            unpacked_limit: 100_000_000,
            memory: 400_000_000,
        }
    }
}

/// What the faces need.
struct Face {
    points: Arc<dyn PointSink>,
    guard: Guard,
    clock: Clock,
    settings: InfluxdbSettings,
    counts: PointCounts,
    memory: Semaphore,
}

#[derive(OpenApi)]
#[openapi(paths(v1::write, v1::ping, v2::write))]
struct Document;

/// The routes of the faces.
///
/// Points go to `points`; `guard` says who may write, `clock` gives the time of points that have
/// none, and `counts` grows.
pub fn part(
    points: Arc<dyn PointSink>,
    guard: Guard,
    clock: Clock,
    settings: InfluxdbSettings,
    counts: PointCounts,
) -> ServicePart {
    // Any one body must find room.
    let largest = settings.body_limit.max(settings.unpacked_limit);
    let memory = Semaphore::new(body::places(settings.memory.max(largest)));
    let face = Arc::new(Face {
        points,
        guard,
        clock,
        settings,
        counts,
        memory,
    });
    ServicePart::new("influxdb-write")
        // The faces say it in their own words when a body is too large.
        .body_limit(usize::MAX)
        .openapi(Document::openapi())
        .route("/write", post(v1::write).with_state(face.clone()))
        .route("/ping", get(v1::ping).head(v1::ping).post(v1::ping))
        .route("/api/v2/write", post(v2::write).with_state(face))
}
