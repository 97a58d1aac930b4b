//! Well-known text of geometries.

use std::str::FromStr;

use geo_types::{Coord, Geometry, LineString, Polygon};
use wkt::{ToWkt, Wkt};

/// Reads a geometry (longitude before latitude, an `SRID=4326;` in front is left out) and gives it back as plain
/// well-known text in two dimensions; heights are left out.
///
/// # Errors
/// What is wrong: syntax, another reference system, coordinates that are not finite, lines of less than two
/// points and rings of less than three.
pub(super) fn normalise(text: &str) -> Result<String, String> {
    let text = without_reference_system(text.trim())?;
    check_parentheses(text)?;
    let wkt = Wkt::<f64>::from_str(text)
        .map_err(|problem| format!("it is no well-known text: {problem}"))?;
    let geometry = Geometry::try_from(wkt)
        .map_err(|problem| format!("it is no geometry to compare with: {problem}"))?;
    check(&geometry)?;
    Ok(geometry.wkt_string())
}

fn without_reference_system(text: &str) -> Result<&str, String> {
    let Some((prefix, rest)) = text.split_once(';') else {
        return Ok(text);
    };
    match prefix.trim().to_ascii_uppercase().as_str() {
        "SRID=4326" => Ok(rest),
        _ => Err(
            "geometries are in WGS 84, longitude before latitude: leave the reference system \
                  out or write `SRID=4326;`"
                .to_owned(),
        ),
    }
}

/// The reader of well-known text calls itself for collections within collections, and leaves what follows a
/// geometry unread.
fn check_parentheses(text: &str) -> Result<(), String> {
    const MAX: usize = 16;
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX {
            return Err(format!("its parentheses are more than {MAX} deep"));
        }
        let is_end = byte == b')' && depth == 0;
        if is_end && !text[at + 1..].trim().is_empty() {
            return Err("something follows the geometry".to_owned());
        }
    }
    Ok(())
}

fn check(geometry: &Geometry) -> Result<(), String> {
    match geometry {
        Geometry::Point(point) => check_coordinates([&point.0]),
        Geometry::MultiPoint(points) => {
            check_some(points.0.len())?;
            check_coordinates(points.iter().map(|point| &point.0))
        }
        Geometry::LineString(line) => check_line(line),
        Geometry::MultiLineString(lines) => {
            check_some(lines.0.len())?;
            lines.iter().try_for_each(check_line)
        }
        Geometry::Polygon(polygon) => check_polygon(polygon),
        Geometry::MultiPolygon(polygons) => {
            check_some(polygons.0.len())?;
            polygons.iter().try_for_each(check_polygon)
        }
        Geometry::GeometryCollection(members) => {
            check_some(members.len())?;
            members.iter().try_for_each(check)
        }
        // Well-known text has no words for the other kinds.
        Geometry::Line(_) | Geometry::Rect(_) | Geometry::Triangle(_) => Ok(()),
    }
}

fn check_some(members: usize) -> Result<(), String> {
    if members == 0 {
        return Err("it is empty".to_owned());
    }
    Ok(())
}

fn check_line(line: &LineString) -> Result<(), String> {
    if line.0.len() < 2 {
        return Err("a line has two points at least".to_owned());
    }
    check_coordinates(&line.0)
}

/// Rings come closed out of the conversion, so that three corners make four points.
fn check_polygon(polygon: &Polygon) -> Result<(), String> {
    for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
        if ring.0.len() < 4 {
            return Err("a ring of a polygon has three corners at least".to_owned());
        }
        check_coordinates(&ring.0)?;
    }
    Ok(())
}

fn check_coordinates<'a>(coordinates: impl IntoIterator<Item = &'a Coord>) -> Result<(), String> {
    for coordinate in coordinates {
        if !coordinate.x.is_finite() || !coordinate.y.is_finite() {
            return Err("a coordinate is not finite".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn good_text_becomes_plain_and_bad_text_is_refused() {
        for (text, wanted) in [
            ("POINT(5 51)", "POINT(5 51)"),
            (" srid=4326; point ( 5.50  51 ) ", "POINT(5.5 51)"),
            ("POINT Z(5 51 12)", "POINT(5 51)"),
            ("POINTZ(5 51 12)", "POINT(5 51)"),
            ("MULTIPOINT((1 2),(3 4))", "MULTIPOINT((1 2),(3 4))"),
            ("MULTIPOINT(1 2,3 4)", "MULTIPOINT((1 2),(3 4))"),
            (
                "POLYGON((5 51,6 51,6 52))",
                "POLYGON((5 51,6 51,6 52,5 51))",
            ),
            (
                "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(1 2,3 4))",
                "GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(1 2,3 4))",
            ),
        ] {
            assert_eq!(normalise(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "POINT",
            "POINT EMPTY",
            "POINT(5)",
            "POINT(5 51 12)",
            "POINT(5 51) POINT(5 51)",
            "POINT(5 51",
            "POINT(1e999 51)",
            "POINT(nan 51)",
            "SRID=28992;POINT(5 51)",
            "LINESTRING(5 51)",
            "POLYGON((5 51,6 51))",
            "POLYGON EMPTY",
            "MULTIPOLYGON EMPTY",
            "GEOMETRYCOLLECTION EMPTY",
            "GEOMETRYCOLLECTION(GEOMETRYCOLLECTION EMPTY)",
            "CIRCLE(5 51)",
        ] {
            assert!(normalise(text).is_err(), "{text}: {:?}", normalise(text));
        }
        let deep = "GEOMETRYCOLLECTION(".repeat(5_000);
        assert!(normalise(&deep).unwrap_err().contains("deep"));
    }
}
