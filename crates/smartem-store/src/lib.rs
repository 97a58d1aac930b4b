//! The store of smartem: the one place where anything is kept, and the only room that knows SQL.
//!
//! - [`Store`]: the handle; cheap to clone, every method async
//! - [`Intake`], [`LastIntake`]: raw records coming in, with checkpoints and quarantine
//! - [`ImportedHours`], [`ImportedModel`]: what another platform computed; [`StetlSource`]: the database of the
//!   original
//! - [`StationWork`], [`CommitRefined`]: what the refiner takes out and gives back
//! - [`Changes`]: what chains over the store read, in the order of change
//! - [`StationView`], [`ObservationQuery`], [`Page`]: what services read
//! - [`Copied`]: what a copy into another store moved
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
mod backend;
mod changes;
mod codec;
mod columns;
mod contents;
mod copy;
mod error;
mod imported;
mod intake;
mod lock;
mod points;
mod postgres;
mod prepared;
mod query;
mod retention;
mod sqlite;
mod sta;
mod stetl;
mod store;
mod token;
mod track;
mod work;

pub use admin::{
    Backlog, CheckReport, CounterRow, Migration, PoolNumbers, Progress, QuarantineCount,
    QuarantineEntry, QuarantineFilter, Reach, RunCount, RunId, RunResult, RunRow, Stage,
};
pub use changes::{ChangeMark, ChangedHour, ChangedRecord, Changes, ChangesOf};
pub use codec::{CodecError, decode_record, decode_record_for, encode_record};
pub use contents::StoreContents;
pub use copy::Copied;
pub use error::StoreError;
pub use imported::{
    ImportReport, ImportedCounts, ImportedHour, ImportedHours, ImportedModel, ImportedStation,
};
pub use intake::{
    Declared, IMPORT_NETWORK, Intake, IntakeReport, LastIntake, LastItem, LastReport, Quarantined,
    ReceivedRecord, Standing, StationDeclaration,
};
pub use lock::ProcessLock;
pub use points::{
    DatabaseSettings, FreshSnapshot, NameFrom, Points, PointsClock, PointsError, PointsNumbers,
    PointsSettings, Refusal, SeriesOverview, StationMapping, TypeFrom, WriteReport,
};
pub use postgres::{PostgresSettings, ServerFacts};
pub use query::{
    Cursor, HourView, InvalidCursor, LastValue, ObservationQuery, Page, StationLocation,
    StationView,
};
pub use sta::{ChangeKind, ReadLimits, RefinedChange, StaChange, StaError};
pub use stetl::{StetlCounts, StetlHarvested, StetlRaw, StetlRefined, StetlSource, StetlStation};
pub use store::{Access, Store};
pub use token::{HashError, NewToken, Secret, SecretHash, TokenRow};
pub use track::DEFAULT_MOVE_M;
pub use work::{
    Claimed, Columns, CommitRefined, CommitReport, Growing, ReadsKey, RefinedHour, Selection,
    SnapshotFacts, StationHour, StationRow, StationWork, WorkHour,
};
