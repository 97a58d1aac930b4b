#![doc = include_str!("README.md")]

mod api;
mod config;
mod plan;
mod record;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::SignedDuration;
use smartem_etl::{
    About, Batch, Input, InputError, Intent, Kind, Origin, Outcome, Run, SettingsError, Sink, Site,
};
use smartem_model::{Hour, Period, Quarantine, QuarantineReason, StationId};
use smartem_store::{ReceivedRecord, Standing};
use tracing::warn;

use api::{Api, ApiError, Row, read_rows};
pub use config::InfluxdbConfig;
use plan::{Bounds, Progress, first_hour};

use super::http::{Client, authorization, basic};
use super::walk::{Visited, read_history, read_last};

/// What the reference says of this input.
const ABOUT: About = About {
    name: "influxdb",
    summary: "Hours and newest values of stations whose samples are in an InfluxDB 1.x, such as AirSensEUR boxes.",
    text: "Each measurement of the database is a station. The source is asked which hours hold data, three days \
        at a time, and each of them is read whole; where a window is empty, for the next row after it, \
        so that a gap of any length costs one request. Stations furthest behind come first. An hour is taken \
        when it is over.\n\n\
        Boxes that were without connection send what they kept: hours that appear within `late` are taken, and \
        hours that have another number of values than when they were read are read again. Hours of the last \
        `recheck` are read again in any case. After the last row nothing is settled, however long ago it was: what \
        a box kept through an outage of weeks is found when it sends it, the oldest first; where newer rows \
        came before, what is within `late`.\n\n\
        With the output `store.last` it also reads, for each value of the column `name`, the newest row of \
        the last `since`.\n\n\
        Measurements that `stations` does not name are counted (`measurements_unmapped`). One that cannot be \
        read stops none of the others.",
    checkpoint: "For each measurement the hour before which everything is in the store and settled, and how many \
        values each later hour had.",
    example: r#"
[process.harvester-influxdb]
input = "influxdb"
output = ["store.raw", "store.last"]
schedule = "10,25,40,55 * * * *"
budget = "660s"

[[process.harvester-influxdb.source]]
name = "airsenseur"
url = "https://collector.example:8086"
database = "airsenseur"
stations = { ASE_NL_01 = "11820001", ASE_NL_02 = "11820002" }
"#,
};

/// This kind of input.
pub fn kind() -> Kind<Box<dyn Input>> {
    Kind::new(ABOUT, |mut config: InfluxdbConfig, site| {
        config.authorization = match (&config.username, &config.password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => Some(basic(user, &site.secret("password_file", file)?)),
            _ => return refused("give `username` and `password_file`, or none of them"),
        };
        check(&config, site)?;
        Ok(Box::new(Influxdb::new(config)?))
    })
}

fn refused<T>(problem: impl Into<String>) -> Result<T, SettingsError> {
    Err(SettingsError(problem.into()))
}

fn check(config: &InfluxdbConfig, site: &Site) -> Result<(), SettingsError> {
    if !config.url.username().is_empty() || config.url.password().is_some() {
        return refused(
            "`url`: write the user to `username` and the password to a file that `password_file` \
             names, not into the address",
        );
    }
    if !site.catalogue.knows(&config.station_type) {
        return refused(format!(
            "`station_type`: there is no definition of `{}`",
            config.station_type
        ));
    }
    let mut stations = BTreeSet::new();
    match config.stations.values().find(|id| !stations.insert(*id)) {
        Some(twice) => refused(format!(
            "`stations`: two measurements are station `{twice}`"
        )),
        None => Ok(()),
    }
}

/// Samples in one batch, roughly, in bytes of their text.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Where the list of measurements is found.
const MEASUREMENTS: &str = "/measurements";

/// A database of an InfluxDB 1.x as an input.
pub struct Influxdb {
    origin: Origin,
    config: InfluxdbConfig,
    api: Api,
}

/// A measurement and the station that it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    measurement: String,
    station: StationId,
}

/// A measurement on its way through its hours.
#[derive(Clone)]
pub struct Visit {
    series: Series,
    progress: Progress,
    /// The hour to go on with; `None` before the first row was found.
    next: Option<Hour>,
    /// Hours in quarantine, which are asked for again.
    again: BTreeSet<Hour>,
}

impl Influxdb {
    /// An input over this source.
    ///
    /// # Errors
    /// When the address or a station's id cannot be one.
    pub fn new(config: InfluxdbConfig) -> Result<Self, SettingsError> {
        let client = Client::new(
            authorization(config.authorization.clone()),
            config.http.clone(),
        );
        let client = client.map_err(|error| SettingsError(error.to_string()))?;
        let api = Api::new(client, &config.url, &config.database)
            .map_err(|url| SettingsError(format!("`url`: {url} cannot be a base address")))?;
        if config.stations.values().any(String::is_empty) {
            return refused("`stations`: a station id must not be empty");
        }
        Ok(Self {
            origin: config.names.origin(),
            config,
            api,
        })
    }

    /// The measurements that are stations.
    async fn series(&self, run: &Run, found: &mut Batch) -> Result<Vec<Series>, InputError> {
        let listed = match self.api.measurements(run).await {
            Ok(listed) => listed,
            Err(error) => {
                set_aside(error, MEASUREMENTS, None, found)?;
                return Ok(Vec::new());
            }
        };
        found.understood.push(MEASUREMENTS.to_owned());
        let mapping = &self.config.stations;
        let database = &self.config.database;
        // The server does not tell a database that it does not know from one that is empty.
        if listed.is_empty() && mapping.is_empty() {
            warn!(source = %self.origin.source, database, "no measurements, or no such database");
        } else if !mapping.is_empty() && !mapping.keys().any(|name| listed.contains(name)) {
            return Err(InputError::Unreachable {
                place: MEASUREMENTS.to_owned(),
                problem: format!(
                    "the database `{database}` has none of the measurements that `stations` names; \
                     check `database`, `stations` and what the user may read"
                ),
            });
        }
        for missing in mapping.keys().filter(|name| !listed.contains(name)) {
            warn!(source = %self.origin.source, database = %self.config.database, measurement = %missing,
                "no such measurement");
            run.counters.add("measurements_missing", 1);
        }
        let mut series = Vec::new();
        for measurement in listed {
            let id = if mapping.is_empty() {
                Some(&measurement)
            } else {
                mapping.get(&measurement)
            };
            match id.and_then(|id| StationId::new(id)) {
                Some(station) => series.push(Series {
                    measurement,
                    station,
                }),
                None => run.counters.add("measurements_unmapped", 1),
            }
        }
        series.sort();
        Ok(series)
    }

    /// Hours of all measurements, a window at a time, those furthest behind first.
    async fn read_history(
        &self,
        run: &Run,
        series: &[Series],
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        let store = sink.store();
        let checkpoints = store.checkpoints(&run.process, &self.origin.source).await?;
        let open = store.open_quarantine_places(&self.origin.source).await?;
        let again = hours_by_measurement(open.keys());
        let visit = |series: &Series| {
            // A replay begins at the beginning; its checkpoints come to the same in the end.
            let progress = checkpoints
                .get(&series.measurement)
                .filter(|_| run.replay.is_none())
                .and_then(Progress::from_checkpoint)
                .unwrap_or_default();
            Visit {
                series: series.clone(),
                next: progress.settled,
                progress,
                again: again.get(&series.measurement).cloned().unwrap_or_default(),
            }
        };
        let mut visits: Vec<Visit> = series.iter().map(visit).collect();
        visits.sort_by(|a, b| (a.next, &a.series).cmp(&(b.next, &b.series)));
        read_history(self, run, visits, sink).await
    }

    /// Whether all is read.
    async fn read_next(
        &self,
        run: &Run,
        visit: &mut Visit,
        bounds: Bounds,
        found: &mut Batch,
        sink: &Sink<'_>,
    ) -> Result<bool, InputError> {
        if let Some(next) = visit.next {
            let rest = visit.again.split_off(&next);
            for hour in std::mem::replace(&mut visit.again, rest) {
                self.fetch(run, &visit.series, hour, found).await?;
            }
        }
        let (series, mut counts) = (&visit.series, BTreeMap::new());
        let reached = match visit.next {
            None => match first_hour() {
                Some(first) => self.next_hour(run, series, first, bounds, found).await?,
                None => None,
            },
            Some(first) if first < bounds.end => {
                let end = bounds.window_end(first);
                counts = self.counts(run, series, first, end, found).await?;
                self.read_hours(run, visit, &counts, bounds, found, sink)
                    .await?;
                match counts.last_key_value() {
                    Some((last, _)) => Hour::from_index(last.index() + 1),
                    // From the beginning of the window: rows may have come since they were counted.
                    None => self.next_hour(run, series, first, bounds, found).await?,
                }
            }
            Some(_) => None,
        };
        // After the last row nothing is settled: a box without connection sends it all later.
        let Some(reached) = reached else {
            return Ok(true);
        };
        visit.progress.advance(reached, &counts, bounds);
        if let Some(position) = visit.progress.to_checkpoint() {
            let partition = series.measurement.clone();
            found.checkpoints.push((partition, position));
        }
        visit.next = Some(reached);
        Ok(reached >= bounds.end)
    }

    async fn counts(
        &self,
        run: &Run,
        series: &Series,
        first: Hour,
        end: Hour,
        found: &mut Batch,
    ) -> Result<BTreeMap<Hour, u64>, InputError> {
        let place = place(&series.measurement, "hours");
        match self.api.counts(run, &series.measurement, first, end).await {
            Ok(counts) => {
                found.understood.push(place);
                Ok(counts)
            }
            Err(error) => Err(self.unread(error, &place, series, found)),
        }
    }

    /// The hour of the first row from `from` on, if there is one among those that are over.
    async fn next_hour(
        &self,
        run: &Run,
        series: &Series,
        from: Hour,
        bounds: Bounds,
        found: &mut Batch,
    ) -> Result<Option<Hour>, InputError> {
        let period = Period {
            start: from.period().start,
            end: bounds.end.period().start,
        };
        if period.start >= period.end {
            return Ok(None);
        }
        let place = place(&series.measurement, "first");
        match self.api.first_time(run, &series.measurement, period).await {
            Ok(time) => {
                found.understood.push(place);
                Ok(time.and_then(Hour::containing))
            }
            Err(error) => Err(self.unread(error, &place, series, found)),
        }
    }

    /// Reads those of the hours with data that are wanted.
    async fn read_hours(
        &self,
        run: &Run,
        visit: &Visit,
        counts: &BTreeMap<Hour, u64>,
        bounds: Bounds,
        found: &mut Batch,
        sink: &Sink<'_>,
    ) -> Result<(), InputError> {
        let station = &visit.series.station;
        let (Some((first, _)), Some((last, _))) =
            (counts.first_key_value(), counts.last_key_value())
        else {
            return Ok(());
        };
        let end = Hour::from_index(last.index() + 1).unwrap_or(*last);
        let stored = run.store.stored_hours(station, *first, end).await?;
        let mut length = 0;
        for (hour, count) in counts {
            let has_changed = match visit.progress.counts.get(hour) {
                Some(known) => known != count,
                None => *hour >= bounds.open,
            };
            let is_wanted = has_changed
                || *hour >= bounds.fresh
                || run.replays(station, *hour)
                || visit.again.contains(hour)
                || !stored.contains(hour);
            if !is_wanted {
                continue;
            }
            length += self.fetch(run, &visit.series, *hour, found).await?;
            if length >= BATCH_BYTES {
                sink.take(std::mem::take(found)).await?;
                length = 0;
            }
        }
        Ok(())
    }

    /// Reads an hour; gives the length of its body.
    async fn fetch(
        &self,
        run: &Run,
        series: &Series,
        hour: Hour,
        found: &mut Batch,
    ) -> Result<usize, InputError> {
        let place = hour_place(&series.measurement, hour);
        let body = self
            .api
            .rows_body(run, &series.measurement, hour.period())
            .await;
        let body = body.map_err(|error| unreachable(error, &place))?;
        let length = body.len();
        let (station, station_type) = (series.station.clone(), self.config.station_type.clone());
        let read = apart(&place, move || {
            let rows = read_rows(body)?;
            let record =
                (!rows.is_empty()).then(|| record::of_hour(&rows, &station, &station_type, hour));
            Ok(record.map(|record| (record, rows)))
        })
        .await?;
        match read {
            Ok(Some((record, rows))) => {
                let body = samples(&rows);
                found.push_record(record, Standing::Whole, &place, &series.station, body);
            }
            // Its rows were deleted since they were counted.
            Ok(None) => found.understood.push(place),
            Err(error) => set_aside(error, &place, Some(&series.station), found)?,
        }
        Ok(length)
    }

    /// Without this answer the measurement cannot go on: it waits for the next run, and what came
    /// instead is kept.
    #[expect(
        clippy::unused_self,
        reason = "reads as a step of the harvest beside its siblings"
    )]
    fn unread(
        &self,
        error: ApiError,
        place: &str,
        series: &Series,
        found: &mut Batch,
    ) -> InputError {
        let problem = "the answer was not understood";
        match set_aside(error, place, Some(&series.station), found) {
            Err(error) => error,
            Ok(()) => InputError::Unreachable {
                place: place.to_owned(),
                problem: problem.to_owned(),
            },
        }
    }
}

#[async_trait]
impl Visited for Influxdb {
    type Item = Series;
    type Visit = Visit;

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn parallel(&self) -> usize {
        self.api.parallel()
    }

    async fn is_there(&self, run: &Run) -> bool {
        match self.api.measurements(run).await {
            Err(ApiError::Fetch(error)) => {
                warn!(source = %self.origin.source, %error, "source no longer answers");
                false
            }
            Ok(_) | Err(ApiError::NotUnderstood { .. } | ApiError::Server(_)) => true,
        }
    }

    async fn visit(
        &self,
        run: &Run,
        mut visit: Visit,
        sink: &Sink<'_>,
    ) -> Result<Option<Visit>, InputError> {
        let config = &self.config;
        let bounds = Bounds::at(run.now(), config.grace, config.recheck, config.late);
        let Some(bounds) = bounds else {
            return Ok(None);
        };
        let mut found = Batch::default();
        let read = self
            .read_next(run, &mut visit, bounds, &mut found, sink)
            .await;
        // What was read before a failure is kept; the checkpoint only comes with a whole window.
        sink.take(found).await?;
        let is_finished = read?;
        Ok(if is_finished { None } else { Some(visit) })
    }

    async fn fetch_last(
        &self,
        run: &Run,
        series: &Series,
        found: &mut Batch,
    ) -> Result<(), InputError> {
        let place = place(&series.measurement, "last");
        let now = run.now();
        let period = Period {
            start: now.checked_sub(self.config.since).unwrap_or(now),
            // What is measured now is among them.
            end: now + SignedDuration::from_nanos(1),
        };
        let (measurement, limit) = (&series.measurement, self.config.limit);
        let body = self.api.newest_body(run, measurement, period, limit).await;
        match body.and_then(read_rows) {
            Ok(rows) => {
                match record::of_newest(&rows, &series.station, &self.config.station_type) {
                    Some(Ok(record)) => {
                        found.snapshots.push(ReceivedRecord::whole(record, place));
                    }
                    Some(Err(fault)) => {
                        let body = samples(&rows);
                        found.set_aside(fault, &place, Some(series.station.clone()), body);
                    }
                    None => found.understood.push(place),
                }
                Ok(())
            }
            Err(error) => set_aside(error, &place, Some(&series.station), found),
        }
    }
}

#[async_trait]
impl Input for Influxdb {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        let mut found = Batch::default();
        let series = self.series(run, &mut found).await?;
        sink.take(found).await?;
        if intent.wants_history() {
            let outcome = self.read_history(run, &series, sink).await?;
            if outcome != Outcome::Done || !intent.wants_last() {
                return Ok(outcome);
            }
        }
        read_last(self, run, series, sink).await
    }
}

/// Does what may take long beside the other work of the program.
async fn apart<T: Send + 'static>(
    place: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, InputError> {
    let task = tokio::task::spawn_blocking(work).await;
    task.map_err(|error| InputError::Unreachable {
        place: place.to_owned(),
        problem: error.to_string(),
    })
}

/// An answer that did not come, as the end of what is under way.
fn unreachable(error: ApiError, place: &str) -> InputError {
    match error {
        ApiError::Fetch(error) => error.at(place),
        ApiError::Server(problem)
        | ApiError::NotUnderstood {
            detail: problem, ..
        } => InputError::Unreachable {
            place: place.to_owned(),
            problem,
        },
    }
}

/// Keeps a body that was not understood; anything else is the end of what is under way.
fn set_aside(
    error: ApiError,
    place: &str,
    station: Option<&StationId>,
    found: &mut Batch,
) -> Result<(), InputError> {
    match error {
        ApiError::NotUnderstood { detail, body } => {
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            found.set_aside(fault, place, station.cloned(), body);
            Ok(())
        }
        error => Err(unreachable(error, place)),
    }
}

/// Rows as a body to be kept.
fn samples(rows: &[Row]) -> Vec<u8> {
    let samples: Vec<&str> = rows.iter().map(|row| row.sample.as_str()).collect();
    samples.join("\n").into_bytes()
}

fn place(measurement: &str, what: &str) -> String {
    format!("/{measurement}/{what}")
}

/// `/ASE_NL_01/2026-11-20/11`
fn hour_place(measurement: &str, hour: Hour) -> String {
    format!("/{measurement}/{}/{}", hour.day(), hour.of_day())
}

/// The hours behind open quarantine places, by measurement; they stay wanted.
fn hours_by_measurement<'a>(
    places: impl Iterator<Item = &'a String>,
) -> BTreeMap<String, BTreeSet<Hour>> {
    let mut wanted = BTreeMap::<String, BTreeSet<_>>::new();
    for (measurement, hour) in places.filter_map(|place| hour_of_place(place)) {
        wanted
            .entry(measurement.to_owned())
            .or_default()
            .insert(hour);
    }
    wanted
}

fn hour_of_place(place: &str) -> Option<(&str, Hour)> {
    let mut parts = place.strip_prefix('/')?.rsplitn(3, '/');
    let (number, day, measurement) = (parts.next()?, parts.next()?, parts.next()?);
    let hour = Hour::new(day.parse().ok()?, number.parse().ok()?)?;
    Some((measurement, hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_its_hour_also_when_the_measurement_has_slashes() {
        let hour = Hour::containing("2026-11-20T10:30:00Z".parse().unwrap()).unwrap();
        let place = hour_place("a/b", hour);
        assert_eq!(place, "/a/b/2026-11-20/11");
        assert_eq!(hour_of_place(&place), Some(("a/b", hour)));
        assert_eq!(hour_of_place("/a/b/last"), None);
        assert_eq!(hour_of_place("/measurements"), None);
    }
}
