//! The archive: for each day a file of each sensor, from which hours are filled that are missing.

use std::collections::BTreeSet;

use futures::StreamExt;
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::Offset;
use reqwest::StatusCode;
use smartem_etl::{Batch, InputError, Outcome};
use smartem_model::{Quarantine, QuarantineReason};
use smartem_store::{ReceivedRecord, Standing};
use tracing::warn;

use super::listing::{self, DayFile};
use super::progress::{DayProgress, Progress};
use super::seen::Seen;
use super::{
    DOUBT_AFTER, Poll, SENSORS, STATION_TYPE, SensorCommunity, SensorCommunityConfig, below,
    checkpoint, feed, rows,
};
use crate::harvest::csv::TableError;
use crate::harvest::http::FetchError;
use crate::harvest::samples::Hours;

const ARCHIVE: &str = "archive";
/// Hours gathered before they are committed.
const HOURS: usize = 100;
/// A day that has not appeared so long after it could have settled never will.
const NEVER_COMES: SignedDuration = SignedDuration::from_hours(7 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Reads all days that are over and not settled, the oldest first.
pub(super) async fn fill(source: &SensorCommunity, poll: &Poll<'_>) -> Result<Outcome, InputError> {
    let run = poll.run;
    let now = run.now();
    let today = Offset::UTC.to_datetime(now).date();
    let is_replay = run.replay.is_some();
    let mut progress: Progress = if is_replay {
        Progress::default()
    } else {
        poll.checkpoint(ARCHIVE)
    };
    let first = source
        .config
        .archive_from
        .or_else(|| today.yesterday().ok());
    if progress.from.is_none()
        || source
            .config
            .archive_from
            .is_some_and(|from| Some(from) < progress.from)
    {
        progress.from = first;
        progress.next = first;
    }
    let sensors = sensors(&source.config, poll);
    let mut failure = None;
    let mut day = progress.next;
    while let Some(date) = day.filter(|date| *date < today) {
        day = date.tomorrow().ok();
        if let Some(outcome) = run.should_end() {
            return Ok(outcome);
        }
        // Settled days behind one that was settled just now are forgotten by name.
        if progress.next.is_some_and(|next| date < next) {
            continue;
        }
        let known = progress.days.get(&date);
        let is_recent = known
            .and_then(|known| known.read)
            .is_some_and(|read| now.duration_since(read) < source.config.archive_again);
        if known.is_some_and(DayProgress::is_done) || is_recent || !is_selected(poll, date) {
            continue;
        }
        let mut reading = Reading {
            source,
            poll,
            date,
            today,
            progress: &mut progress,
            is_whole: true,
        };
        match reading.read(sensors.as_ref()).await {
            Ok(()) => {}
            Err(error @ InputError::Unreachable { .. }) => {
                warn!(source = %source.origin.source, %date, %error, "day of the archive left for the next run");
                failure = Some(error);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Outcome::Done),
    }
}

/// Whether a replay, if this is one, asks for any hour of a day.
fn is_selected(poll: &Poll<'_>, date: Date) -> bool {
    let Some(selection) = &poll.run.replay else {
        return true;
    };
    let starts_in_time = selection.from.is_none_or(|from| date >= from.day());
    let ends_in_time = selection.to.is_none_or(|to| date <= to.day());
    starts_in_time && ends_in_time
}

/// Sensors whose files are wanted, with their types where those are known; `None`: all.
fn sensors(config: &SensorCommunityConfig, poll: &Poll<'_>) -> Option<Seen> {
    if feed::takes_world(config) {
        return None;
    }
    let mut sensors: Seen = poll.checkpoint(SENSORS);
    for sensor in &config.sensors {
        let known = sensors.entry(sensor.id()).or_default();
        if let super::SensorSetting::Typed { kind, .. } = sensor {
            known.add(kind);
        }
    }
    Some(sensors)
}

/// A day while it is read.
struct Reading<'a> {
    source: &'a SensorCommunity,
    poll: &'a Poll<'a>,
    date: Date,
    today: Date,
    progress: &'a mut Progress,
    /// Whether every file could be read so far.
    is_whole: bool,
}

impl Reading<'_> {
    async fn read(&mut self, sensors: Option<&Seen>) -> Result<(), InputError> {
        let Some(files) = self.files(sensors).await? else {
            self.day().read = Some(self.poll.run.now());
            return self.commit(&mut Taken::default()).await;
        };
        let files = self.day().begin(files);
        let place = format!("/{}/", self.date);
        let (source, run) = (self.source, self.poll.run);
        let (date, today) = (self.date, self.today);
        let fetch = |file: DayFile| async move {
            let mut answer = Err(FetchError::Refused(StatusCode::NOT_FOUND));
            for folder in listing::folders(date, today) {
                let url = below(
                    &source.config.archive_url,
                    &format!("{folder}{}", file.name),
                )?;
                match source.client.get(run, &url).await {
                    Err(FetchError::Refused(StatusCode::NOT_FOUND)) => {}
                    Err(FetchError::Refused(status)) => answer = Err(FetchError::Refused(status)),
                    other => {
                        answer = other;
                        break;
                    }
                }
            }
            Ok((file, answer))
        };
        let mut requests =
            futures::stream::iter(files.into_iter().map(fetch)).buffered(source.client.parallel());
        let mut taken = Taken::default();
        let mut silent = 0;
        while let Some(fetched) = requests.next().await {
            let (file, answer) = fetched.map_err(|error: FetchError| error.at(&place))?;
            match answer {
                Ok(body) => {
                    silent = 0;
                    match self.take(&place, &file, body, &mut taken).await? {
                        Ok(()) => {
                            self.appear();
                            self.day().succeed(&file.name);
                        }
                        Err(error) => self.fail(&file, &error),
                    }
                }
                Err(FetchError::Refused(StatusCode::NOT_FOUND)) => {
                    silent = 0;
                    self.day().succeed(&file.name);
                }
                // Asked for again with the day, which does not hold up later ones.
                Err(error @ (FetchError::Refused(_) | FetchError::TooLarge(_))) => {
                    silent = 0;
                    self.fail(&file, &error);
                }
                Err(FetchError::Interrupted) => {
                    self.commit(&mut taken).await?;
                    return Err(InputError::Interrupted);
                }
                Err(error) => {
                    silent += 1;
                    self.is_whole = false;
                    self.poll.run.counters.add("requests_failed", 1);
                    warn!(source = %source.origin.source, file = file.name, %error, "file left for the next run");
                    if silent >= DOUBT_AFTER {
                        self.commit(&mut taken).await?;
                        return Err(error.at(place));
                    }
                }
            }
            // What comes behind a file that failed is taken, and read again with it.
            if self.is_whole {
                self.day().after = Some(file.name);
            }
            if taken.hours.len() >= HOURS {
                self.commit(&mut taken).await?;
            }
        }
        if self.is_whole {
            self.settle();
        }
        self.commit(&mut taken).await
    }

    fn day(&mut self) -> &mut DayProgress {
        self.progress.days.entry(self.date).or_default()
    }

    /// Notes a file that was answered, but not with what it holds.
    fn fail(&mut self, file: &DayFile, error: &dyn std::error::Error) {
        let source = &self.source.origin.source;
        warn!(%source, file = file.name, %error, "file of the archive without success");
        self.poll.run.counters.add("requests_failed", 1);
        // What comes behind a file without an answer is read again anyhow.
        if self.is_whole {
            self.day().fail(&file.name);
        }
    }

    fn appear(&mut self) {
        let now = self.poll.run.now();
        self.day().appeared.get_or_insert(now);
    }

    /// Notes that the day was read to its end.
    fn settle(&mut self) {
        let now = self.poll.run.now();
        let settle = self.source.config.archive_settle;
        let end = Offset::UTC
            .to_timestamp(self.date.to_datetime(jiff::civil::Time::midnight()))
            .map(|start| start + DAY);
        let age = end.map_or(SignedDuration::ZERO, |end| now.duration_since(end));
        let day = self.day();
        let is_old = day.appeared.is_some_and(|appeared| {
            // A day appears on the day after it.
            now.duration_since(appeared) >= settle || age >= settle + DAY
        });
        day.end(now, is_old || age >= settle + NEVER_COMES);
        self.progress.advance();
    }

    /// The files that are wanted; `None` when the list of them could not be understood.
    async fn files(&mut self, sensors: Option<&Seen>) -> Result<Option<Vec<DayFile>>, InputError> {
        let indoor = self.source.config.indoor;
        let mut files = Vec::new();
        let mut by_id = BTreeSet::new();
        for (id, types) in sensors.into_iter().flatten() {
            if types.known().next().is_none() {
                by_id.insert(*id);
            }
            for kind in types.known() {
                files.push(listing::name(self.date, kind, *id, false));
                if indoor {
                    files.push(listing::name(self.date, kind, *id, true));
                }
            }
        }
        if sensors.is_none() || !by_id.is_empty() {
            let Some(listed) = self.listed().await? else {
                return Ok(None);
            };
            let is_wanted = |file: &DayFile| sensors.is_none() || by_id.contains(&file.sensor);
            let listed = listed.into_iter();
            files.extend(listed.filter(|file| is_wanted(file) && (indoor || !file.is_indoor)));
        }
        files.sort();
        files.dedup();
        Ok(Some(files))
    }

    /// The files of the day; none when the day is not there.
    async fn listed(&mut self) -> Result<Option<Vec<DayFile>>, InputError> {
        let place = format!("/{}/", self.date);
        let mut batch = Batch::default();
        for folder in listing::folders(self.date, self.today) {
            let url = below(&self.source.config.archive_url, &folder);
            let url = url.map_err(|error| error.at(&place))?;
            let page = match self.source.client.get(self.poll.run, &url).await {
                Ok(page) => page,
                Err(FetchError::Refused(StatusCode::NOT_FOUND)) => continue,
                Err(error @ (FetchError::Refused(_) | FetchError::TooLarge(_))) => {
                    let source = &self.source.origin.source;
                    warn!(%source, place, %error, "list of files of the archive without success");
                    self.poll.run.counters.add("requests_failed", 1);
                    return Ok(None);
                }
                Err(error) => return Err(error.at(place)),
            };
            let listed = listing::files(&page, self.date);
            match &listed {
                Some(_) if self.poll.open.contains(&place) => batch.understood.push(place),
                Some(_) => {}
                None => {
                    let fault = Quarantine::new(
                        QuarantineReason::MalformedRecord,
                        "the list of files of the day holds no link",
                    );
                    batch.set_aside(fault, &place, None, page);
                }
            }
            self.poll.sink.take(batch).await?;
            return Ok(listed);
        }
        Ok(Some(Vec::new()))
    }

    /// Takes the rows of a file, or sets the file aside and says why.
    async fn take(
        &self,
        folder: &str,
        file: &DayFile,
        body: Vec<u8>,
        taken: &mut Taken,
    ) -> Result<Result<(), TableError>, InputError> {
        let place = format!("{folder}{}", file.name);
        let format = self.source.archive_format.clone();
        let name = place.clone();
        let task = tokio::task::spawn_blocking(move || {
            let read = rows::read(&format, &name, &body);
            (read, body)
        });
        let (read, body) = task.await.map_err(|error| InputError::Unreachable {
            place: place.clone(),
            problem: error.to_string(),
        })?;
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, error.to_string());
                taken.batch.set_aside(fault, &place, None, body);
                return Ok(Err(error));
            }
        };
        let counters = &self.poll.run.counters;
        counters.add("archive_files_read", 1);
        counters.add_labelled("samples_skipped", "no_value", read.empty);
        counters.add_labelled("samples_skipped", "bad_row", read.bad_not_kept);
        let mut bad = BTreeSet::new();
        for (line, detail, text) in read.bad {
            let place = format!("{place}:{line}");
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
            taken.batch.set_aside(fault, &place, None, text);
            bad.insert(place);
        }
        // The file as a whole, and rows that are well now.
        let open = self.poll.open.range(place.clone()..);
        let mine = open.take_while(|open| open.starts_with(&place));
        let well = mine.filter(|open| !bad.contains(*open)).cloned();
        taken.batch.understood.extend(well);
        let config = &self.source.config;
        for (station, sample) in read.samples {
            if feed::is_wanted_of_archive(config, file.sensor, &station, &sample) {
                taken.hours.add(station, sample);
            }
        }
        Ok(Ok(()))
    }

    /// Commits what was taken, and how far the day is.
    async fn commit(&mut self, taken: &mut Taken) -> Result<(), InputError> {
        let Taken { mut hours, batch } = std::mem::take(taken);
        let run = self.poll.run;
        if run.replay.is_some() {
            hours.retain(|station, hour| run.replays(station, hour));
        }
        let place = format!("/{}/", self.date);
        let mut last = batch;
        for record in hours.into_records(STATION_TYPE) {
            match record {
                Ok(record) => {
                    let place = place.as_str();
                    last.hours
                        .push(ReceivedRecord::new(record, place, Standing::Archive));
                }
                Err(fault) => last.set_aside(fault, &place, None, Vec::new()),
            }
        }
        // A replay leaves things as they are: what it reads was counted before.
        if run.replay.is_none() {
            last.checkpoints.push(checkpoint(ARCHIVE, self.progress));
        }
        self.poll.sink.take(last).await
    }
}

/// What was read and is not committed yet.
#[derive(Default)]
struct Taken {
    hours: Hours,
    batch: Batch,
}
