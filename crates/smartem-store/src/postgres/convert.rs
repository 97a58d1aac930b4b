//! Between the types of the model and those of columns.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use smartem_model::{Hour, Position, StationId};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::fault::Fault;
pub(super) use crate::columns::{
    flag_bits, flags, from_count, micros, reason_named, source_name, source_named, to_count,
};

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH: i64 = 946_684_800_000_000;
/// What no timestamptz can be before: the year 4713 BC.
const FIRST: i64 = -210_866_803_200_000_000;
const HOUR: i64 = 3_600_000_000;

/// A time as a `timestamptz`: microseconds since 1970. What is before the first that PostgreSQL has is
/// `-infinity`, the greatest number `infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct At(pub(super) i64);

impl At {
    /// Finer digits are cut.
    pub(super) fn time(time: Timestamp) -> Self {
        Self(micros(time))
    }

    /// The start of an hour.
    pub(super) fn hour(hour: Hour) -> Self {
        Self::index(hour.index())
    }

    /// The start of the hour of this number; the least and the greatest are without end.
    pub(super) fn index(index: i64) -> Self {
        Self(index.saturating_mul(HOUR))
    }

    pub(super) fn to_time(self) -> Result<Timestamp, Fault> {
        Timestamp::from_microsecond(self.0).map_err(|_| Fault::unknown("the time", &self.0))
    }

    pub(super) fn to_hour(self) -> Result<Hour, Fault> {
        let index = self.0.div_euclid(HOUR);
        Hour::from_index(index).ok_or_else(|| Fault::unknown("the hour", &self.0))
    }

    /// The number of the hour that begins then.
    pub(super) fn to_index(self) -> i64 {
        self.0.div_euclid(HOUR)
    }
}

impl ToSql for At {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_i64(match self.0 {
            i64::MAX => i64::MAX,
            time if time < FIRST => i64::MIN,
            time => time - EPOCH,
        });
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TIMESTAMPTZ
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for At {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let time = i64::from_be_bytes(raw.try_into()?);
        Ok(Self(match time {
            i64::MAX | i64::MIN => time,
            time => time.saturating_add(EPOCH),
        }))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::TIMESTAMPTZ
    }
}

/// A time with nanoseconds, in two columns: whole microseconds, and the nanoseconds beyond (0 to 999).
pub(super) fn split(time: Timestamp) -> (At, i16) {
    let nanoseconds = time.as_nanosecond();
    // Both are within the range of a timestamp.
    let micros = i64::try_from(nanoseconds.div_euclid(1000)).unwrap_or_default();
    let rest = i16::try_from(nanoseconds.rem_euclid(1000)).unwrap_or_default();
    (At(micros), rest)
}

pub(super) fn joined(at: At, nanoseconds: i16) -> Result<Timestamp, Fault> {
    let whole = i128::from(at.0) * 1000 + i128::from(nanoseconds);
    Timestamp::from_nanosecond(whole).map_err(|_| Fault::unknown("the time", &whole))
}

pub(super) fn station_id(text: &str) -> Result<StationId, Fault> {
    StationId::new(text).ok_or_else(|| Fault::unknown("the station id", text))
}

pub(super) fn reason(text: &str) -> Result<smartem_model::QuarantineReason, Fault> {
    reason_named(text).ok_or_else(|| Fault::unknown("the quarantine reason", text))
}

pub(super) fn source(name: &str) -> Result<smartem_model::PositionSource, Fault> {
    source_named(name).ok_or_else(|| Fault::unknown("the source of a position", name))
}

pub(super) fn optional_time(at: Option<At>) -> Result<Option<Timestamp>, Fault> {
    at.map(At::to_time).transpose()
}

/// Three columns from `at` on: longitude, latitude, altitude.
pub(super) fn position(row: &Row, at: usize) -> Result<Option<Position>, Fault> {
    let (lon, lat): (Option<f64>, Option<f64>) = (row.try_get(at)?, row.try_get(at + 1)?);
    let alt = row.try_get(at + 2)?;
    Ok(lon.zip(lat).map(|(lon, lat)| Position { lon, lat, alt }))
}

/// A text of somebody else: PostgreSQL has no character of number 0, so it is shown as its picture.
pub(crate) fn text(of: &str) -> std::borrow::Cow<'_, str> {
    if of.contains('\0') {
        of.replace('\0', "\u{2400}").into()
    } else {
        of.into()
    }
}

/// A point of WGS 84 as the extended well-known binary that PostGIS receives.
pub(super) fn ewkb(lon: f64, lat: f64) -> [u8; 25] {
    let mut bytes = [0; 25];
    bytes[0] = 1; // little-endian
    bytes[1..5].copy_from_slice(&0x2000_0001_u32.to_le_bytes()); // a point with a reference system
    bytes[5..9].copy_from_slice(&4326_u32.to_le_bytes());
    bytes[9..17].copy_from_slice(&lon.to_le_bytes());
    bytes[17..25].copy_from_slice(&lat.to_le_bytes());
    bytes
}
