//! Raw records made of points.

use std::collections::HashMap;

use rusqlite::Transaction;
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, StationId};

use super::read::tags;
use crate::Columns;
use crate::points::catalogue::SeriesNo;
use crate::points::day_of;
use crate::points::record::{StationSeries, StoredHour, decode, extent};
use crate::points::rows::{FieldNo, Rows};
use crate::sqlite::fault::Fault;

/// A series with its measurement.
const SERIES: &str = "SELECT s.number, s.measurement, s.tags, s.station_type
    FROM point_series s WHERE s.station = ?1 ORDER BY s.number";

const FIELDS: &str = "SELECT number, name FROM point_field WHERE measurement = ?1 ORDER BY number";

const BLOCKS: &str = "SELECT payload FROM point_block WHERE series = ?1 AND day = ?2 ORDER BY key";

/// The points of one station, hour by hour.
pub(crate) struct PointsOfStation {
    station: StationId,
    series: Option<Vec<StationSeries>>,
    columns: Columns,
    /// What was read last of each series: hours of one day are in the same blocks.
    read: HashMap<SeriesNo, (i64, Rows)>,
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

    /// The record of an hour; `None` when there is nothing in it.
    fn record(
        &mut self,
        transaction: &Transaction<'_>,
        stored: &StoredHour<'_>,
    ) -> Result<Option<RawRecord>, Fault> {
        let series = match self.series.take() {
            Some(known) => known,
            None => series_of(transaction, &self.station)?,
        };
        let record = self.record_of(transaction, stored, &series);
        self.series = Some(series);
        record
    }

    fn record_of(
        &mut self,
        transaction: &Transaction<'_>,
        stored: &StoredHour<'_>,
        series: &[StationSeries],
    ) -> Result<Option<RawRecord>, Fault> {
        let mut found = Vec::new();
        for series in series {
            let rows = self.rows(transaction, series, stored.hour)?;
            if !rows.is_empty() {
                found.push((series, rows));
            }
        }
        Ok(stored.record(&found, &self.columns)?)
    }

    /// The rows of a series within an hour.
    fn rows(
        &mut self,
        transaction: &Transaction<'_>,
        series: &StationSeries,
        hour: Hour,
    ) -> Result<Rows, Fault> {
        let (start, end) = extent(hour);
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
        Ok(rows.map_or_else(Rows::default, |rows| rows.within(&(start..=end))))
    }

    fn rows_of_day(
        &self,
        transaction: &Transaction<'_>,
        series: &StationSeries,
        day: i64,
    ) -> Result<Rows, Fault> {
        let fields = series.fields_of(&self.columns);
        let mut statement = transaction.prepare_cached(BLOCKS)?;
        let mut blocks = statement.query((series.number, day))?;
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
    let station = points.station.clone();
    let stored = StoredHour {
        station: &station,
        hour,
        payload,
        has_points,
    };
    let columns = points.columns.clone();
    let record = match stored.columns_of_points(&columns) {
        None => stored.record(&[], &columns)?,
        Some(_) if payload.is_some() => {
            let mut whole = PointsOfStation::new(&station, &Columns::All);
            whole.record(transaction, &stored)?
        }
        Some(_) => points.record(transaction, &stored)?,
    };
    match record {
        Some(record) => Ok(record),
        None => empty(transaction, &stored),
    }
}

fn empty(transaction: &Transaction<'_>, stored: &StoredHour<'_>) -> Result<RawRecord, Fault> {
    let station_type: String = transaction
        .prepare_cached("SELECT station_type FROM station WHERE id = ?1")?
        .query_row([stored.station.as_str()], |row| row.get(0))?;
    Ok(stored.empty_record(&station_type)?)
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
