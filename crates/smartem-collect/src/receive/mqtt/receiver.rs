use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use smartem_model::QuarantineReason;
use smartem_mqtt::{Incoming, Refused};
use smartem_points::{FieldValue, PointBatch, SeriesKey};
use smartem_store::{Points, PointsError, Quarantined, Store, WriteReport};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::payload::{lines, number, push};
use super::sta::{StaInbox, StaMessage, StaRefused, StaTopic};
use super::stations::{Known, Stations};
use super::{Clock, DATABASE, Doorkeeper, MqttConfig, PushedSample, Target};
use crate::receive::aside::Aside;

const NOT_OURS: &str = "the topic is none of <prefix>/<station>/<indicator>, \
                        <prefix>/influx/<database> and <prefix>/push";
const NO_SET: &str = "the topic is no set of entities, such as v1.1/Observations, in which SensorThings \
                      could create one";
/// So many pieces of the channel are taken at a time.
const PIECES: usize = 256;
/// So far at most the times of numbers run ahead of the clock, in nanoseconds.
const AHEAD: i64 = 1_000_000_000;
/// The shortest and the longest pause before something that failed is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Takes messages until their senders are gone.
pub struct MqttReceiver {
    config: MqttConfig,
    points: Points,
    stations: Stations,
    aside: Aside,
    clock: Clock,
    sta: Option<Sta>,
    counters: Arc<Counters>,
    /// The time of the newest plain number: two numbers of one instant are two points.
    last: i64,
}

/// Where messages of SensorThings go.
struct Sta {
    inbox: Arc<dyn StaInbox>,
    /// Who knows their senders; `None` where another broker does.
    doorkeeper: Option<Arc<Doorkeeper>>,
}

/// What a receiver has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MqttCounts {
    /// Points written.
    pub points: u64,
    /// Messages that could not be used.
    pub refused: u64,
    /// Messages left out because another broker had kept them: nobody knows their time.
    pub kept: u64,
    /// Messages of which entities of SensorThings were created.
    pub sta_created: u64,
    /// Messages that were to create entities of SensorThings, and did not.
    pub sta_refused: u64,
}

#[derive(Default)]
struct Counters {
    points: AtomicU64,
    refused: AtomicU64,
    kept: AtomicU64,
    sta_created: AtomicU64,
    sta_refused: AtomicU64,
}

/// What is wrong with a message, for the quarantine and for its sender.
struct Fault {
    detail: String,
    why: Refused,
}

/// Messages on their way into the store.
#[derive(Default)]
struct Round {
    batches: BTreeMap<Box<str>, PointBatch>,
    /// Messages of lines by database, should there be no such database.
    lines: Vec<(usize, Box<str>)>,
    messages: Vec<Incoming>,
    /// Those that could not be used, with what is wrong.
    faults: BTreeMap<usize, Fault>,
    /// What is to become entities of SensorThings, and which messages those are.
    entities: Vec<StaMessage>,
    of_entities: Vec<usize>,
    /// How many of the faults are of those.
    refused_entities: usize,
    quarantined: Vec<Quarantined>,
    /// Made anew for each number, in the same memory.
    key: Vec<u8>,
}

/// The time to give up has come.
struct GivenUp;

impl MqttReceiver {
    /// A receiver that writes into `points`, knows the stations of `store`, and sets aside there what
    /// cannot be understood.
    pub fn new(config: MqttConfig, points: Points, store: Store, clock: Clock) -> Self {
        Self {
            config,
            points,
            aside: Aside::new(store.clone(), DATABASE),
            stations: Stations::new(store),
            clock,
            sta: None,
            counters: Arc::default(),
            last: i64::MIN,
        }
    }

    /// Hands messages of SensorThings to a service. The doorkeeper of the broker knows the projects of
    /// their senders; without one, what another broker lets through may do what the project of the
    /// settings may.
    #[must_use]
    pub fn with_sta(
        mut self,
        inbox: Arc<dyn StaInbox>,
        doorkeeper: Option<Arc<Doorkeeper>>,
    ) -> Self {
        self.sta = Some(Sta { inbox, doorkeeper });
        self
    }

    /// Tells what the receiver has done, also while it runs.
    pub fn counts(&self) -> impl Fn() -> MqttCounts + Send + Sync + 'static {
        let counters = self.counters.clone();
        move || MqttCounts {
            points: counters.points.load(Ordering::Relaxed),
            refused: counters.refused.load(Ordering::Relaxed),
            kept: counters.kept.load(Ordering::Relaxed),
            sta_created: counters.sta_created.load(Ordering::Relaxed),
            sta_refused: counters.sta_refused.load(Ordering::Relaxed),
        }
    }

    /// Takes messages until the channel is closed. While the store cannot write, nothing is taken and
    /// nobody is answered; `give_up` ends that, and unanswered messages come again.
    pub async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Vec<Incoming>>,
        give_up: CancellationToken,
    ) {
        if self.prepare(&give_up).await.is_err() {
            return;
        }
        let mut pieces = Vec::with_capacity(PIECES);
        while inbox.recv_many(&mut pieces, PIECES).await > 0 {
            let deadline = Instant::now() + self.config.gather;
            while pieces.iter().map(Vec::len).sum::<usize>() < self.config.gather_most {
                let more = timeout_at(deadline, inbox.recv_many(&mut pieces, PIECES));
                if !more.await.is_ok_and(|number| number > 0) {
                    break;
                }
            }
            let messages = pieces.drain(..).flatten().collect();
            if self.take(messages, &give_up).await.is_err() {
                return;
            }
        }
    }

    async fn prepare(&self, give_up: &CancellationToken) -> Result<(), GivenUp> {
        let mut retry = Retry::new("the database of MQTT cannot be made", give_up);
        while let Err(problem) = self.points.create_database(DATABASE).await {
            retry.after(&problem.to_string()).await?;
        }
        Ok(())
    }

    /// Writes the points of messages, sets aside what is none, and answers, in this order.
    async fn take(
        &mut self,
        messages: Vec<Incoming>,
        give_up: &CancellationToken,
    ) -> Result<(), GivenUp> {
        let now = (self.clock)();
        let mut round = Round {
            messages,
            ..Round::default()
        };
        for index in 0..round.messages.len() {
            if !self.read_entity(&mut round, index) {
                self.read(&mut round, index, now, give_up).await?;
            }
        }
        self.write(&mut round, give_up).await?;
        self.create(&mut round, give_up).await?;
        self.set_aside(&mut round, now, give_up).await?;
        for (index, message) in round.messages.into_iter().enumerate() {
            let Some(receipt) = message.receipt else {
                continue;
            };
            match round.faults.get(&index) {
                Some(fault) => receipt.refuse(fault.why),
                None => receipt.confirm(),
            }
        }
        Ok(())
    }

    /// Notes a message of SensorThings for its service; `false`: it is none, or there is no service.
    fn read_entity(&self, round: &mut Round, index: usize) -> bool {
        let message = &round.messages[index];
        let Some(sta) = &self.sta else {
            return false;
        };
        let Some(topic) = self.config.topics.sta(&message.topic) else {
            return false;
        };
        if message.kept {
            // It would be created again at each connection.
            self.counters.kept.fetch_add(1, Ordering::Relaxed);
        } else if topic.creates() {
            match sta.message(message, topic, self.config.project.as_deref()) {
                None => round.fault(index, "it is not known who sent this".to_owned()),
                Some(entity) => {
                    round.entities.push(entity);
                    round.of_entities.push(index);
                }
            }
        } else {
            round.fault(index, NO_SET.to_owned());
        }
        true
    }

    /// Creates the entities of the messages, whenever that is possible.
    async fn create(&self, round: &mut Round, give_up: &CancellationToken) -> Result<(), GivenUp> {
        let Some(sta) = self.sta.as_ref().filter(|_| !round.entities.is_empty()) else {
            return Ok(());
        };
        let mut retry = Retry::new("entities of MQTT messages cannot be created", give_up);
        let answers = loop {
            match sta.inbox.create(&round.entities).await {
                Ok(answers) => break answers,
                Err(problem) => retry.after(&problem.problem).await?,
            }
        };
        let mut answers = answers.into_iter();
        for index in std::mem::take(&mut round.of_entities) {
            let counter = match answers.next().unwrap_or_else(|| Err(no_answer())) {
                Ok(()) => &self.counters.sta_created,
                Err(StaRefused { why, reason }) => {
                    let fault = Fault {
                        detail: reason,
                        why,
                    };
                    round.faults.insert(index, fault);
                    round.refused_entities += 1;
                    &self.counters.sta_refused
                }
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Adds the points of one message to the batches.
    async fn read(
        &mut self,
        round: &mut Round,
        index: usize,
        now: Timestamp,
        give_up: &CancellationToken,
    ) -> Result<(), GivenUp> {
        let message = &round.messages[index];
        let (topic, payload) = (message.topic.clone(), message.payload.clone());
        let arrived = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        match self.config.topics.target(&topic) {
            None => round.fault(index, NOT_OURS.to_owned()),
            Some(Target::Number { .. }) if message.kept => {
                self.counters.kept.fetch_add(1, Ordering::Relaxed);
            }
            Some(Target::Number { station, indicator }) => match number(&payload) {
                Err(fault) => round.fault(index, fault),
                Ok(value) => match self.station_type(station, None, now, give_up).await? {
                    Err(fault) => round.fault(index, fault.to_string()),
                    Ok(station_type) => {
                        self.last = next_time(self.last, arrived);
                        round.add_number(&station_type, station, indicator, value, self.last);
                    }
                },
            },
            Some(Target::Lines { database }) => {
                let batch = round.batches.entry(database.into()).or_default();
                let faults = lines(&payload, arrived, batch);
                round.lines.push((index, database.into()));
                if !faults.is_empty() {
                    round.fault(index, faults.join("; "));
                }
            }
            Some(Target::Push) => match push(&payload) {
                Err(fault) => round.fault(index, fault),
                Ok(samples) => {
                    for sample in samples {
                        let told = sample.station_type.as_deref();
                        let known = self.station_type(&sample.station, told, now, give_up);
                        match known.await? {
                            Err(fault) => round.fault(index, fault.to_string()),
                            Ok(station_type) => round.add_sample(&station_type, &sample, arrived),
                        }
                    }
                }
            },
        }
        Ok(())
    }

    async fn station_type(
        &mut self,
        station: &str,
        told: Option<&str>,
        now: Timestamp,
        give_up: &CancellationToken,
    ) -> Result<Known, GivenUp> {
        let mut retry = Retry::new("stations of MQTT messages cannot be looked up", give_up);
        loop {
            let known = self.stations.station_type(station, told, &self.config, now);
            match known.await {
                Ok(known) => return Ok(known),
                Err(problem) => retry.after(&problem.to_string()).await?,
            }
        }
    }

    /// Writes the batches; what they cannot take becomes a fault.
    async fn write(&self, round: &mut Round, give_up: &CancellationToken) -> Result<(), GivenUp> {
        for (database, batch) in std::mem::take(&mut round.batches) {
            if batch.is_empty() {
                continue;
            }
            match self.write_batch(&database, &batch, give_up).await? {
                Ok(report) => {
                    self.counters
                        .points
                        .fetch_add(report.written, Ordering::Relaxed);
                    for refusal in report.refused {
                        round.set_aside(
                            &format!("{database}/{}/{}", refusal.measurement, refusal.field),
                            format!(
                                "field `{}` of measurement `{}` is of type {}, not {}",
                                refusal.field, refusal.measurement, refusal.known, refusal.sent
                            ),
                            Vec::new(),
                        );
                    }
                }
                Err(problem) => {
                    for (index, lines_of) in std::mem::take(&mut round.lines) {
                        if lines_of == database {
                            round.fault(index, problem.to_string());
                        } else {
                            round.lines.push((index, lines_of));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a batch, whenever that is possible.
    async fn write_batch(
        &self,
        database: &str,
        batch: &PointBatch,
        give_up: &CancellationToken,
    ) -> Result<Result<WriteReport, PointsError>, GivenUp> {
        let mut retry = Retry::new("MQTT messages cannot be written", give_up);
        loop {
            match self.points.write(database, batch.clone()).await {
                Err(PointsError::Unavailable { problem }) => retry.after(&problem).await?,
                done => return Ok(done),
            }
        }
    }

    async fn set_aside(
        &self,
        round: &mut Round,
        now: Timestamp,
        give_up: &CancellationToken,
    ) -> Result<(), GivenUp> {
        for (index, fault) in &round.faults {
            let message = &round.messages[*index];
            round.quarantined.push(Quarantined {
                station: None,
                place: message.topic.to_string(),
                reason: QuarantineReason::MalformedRecord,
                detail: fault.detail.clone(),
                body: message.payload.to_vec(),
            });
        }
        if round.quarantined.is_empty() {
            return Ok(());
        }
        let of_points = round.faults.len().saturating_sub(round.refused_entities);
        self.counters
            .refused
            .fetch_add(of_points as u64, Ordering::Relaxed);
        let quarantined = std::mem::take(&mut round.quarantined);
        let mut retry = Retry::new("MQTT messages cannot be set aside", give_up);
        while let Err(problem) = self.aside.put(quarantined.clone(), now).await {
            retry.after(&problem.to_string()).await?;
        }
        Ok(())
    }
}

impl Sta {
    /// A message with its sender; `None`: it is not known who sent it.
    fn message(
        &self,
        message: &Incoming,
        topic: StaTopic<'_>,
        project_of_others: Option<&str>,
    ) -> Option<StaMessage> {
        let project = match &self.doorkeeper {
            None => project_of_others.map(Into::into),
            Some(doorkeeper) => doorkeeper.principal(message.user.as_deref()?)?.project,
        };
        Some(StaMessage {
            user: message.user.clone(),
            project,
            version: topic.version,
            path: topic.path.into(),
            payload: message.payload.clone(),
            again: message.again,
        })
    }
}

/// A service that does not answer for a message has a fault; nobody must believe that it took it.
fn no_answer() -> StaRefused {
    StaRefused {
        why: Refused::Payload,
        reason: "the service gave no answer for this message".to_owned(),
    }
}

impl Round {
    /// The first fault of a message holds.
    fn fault(&mut self, index: usize, detail: String) {
        let why = Refused::Payload;
        self.faults.entry(index).or_insert(Fault { detail, why });
    }

    fn set_aside(&mut self, place: &str, detail: String, body: Vec<u8>) {
        self.quarantined.push(Quarantined {
            station: None,
            place: place.to_owned(),
            reason: QuarantineReason::MalformedRecord,
            detail,
            body,
        });
    }

    fn add_number(
        &mut self,
        station_type: &str,
        station: &str,
        indicator: &str,
        value: f64,
        time: i64,
    ) {
        // No key of line protocol begins with the end of a line.
        self.key.clear();
        self.key.push(b'\n');
        self.key.extend_from_slice(station.as_bytes());
        let batch = self.batches.entry(DATABASE.into()).or_default();
        let key = || Ok::<_, Infallible>(SeriesKey::new(station_type, [("station", station)]));
        let Ok(series) = batch.add_series_text(&self.key, key);
        let field = batch.add_field(indicator);
        batch.push_field(field, &FieldValue::Float(value));
        batch.end_point(series, time, 0);
    }

    fn add_sample(&mut self, station_type: &str, sample: &PushedSample, arrived: i64) {
        let instrument = sample.instrument.as_deref().unwrap_or_default();
        // A tag without a value is no tag.
        let tags = [
            ("station", sample.station.as_str()),
            ("meta_id", instrument),
        ];
        let key = SeriesKey::new(station_type, tags);
        let values = sample.values.iter();
        let values = values.map(|(name, value)| (name.as_str(), value.clone()));
        let batch = self.batches.entry(DATABASE.into()).or_default();
        batch.push(key, sample.time.unwrap_or(arrived), values);
    }
}

/// The time of a number that arrived now, later than the one before; after a clock that was set back
/// it begins anew.
fn next_time(last: i64, arrived: i64) -> i64 {
    let ahead = last.saturating_sub(arrived);
    if (0..AHEAD).contains(&ahead) {
        last.saturating_add(1)
    } else {
        arrived
    }
}

/// Pauses between attempts of what must succeed before senders are answered.
struct Retry<'a> {
    what: &'static str,
    give_up: &'a CancellationToken,
    pause: Duration,
}

impl<'a> Retry<'a> {
    fn new(what: &'static str, give_up: &'a CancellationToken) -> Self {
        Self {
            what,
            give_up,
            pause: RETRY.0,
        }
    }

    /// Waits after a failure; an error when the time to give up has come.
    async fn after(&mut self, problem: &str) -> Result<(), GivenUp> {
        if self.pause == RETRY.0 {
            error!(problem, "{}; their senders wait", self.what);
        }
        let waited = self.give_up.run_until_cancelled(sleep(self.pause)).await;
        self.pause = (self.pause * 2).min(RETRY.1);
        waited.ok_or(GivenUp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_instant_have_times_of_their_own_whatever_the_clock_does() {
        let (now, year) = (1_800_000_000_000_000_000, 31_536_000_000_000_000);
        assert_eq!(next_time(i64::MIN, now), now);
        assert_eq!(next_time(now, now), now + 1);
        assert_eq!(next_time(now + 5, now), now + 6);
        assert_eq!(next_time(now, now + 9), now + 9);
        // The clock was a year ahead and is right again.
        assert_eq!(next_time(now + year, now), now);
    }
}
