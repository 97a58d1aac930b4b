//! Whole hours from the series of a station: what is wanted, how it is read, how far it got.
//!
//! Some sources serve each instrument of a station as a series of its own. An hour of such a station
//! is whole only when all of them were read, so they are read together, a window of hours at a time,
//! and committed together with how far each of them is settled.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use smartem_etl::{Batch, InputError, Origin, Outcome, Row, Run, Sink};
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, Quarantine, StationId};
use smartem_store::{ReceivedRecord, Standing};
use tracing::warn;

use super::http::FetchError;
use super::queue::Queue;

/// A station and its series.
#[derive(Clone, Debug)]
pub(crate) struct Station<S> {
    pub id: StationId,
    pub station_type: String,
    pub series: Vec<Series<S>>,
}

/// What one instrument of a station delivers.
#[derive(Clone, Debug)]
pub(crate) struct Series<S> {
    /// Names it in checkpoints; the identity that the remote gives it.
    pub key: String,
    /// What the source needs to ask for its values.
    pub ask: S,
    /// The hour of its first value; `None` when that is not known.
    pub first: Option<Hour>,
    /// The hour of its newest value; `None` when that is not known.
    pub newest: Option<Hour>,
}

/// A value of a series on its way into the record of an hour.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// The hour it belongs to.
    pub hour: Hour,
    /// Its time as the source gives it.
    pub time: Timestamp,
    /// The instrument.
    pub stream: String,
    /// The sample as it stands in the record.
    pub sample: Map<String, Value>,
    /// The same for outputs outside the store.
    pub row: Option<Row>,
}

/// Why the values of a series are not there.
pub(crate) enum SeriesError {
    /// It did not arrive.
    Fetch { place: String, error: FetchError },
    /// It arrived whole and is not what the protocol describes.
    NotUnderstood {
        place: String,
        fault: Quarantine,
        body: Vec<u8>,
    },
}

/// A source whose stations consist of series.
#[async_trait]
pub(crate) trait SeriesSource: Sync {
    /// What is needed to ask for a series.
    type Ask: Clone + Send + Sync;

    fn origin(&self) -> &Origin;

    /// Stations read at the same time.
    fn parallel(&self) -> usize;

    /// All values of a series in these hours, in any order; others beside them do no harm.
    async fn readings(
        &self,
        run: &Run,
        station: &Station<Self::Ask>,
        series: &Series<Self::Ask>,
        hours: Range<Hour>,
    ) -> Result<Vec<Reading>, SeriesError>;

    /// The place of [`SeriesError::NotUnderstood`] for this series: resolved when it is read well.
    fn place(&self, series: &Series<Self::Ask>) -> String;

    /// Whether the source itself answers.
    async fn is_there(&self, run: &Run) -> bool;
}

/// Which hours are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// After its end, before an hour counts as complete.
    pub grace: SignedDuration,
    /// Hours that ended less than this ago may still change.
    pub late: SignedDuration,
    /// Hours before this are not read.
    pub since: Option<Timestamp>,
    /// Hours read at a time, at least 1.
    pub window: i64,
}

/// The edges of what is wanted at a moment.
#[derive(Clone, Copy, Debug)]
struct Edges {
    /// The first hour that is not complete.
    complete: Hour,
    /// The first hour that may still change.
    open: Hour,
    /// The first hour that is wanted at all.
    since: Hour,
    window: i64,
}

impl Wanted {
    /// `None` outside the years that hours exist in.
    fn edges(&self, now: Timestamp) -> Option<Edges> {
        let complete = Hour::containing(now.checked_sub(self.grace).ok()?)?;
        let open = now
            .checked_sub(self.late)
            .ok()
            .and_then(Hour::containing)
            .map_or(complete, |open| open.min(complete));
        let since = match self.since {
            Some(since) => Hour::containing(since)?,
            None => Hour::from_index(0)?,
        };
        Some(Edges {
            complete,
            open,
            since,
            window: self.window.max(1),
        })
    }
}

/// A series on the way through a run.
#[derive(Clone)]
struct Progress<S> {
    series: Series<S>,
    /// All hours before are in the store and will not change.
    settled: Hour,
    /// It could not be read in this run.
    has_failed: bool,
}

impl<S> Progress<S> {
    /// The first hour that has nothing of this series.
    fn end(&self, edges: Edges) -> Hour {
        let after_newest = self.series.newest.and_then(after);
        after_newest.map_or(edges.complete, |end| end.min(edges.complete))
    }

    fn is_wanted(&self, edges: Edges) -> bool {
        !self.has_failed && self.settled < self.end(edges)
    }
}

fn after(hour: Hour) -> Option<Hour> {
    Hour::from_index(hour.index() + 1)
}

/// A station on its way through its hours.
#[derive(Clone)]
struct Visit<S> {
    station: Station<S>,
    series: Vec<Progress<S>>,
    /// Of the next window; `None` before it is known.
    next: Option<Hour>,
}

impl<S> Visit<S> {
    /// The next hours to read; `None` when there are none.
    fn plan(&self, edges: Edges) -> Option<Range<Hour>> {
        let wanted = || self.series.iter().filter(|series| series.is_wanted(edges));
        let first = wanted().map(|series| series.settled).min()?;
        let end = wanted().map(|series| series.end(edges)).max()?;
        let start = self.next.map_or(first, |next| next.max(first));
        let stop = Hour::from_index(start.index() + edges.window)?.min(edges.complete);
        (start < end).then_some(start..stop)
    }

    /// Notes that these hours are read; tells the checkpoints that follow.
    ///
    /// `seen` is the last hour with a value of each series. What is known to end within the window is
    /// settled up to there and no further: after a silence its next value may be of any time.
    fn settle(
        &mut self,
        read: &Range<Hour>,
        seen: &BTreeMap<usize, Hour>,
        edges: Edges,
    ) -> Vec<(String, Value)> {
        let mut checkpoints = Vec::new();
        for (i, progress) in self.series.iter_mut().enumerate() {
            if !progress.is_wanted(edges) || progress.settled < read.start {
                continue;
            }
            let ends_here = progress
                .series
                .newest
                .is_some_and(|newest| newest < read.end);
            let covered = if ends_here {
                seen.get(&i).copied().and_then(after)
            } else {
                Some(read.end)
            };
            let reached = covered.map_or(progress.settled, |covered| covered.min(edges.open));
            if reached > progress.settled {
                progress.settled = reached;
                let settled = reached.period().start.to_string();
                let position = json!({"settled": settled, "station": self.station.id.as_str()});
                checkpoints.push((progress.series.key.clone(), position));
            }
        }
        self.next = Some(read.end);
        checkpoints
    }
}

fn settled_of(position: &Value) -> Option<Hour> {
    let time: Timestamp = position.get("settled")?.as_str()?.parse().ok()?;
    Hour::containing(time)
}

/// The stations that these series had when they were last read.
pub(crate) fn station_of(position: &Value) -> Option<StationId> {
    StationId::new(position.get("station")?.as_str()?)
}

/// Reads the hours of all stations, those furthest behind first, a window of hours at a time.
///
/// `incomplete` are stations of which a series could not be asked about: what is read of them never
/// takes the place of what is stored.
pub(crate) async fn harvest<Source: SeriesSource>(
    source: &Source,
    run: &Run,
    stations: Vec<Station<Source::Ask>>,
    incomplete: &BTreeSet<StationId>,
    wanted: &Wanted,
    sink: &Sink<'_>,
) -> Result<Outcome, InputError> {
    let Some(edges) = wanted.edges(run.now()) else {
        return Ok(Outcome::Done);
    };
    let store = sink.store();
    let checkpoints = store
        .checkpoints(&run.process, &source.origin().source)
        .await?;
    let settled = |series: &Series<Source::Ask>| {
        // A replay begins at the beginning and leaves the checkpoints as they are.
        let known = checkpoints
            .get(&series.key)
            .filter(|_| run.replay.is_none())
            .and_then(settled_of);
        let first = series.first.unwrap_or(edges.since).max(edges.since);
        known.unwrap_or(first)
    };
    let mut visits: Vec<Visit<Source::Ask>> = stations
        .into_iter()
        .map(|station| Visit {
            series: station
                .series
                .iter()
                .map(|series| Progress {
                    settled: settled(series),
                    series: series.clone(),
                    has_failed: false,
                })
                .collect(),
            station,
            next: None,
        })
        .collect();
    visits.retain(|visit| visit.plan(edges).is_some());
    let behind = |visit: &Visit<Source::Ask>| visit.plan(edges).map(|hours| hours.start);
    visits.sort_by(|a, b| (behind(a), &a.station.id).cmp(&(behind(b), &b.station.id)));
    let walk = Walk {
        source,
        run,
        sink,
        edges,
        incomplete,
        queue: Queue::new(visits),
    };
    let workers = (0..source.parallel().max(1)).map(|_| walk.work());
    futures::future::try_join_all(workers).await?;
    walk.queue.outcome(run)
}

/// The way of the workers through the stations of a source.
struct Walk<'a, Source: SeriesSource> {
    source: &'a Source,
    run: &'a Run,
    sink: &'a Sink<'a>,
    edges: Edges,
    incomplete: &'a BTreeSet<StationId>,
    queue: Queue<Visit<Source::Ask>>,
}

impl<Source: SeriesSource> Walk<'_, Source> {
    async fn work(&self) -> Result<(), InputError> {
        while let Some(mut visit) = self.queue.next(self.run) {
            let interrupted = visit.clone();
            match self.read_window(&mut visit).await {
                Ok(Step::Read) => {
                    self.queue.succeeded();
                    if visit.plan(self.edges).is_some() {
                        self.queue.put_back(visit);
                    }
                }
                // What the others have is read again without those that failed.
                Ok(Step::SomeFailed) => self.queue.put_back(visit),
                Err(InputError::Interrupted) => self.queue.put_back(interrupted),
                Err(InputError::Unreachable { place, problem }) => {
                    let source = &self.source.origin().source;
                    warn!(source, place, problem, "station left for the next run");
                    self.run.counters.add("stations_unreachable", 1);
                    if self.queue.failed(place, problem) {
                        self.doubt().await;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// After several failures in a row asks the source itself, and gives up when it is silent.
    async fn doubt(&self) {
        if self.source.is_there(self.run).await {
            self.queue.source_answered();
        } else {
            warn!(source = %self.source.origin().source, "source no longer answers");
            self.queue.give_up();
        }
    }

    async fn read_window(&self, visit: &mut Visit<Source::Ask>) -> Result<Step, InputError> {
        let Some(hours) = visit.plan(self.edges) else {
            return Ok(Step::Read);
        };
        let is_selected =
            |hour: Hour| self.run.replay.is_none() || self.run.replays(&visit.station.id, hour);
        let mut each = hours.start.index()..hours.end.index();
        if !each.any(|index| Hour::from_index(index).is_some_and(is_selected)) {
            visit.next = Some(hours.end);
            return Ok(Step::Read);
        }
        let station = &visit.station;
        // A series that has no values here is asked too, unless it is known to have none.
        let asked: Vec<usize> = (0..visit.series.len())
            .filter(|i| {
                let progress = &visit.series[*i];
                let has_ended = progress
                    .series
                    .newest
                    .is_some_and(|newest| newest < hours.start);
                let begins_later = progress
                    .series
                    .first
                    .is_some_and(|first| first >= hours.end);
                !progress.has_failed && !has_ended && !begins_later
            })
            .collect();
        let answers = futures::future::join_all(asked.iter().map(|i| {
            let series = &visit.series[*i].series;
            self.source
                .readings(self.run, station, series, hours.clone())
        }))
        .await;
        let mut found = Batch::default();
        let mut readings = Vec::new();
        let mut seen = BTreeMap::new();
        let mut failed = Vec::new();
        let mut last_failure = None;
        for (i, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(values) => {
                    found
                        .understood
                        .push(self.source.place(&visit.series[*i].series));
                    let last = values.iter().map(|reading| reading.hour);
                    let last = last.filter(|hour| hours.contains(hour)).max();
                    seen.extend(last.map(|hour| (*i, hour)));
                    readings.extend(values);
                }
                Err(SeriesError::Fetch {
                    error: FetchError::Interrupted,
                    ..
                }) => {
                    return Err(InputError::Interrupted);
                }
                Err(error) => {
                    failed.push(*i);
                    last_failure = self.note(error, &station.id, &mut found).or(last_failure);
                }
            }
        }
        if failed.is_empty() {
            let is_whole = !self.incomplete.contains(&station.id)
                && visit.series.iter().all(|progress| !progress.has_failed);
            let standing = if is_whole {
                Standing::Whole
            } else {
                Standing::Part
            };
            readings.retain(|reading| hours.contains(&reading.hour) && is_selected(reading.hour));
            push_hours(station, readings, standing, &mut found);
            let checkpoints = visit.settle(&hours, &seen, self.edges);
            if self.run.replay.is_none() {
                found.checkpoints = checkpoints;
            }
            self.sink.take(found).await?;
            return Ok(Step::Read);
        }
        found.understood.clear();
        self.sink.take(found).await?;
        match last_failure {
            Some((place, problem)) if failed.len() == asked.len() => {
                Err(InputError::Unreachable { place, problem })
            }
            _ => {
                for i in failed {
                    visit.series[i].has_failed = true;
                }
                Ok(Step::SomeFailed)
            }
        }
    }

    /// Notes why a series could not be read; tells place and problem when it did not arrive.
    fn note(
        &self,
        error: SeriesError,
        station: &StationId,
        found: &mut Batch,
    ) -> Option<(String, String)> {
        match error {
            SeriesError::Fetch { place, error } => {
                let source = &self.source.origin().source;
                warn!(source, place, %error, "series left for the next run");
                self.run.counters.add("series_unreachable", 1);
                Some((place, error.to_string()))
            }
            SeriesError::NotUnderstood { place, fault, body } => {
                found.set_aside(fault, &place, Some(station.clone()), body);
                None
            }
        }
    }
}

enum Step {
    /// The window is in the store.
    Read,
    /// Some series failed; nothing of the window was taken.
    SomeFailed,
}

/// Makes the records of hours, the same whatever the order of the readings.
fn push_hours<S>(
    station: &Station<S>,
    readings: Vec<Reading>,
    standing: Standing,
    found: &mut Batch,
) {
    let mut hours = BTreeMap::<Hour, Vec<Reading>>::new();
    for reading in readings {
        hours.entry(reading.hour).or_default().push(reading);
    }
    for (hour, readings) in hours {
        let samples = in_order(readings, &mut found.rows);
        let text = json!({
            "device_id": station.id.as_str(),
            "device_type": station.station_type,
            "device_version": "1",
            "day": compact_day(hour),
            "hour": hour.of_day(),
            "data": {"timeseries": samples},
        })
        .to_string();
        let place = format!("{}/{}", station.id, hour.period().start);
        let read = RawRecord::from_json(&text, &|name| name == station.station_type);
        found.push_record(read, standing, &place, &station.id, text.into_bytes());
    }
}

/// A snapshot of a station: its newest values.
pub(crate) fn snapshot<S>(station: &Station<S>, readings: Vec<Reading>, found: &mut Batch) {
    if readings.is_empty() {
        return;
    }
    let text = json!({
        "device_id": station.id.as_str(),
        "device_type": station.station_type,
        "device_version": "1",
        "data": {"timeseries": in_order(readings, &mut Vec::new())},
    })
    .to_string();
    let place = format!("{}/last", station.id);
    match RawRecord::from_json(&text, &|name| name == station.station_type) {
        Ok(record) => found.snapshots.push(ReceivedRecord::whole(record, place)),
        Err(fault) => found.set_aside(fault, &place, Some(station.id.clone()), text.into_bytes()),
    }
}

/// Samples by time, then stream, then content; what came twice stays once.
fn in_order(readings: Vec<Reading>, rows: &mut Vec<Row>) -> Vec<Value> {
    let mut keyed: Vec<(Timestamp, String, String, Reading)> = readings
        .into_iter()
        .map(|reading| {
            let content = Value::Object(reading.sample.clone()).to_string();
            (reading.time, reading.stream.clone(), content, reading)
        })
        .collect();
    keyed.sort_by(|a, b| (a.0, &a.1, &a.2).cmp(&(b.0, &b.1, &b.2)));
    keyed.dedup_by(|a, b| (a.0, &a.1, &a.2) == (b.0, &b.1, &b.2));
    let samples = keyed.into_iter().map(|(.., reading)| {
        rows.extend(reading.row);
        Value::Object(reading.sample)
    });
    samples.collect()
}

/// `20261128`
fn compact_day(hour: Hour) -> i64 {
    let day = hour.day();
    i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day())
}

/// A number, or the text of one; `None` for what is no finite number.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}
