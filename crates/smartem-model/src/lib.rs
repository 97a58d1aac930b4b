//! The words of smartem, after OGC/ISO Observations & Measurements.
//!
//! - [`StationId`], [`Position`]: who measures, and where
//! - [`Hour`], [`Period`]: when (always UTC, always half-open `[start, end)`)
//! - [`raw`]: what a station sent, column by column, without losing anything
//! - [`Observation`], [`Quality`]: a refined value with its unit, interval, counts and origin
//! - [`Rejection`], [`Quarantine`]: what was refused, and why
//! - [`Vocabulary`]: the indicators with their units, labels and colours
//! - [`Units`]: UCUM codes with their symbols and names; [`UnitConversion`]: from one to another
//!
//! This crate does no I/O, reads no clock and knows neither SQL nor HTTP.

mod convert;
mod id;
pub mod laws;
mod nearest;
mod observation;
mod place;
pub mod raw;
mod reject;
mod time;
mod units;
mod vocabulary;

pub use convert::{UnitConversion, UnitProblem};
pub use id::StationId;
pub use nearest::nearest;
pub use observation::{Flag, Observation, Quality};
pub use place::{Position, PositionSource};
pub use reject::{Example, Quarantine, QuarantineReason, RejectReason, Rejection};
pub use time::{Hour, Period, parse_timestamp};
pub use units::{Unit, Units, UnitsError, check_unit_code};
pub use vocabulary::{
    Averaging, Closed, ColourClass, ColourScale, ColourStop, Indicator, Text, Vocabulary,
    VocabularyError,
};
