//! Records of hours and newest values from the values of series.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use smartem_etl::{Batch, InputError, Origin, Row, Sink};
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, UnitConversion};
use smartem_store::{ReceivedRecord, Standing};

use super::plan::Station;

/// A value of a series on its way into the record of an hour.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// The hour it belongs to.
    pub hour: Hour,
    /// Its time as the source gives it.
    pub time: Timestamp,
    /// The instrument.
    pub stream: String,
    /// The sample as it stands in the record.
    pub sample: Map<String, Value>,
    /// The same for outputs outside the store.
    pub row: Option<Row>,
}

/// Puts a value into a sample, and where it was converted what the source gave beside it.
pub(crate) fn put_value(
    sample: &mut Map<String, Value>,
    (key, value): (&str, f64),
    conversion: &UnitConversion,
    (source_value, source_unit): (f64, &str),
) {
    sample.insert(key.to_owned(), value.into());
    if !conversion.is_none() {
        sample.insert("source_value".to_owned(), source_value.into());
        sample.insert("source_unit".to_owned(), source_unit.into());
    }
}

/// Makes the records of hours, the same whatever the order of the readings.
pub(super) fn push_hours<S>(
    station: &Station<S>,
    readings: Vec<Reading>,
    standing: Standing,
    found: &mut Batch,
) {
    let mut hours = BTreeMap::<Hour, Vec<Reading>>::new();
    for reading in readings {
        hours.entry(reading.hour).or_default().push(reading);
    }
    for (hour, readings) in hours {
        let samples = in_order(readings, &mut found.rows);
        let text = json!({
            "device_id": station.id.as_str(),
            "device_type": station.type_name,
            "device_version": "1",
            "day": compact_day(hour),
            "hour": hour.of_day(),
            "data": {"timeseries": samples},
        })
        .to_string();
        let place = format!("{}/{}", station.id, hour.period().start);
        let read = RawRecord::from_json(&text, &|name| name == station.type_name);
        found.push_record(read, standing, &place, &station.id, text.into_bytes());
    }
}

/// A snapshot of a station: its newest values.
pub(crate) fn snapshot<S>(station: &Station<S>, readings: Vec<Reading>, found: &mut Batch) {
    if readings.is_empty() {
        return;
    }
    let text = json!({
        "device_id": station.id.as_str(),
        "device_type": station.type_name,
        "device_version": "1",
        "data": {"timeseries": in_order(readings, &mut Vec::new())},
    })
    .to_string();
    let place = format!("{}/last", station.id);
    match RawRecord::from_json(&text, &|name| name == station.type_name) {
        Ok(record) => found.snapshots.push(ReceivedRecord::whole(record, place)),
        Err(fault) => found.set_aside(fault, &place, Some(station.id.clone()), text.into_bytes()),
    }
}

/// Entries of listings that are in quarantine and were read well now, or are no longer listed.
pub(crate) async fn resolve_entries(
    sink: &Sink<'_>,
    origin: &Origin,
    found: &mut Batch,
) -> Result<(), InputError> {
    let open = sink.store().open_quarantine_places(&origin.source).await?;
    let read: BTreeSet<&str> = found.understood.iter().map(String::as_str).collect();
    let again: BTreeSet<&str> = found.quarantined.iter().map(|bad| &*bad.place).collect();
    let is_resolved = |place: &String| {
        let listing = place.split_once('#').map(|(listing, _)| listing);
        listing.is_some_and(|listing| read.contains(listing)) && !again.contains(place.as_str())
    };
    let resolved: Vec<String> = open.into_keys().filter(is_resolved).collect();
    found.understood.extend(resolved);
    Ok(())
}

/// What a list holds beside that what can be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Odd {
    /// The time of a neighbour that could be read; it tells where in the list it was.
    pub near: Option<Timestamp>,
    /// As it stands in the list.
    pub text: String,
}

/// Tells the entries of a list that can be read from those that cannot.
pub(crate) fn told_apart<T>(
    list: &[Value],
    read: impl Fn(&Value) -> Option<T>,
    time: impl Fn(&T) -> Timestamp,
) -> (Vec<T>, Vec<Odd>) {
    let (mut good, mut odd) = (Vec::new(), Vec::<Odd>::new());
    for entry in list {
        if let Some(entry) = read(entry) {
            if good.is_empty() {
                let near = Some(time(&entry));
                for odd in &mut odd {
                    odd.near = near;
                }
            }
            good.push(entry);
        } else {
            odd.push(Odd {
                near: good.last().map(&time),
                text: entry.to_string(),
            });
        }
    }
    (good, odd)
}

/// Samples by time, then stream, then content; what came twice stays once.
fn in_order(readings: Vec<Reading>, rows: &mut Vec<Row>) -> Vec<Value> {
    let mut keyed: Vec<(Timestamp, String, String, Reading)> = readings
        .into_iter()
        .map(|reading| {
            let content = Value::Object(reading.sample.clone()).to_string();
            (reading.time, reading.stream.clone(), content, reading)
        })
        .collect();
    keyed.sort_by(|a, b| (a.0, &a.1, &a.2).cmp(&(b.0, &b.1, &b.2)));
    keyed.dedup_by(|a, b| (a.0, &a.1, &a.2) == (b.0, &b.1, &b.2));
    let samples = keyed.into_iter().map(|(.., reading)| {
        rows.extend(reading.row);
        Value::Object(reading.sample)
    });
    samples.collect()
}

/// `20261128`
fn compact_day(hour: Hour) -> i64 {
    let day = hour.day();
    i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100 + i64::from(day.day())
}

/// A number, or the text of one; `None` for what is no finite number.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}
