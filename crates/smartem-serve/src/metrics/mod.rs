//! `/metrics`: numbers for Prometheus, read from the store when they are asked for.
//!
//! ETL processes live for seconds and cannot be scraped; what they counted is in the store.

mod newest;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use smartem_http::{BUCKETS, HttpMetrics, Link, Metric, ServicePart};
use smartem_model::Hour;
use smartem_store::{Backlog, CounterRow, Growing, Progress, RunRow, StoreError};
use tracing::error;
use utoipa::OpenApi;

use self::newest::Newest;
use self::text::{MEDIA_TYPE, Text, name_part};
use crate::ServeState;

#[derive(OpenApi)]
#[openapi(paths(metrics))]
struct Document;

struct Metrics {
    state: ServeState,
    requests: HttpMetrics,
    started: Timestamp,
    newest: Newest,
}

pub(crate) fn part(state: ServeState, requests: HttpMetrics) -> ServicePart {
    let metrics = Arc::new(Metrics {
        started: (state.clock)(),
        state,
        requests,
        newest: Newest::default(),
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
    let mut text = Text::default();
    text.gauge("smartem_build_info", "The version of the program.")
        .sample(&[("version", &metrics.state.viewer.version)], 1.0);
    process(&mut text, metrics.started);
    requests(&mut text, &metrics.requests);
    for metric in metrics.state.metrics.iter().flat_map(|tell| tell()) {
        further(&mut text, &metric);
    }
    // What can be told without the store is told without it too: then it matters most.
    let stored = Stored::read(&metrics).await;
    let up = if stored.is_ok() { 1.0 } else { 0.0 };
    text.gauge(
        "smartem_store_up",
        "Whether the store could be read for this answer.",
    )
    .sample(&[], up);
    match stored {
        Ok(stored) => stored.write(&mut text),
        Err(error) => error!(%error, "cannot read the store for metrics"),
    }
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    ([(header::CONTENT_TYPE, media_type)], text.finish()).into_response()
}

fn further(text: &mut Text, metric: &Metric) {
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

struct Stored {
    backlog: Backlog,
    progress: Progress,
    now: Timestamp,
    runs: Vec<RunRow>,
    counters: Vec<CounterRow>,
    made: Vec<(String, Timestamp)>,
    verified: Vec<(String, Timestamp)>,
    newest: Arc<BTreeMap<Arc<str>, Timestamp>>,
}

impl Stored {
    async fn read(metrics: &Metrics) -> Result<Self, StoreError> {
        let store = &metrics.state.store;
        let now = (metrics.state.clock)();
        Ok(Self {
            backlog: store.backlog().await?,
            // What has not ended yet does not wait.
            progress: store
                .progress(Hour::containing(now).map_or(Growing::No, Growing::From))
                .await?,
            now,
            runs: store.runs_latest().await?,
            counters: store.counters().await?,
            made: store.last_runs_that_counted("backups_made").await?,
            verified: store.last_runs_that_counted("backups_verified").await?,
            newest: metrics.newest.get(&metrics.state).await?,
        })
    }

    fn write(&self, text: &mut Text) {
        backlog(text, &self.backlog);
        text.gauge(
            "smartem_last_observation_timestamp_seconds",
            "End of the newest value of a network, judged once a minute.",
        );
        for (network, time) in &*self.newest {
            text.sample(&[("network", network)], seconds(*time));
        }
        lag(text, &self.progress, self.now);
        runs(text, &self.runs);
        counters(text, &self.counters);
        backups(text, &self.made, &self.verified);
    }
}

/// When a backup was last made, and one last read back; absent until then.
fn backups(text: &mut Text, made: &[(String, Timestamp)], verified: &[(String, Timestamp)]) {
    for (name, help, runs) in [
        (
            "smartem_backup_last_success_timestamp_seconds",
            "End of the newest run that made a backup.",
            made,
        ),
        (
            "smartem_backup_verified_timestamp_seconds",
            "End of the newest run that read a backup back and found it whole.",
            verified,
        ),
    ] {
        if let Some(time) = runs.iter().map(|(_, time)| *time).max() {
            text.gauge(name, help).sample(&[], seconds(time));
        }
    }
}

fn backlog(text: &mut Text, backlog: &Backlog) {
    for (name, help, value) in [
        (
            "smartem_stations",
            "Stations in the store.",
            backlog.stations,
        ),
        (
            "smartem_observations",
            "Observations in the store.",
            backlog.observations,
        ),
        (
            "smartem_raw_records",
            "Station-hours received.",
            backlog.raw_records,
        ),
        (
            "smartem_raw_records_dirty",
            "Station-hours waiting to be refined.",
            backlog.dirty_hours,
        ),
    ] {
        text.gauge(name, help).sample(&[], value as f64);
    }
    text.gauge("smartem_quarantine_open", "Open quarantine entries.");
    for kind in &backlog.quarantine {
        let labels = [
            ("stage", kind.stage.as_str()),
            ("reason", kind.reason.as_str()),
        ];
        text.sample(&labels, kind.open as f64);
    }
}

fn lag(text: &mut Text, progress: &Progress, now: Timestamp) {
    text.gauge(
        "smartem_etl_lag_seconds",
        "How long ago the newest hour of a source ended, and the oldest hour to be refined arrived.",
    );
    for reach in &progress.reach {
        let lag = now.duration_since(reach.newest.period().end).as_secs_f64();
        let labels = [("process", &*reach.process), ("source", &*reach.source)];
        text.sample(&labels, lag.max(0.0));
    }
    let refiner = [("process", "refiner"), ("source", "store")];
    text.sample(&refiner, progress.refine_lag(now).as_secs_f64());
}

fn runs(text: &mut Text, runs: &[RunRow]) {
    text.gauge(
        "smartem_etl_last_run_timestamp_seconds",
        "Start of the newest run of a process.",
    );
    for run in runs {
        text.sample(&[("process", &run.process)], seconds(run.started_at));
    }
    text.gauge(
        "smartem_etl_last_run_duration_seconds",
        "How long the newest run of a process took; absent while it runs.",
    );
    for run in runs {
        if let Some(finished) = run.finished_at {
            let took = finished.duration_since(run.started_at).as_secs_f64();
            text.sample(&[("process", &run.process)], took);
        }
    }
    text.gauge(
        "smartem_etl_last_run_exit_code",
        "Exit code of the newest run of a process; absent while it runs.",
    );
    for run in runs {
        if let Some(code) = run.exit_code {
            text.sample(&[("process", &run.process)], f64::from(code));
        }
    }
}

fn counters(text: &mut Text, rows: &[CounterRow]) {
    // Names that differ only in what a metric name may not hold would be written twice.
    let mut families: BTreeMap<String, BTreeMap<(&str, &str), u64>> = BTreeMap::new();
    for row in rows {
        let part = name_part(&row.name);
        let part = part.strip_suffix("_total").unwrap_or(&part).to_owned();
        let totals = families.entry(part).or_default();
        *totals.entry((&row.process, &row.label)).or_default() += row.value;
    }
    for (part, totals) in families {
        let name = format!("smartem_etl_{part}_total");
        let help = format!("Total of `{part}` over all runs of a process.");
        text.counter(&name, &help);
        for ((process, label), value) in totals {
            text.sample(&[("process", process), ("label", label)], value as f64);
        }
    }
}

fn requests(text: &mut Text, requests: &HttpMetrics) {
    text.counter("smartem_http_requests_total", "Requests answered.");
    for row in requests.requests() {
        let status = row.status.to_string();
        let labels = [
            ("method", row.method),
            ("route", &row.route),
            ("status", &status),
        ];
        text.sample(&labels, row.count as f64);
    }
    text.histogram(
        "smartem_http_request_duration_seconds",
        "How long it took until an answer began.",
    );
    for row in requests.times() {
        let labels = [("method", row.method), ("route", &*row.route)];
        for (bound, count) in BUCKETS.iter().zip(row.buckets) {
            let bound = bound.to_string();
            let labels = [labels[0], labels[1], ("le", &bound)];
            text.suffixed("_bucket", &labels, count as f64);
        }
        text.suffixed(
            "_bucket",
            &[labels[0], labels[1], ("le", "+Inf")],
            row.count as f64,
        )
        .suffixed("_sum", &labels, row.seconds)
        .suffixed("_count", &labels, row.count as f64);
    }
}

fn process(text: &mut Text, started: Timestamp) {
    text.gauge("process_start_time_seconds", "When the process started.")
        .sample(&[], seconds(started));
    if let Some(bytes) = resident_bytes() {
        text.gauge(
            "process_resident_memory_bytes",
            "Memory the process occupies.",
        )
        .sample(&[], bytes);
    }
}

/// As Linux tells it; other systems have no such file.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1000.0
}
