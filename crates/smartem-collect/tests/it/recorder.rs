//! Runs a source with a store of its own and records what it hands on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use smartem_etl::{
    Batch, Chain, Clock, Input, Output, OutputError, Run, RunReport, StoreOutputs, run_once,
};
use smartem_model::Vocabulary;
use smartem_refine::{Catalogue, Definition, ModelSet};
use smartem_store::{Access, QuarantineFilter, Selection, Standing, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A station, its day and hour.
pub(crate) type StationHour = (String, u64, u64);

/// What was handed on.
#[derive(Default)]
pub(crate) struct Record {
    /// Samples of all records of an hour, each once.
    pub hours: BTreeMap<StationHour, BTreeSet<String>>,
    /// Records in the order in which they came.
    pub order: Vec<(StationHour, Standing)>,
    pub snapshots: Vec<Value>,
    batches: usize,
    stop_after: Option<(usize, CancellationToken)>,
}

impl Record {
    pub(crate) fn samples(&self) -> Vec<Value> {
        let texts = self.hours.values().flatten();
        texts
            .map(|text| serde_json::from_str(text).unwrap())
            .collect()
    }

    /// How many different samples were handed on.
    pub(crate) fn count(&self) -> usize {
        self.hours.values().map(BTreeSet::len).sum()
    }

    /// Samples of a station, in order.
    pub(crate) fn of(&self, station: &str) -> Vec<Value> {
        let hours = self.hours.iter();
        let mine = hours.filter(|((id, ..), _)| id == station);
        let mut samples: Vec<Value> = mine
            .flat_map(|(_, texts)| texts)
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        samples.sort_by_key(|sample| sample["time"].as_str().unwrap().to_owned());
        samples
    }

    pub(crate) fn standings(&self) -> Vec<Standing> {
        let mut found = Vec::new();
        for (_, standing) in &self.order {
            if !found.contains(standing) {
                found.push(*standing);
            }
        }
        found
    }
}

struct Tap(Arc<Mutex<Record>>);

#[async_trait]
impl Output for Tap {
    async fn write(&self, _: &Run, batch: &mut Batch) -> Result<(), OutputError> {
        let mut record = self.0.lock().unwrap();
        for received in &batch.hours {
            let json: Value = serde_json::from_str(&received.record.to_json()).unwrap();
            let hour = (
                json["device_id"].as_str().unwrap().to_owned(),
                json["day"].as_u64().unwrap(),
                json["hour"].as_u64().unwrap(),
            );
            record.order.push((hour.clone(), received.standing));
            let samples = json["data"]["timeseries"].as_array().unwrap();
            let texts = samples.iter().map(ToString::to_string);
            record.hours.entry(hour).or_default().extend(texts);
        }
        for received in &batch.snapshots {
            let json = serde_json::from_str(&received.record.to_json()).unwrap();
            record.snapshots.push(json);
        }
        record.batches += 1;
        if let Some((after, stop)) = &record.stop_after
            && record.batches >= *after
        {
            stop.cancel();
        }
        Ok(())
    }
}

pub(crate) struct Bench {
    pub dir: TempDir,
    pub store: Store,
    pub now: Timestamp,
    pub record: Arc<Mutex<Record>>,
    pub takes: StoreOutputs,
    pub replay: Option<Selection>,
    process: &'static str,
}

pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary::from_toml(
        include_str!("../../../../vocabulary/indicators.toml"),
        include_str!("../../../../vocabulary/units.toml"),
    )
    .unwrap()
}

pub(crate) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for text in [
        include_str!("../../../../devices/luftdaten.toml"),
        include_str!("../../../../devices/vanilla.toml"),
    ] {
        catalogue.insert(Definition::from_toml(text, &vocabulary()).unwrap());
    }
    catalogue
}

impl Bench {
    pub(crate) async fn new(process: &'static str, now: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let now = now.parse().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let store = Store::open(&data, Access::Create { now }).await.unwrap();
        Self {
            dir,
            store,
            now,
            record: Arc::default(),
            takes: StoreOutputs {
                raw: true,
                last: true,
            },
            replay: None,
            process,
        }
    }

    /// Forgets what was handed on so far.
    pub(crate) fn forget(&self) {
        *self.record.lock().unwrap() = Record::default();
    }

    pub(crate) async fn run(&self, input: impl Input + 'static) -> RunReport {
        self.run_until(input, usize::MAX).await
    }

    /// A run that is told to stop with the batch of this number.
    pub(crate) async fn run_until(&self, input: impl Input + 'static, batches: usize) -> RunReport {
        let stop = CancellationToken::new();
        {
            let mut record = self.record.lock().unwrap();
            record.stop_after = Some((batches, stop.clone()));
            record.batches = 0;
        }
        let chain = Chain::new(
            self.process,
            vec![Box::new(input)],
            self.takes,
            Arc::new(catalogue()),
            Arc::new(ModelSet::default()),
        )
        .through(Vec::new(), vec![Box::new(Tap(self.record.clone()))]);
        let now = self.now;
        let clock: Clock = Arc::new(move || now);
        let run = Run::new(self.process, self.store.clone(), clock, None, stop);
        run_once(&chain, run.replaying(self.replay.clone())).await
    }

    /// Place and detail of open quarantine entries.
    pub(crate) async fn open_quarantine(&self) -> Vec<(String, String)> {
        let filter = QuarantineFilter {
            open_only: true,
            limit: 1000,
        };
        let entries = self.store.quarantine_list(filter).await.unwrap();
        let mut found: Vec<_> = entries.into_iter().map(|e| (e.place, e.detail)).collect();
        found.sort();
        found
    }
}

/// Shared recorded data, where it is at hand.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn shared(sample: &str) -> Option<std::path::PathBuf> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/samples");
    let path = std::path::Path::new(root).join(sample);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {sample} is not at hand");
    None
}
