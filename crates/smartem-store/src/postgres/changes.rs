//! Reading what changed, in the order of change.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, StationId};
use tokio_postgres::Row;

use super::convert::{from_count, station_id, to_count};
use super::fault::Fault;
use super::observations::{Series, columns, observation, term_columns};
use super::points::raw_records;
use super::sql::{At, attempt, params};
use super::stations::Texts as Names;
use super::{Kind, Postgres, meta};
use crate::{
    ChangeMark, ChangedHour, ChangedRecord, Changes, ChangesOf, Columns, Selection, StationRow,
    StoreError,
};

/// Changed raw records after a mark, of these stations (all, without any told) and hours.
const RAW: &str = "SELECT r.change, r.station_key, r.hour, s.id, t.text, p.payload, r.has_points
    FROM smartem_raw.raw_record r
    JOIN smartem.station s ON s.key = r.station_key
    JOIN smartem.term t ON t.key = r.source
    LEFT JOIN smartem_raw.raw_payload p ON p.key = r.payload_key
    WHERE (r.change, r.station_key, r.hour) > ($1, $2, $3)
      AND ($4::text[] IS NULL OR s.id = ANY($4))
      AND r.hour >= $5 AND r.hour < $6
    ORDER BY r.change, r.station_key, r.hour LIMIT $7";

/// Changed refined hours after a mark, likewise.
const REFINED: &str = "SELECT h.change, h.station_key, h.hour, s.id, s.station_type, s.network,
       s.project, s.name, s.cadence_s
    FROM smartem_refined.station_hour h
    JOIN smartem.station s ON s.key = h.station_key
    WHERE (h.change, h.station_key, h.hour) > ($1, $2, $3)
      AND ($4::text[] IS NULL OR s.id = ANY($4))
      AND h.hour >= $5 AND h.hour < $6
    ORDER BY h.change, h.station_key, h.hour LIMIT $7";

/// The observations of station-hours, each with the place of its hour; `$3` and `$4` are bounds of all.
const OF_HOURS: &str = concat!(
    "SELECT ",
    columns!(),
    ", w.place - 1, s.indicator, s.sensor, s.unit, s.label
    FROM unnest($1::int[], $2::timestamptz[]) WITH ORDINALITY AS w (station_key, hour, place)
    JOIN smartem_refined.series s ON s.station_key = w.station_key
    CROSS JOIN LATERAL (SELECT * FROM smartem_refined.observation
        WHERE series_key = s.key AND start_time >= w.hour
            AND start_time < w.hour + interval '1 hour'
            AND start_time >= $3 AND start_time < $4
        OFFSET 0) o
    ORDER BY w.place, o.start_time, s.indicator COLLATE \"C\", s.sensor COLLATE \"C\",
        s.unit COLLATE \"C\""
);

/// Where [`OF_HOURS`] has the place of the hour.
const PLACE: usize = 16;

const RAW_WAITING: &str = "SELECT count(*) FROM smartem_raw.raw_record
    WHERE (change, station_key, hour) > ($1, $2, $3)";

const REFINED_WAITING: &str = "SELECT count(*) FROM smartem_refined.station_hour
    WHERE (change, station_key, hour) > ($1, $2, $3)";

impl Postgres {
    pub(crate) async fn raw_changes(
        self: &Arc<Self>,
        after: ChangeMark,
        of: Selection,
        limit: usize,
    ) -> Result<Changes<ChangedRecord>, StoreError> {
        attempt!(self, "reading changed records", Kind::Read, |transaction| {
            let found = Found::read(&transaction, RAW, after, &of, limit).await?;
            let items = records(&transaction, &found.rows).await?;
            Ok(found.with(items))
        })
    }

    pub(crate) async fn observation_changes(
        self: &Arc<Self>,
        after: ChangeMark,
        of: Selection,
        limit: usize,
    ) -> Result<Changes<ChangedHour>, StoreError> {
        const ACTION: &str = "reading changed observations";
        attempt!(self, ACTION, Kind::Read, |transaction| {
            let found = Found::read(&transaction, REFINED, after, &of, limit).await?;
            let items = hours(self, &transaction, &found.rows).await?;
            Ok(found.with(items))
        })
    }

    pub(crate) async fn changes_waiting(
        self: &Arc<Self>,
        of: ChangesOf,
        after: ChangeMark,
    ) -> Result<u64, StoreError> {
        let sql = match of {
            ChangesOf::RawRecords => RAW_WAITING,
            ChangesOf::Observations => REFINED_WAITING,
        };
        let (change, station, hour) = place(after);
        attempt!(self, "counting changes", Kind::Read, |transaction| {
            let parameters = params![change => INT8, station => INT4, hour => TIMESTAMPTZ];
            let row = transaction.query_typed_one(sql, parameters).await?;
            Ok(to_count(row.try_get(0)?))
        })
    }
}

/// A mark as columns have it.
fn place(mark: ChangeMark) -> (i64, i32, At) {
    let bound = if mark.station_key < 0 {
        i32::MIN
    } else {
        i32::MAX
    };
    let station = i32::try_from(mark.station_key).unwrap_or(bound);
    (mark.change, station, At::index(mark.hour))
}

/// Some rows of changes and where to go on.
struct Found {
    rows: Vec<Row>,
    mark: ChangeMark,
    more: bool,
}

impl Found {
    async fn read(
        transaction: &Transaction<'_>,
        sql: &str,
        after: ChangeMark,
        of: &Selection,
        limit: usize,
    ) -> Result<Self, Fault> {
        let limit = limit.max(1);
        let ids: Option<Vec<&str>> = of
            .stations
            .as_ref()
            .map(|stations| stations.iter().map(StationId::as_str).collect());
        let (change, station, hour) = place(after);
        let from = At::index(of.from.map_or(i64::MIN, Hour::index));
        let to = At::index(of.to.map_or(i64::MAX, Hour::index));
        let count = from_count(limit as u64);
        let rows = transaction
            .query_typed(
                sql,
                params![change => INT8, station => INT4, hour => TIMESTAMPTZ, ids => TEXT_ARRAY,
                    from => TIMESTAMPTZ, to => TIMESTAMPTZ, count => INT8],
            )
            .await?;
        let mut mark = after;
        if let Some(last) = rows.last() {
            mark = ChangeMark {
                change: last.try_get(0)?,
                station_key: last.try_get::<_, i32>(1)?.into(),
                hour: last.try_get::<_, At>(2)?.to_index(),
            };
        }
        let more = rows.len() == limit;
        if !more {
            // What was filtered out need not be looked at again. Numbers are in the order of commits, so
            // none up to this one is still to come.
            mark = mark.max(ChangeMark::after(meta(transaction, "change").await?));
        }
        Ok(Self { rows, mark, more })
    }

    fn with<T>(self, items: Vec<T>) -> Changes<T> {
        Changes {
            items,
            mark: self.mark,
            more: self.more,
        }
    }
}

fn hour_of(row: &Row) -> Result<Hour, Fault> {
    row.try_get::<_, At>(2)?.to_hour()
}

/// The records of rows of [`RAW`], in their order. Those of a station are read together.
async fn records(transaction: &Transaction<'_>, rows: &[Row]) -> Result<Vec<ChangedRecord>, Fault> {
    let mut stations: BTreeMap<&str, (Vec<usize>, Vec<_>)> = BTreeMap::new();
    for (place, row) in rows.iter().enumerate() {
        let (places, contents) = stations.entry(row.try_get(3)?).or_default();
        let payload: Option<Vec<u8>> = row.try_get(5)?;
        places.push(place);
        contents.push((hour_of(row)?, payload, row.try_get(6)?));
    }
    let mut found = Vec::with_capacity(rows.len());
    for (station, (places, contents)) in stations {
        let station = station_id(station)?;
        let records = raw_records(transaction, &station, &contents, &Columns::All).await?;
        found.extend(places.into_iter().zip(records));
    }
    found.sort_unstable_by_key(|(place, _)| *place);
    let changed = |(row, (_, record)): (&Row, (usize, RawRecord))| {
        let source = row.try_get::<_, &str>(4)?.into();
        Ok(ChangedRecord { source, record })
    };
    rows.iter().zip(found).map(changed).collect()
}

/// The hours of rows of [`REFINED`], in their order, with their observations.
async fn hours(
    database: &Postgres,
    transaction: &Transaction<'_>,
    rows: &[Row],
) -> Result<Vec<ChangedHour>, Fault> {
    let (mut keys, mut starts) = (Vec::new(), Vec::new());
    let mut hours = Vec::with_capacity(rows.len());
    for row in rows {
        keys.push(row.try_get::<_, i32>(1)?);
        starts.push(row.try_get::<_, At>(2)?);
        hours.push(ChangedHour {
            station: station_of(row)?,
            hour: hour_of(row)?,
            observations: Vec::new(),
        });
    }
    let (Some(first), Some(last)) = (starts.iter().min(), starts.iter().max()) else {
        return Ok(hours);
    };
    let end = At::index(last.to_index().saturating_add(1));
    let parameters = params![keys => INT4_ARRAY, starts => TIMESTAMPTZ_ARRAY,
        first => TIMESTAMPTZ, end => TIMESTAMPTZ];
    let rows = transaction.query_typed(OF_HOURS, parameters).await?;
    let texts = database
        .terms
        .texts(transaction, &rows, &term_columns(0))
        .await?;
    let mut names = Names::default();
    for row in &rows {
        let place: i64 = row.try_get(PLACE)?;
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let Some(hour) = hours.get_mut(place) else {
            return Err(Fault::unknown("the place of an hour", &place));
        };
        let series = Series {
            indicator: names.get(row.try_get(PLACE + 1)?),
            sensor: names.get(row.try_get(PLACE + 2)?),
            unit: names.get(row.try_get(PLACE + 3)?),
            label: names.get(row.try_get(PLACE + 4)?),
        };
        let of = (&hour.station.id, &hour.station.station_type);
        let observation = observation(row, 0, of, &series, &texts)?;
        hour.observations.push(observation);
    }
    Ok(hours)
}

fn station_of(row: &Row) -> Result<StationRow, Fault> {
    let optional = |at: usize| -> Result<Option<Arc<str>>, Fault> {
        Ok(row.try_get::<_, Option<&str>>(at)?.map(Into::into))
    };
    Ok(StationRow {
        id: station_id(row.try_get(3)?)?,
        station_type: row.try_get::<_, &str>(4)?.into(),
        network: row.try_get::<_, &str>(5)?.into(),
        project: optional(6)?,
        name: optional(7)?,
        cadence_s: row.try_get(8)?,
    })
}
