use serde::{Deserialize, Serialize};

/// A position on earth: WGS 84 degrees, altitude in metres above the ground datum the source uses.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Longitude in degrees, -180 to 180, east positive.
    pub lon: f64,
    /// Latitude in degrees, -90 to 90, north positive.
    pub lat: f64,
    /// Altitude in metres, -500 to 9000; `None` when unknown.
    pub alt: Option<f64>,
}

/// Where the position of a station-hour came from (refining rule R9.3), best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionSource {
    /// A fix in one of the samples.
    Fix,
    /// The `point` of the record.
    Point,
    /// What the store knows of the station.
    Station,
}

impl Position {
    /// Mean earth radius R1 in metres (IUGG, Moritz 2000, "Geodetic Reference System 1980").
    const EARTH_RADIUS_M: f64 = 6_371_008.8;

    /// A horizontal position within its limits, both zero being no position (R9.1).
    ///
    /// `lon` and `lat` in degrees; `None` outside ±180 and ±90, for (0, 0) and for non-finite values.
    pub fn horizontal(lon: f64, lat: f64) -> Option<Self> {
        let inside = (-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat);
        (inside && !(lon == 0.0 && lat == 0.0)).then_some(Self {
            lon,
            lat,
            alt: None,
        })
    }

    /// An altitude in metres when it is a believable one, -500 to 9000 m (R9.3).
    pub fn valid_altitude(metres: f64) -> Option<f64> {
        (-500.0..=9000.0).contains(&metres).then_some(metres)
    }

    /// Great-circle distance in metres by the haversine formula; altitude plays no part.
    pub fn distance_m(&self, other: &Self) -> f64 {
        let (lat1, lat2) = (self.lat.to_radians(), other.lat.to_radians());
        let sin_lat = ((lat2 - lat1) / 2.0).sin();
        let sin_lon = ((other.lon - self.lon).to_radians() / 2.0).sin();
        let h = sin_lat * sin_lat + lat1.cos() * lat2.cos() * sin_lon * sin_lon;
        2.0 * Self::EARTH_RADIUS_M * h.sqrt().min(1.0).asin()
    }

    /// Reads `SRID=4326;POINT(lon lat)`, the prefix being optional (R9.3).
    pub fn from_ewkt(text: &str) -> Option<Self> {
        let text = text.trim();
        let wkt = match text.split_once(';') {
            Some((srid, rest)) if srid.trim().eq_ignore_ascii_case("SRID=4326") => rest.trim(),
            Some(_) => return None,
            None => text,
        };
        let (name, rest) = wkt.split_at_checked(5)?;
        if !name.eq_ignore_ascii_case("POINT") {
            return None;
        }
        let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
        let mut numbers = inner.split_ascii_whitespace().map(str::parse::<f64>);
        let (lon, lat) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        match numbers.next() {
            None => Self::horizontal(lon, lat),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_zero_is_no_position_but_a_single_zero_is_a_coordinate() {
        assert_eq!(Position::horizontal(0.0, 0.0), None);
        assert!(Position::horizontal(0.0, 51.5).is_some());
        assert!(Position::horizontal(5.0, 0.0).is_some());
        assert_eq!(Position::horizontal(f64::NAN, 1.0), None);
    }

    #[test]
    fn longitude_may_exceed_ninety_and_latitude_may_not() {
        assert!(Position::horizontal(120.0, 14.0).is_some());
        assert_eq!(Position::horizontal(14.0, 120.0), None);
    }

    #[test]
    fn ewkt_is_read_with_and_without_its_prefix() {
        let expected = Position::horizontal(5.67, 51.47);
        assert_eq!(Position::from_ewkt("SRID=4326;POINT(5.67 51.47)"), expected);
        assert_eq!(Position::from_ewkt("POINT(5.67 51.47)"), expected);
        for bad in [
            "POINT(5.67)",
            "SRID=28992;POINT(5 51)",
            "POINT(5 51 3)",
            "",
            "POINT",
            "é",
        ] {
            assert_eq!(Position::from_ewkt(bad), None, "{bad}");
        }
    }

    #[test]
    fn nijmegen_to_utrecht_is_about_58_km() {
        let nijmegen = Position::horizontal(5.8528, 51.8426).unwrap();
        let utrecht = Position::horizontal(5.1214, 52.0907).unwrap();
        let distance = nijmegen.distance_m(&utrecht);
        assert!((57_000.0..58_500.0).contains(&distance), "{distance}");
    }
}
