use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartem_model::parse_timestamp;

use crate::definition::Definition;

/// What a station-hour hands on to the next one (R10.7).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct State {
    /// Running mean of each smoothed input; `None` for station types without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<BTreeMap<String, TimedValue>>,
    /// Newest accepted value of each indicator that others need; `None` for station types without
    /// any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auxiliary: Option<BTreeMap<String, TimedValue>>,
}

/// A value with its time: a running mean and its last update (R7.2), or an accepted value (R8.4).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimedValue {
    /// When.
    pub time: Timestamp,
    /// In the raw unit of the input, or the unit of the indicator.
    pub value: f64,
}

impl State {
    /// Reads the state of a station of this type; entries that cannot be read are dropped.
    pub(crate) fn from_json(json: &Value, definition: &Definition) -> Self {
        let is_smoothed = definition
            .network_inputs
            .iter()
            .any(|i| i.smoothing.is_some());
        let has_auxiliaries = !definition.auxiliaries.is_empty();
        Self {
            smoothing: is_smoothed.then(|| entries(json.get("smoothing"))),
            auxiliary: has_auxiliaries.then(|| entries(json.get("auxiliary"))),
        }
    }

    /// The state as JSON, `{}` for station types without any.
    pub fn to_json(&self) -> Value {
        // Maps of numbers and times always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }
}

fn entries(json: Option<&Value>) -> BTreeMap<String, TimedValue> {
    let mut entries = BTreeMap::new();
    for (name, entry) in json.and_then(Value::as_object).into_iter().flatten() {
        let time = entry
            .get("time")
            .and_then(Value::as_str)
            .and_then(parse_timestamp);
        let value = entry.get("value").and_then(Value::as_f64);
        if let (Some(time), Some(value)) = (time, value) {
            entries.insert(name.clone(), TimedValue { time, value });
        }
    }
    entries
}
