//! Raw records made of points: what both backends read them from, and how they are put together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use smartem_model::raw::{Cell, Column, RawRecord, Samples, Union};
use smartem_model::{Hour, StationId};
use smartem_points::FieldValue;

use super::catalogue::{Definition, SeriesNo};
use super::rows::{FieldColumn, FieldNo, Rows};
use super::{KnownStation, LogId, StationOf};
use crate::{Columns, StoreError, codec};

/// What the database has of points.
pub(crate) struct StoredPoints {
    /// Segments of the log before this one are committed.
    pub(crate) segment: u64,
    /// The log that was committed last, where several programs share the store.
    pub(crate) log: Option<LogId>,
    /// In order: each database before its measurements, those before their fields and series.
    pub(crate) definitions: Vec<Definition>,
    /// Station and type by series.
    pub(crate) stations: BTreeMap<SeriesNo, (String, String)>,
    /// What is known of their stations, where asking for each takes long.
    pub(crate) known: Vec<(StationId, KnownStation)>,
}

/// A station whose hours got points, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StationHourKey {
    pub(crate) station: StationId,
    pub(crate) station_type: Box<str>,
    pub(crate) network: Box<str>,
    pub(crate) project: Option<Box<str>>,
    pub(crate) source: Box<str>,
}

impl StationHourKey {
    pub(crate) fn of(station: &StationOf) -> Self {
        Self {
            station: station.station.clone(),
            station_type: station.station_type.clone(),
            network: station.network.clone(),
            project: station.project.clone(),
            source: station.source.clone(),
        }
    }
}

/// Hours by station.
pub(crate) type HoursByStation = BTreeMap<StationHourKey, BTreeSet<Hour>>;

/// The tags of a series, by key.
pub(crate) type Tags = Box<[(Box<str>, Box<str>)]>;

/// Pairs of key and value; `None` for a text that is no such list.
pub(crate) fn tags_of(json: &str) -> Option<Tags> {
    serde_json::from_str(json).ok()
}

/// Tags as they are kept: no character of number 0 is left in it.
pub(crate) fn tags_json(tags: &[(Box<str>, Box<str>)]) -> String {
    let tags: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (&**key, &**value)).collect();
    json!(tags).to_string()
}

/// A series with newest values by name of field.
pub(crate) type NewestOfSeries = (
    std::sync::Arc<smartem_points::SeriesKey>,
    Vec<(Box<str>, smartem_points::Newest)>,
);

/// A series of a station, with the fields of its measurement.
pub(crate) struct StationSeries {
    pub(crate) number: SeriesNo,
    pub(crate) tags: Tags,
    pub(crate) station_type: Box<str>,
    pub(crate) fields: Vec<(FieldNo, Box<str>)>,
}

impl StationSeries {
    /// The fields that are read when these columns are wanted.
    pub(crate) fn fields_of(&self, columns: &Columns) -> Vec<FieldNo> {
        let reads = |name: &str| columns.contain(&self.station_type, name);
        let fields = self.fields.iter().filter(|(_, name)| reads(name));
        fields.map(|(number, _)| *number).collect()
    }

    fn name_of(&self, field: FieldNo) -> Option<&str> {
        let found = self.fields.iter().find(|(number, _)| *number == field);
        found.map(|(_, name)| &**name)
    }
}

/// The rows of a block with these fields.
pub(crate) fn decode(
    series: SeriesNo,
    payload: &[u8],
    fields: &[FieldNo],
) -> Result<Rows, StoreError> {
    let rows = codec::decode_block(payload, &|field| fields.contains(&field));
    rows.map_err(|source| StoreError::DamagedPoints { series, source })
}

/// All rows of a block.
pub(crate) fn decode_all(series: SeriesNo, payload: &[u8]) -> Result<Rows, StoreError> {
    let rows = codec::decode_block(payload, &|_| true);
    rows.map_err(|source| StoreError::DamagedPoints { series, source })
}

/// The hours in which a block has rows.
pub(crate) fn hours_of_block(
    series: SeriesNo,
    payload: &[u8],
) -> Result<BTreeSet<Hour>, StoreError> {
    let rows = decode(series, payload, &[])?;
    Ok(super::hours_of(&rows.times))
}

/// The first and the last nanosecond of an hour.
pub(crate) fn extent(hour: Hour) -> (i64, i64) {
    const HOUR: i64 = 3_600_000_000_000;
    let start = hour.index().saturating_mul(HOUR);
    (start, start.saturating_add(HOUR - 1))
}

/// An hour of a station of which something is stored.
pub(crate) struct StoredHour<'a> {
    pub(crate) station: &'a StationId,
    pub(crate) hour: Hour,
    /// What came as a whole record.
    pub(crate) payload: Option<&'a [u8]>,
    pub(crate) has_points: bool,
}

impl StoredHour<'_> {
    /// Which columns of the points are needed for a record with `columns`; `None`: no points are.
    pub(crate) fn columns_of_points<'a>(&self, columns: &'a Columns) -> Option<&'a Columns> {
        match (self.payload, self.has_points) {
            (Some(_), false) => None,
            // Samples are told apart by all that they hold.
            (Some(_), true) => Some(&Columns::All),
            (None, _) => Some(columns),
        }
    }

    /// The record of its payload, where it has one, and of the rows of each series in it, where there are
    /// some, which have the columns of [`StoredHour::columns_of_points`]; `None` when there is neither.
    pub(crate) fn record(
        &self,
        found: &[(&StationSeries, Rows)],
        columns: &Columns,
    ) -> Result<Option<RawRecord>, StoreError> {
        let needed = self.columns_of_points(columns);
        let pushed = needed
            .map(|needed| self.pushed(found, needed))
            .transpose()?;
        let pushed = pushed.flatten();
        let Some(payload) = self.payload else {
            return Ok(pushed);
        };
        let needed = needed.unwrap_or(columns);
        let reads = |station_type: &str, key: &str| needed.contain(station_type, key);
        let stored = codec::decode_record_for(payload, &reads);
        let stored = stored.map_err(|source| self.damaged(source))?;
        let Some(pushed) = pushed else {
            return Ok(Some(stored));
        };
        // The number of samples has a limit: beyond it the payload is all there is.
        Ok(Some(stored.united(&pushed, Union::All).unwrap_or(stored)))
    }

    /// A record without samples: the points of its hour are of another station by now.
    pub(crate) fn empty_record(&self, station_type: &str) -> Result<RawRecord, StoreError> {
        self.record_with(station_type, Samples::default())
    }

    fn pushed(
        &self,
        found: &[(&StationSeries, Rows)],
        columns: &Columns,
    ) -> Result<Option<RawRecord>, StoreError> {
        let Some((first, _)) = found.first() else {
            return Ok(None);
        };
        let samples = samples(found, columns);
        self.record_with(&first.station_type, samples).map(Some)
    }

    fn record_with(&self, station_type: &str, samples: Samples) -> Result<RawRecord, StoreError> {
        let envelope = envelope(self.station, station_type, self.hour);
        let record = RawRecord::from_parts(&envelope, samples, &|_| true);
        record.map_err(|fault| self.damaged(codec::CodecError::Envelope(fault)))
    }

    fn damaged(&self, source: codec::CodecError) -> StoreError {
        StoreError::DamagedRecord {
            station: self.station.clone(),
            time: self.hour.to_string(),
            source,
        }
    }
}

/// The document around the samples, as harvesters write it.
fn envelope(station: &StationId, station_type: &str, hour: Hour) -> String {
    let mut document = Map::new();
    document.insert("device_id".to_owned(), station.as_str().into());
    document.insert("device_type".to_owned(), station_type.into());
    document.insert("device_version".to_owned(), "1".into());
    let day = hour.day();
    let day = i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100;
    document.insert("day".to_owned(), (day + i64::from(hour.day().day())).into());
    document.insert("hour".to_owned(), hour.of_day().into());
    // Where the samples stand.
    document.insert("data".to_owned(), json!({"timeseries": null}));
    Value::Object(document).to_string()
}

/// One row for each point, in order of time: `time`, the tags of its series, its fields.
fn samples(found: &[(&StationSeries, Rows)], columns: &Columns) -> Samples {
    let mut order: Vec<(i64, usize, usize)> = Vec::new();
    for (place, (_, rows)) in found.iter().enumerate() {
        order.extend(
            rows.times
                .iter()
                .enumerate()
                .map(|(row, time)| (*time, place, row)),
        );
    }
    order.sort_unstable();
    let mut all = Vec::new();
    let mut times = Column::with_capacity("time", order.len());
    for (time, _, _) in &order {
        times.push(time_cell(*time));
    }
    all.push(times);
    let station_type = found
        .first()
        .map_or("", |(series, _)| &*series.station_type);
    for name in names(found) {
        if !columns.contain(station_type, name) {
            continue;
        }
        let by_series: Vec<Source<'_>> = found
            .iter()
            .map(|(series, rows)| Source::of(name, series, rows))
            .collect();
        let mut column = Column::with_capacity(name, order.len());
        for (_, place, row) in &order {
            by_series[*place].push(*row, &mut column);
        }
        all.push(column);
    }
    let rows = order.len();
    // All columns have a cell for each row.
    Samples::from_columns(rows, all, Vec::new()).unwrap_or_default()
}

/// The names of all columns but `time`, tags first, each once.
fn names<'a>(found: &'a [(&StationSeries, Rows)]) -> Vec<&'a str> {
    let tags = found
        .iter()
        .flat_map(|(series, _)| series.tags.iter().map(|(key, _)| &**key));
    let fields = found.iter().flat_map(|(series, rows)| {
        let present = rows.columns.iter().map(|column| column.field);
        present.filter_map(|field| series.name_of(field))
    });
    let mut names: Vec<&str> = Vec::new();
    for name in tags.chain(fields) {
        if name != "time" && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Where the cells of a column come from in the rows of one series.
struct Source<'a> {
    field: Option<&'a FieldColumn>,
    tag: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn of(name: &str, series: &'a StationSeries, rows: &'a Rows) -> Self {
        let field = series.fields.iter().find(|(_, it)| **it == *name);
        let tag = series.tags.iter().find(|(key, _)| **key == *name);
        Self {
            field: field.and_then(|(number, _)| rows.column(*number)),
            tag: tag.map(|(_, value)| &**value),
        }
    }

    /// A field holds where a tag has the same name.
    fn push(&self, row: usize, column: &mut Column) {
        match (self.field.and_then(|it| it.value(row)), self.tag) {
            (Some(value), _) => push_value(column, &value),
            (None, Some(tag)) => column.push(Cell::Text(tag)),
            (None, None) => column.push(Cell::Absent),
        }
    }
}

fn push_value(column: &mut Column, value: &FieldValue<'_>) {
    match value {
        FieldValue::Float(value) => column.push(Cell::Real(*value)),
        FieldValue::Integer(value) => column.push(Cell::Integer(*value)),
        FieldValue::Unsigned(value) => match i64::try_from(*value) {
            Ok(value) => column.push(Cell::Integer(value)),
            Err(_) => column.push(Cell::Json(&value.to_string())),
        },
        FieldValue::Boolean(true) => column.push(Cell::Json("true")),
        FieldValue::Boolean(false) => column.push(Cell::Json("false")),
        FieldValue::String(text) => column.push(Cell::Text(text)),
    }
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    // Every i64 of nanoseconds is within what a timestamp can be.
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default()
}

fn time_cell(nanoseconds: i64) -> Cell<'static> {
    let digits = match nanoseconds.rem_euclid(1_000_000_000) {
        0 => 0,
        rest if rest % 1_000_000 == 0 => 3,
        rest if rest % 1_000 == 0 => 6,
        _ => 9,
    };
    Cell::Time(timestamp(nanoseconds), digits)
}

/// A snapshot of the newest values of some series of a station; `None` without any value.
pub(crate) fn snapshot_of_points(
    station: &StationOf,
    parts: &[NewestOfSeries],
) -> Result<Option<RawRecord>, StoreError> {
    let mut samples: BTreeMap<(i64, usize), Map<String, Value>> = BTreeMap::new();
    for (place, (key, values)) in parts.iter().enumerate() {
        for (name, (time, value)) in values {
            let sample = samples.entry((*time, place)).or_insert_with(|| {
                let mut sample = Map::new();
                for (tag, value) in &key.tags {
                    sample.insert(tag.to_string(), Value::from(&**value));
                }
                sample.insert("time".to_owned(), timestamp(*time).to_string().into());
                sample
            });
            sample.insert(name.to_string(), json_of(value));
        }
    }
    let Some((newest, _)) = samples.last_key_value() else {
        return Ok(None);
    };
    let document = json!({
        "device_id": station.station.as_str(),
        "device_type": &*station.station_type,
        "device_version": "1",
        "time": timestamp(newest.0).to_string(),
        "data": {"timeseries": samples.values().collect::<Vec<_>>()},
    });
    let record = RawRecord::from_json(&document.to_string(), &|_| true);
    record.map(Some).map_err(|fault| StoreError::DamagedRecord {
        station: station.station.clone(),
        time: timestamp(newest.0).to_string(),
        source: codec::CodecError::Envelope(fault),
    })
}

fn json_of(value: &FieldValue<'_>) -> Value {
    match value {
        FieldValue::Float(value) => json!(value),
        FieldValue::Integer(value) => json!(value),
        FieldValue::Unsigned(value) => json!(value),
        FieldValue::Boolean(value) => json!(value),
        FieldValue::String(text) => json!(text),
    }
}
