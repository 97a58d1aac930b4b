use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_model::{Hour, StationId};
use smartem_store::{RunCount, RunResult, Selection, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::progress::Progress;

/// Tells the time; the only way a process learns it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A named job that moves data, as `smartem etl run <name>` runs it.
#[async_trait]
pub trait Process: Send + Sync {
    /// The name in configuration, logs and metrics: `harvester-whale`.
    fn name(&self) -> &str;

    /// Whether several runs divide the work among each other where programs on several machines share the
    /// store; otherwise one run is at work at a time.
    fn is_divided(&self) -> bool {
        false
    }

    /// Works until nothing is left, the budget is spent or the run is to stop.
    async fn run(&self, run: &Run) -> Result<Outcome, ProcessError>;
}

/// How a run ended, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything there was to do is done.
    Done,
    /// The time budget is spent; the next run goes on.
    BudgetSpent,
    /// Told to stop with work left.
    Stopped,
    /// Nothing was reached, so nothing could be done.
    Unreachable,
    /// Another run of the same process is at work.
    AlreadyRunning,
}

impl Outcome {
    /// The outcome as it is written in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::BudgetSpent => "budget_spent",
            Self::Stopped => "stopped",
            Self::Unreachable => "unreachable",
            Self::AlreadyRunning => "already_running",
        }
    }
}

/// Exit status of a run, after `sysexits.h`; Job failure policies rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Done, nothing to do, budget spent with work left, or records quarantined.
    Ok,
    /// No later run can pass: the data needs a person.
    Data,
    /// No progress because something was unreachable, or stopped with work left.
    TryAgain,
    /// The configuration needs a person.
    Configuration,
}

impl ExitCode {
    /// 0, 65, 75 or 78.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Data => 65,
            Self::TryAgain => 75,
            Self::Configuration => 78,
        }
    }
}

impl From<&StoreError> for ExitCode {
    /// What would help with a store that failed.
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::NewerSchema { .. }
            | StoreError::Corrupt { .. }
            | StoreError::DamagedRecord { .. }
            | StoreError::CopyDiffers { .. }
            | StoreError::UnknownValue { .. } => Self::Data,
            StoreError::NotMigrated { .. }
            | StoreError::Address { .. }
            | StoreError::Denied { .. }
            | StoreError::Unprepared { .. }
            | StoreError::NotEmpty { .. }
            | StoreError::Uncommitted { .. }
            | StoreError::NotHere { .. } => Self::Configuration,
            _ => Self::TryAgain,
        }
    }
}

/// How a run is reported: its exit status, and its outcome in a word.
fn verdict(result: &Result<Outcome, ProcessError>) -> (ExitCode, &'static str) {
    match result {
        Ok(outcome @ (Outcome::Stopped | Outcome::Unreachable)) => {
            (ExitCode::TryAgain, outcome.as_str())
        }
        Ok(outcome) => (ExitCode::Ok, outcome.as_str()),
        Err(error) => (error.exit_code(), "failed"),
    }
}

/// A run that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the process does itself failed.
    #[error("{problem}")]
    Failed {
        /// Why, with the remedy.
        problem: String,
        /// What would help.
        exit_code: ExitCode,
    },
    /// A task of the run ended unexpectedly.
    #[error("a task of the run ended unexpectedly")]
    Task(#[from] tokio::task::JoinError),
}

impl ProcessError {
    /// The exit status that tells what would help.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Store(error) => error.into(),
            Self::Failed { exit_code, .. } => *exit_code,
            Self::Task(_) => ExitCode::TryAgain,
        }
    }
}

/// What a process has at hand while it runs.
pub struct Run {
    /// Name of the process.
    pub process: String,
    /// The store.
    pub store: Store,
    /// Set when the run is to end after the batch at hand.
    pub stop: CancellationToken,
    /// What was counted so far.
    pub counters: Counters,
    /// What is to be read again, whatever the checkpoints say; `None` in a usual run.
    pub replay: Option<Selection>,
    clock: Clock,
    deadline: Option<Instant>,
    progress: Progress,
}

impl Run {
    /// A run that starts now and may take `budget`.
    pub fn new(
        process: &str,
        store: Store,
        clock: Clock,
        budget: Option<Duration>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            process: process.to_owned(),
            store,
            stop,
            counters: Counters::default(),
            replay: None,
            clock,
            deadline: budget.map(|budget| Instant::now() + budget),
            progress: Progress::hidden(),
        }
    }

    /// A run whose progress is drawn where standard error is a terminal.
    #[must_use]
    pub fn with_progress(self) -> Self {
        Self {
            progress: Progress::shown(&self.process),
            ..self
        }
    }

    /// Says how much there is to do, in whatever the process counts.
    pub fn set_goal(&self, goal: u64) {
        self.progress.set_goal(goal);
    }

    /// Adds to what is done of it.
    pub fn advance(&self, by: u64) {
        self.progress.advance(by);
    }

    /// A run that reads again what was read before.
    #[must_use]
    pub fn replaying(self, replay: Option<Selection>) -> Self {
        Self { replay, ..self }
    }

    /// Whether this hour of this station is to be read again.
    pub fn replays(&self, station: &StationId, hour: Hour) -> bool {
        self.replay
            .as_ref()
            .is_some_and(|selection| selection.contains(station, hour))
    }

    /// Waits until the run should end. What waits for something else waits for this beside it.
    pub async fn ended(&self) {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = deadline => {}
        }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Why the run should end now, if it should.
    pub fn should_end(&self) -> Option<Outcome> {
        if self.stop.is_cancelled() {
            Some(Outcome::Stopped)
        } else if self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
        {
            Some(Outcome::BudgetSpent)
        } else {
            None
        }
    }

    /// Shows what was done so far on the terminal.
    pub fn show_progress(&self) {
        self.progress.tell(self.counters.to_string());
    }
}

/// What a run counted: read, new, refined, rejected by reason and so on.
#[derive(Debug, Default)]
pub struct Counters(Mutex<BTreeMap<(&'static str, String), u64>>);

impl Counters {
    /// Adds to a counter without label.
    pub fn add(&self, name: &'static str, count: u64) {
        self.add_labelled(name, "", count);
    }

    /// Adds to one of the labelled counters of a name, such as a reason of rejection.
    pub fn add_labelled(&self, name: &'static str, label: &str, count: u64) {
        if count > 0 {
            let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *counters.entry((name, label.to_owned())).or_default() += count;
        }
    }

    /// Says a count that is told also when it is zero.
    pub fn set(&self, name: &'static str, count: u64) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.insert((name, String::new()), count);
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    fn rows(&self) -> Vec<RunCount> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters
            .iter()
            .map(|((name, label), add)| RunCount {
                name: (*name).to_owned(),
                label: label.clone(),
                add: *add,
            })
            .collect()
    }

    fn to_json(&self) -> Value {
        let mut summary = serde_json::Map::new();
        for row in self.rows() {
            if row.label.is_empty() {
                summary.insert(row.name, json!(row.add));
            } else if let Some(labels) = summary
                .entry(row.name)
                .or_insert_with(|| json!({}))
                .as_object_mut()
            {
                labels.insert(row.label, json!(row.add));
            }
        }
        Value::Object(summary)
    }
}

impl fmt::Display for Counters {
    /// `new 12, quarantined 1 (malformed_record 1), read 13`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (name, value) in self.to_json().as_object().into_iter().flatten() {
            parts.push(match value.as_object() {
                None => format!("{name} {value}"),
                Some(labels) => {
                    let total: u64 = labels.values().filter_map(Value::as_u64).sum();
                    let each: Vec<String> = labels
                        .iter()
                        .map(|(label, count)| format!("{label} {count}"))
                        .collect();
                    format!("{name} {total} ({})", each.join(", "))
                }
            });
        }
        f.write_str(if parts.is_empty() {
            "nothing to do"
        } else {
            ""
        })?;
        f.write_str(&parts.join(", "))
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct RunReport {
    /// For the operating system.
    pub exit_code: ExitCode,
    /// How the run ended; `None` when it failed.
    pub outcome: Option<Outcome>,
    /// One line for a person: process, outcome and counts.
    pub summary: String,
}

/// Runs a process once, under the rules that hold for every process.
///
/// Only one run of a process is at work at a time, on whatever program, unless runs divide the work among
/// each other ([`Process::is_divided`]); the run and its counts are recorded in the store, from where
/// `/metrics` serves them.
pub async fn run_once(process: &dyn Process, run: Run) -> RunReport {
    let result = run_locked(process, &run).await;
    run.progress.finish();
    let (exit_code, outcome) = verdict(&result);
    let mut summary = format!("{}: {outcome}: {}", run.process, run.counters);
    match &result {
        Err(error) => {
            summary = format!("{}: failed: {error}; so far: {}", run.process, run.counters);
            error!(process = %run.process, %error, counts = %run.counters, "run failed");
        }
        Ok(Outcome::Unreachable) => {
            warn!(process = %run.process, outcome, counts = %run.counters, "run ended");
        }
        // A schedule of seconds would drown the log in runs that found nothing.
        Ok(Outcome::Done) if run.counters.is_empty() => {
            debug!(process = %run.process, "nothing to do");
        }
        Ok(_) => info!(process = %run.process, outcome, counts = %run.counters, "run ended"),
    }
    RunReport {
        exit_code,
        outcome: result.ok(),
        summary,
    }
}

async fn run_locked(process: &dyn Process, run: &Run) -> Result<Outcome, ProcessError> {
    if process.is_divided() && run.store.is_shared() {
        return run_noted(process, run).await;
    }
    let Some(lock) = run.store.lock(process.name()).await? else {
        return Ok(Outcome::AlreadyRunning);
    };
    let result = run_noted(process, run).await;
    lock.release().await;
    result
}

async fn run_noted(process: &dyn Process, run: &Run) -> Result<Outcome, ProcessError> {
    let id = run.store.start_run(process.name(), run.now()).await?;
    let result = process.run(run).await;
    let (exit_code, outcome) = verdict(&result);
    let finished = RunResult {
        outcome: outcome.to_owned(),
        exit_code: exit_code.code().into(),
        summary: run.counters.to_json(),
        counters: run.counters.rows(),
        now: run.now(),
    };
    run.store.finish_run(id, finished).await?;
    result
}
