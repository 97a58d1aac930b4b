//! Raw records made of points.

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::Transaction;
use futures::try_join;
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, StationId};

use super::names::given;
use crate::Columns;
use crate::points::catalogue::{MeasurementNo, SeriesNo};
use crate::points::day_of;
use crate::points::record::{StationSeries, StoredHour, decode, extent, tags_of};
use crate::points::rows::{FieldNo, Rows};
use crate::postgres::fault::Fault;
use crate::postgres::sql::params;

const SERIES: &str = "SELECT number, measurement, tags, station_type
    FROM smartem_raw.point_series WHERE station = $1 ORDER BY number";

const FIELDS: &str = "SELECT measurement, number, name FROM smartem_raw.point_field
    WHERE measurement IN (SELECT measurement FROM smartem_raw.point_series WHERE station = $1)
    ORDER BY measurement, number";

/// The blocks of series with rows in some part of each of some days.
const BLOCKS: &str = "SELECT b.day, b.series, b.payload
    FROM unnest($2::int[], $3::bigint[], $4::bigint[]) AS w (day, first, last)
    JOIN smartem_raw.point_block b
       ON b.series = ANY($1) AND b.day = w.day AND b.first <= w.last AND b.last >= w.first
    ORDER BY b.day, b.series, b.key";

/// The records of hours of one station, in their order, each from its payload, where it has one, and its
/// points, where it has some.
pub(in crate::postgres) async fn raw_records(
    transaction: &Transaction<'_>,
    station: &StationId,
    hours: &[(Hour, Option<Vec<u8>>, bool)],
    columns: &Columns,
) -> Result<Vec<RawRecord>, Fault> {
    let stored = hours.iter().map(|(hour, payload, has_points)| StoredHour {
        station,
        hour: *hour,
        payload: payload.as_deref(),
        has_points: *has_points,
    });
    let stored: Vec<StoredHour<'_>> = stored.collect();
    let of_points = stored
        .iter()
        .filter(|hour| hour.columns_of_points(columns).is_some());
    let of_points: Vec<Hour> = of_points.map(|stored| stored.hour).collect();
    let series = if of_points.is_empty() {
        Vec::new()
    } else {
        series_of(transaction, station).await?
    };
    let blocks = Blocks::read(transaction, &series, &of_points).await?;
    let mut points = PointsOfStation::new(&series, &blocks, columns);
    let mut records = Vec::with_capacity(stored.len());
    let mut station_type: Option<String> = None;
    for hour in &stored {
        let record = if let Some(record) = points.record(hour)? {
            record
        } else {
            let known = match station_type.take() {
                Some(known) => known,
                None => type_of(transaction, station).await?,
            };
            hour.empty_record(station_type.insert(known))?
        };
        records.push(record);
    }
    Ok(records)
}

async fn type_of(transaction: &Transaction<'_>, station: &StationId) -> Result<String, Fault> {
    let id = station.as_str();
    let sql = "SELECT station_type FROM smartem.station WHERE id = $1";
    let row = transaction
        .query_typed_one(sql, params![id => TEXT])
        .await?;
    Ok(row.try_get(0)?)
}

async fn series_of(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> Result<Vec<StationSeries>, Fault> {
    let id = station.as_str();
    let parameters = params![id => TEXT];
    let (series, fields) = try_join!(
        transaction.query_typed(SERIES, parameters),
        transaction.query_typed(FIELDS, parameters),
    )?;
    let mut fields_of: HashMap<MeasurementNo, Vec<(FieldNo, Box<str>)>> = HashMap::new();
    for row in &fields {
        let of_measurement = fields_of.entry(number(row.try_get(0)?)?).or_default();
        let name: Box<str> = given(row.try_get(2)?)?.into();
        of_measurement.push((number(row.try_get(1)?)?, name));
    }
    let series = series.iter().map(|row| {
        let tags: &str = row.try_get(2)?;
        let station_type: Option<&str> = row.try_get(3)?;
        let fields = fields_of.get(&number(row.try_get(1)?)?);
        Ok(StationSeries {
            number: series_number(row.try_get(0)?)?,
            tags: tags_of(tags).ok_or_else(|| Fault::unknown("the tags of a series", tags))?,
            station_type: given(station_type.unwrap_or_default())?.into(),
            fields: fields.cloned().unwrap_or_default(),
        })
    });
    series.collect()
}

/// The number of a database, a measurement or a field.
pub(super) fn number(kept: i32) -> Result<u32, Fault> {
    u32::try_from(kept).map_err(|_| Fault::unknown("a number of points", &kept))
}

pub(super) fn series_number(kept: i64) -> Result<SeriesNo, Fault> {
    SeriesNo::try_from(kept).map_err(|_| Fault::unknown("the number of a series", &kept))
}

/// Blocks by day and series, those of one in the order in which they were written.
#[derive(Default)]
struct Blocks(BTreeMap<(i64, SeriesNo), Vec<Vec<u8>>>);

impl Blocks {
    /// Those that have something of the hours, which are in any order.
    async fn read(
        transaction: &Transaction<'_>,
        series: &[StationSeries],
        hours: &[Hour],
    ) -> Result<Self, Fault> {
        let mut blocks = Self::default();
        if series.is_empty() || hours.is_empty() {
            return Ok(blocks);
        }
        let mut parts: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for hour in hours {
            let (first, last) = extent(*hour);
            let part = parts.entry(day_of(first)).or_insert((first, last));
            *part = (part.0.min(first), part.1.max(last));
        }
        let (mut days, mut firsts, mut lasts) = (Vec::new(), Vec::new(), Vec::new());
        for (day, (first, last)) in parts {
            // Beyond what a row can be in there are no blocks.
            let Ok(day) = i32::try_from(day) else {
                continue;
            };
            days.push(day);
            firsts.push(first);
            lasts.push(last);
        }
        let numbers: Vec<i64> = series.iter().map(|it| it.number.into()).collect();
        let rows = transaction
            .query_typed(
                BLOCKS,
                params![numbers => INT8_ARRAY, days => INT4_ARRAY, firsts => INT8_ARRAY,
                    lasts => INT8_ARRAY],
            )
            .await?;
        for row in rows {
            let place = (
                row.try_get::<_, i32>(0)?.into(),
                series_number(row.try_get(1)?)?,
            );
            blocks.0.entry(place).or_default().push(row.try_get(2)?);
        }
        Ok(blocks)
    }
}

/// The points of one station, hour by hour.
struct PointsOfStation<'a> {
    series: &'a [StationSeries],
    blocks: &'a Blocks,
    columns: &'a Columns,
    /// What was read last of each series, with all columns and with those wanted: hours of one day are in
    /// the same blocks.
    read: HashMap<(SeriesNo, bool), (i64, Rows)>,
}

impl<'a> PointsOfStation<'a> {
    fn new(series: &'a [StationSeries], blocks: &'a Blocks, columns: &'a Columns) -> Self {
        Self {
            series,
            blocks,
            columns,
            read: HashMap::new(),
        }
    }

    /// `None` when there is nothing in the hour.
    fn record(&mut self, stored: &StoredHour<'_>) -> Result<Option<RawRecord>, Fault> {
        let mut found = Vec::new();
        if let Some(columns) = stored.columns_of_points(self.columns) {
            for series in self.series {
                let rows = self.rows(series, stored.hour, columns)?;
                if !rows.is_empty() {
                    found.push((series, rows));
                }
            }
        }
        Ok(stored.record(&found, self.columns)?)
    }

    /// The rows of a series within an hour.
    fn rows(
        &mut self,
        series: &StationSeries,
        hour: Hour,
        columns: &Columns,
    ) -> Result<Rows, Fault> {
        let (start, end) = extent(hour);
        let day = day_of(start);
        let kind = (series.number, matches!(columns, Columns::All));
        if self.read.get(&kind).is_none_or(|(read, _)| *read != day) {
            let rows = self.rows_of_day(series, day, columns)?;
            self.read.insert(kind, (day, rows));
        }
        let rows = self.read.get(&kind).map(|(_, rows)| rows);
        Ok(rows.map_or_else(Rows::default, |rows| rows.within(&(start..=end))))
    }

    fn rows_of_day(
        &self,
        series: &StationSeries,
        day: i64,
        columns: &Columns,
    ) -> Result<Rows, Fault> {
        let fields = series.fields_of(columns);
        let blocks = self.blocks.0.get(&(day, series.number));
        let mut all = Rows::default();
        for payload in blocks.into_iter().flatten() {
            all.append(&decode(series.number, payload, &fields)?);
        }
        Ok(all.in_order())
    }
}
