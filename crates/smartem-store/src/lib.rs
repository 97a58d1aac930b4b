//! The store of smartem: the one place where anything is kept, and the only room that knows SQL.
//!
//! - [`Store`]: the handle; cheap to clone, every method async
//! - [`Intake`], [`LastIntake`]: raw records coming in, with checkpoints and quarantine
//! - [`StationWork`], [`CommitRefined`]: what the refiner takes out and gives back
//! - [`Changes`]: what chains over the store read, in the order of change
//! - [`StationView`], [`ObservationQuery`], [`Page`]: what services read
//! - [`StoreContents`]: what a copy of the store holds, for backups
//! - [`Points`]: what stations push, in a log first, then in blocks
//! - [`QuarantineEntry`], [`RunRow`], [`Backlog`]: what an operator looks at
//! - [`TokenRow`], [`SecretHash`]: who may write
//!
//! Each method that writes is one transaction: it happens whole or not at all, also when the
//! process is killed. What the refined tables hold in the end depends on the raw records only,
//! not on the order in which they arrived.
//!
//! The store reads no clock: every `now` is an argument. It does not refine, fetch or serve.

mod admin;
mod changes;
mod codec;
mod contents;
mod error;
mod intake;
mod lock;
mod points;
mod query;
mod sqlite;
mod store;
mod token;
mod track;
mod work;

pub use admin::{
    Backlog, CheckReport, CounterRow, Migration, Progress, QuarantineCount, QuarantineEntry,
    QuarantineFilter, Reach, RunCount, RunId, RunResult, RunRow, Stage,
};
pub use changes::{ChangeMark, ChangedHour, ChangedRecord, Changes, ChangesOf};
pub use codec::{CodecError, decode_record, decode_record_for, encode_record};
pub use contents::StoreContents;
pub use error::StoreError;
pub use intake::{
    Declared, IMPORT_NETWORK, Intake, IntakeReport, LastIntake, LastItem, LastReport, Quarantined,
    ReceivedRecord, Standing, StationDeclaration,
};
pub use lock::ProcessLock;
pub use points::{
    DatabaseSettings, FreshSnapshot, NameFrom, Points, PointsClock, PointsError, PointsNumbers,
    PointsSettings, Refusal, SeriesOverview, StationMapping, TypeFrom, WriteReport,
};
pub use query::{
    Cursor, HourView, InvalidCursor, LastValue, ObservationQuery, Page, StationLocation,
    StationView,
};
pub(crate) use sqlite::{StationHourKey, StoredPoints};
pub use store::{Access, Store};
pub use token::{HashError, NewToken, Secret, SecretHash, TokenRow};
pub use track::DEFAULT_MOVE_M;
pub use work::{
    Columns, CommitRefined, CommitReport, Growing, ReadsKey, RefinedHour, Selection, SnapshotFacts,
    StationHour, StationRow, StationWork, WorkHour,
};
