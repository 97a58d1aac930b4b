//! The entities of the OGC SensorThings API, for both backends at once: statements are made for a
//! [`sql::Dialect`] and run by what each backend has as [`sql::Sql`].

pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod error;
pub(crate) mod keep;
mod read;
pub(crate) mod sql;
pub(crate) mod write;

pub use changes::{ChangeKind, RefinedChange, StaChange};
pub use error::StaError;
pub use read::ReadLimits;
pub(crate) use read::box_geometry;
