//! `smartem store import influx`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use serde_json::json;
use smartem_collect::import::influx::{Copied, CopyError, Destination, Wanted, copy, wanted};
use smartem_etl::Progress;
use smartem_influxdb::{Measurement, Server};
use smartem_points::PointBatch;
use smartem_store::{Intake, Points, PointsError, PointsSettings, Store, StoreError};

use super::influx::server;
use super::{open_migrated_store, print_table};
use crate::cli::ImportInflux;
use crate::config::{Config, UsageError};
use crate::{clock, output, signals};

/// The name under which it is kept how far the copying got.
const PROCESS: &str = "import-influx";

/// The store, one of its databases, and where the points come from.
struct Into {
    store: Store,
    points: Points,
    database: String,
    /// The server and the database there.
    source: String,
}

#[derive(Debug, thiserror::Error)]
enum IntoError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Points(#[from] PointsError),
}

impl Destination for Into {
    type Error = IntoError;

    async fn write(&self, batch: PointBatch) -> Result<(u64, Option<String>), IntoError> {
        let report = self.points.write(&self.database, batch).await?;
        let first = report.refused.first().map(|it| {
            let (measurement, field) = (&it.measurement, &it.field);
            format!(
                "{measurement}: field `{field}` comes as {} and is {} here",
                it.sent, it.known
            )
        });
        Ok((report.refused.len() as u64, first))
    }

    async fn reached(&self, measurement: &Measurement) -> Result<Option<i64>, IntoError> {
        let checkpoints = self.store.checkpoints(PROCESS, &self.source).await?;
        let position = checkpoints.get(&partition(&self.database, measurement));
        Ok(position.and_then(|position| position.get("until")?.as_i64()))
    }

    async fn note(&self, measurement: &Measurement, until: i64) -> Result<(), IntoError> {
        let partition = partition(&self.database, measurement);
        let intake = Intake {
            process: PROCESS.to_owned(),
            source: self.source.clone(),
            network: String::new(),
            project: None,
            records: Vec::new(),
            quarantined: Vec::new(),
            understood: Vec::new(),
            checkpoints: vec![(partition, json!({ "until": until }))],
            now: (clock::system())(),
        };
        self.store.take_in(intake).await?;
        Ok(())
    }
}

fn partition(into: &str, measurement: &Measurement) -> String {
    format!("{into}/{}/{}", measurement.policy, measurement.name)
}

pub(super) async fn run(config: &Config, args: &ImportInflux) -> anyhow::Result<ExitCode> {
    let url = args.server.url.as_ref();
    let url = url.ok_or_else(|| UsageError("`--url` says from which server".to_owned()))?;
    let server = server(url, &args.server)?;
    let nanoseconds = |time: Option<Timestamp>, usual: i64| {
        time.map_or(Ok(usual), |time| i64::try_from(time.as_nanosecond()))
    };
    let what = Wanted {
        measurements: args.measurement.clone(),
        policy: args.policy.clone(),
        from: nanoseconds(args.since, i64::MIN).context("`--since` is too far away")?,
        to: nanoseconds(args.until, i64::MAX).context("`--until` is too far away")?,
        again: args.again,
    };
    let measurements = wanted(&server, &args.database, &what)
        .await
        .map_err(with_cause)?;
    let into = if args.dry_run {
        None
    } else {
        Some(open(config, args, &server).await?)
    };
    let copied = copy_all(&server, &measurements, &what, into.as_ref()).await;
    if let Some(into) = &into {
        // Also what was copied before a failure.
        into.points.close().await?;
    }
    Ok(tell(&measurements, &copied?, args))
}

/// The error with its cause in sight, by which the exit status goes.
fn with_cause<E: std::error::Error + Send + Sync + 'static>(error: CopyError<E>) -> anyhow::Error {
    match error {
        CopyError::Server(error) => error.into(),
        error => anyhow!(error),
    }
}

async fn open(config: &Config, args: &ImportInflux, server: &Server) -> anyhow::Result<Into> {
    let store = open_migrated_store(config).await?;
    let settings = PointsSettings::new(Vec::new(), clock::system());
    let points = Points::open(&store, settings).await?;
    let database = args.into.as_ref().unwrap_or(&args.database).clone();
    points.create_database(&database).await?;
    Ok(Into {
        store,
        points,
        database,
        source: format!("{}/{}", server.name(), args.database),
    })
}

async fn copy_all(
    server: &Server,
    measurements: &[Measurement],
    what: &Wanted,
    into: Option<&Into>,
) -> anyhow::Result<Vec<Copied>> {
    let stop = signals::stop_token()?;
    let bar = Arc::new(Progress::shown("points"));
    let mut all = Vec::new();
    for measurement in measurements {
        bar.tell(measurement.name.clone());
        let told = |_: &Measurement, points: u64| bar.advance(points);
        let copied = copy(server, measurement, what, into, &told, &stop).await;
        all.push(
            copied
                .map_err(with_cause)
                .with_context(|| format!("copying the measurement `{}`", measurement.name))?,
        );
        if stop.is_cancelled() {
            break;
        }
    }
    bar.finish();
    Ok(all)
}

fn tell(measurements: &[Measurement], copied: &[Copied], args: &ImportInflux) -> ExitCode {
    let rows: Vec<[String; _]> = measurements
        .iter()
        .zip(copied)
        .map(|(measurement, copied)| {
            [
                measurement.name.clone(),
                copied.points.to_string(),
                copied.values.to_string(),
                copied.refused.to_string(),
                if copied.is_whole { "whole" } else { "stopped" }.to_owned(),
            ]
        })
        .collect();
    print_table(&["measurement", "points", "values", "refused", ""], &rows);
    for refusal in copied.iter().flat_map(|copied| &copied.refusals) {
        output::line(format_args!("refused: {refusal}"));
    }
    if args.dry_run {
        output::line("nothing was copied (`--dry-run`)");
    }
    let is_whole = copied.len() == measurements.len() && copied.iter().all(|it| it.is_whole);
    if is_whole {
        ExitCode::SUCCESS
    } else {
        output::line("stopped; the same command goes on");
        ExitCode::from(smartem_etl::ExitCode::TryAgain.code())
    }
}
