//! Two records of one station-hour made one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::RawRecord;
use crate::{Quarantine, QuarantineReason, parse_timestamp};

/// Which samples of two records of one station-hour stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Union {
    /// Every sample of both, the same one once.
    All,
    /// Of each instrument (`meta_id`) the sample of the latest time.
    NewestOfEach,
}

impl RawRecord {
    /// The record with its own samples and those of `other`, a record of the same station-hour.
    ///
    /// Samples are in order of time, then instrument, then content, so that the result is the same
    /// whatever the order in which parts arrive; all else is as in this record.
    ///
    /// # Errors
    /// When the samples of the two do not make a record together, such as by their mere number.
    pub fn united(&self, other: &Self, union: Union) -> Result<Self, Quarantine> {
        let samples = [self, other].map(samples_of);
        let [own, others] = samples;
        let mut all: BTreeMap<Key, Value> = BTreeMap::new();
        for sample in others?.into_iter().chain(own?) {
            all.insert(Key::of(&sample), sample);
        }
        if union == Union::NewestOfEach {
            keep_newest(&mut all);
        }
        let mut document: Value = parsed(&self.to_json())?;
        let list = Value::Array(all.into_values().collect());
        let holder = match document.get_mut("data") {
            Some(data) if data.is_object() => data,
            _ => &mut document,
        };
        if let Some(members) = holder.as_object_mut() {
            members.insert("timeseries".to_owned(), list);
        }
        Self::from_json(&document.to_string(), &|_| true)
    }
}

/// What samples are ordered by; equal keys are the same sample.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// `None` without a time.
    time: Option<jiff::Timestamp>,
    instrument: String,
    content: String,
}

impl Key {
    fn of(sample: &Value) -> Self {
        let text = |name: &str| sample.get(name).and_then(Value::as_str);
        Self {
            time: text("time").and_then(parse_timestamp),
            instrument: text("meta_id").unwrap_or_default().to_owned(),
            content: sample.to_string(),
        }
    }
}

fn keep_newest(samples: &mut BTreeMap<Key, Value>) {
    let mut newest: BTreeMap<String, Key> = BTreeMap::new();
    // In order of time: the last one of each instrument stays.
    for key in samples.keys() {
        newest.insert(key.instrument.clone(), key.clone());
    }
    samples.retain(|key, _| newest.get(&key.instrument) == Some(key));
}

fn samples_of(record: &RawRecord) -> Result<Vec<Value>, Quarantine> {
    match parsed(&record.samples.to_json())? {
        Value::Array(samples) => Ok(samples),
        _ => Ok(Vec::new()),
    }
}

fn parsed(text: &str) -> Result<Value, Quarantine> {
    serde_json::from_str(text)
        .map_err(|error| Quarantine::new(QuarantineReason::MalformedRecord, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(samples: &Value) -> RawRecord {
        let document = json!({
            "device_id": "493112", "device_type": "luftdaten", "day": 20_261_128, "hour": 10,
            "data": {"timeseries": samples}
        });
        RawRecord::from_json(&document.to_string(), &|_| true).unwrap()
    }

    fn sample(time: &str, meta_id: &str, pm10: f64) -> Value {
        json!({"time": time, "meta_id": meta_id, "pm10": pm10})
    }

    #[test]
    fn parts_make_the_same_record_in_whatever_order_they_arrive() {
        let first = record(&json!([
            sample("2026-11-28T09:10:00Z", "SDS011-1", 12.3),
            sample("2026-11-28T09:05:00Z", "SDS011-1", 12.1),
        ]));
        let second = record(&json!([
            sample("2026-11-28T09:10:00Z", "SDS011-1", 12.3),
            sample("2026-11-28T09:05:00Z", "BME280-2", 7.0),
        ]));
        let one = first.united(&second, Union::All).unwrap();
        assert_eq!(
            one.to_json(),
            second.united(&first, Union::All).unwrap().to_json()
        );
        assert_eq!(one.samples.len(), 3);
        assert_eq!(
            one.to_json(),
            one.united(&first, Union::All).unwrap().to_json()
        );
        assert!(one.to_json().find("BME280").unwrap() < one.to_json().find("12.1").unwrap());
    }

    #[test]
    fn of_averages_the_newest_of_each_instrument_stays() {
        let first = record(&json!([
            sample("2026-11-28T09:55:00Z", "SDS011-1", 2.0),
            sample("2026-11-28T09:05:00Z", "BME280-2", 7.0),
        ]));
        let second = record(&json!([sample("2026-11-28T09:10:00Z", "SDS011-1", 1.0)]));
        let united = second.united(&first, Union::NewestOfEach).unwrap();
        assert_eq!(
            united.to_json(),
            first
                .united(&second, Union::NewestOfEach)
                .unwrap()
                .to_json()
        );
        assert_eq!(united.samples.len(), 2);
        assert!(united.to_json().contains("2.0") && !united.to_json().contains("1.0}"));
    }
}
