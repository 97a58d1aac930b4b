use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_model::{Quarantine, StationId};
use smartem_refine::{Catalogue, ModelSet, StationFacts, refine};
use smartem_store::{Intake, LastIntake, LastItem, Quarantined, ReceivedRecord, Store, StoreError};
use tracing::{info, warn};

use crate::process::{Outcome, Process, ProcessError, Run};

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
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A batch from an input.
#[derive(Debug, Default)]
pub struct Harvested {
    /// Records of completed hours.
    pub hours: Vec<ReceivedRecord>,
    /// Newest values, as snapshot records.
    pub snapshots: Vec<ReceivedRecord>,
    /// Bodies that could not be understood.
    pub quarantined: Vec<Quarantined>,
    /// How far the input got, by partition; moved together with the hours.
    pub checkpoints: Vec<(String, Value)>,
}

/// Takes batches into the store on behalf of a source.
pub struct Sink<'a> {
    run: &'a Run,
    origin: &'a Origin,
    catalogue: &'a Catalogue,
    models: &'a ModelSet,
}

impl Sink<'_> {
    /// Commits a batch; when this returns, the batch is durable.
    pub async fn take(&self, batch: Harvested) -> Result<(), StoreError> {
        for bad in &batch.quarantined {
            warn!(
                source = %self.origin.source, place = %bad.place, reason = %bad.reason, detail = %bad.detail,
                "quarantined"
            );
            self.run
                .counters
                .add_labelled("quarantined", bad.reason.as_str(), 1);
        }
        self.take_last(batch.snapshots).await?;
        self.take_hours(batch.hours, batch.quarantined, batch.checkpoints)
            .await?;
        self.run.show_progress();
        Ok(())
    }

    async fn take_hours(
        &self,
        records: Vec<ReceivedRecord>,
        quarantined: Vec<Quarantined>,
        checkpoints: Vec<(String, Value)>,
    ) -> Result<(), StoreError> {
        if records.is_empty() && quarantined.is_empty() && checkpoints.is_empty() {
            return Ok(());
        }
        let counters = &self.run.counters;
        counters.add("records_read", records.len() as u64);
        counters.add("values_read", records.iter().map(values).sum());
        let report = self
            .run
            .store
            .take_in(Intake {
                process: self.run.process.clone(),
                source: self.origin.source.clone(),
                network: self.origin.network.clone(),
                project: self.origin.project.clone(),
                now: self.run.now(),
                records,
                quarantined,
                checkpoints,
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
        let mut items = Vec::with_capacity(snapshots.len());
        for ReceivedRecord { record, place } in snapshots {
            let known = self.run.store.snapshot_facts(&record.station).await?;
            let Some(definition) = self.catalogue.get(&record.station_type) else {
                continue;
            };
            let facts = StationFacts {
                position: known.location,
                altitude: known.location.and_then(|location| location.alt),
                cadence_s: None,
            };
            let state = known
                .state
                .as_deref()
                .and_then(|text| serde_json::from_str(text).ok());
            let refined = refine(
                &record,
                definition,
                self.models,
                &state.unwrap_or(Value::Null),
                &facts,
                None,
            );
            if let Some(quarantine) = &refined.quarantine {
                // Without a position a snapshot is no fault: the station's hours will tell one.
                info!(station = %record.station, %quarantine, "last value not shown");
                continue;
            }
            let newest = refined
                .observations
                .iter()
                .map(|o| o.phenomenon_time.end)
                .max();
            if let Some(time) = newest {
                items.push(LastItem {
                    record,
                    time,
                    place,
                    observations: refined.observations,
                });
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        self.run.counters.add("last_read", items.len() as u64);
        let report = self
            .run
            .store
            .take_in_last(LastIntake {
                process: self.run.process.clone(),
                source: self.origin.source.clone(),
                network: self.origin.network.clone(),
                project: self.origin.project.clone(),
                now: self.run.now(),
                items,
                quarantined: Vec::new(),
            })
            .await?;
        self.run.counters.add("last_stored", report.stored);
        Ok(())
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

/// A body that failed a rule, ready for quarantine.
impl Harvested {
    /// Sets a body aside.
    pub fn set_aside(
        &mut self,
        quarantine: Quarantine,
        place: &str,
        station: Option<StationId>,
        body: Vec<u8>,
    ) {
        self.quarantined.push(Quarantined {
            station,
            place: place.to_owned(),
            reason: quarantine.reason,
            detail: quarantine.detail,
            body,
        });
    }

    /// Reads a body as the record of an hour or sets it aside.
    pub fn push_hour(
        &mut self,
        read: Result<RawRecord, Quarantine>,
        place: &str,
        station: &StationId,
        body: Vec<u8>,
    ) {
        match read {
            Ok(record) => self.hours.push(ReceivedRecord {
                record,
                place: place.to_owned(),
            }),
            Err(quarantine) => self.set_aside(quarantine, place, Some(station.clone()), body),
        }
    }
}

/// The process of a harvester: its sources one after the other, into the store.
pub struct Harvest {
    name: String,
    inputs: Vec<Box<dyn Input>>,
    intent: Intent,
    catalogue: Arc<Catalogue>,
    models: Arc<ModelSet>,
}

impl Harvest {
    /// A process of this name over these sources.
    pub fn new(
        name: &str,
        inputs: Vec<Box<dyn Input>>,
        intent: Intent,
        catalogue: Arc<Catalogue>,
        models: Arc<ModelSet>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            inputs,
            intent,
            catalogue,
            models,
        }
    }
}

#[async_trait]
impl Process for Harvest {
    fn name(&self) -> &str {
        &self.name
    }

    /// A source that fails stops none of the others; the run failed only if all of them did.
    async fn run(&self, run: &Run) -> Result<Outcome, ProcessError> {
        let mut outcomes = Vec::new();
        for input in &self.inputs {
            if let Some(outcome) = run.should_end() {
                outcomes.push(outcome);
                break;
            }
            let sink = Sink {
                run,
                origin: input.origin(),
                catalogue: &self.catalogue,
                models: &self.models,
            };
            match input.read(run, self.intent, &sink).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(InputError::Store(error)) => return Err(error.into()),
                Err(error @ InputError::Unreachable { .. }) => {
                    warn!(process = %run.process, source = %input.origin().source, %error, "source unreachable");
                    run.counters
                        .add_labelled("sources_unreachable", &input.origin().source, 1);
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
    if any(Outcome::Stopped) {
        Outcome::Stopped
    } else if any(Outcome::BudgetSpent) {
        Outcome::BudgetSpent
    } else if !outcomes.is_empty() && outcomes.iter().all(|o| *o == Outcome::Unreachable) {
        Outcome::Unreachable
    } else {
        Outcome::Done
    }
}
