//! Between the types of the model and those of columns.

use jiff::Timestamp;
use rusqlite::Row;
use smartem_model::{Hour, Position, PositionSource, QuarantineReason, StationId};

use super::fault::Fault;
pub(super) use crate::columns::{
    flag_bits, flags, from_count, micros, reason_named, source_name, source_named, to_count,
};

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
    reason_named(text).ok_or_else(|| Fault::unknown("the quarantine reason", text))
}

/// Three columns from `at` on: longitude, latitude, altitude.
pub(super) fn position(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Position>> {
    let (lon, lat): (Option<f64>, Option<f64>) = (row.get(at)?, row.get(at + 1)?);
    let alt = row.get(at + 2)?;
    Ok(lon.zip(lat).map(|(lon, lat)| Position { lon, lat, alt }))
}

pub(super) fn source(name: &str) -> Result<PositionSource, Fault> {
    source_named(name).ok_or_else(|| Fault::unknown("the source of a position", name))
}
