//! The Raw Sensor ("Whale") API v1.1 below `/sensors/v1`, over any [`World`].
//!
//! | path below `/sensors/v1` | answer |
//! |---|---|
//! | `/devices` | `{devices: [paths]}` |
//! | `/devices/{id}` | `{id, timeseries, last, outputs}` |
//! | `/devices/{id}/timeseries` | `{id, days: [paths]}` |
//! | `/devices/{id}/timeseries/{yyyymmdd}` | `{id, date, hours}`; hour 1 is 00:00:00 up to 01:00:00 UTC |
//! | `/devices/{id}/timeseries/{yyyymmdd}/{hour}` | `{id, date, hour, timeseries: [samples]}` |
//! | `/devices/{id}/last` | one sample |
//!
//! Anything else is 404 with a small JSON error, another method than GET or HEAD is 405. The bearer token of the real
//! collector is neither asked for nor checked.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Under which path everything stands.
pub const PREFIX: &str = "/sensors/v1";

/// Where the time comes from: a real clock, or a fixed one for tests and reproducible runs.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Stations with their hours of samples, as they stand at a moment `now`.
///
/// Answers are computed on a thread for blocking work, so methods may take milliseconds. `None` means that there is
/// no such thing (404).
pub trait World: Send + Sync + 'static {
    /// Ids of all devices.
    fn devices(&self, now: Timestamp) -> Vec<String>;
    /// The whole body that describes a device.
    fn device(&self, id: &str, now: Timestamp) -> Option<Bytes>;
    /// Days with samples, each as yyyymmdd, in order; empty for a device without any.
    fn days(&self, id: &str, now: Timestamp) -> Option<Vec<String>>;
    /// Hours of a day with samples, in order; `day` is the text of the request.
    fn hours(&self, id: &str, day: &str, now: Timestamp) -> Option<Vec<i64>>;
    /// The whole body of an hour.
    fn hour(&self, id: &str, day: &str, hour: i64, now: Timestamp) -> Option<Bytes>;
    /// The newest sample of a device.
    fn last(&self, id: &str, now: Timestamp) -> Option<Bytes>;
}

/// All routes, `/sensors/v1` included, and a fallback for anything else: a whole server, not made for merging.
pub fn router(world: Arc<dyn World>, clock: Clock) -> Router {
    let below = |path: &str| format!("{PREFIX}/devices{path}");
    Router::new()
        .route(&below(""), get(devices))
        .route(&below("/{id}"), get(device))
        .route(&below("/{id}/timeseries"), get(days))
        .route(&below("/{id}/timeseries/{day}"), get(hours))
        .route(&below("/{id}/timeseries/{day}/{hour}"), get(hour))
        .route(&below("/{id}/last"), get(last))
        .fallback(async || error(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                "this can only be read, with GET",
            )
        })
        .with_state(Served { world, clock })
}

#[derive(Clone)]
struct Served {
    world: Arc<dyn World>,
    clock: Clock,
}

impl Served {
    /// Answers on a thread for blocking work.
    async fn answer(
        self,
        missing: &'static str,
        make: impl FnOnce(&dyn World, Timestamp) -> Option<Bytes> + Send + 'static,
    ) -> Response {
        let now = (self.clock)();
        match tokio::task::spawn_blocking(move || make(&*self.world, now)).await {
            Ok(Some(body)) => json_body(body),
            Ok(None) => error(StatusCode::NOT_FOUND, missing),
            Err(error_of_task) => {
                tracing::error!(error = %error_of_task, "could not make an answer");
                error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the answer could not be made",
                )
            }
        }
    }
}

/// Parts of a path; a part that is not UTF-8 is no address of ours.
type Parts<T> = Result<Path<T>, PathRejection>;

async fn devices(State(served): State<Served>) -> Response {
    served
        .answer("there are no devices", |world, now| {
            let paths: Vec<String> = world
                .devices(now)
                .iter()
                .map(|id| format!("{PREFIX}/devices/{id}"))
                .collect();
            Some(body(&json!({"devices": paths})))
        })
        .await
}

async fn device(State(served): State<Served>, parts: Parts<String>) -> Response {
    let id = parts.ok();
    served
        .answer(NO_DEVICE, move |world, now| world.device(&id?.0, now))
        .await
}

async fn days(State(served): State<Served>, parts: Parts<String>) -> Response {
    let id = parts.ok();
    served
        .answer(NO_DEVICE, move |world, now| {
            let Path(id) = id?;
            let days = world.days(&id, now)?;
            let paths: Vec<String> = days
                .iter()
                .map(|day| format!("{PREFIX}/devices/{id}/timeseries/{day}"))
                .collect();
            Some(body(&json!({"id": id, "days": paths})))
        })
        .await
}

async fn hours(State(served): State<Served>, parts: Parts<(String, String)>) -> Response {
    let parts = parts.ok();
    served
        .answer("there is no such device or day", move |world, now| {
            let Path((id, day)) = parts?;
            let hours = world.hours(&id, &day, now)?;
            let date = format!("{}-{}-{}", day.get(..4)?, day.get(4..6)?, day.get(6..)?);
            Some(body(&json!({"id": id, "date": date, "hours": hours})))
        })
        .await
}

async fn hour(State(served): State<Served>, parts: Parts<(String, String, String)>) -> Response {
    let parts = parts.ok();
    served
        .answer("there is no such device, day or hour", move |world, now| {
            let Path((id, day, hour)) = parts?;
            let number: i64 = hour.parse().ok()?;
            // One hour has one address: "07" and "+7" are not it.
            if number.to_string() != hour {
                return None;
            }
            world.hour(&id, &day, number, now)
        })
        .await
}

async fn last(State(served): State<Served>, parts: Parts<String>) -> Response {
    let id = parts.ok();
    served
        .answer(
            "there is no such device, or it has no sample",
            move |world, now| world.last(&id?.0, now),
        )
        .await
}

const NO_DEVICE: &str = "there is no such device";

fn body(value: &Value) -> Bytes {
    value.to_string().into()
}

fn json_body(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn error(status: StatusCode, message: &str) -> Response {
    let content = json!({"error": message, "status": status.as_u16()});
    (status, json_body(body(&content))).into_response()
}
