//! The extent of a GeoJSON geometry.

use serde_json::Value;

/// A bounding box: west, south, east, north; WGS 84, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds(pub(super) [f64; 4]);

impl Bounds {
    /// Of a GeoJSON geometry or feature (RFC 7946); `None` for anything else.
    pub(super) fn of(document: &Value) -> Option<Self> {
        let mut bounds = None;
        match document.get("type")?.as_str()? {
            "Feature" => return Self::of(document.get("geometry")?),
            "GeometryCollection" => {
                for geometry in document.get("geometries")?.as_array()? {
                    bounds = union(bounds, Self::of(geometry));
                }
            }
            "FeatureCollection" => {
                for feature in document.get("features")?.as_array()? {
                    bounds = union(bounds, Self::of(feature));
                }
            }
            _ => reach(document.get("coordinates")?, &mut bounds),
        }
        bounds
    }

    fn joined(self, other: Self) -> Self {
        let ([w, s, e, n], [west, south, east, north]) = (self.0, other.0);
        Self([w.min(west), s.min(south), e.max(east), n.max(north)])
    }

    /// Whether some edge of it is one of another's.
    pub(super) fn touches(self, other: Self) -> bool {
        let pairs = self.0.iter().zip(other.0);
        // What was taken over from one feature is the same number, bit for bit.
        pairs
            .into_iter()
            .any(|(own, other)| own.total_cmp(&other).is_eq())
    }
}

/// The box around both.
pub(super) fn union(one: Option<Bounds>, other: Option<Bounds>) -> Option<Bounds> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.joined(other)),
        (one, other) => one.or(other),
    }
}

/// Widens a box so that it holds all positions of coordinates, however deep they lie.
fn reach(coordinates: &Value, bounds: &mut Option<Bounds>) {
    let Some(items) = coordinates.as_array() else {
        return;
    };
    let number = |at: usize| items.get(at).and_then(Value::as_f64);
    match number(0).zip(number(1)) {
        Some((lon, lat)) => *bounds = union(*bounds, Some(Bounds([lon, lat, lon, lat]))),
        None => items.iter().for_each(|item| reach(item, bounds)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_box_is_around_all_positions() {
        for (document, expected) in [
            (
                json!({"type": "Point", "coordinates": [5.0, 52.0, 3.0]}),
                Some([5.0, 52.0, 5.0, 52.0]),
            ),
            (
                json!({"type": "Polygon", "coordinates": [[[0, 1], [4, 1], [4, -3], [0, 1]]]}),
                Some([0.0, -3.0, 4.0, 1.0]),
            ),
            (
                json!({"type": "Feature", "properties": {},
                    "geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 0]]}}),
                Some([1.0, 0.0, 3.0, 2.0]),
            ),
            (
                json!({"type": "GeometryCollection", "geometries": [
                    {"type": "Point", "coordinates": [1, 2]},
                    {"type": "Point", "coordinates": [-1, 7]}]}),
                Some([-1.0, 2.0, 1.0, 7.0]),
            ),
            (json!({"type": "Polygon", "coordinates": []}), None),
            (json!("Nijmegen"), None),
        ] {
            assert_eq!(Bounds::of(&document).map(|it| it.0), expected, "{document}");
        }
    }
}
