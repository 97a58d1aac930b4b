//! Values as the firmware and the service name them, under the keys of the station type.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harvest::samples::shifted;

/// Keys of a sample that no value may take.
const RESERVED: [&str; 6] = [
    "time",
    "meta_id",
    "_id",
    "longitude",
    "latitude",
    "altitude",
];

/// The values of a measurement under the keys of the station type.
#[derive(Default)]
pub(crate) struct Values {
    /// Numbers, by key.
    pub(crate) fields: BTreeMap<String, f64>,
    /// Values that are left out, by reason.
    pub(crate) skipped: Vec<&'static str>,
    /// Value types that no table knows; kept under their own name.
    pub(crate) unknown: Vec<String>,
}

impl Values {
    /// Takes a value of a list `sensordatavalues`.
    pub(super) fn take(&mut self, value: &Value) {
        self.take_named(&text_of(&value["value_type"]), &value["value"]);
    }

    /// Takes a value of this type, a number or its text.
    pub(crate) fn take_named(&mut self, name: &str, value: &Value) {
        if name == "pressure_at_sealevel" {
            return;
        }
        // Pa to hPa.
        let places = if name == "pressure" { -2 } else { 0 };
        let Some(number) = moved(value, places) else {
            self.skipped.push("not_a_number");
            return;
        };
        let key = match name {
            "P0" => "pm1",
            "P1" => "pm10",
            "P2" => "pm2_5",
            "" => {
                self.skipped.push("no_value_type");
                return;
            }
            name if RESERVED.contains(&name) => {
                self.skipped.push("reserved_value_type");
                return;
            }
            name => {
                if !(["temperature", "humidity", "pressure"].contains(&name)
                    || name.starts_with("noise_"))
                {
                    self.unknown.push(name.to_owned());
                }
                name
            }
        };
        self.fields.entry(key.to_owned()).or_insert(number);
    }
}

/// A whole number, or its digits.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    }
}

/// A finite number, or its text.
pub(super) fn number(value: &Value) -> Option<f64> {
    moved(value, 0)
}

/// A finite number, or its text, with its point moved.
fn moved(value: &Value, places: i32) -> Option<f64> {
    match value {
        Value::String(text) => shifted(text, places),
        Value::Number(number) => shifted(&number.to_string(), places),
        _ => None,
    }
}

pub(super) fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().trim().to_owned()
}
