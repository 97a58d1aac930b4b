//! What an operator looks at: quarantine, runs, counters, backlog, integrity.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_model::{Hour, QuarantineReason, StationId};

/// Where on the way something was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// While coming in.
    Harvest,
    /// While being refined; its body is the raw record.
    Refine,
}

impl Stage {
    /// The stage as it is written in outputs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Harvest => "harvest",
            Self::Refine => "refine",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Harvest, Self::Refine]
            .into_iter()
            .find(|stage| stage.as_str() == name)
    }
}

/// Which quarantine entries; the newest first.
#[derive(Clone, Copy, Debug)]
pub struct QuarantineFilter {
    /// Leave out the resolved ones.
    pub open_only: bool,
    /// At most so many.
    pub limit: usize,
}

/// Something set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// The number it is asked for by.
    pub id: i64,
    /// Where on the way.
    pub stage: Stage,
    /// The process that set it aside.
    pub process: String,
    /// The source it came from; for [`Stage::Refine`] `store`.
    pub source: String,
    /// The station, where it is known.
    pub station: Option<StationId>,
    /// The URL it was found at, or station and hour.
    pub place: String,
    /// The rule it failed.
    pub reason: QuarantineReason,
    /// What exactly, in words.
    pub detail: String,
    /// The body as it came; `None` in lists and for hours, whose raw record is kept anyway.
    pub body: Option<Vec<u8>>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How often.
    pub seen: u64,
    /// When a good record took its place; `None` while it is open.
    pub resolved_at: Option<Timestamp>,
}

/// The number of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub(crate) i64);

impl RunId {
    /// The number, for logs.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// How a run of a process ended.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// In a word: `done`, `unreachable`, `stopped`, ...
    pub outcome: String,
    /// The exit code of `etl run`.
    pub exit_code: i32,
    /// The summary line as data.
    pub summary: Value,
    /// What to add to the running totals of the process.
    pub counters: Vec<RunCount>,
    /// When it ended.
    pub now: Timestamp,
}

/// Something a run counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCount {
    /// What: `records_read`, `samples_rejected`, ...
    pub name: String,
    /// A label that splits it, such as the reason; may be empty.
    pub label: String,
    /// How much to add.
    pub add: u64,
}

/// A run of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// The process.
    pub process: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs, or when it was killed.
    pub finished_at: Option<Timestamp>,
    /// See [`RunResult::outcome`].
    pub outcome: Option<String>,
    /// See [`RunResult::exit_code`].
    pub exit_code: Option<i32>,
    /// See [`RunResult::summary`].
    pub summary: Option<Value>,
}

/// A running total over all runs of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterRow {
    /// The process.
    pub process: String,
    /// What is counted.
    pub name: String,
    /// The label that splits it.
    pub label: String,
    /// The total.
    pub value: u64,
}

/// How much there is, and how much is waiting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Stations.
    pub stations: u64,
    /// Station-hours received.
    pub raw_records: u64,
    /// Station-hours to be refined.
    pub dirty_hours: u64,
    /// Observations of hours.
    pub observations: u64,
    /// Open quarantine entries by stage and reason.
    pub quarantine: Vec<QuarantineCount>,
}

/// How many quarantine entries of one kind are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineCount {
    /// Where on the way.
    pub stage: Stage,
    /// The rule they failed.
    pub reason: QuarantineReason,
    /// How many.
    pub open: u64,
}

/// What a check of the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Raw records whose content was read and compared with its hash.
    pub records: u64,
    /// What is wrong, one line each; empty when all is well.
    pub problems: Vec<String>,
}

/// A step of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1.
    pub version: u32,
    /// What it brings.
    pub name: &'static str,
}

/// How far the processes got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The newest hour that each source brought.
    pub reach: Vec<Reach>,
    /// When the oldest of the hours that wait to be refined arrived; hours that may still grow do not
    /// wait.
    pub waiting_since: Option<Timestamp>,
    /// How many hours wait to be refined.
    pub waiting: u64,
    /// Open quarantine entries by process.
    pub quarantined: Vec<(String, u64)>,
    /// When each process last moved a checkpoint.
    pub moved: Vec<(String, Timestamp)>,
}

/// The newest hour that a source brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The harvester.
    pub process: String,
    /// The source.
    pub source: String,
    /// The hour.
    pub newest: Hour,
}

impl Progress {
    /// How long ago the newest hour of a harvester ended: of the source that is furthest behind.
    pub fn harvest_lag(&self, process: &str, now: Timestamp) -> Option<SignedDuration> {
        let reach = self.reach.iter().filter(|reach| reach.process == process);
        let furthest = reach.map(|reach| reach.newest).min()?;
        Some(since(furthest.period().end, now))
    }

    /// How long the oldest hour has waited to be refined; zero when none waits.
    pub fn refine_lag(&self, now: Timestamp) -> SignedDuration {
        self.waiting_since
            .map_or(SignedDuration::ZERO, |arrived| since(arrived, now))
    }
}

fn since(time: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(time).max(SignedDuration::ZERO)
}

/// The connections of one program to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolNumbers {
    /// At most so many.
    pub max: u64,
    /// Connected, with nothing to do.
    pub idle: u64,
    /// In use, or being made.
    pub busy: u64,
    /// Tasks that wait for one.
    pub waiting: u64,
}
