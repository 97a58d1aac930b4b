//! Sensor.Community (once Luftdaten): the feeds of its API, and its archive for what was missed.

mod archive;
mod config;
mod feed;
mod item;
mod listing;
mod progress;
mod rows;
mod seen;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::StreamExt;
use jiff::SignedDuration;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use smartem_etl::{
    About, Batch, Input, InputError, Intent, Kind, Origin, Outcome, Run, SettingsError, Sink,
};
use smartem_model::{Quarantine, QuarantineReason};
use smartem_store::{ReceivedRecord, Standing};
use tracing::{info, warn};
use url::Url;

pub use config::{SensorCommunityConfig, SensorSetting};
use feed::{FIVE_MINUTES, FIVE_MINUTES_AVERAGED, FeedProgress, Found, LAST_HOUR, Scope};
use seen::Seen;
pub(crate) use values::Values;

use super::csv;
use super::http::{Client, Document, FetchError, Validators};

/// Stations of this source are kits of Sensor.Community.
const STATION_TYPE: &str = "luftdaten";

/// What the reference says of this input.
const ABOUT: About = About {
    name: "sensor-community",
    summary: "Measurements of Sensor.Community (Luftdaten) kits, as they come and from the archive.",
    text: "Polls the measurements of the last five minutes: of the given boxes, countries and sensors, \
        or of the whole world. Each item is a sample of the hour of its own time, with the numbers as \
        they were sent; items that come twice count once. A station is a location: its id is `4931` and \
        the number of the location. Each of its sensors is an instrument of its own, `SDS011-5331`.\n\n\
        `P1`, `P2` and `P0` become `pm10`, `pm2_5` and `pm1`, `pressure` comes in Pa and becomes hPa, \
        `pressure_at_sealevel` is left out, every other type keeps its name; types that no table knows \
        are counted and logged. A value that is no number is left out and counted. An item without \
        sensor, location or time is set aside, one for each sensor, until a good one comes.\n\n\
        What a missed poll has lost comes from the averages of the last hour (`hour_feed`) and from the \
        archive (`archive`): both only fill hours of which nothing is stored.",
    checkpoint: "The time of the last poll and the validators of its answers; of the archive the first \
        day that is not settled, for later days when they were read and which files failed, and the last \
        file of a day that is not read to its end; the sensors seen, whose archive files are wanted.",
    example: r#"
[process.harvester-sensor-community]
input = "sensor-community"
output = ["store.raw", "store.last"]
schedule = "*/5 * * * *"
budget = "240s"

[[process.harvester-sensor-community.source]]
name = "sensor-community"
boxes = [[51.7, 5.6, 51.9, 6.0]]
archive = true
"#,
};

/// This kind of input.
pub fn kind() -> Kind<Box<dyn Input>> {
    Kind::new(ABOUT, |config: SensorCommunityConfig, _| {
        Ok(Box::new(SensorCommunity::new(config)?))
    })
}

/// Records committed together.
const RECORDS: usize = 100;
/// The feed holds five minutes; a poll this long after the one before has missed something.
const MISSED: SignedDuration = SignedDuration::from_secs(450);
/// After so many requests in a row without an answer the source is left alone.
const DOUBT_AFTER: usize = 3;
/// Value types that no table knows are counted by name up to this many.
const UNKNOWN_TYPES: usize = 50;

const FEED: &str = "feed";
const SENSORS: &str = "sensors";
/// Stands for the sensor of items that do not tell theirs.
const UNKNOWN_SENSOR: &str = "unknown";

/// Sensor.Community as an input.
pub struct SensorCommunity {
    origin: Origin,
    config: SensorCommunityConfig,
    client: Client,
    archive_format: csv::Format,
}

impl SensorCommunity {
    /// An input over this source.
    ///
    /// # Errors
    /// When a setting makes no sense.
    pub fn new(config: SensorCommunityConfig) -> Result<Self, SettingsError> {
        for [lat_min, lon_min, lat_max, lon_max] in &config.boxes {
            // What is not a number is smaller than nothing.
            if !(lat_min < lat_max && lon_min < lon_max) {
                return Err(SettingsError(format!(
                    "`boxes`: [{lat_min}, {lon_min}, {lat_max}, {lon_max}] holds nothing; write \
                     [lat_min, lon_min, lat_max, lon_max]"
                )));
            }
            let is_on_earth =
                *lat_min >= -90.0 && *lat_max <= 90.0 && *lon_min >= -180.0 && *lon_max <= 180.0;
            if !is_on_earth {
                return Err(SettingsError(format!(
                    "`boxes`: [{lat_min}, {lon_min}, {lat_max}, {lon_max}] is not on Earth; write \
                     [lat_min, lon_min, lat_max, lon_max] with latitudes from -90 to 90 and \
                     longitudes from -180 to 180, such as [51.7, 5.6, 51.9, 6.0]"
                )));
            }
        }
        let is_code =
            |code: &String| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic());
        if let Some(other) = config.countries.iter().find(|code| !is_code(code)) {
            return Err(SettingsError(format!(
                "`countries`: `{other}` is no country code; write two letters such as `NL`"
            )));
        }
        let origin = config.names.origin();
        let mapping = csv::complete(&csv::Mapping::default(), Some("sensor-community-archive"))?;
        Ok(Self {
            archive_format: csv::Format::new(mapping, &origin.network, None)?,
            client: Client::new(HeaderMap::new(), config.http.clone())
                .map_err(|error| SettingsError(error.to_string()))?,
            origin,
            config,
        })
    }

    /// Reads the last five minutes and, where a poll was missed, the averages of the last hour.
    async fn poll(&self, poll: &Poll<'_>, intent: Intent) -> Result<Outcome, InputError> {
        let mut progress: FeedProgress = poll.checkpoint(FEED);
        let places = rotated(feed::places(&self.config), progress.after.as_deref());
        let mut answers = self.ask(poll, &places, &progress.validators).await;
        let is_whole = answers.failure.is_none() && answers.cut_off.is_none();
        let now = poll.run.now();
        let was_missed = progress
            .polled
            .is_none_or(|polled| now.duration_since(polled) > MISSED);
        if is_whole {
            progress.polled = Some(now);
        }
        // What was missed is owed until the averages that stand for it are in the store.
        let wants_averages = self.config.hour_feed && intent.wants_history();
        progress.owes_averages |= wants_averages && was_missed;
        progress.after = answers.cut_off.clone();
        progress.validators = answers.validators;
        // An item without a sensor can have come from any of the places.
        let unknown = bad_place(UNKNOWN_SENSOR);
        let is_well = answers.understood == places.len()
            && answers.found.bad.iter().all(|bad| bad.sensor.is_some());
        if is_well && poll.open.contains(&unknown) {
            answers.batch.understood.push(unknown);
        }
        if answers.failure.is_none() || answers.any_success {
            self.commit(poll, intent, answers.found, answers.batch, &progress)
                .await?;
        }
        let mut failure = answers.failure.filter(|_| !answers.any_success);
        if wants_averages && progress.owes_averages && poll.run.should_end().is_none() {
            progress.owes_averages = false;
            match self.read_averages(poll, &progress).await {
                Ok(()) => failure = None,
                Err(InputError::Unreachable { place, problem }) => {
                    warn!(source = %self.origin.source, place, problem, "averages not read");
                }
                Err(error) => return Err(error),
            }
        }
        match (failure, poll.run.should_end()) {
            (Some(failure), _) => Err(failure),
            (None, Some(outcome)) if answers.cut_off.is_some() => Ok(outcome),
            (None, _) => Ok(Outcome::Done),
        }
    }

    /// Asks for all places, several at a time, until the run ends or the source falls silent.
    async fn ask(
        &self,
        poll: &Poll<'_>,
        places: &[String],
        known: &BTreeMap<String, Validators>,
    ) -> Answers {
        let scope = if places.iter().any(|place| place.starts_with("/static/")) {
            Scope::World
        } else {
            Scope::Chosen
        };
        let fetch = |place: String| async move {
            let known = known.get(&place).filter(|_| poll.run.replay.is_none());
            let known = known.cloned().unwrap_or_default();
            let mut answer = self.document(poll.run, &place, &known).await;
            let is_missing = matches!(answer, Err(FetchError::Refused(StatusCode::NOT_FOUND)));
            if is_missing && place == FIVE_MINUTES {
                answer = self.document(poll.run, FIVE_MINUTES_AVERAGED, &known).await;
            }
            (place, known, answer)
        };
        let requests = futures::stream::iter(places.iter().cloned().map(fetch));
        let mut requests = requests.buffered(self.client.parallel());
        let mut answers = Answers::default();
        let mut last = None;
        let mut silent = 0;
        while let Some((place, known, answer)) = requests.next().await {
            match answer {
                Ok(None) => {
                    answers.any_success = true;
                    answers.keep(&place, known);
                    silent = 0;
                }
                Ok(Some(document)) => {
                    silent = 0;
                    let validators = document.validators.clone();
                    if self.take(poll, &place, scope, document, &mut answers).await {
                        answers.keep(&place, validators);
                    }
                }
                Err(FetchError::Interrupted) => {
                    answers.cut_off = Some(last.unwrap_or_default());
                    break;
                }
                Err(error) => {
                    let was_answered = matches!(error, FetchError::Refused(_));
                    silent = if was_answered { 0 } else { silent + 1 };
                    warn!(source = %self.origin.source, place, %error, "request without success");
                    poll.run.counters.add("requests_failed", 1);
                    answers.failure = Some(error.at(place.clone()));
                }
            }
            last = Some(place);
            if silent >= DOUBT_AFTER {
                answers.cut_off = last;
                break;
            }
        }
        answers
    }

    async fn document(
        &self,
        run: &Run,
        place: &str,
        known: &Validators,
    ) -> Result<Option<Document>, FetchError> {
        let url = below(&self.config.url, place)?;
        self.client.get_if_changed(run, &url, known).await
    }

    /// Takes the items of a body, or sets the body aside; whether it was understood.
    async fn take(
        &self,
        poll: &Poll<'_>,
        place: &str,
        scope: Scope,
        document: Document,
        answers: &mut Answers,
    ) -> bool {
        answers.any_success = true;
        let body = document.body;
        let read = tokio::task::spawn_blocking(move || (item::items(&body), body)).await;
        let (read, body) = match read {
            Ok(read) => read,
            Err(error) => (Err(error.to_string()), Vec::new()),
        };
        match read {
            Ok(items) => {
                if poll.open.contains(place) {
                    answers.batch.understood.push(place.to_owned());
                }
                answers.understood += 1;
                answers.found.take(&self.config, scope, items);
                true
            }
            Err(detail) => {
                let fault = Quarantine::new(QuarantineReason::MalformedRecord, detail);
                answers.batch.set_aside(fault, place, None, body);
                false
            }
        }
    }

    /// Reads the averages of the last hour; the checkpoint says that they are no longer owed.
    async fn read_averages(
        &self,
        poll: &Poll<'_>,
        progress: &FeedProgress,
    ) -> Result<(), InputError> {
        let none = Validators::default();
        let document = self.document(poll.run, LAST_HOUR, &none).await;
        let Some(document) = document.map_err(|error| error.at(LAST_HOUR))? else {
            return Ok(());
        };
        let mut answers = Answers::default();
        let was_understood = self
            .take(poll, LAST_HOUR, Scope::World, document, &mut answers)
            .await;
        let mut batch = answers.batch;
        if was_understood {
            batch.checkpoints.push(checkpoint(FEED, progress));
        }
        self.note(poll, &answers.found, &mut batch);
        self.commit_hours(poll, answers.found, Standing::Average, LAST_HOUR, batch)
            .await
    }

    /// Commits what was found; its checkpoint comes with the last batch.
    async fn commit(
        &self,
        poll: &Poll<'_>,
        intent: Intent,
        mut found: Found,
        mut batch: Batch,
        progress: &FeedProgress,
    ) -> Result<(), InputError> {
        self.note(poll, &found, &mut batch);
        if intent.wants_last() {
            let newest = std::mem::take(&mut found.newest);
            let mut snapshots = Batch::default();
            for record in newest.into_records(STATION_TYPE) {
                match record {
                    Ok(record) => snapshots
                        .snapshots
                        .push(ReceivedRecord::whole(record, FEED)),
                    Err(fault) => snapshots.set_aside(fault, FEED, None, Vec::new()),
                }
                if snapshots.snapshots.len() >= RECORDS {
                    poll.sink.take(std::mem::take(&mut snapshots)).await?;
                }
            }
            poll.sink.take(snapshots).await?;
        }
        if self.config.archive && !feed::takes_world(&self.config) {
            let mut known: Seen = poll.checkpoint(SENSORS);
            let mut is_new = false;
            for (sensor, kind) in &found.sensors {
                is_new |= known.entry(*sensor).or_default().add(kind);
            }
            if is_new {
                batch.checkpoints.push(checkpoint(SENSORS, &known));
            }
        }
        batch.checkpoints.push(checkpoint(FEED, progress));
        if !intent.wants_history() {
            return poll.sink.take(batch).await;
        }
        self.commit_hours(poll, found, Standing::Part, FEED, batch)
            .await
    }

    /// Commits hours in batches, and with the last of them what is in `batch` already.
    async fn commit_hours(
        &self,
        poll: &Poll<'_>,
        found: Found,
        standing: Standing,
        place: &str,
        batch: Batch,
    ) -> Result<(), InputError> {
        let mut hours = found.hours;
        if poll.run.replay.is_some() {
            hours.retain(|station, hour| poll.run.replays(station, hour));
        }
        let mut taken = Batch::default();
        for record in hours.into_records(STATION_TYPE) {
            match record {
                Ok(record) => taken
                    .hours
                    .push(ReceivedRecord::new(record, place, standing)),
                Err(fault) => taken.set_aside(fault, place, None, Vec::new()),
            }
            if taken.hours.len() >= RECORDS {
                poll.sink.take(std::mem::take(&mut taken)).await?;
            }
        }
        taken.quarantined.extend(batch.quarantined);
        taken.understood.extend(batch.understood);
        taken.checkpoints.extend(batch.checkpoints);
        poll.sink.take(taken).await
    }

    /// Sets bad items aside, one for each sensor, and resolves those of sensors that are well again.
    #[expect(
        clippy::unused_self,
        reason = "reads as a step of the harvest beside its siblings"
    )]
    fn note(&self, poll: &Poll<'_>, found: &Found, batch: &mut Batch) {
        let counters = &poll.run.counters;
        for (reason, count) in &found.skipped {
            counters.add_labelled("samples_skipped", reason, *count);
        }
        for (kind, count) in found.unknown.iter().take(UNKNOWN_TYPES) {
            info!(
                kind,
                count, "value type without an indicator; kept under its own name"
            );
            counters.add_labelled("value_types_unknown", kind, *count);
        }
        let mut bad_places = BTreeSet::new();
        for bad in &found.bad {
            let sensor = bad
                .sensor
                .map_or_else(|| UNKNOWN_SENSOR.to_owned(), |id| id.to_string());
            let place = bad_place(&sensor);
            let fault = Quarantine::new(QuarantineReason::MalformedRecord, bad.detail.as_str());
            counters.add_labelled("samples_skipped", "bad_item", 1);
            if bad_places.insert(place.clone()) {
                batch.set_aside(fault, &place, None, bad.text.clone().into_bytes());
            }
        }
        let well = found.sensors.keys().map(|id| bad_place(&id.to_string()));
        batch
            .understood
            .extend(well.filter(|place| poll.open.contains(place) && !bad_places.contains(place)));
    }
}

/// The place of bad items of a sensor: the newest of the feeds has no address of its own.
fn bad_place(sensor: &str) -> String {
    format!("{FEED}#sensor-{sensor}")
}

/// What a run knows of the source.
struct Poll<'a> {
    run: &'a Run,
    sink: &'a Sink<'a>,
    known: BTreeMap<String, Value>,
    /// Open quarantine places.
    open: BTreeSet<String>,
}

impl<'a> Poll<'a> {
    async fn new(run: &'a Run, sink: &'a Sink<'a>, source: &str) -> Result<Self, InputError> {
        let store = sink.store();
        Ok(Self {
            known: store.checkpoints(&run.process, source).await?,
            open: store
                .open_quarantine_places(source)
                .await?
                .into_keys()
                .collect(),
            run,
            sink,
        })
    }

    fn checkpoint<T: DeserializeOwned + Default>(&self, partition: &str) -> T {
        let known = self.known.get(partition);
        let read = known.and_then(|position| serde_json::from_value(position.clone()).ok());
        read.unwrap_or_default()
    }
}

/// What the requests of a poll gave.
#[derive(Default)]
struct Answers {
    found: Found,
    /// What is set aside or resolved.
    batch: Batch,
    validators: BTreeMap<String, Validators>,
    any_success: bool,
    /// How many bodies were read and understood.
    understood: usize,
    /// The last place without success.
    failure: Option<InputError>,
    /// Where the poll ended before its end.
    cut_off: Option<String>,
}

impl Answers {
    fn keep(&mut self, place: &str, validators: Validators) {
        if validators != Validators::default() {
            self.validators.insert(place.to_owned(), validators);
        }
    }
}

/// The places in order, beginning behind the one that was the last before.
fn rotated(mut places: Vec<String>, after: Option<&str>) -> Vec<String> {
    let last = after.and_then(|after| places.iter().position(|place| place == after));
    if let Some(last) = last {
        places.rotate_left(last + 1);
    }
    places
}

/// The address of a place below a base.
fn below(base: &Url, place: &str) -> Result<Url, FetchError> {
    let base = base.as_str().trim_end_matches('/');
    // What is no address is nowhere.
    let none = |_| FetchError::Refused(reqwest::StatusCode::NOT_FOUND);
    format!("{base}{place}").parse().map_err(none)
}

fn checkpoint(partition: &str, position: &impl Serialize) -> (String, Value) {
    // Maps with text keys, texts and times are always JSON.
    let position = serde_json::to_value(position).unwrap_or_default();
    (partition.to_owned(), position)
}

#[async_trait]
impl Input for SensorCommunity {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        let poll = Poll::new(run, sink, &self.origin.source).await?;
        let polled = self.poll(&poll, intent).await;
        // The archive is another host: it can be there when the API is not.
        let fills = self.config.archive && intent.wants_history();
        if !fills || matches!(polled, Err(InputError::Store(_) | InputError::Interrupted)) {
            return polled;
        }
        if let Some(outcome) = run.should_end() {
            return polled.map(|_| outcome);
        }
        let poll = Poll::new(run, sink, &self.origin.source).await?;
        match (polled, archive::fill(self, &poll).await) {
            (Ok(Outcome::Done), Err(InputError::Unreachable { place, problem })) => {
                warn!(source = %self.origin.source, place, problem, "archive not read");
                Ok(Outcome::Done)
            }
            (Ok(Outcome::Done), filled) => filled,
            (polled, Err(InputError::Unreachable { .. })) => polled,
            (Err(InputError::Unreachable { .. }), filled) => filled,
            (polled, Ok(_)) => polled,
            (_, Err(error)) => Err(error),
        }
    }
}
