//! What the refiner takes out of the store and gives back.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_model::{
    Hour, Observation, Position, PositionSource, Quarantine, Rejection, StationId,
};

use crate::StoreError;

/// A station as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StationRow {
    /// The id.
    pub id: StationId,
    /// The type of its newest record.
    pub station_type: Arc<str>,
    /// The network it belongs to.
    pub network: Arc<str>,
    /// The project whose station it is.
    pub project: Option<Arc<str>>,
    /// A name for readers.
    pub name: Option<Arc<str>>,
    /// Seconds between samples, where the station differs from its type.
    pub cadence_s: Option<f64>,
}

/// Whether a key of the samples is read, given the station type and the key.
pub type ReadsKey = dyn Fn(&str, &str) -> bool + Send + Sync;

/// Which columns of raw records are read; reading few of many is much faster.
#[derive(Clone)]
pub enum Columns {
    /// All: the record is the whole that was received.
    All,
    /// Those of which the function says so, given the station type of the record and the key.
    ///
    /// A record read so must not be given out or stored as the one that was received.
    Read(Arc<ReadsKey>),
}

impl Columns {
    pub(crate) fn contain(&self, station_type: &str, key: &str) -> bool {
        match self {
            Self::All => true,
            Self::Read(reads) => reads(station_type, key),
        }
    }
}

/// Hours that may still grow and so are not refined yet.
///
/// This concerns records that came in part by part; those that came whole never grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growing {
    /// None: all hours are refined.
    No,
    /// This hour and those after it.
    From(Hour),
}

impl Growing {
    pub(crate) fn from(self) -> i64 {
        match self {
            Self::No => i64::MAX,
            Self::From(hour) => hour.index(),
        }
    }
}

/// Hours of one station to be refined, in order of time, each taking the state of the one before.
#[derive(Clone, Debug)]
pub struct StationWork {
    /// Whose hours.
    pub station: StationRow,
    /// The state handed on by the stored hour before the first; `None` when there is none.
    pub state: Option<String>,
    /// Stored hours that follow each other; hours never received are no gap. Never empty.
    pub hours: Vec<WorkHour>,
}

/// What refining a newest value ("last" record) needs to know of its station.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotFacts {
    /// The state handed on by the newest refined hour.
    pub state: Option<String>,
    /// The newest location.
    pub location: Option<Position>,
}

/// Which stored hours are to be refined again; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only of these stations.
    pub stations: Option<Vec<StationId>>,
    /// Only from this hour on.
    pub from: Option<Hour>,
    /// Only before this hour.
    pub to: Option<Hour>,
}

impl Selection {
    /// Whether an hour of a station is among them.
    pub fn contains(&self, station: &StationId, hour: Hour) -> bool {
        self.stations
            .as_ref()
            .is_none_or(|stations| stations.contains(station))
            && self.from.is_none_or(|from| hour >= from)
            && self.to.is_none_or(|to| hour < to)
    }
}

/// One hour to be refined.
#[derive(Clone, Debug)]
pub struct WorkHour {
    /// Which.
    pub hour: Hour,
    /// To be given back in [`RefinedHour::revision`].
    ///
    /// It changes whenever the content, the incoming state or the station's location does, so
    /// that a result made from older input is recognised.
    pub revision: i64,
    /// What was received; its samples have the [`Columns`] that were asked for, and all rows.
    pub record: RawRecord,
    /// Where the station is known to be in this hour.
    pub station_location: Option<Position>,
}

/// Refined hours of one station in order of time; committed in one transaction.
#[derive(Clone, Debug)]
pub struct CommitRefined {
    /// The process that refined them.
    pub process: String,
    /// When.
    pub now: Timestamp,
    /// Whose hours.
    pub station: StationId,
    /// How far in metres a station must be from its location to have moved; see
    /// [`DEFAULT_MOVE_M`](crate::DEFAULT_MOVE_M).
    pub move_m: f64,
    /// The hours of a [`StationWork`] or the first of them, each in the order given.
    pub hours: Vec<RefinedHour>,
}

impl CommitRefined {
    /// Each observation must be of the station and lie within its hour.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for refined in &self.hours {
            let hour = refined.hour.period();
            for observation in &refined.observations {
                let period = observation.phenomenon_time;
                let within = period.start >= hour.start
                    && period.start < hour.end
                    && period.end <= hour.end
                    && period.start <= period.end;
                if !within || observation.station != self.station {
                    return Err(StoreError::ForeignObservation {
                        station: self.station.clone(),
                        time: refined.hour.to_string(),
                        indicator: observation.indicator.to_string(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// What became of one hour.
#[derive(Clone, Debug)]
pub struct RefinedHour {
    /// Which.
    pub hour: Hour,
    /// That of the [`WorkHour`] it was made from.
    pub revision: i64,
    /// All observations of the hour; each must lie within it.
    pub observations: Vec<Observation>,
    /// What was refused.
    pub rejections: Vec<Rejection>,
    /// The state handed on to the next hour, in a form that is equal when the state is.
    pub state: String,
    /// The position of the hour and where it came from (R9.3); `None` when there is none.
    pub position: Option<(Position, PositionSource)>,
    /// Whether the altitude in `position` is the one known of the station, not one of the record.
    ///
    /// A location never takes its altitude from such an hour: it would only hear its own echo.
    pub station_altitude: bool,
    /// Why nothing of it is published, where that is so.
    pub quarantine: Option<Quarantine>,
}

/// What became of a [`CommitRefined`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// Hours committed.
    pub committed: u64,
    /// Hours left to be refined again: the input of one, or of one before it, changed meanwhile.
    pub stale: u64,
    /// Observations written.
    pub observations: u64,
    /// Other hours that now have to be refined again, because their state or location changed.
    pub marked: u64,
    /// Quarantine entries opened.
    pub quarantined_new: u64,
    /// Quarantine entries resolved.
    pub resolved: u64,
}

/// What is kept of a refined hour beside its observations.
#[derive(Clone, Debug, PartialEq)]
pub struct StationHour {
    /// Which.
    pub hour: Hour,
    /// The state it handed on.
    pub state: String,
    /// The list of rejections as JSON.
    pub rejections: Value,
    /// Why nothing of it is published.
    pub quarantine: Option<Quarantine>,
    /// Its position and where that came from.
    pub position: Option<(Position, PositionSource)>,
}

/// Stations that this program has in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// Which; each is to be released when it is done.
    pub stations: Vec<StationId>,
    /// Whether others have some in hand, while there were none for this program.
    pub others: bool,
}
