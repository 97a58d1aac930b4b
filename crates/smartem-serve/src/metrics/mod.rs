//! `/metrics`: numbers for Prometheus, read from the store when they are asked for.
//!
//! ETL processes live for seconds and cannot be scraped; what they counted is in the store.
//!
//! - `machine`: the program itself and its disk
//! - `requests`: what was answered
//! - `stored`: what the store says, with `stations` by network
//! - `planned`: what the configuration says of processes
//! - `text`: the format
//!
//! `docs/reference/metrics.md` lists all families; a test of the program compares.

mod machine;
mod planned;
mod requests;
mod stations;
mod stored;
mod text;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use smartem_http::{HttpMetrics, Link, Metric, ServicePart};
use tracing::error;
use utoipa::OpenApi;

use self::machine::Machine;
pub use self::planned::Planned;
use self::stations::Stations;
use self::text::{MEDIA_TYPE, Text};
use crate::ServeState;

#[derive(OpenApi)]
#[openapi(paths(metrics))]
struct Document;

struct Metrics {
    state: ServeState,
    requests: HttpMetrics,
    started: Timestamp,
    stations: Stations,
}

pub(crate) fn part(state: ServeState, requests: HttpMetrics) -> ServicePart {
    let metrics = Arc::new(Metrics {
        started: (state.clock)(),
        state,
        requests,
        stations: Stations::default(),
    });
    ServicePart::new("metrics")
        .always_answers()
        .openapi(Document::openapi())
        .route("/metrics", get(self::metrics).with_state(metrics))
        .link(Link {
            rel: "monitor",
            href: "/metrics",
            media_type: "text/plain",
            title: "Numbers for Prometheus",
        })
}

/// Numbers for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, body = String, content_type = "text/plain"),
))]
async fn metrics(State(metrics): State<Arc<Metrics>>) -> Response {
    let state = &metrics.state;
    let mut text = Text::default();
    text.gauge("smartem_build_info", "The version of the program.")
        .sample(
            &[
                ("version", &state.viewer.version),
                ("commit", state.commit.as_deref().unwrap_or("unknown")),
            ],
            1.0,
        );
    let (machine, further) = beside_the_store(&metrics).await;
    machine::write(&mut text, metrics.started, machine.as_ref());
    requests::write(&mut text, &metrics.requests);
    for metric in further {
        write_further(&mut text, &metric);
    }
    if let Some(planned) = &state.planned {
        planned.write(&mut text);
    }
    // What can be told without the store is told without it too: then it matters most.
    stored::write(&mut text, &metrics).await;
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    ([(header::CONTENT_TYPE, media_type)], text.finish()).into_response()
}

/// What reads files, on a thread where that is allowed.
async fn beside_the_store(metrics: &Arc<Metrics>) -> (Option<Machine>, Vec<Metric>) {
    let metrics = metrics.clone();
    let read = tokio::task::spawn_blocking(move || {
        let machine = Machine::read(metrics.state.store.dir());
        let told = metrics.state.metrics.iter().flat_map(|tell| tell());
        (Some(machine), told.collect())
    });
    read.await.unwrap_or_else(|error| {
        error!(%error, "cannot read what metrics tell beside the store");
        (None, Vec::new())
    })
}

fn write_further(text: &mut Text, metric: &Metric) {
    if metric.is_counter {
        text.counter(metric.name, metric.help);
    } else {
        text.gauge(metric.name, metric.help);
    }
    for (labels, value) in &metric.samples {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, it)| (*name, &**it)).collect();
        text.sample(&labels, *value);
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
