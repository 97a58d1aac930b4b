//! Points as text: InfluxDB line protocol.
//!
//! ```text
//! air,station=12,box=a no2=23.4,pm10=11i,note="calm" 1700000000000000000
//! ```
//!
//! [`read`] takes lines apart as InfluxDB does, in one of two [`Dialect`]s. `plain.rs` reads lines of
//! the usual form at once; what it does not know goes to `v1.rs` or `v2.rs`, which follow the rules of
//! their dialect to the letter. [`take_reserved`] takes out what InfluxDB reads but does not keep.

mod error;
mod name;
mod number;
mod plain;
mod reserved;
mod v1;
mod v2;

pub use error::{LineError, LineErrors, Reason};
pub use reserved::{Reserved, take_reserved};

use crate::{PointBatch, Precision};

/// How names, numbers and odd bytes are read.
///
/// | | 1.x | 2.x |
/// |---|---|---|
/// | `1u` is unsigned | no | yes |
/// | lines may end with CR LF | no | yes |
/// | control characters in names and comments | kept | refused |
/// | `\n`, `\r`, `\t` in strings are characters | no | yes |
/// | `\"` in names is `"` | yes | no |
/// | a backslash before the end of a line | takes the end into the line | stands for itself |
///
/// Names and strings that are not UTF-8 are refused in both; InfluxDB 1.x keeps their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As the `models` package of InfluxDB 1.6 reads it.
    V1,
    /// As the `lineprotocol` library of InfluxDB 2 reads it.
    V2,
}

/// Reads lines into `batch`.
///
/// A line without time gets `default_time` (nanoseconds since 1970), cut to `precision`, which is also
/// the unit of the times that are there. A faulty line is left out and becomes an error; the others
/// are added. Fields of one name in one line are all added, in their order.
pub fn read(
    text: &[u8],
    precision: Precision,
    default_time: i64,
    dialect: Dialect,
    batch: &mut PointBatch,
) -> LineErrors {
    let clock = Clock::new(precision, default_time);
    let mut errors = LineErrors::default();
    let mut plain = plain::Plain::new(text, &clock, dialect);
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        if let Some(next) = plain.line(at, line, batch) {
            at = next;
            line += 1;
            continue;
        }
        batch.cancel_point();
        let read = match dialect {
            Dialect::V1 => v1::line(text, at, line, &clock, batch),
            Dialect::V2 => v2::line(text, at, line, &clock, batch),
        };
        if let Err((place, reason)) = read.result {
            batch.cancel_point();
            errors.add(text, line, place, reason);
        }
        line += breaks(&text[at..read.next]);
        at = read.next;
    }
    errors
}

/// What became of a line.
struct Line {
    /// Where the next one begins.
    next: usize,
    /// What is wrong, and where the line without surroundings is.
    result: Result<(), (std::ops::Range<usize>, Reason)>,
}

/// Times as the caller wants them.
struct Clock {
    unit: i64,
    default_time: i64,
}

impl Clock {
    fn new(precision: Precision, default_time: i64) -> Self {
        let unit = precision.nanoseconds();
        let default_time = default_time.saturating_sub(default_time.rem_euclid(unit));
        Self { unit, default_time }
    }
}

/// The earliest and latest times that InfluxDB keeps; it needs those beside them for itself.
const TIMES: std::ops::RangeInclusive<i64> = i64::MIN + 2..=i64::MAX - 1;

fn breaks(text: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', text).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
