//! Rows of a copy as PostgreSQL gives and takes them.

use std::borrow::Cow;
use std::error::Error;

use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::super::convert::{At, ewkb, joined, split};
use super::super::fault::Fault;
use super::super::points::names::{given, kept};
use crate::copy::{Cell, Column, Kind, Row, Table};

/// What comes before the text of a `jsonb`: the version of its form.
const JSONB: u8 = 1;

/// A column as a statement selects it.
pub(super) fn read_as(column: Column) -> String {
    let name = column.name;
    match column.kind {
        Kind::Int2 | Kind::Int4 | Kind::Int8 => format!("\"{name}\"::bigint"),
        Kind::Json | Kind::Jsonb => format!("\"{name}\"::text"),
        Kind::Nanos => format!("\"{name}\", {}", beyond(name)),
        Kind::Point => format!("ST_X(\"{name}\"), ST_Y(\"{name}\")"),
        _ => format!("\"{name}\""),
    }
}

/// The column of the nanoseconds beyond the microsecond: `start_ns` beside `start_time`.
fn beyond(name: &str) -> String {
    format!("\"{}_ns\"", name.strip_suffix("_time").unwrap_or(name))
}

/// A column as it is filled.
pub(super) fn written_as(column: Column) -> String {
    let name = column.name;
    match column.kind {
        Kind::Nanos => format!("\"{name}\", {}", beyond(name)),
        _ => format!("\"{name}\""),
    }
}

pub(super) fn types(kind: Kind) -> Vec<Type> {
    vec![match kind {
        Kind::Int2 => Type::INT2,
        Kind::Int4 => Type::INT4,
        Kind::Int8 => Type::INT8,
        Kind::Real => Type::FLOAT8,
        Kind::Text | Kind::Name => Type::TEXT,
        Kind::Json => Type::JSON,
        Kind::Jsonb => Type::JSONB,
        // The bytes of a point are those that PostGIS receives.
        Kind::Bytes | Kind::Point => Type::BYTEA,
        Kind::Bool => Type::BOOL,
        Kind::Time | Kind::Hour => Type::TIMESTAMPTZ,
        Kind::Nanos => return vec![Type::TIMESTAMPTZ, Type::INT2],
    }]
}

pub(super) fn cells(table: &Table, row: &tokio_postgres::Row) -> Result<Row, Fault> {
    let mut at = 0;
    let mut cells = Vec::with_capacity(table.columns.len());
    for column in table.columns {
        let cell = match column.kind {
            Kind::Int2 | Kind::Int4 | Kind::Int8 => {
                row.try_get::<_, Option<i64>>(at)?.map(Cell::Int)
            }
            Kind::Real => row.try_get::<_, Option<f64>>(at)?.map(Cell::Real),
            Kind::Name => match row.try_get::<_, Option<&str>>(at)? {
                Some(name) => Some(Cell::Text(given(name)?.into_owned())),
                None => None,
            },
            Kind::Text | Kind::Json => row.try_get::<_, Option<String>>(at)?.map(Cell::Text),
            Kind::Jsonb => match row.try_get::<_, Option<&str>>(at)? {
                Some(json) => Some(Cell::Json(rewritten(json)?)),
                None => None,
            },
            Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Cell::Bytes),
            Kind::Bool => row.try_get::<_, Option<bool>>(at)?.map(Cell::Bool),
            Kind::Time => row.try_get::<_, Option<At>>(at)?.map(|it| Cell::Time(it.0)),
            Kind::Hour => {
                let hour = row.try_get::<_, Option<At>>(at)?;
                hour.map(|it| Cell::Int(it.to_index()))
            }
            Kind::Nanos => {
                let time = row.try_get::<_, Option<At>>(at)?;
                let rest = row.try_get::<_, Option<i16>>(at + 1)?;
                at += 1;
                match time.zip(rest) {
                    Some((time, rest)) => Some(Cell::Nanos(joined(time, rest)?.as_nanosecond())),
                    None => None,
                }
            }
            Kind::Point => {
                let (lon, lat) = (row.try_get(at)?, row.try_get(at + 1)?);
                at += 1;
                Some(Cell::Point(lon, lat))
            }
        };
        cells.push(cell.unwrap_or(Cell::Null));
        at += 1;
    }
    Ok(cells)
}

/// JSON as the embedded store writes it.
fn rewritten(json: &str) -> Result<String, Fault> {
    let value: serde_json::Value =
        serde_json::from_str(json).map_err(|_| Fault::unknown("the JSON", json))?;
    Ok(value.to_string())
}

/// A value as it is written.
#[derive(Debug)]
pub(super) enum Bound<'a> {
    Null,
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Real(f64),
    Bool(bool),
    At(At),
    Bytes(&'a [u8]),
    Jsonb(&'a str),
    Name(Cow<'a, str>),
    Point([u8; 25]),
}

/// Adds what a cell is in its columns.
pub(super) fn bound<'a>(
    column: Column,
    cell: &'a Cell,
    to: &mut Vec<Bound<'a>>,
) -> Result<(), Fault> {
    let too_great = |number: &i64| Fault::unknown(column.name, number);
    let last = match (column.kind, cell) {
        (Kind::Nanos, Cell::Null) => {
            to.push(Bound::Null);
            Bound::Null
        }
        (_, Cell::Null) => Bound::Null,
        (Kind::Int2, Cell::Int(it)) => Bound::Int2((*it).try_into().map_err(|_| too_great(it))?),
        (Kind::Int4, Cell::Int(it)) => Bound::Int4((*it).try_into().map_err(|_| too_great(it))?),
        (Kind::Hour, Cell::Int(it)) => Bound::At(At::index(*it)),
        (_, Cell::Int(it)) => Bound::Int8(*it),
        (_, Cell::Real(it)) => Bound::Real(*it),
        (_, Cell::Bool(it)) => Bound::Bool(*it),
        (_, Cell::Time(it)) => Bound::At(At(*it)),
        (Kind::Name, Cell::Text(it)) => Bound::Name(kept(it)),
        (_, Cell::Json(it)) => Bound::Jsonb(it),
        (_, Cell::Text(it)) => Bound::Bytes(it.as_bytes()),
        (_, Cell::Bytes(it)) => Bound::Bytes(it),
        (_, Cell::Point(lon, lat)) => Bound::Point(ewkb(*lon, *lat)),
        (_, Cell::Nanos(it)) => {
            let time = Timestamp::from_nanosecond(*it);
            let (at, rest) = split(time.map_err(|_| Fault::unknown(column.name, it))?);
            to.push(Bound::At(at));
            Bound::Int2(rest)
        }
    };
    to.push(last);
    Ok(())
}

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int2(it) => out.put_i16(*it),
            Self::Int4(it) => out.put_i32(*it),
            Self::Int8(it) => out.put_i64(*it),
            Self::Real(it) => out.put_f64(*it),
            Self::Bool(it) => out.put_u8(u8::from(*it)),
            Self::At(it) => return it.to_sql(of, out),
            Self::Bytes(it) => out.put_slice(it),
            Self::Jsonb(it) => {
                out.put_u8(JSONB);
                out.put_slice(it.as_bytes());
            }
            Self::Name(it) => out.put_slice(it.as_bytes()),
            Self::Point(it) => out.put_slice(it),
        }
        Ok(IsNull::No)
    }

    /// Each value was made for its column.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
