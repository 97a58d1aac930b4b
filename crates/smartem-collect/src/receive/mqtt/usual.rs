//! The payloads as the other receivers read them, and the store's quarantine.

use async_trait::async_trait;
use jiff::Timestamp;
use smartem_points::line_protocol::{Dialect, read, take_reserved};
use smartem_points::{FieldValue, PointBatch, Precision};
use smartem_store::{Quarantined, Store, StoreError};

use super::{DATABASE, Payloads, PushedSample, SetAside};
use crate::receive::aside::Aside;
use crate::receive::json::{self, Push, SampleValue};

impl Payloads {
    /// Line protocol as InfluxDB 1.x reads it, and the object of `POST /api/v1/push`.
    pub fn usual() -> Self {
        Self {
            line_protocol: lines,
            push,
        }
    }
}

fn lines(text: &[u8], now: i64, batch: &mut PointBatch) -> Vec<String> {
    let errors = read(text, Precision::Nanoseconds, now, Dialect::V1, batch);
    let mut problems: Vec<String> = errors
        .iter()
        .map(|error| format!("line {}: {}", error.line, error.reason))
        .collect();
    let reserved = take_reserved(batch);
    problems.extend(reserved.iter().map(ToString::to_string));
    problems
}

fn push(text: &[u8]) -> Result<Vec<PushedSample>, String> {
    let pushed: Push = json::parse(text).map_err(|fault| fault.problem)?;
    if let Some(fault) = pushed.faults.first() {
        return Err(format!(
            "{} is `{}`: {}",
            fault.place, fault.value, fault.problem
        ));
    }
    let stations = pushed.stations.into_iter();
    Ok(stations
        .flat_map(|station| {
            let (id, kind) = (station.station, station.station_type);
            station.samples.into_iter().map(move |sample| PushedSample {
                station: id.as_str().to_owned(),
                station_type: kind.clone(),
                time: sample.time.and_then(nanoseconds),
                instrument: sample.meta_id,
                values: sample
                    .values
                    .into_iter()
                    .map(|(key, value)| (key, field(value)))
                    .collect(),
            })
        })
        .collect())
}

fn nanoseconds(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond()).ok()
}

fn field(value: SampleValue) -> FieldValue<'static> {
    match value {
        SampleValue::Number(value) => FieldValue::Float(value),
        SampleValue::Truth(value) => FieldValue::Boolean(value),
    }
}

/// The quarantine of the store.
pub struct Quarantine(Aside);

impl Quarantine {
    /// What cannot be understood goes there, under the name of the database.
    pub fn new(store: Store) -> Self {
        Self(Aside::new(store, DATABASE))
    }
}

#[async_trait]
impl SetAside for Quarantine {
    async fn put(&self, quarantined: Vec<Quarantined>, now: Timestamp) -> Result<(), StoreError> {
        self.0.put(quarantined, now).await.map(|_| ())
    }
}
