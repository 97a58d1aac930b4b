//! Measurements of a running InfluxDB 1.x, copied as points.
//!
//! A measurement is read in windows of time, each streamed piece by piece, and a checkpoint says up to
//! which time all is written. Writing a point again changes nothing, so the window at hand is simply
//! read again by the next run.

use std::future::Future;
use std::time::Duration;

use smartem_influxdb::{InfluxError, Measurement, Server};
use smartem_points::PointBatch;
use tokio_util::sync::CancellationToken;

/// Nanoseconds in a window: a week, as long as InfluxDB's usual shards are.
const WINDOW: i64 = 7 * 86_400 * 1_000_000_000;

/// Attempts to read a window.
const ATTEMPTS: u32 = 4;

/// Points written together.
const BATCH: usize = 20_000;

/// Where points go, and where it is kept how far the copying got.
pub trait Destination: Send + Sync {
    /// Why it failed.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes points; returns when they are durable, with how many values were refused because their
    /// field has another type here, and the first of these in words.
    fn write(
        &self,
        batch: PointBatch,
    ) -> impl Future<Output = Result<(u64, Option<String>), Self::Error>> + Send;

    /// Up to which time (nanoseconds, not included) a measurement is copied.
    fn reached(
        &self,
        measurement: &Measurement,
    ) -> impl Future<Output = Result<Option<i64>, Self::Error>> + Send;

    /// Notes that.
    fn note(
        &self,
        measurement: &Measurement,
        until: i64,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What is copied.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Only these measurements; empty: all.
    pub measurements: Vec<String>,
    /// The retention policy; `None`: the one into which points go by default.
    pub policy: Option<String>,
    /// The first time, nanoseconds since 1970.
    pub from: i64,
    /// The end, not included.
    pub to: i64,
    /// Whether to begin anew.
    pub again: bool,
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Points read and written.
    pub points: u64,
    /// Values in them.
    pub values: u64,
    /// Values that were refused because their field has another type here.
    pub refused: u64,
    /// The first refusals, in words.
    pub refusals: Vec<String>,
    /// Whether all of it was, or the copying was stopped.
    pub is_whole: bool,
}

/// Why copying ended.
#[derive(Debug, thiserror::Error)]
pub enum CopyError<E: std::error::Error + 'static> {
    /// The server.
    #[error(transparent)]
    Server(#[from] InfluxError),
    /// What was asked for is not there.
    #[error("{0}")]
    Missing(String),
    /// The points could not be written.
    #[error("the points cannot be written: {0}")]
    Destination(#[source] E),
}

/// How far it is: a measurement, and points since the last call.
pub type Told<'a> = &'a (dyn Fn(&Measurement, u64) + Send + Sync);

/// The measurements of a database that are wanted, in order of name.
///
/// # Errors
/// When the database, the policy or a measurement is not there.
pub async fn wanted(
    server: &Server,
    database: &str,
    wanted: &Wanted,
) -> Result<Vec<Measurement>, CopyError<std::convert::Infallible>> {
    let databases = server.databases().await?;
    if !databases.iter().any(|name| name == database) {
        return Err(CopyError::Missing(format!(
            "{} has no database `{database}`; it has: {}",
            server.name(),
            databases.join(", ")
        )));
    }
    let policies = server.retention_policies(database).await?;
    let policy = match &wanted.policy {
        Some(name) => policies.iter().find(|policy| policy.name == *name),
        None => policies.iter().find(|policy| policy.is_default),
    };
    let policy = policy.ok_or_else(|| {
        let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        CopyError::Missing(format!(
            "`{database}` has no such retention policy; it has: {}",
            names.join(", ")
        ))
    })?;
    let mut measurements = server.measurements(database).await?;
    measurements.retain(|it| it.policy == policy.name);
    for name in &wanted.measurements {
        if measurements.iter().all(|it| it.name != *name) {
            let names: Vec<&str> = measurements.iter().map(|it| it.name.as_str()).collect();
            return Err(CopyError::Missing(format!(
                "`{database}` has no measurement `{name}` in the retention policy `{}`; it has: {}",
                policy.name,
                names.join(", ")
            )));
        }
    }
    if !wanted.measurements.is_empty() {
        measurements.retain(|it| wanted.measurements.contains(&it.name));
    }
    measurements.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(measurements)
}

/// Copies a measurement from where the last run ended.
///
/// `to` is `None` for a dry run, which only reads and counts.
pub async fn copy<D: Destination>(
    server: &Server,
    measurement: &Measurement,
    wanted: &Wanted,
    to: Option<&D>,
    told: Told<'_>,
    stop: &CancellationToken,
) -> Result<Copied, CopyError<D::Error>> {
    let mut copied = Copied::default();
    let mut from = wanted.from;
    if let Some(to) = to
        && !wanted.again
    {
        let reached = to.reached(measurement).await;
        from = from.max(reached.map_err(CopyError::Destination)?.unwrap_or(from));
    }
    while from < wanted.to {
        // Skips times without points, however long.
        let first = attempt(stop, || server.first_time(measurement, from)).await?;
        let Some(first) = first.filter(|first| *first < wanted.to) else {
            break;
        };
        // Windows begin where those of other runs do.
        let end = first
            .div_euclid(WINDOW)
            .saturating_add(1)
            .saturating_mul(WINDOW);
        let end = end.min(wanted.to);
        let window = Window {
            server,
            measurement,
            from: first,
            end,
        };
        if stop.is_cancelled() || !window.copy(to, told, stop, &mut copied).await? {
            return Ok(copied);
        }
        from = end;
        if let Some(to) = to {
            let noted = to.note(measurement, end).await;
            noted.map_err(CopyError::Destination)?;
        }
    }
    copied.is_whole = true;
    Ok(copied)
}

struct Window<'a> {
    server: &'a Server,
    measurement: &'a Measurement,
    from: i64,
    end: i64,
}

impl Window<'_> {
    /// Reads the window, from its beginning again when it breaks off; `false` when told to stop.
    async fn copy<D: Destination>(
        &self,
        to: Option<&D>,
        told: Told<'_>,
        stop: &CancellationToken,
        copied: &mut Copied,
    ) -> Result<bool, CopyError<D::Error>> {
        let mut tried = 0;
        loop {
            tried += 1;
            let mut this = Copied::default();
            match self.copy_once(to, told, stop, &mut this).await {
                Err(CopyError::Server(error)) if error.is_passing() && tried < ATTEMPTS => {
                    tracing::warn!(%error, "reading the window again");
                    tokio::time::sleep(pause(tried)).await;
                }
                Err(error) => return Err(error),
                Ok(whole) => {
                    copied.points += this.points;
                    copied.values += this.values;
                    copied.refused += this.refused;
                    copied.refusals.extend(this.refusals);
                    copied.refusals.truncate(5);
                    return Ok(whole);
                }
            }
        }
    }

    async fn copy_once<D: Destination>(
        &self,
        to: Option<&D>,
        told: Told<'_>,
        stop: &CancellationToken,
        copied: &mut Copied,
    ) -> Result<bool, CopyError<D::Error>> {
        let range = self.from..=self.end - 1;
        let mut rows = self.server.rows(self.measurement, range).await?;
        let mut waiting = PointBatch::new();
        while let Some(batch) = rows.next().await? {
            if stop.is_cancelled() {
                return Ok(false);
            }
            append(&mut waiting, &batch);
            if waiting.len() >= BATCH {
                self.write(std::mem::take(&mut waiting), to, told, copied)
                    .await?;
            }
        }
        if !waiting.is_empty() {
            self.write(waiting, to, told, copied).await?;
        }
        Ok(true)
    }

    async fn write<D: Destination>(
        &self,
        batch: PointBatch,
        to: Option<&D>,
        told: Told<'_>,
        copied: &mut Copied,
    ) -> Result<(), CopyError<D::Error>> {
        let points = batch.len() as u64;
        copied.points += points;
        copied.values += batch.values() as u64;
        if let Some(to) = to {
            let (refused, first) = to.write(batch).await.map_err(CopyError::Destination)?;
            copied.refused += refused;
            copied.refusals.extend(first);
        }
        told(self.measurement, points);
        Ok(())
    }
}

/// Adds the points of one batch to another.
fn append(to: &mut PointBatch, batch: &PointBatch) {
    if to.is_empty() {
        *to = batch.clone();
        return;
    }
    let series: Vec<_> = batch
        .series()
        .iter()
        .map(|key| to.add_series(key.clone()))
        .collect();
    let fields: Vec<_> = batch
        .fields()
        .iter()
        .map(|name| to.add_field(name))
        .collect();
    for point in batch.points() {
        for (field, value) in point.fields() {
            to.push_field(fields[field.index()], &value);
        }
        to.end_point(series[point.series.index()], point.time, point.line);
    }
}

/// Asks again while that may help.
async fn attempt<T, F: Future<Output = Result<T, InfluxError>>>(
    stop: &CancellationToken,
    ask: impl Fn() -> F,
) -> Result<T, InfluxError> {
    let mut tried = 0;
    loop {
        tried += 1;
        match ask().await {
            Err(error) if error.is_passing() && tried < ATTEMPTS && !stop.is_cancelled() => {
                tokio::time::sleep(pause(tried)).await;
            }
            answer => return answer,
        }
    }
}

fn pause(tried: u32) -> Duration {
    Duration::from_millis(500 << tried.min(6))
}
