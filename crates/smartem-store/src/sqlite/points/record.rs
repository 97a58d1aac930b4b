//! Raw records made of points.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::Transaction;
use serde_json::{Map, Value, json};
use smartem_model::raw::{Cell, Column, RawRecord, Samples, Union};
use smartem_model::{Hour, StationId};
use smartem_points::FieldValue;

use super::read::{decode, tags};
use super::{NewestOfSeries, Tags};
use crate::points::catalogue::SeriesNo;
use crate::points::rows::{FieldColumn, FieldNo, Rows};
use crate::points::{StationOf, day_of};
use crate::sqlite::fault::Fault;
use crate::{Columns, StoreError, codec};

/// A series with its measurement.
const SERIES: &str = "SELECT s.number, s.measurement, s.tags, s.station_type
    FROM point_series s WHERE s.station = ?1 ORDER BY s.number";

const FIELDS: &str = "SELECT number, name FROM point_field WHERE measurement = ?1 ORDER BY number";

const BLOCKS: &str = "SELECT payload FROM point_block
    WHERE series = ?1 AND day = ?2 AND first < ?4 AND last >= ?3 ORDER BY key";

/// The points of one station, hour by hour.
pub(crate) struct PointsOfStation {
    station: StationId,
    series: Option<Vec<StationSeries>>,
    columns: Columns,
    /// What was read last of each series: hours of one day are in the same blocks.
    read: HashMap<SeriesNo, (i64, Rows)>,
}

struct StationSeries {
    number: SeriesNo,
    tags: Tags,
    station_type: Box<str>,
    fields: Vec<(FieldNo, Box<str>)>,
}

impl PointsOfStation {
    pub(crate) fn new(station: &StationId, columns: &Columns) -> Self {
        Self {
            station: station.clone(),
            series: None,
            columns: columns.clone(),
            read: HashMap::new(),
        }
    }

    /// The record of an hour; `None` when there are no points in it.
    fn record(
        &mut self,
        transaction: &Transaction<'_>,
        hour: Hour,
    ) -> Result<Option<RawRecord>, Fault> {
        let series = match self.series.take() {
            Some(known) => known,
            None => series_of(transaction, &self.station)?,
        };
        let record = self.record_of(transaction, hour, &series);
        self.series = Some(series);
        record
    }

    fn record_of(
        &mut self,
        transaction: &Transaction<'_>,
        hour: Hour,
        series: &[StationSeries],
    ) -> Result<Option<RawRecord>, Fault> {
        let mut found = Vec::new();
        for series in series {
            let rows = self.rows(transaction, series, hour)?;
            if !rows.is_empty() {
                found.push((series, rows));
            }
        }
        let Some((first, _)) = found.first() else {
            return Ok(None);
        };
        let envelope = envelope(&self.station, &first.station_type, Some(hour));
        let samples = samples(&found, &self.columns);
        let damaged = |source| StoreError::DamagedRecord {
            station: self.station.clone(),
            time: hour.to_string(),
            source,
        };
        let record = RawRecord::from_parts(&envelope, samples, &|_| true)
            .map_err(|fault| damaged(codec::CodecError::Envelope(fault)))?;
        Ok(Some(record))
    }

    /// The rows of a series within an hour.
    fn rows(
        &mut self,
        transaction: &Transaction<'_>,
        series: &StationSeries,
        hour: Hour,
    ) -> Result<Rows, Fault> {
        const HOUR: i64 = 3_600_000_000_000;
        let start = hour.index().saturating_mul(HOUR);
        let day = day_of(start);
        if self
            .read
            .get(&series.number)
            .is_none_or(|(read, _)| *read != day)
        {
            let rows = self.rows_of_day(transaction, series, day)?;
            self.read.insert(series.number, (day, rows));
        }
        let rows = self.read.get(&series.number).map(|(_, rows)| rows);
        Ok(rows.map_or_else(Rows::default, |rows| {
            rows.within(&(start..=start + HOUR - 1))
        }))
    }

    fn rows_of_day(
        &self,
        transaction: &Transaction<'_>,
        series: &StationSeries,
        day: i64,
    ) -> Result<Rows, Fault> {
        let reads = |name: &str| self.columns.contain(&series.station_type, name);
        let fields = series.fields.iter().filter(|(_, name)| reads(name));
        let fields: Vec<FieldNo> = fields.map(|(number, _)| *number).collect();
        let mut statement = transaction.prepare_cached(BLOCKS)?;
        let mut blocks = statement.query((series.number, day, i64::MIN, i64::MAX))?;
        let mut all = Rows::default();
        while let Some(block) = blocks.next()? {
            let payload = block.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
            all.append(&decode(series.number, payload, &fields)?);
        }
        Ok(all.in_order())
    }
}

/// The record of an hour from its payload, where it has one, and its points, where it has some.
pub(crate) fn raw_record(
    transaction: &Transaction<'_>,
    hour: Hour,
    payload: Option<&[u8]>,
    has_points: bool,
    points: &mut PointsOfStation,
) -> Result<RawRecord, Fault> {
    let damaged = |source| StoreError::DamagedRecord {
        station: points.station.clone(),
        time: hour.to_string(),
        source,
    };
    let columns = points.columns.clone();
    let read_payload = |payload: &[u8], columns: &Columns| {
        let reads = |station_type: &str, key: &str| columns.contain(station_type, key);
        codec::decode_record_for(payload, &reads).map_err(damaged)
    };
    match (payload, has_points) {
        (Some(payload), false) => Ok(read_payload(payload, &columns)?),
        (Some(payload), true) => {
            // Samples are told apart by all that they hold.
            let stored = read_payload(payload, &Columns::All)?;
            let mut whole = PointsOfStation::new(&points.station, &Columns::All);
            let Some(pushed) = whole.record(transaction, hour)? else {
                return Ok(stored);
            };
            // The number of samples has a limit: beyond it the payload is all there is.
            Ok(stored.united(&pushed, Union::All).unwrap_or(stored))
        }
        (None, _) => match points.record(transaction, hour)? {
            Some(record) => Ok(record),
            None => empty(transaction, &points.station, hour),
        },
    }
}

/// A record without samples: the points of its hour are of another station by now.
fn empty(
    transaction: &Transaction<'_>,
    station: &StationId,
    hour: Hour,
) -> Result<RawRecord, Fault> {
    let station_type: String = transaction
        .prepare_cached("SELECT station_type FROM station WHERE id = ?1")?
        .query_row([station.as_str()], |row| row.get(0))?;
    let envelope = envelope(station, &station_type, Some(hour));
    let record = RawRecord::from_parts(&envelope, Samples::default(), &|_| true);
    Ok(record.map_err(|fault| StoreError::DamagedRecord {
        station: station.clone(),
        time: hour.to_string(),
        source: codec::CodecError::Envelope(fault),
    })?)
}

fn series_of(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> Result<Vec<StationSeries>, Fault> {
    let mut statement = transaction.prepare_cached(SERIES)?;
    let mut rows = statement.query([station.as_str()])?;
    let mut series = Vec::new();
    let mut fields_of: HashMap<u32, Vec<(FieldNo, Box<str>)>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let measurement: u32 = row.get(1)?;
        let fields = if let Some(known) = fields_of.get(&measurement) {
            known.clone()
        } else {
            let mut statement = transaction.prepare_cached(FIELDS)?;
            let fields = statement.query_map([measurement], |row| {
                Ok((row.get(0)?, row.get::<_, Box<str>>(1)?))
            })?;
            let fields = fields.collect::<Result<Vec<_>, _>>()?;
            fields_of.insert(measurement, fields.clone());
            fields
        };
        series.push(StationSeries {
            number: row.get(0)?,
            tags: tags(&row.get::<_, String>(2)?)?,
            station_type: row.get::<_, Option<Box<str>>>(3)?.unwrap_or_default(),
            fields,
        });
    }
    Ok(series)
}

/// The document around the samples, as harvesters write it.
fn envelope(station: &StationId, station_type: &str, hour: Option<Hour>) -> String {
    let mut document = Map::new();
    document.insert("device_id".to_owned(), station.as_str().into());
    document.insert("device_type".to_owned(), station_type.into());
    document.insert("device_version".to_owned(), "1".into());
    if let Some(hour) = hour {
        let day = hour.day();
        let day = i64::from(day.year()) * 10_000 + i64::from(day.month()) * 100;
        document.insert("day".to_owned(), (day + i64::from(hour.day().day())).into());
        document.insert("hour".to_owned(), hour.of_day().into());
    }
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

impl StationSeries {
    fn name_of(&self, field: FieldNo) -> Option<&str> {
        let found = self.fields.iter().find(|(number, _)| *number == field);
        found.map(|(_, name)| &**name)
    }
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
