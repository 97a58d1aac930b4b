//! Between the types of the model and those of columns.

use jiff::Timestamp;
use rusqlite::Row;
use smartem_model::{Flag, Hour, Position, PositionSource, QuarantineReason, StationId};

use super::fault::Fault;

/// Microseconds since 1970; finer digits are cut.
pub(super) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

pub(super) fn time(micros: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_microsecond(micros).map_err(|_| Fault::unknown("the time", &micros))
}

pub(super) fn optional_time(micros: Option<i64>) -> Result<Option<Timestamp>, Fault> {
    micros.map(time).transpose()
}

pub(super) fn parsed_time(text: &str) -> Result<Timestamp, Fault> {
    text.parse().map_err(|_| Fault::unknown("the time", text))
}

pub(super) fn hour(index: i64) -> Result<Hour, Fault> {
    Hour::from_index(index).ok_or_else(|| Fault::unknown("the hour", &index))
}

pub(super) fn station_id(text: &str) -> Result<StationId, Fault> {
    StationId::new(text).ok_or_else(|| Fault::unknown("the station id", text))
}

pub(super) fn json(text: &str) -> Result<serde_json::Value, Fault> {
    serde_json::from_str(text).map_err(|_| Fault::unknown("the JSON", text))
}

pub(super) fn reason(text: &str) -> Result<QuarantineReason, Fault> {
    let mut all = QuarantineReason::ALL.iter().copied();
    all.find(|reason| reason.as_str() == text)
        .ok_or_else(|| Fault::unknown("the quarantine reason", text))
}

/// Three columns from `at` on: longitude, latitude, altitude.
pub(super) fn position(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Position>> {
    let (lon, lat): (Option<f64>, Option<f64>) = (row.get(at)?, row.get(at + 1)?);
    let alt = row.get(at + 2)?;
    Ok(lon.zip(lat).map(|(lon, lat)| Position { lon, lat, alt }))
}

pub(super) fn source_name(source: PositionSource) -> &'static str {
    match source {
        PositionSource::Fix => "fix",
        PositionSource::Point => "point",
        PositionSource::Station => "station",
    }
}

pub(super) fn source(name: &str) -> Result<PositionSource, Fault> {
    use PositionSource::{Fix, Point, Station};
    [Fix, Point, Station]
        .into_iter()
        .find(|source| source_name(*source) == name)
        .ok_or_else(|| Fault::unknown("the source of a position", name))
}

/// The flags in the order of their names, and the bit of each.
const FLAGS: [(Flag, i64); 3] = [
    (Flag::BelowDetection, 1),
    (Flag::LowCoverage, 2),
    (Flag::StationLocation, 4),
];

pub(super) fn flag_bits(flags: &[Flag]) -> i64 {
    let set = FLAGS.iter().filter(|(flag, _)| flags.contains(flag));
    set.map(|(_, bit)| bit).sum()
}

pub(super) fn flags(bits: i64) -> Vec<Flag> {
    let set = FLAGS.iter().filter(|(_, bit)| bits & bit != 0);
    set.map(|(flag, _)| *flag).collect()
}

/// Counts are far below 2^63.
pub(super) fn to_count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn from_count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
