use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartem_model::parse_timestamp;

/// What a station-hour hands on to the next one (R10.7).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct State {
    /// Running mean of each smoothed input; `None` for station types without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<BTreeMap<String, Smoothed>>,
}

/// A running mean (R7.2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Smoothed {
    /// Time of the last update.
    pub time: Timestamp,
    /// The mean, in the raw unit of the input.
    pub value: f64,
}

impl State {
    /// Reads a state; entries that cannot be read are dropped.
    pub(crate) fn from_json(json: &Value, has_smoothing: bool) -> Self {
        if !has_smoothing {
            return Self::default();
        }
        let mut smoothing = BTreeMap::new();
        let entries = json.get("smoothing").and_then(Value::as_object);
        for (input, entry) in entries.into_iter().flatten() {
            let time = entry
                .get("time")
                .and_then(Value::as_str)
                .and_then(parse_timestamp);
            let value = entry.get("value").and_then(Value::as_f64);
            if let (Some(time), Some(value)) = (time, value) {
                smoothing.insert(input.clone(), Smoothed { time, value });
            }
        }
        Self {
            smoothing: Some(smoothing),
        }
    }

    /// The state as JSON, `{}` for station types without any.
    pub fn to_json(&self) -> Value {
        // Maps of numbers and times always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }
}
