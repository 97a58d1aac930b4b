//! GeoJSON of locations and features (RFC 7946).

use geojson::{Feature, GeoJson, Geometry, GeometryValue, Position};
use serde::Deserialize as _;
use serde_json::Value;

/// Whether values of an encoding are GeoJSON.
pub(super) fn is_encoding(encoding_type: &str) -> bool {
    let media_type = encoding_type.split(';').next().unwrap_or(encoding_type);
    ["application/geo+json", "application/vnd.geo+json"]
        .iter()
        .any(|known| media_type.trim().eq_ignore_ascii_case(known))
}

/// Whether a value says of itself that it is GeoJSON.
pub(super) fn is_like(value: &Value) -> bool {
    let ty = value.get("type").and_then(Value::as_str);
    let known = ["coordinates", "geometries", "geometry", "features"];
    ty.is_some() && known.iter().any(|name| value.get(name).is_some())
}

/// Fails for what is no geometry or feature, and for coordinates that are not on Earth.
pub(super) fn check(value: &Value) -> Result<(), String> {
    match GeoJson::deserialize(value) {
        Ok(
            GeoJson::Geometry(geometry)
            | GeoJson::Feature(Feature {
                geometry: Some(geometry),
                ..
            }),
        ) => check_geometry(&geometry),
        Ok(GeoJson::Feature(_)) => Err("this feature has no geometry".to_owned()),
        Ok(GeoJson::FeatureCollection(_)) => Err(
            "a collection of features is not one place; send one feature or geometry".to_owned(),
        ),
        Err(error) => Err(format!(
            "this is no GeoJSON geometry or feature such as {{\"type\":\"Point\",\"coordinates\":[5.8,51.8]}}: {error}"
        )),
    }
}

/// The same for what must be a geometry.
pub(super) fn check_plain(value: &Value) -> Result<(), String> {
    match Geometry::deserialize(value) {
        Ok(geometry) => check_geometry(&geometry),
        Err(error) => Err(format!("this is no GeoJSON geometry: {error}")),
    }
}

fn check_geometry(geometry: &Geometry) -> Result<(), String> {
    match &geometry.value {
        GeometryValue::Point { coordinates } => check_position(coordinates),
        GeometryValue::MultiPoint { coordinates } => check_line(coordinates, 1),
        GeometryValue::LineString { coordinates } => check_line(coordinates, 2),
        GeometryValue::MultiLineString { coordinates } => {
            check_some(coordinates.len())?;
            coordinates.iter().try_for_each(|line| check_line(line, 2))
        }
        GeometryValue::Polygon { coordinates } => check_polygon(coordinates),
        GeometryValue::MultiPolygon { coordinates } => {
            check_some(coordinates.len())?;
            coordinates.iter().try_for_each(|it| check_polygon(it))
        }
        GeometryValue::GeometryCollection { geometries } => {
            check_some(geometries.len())?;
            geometries.iter().try_for_each(check_geometry)
        }
    }
}

fn check_some(parts: usize) -> Result<(), String> {
    if parts == 0 {
        return Err("this geometry has no coordinates".to_owned());
    }
    Ok(())
}

fn check_line(positions: &[Position], least: usize) -> Result<(), String> {
    if positions.len() < least {
        return Err(format!(
            "this geometry has {} positions and needs {least}",
            positions.len()
        ));
    }
    positions.iter().try_for_each(check_position)
}

fn check_polygon(rings: &[Vec<Position>]) -> Result<(), String> {
    check_some(rings.len())?;
    for ring in rings {
        check_line(ring, 4)?;
        let is_closed = match (ring.first(), ring.last()) {
            (Some(first), Some(last)) => first.as_slice()[..2] == last.as_slice()[..2],
            _ => false,
        };
        if !is_closed {
            return Err("a ring of the polygon does not end where it begins".to_owned());
        }
    }
    Ok(())
}

/// Positions have two numbers at least: the reader of GeoJSON sees to it.
fn check_position(position: &Position) -> Result<(), String> {
    let (longitude, latitude) = (position[0], position[1]);
    if !(-180.0..=180.0).contains(&longitude) {
        return Err(format!(
            "longitude {longitude} is not within -180 and 180; coordinates are degrees in WGS 84, longitude first"
        ));
    }
    if !(-90.0..=90.0).contains(&latitude) {
        return Err(format!(
            "latitude {latitude} is not within -90 and 90; coordinates are degrees in WGS 84, longitude first"
        ));
    }
    Ok(())
}
