//! What stations push: points of time series, as InfluxDB has them.
//!
//! A write is appended to a log and on disk before it is acknowledged ([`log`]); its points are in
//! memory ([`buffer`]), where every read sees them at once. In the background they are committed to
//! the database as compressed blocks, together with the station-hours they make ([`flush`]), and only
//! then the log is trimmed. A crash at any point loses nothing that was acknowledged: the log is read
//! again at the next start, and writing a point twice is the same as writing it once.
//!
//! The raw record of a station-hour is made of the points of the station's series when it is read;
//! nothing is stored twice.

pub(crate) mod buffer;
pub(crate) mod catalogue;
pub(crate) mod days;
mod engine;
pub(crate) mod entry;
mod flush;
mod log;
mod log_id;
mod lookup;
mod mapping;
mod newest;
mod numbering;
pub(crate) mod record;
pub(crate) mod rows;
mod source;
mod take_up;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use smartem_model::StationId;
use smartem_model::raw::RawRecord;
use smartem_points::{FieldType, PointBatch, SeriesKey};

pub(crate) use flush::{Block, Flush, blocks, day_of, hours_of};
pub(crate) use log_id::LogId;
pub use mapping::{DatabaseSettings, NameFrom, StationMapping, TypeFrom};
pub(crate) use mapping::{KnownStation, StationOf};
pub(crate) use newest::NewestOfFields;
pub(crate) use take_up::{check_log, has_uncommitted};

use crate::{Store, StoreError};
use engine::Engine;

/// Tells the time; what the store notes beside what it commits.
pub type PointsClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How points are kept.
#[derive(Clone)]
pub struct PointsSettings {
    /// The databases that are there from the start, and which of their series are of stations.
    pub databases: Vec<DatabaseSettings>,
    /// How many bytes of points may be in memory before they are committed; twice that at most.
    pub memory: usize,
    /// At most how long points stay in memory before they are committed.
    pub commit_every: Duration,
    /// Tells the time.
    pub clock: PointsClock,
}

impl PointsSettings {
    /// 64 MiB in memory, committed every five minutes.
    pub fn new(databases: Vec<DatabaseSettings>, clock: PointsClock) -> Self {
        Self {
            databases,
            memory: 64 << 20,
            commit_every: Duration::from_secs(300),
            clock,
        }
    }
}

/// A handle to the points of a store; cheap to clone. One process at a time can have it.
#[derive(Clone)]
pub struct Points {
    engine: Arc<Engine>,
    _held: Arc<Held>,
}

/// Ends the work in the background with the last handle.
struct Held(Arc<Engine>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// What became of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteReport {
    /// Points written.
    pub written: u64,
    /// Points that were refused; all others are written.
    pub refused: Vec<Refusal>,
}

/// A point that was refused because one of its fields has another type than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line of the point, counted from 1; 0 where there are no lines.
    pub line: u32,
    /// The measurement.
    pub measurement: String,
    /// The field.
    pub field: String,
    /// The type it has in the point.
    pub sent: FieldType,
    /// The type it has in the measurement.
    pub known: FieldType,
}

/// Why points cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointsError {
    /// There is no such database.
    #[error("there is no database `{name}`; create it, or name it in the configuration")]
    NoDatabase {
        /// Its name.
        name: String,
    },
    /// A name that no database can have.
    #[error("`{name}` cannot be the name of a database: {problem}")]
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Just now nothing can be written; nothing of the write counts.
    #[error("{problem}")]
    Unavailable {
        /// Why, and the remedy.
        problem: String,
    },
}

/// A series and what it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesOverview {
    /// The database.
    pub database: String,
    /// Measurement and tags.
    pub key: Arc<SeriesKey>,
    /// The id of the station whose series it is; `None`: of none, so it is kept and not refined.
    pub station: Option<String>,
}

impl Points {
    /// Opens the points of a store, and takes up what the log holds.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has them.
    pub async fn open(store: &Store, settings: PointsSettings) -> Result<Self, StoreError> {
        let engine = Engine::open(store.backend().clone(), settings).await?;
        let held = Arc::new(Held(engine.clone()));
        Ok(Self {
            engine,
            _held: held,
        })
    }

    /// Makes a database; whether it is new.
    pub async fn create_database(&self, name: &str) -> Result<bool, PointsError> {
        self.engine.create_database(name).await
    }

    /// Writes points; they are on disk when this returns, and reads see them from then on.
    ///
    /// A point whose field has another type than before is refused, all others are written.
    pub async fn write(
        &self,
        database: &str,
        batch: PointBatch,
    ) -> Result<WriteReport, PointsError> {
        self.engine.write(database, batch).await
    }

    /// The project whose database this is.
    pub fn project_of(&self, database: &str) -> Option<String> {
        self.engine.project_of(database)
    }

    /// Whether this project may write for a station: it is its own, nobody's, or not known.
    pub fn is_open_to(&self, station: &StationId, project: &str) -> bool {
        let known = self.engine.known_station(station);
        let owner = known.and_then(|known| known.project);
        owner.is_none_or(|owner| *owner == *project)
    }

    /// Commits all points that are in memory, for tests and before the end.
    pub async fn commit(&self) -> Result<(), StoreError> {
        self.engine.commit().await
    }

    /// Commits what is in memory and ends the work in the background.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.engine.close().await
    }

    /// Why nothing can be written just now; `None` when all is well.
    pub fn trouble(&self) -> Option<String> {
        self.engine.trouble()
    }

    /// Series after `after` in order of number, at most `limit`, with the station each belongs to;
    /// with `unmapped` only those of no station. Gives the number of the last one looked at.
    pub fn series_overview(
        &self,
        after: Option<u32>,
        limit: usize,
        unmapped: bool,
    ) -> (Vec<SeriesOverview>, Option<u32>) {
        self.engine.series_overview(after, limit, unmapped)
    }

    /// The newest values of stations that got points since the last call, as snapshots.
    ///
    /// Each holds, for every series of the station, the newest value of every field that is not
    /// older than `since`. Blocks: call it where that is allowed.
    pub fn fresh_snapshots(&self, since: Timestamp) -> Result<Vec<FreshSnapshot>, StoreError> {
        self.engine.fresh_snapshots(since)
    }

    /// Bytes of the files of the append log, with segments set aside as damaged. Reads a folder.
    pub fn log_bytes(&self) -> std::io::Result<u64> {
        self.engine.log_bytes()
    }

    /// Numbers for an operator.
    pub fn numbers(&self) -> PointsNumbers {
        self.engine.numbers()
    }
}

/// The newest values of a station.
#[derive(Clone, Debug)]
pub struct FreshSnapshot {
    /// The record.
    pub record: RawRecord,
    /// The network of the station.
    pub network: String,
    /// The project whose station it is.
    pub project: Option<String>,
    /// The database its points came to.
    pub source: String,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PointsNumbers {
    /// Databases.
    pub databases: u64,
    /// Series.
    pub series: u64,
    /// Series that are of no station.
    pub unmapped_series: u64,
    /// Bytes of points in memory that are not committed yet, roughly.
    pub memory: u64,
    /// Points written since the start.
    pub written: u64,
    /// Points refused since the start.
    pub refused: u64,
}
