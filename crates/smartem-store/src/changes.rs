//! What changed in the store, in the order in which it did.

use serde::{Deserialize, Serialize};
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, Observation};

use crate::StationRow;

/// A place in the order of changes; a reader that goes on from it misses nothing.
///
/// An hour that changes again gets a later place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangeMark {
    pub(crate) change: i64,
    pub(crate) station_key: i64,
    pub(crate) hour: i64,
}

impl ChangeMark {
    /// After everything up to this number of [`Store::change`](crate::Store::change).
    pub fn after_change(change: u64) -> Self {
        Self::after(i64::try_from(change).unwrap_or(i64::MAX))
    }

    /// After everything up to this change.
    pub(crate) fn after(change: i64) -> Self {
        Self {
            change,
            station_key: i64::MAX,
            hour: i64::MAX,
        }
    }

    /// Before everything.
    pub const START: Self = Self {
        change: i64::MIN,
        station_key: i64::MIN,
        hour: i64::MIN,
    };
}

/// Some changes and where to go on.
#[derive(Clone, Debug)]
pub struct Changes<T> {
    /// In order; fewer than were asked for only at the end.
    pub items: Vec<T>,
    /// After the last of them; at the end also after those that were filtered out.
    pub mark: ChangeMark,
    /// Whether there may be more.
    pub more: bool,
}

/// A raw record that is new or changed.
#[derive(Clone, Debug)]
pub struct ChangedRecord {
    /// The source that brought it.
    pub source: std::sync::Arc<str>,
    /// The record as it is now.
    pub record: RawRecord,
}

/// A station-hour with other observations than before.
#[derive(Clone, Debug)]
pub struct ChangedHour {
    /// Whose.
    pub station: StationRow,
    /// Which.
    pub hour: Hour,
    /// All its observations as they are now.
    pub observations: Vec<Observation>,
}

/// Whose changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangesOf {
    /// Raw records.
    RawRecords,
    /// Observations of station-hours.
    Observations,
}
