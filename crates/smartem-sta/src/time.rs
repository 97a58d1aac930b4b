//! Times and results of observations.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::Period;

/// An instant or an interval (`TM_Object`), as `phenomenonTime` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeValue {
    /// A moment.
    Instant(Timestamp),
    /// From a moment to a later one; the end is not earlier than the start.
    Interval(Period),
}

impl TimeValue {
    /// Where it begins.
    pub fn start(self) -> Timestamp {
        match self {
            Self::Instant(at) => at,
            Self::Interval(period) => period.start,
        }
    }

    /// Where it ends; an instant ends where it begins.
    pub fn end(self) -> Timestamp {
        match self {
            Self::Instant(at) => at,
            Self::Interval(period) => period.end,
        }
    }
}

/// ISO 8601, UTC, with as many digits of the second as it needs: `2020-01-01T00:00:00Z`, intervals with `/`.
impl fmt::Display for TimeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(at) => write!(f, "{at}"),
            Self::Interval(period) => write!(f, "{}/{}", period.start, period.end),
        }
    }
}

/// The result of an observation.
#[derive(Clone, Debug, PartialEq)]
pub enum ResultValue {
    /// A number that a double holds exactly as it was given.
    Number(f64),
    /// Anything else: text, boolean, array, object, null, numbers with more digits.
    Json(Value),
}
