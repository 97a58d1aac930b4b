//! What the store says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use smartem_model::Hour;
use smartem_store::{
    Backlog, CounterRow, Growing, PoolNumbers, Progress, RunRow, Store, StoreError,
};
use tracing::error;

use super::stations::{self, Network};
use super::text::{Text, name_part};
use super::{Metrics, seconds};

/// The store is given so long: who asks waits for ten seconds as a rule, and what can be told without
/// the store must not be lost with it.
const AT_MOST: Duration = Duration::from_secs(5);

/// What is read for one answer.
struct Stored {
    backlog: Backlog,
    progress: Progress,
    now: Timestamp,
    runs: Vec<RunRow>,
    successes: Vec<(String, Timestamp)>,
    counters: Vec<CounterRow>,
    made: Vec<(String, Timestamp)>,
    verified: Vec<(String, Timestamp)>,
    networks: Arc<BTreeMap<Arc<str>, Network>>,
}

/// Writes what the store says, and whether it could be read.
pub(super) async fn write(text: &mut Text, metrics: &Metrics) {
    let began = Instant::now();
    let read = tokio::time::timeout(AT_MOST, Stored::read(metrics)).await;
    let took = began.elapsed();
    let stored = match read {
        Ok(Ok(stored)) => Some(stored),
        Ok(Err(error)) => {
            error!(%error, "cannot read the store for metrics");
            None
        }
        Err(_) => {
            error!(limit = ?AT_MOST, "the store takes too long for metrics");
            None
        }
    };
    text.gauge(
        "smartem_store_up",
        "Whether the store could be read for this answer.",
    )
    .sample(&[], if stored.is_some() { 1.0 } else { 0.0 });
    text.gauge(
        "smartem_store_read_seconds",
        "How long reading the store took for this answer.",
    )
    .sample(&[], took.as_secs_f64());
    pool(text, &metrics.state.store);
    if let Some(stored) = stored {
        stored.write(text);
    }
}

/// The connections to the database, where there are any.
fn pool(text: &mut Text, store: &Store) {
    let Some(PoolNumbers {
        max,
        idle,
        busy,
        waiting,
    }) = store.pool()
    else {
        return;
    };
    text.gauge(
        "smartem_store_pool_connections",
        "Connections of this program to the database.",
    )
    .sample(&[("state", "idle")], idle as f64)
    .sample(&[("state", "busy")], busy as f64);
    text.gauge(
        "smartem_store_pool_connections_max",
        "Connections that this program may have to the database.",
    )
    .sample(&[], max as f64);
    text.gauge(
        "smartem_store_pool_waiting",
        "Tasks of this program that wait for a connection to the database.",
    )
    .sample(&[], waiting as f64);
}

impl Stored {
    async fn read(metrics: &Metrics) -> Result<Self, StoreError> {
        let store = &metrics.state.store;
        let now = (metrics.state.clock)();
        // One after the other: a program must not take all its connections for telling how it is.
        Ok(Self {
            backlog: store.backlog().await?,
            // What has not ended yet does not wait.
            progress: store
                .progress(Hour::containing(now).map_or(Growing::No, Growing::From))
                .await?,
            now,
            runs: store.runs_latest().await?,
            successes: store.last_successes().await?,
            counters: store.counters().await?,
            made: store.last_runs_that_counted("backups_made").await?,
            verified: store.last_runs_that_counted("backups_verified").await?,
            networks: metrics.stations.get(&metrics.state).await?,
        })
    }

    fn write(&self, text: &mut Text) {
        backlog(text, &self.backlog);
        stations::write(text, &self.networks);
        lag(text, &self.progress, self.now);
        runs(text, &self.runs, &self.successes);
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

fn runs(text: &mut Text, runs: &[RunRow], successes: &[(String, Timestamp)]) {
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
    text.gauge(
        "smartem_etl_last_success_timestamp_seconds",
        "End of the newest run of a process that ended with exit code 0; absent until then.",
    );
    for (process, ended) in successes {
        text.sample(&[("process", process)], seconds(*ended));
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
