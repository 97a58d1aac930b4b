//! The entities of the OGC SensorThings API, for both backends at once: statements are made for a
//! [`sql::Dialect`] and run by what each backend has as [`sql::Sql`].

pub(crate) mod error;
pub(crate) mod sql;

pub use error::StaError;
