//! Raw records of rows.

use std::collections::BTreeMap;

use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, Quarantine, StationId};

use super::api::Row;

/// The record of an hour from its rows.
pub(super) fn of_hour(
    rows: &[Row],
    station: &StationId,
    station_type: &str,
    hour: Hour,
) -> Result<RawRecord, Quarantine> {
    let day = hour.day();
    let day = format!("{:04}{:02}{:02}", day.year(), day.month(), day.day());
    let when = format!(r#""day":{day},"hour":{}"#, hour.of_day());
    record(rows.iter(), station, station_type, &when)
}

/// The record of the newest row of each name, if there are rows at all.
pub(super) fn of_newest(
    rows: &[Row],
    station: &StationId,
    station_type: &str,
) -> Option<Result<RawRecord, Quarantine>> {
    // Rows are in order, so the last one of a name is its newest.
    let newest: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.name.as_str(), row)).collect();
    let mut newest: Vec<&Row> = newest.into_values().collect();
    newest.sort_unstable();
    let when = format!(r#""time":"{}""#, newest.last()?.time);
    Some(record(newest.into_iter(), station, station_type, &when))
}

fn record<'a>(
    rows: impl Iterator<Item = &'a Row>,
    station: &StationId,
    station_type: &str,
    when: &str,
) -> Result<RawRecord, Quarantine> {
    let samples: Vec<&str> = rows.map(|row| row.sample.as_str()).collect();
    let text = format!(
        r#"{{"device_id":{},"device_type":{},"device_version":"1",{when},"data":{{"timeseries":[{}]}}}}"#,
        Value::from(station.as_str()),
        Value::from(station_type),
        samples.join(","),
    );
    RawRecord::from_json(&text, &|name| name == station_type)
}
