use std::sync::Arc;

use async_trait::async_trait;
use smartem_refine::{Catalogue, ModelSet};
use smartem_store::{Intake, ReceivedRecord, Store, StoreError};
use tracing::warn;

use crate::batch::Batch;
use crate::newest::NewestValues;
use crate::process::{Counters, Outcome, Process, ProcessError, Run};

/// Where raw records come from: one configured source of a harvester.
///
/// An input reads what is new since its checkpoints and hands it to the sink batch by batch; a
/// batch that was taken is in the store together with its checkpoint. An input must not hold
/// more than a few batches in memory, however long the backlog.
#[async_trait]
pub trait Input: Send + Sync {
    /// Which source, and whose stations come from it.
    fn origin(&self) -> &Origin;

    /// Reads until nothing is new, or [`Run::should_end`] says so.
    async fn read(&self, run: &Run, intent: Intent, sink: &Sink<'_>)
    -> Result<Outcome, InputError>;
}

/// The identity of a source.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The name of the source in the configuration; checkpoints are kept under it.
    pub source: String,
    /// The network its stations belong to.
    pub network: String,
    /// The project its stations belong to, if any.
    pub project: Option<String>,
}

/// What an input is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Completed hours.
    History,
    /// The newest values.
    Last,
    /// Completed hours, then the newest values.
    HistoryAndLast,
}

impl Intent {
    /// Whether completed hours are wanted.
    pub fn wants_history(self) -> bool {
        self != Self::Last
    }

    /// Whether newest values are wanted.
    pub fn wants_last(self) -> bool {
        self != Self::History
    }
}

/// A source that could not be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The source did not answer, or not with success.
    #[error("reading {place}: {problem}")]
    Unreachable {
        /// The URL.
        place: String,
        /// What went wrong, in words.
        problem: String,
    },
    /// An output of the chain could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The run is to end; what was read before is committed.
    #[error("the run ended before all was read")]
    Interrupted,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What becomes of a batch between input and outputs. A filter does no I/O and keeps nothing.
pub trait Filter: Send + Sync {
    /// Changes the batch; what it drops it counts.
    fn apply(&self, batch: &mut Batch, counters: &Counters);
}

/// Where a chain writes outside the store.
///
/// Writing the same batch again must leave the same: after a kill the last batch comes again.
#[async_trait]
pub trait Output: Send + Sync {
    /// Writes a batch; when this returns the other side has acknowledged all of it.
    ///
    /// What the other side refuses for good is set aside in the batch, and nothing else is held up.
    async fn write(&self, run: &Run, batch: &mut Batch) -> Result<(), OutputError>;
}

/// An output that could not take a batch; it comes again with the next run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The other side did not answer, or said to come back later.
    #[error("writing to {place}: {problem}")]
    Unreachable {
        /// The URL.
        place: String,
        /// What went wrong, in words.
        problem: String,
    },
    /// The run is to end before the other side answered.
    #[error("the run ended before all was written")]
    Interrupted,
}

/// Takes batches on behalf of a source through filters and outputs.
///
/// Outputs outside the store come first; the store takes its part and the checkpoints in one
/// transaction after they have acknowledged. So a batch may be written twice outside, never less.
pub struct Sink<'a> {
    run: &'a Run,
    origin: &'a Origin,
    chain: &'a Chain,
}

impl Sink<'_> {
    /// Takes a batch; when this returns, it is durable with every output.
    pub async fn take(&self, mut batch: Batch) -> Result<(), InputError> {
        for filter in &self.chain.filters {
            filter.apply(&mut batch, &self.run.counters);
        }
        if !self.chain.outputs.is_empty() && !batch.rows.is_empty() {
            let open = self.run.store.open_quarantine_places(&self.origin.source);
            batch.refused_before = open.await?.into_keys().collect();
        }
        for output in &self.chain.outputs {
            output.write(self.run, &mut batch).await?;
        }
        for bad in &batch.quarantined {
            warn!(
                source = %self.origin.source, place = %bad.place, reason = %bad.reason, detail = %bad.detail,
                "quarantined"
            );
            self.run
                .counters
                .add_labelled("quarantined", bad.reason.as_str(), 1);
        }
        if self.chain.store.last {
            let snapshots = std::mem::take(&mut batch.snapshots);
            self.take_last(snapshots).await?;
        }
        if !self.chain.store.raw {
            batch.hours.clear();
        }
        self.take_hours(batch).await?;
        self.run.show_progress();
        Ok(())
    }

    async fn take_hours(&self, batch: Batch) -> Result<(), StoreError> {
        let nothing = batch.hours.is_empty()
            && batch.quarantined.is_empty()
            && batch.understood.is_empty()
            && batch.checkpoints.is_empty();
        if nothing {
            return Ok(());
        }
        let counters = &self.run.counters;
        counters.add("records_read", batch.hours.len() as u64);
        counters.add("values_read", batch.hours.iter().map(values).sum());
        let report = self
            .run
            .store
            .take_in(Intake {
                process: self.run.process.clone(),
                source: self.origin.source.clone(),
                network: self.origin.network.clone(),
                project: self.origin.project.clone(),
                now: self.run.now(),
                records: batch.hours,
                quarantined: batch.quarantined,
                understood: batch.understood,
                checkpoints: batch.checkpoints,
            })
            .await?;
        counters.add("records_new", report.new);
        counters.add("records_changed", report.changed);
        counters.add("records_unchanged", report.unchanged);
        counters.add("quarantine_resolved", report.resolved);
        Ok(())
    }

    /// Refines newest values as snapshots (R11) and keeps them as last values.
    async fn take_last(&self, snapshots: Vec<ReceivedRecord>) -> Result<(), StoreError> {
        let newest = NewestValues {
            store: &self.run.store,
            catalogue: &self.chain.catalogue,
            models: &self.chain.models,
            process: &self.run.process,
            now: self.run.now(),
            counters: &self.run.counters,
        };
        newest.take(self.origin, snapshots).await
    }

    /// The store, for what an input has to look up.
    pub fn store(&self) -> &Store {
        &self.run.store
    }
}

/// How many readings a record has: what is absent or null is none.
fn values(received: &ReceivedRecord) -> u64 {
    let columns = received.record.samples.columns().iter();
    let present = columns.map(|column| column.cells().filter(|cell| !cell.is_absent()).count());
    present.sum::<usize>() as u64
}

/// A process of the form `input | filters | outputs`: its sources one after the other.
pub struct Chain {
    name: String,
    inputs: Vec<Box<dyn Input>>,
    intent: Intent,
    filters: Vec<Box<dyn Filter>>,
    outputs: Vec<Box<dyn Output>>,
    store: StoreOutputs,
    catalogue: Arc<Catalogue>,
    models: Arc<ModelSet>,
}

/// What of a batch goes into the store; its checkpoints and what is set aside always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreOutputs {
    /// Station-hours (`store.raw`).
    pub raw: bool,
    /// Newest values (`store.last`).
    pub last: bool,
}

impl StoreOutputs {
    /// What sources must be asked for; `None` when the store takes nothing.
    fn intent(self) -> Option<Intent> {
        match (self.raw, self.last) {
            (true, true) => Some(Intent::HistoryAndLast),
            (true, false) => Some(Intent::History),
            (false, true) => Some(Intent::Last),
            (false, false) => None,
        }
    }
}

impl Chain {
    /// A process of this name over these sources into the store.
    pub fn new(
        name: &str,
        inputs: Vec<Box<dyn Input>>,
        store: StoreOutputs,
        catalogue: Arc<Catalogue>,
        models: Arc<ModelSet>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            inputs,
            intent: store.intent().unwrap_or(Intent::History),
            filters: Vec::new(),
            outputs: Vec::new(),
            store,
            catalogue,
            models,
        }
    }

    /// With filters, applied in this order, and outputs outside the store.
    #[must_use]
    pub fn through(self, filters: Vec<Box<dyn Filter>>, outputs: Vec<Box<dyn Output>>) -> Self {
        Self {
            filters,
            outputs,
            ..self
        }
    }
}

#[async_trait]
impl Process for Chain {
    fn name(&self) -> &str {
        &self.name
    }

    /// By source.
    fn is_divided(&self) -> bool {
        true
    }

    /// A source that fails stops none of the others; the run failed only if all of them did.
    async fn run(&self, run: &Run) -> Result<Outcome, ProcessError> {
        let mut outcomes = Vec::new();
        for input in &self.inputs {
            if let Some(outcome) = run.should_end() {
                outcomes.push(outcome);
                break;
            }
            let origin = input.origin();
            let mut held = None;
            if run.store.is_shared() {
                let name = format!("{}/{}", self.name, origin.source);
                held = run.store.lock(&name).await?;
                if held.is_none() {
                    outcomes.push(Outcome::AlreadyRunning);
                    continue;
                }
            }
            let sink = Sink {
                run,
                origin,
                chain: self,
            };
            let unreachable = |error: &dyn std::error::Error| {
                warn!(process = %run.process, source = %origin.source, %error, "source unreachable");
                run.counters
                    .add_labelled("sources_unreachable", &origin.source, 1);
            };
            let read = input.read(run, self.intent, &sink).await;
            if let Some(lock) = held {
                lock.release().await;
            }
            match read {
                Ok(outcome) => outcomes.push(outcome),
                Err(InputError::Store(error)) => return Err(error.into()),
                Err(InputError::Interrupted | InputError::Output(OutputError::Interrupted)) => {
                    outcomes.push(run.should_end().unwrap_or(Outcome::Stopped));
                }
                Err(error) => {
                    unreachable(&error);
                    outcomes.push(Outcome::Unreachable);
                }
            }
        }
        Ok(combined(&outcomes))
    }
}

/// The outcome over all sources: what is left to do counts most, one failure among successes least.
fn combined(outcomes: &[Outcome]) -> Outcome {
    let any = |wanted: Outcome| outcomes.contains(&wanted);
    let all =
        |wanted: Outcome| !outcomes.is_empty() && outcomes.iter().all(|outcome| *outcome == wanted);
    if any(Outcome::Stopped) {
        Outcome::Stopped
    } else if any(Outcome::BudgetSpent) {
        Outcome::BudgetSpent
    } else if all(Outcome::Unreachable) {
        Outcome::Unreachable
    } else if all(Outcome::AlreadyRunning) {
        Outcome::AlreadyRunning
    } else {
        Outcome::Done
    }
}
