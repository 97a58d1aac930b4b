//! SQL functions of our own: what PostgreSQL and PostGIS have and SQLite has not, with the same results.
//!
//! All give NULL where an argument is NULL. Geometries are GeoJSON (a geometry or feature) or well-known
//! text, in the units of their coordinates; what is neither has no geometry, which is NULL too.

use std::sync::Arc;

use geo::relate::IntersectionMatrix;
use geo::{
    Coord, GeometryCollection, LineString, MultiLineString, MultiPoint, MultiPolygon, Point,
    Polygon,
};
use geo::{Distance as _, Euclidean, Geometry, Length as _, Relate as _};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ToSql;
use rusqlite::{Connection, Error, Result};
use serde_json::Value;
use wkt::TryFromWkt as _;

/// Adds them to a connection.
pub(super) fn register(connection: &Connection) -> Result<()> {
    texts(connection)?;
    numbers(connection)?;
    json(connection)?;
    geometries(connection)
}

fn flags() -> FunctionFlags {
    FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS
}

/// A function of so many arguments that is not called when the first of them is NULL.
fn add<T: ToSql>(
    connection: &Connection,
    name: &str,
    arguments: i32,
    function: impl Fn(&Context<'_>) -> Result<Option<T>> + Send + 'static,
) -> Result<()> {
    connection.create_scalar_function(name, arguments, flags(), move |context| {
        for at in 0..context.len() {
            if context.get_raw(at) == rusqlite::types::ValueRef::Null {
                return Ok(None);
            }
        }
        function(context)
    })
}

fn text<'c>(context: &'c Context<'_>, at: usize) -> Result<&'c str> {
    context
        .get_raw(at)
        .as_str()
        .map_err(|error| Error::UserFunctionError(error.into()))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn texts(connection: &Connection) -> Result<()> {
    add(connection, "sta_length", 1, |it| {
        Ok(Some(count(text(it, 0)?.chars().count())))
    })?;
    add(connection, "sta_lower", 1, |it| {
        Ok(Some(text(it, 0)?.to_lowercase()))
    })?;
    add(connection, "sta_upper", 1, |it| {
        Ok(Some(text(it, 0)?.to_uppercase()))
    })?;
    add(connection, "sta_index_of", 2, |it| {
        let (whole, part) = (text(it, 0)?, text(it, 1)?);
        let at = whole
            .find(part)
            .map(|at| count(whole[..at].chars().count()));
        Ok(Some(at.unwrap_or(-1)))
    })?;
    add(connection, "sta_starts_with", 2, |it| {
        Ok(Some(text(it, 0)?.starts_with(text(it, 1)?)))
    })?;
    add(connection, "sta_ends_with", 2, |it| {
        Ok(Some(text(it, 0)?.ends_with(text(it, 1)?)))
    })?;
    add(connection, "sta_substring", 3, |it| {
        let (from, length): (f64, f64) = (it.get(1)?, it.get(2)?);
        let part = text(it, 0)?
            .chars()
            .skip(bounded(from))
            .take(bounded(length));
        Ok(Some(part.collect::<String>()))
    })
}

/// A place in a text: of what is before it the beginning.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is within bounds that `usize` has"
)]
fn bounded(place: f64) -> usize {
    place.clamp(0.0, 1e9) as usize
}

fn numbers(connection: &Connection) -> Result<()> {
    let of = |name: &str, function: fn(f64) -> f64| {
        add(connection, name, 1, move |it| {
            Ok(Some(function(it.get(0)?)))
        })
    };
    of("sta_trunc", f64::trunc)?;
    of("sta_floor", f64::floor)?;
    of("sta_ceiling", f64::ceil)?;
    // Halves away from zero.
    of("sta_round", |it| {
        if it == 0.0 {
            0.0
        } else {
            it.signum() * (it.abs() + 0.5).floor()
        }
    })?;
    let part = |name: &str, part: fn(jiff::civil::Date) -> i64| {
        add(connection, name, 1, move |it| {
            let time = Timestamp::from_microsecond(it.get(0)?).ok();
            Ok(time.map(|time| part(TimeZone::UTC.to_datetime(time).date())))
        })
    };
    part("sta_year", |it| i64::from(it.year()))?;
    part("sta_month", |it| i64::from(it.month()))?;
    part("sta_day", |it| i64::from(it.day()))
}

fn json(connection: &Connection) -> Result<()> {
    add(connection, "sta_number_text", 1, |it| {
        Ok(Some(number_text(it.get(0)?)))
    })?;
    add(connection, "sta_number", 2, |it| {
        Ok(member(it)?.and_then(|value| value.as_f64()))
    })?;
    add(connection, "sta_text", 2, |it| {
        Ok(member(it)?.and_then(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        }))
    })?;
    add(connection, "sta_boolean", 2, |it| {
        Ok(member(it)?.and_then(|value| value.as_bool()))
    })?;
    // No document has no members either.
    connection.create_scalar_function("sta_is_null", 2, flags(), |it| {
        if it.get_raw(0) == rusqlite::types::ValueRef::Null {
            return Ok(true);
        }
        Ok(member(it)?.is_none_or(|value| value.is_null()))
    })
}

/// The member of a document that an array of names leads to; in arrays names are places, negative ones from
/// the end.
fn member(context: &Context<'_>) -> Result<Option<Value>> {
    let names = context.get_or_create_aux(1, |names| -> std::result::Result<_, BoxedError> {
        Ok(serde_json::from_str::<Vec<String>>(names.as_str()?)?)
    })?;
    let Ok(document) = serde_json::from_str::<Value>(text(context, 0)?) else {
        return Ok(None);
    };
    Ok(at(document, &names))
}

fn at(mut value: Value, names: &[String]) -> Option<Value> {
    for name in names {
        value = match value {
            Value::Object(mut members) => members.remove(name)?,
            Value::Array(mut items) => {
                let place: i64 = name.parse().ok()?;
                let place = if place < 0 {
                    count(items.len()) + place
                } else {
                    place
                };
                let place = usize::try_from(place).ok()?;
                if place >= items.len() {
                    return None;
                }
                items.swap_remove(place)
            }
            _ => return None,
        };
    }
    Some(value)
}

type BoxedError = Box<dyn std::error::Error + Send + Sync + 'static>;

fn geometries(connection: &Connection) -> Result<()> {
    add(connection, "sta_box", 4, |it| {
        let [west, south, east, north] = [it.get(0)?, it.get(1)?, it.get(2)?, it.get(3)?];
        Ok(Some(
            crate::sta::box_geometry(west, south, east, north).to_string(),
        ))
    })?;
    add(connection, "sta_geo_length", 1, |it| {
        Ok(geometry(it, 0)?.as_ref().as_ref().map(length))
    })?;
    add(connection, "sta_geo_distance", 2, |it| {
        let (a, b) = (geometry(it, 0)?, geometry(it, 1)?);
        Ok(both(&a, &b).map(|(a, b)| Euclidean.distance(a, b)))
    })?;
    let relation = |name: &str, holds: fn(&IntersectionMatrix) -> bool| {
        add(connection, name, 2, move |it| {
            let (a, b) = (geometry(it, 0)?, geometry(it, 1)?);
            Ok(both(&a, &b).map(|(a, b)| holds(&a.relate(b))))
        })
    };
    relation("sta_geo_equals", IntersectionMatrix::is_equal_topo)?;
    relation("sta_geo_disjoint", IntersectionMatrix::is_disjoint)?;
    relation("sta_geo_touches", IntersectionMatrix::is_touches)?;
    relation("sta_geo_within", IntersectionMatrix::is_within)?;
    relation("sta_geo_overlaps", IntersectionMatrix::is_overlaps)?;
    relation("sta_geo_crosses", IntersectionMatrix::is_crosses)?;
    relation("sta_geo_contains", IntersectionMatrix::is_contains)?;
    relation("sta_geo_intersects", IntersectionMatrix::is_intersects)?;
    add(connection, "sta_geo_relate", 3, |it| {
        let (a, b) = (geometry(it, 0)?, geometry(it, 1)?);
        let pattern = text(it, 2)?;
        Ok(both(&a, &b).and_then(|(a, b)| a.relate(b).matches(pattern).ok()))
    })
}

type Parsed = Arc<Option<Geometry>>;

/// The geometry of an argument; that of a constant is made once for a statement.
fn geometry(context: &Context<'_>, at: usize) -> Result<Parsed> {
    let at = i32::try_from(at).unwrap_or(i32::MAX);
    context.get_or_create_aux(at, |value| -> std::result::Result<_, BoxedError> {
        Ok(parse(value.as_str()?))
    })
}

fn both<'g>(a: &'g Parsed, b: &'g Parsed) -> Option<(&'g Geometry, &'g Geometry)> {
    a.as_ref().as_ref().zip(b.as_ref().as_ref())
}

fn parse(text: &str) -> Option<Geometry> {
    if !text.trim_start().starts_with('{') {
        return Geometry::try_from_wkt_str(text).ok();
    }
    let document: Value = serde_json::from_str(text).ok()?;
    if document["type"] == "Feature" {
        return of_geojson(&document["geometry"]);
    }
    of_geojson(&document)
}

/// A geometry of GeoJSON (RFC 7946, section 3.1); heights are left out.
fn of_geojson(value: &Value) -> Option<Geometry> {
    let coordinates = &value["coordinates"];
    Some(match value["type"].as_str()? {
        "Point" => Point(coord(coordinates)?).into(),
        "LineString" => line(coordinates)?.into(),
        "Polygon" => polygon(coordinates)?.into(),
        "MultiPoint" => MultiPoint(all(coordinates, |it| coord(it).map(Point))?).into(),
        "MultiLineString" => MultiLineString(all(coordinates, line)?).into(),
        "MultiPolygon" => MultiPolygon(all(coordinates, polygon)?).into(),
        "GeometryCollection" => {
            Geometry::GeometryCollection(GeometryCollection(all(&value["geometries"], of_geojson)?))
        }
        _ => return None,
    })
}

fn all<T>(value: &Value, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(one).collect()
}

fn coord(value: &Value) -> Option<Coord> {
    Some(Coord {
        x: value.get(0)?.as_f64()?,
        y: value.get(1)?.as_f64()?,
    })
}

fn line(value: &Value) -> Option<LineString> {
    all(value, coord).map(LineString)
}

fn polygon(value: &Value) -> Option<Polygon> {
    let mut rings = all(value, line)?.into_iter();
    Some(Polygon::new(rings.next()?, rings.collect()))
}

/// Of lines; the boundary of an area does not count.
fn length(geometry: &Geometry) -> f64 {
    match geometry {
        Geometry::Line(line) => Euclidean.length(line),
        Geometry::LineString(line) => Euclidean.length(line),
        Geometry::MultiLineString(lines) => Euclidean.length(lines),
        Geometry::GeometryCollection(all) => all.iter().map(length).sum(),
        _ => 0.0,
    }
}

/// A number as PostgreSQL writes it: as few digits as tell it, with an exponent beyond 15 digits and below a
/// ten thousandth.
fn number_text(number: f64) -> String {
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..15).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{number}"),
    }
}
