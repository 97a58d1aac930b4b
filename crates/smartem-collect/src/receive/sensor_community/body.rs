//! What the firmware sends, as points of its instruments.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::harvest::sensor_community::Values;

/// Values in a body at most; the firmware sends at most some forty.
const MOST_VALUES: usize = 200;

/// The instrument that each number of `X-Pin` stands for, as the firmware and the service agreed.
/// Where several instruments share a number, it is the one that most stations have.
const PINS: [(u32, &str); 11] = [
    (1, "SDS011"),
    (3, "BMP180"),
    (5, "PPD42NS"),
    (7, "DHT22"),
    (9, "GPS"),
    (11, "BME280"),
    (13, "DS18B20"),
    (15, "DNMS"),
    (16, "SEN5X"),
    (17, "SCD30"),
    (19, "Radiation"),
];

/// What stands before the names of values where one body has those of several instruments, and the
/// instrument. Another prefix is part of the name: its values may mean something else.
const PREFIXES: [(&str, &str); 18] = [
    ("SDS_", "SDS011"),
    ("PMS_", "PMS"),
    ("HPM_", "HPM"),
    ("NPM_", "NPM"),
    ("IPS_", "IPS-7100"),
    ("SPS30_", "SPS30"),
    ("SEN5X_", "SEN5X"),
    ("BMP_", "BMP180"),
    ("BMP280_", "BMP280"),
    ("BME280_", "BME280"),
    ("SHT3X_", "SHT3X"),
    ("HTU21D_", "HTU21D"),
    ("DHT_", "DHT22"),
    ("DS18B20_", "DS18B20"),
    ("DNMS_", "DNMS"),
    ("SPH0645_", "SPH0645"),
    ("SCD30_", "SCD30"),
    ("GPS_", "GPS"),
];

/// What the firmware tells of itself: how often its loop ran, how long that took, its radio.
const HOUSEKEEPING: [&str; 5] = ["samples", "min_micro", "max_micro", "interval", "signal"];

/// Instruments of values without a prefix in a body of several instruments.
const UNPREFIXED: [(&str, &str); 8] = [
    ("temperature", "DHT22"),
    ("humidity", "DHT22"),
    ("durP1", "PPD42NS"),
    ("ratioP1", "PPD42NS"),
    ("P1", "PPD42NS"),
    ("durP2", "PPD42NS"),
    ("ratioP2", "PPD42NS"),
    ("P2", "PPD42NS"),
];

/// The values of one instrument, by key.
#[derive(Debug, PartialEq)]
pub(super) struct Reading {
    /// The type of the instrument.
    pub(super) instrument: String,
    /// At least one.
    pub(super) fields: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Body {
    sensordatavalues: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    value_type: String,
    value: Value,
}

/// The readings of a body, with the number of `X-Pin` where there is one; the number of values that
/// are no numbers.
///
/// # Errors
/// When it is not what the firmware sends, or has no number; says what is wrong.
pub(super) fn readings(body: &[u8], pin: Option<u32>) -> Result<(Vec<Reading>, usize), String> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        format!(
            "it is no push of the airRohr firmware ({error}); it must be an object with a list \
             `sensordatavalues` of objects with `value_type` and `value`"
        )
    })?;
    let count = body.sensordatavalues.len();
    if count > MOST_VALUES {
        return Err(format!(
            "`sensordatavalues` has {count} values, more than the {MOST_VALUES} that are taken"
        ));
    }
    let mut instruments = BTreeMap::<String, (Values, Gps)>::new();
    let mut skipped = 0;
    for Named { value_type, value } in &body.sensordatavalues {
        let name = value_type.trim();
        if HOUSEKEEPING.contains(&name) {
            continue;
        }
        let (instrument, name) = instrument_of(name, pin);
        let (values, gps) = instruments.entry(instrument).or_default();
        if !gps.take(name, value) {
            values.take_named(name, value);
        }
    }
    let readings: Vec<Reading> = instruments
        .into_iter()
        .map(|(instrument, (mut values, gps))| {
            skipped += values.skipped.len();
            gps.put(&mut values.fields);
            Reading {
                instrument,
                fields: values.fields,
            }
        })
        .filter(|reading| !reading.fields.is_empty())
        .collect();
    if readings.is_empty() {
        return Err(format!(
            "none of the {count} values of `sensordatavalues` is a measured number"
        ));
    }
    Ok((readings, skipped))
}

/// The instrument of a value, and the name of the value without its prefix.
fn instrument_of(name: &str, pin: Option<u32>) -> (String, &str) {
    for (prefix, instrument) in PREFIXES {
        if let Some(rest) = name.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
            return (instrument.to_owned(), rest);
        }
    }
    let by_pin = pin.map(|pin| {
        let known = PINS.iter().find(|(number, _)| *number == pin);
        known.map_or_else(|| format!("pin{pin}"), |(_, known)| (*known).to_owned())
    });
    let by_name = || {
        let known = UNPREFIXED.iter().find(|(known, _)| *known == name);
        known
            .map_or("unknown", |(_, instrument)| instrument)
            .to_owned()
    };
    (by_pin.unwrap_or_else(by_name), name)
}

/// A position, as GPS receivers send it.
#[derive(Default)]
struct Gps {
    lat: Option<f64>,
    lon: Option<f64>,
    height: Option<f64>,
}

impl Gps {
    /// Whether the value is one of a position or its time.
    fn take(&mut self, name: &str, value: &Value) -> bool {
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        let number = number.filter(|number: &f64| number.is_finite());
        match name {
            "lat" => self.lat = number,
            "lon" => self.lon = number,
            "height" => self.height = number,
            "timestamp" | "date" | "time" => {}
            _ => return false,
        }
        true
    }

    /// Adds the position under the keys of the station type. Without a fix the firmware sends -200,
    /// and some receivers send 0.
    fn put(&self, fields: &mut BTreeMap<String, f64>) {
        let (Some(lat), Some(lon)) = (self.lat, self.lon) else {
            return;
        };
        let is_fix = lat.abs() <= 90.0 && lon.abs() <= 180.0 && (lat != 0.0 || lon != 0.0);
        if !is_fix {
            return;
        }
        fields.insert("latitude".to_owned(), lat);
        fields.insert("longitude".to_owned(), lon);
        if let Some(height) = self.height.filter(|height| *height > -200.0) {
            fields.insert("altitude".to_owned(), height);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(values: &[(&str, &str)], pin: Option<u32>) -> Vec<(String, Vec<(String, f64)>)> {
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| json!({"value_type": name, "value": value}))
            .collect();
        let body = json!({"software_version": "NRZ-2020-133", "sensordatavalues": values});
        let (readings, _) = readings(body.to_string().as_bytes(), pin).unwrap();
        readings
            .into_iter()
            .map(|reading| (reading.instrument, reading.fields.into_iter().collect()))
            .collect()
    }

    fn of(instrument: &str, fields: &[(&str, f64)]) -> (String, Vec<(String, f64)>) {
        let fields = fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), *value));
        (instrument.to_owned(), fields.collect())
    }

    #[test]
    fn the_pin_tells_the_instrument() {
        let dust = read(&[("P1", "12.3"), ("P2", "4.50")], Some(1));
        assert_eq!(dust, [of("SDS011", &[("pm10", 12.3), ("pm2_5", 4.5)])]);
        let air = [
            ("temperature", "21.5"),
            ("pressure", "96913.02"),
            ("humidity", "55"),
        ];
        let fields = [
            ("humidity", 55.0),
            ("pressure", 969.1302),
            ("temperature", 21.5),
        ];
        assert_eq!(read(&air, Some(11)), [of("BME280", &fields)]);
        assert_eq!(read(&[("x", "1")], Some(99)), [of("pin99", &[("x", 1.0)])]);
    }

    #[test]
    fn a_body_of_all_instruments_is_taken_apart() {
        let readings = read(
            &[
                ("SDS_P1", "1.87"),
                ("SDS_P2", "1.05"),
                ("BMP_pressure", "100659.00"),
                ("BMP_temperature", "26.80"),
                ("temperature", "25.00"),
                ("DNMS_noise_LAeq", "48.3"),
                ("HECA_temperature", "40"),
                ("samples", "924605"),
                ("signal", "-52"),
            ],
            None,
        );
        assert_eq!(
            readings,
            [
                of("BMP180", &[("pressure", 1006.59), ("temperature", 26.8)]),
                of("DHT22", &[("temperature", 25.0)]),
                of("DNMS", &[("noise_LAeq", 48.3)]),
                of("SDS011", &[("pm10", 1.87), ("pm2_5", 1.05)]),
                // Measured in a heated box: not the temperature of the air.
                of("unknown", &[("HECA_temperature", 40.0)]),
            ]
        );
    }

    #[test]
    fn a_position_is_taken_only_with_a_fix() {
        let gps = |lat, lon| {
            read(
                &[
                    ("GPS_lat", lat),
                    ("GPS_lon", lon),
                    ("GPS_height", "12.5"),
                    ("GPS_timestamp", "2026-11-28T13:00:00.000"),
                    ("SDS_P1", "1"),
                ],
                None,
            )
        };
        let position = [("altitude", 12.5), ("latitude", 51.8), ("longitude", 5.9)];
        let dust = of("SDS011", &[("pm10", 1.0)]);
        assert_eq!(gps("51.8", "5.9"), [of("GPS", &position), dust]);
        for (lat, lon) in [
            ("-200.0", "-200.0"),
            ("0.0", "0.0"),
            ("x", "5.9"),
            ("51", "NaN"),
        ] {
            assert_eq!(gps(lat, lon).len(), 1, "{lat} {lon}");
        }
    }

    #[test]
    fn what_is_no_push_is_refused_with_the_remedy() {
        let many: Vec<_> = (0..=MOST_VALUES)
            .map(|_| json!({"value_type": "P1", "value": "1"}))
            .collect();
        for (body, word) in [
            (String::new(), "sensordatavalues"),
            ("[]".to_owned(), "sensordatavalues"),
            ("{}".to_owned(), "sensordatavalues"),
            (
                json!({"sensordatavalues": [{"value_type": 1}]}).to_string(),
                "value_type",
            ),
            (json!({"sensordatavalues": []}).to_string(), "none of the 0"),
            (
                json!({"sensordatavalues": [{"value_type": "P1", "value": "nan"}]}).to_string(),
                "none",
            ),
            (
                json!({"sensordatavalues": [{"value_type": "signal", "value": "1"}]}).to_string(),
                "none",
            ),
            (json!({"sensordatavalues": many}).to_string(), "201 values"),
        ] {
            let problem = readings(body.as_bytes(), Some(1)).unwrap_err();
            assert!(problem.contains(word), "{body}: {problem}");
        }
    }
}
