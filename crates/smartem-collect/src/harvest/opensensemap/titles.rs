//! What sensors are called, and the keys of the station type that they are.

use smartem_model::UnitConversion;

/// The key that the station type `sensebox` reads, its unit, and beginnings of titles in the form of
/// [`plain`]. The first that fits counts.
const TITLES: [(&str, &str, &[&str]); 8] = [
    (
        "Temperatur",
        "Cel",
        &[
            "temperatu",
            "temperature",
            "lufttemperatur",
            "airtemperature",
        ],
    ),
    (
        "rel. Luftfeuchte",
        "%",
        &[
            "relluftfeuchte",
            "luftfeuchte",
            "relhumidity",
            "humidity",
            "relativehumidity",
            "luchtvochtigheid",
        ],
    ),
    (
        "Luftdruck",
        "Pa",
        &[
            "luftdruck",
            "pressure",
            "presure",
            "airpressure",
            "barometerpressure",
            "luchtdruk",
            "loftdruk",
        ],
    ),
    (
        "PM10",
        "ug/m3",
        &["pm10", "mp10", "fijnstofpm10", "particles10"],
    ),
    (
        "PM2.5",
        "ug/m3",
        &["pm25", "mp25", "fijnstofpm25", "particles25"],
    ),
    ("PM01", "ug/m3", &["pm01", "pm1"]),
    (
        "Beleuchtungsstärke",
        "lx",
        &[
            "beleuchtungsstarke",
            "illuminance",
            "luminosity",
            "helligkeit",
        ],
    ),
    (
        "UV-Intensität",
        "uW/cm2",
        &["uvintensitat", "uvintensity", "uvradiation"],
    ),
];

/// Titles of values within the case or a house are those of no weather.
const ELSEWHERE: [&str; 5] = ["indoor", "inbox", "innen", "binnen", "case"];

/// How the values of a sensor stand in a sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub name: String,
    pub conversion: UnitConversion,
}

/// The key of a sensor; `None` when title and unit are none of ours.
pub(super) fn key_of(title: &str, unit: &str) -> Option<Key> {
    let (name, wanted) = known(title)?;
    Some(Key {
        name: name.to_owned(),
        conversion: UnitConversion::between(unit, wanted, "").ok()?,
    })
}

/// Whether the station type reads this key.
pub(super) fn is_key(name: &str) -> bool {
    TITLES.iter().any(|(key, ..)| *key == name)
}

fn known(title: &str) -> Option<(&'static str, &'static str)> {
    let plain = plain(title);
    if ELSEWHERE.iter().any(|word| plain.contains(word)) {
        return None;
    }
    let found = TITLES
        .iter()
        .find(|(_, _, beginnings)| beginnings.iter().any(|beginning| begins(&plain, beginning)))?;
    Some((found.0, found.1))
}

/// Whether a title begins so; a size as a whole: `pm1` and `pm1.0` are, `pm10` is not `pm1`.
fn begins(title: &str, beginning: &str) -> bool {
    let Some(rest) = title.strip_prefix(beginning) else {
        return false;
    };
    let is_size = beginning.ends_with(|c: char| c.is_ascii_digit());
    !is_size || !rest.starts_with(|c: char| c.is_ascii_digit())
}

/// Small letters and digits only, umlauts without their dots.
fn plain(title: &str) -> String {
    let mut plain = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        match c {
            'ä' => plain.push('a'),
            'ö' => plain.push('o'),
            'ü' => plain.push('u'),
            c if c.is_alphanumeric() => plain.push(c),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn sensors_are_known_in_several_languages() {
        for (title, unit, key) in [
            ("Temperatur", "°C", Some("Temperatur")),
            ("Temperatuur", "C", Some("Temperatur")),
            ("Temperature Outdoor (DS18B20)", "°C", Some("Temperatur")),
            ("Temperature", "Celcius", None),
            ("Temperature Indoor (DS18B20)", "°C", None),
            ("rel. Luftfeuchte BME280", "%", Some("rel. Luftfeuchte")),
            ("Luchtvochtigheid", "%", Some("rel. Luftfeuchte")),
            ("presure", "hPa", Some("Luftdruck")),
            ("Luchtdruk", "P", None),
            ("PM 2.5 (SDS011)", "µg/m³", Some("PM2.5")),
            ("PM10", "μg/m3", Some("PM10")),
            ("PM10", "ppm", None),
            ("PM1", "microgram/m3", Some("PM01")),
            ("PM01", "µg/m³", Some("PM01")),
            ("PM4", "µg/m³", None),
            ("Beleuchtungsstärke", "Lux", Some("Beleuchtungsstärke")),
            ("UV-Intensität", "μW/cm²", Some("UV-Intensität")),
            ("Dew Point", "°C", None),
        ] {
            let found = key_of(title, unit).map(|key| key.name);
            assert_eq!(found.as_deref(), key, "{title} in {unit}");
        }
        let pressure = key_of("Luftdruck", "hPa").unwrap();
        assert_eq!(
            pressure.conversion.apply(1013.25).to_bits(),
            101_325.0_f64.to_bits()
        );
    }

    #[test]
    fn almost_all_sensors_of_the_recorded_boxes_are_known() {
        let recorded = "../../../shared/samples/opensensemap/boxes_bbox_3.3_51.2_6.3_53.6.json";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded);
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("skipped: no recorded answers here");
            return;
        };
        let boxes: Vec<Value> = serde_json::from_str(&text).unwrap();
        let mut counts = BTreeMap::<bool, usize>::new();
        for sensor in boxes
            .iter()
            .flat_map(|one| one["sensors"].as_array().unwrap())
        {
            let text = |member: &str| sensor[member].as_str().unwrap_or_default();
            let is_known = key_of(text("title"), text("unit")).is_some();
            *counts.entry(is_known).or_default() += 1;
        }
        assert!(counts[&true] > 2200 && counts[&false] < 90, "{counts:?}");
    }
}
