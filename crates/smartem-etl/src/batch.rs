use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_model::{Position, Quarantine, StationId};
use smartem_store::{Quarantined, ReceivedRecord, Standing};

/// What goes through a chain at a time; taken in whole or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// Records of station-hours.
    pub hours: Vec<ReceivedRecord>,
    /// Newest values, as snapshot records.
    pub snapshots: Vec<ReceivedRecord>,
    /// Flat rows for outputs outside the store.
    pub rows: Vec<Row>,
    /// What could not be understood.
    pub quarantined: Vec<Quarantined>,
    /// Places that were read well and gave no record, such as listings: what is in quarantine from
    /// there is resolved.
    pub understood: Vec<String>,
    /// Places of which something is in quarantine; an output that wrote one of them well says so in
    /// `understood`.
    pub refused_before: BTreeSet<String>,
    /// How far the input got, by partition; moved together with what they cover.
    pub checkpoints: Vec<(String, Value)>,
}

/// A value with its attributes, as outputs outside the store write it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// When it was measured; of an hour its end.
    pub time: Timestamp,
    /// Where, if that is known.
    pub position: Option<Position>,
    /// What it tells, by name: `station`, `indicator`, `value`, ... Which there are depends on what
    /// made the row; its documentation lists them.
    pub attributes: BTreeMap<&'static str, Value>,
}

impl Batch {
    /// Whether nothing is in it, not even a checkpoint.
    pub fn is_empty(&self) -> bool {
        self.hours.is_empty()
            && self.snapshots.is_empty()
            && self.rows.is_empty()
            && self.quarantined.is_empty()
            && self.understood.is_empty()
            && self.checkpoints.is_empty()
    }

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

    /// Reads a body as the record of a whole hour or sets it aside.
    pub fn push_hour(
        &mut self,
        read: Result<RawRecord, Quarantine>,
        place: &str,
        station: &StationId,
        body: Vec<u8>,
    ) {
        self.push_record(read, Standing::Whole, place, station, body);
    }

    /// Takes the record of an hour, or sets the body aside that it could not be made of.
    pub fn push_record(
        &mut self,
        read: Result<RawRecord, Quarantine>,
        standing: Standing,
        place: &str,
        station: &StationId,
        body: Vec<u8>,
    ) {
        match read {
            Ok(record) => self
                .hours
                .push(ReceivedRecord::new(record, place, standing)),
            Err(quarantine) => self.set_aside(quarantine, place, Some(station.clone()), body),
        }
    }
}
