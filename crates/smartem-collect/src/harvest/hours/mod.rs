//! Whole hours from the series of a station: what is wanted, how it is read, how far it got.
//!
//! Some sources serve each instrument of a station as a series of its own. An hour of such a station
//! is whole only when all of them were read, so they are read together, a window of hours at a time,
//! and committed together with how far each of them is settled.

mod plan;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use async_trait::async_trait;
use jiff::Timestamp;
use smartem_etl::{Batch, InputError, Origin, Outcome, Run, Sink};
use smartem_model::{Hour, Quarantine, QuarantineReason, StationId};
use smartem_store::Standing;
use tracing::warn;

use plan::{Edges, Progress, Visit};
pub(crate) use plan::{Series, Station, Wanted, station_of};
use records::push_hours;
pub(crate) use records::{Odd, Reading, number, put_value, resolve_entries, snapshot, told_apart};

use super::http::FetchError;
use super::queue::Queue;

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

/// What was read of a series.
#[derive(Default)]
pub(crate) struct Readings {
    pub good: Vec<Reading>,
    /// What could not be read, and is set aside alone.
    pub odd: Vec<Odd>,
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
    ) -> Result<Readings, SeriesError>;

    /// Whether a series may have values in these hours, which may be many, with one small request.
    async fn may_have(
        &self,
        run: &Run,
        series: &Series<Self::Ask>,
        hours: Range<Hour>,
    ) -> Result<bool, SeriesError>;

    /// The place of [`SeriesError::NotUnderstood`] for this series: resolved when it is read well.
    fn place(&self, series: &Series<Self::Ask>) -> String;

    /// Whether the source itself answers.
    async fn is_there(&self, run: &Run) -> bool;
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
    let progress = |series: &Series<Source::Ask>| {
        // A replay begins at the beginning and leaves the checkpoints as they are.
        let position = checkpoints.get(&series.key);
        let position = position.filter(|_| run.replay.is_none());
        let first = series.first.unwrap_or(edges.since).max(edges.since);
        Progress::resume(series.clone(), position, first)
    };
    let mut visits: Vec<Visit<Source::Ask>> = stations
        .into_iter()
        .map(|station| Visit {
            series: station.series.iter().map(progress).collect(),
            station,
            next: None,
        })
        .collect();
    visits.retain(|visit| visit.plan(edges).is_some());
    let behind = |visit: &Visit<Source::Ask>| visit.plan(edges).map(|hours| hours.start);
    visits.sort_by(|a, b| (behind(a), &a.station.id).cmp(&(behind(b), &b.station.id)));
    let open = store
        .open_quarantine_places(&source.origin().source)
        .await?;
    let walk = Walk {
        open: open
            .into_keys()
            .filter(|place| place.contains('#'))
            .collect(),
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
    /// Places of single values in quarantine.
    open: BTreeSet<String>,
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
        let mut each = hours.start.index()..hours.end.index();
        let selected = |hour| self.is_selected(&visit.station.id, hour);
        if !each.any(|index| Hour::from_index(index).is_some_and(selected)) {
            visit.next = Some(hours.end);
            return Ok(Step::Read);
        }
        self.ask_the_doubtful(visit, hours.start).await?;
        let Some(hours) = visit.plan(self.edges) else {
            return Ok(Step::Read);
        };
        let mut found = Batch::default();
        let window = self.ask(visit, &hours, &mut found).await?;
        if window.failed.is_empty() {
            self.take(visit, hours, window, found).await?;
            return Ok(Step::Read);
        }
        // What was set aside is kept; the values come again.
        found.understood.clear();
        self.sink.take(found).await?;
        match window.last_failure {
            Some((place, problem)) if window.failed.len() == window.asked => {
                Err(InputError::Unreachable { place, problem })
            }
            _ => {
                for i in window.failed {
                    visit.series[i].has_failed = true;
                }
                Ok(Step::SomeFailed)
            }
        }
    }

    /// Whether an hour is to be read: in a replay only what was chosen.
    fn is_selected(&self, station: &StationId, hour: Hour) -> bool {
        self.run.replay.is_none() || self.run.replays(station, hour)
    }

    /// Asks whether series that seem to have ended have really nothing from this hour on.
    async fn ask_the_doubtful(
        &self,
        visit: &mut Visit<Source::Ask>,
        from: Hour,
    ) -> Result<(), InputError> {
        let asked = visit.series.iter().enumerate().filter_map(|(i, progress)| {
            let hours = progress.doubtful(from, self.edges)?;
            let (source, run, series) = (self.source, self.run, &progress.series);
            Some(async move { (i, hours.clone(), source.may_have(run, series, hours).await) })
        });
        let answers = futures::future::join_all(asked).await;
        for (i, hours, answer) in answers {
            match answer {
                Ok(false) => visit.series[i].silent = Some(hours),
                Err(SeriesError::Fetch {
                    error: FetchError::Interrupted,
                    ..
                }) => return Err(InputError::Interrupted),
                // What is wrong with it shows when it is read.
                Ok(true) | Err(_) => visit.series[i].is_misled = true,
            }
        }
        Ok(())
    }

    /// Asks all series of a station for these hours.
    async fn ask(
        &self,
        visit: &Visit<Source::Ask>,
        hours: &Range<Hour>,
        found: &mut Batch,
    ) -> Result<Window, InputError> {
        let station = &visit.station;
        let asked: Vec<usize> = (0..visit.series.len())
            .filter(|i| visit.series[*i].may_have(hours))
            .filter(|_| !Visit::<Source::Ask>::is_silent(hours, self.edges))
            .collect();
        let answers = asked.iter().map(|i| {
            let series = &visit.series[*i].series;
            let source = self.source;
            source.readings(self.run, station, series, hours.clone())
        });
        let answers = futures::future::join_all(answers).await;
        let mut window = Window {
            asked: asked.len(),
            ..Window::default()
        };
        for (i, answer) in asked.into_iter().zip(answers) {
            match answer {
                Ok(Readings { good: values, odd }) => {
                    let place = self.source.place(&visit.series[i].series);
                    self.set_aside(odd, &place, &station.id, hours, found);
                    found.understood.push(place);
                    let last = values.iter().map(|reading| reading.hour);
                    let last = last.filter(|hour| hours.contains(hour)).max();
                    window.seen.extend(last.map(|hour| (i, hour)));
                    window.readings.extend(values);
                }
                Err(SeriesError::Fetch {
                    error: FetchError::Interrupted,
                    ..
                }) => return Err(InputError::Interrupted),
                Err(error) => {
                    window.failed.push(i);
                    let failure = self.note(error, &station.id, found);
                    window.last_failure = failure.or(window.last_failure);
                }
            }
        }
        Ok(window)
    }

    /// Sets values aside that could not be read, and resolves those of these hours that could.
    fn set_aside(
        &self,
        odd: Vec<Odd>,
        place: &str,
        station: &StationId,
        hours: &Range<Hour>,
        found: &mut Batch,
    ) {
        let mut again = BTreeSet::new();
        for Odd { near, text } in odd {
            let counters = &self.run.counters;
            counters.add_labelled("samples_skipped", "bad_value", 1);
            let near = near.unwrap_or(hours.start.period().start);
            let place = format!("{place}#{near}");
            let fault = Quarantine::new(
                QuarantineReason::MalformedRecord,
                format!("no value with a time: {text}"),
            );
            found.set_aside(fault, &place, Some(station.clone()), text.into_bytes());
            again.insert(place);
        }
        let entries = format!("{place}#");
        let of_series = self.open.range(entries.clone()..);
        let of_series = of_series.take_while(|open| open.starts_with(&entries));
        let is_read = |open: &&String| {
            let time: Option<Timestamp> = open[entries.len()..].parse().ok();
            let hour = time.and_then(Hour::containing);
            !again.contains(*open) && hour.is_some_and(|hour| hours.contains(&hour))
        };
        found.understood.extend(of_series.filter(is_read).cloned());
    }

    /// Hands on the hours of a window together with how far its series are settled.
    async fn take(
        &self,
        visit: &mut Visit<Source::Ask>,
        hours: Range<Hour>,
        mut window: Window,
        mut found: Batch,
    ) -> Result<(), InputError> {
        let station = &visit.station;
        let is_whole = !self.incomplete.contains(&station.id)
            && visit.series.iter().all(|progress| !progress.has_failed);
        let standing = if is_whole {
            Standing::Whole
        } else {
            Standing::Part
        };
        window.readings.retain(|reading| {
            hours.contains(&reading.hour) && self.is_selected(&station.id, reading.hour)
        });
        push_hours(station, window.readings, standing, &mut found);
        let checkpoints = visit.settle(&hours, &window.seen, self.edges);
        if self.run.replay.is_none() {
            found.checkpoints = checkpoints;
        }
        self.sink.take(found).await
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

/// What the series of a station have for some hours.
#[derive(Default)]
struct Window {
    /// How many series were asked.
    asked: usize,
    readings: Vec<Reading>,
    /// The last hour with a value, by series.
    seen: BTreeMap<usize, Hour>,
    /// Which series could not be read.
    failed: Vec<usize>,
    /// Place and problem of one that did not arrive.
    last_failure: Option<(String, String)>,
}

enum Step {
    /// The window is in the store.
    Read,
    /// Some series failed; nothing of the window was taken.
    SomeFailed,
}
