//! What both backends keep in columns in the same way.

use jiff::Timestamp;
use smartem_model::{Flag, PositionSource, QuarantineReason};

/// Microseconds since 1970; finer digits are cut.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub(crate) fn reason_named(text: &str) -> Option<QuarantineReason> {
    let mut all = QuarantineReason::ALL.iter().copied();
    all.find(|reason| reason.as_str() == text)
}

pub(crate) fn source_name(source: PositionSource) -> &'static str {
    match source {
        PositionSource::Fix => "fix",
        PositionSource::Point => "point",
        PositionSource::Station => "station",
    }
}

pub(crate) fn source_named(name: &str) -> Option<PositionSource> {
    use PositionSource::{Fix, Point, Station};
    [Fix, Point, Station]
        .into_iter()
        .find(|source| source_name(*source) == name)
}

/// The flags in the order of their names, and the bit of each.
const FLAGS: [(Flag, i64); 4] = [
    (Flag::BelowDetection, 1),
    (Flag::Imported, 8),
    (Flag::LowCoverage, 2),
    (Flag::StationLocation, 4),
];

pub(crate) fn flag_bits(flags: &[Flag]) -> i64 {
    let set = FLAGS.iter().filter(|(flag, _)| flags.contains(flag));
    set.map(|(_, bit)| bit).sum()
}

pub(crate) fn flags(bits: i64) -> Vec<Flag> {
    let set = FLAGS.iter().filter(|(_, bit)| bits & bit != 0);
    set.map(|(flag, _)| *flag).collect()
}

/// Counts are far below 2^63.
pub(crate) fn to_count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn from_count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
