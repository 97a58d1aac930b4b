//! Inputs over the store itself: what is new or changed since the last run of the process.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use smartem_model::{Observation, StationId};
use smartem_store::{
    ChangeMark, ChangedHour, Changes, ChangesOf, ReceivedRecord, Selection, Store, StoreError,
};

use crate::batch::{Batch, Row};
use crate::chain::{Input, InputError, Intent, Origin, Sink};
use crate::component::{About, Kind, SettingsError};
use crate::process::{Outcome, Run};

/// The name under which checkpoints over the store are kept.
const SOURCE: &str = "store";

/// The one partition of its checkpoints.
const PARTITION: &str = "changes";

/// Settings of the inputs over the store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StoredSettings {
    /// Only of these stations; empty: of all.
    pub stations: Vec<String>,
    /// Station-hours in one batch; at most so many are in memory.
    pub batch_hours: usize,
}

impl Default for StoredSettings {
    fn default() -> Self {
        Self {
            stations: Vec::new(),
            batch_hours: 24,
        }
    }
}

const RAW: About = About {
    name: "store.raw",
    summary: "Raw station-hours of the store that are new or changed.",
    text: "Reads raw records in the order in which they came or changed, so that a record that comes \
        late, or while others are read, is never passed over. It gives station-hours for filters such \
        as `extract`. With the output `store.observations` it is the refiner, which has an order of its \
        own: station by station, hour by hour.",
    checkpoint: "The place in the order of changes after the last batch that every output took.",
    example: r#"
[process.extractor]
input = "store.raw"
filter = ["extract"]
output = ["influxdb"]

[process.extractor.extract]
stations = ["23", "55"]

[process.extractor.influxdb]
url = "http://influxdb.example:8086"
database = "smartemission"
measurement = "joseextract"
tags = { station = "station", component = "name" }
fields = { value = "value" }
geohash_tag = true
geohash_field = true
"#,
};

const OBSERVATIONS: About = About {
    name: "store.observations",
    summary: "Refined observations of the store that are new or changed.",
    text: "Reads the observations of station-hours in the order in which they were written: an hour \
        that is refined again comes again, whole. Each observation becomes a row with the attributes \
        `station`, `station_type`, `network`, `project`, `indicator`, `label`, `sensor`, `unit`, `value`, \
        `min`, `max`, `raw`, `raw_unit`, `accepted_count`, `rejected_count`, `coverage`, `flags`, \
        `definition` and `model`. The time of a row is the end of its hour, as that of the original \
        platform; the start is the attribute `start`.",
    checkpoint: "The place in the order of changes after the last batch that every output took.",
    example: r#"
[process.publisher-influxdb]
input = "store.observations"
filter = ["select"]
output = ["influxdb"]

[process.publisher-influxdb.select]
indicator = ["co", "no", "no2", "o3", "co2"]

[process.publisher-influxdb.influxdb]
url = "http://influxdb.example:8086"
database = "smartemission"
measurement = "joserefined"
tags = { station = "station", component = "indicator" }
fields = { value = "value" }
"#,
};

/// The input `store.raw`.
pub fn raw_kind() -> Kind<Box<dyn Input>> {
    Kind::<Box<dyn Input>>::new(RAW, |settings: StoredSettings, _| {
        Ok(Box::new(Stored::new(ChangesOf::RawRecords, &settings)?))
    })
    .without_sources()
}

/// The input `store.observations`.
pub fn observations_kind() -> Kind<Box<dyn Input>> {
    Kind::<Box<dyn Input>>::new(OBSERVATIONS, |settings: StoredSettings, _| {
        Ok(Box::new(Stored::new(ChangesOf::Observations, &settings)?))
    })
    .without_sources()
}

/// An input over what changed in the store.
struct Stored {
    origin: Origin,
    of: ChangesOf,
    stations: Option<Vec<StationId>>,
    batch_hours: usize,
}

impl Stored {
    fn new(of: ChangesOf, settings: &StoredSettings) -> Result<Self, SettingsError> {
        let stations = settings.stations.iter().map(|text| {
            StationId::new(text)
                .ok_or_else(|| SettingsError(format!("`stations`: `{text}` is no station id")))
        });
        let stations: Vec<StationId> = stations.collect::<Result<_, _>>()?;
        Ok(Self {
            origin: Origin {
                source: SOURCE.to_owned(),
                network: SOURCE.to_owned(),
                project: None,
            },
            of,
            stations: (!stations.is_empty()).then_some(stations),
            batch_hours: settings.batch_hours.max(1),
        })
    }

    /// Which hours: those of the replay, among the stations of the settings.
    fn selection(&self, run: &Run) -> Selection {
        let replay = run.replay.clone().unwrap_or_default();
        let stations = match (&self.stations, replay.stations) {
            (Some(own), Some(asked)) => {
                Some(asked.into_iter().filter(|it| own.contains(it)).collect())
            }
            (Some(own), None) => Some(own.clone()),
            (None, asked) => asked,
        };
        Selection { stations, ..replay }
    }

    async fn next(&self, run: &Run, after: ChangeMark) -> Result<(Batch, Progress), StoreError> {
        let (selection, limit) = (self.selection(run), self.batch_hours);
        match self.of {
            ChangesOf::RawRecords => {
                let changes = run.store.raw_changes(after, selection, limit).await?;
                let progress = Progress::of(&changes);
                let mut batch = Batch::default();
                for changed in changes.items {
                    let place = changed.record.station.to_string();
                    batch
                        .hours
                        .push(ReceivedRecord::whole(changed.record, place));
                }
                Ok((batch, progress))
            }
            ChangesOf::Observations => {
                let changes = run
                    .store
                    .observation_changes(after, selection, limit)
                    .await?;
                let progress = Progress::of(&changes);
                let rows = changes.items.iter().flat_map(rows).collect();
                Ok((
                    Batch {
                        rows,
                        ..Batch::default()
                    },
                    progress,
                ))
            }
        }
    }
}

/// Where the next batch begins.
struct Progress {
    mark: ChangeMark,
    hours: usize,
    more: bool,
}

impl Progress {
    fn of<T>(changes: &Changes<T>) -> Self {
        Self {
            mark: changes.mark,
            hours: changes.items.len(),
            more: changes.more,
        }
    }
}

/// How many changes a process over the store still has before it; all, for one that never ran.
pub async fn waiting(store: &Store, process: &str, of: ChangesOf) -> Result<u64, StoreError> {
    let checkpoints = store.checkpoints(process, SOURCE).await?;
    let mark = checkpoints
        .get(PARTITION)
        .map_or(ChangeMark::START, mark_of);
    store.changes_waiting(of, mark).await
}

/// A checkpoint that cannot be read is none: all is read again, and written again the same.
fn mark_of(position: &Value) -> ChangeMark {
    serde_json::from_value(position.clone()).unwrap_or(ChangeMark::START)
}

#[async_trait]
impl Input for Stored {
    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn read(
        &self,
        run: &Run,
        _intent: Intent,
        sink: &Sink<'_>,
    ) -> Result<Outcome, InputError> {
        let is_replay = run.replay.is_some();
        let checkpoints = run.store.checkpoints(&run.process, SOURCE).await?;
        let mut after = match checkpoints.get(PARTITION) {
            Some(position) if !is_replay => mark_of(position),
            _ => ChangeMark::START,
        };
        run.set_goal(run.store.changes_waiting(self.of, after).await?);
        loop {
            if let Some(outcome) = run.should_end() {
                return Ok(outcome);
            }
            let (mut batch, progress) = self.next(run, after).await?;
            run.counters.add("hours_read", progress.hours as u64);
            // A replay leaves the checkpoint where it was: what came after it is still to be read.
            if !is_replay && progress.mark != after {
                let position = serde_json::to_value(progress.mark).unwrap_or_default();
                batch.checkpoints.push((PARTITION.to_owned(), position));
            }
            sink.take(batch).await?;
            run.advance(progress.hours as u64);
            after = progress.mark;
            if !progress.more {
                return Ok(Outcome::Done);
            }
        }
    }
}

fn rows(changed: &ChangedHour) -> Vec<Row> {
    let row = |observation: &Observation| {
        let (station, quality) = (&changed.station, &observation.quality);
        let period = observation.phenomenon_time;
        let flags: Vec<&str> = quality.flags.iter().map(|flag| flag.as_str()).collect();
        let text = |text: &Option<Arc<str>>| text.as_deref().map_or(Value::Null, Value::from);
        let attributes = [
            ("station", json!(observation.station.as_str())),
            ("station_type", json!(*station.station_type)),
            ("network", json!(*station.network)),
            ("project", text(&station.project)),
            ("indicator", json!(*observation.indicator)),
            ("label", json!(*observation.label)),
            ("sensor", json!(*observation.sensor)),
            ("unit", json!(*observation.unit)),
            ("start", json!(period.start.to_string())),
            ("value", json!(observation.value)),
            ("min", json!(observation.min)),
            ("max", json!(observation.max)),
            ("raw", json!(observation.raw)),
            ("raw_unit", text(&observation.raw_unit)),
            ("accepted_count", json!(observation.accepted_count)),
            ("rejected_count", json!(observation.rejected_count)),
            ("coverage", json!(quality.coverage)),
            ("flags", json!(flags.join(" "))),
            ("definition", json!(*observation.definition)),
            ("model", text(&observation.model)),
        ];
        Row {
            time: period.end,
            position: Some(observation.location),
            attributes: attributes.into(),
        }
    };
    changed.observations.iter().map(row).collect()
}
