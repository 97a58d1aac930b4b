//! What comes in: raw records of hours, newest values, and what could not be understood.

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_model::{Observation, Position, QuarantineReason, StationId};

/// Records of hours with the checkpoints that cover them; taken in whole or not at all.
#[derive(Clone, Debug)]
pub struct Intake {
    /// The process that brings them, for example `harvester-whale`.
    pub process: String,
    /// The source they came from, as it is named in the configuration.
    pub source: String,
    /// The network of stations seen for the first time.
    pub network: String,
    /// The project of stations that have none yet.
    pub project: Option<String>,
    /// When they arrived.
    pub now: Timestamp,
    /// Each must be a record of an hour.
    pub records: Vec<ReceivedRecord>,
    /// What could not be understood.
    pub quarantined: Vec<Quarantined>,
    /// Places that were understood though they gave no record: their quarantine entries are resolved.
    pub understood: Vec<String>,
    /// How far the process got: partition and position.
    pub checkpoints: Vec<(String, Value)>,
}

/// A record and where it was found.
#[derive(Clone, Debug)]
pub struct ReceivedRecord {
    /// The record of an hour.
    pub record: RawRecord,
    /// The URL or other place; an open quarantine entry of the same source and place is resolved.
    pub place: String,
    /// What becomes of a stored record of the same station-hour.
    pub standing: Standing,
}

impl ReceivedRecord {
    /// A record of a whole hour, or a snapshot.
    pub fn whole(record: RawRecord, place: impl Into<String>) -> Self {
        Self::new(record, place, Standing::Whole)
    }

    /// A record of this standing.
    pub fn new(record: RawRecord, place: impl Into<String>, standing: Standing) -> Self {
        Self {
            record,
            place: place.into(),
            standing,
        }
    }
}

/// How much of its hour a record is, and so how it stands to one that is stored.
///
/// Measured samples ([`Whole`](Self::Whole), [`Part`](Self::Part)) take the place of substitutes
/// ([`Archive`](Self::Archive), [`Average`](Self::Average)); a substitute only fills an hour that has
/// none, and never takes the place of the other kind of substitute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// All samples of the hour: it takes the place of any other.
    #[default]
    Whole,
    /// Some samples of an hour that may still grow: united with the stored ones. Such an hour is
    /// refined when it has ended.
    Part,
    /// Samples from the archive of a source, perhaps in several files: united with others from it.
    Archive,
    /// Averages that the source made: of each instrument (`meta_id`) the one of the latest time.
    Average,
}

/// A body that could not be understood, kept whole.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// The station, where it is known.
    pub station: Option<StationId>,
    /// The URL or other place it was found.
    pub place: String,
    /// The rule it failed.
    pub reason: QuarantineReason,
    /// What exactly, in words.
    pub detail: String,
    /// The body as it came.
    pub body: Vec<u8>,
}

/// The network of a new station of which nobody says to which it belongs.
pub const IMPORT_NETWORK: &str = "import";

/// What an operator says of a station; what is `None` stays as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct StationDeclaration {
    /// Which station; one that is not known is added.
    pub id: StationId,
    /// The station type; that of its records, where there are any.
    pub station_type: String,
    /// A name for readers.
    pub name: Option<String>,
    /// The network it belongs to; [`IMPORT_NETWORK`] for a new station without one.
    pub network: Option<String>,
    /// The project whose station it is.
    pub project: Option<String>,
    /// Seconds between samples, in place of those of its type.
    pub cadence_s: Option<f64>,
    /// Where it is. This opens the station's track: it holds from the first hour on, and as any
    /// location until two consecutive hours have fixes farther away than `move_m`.
    pub location: Option<Position>,
    /// How far in metres a station must be from its location to have moved; see
    /// [`DEFAULT_MOVE_M`](crate::DEFAULT_MOVE_M).
    pub move_m: f64,
    /// When it was said.
    pub now: Timestamp,
}

/// What became of a [`StationDeclaration`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Whether the station was not known before.
    pub is_new: bool,
    /// Stored hours that now have to be refined again.
    pub marked: u64,
}

/// What became of an [`Intake`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeReport {
    /// Station-hours seen for the first time.
    pub new: u64,
    /// Station-hours whose content differs from what was stored; it was replaced.
    pub changed: u64,
    /// Station-hours stored before with the same content; nothing was done.
    pub unchanged: u64,
    /// Quarantine entries opened; those already open for the same place do not count.
    pub quarantined_new: u64,
    /// Quarantine entries resolved by a good record.
    pub resolved: u64,
}

/// The newest values of stations ("last" records), taken in whole or not at all.
#[derive(Clone, Debug)]
pub struct LastIntake {
    /// The process that brings them.
    pub process: String,
    /// The source they came from.
    pub source: String,
    /// The network of stations seen for the first time.
    pub network: String,
    /// The project of stations that have none yet.
    pub project: Option<String>,
    /// When they arrived.
    pub now: Timestamp,
    /// One for each station.
    pub items: Vec<LastItem>,
    /// What could not be understood.
    pub quarantined: Vec<Quarantined>,
}

/// The newest record of a station, with what was refined from it.
#[derive(Clone, Debug)]
pub struct LastItem {
    /// The snapshot as it was received.
    pub record: RawRecord,
    /// The time of the snapshot; one older than the stored snapshot changes nothing.
    pub time: Timestamp,
    /// Where it was found; an open quarantine entry of the same source and place is resolved.
    pub place: String,
    /// The observations of the snapshot, all of the record's station.
    pub observations: Vec<Observation>,
}

/// What became of a [`LastIntake`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastReport {
    /// Snapshots stored, being newer than the one before or of another content.
    pub stored: u64,
    /// Snapshots left out because the stored one is as new.
    pub unchanged: u64,
    /// Snapshots left out because the stored one is newer.
    pub older: u64,
    /// Quarantine entries opened.
    pub quarantined_new: u64,
    /// Quarantine entries resolved by a good record.
    pub resolved: u64,
}
