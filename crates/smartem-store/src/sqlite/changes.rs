//! Reading what changed, in the order of change.

use std::sync::Arc;

use rusqlite::{Row, Statement, Transaction, params};
use smartem_model::Hour;

use super::convert::{from_count, hour, station_id, to_count};
use super::fault::Fault;
use super::points::{PointsOfStation, raw_record};
use super::{Sqlite, meta, observations, stations};
use crate::{
    ChangeMark, ChangedHour, ChangedRecord, Changes, ChangesOf, Columns, ObservationQuery,
    Selection, StoreError,
};

/// Changed raw records after a mark, of these stations (JSON list, or null for all) and hours.
const RAW: &str = "SELECT r.change, r.station_key, r.hour, s.id, t.text, p.payload, r.has_points
    FROM raw_record r
    JOIN station s ON s.key = r.station_key
    JOIN term t ON t.key = r.source
    LEFT JOIN raw_payload p ON p.key = r.payload_key
    WHERE (r.change, r.station_key, r.hour) > (?1, ?2, ?3)
      AND (?4 IS NULL OR s.id IN (SELECT value FROM json_each(?4)))
      AND r.hour >= ?5 AND r.hour < ?6
    ORDER BY r.change, r.station_key, r.hour LIMIT ?7";

/// Changed refined hours after a mark, likewise.
const REFINED: &str = "SELECT h.change, h.station_key, h.hour, s.id
    FROM station_hour h
    JOIN station s ON s.key = h.station_key
    WHERE (h.change, h.station_key, h.hour) > (?1, ?2, ?3)
      AND (?4 IS NULL OR s.id IN (SELECT value FROM json_each(?4)))
      AND h.hour >= ?5 AND h.hour < ?6
    ORDER BY h.change, h.station_key, h.hour LIMIT ?7";

impl Sqlite {
    pub(crate) async fn raw_changes(
        self: &Arc<Self>,
        after: ChangeMark,
        of: Selection,
        limit: usize,
    ) -> Result<Changes<ChangedRecord>, StoreError> {
        self.read("reading changed records", move |transaction| {
            changes(transaction, RAW, after, &of, limit, |row, hour| {
                let station = station_id(&row.get::<_, String>(3)?)?;
                let payload = row
                    .get_ref(5)?
                    .as_blob_or_null()
                    .map_err(rusqlite::Error::from)?;
                let mut points = PointsOfStation::new(&station, &Columns::All);
                Ok(ChangedRecord {
                    source: row.get(4)?,
                    record: raw_record(transaction, hour, payload, row.get(6)?, &mut points)?,
                })
            })
        })
        .await
    }

    pub(crate) async fn observation_changes(
        self: &Arc<Self>,
        after: ChangeMark,
        of: Selection,
        limit: usize,
    ) -> Result<Changes<ChangedHour>, StoreError> {
        self.read("reading changed observations", move |transaction| {
            let hours = changes(transaction, REFINED, after, &of, limit, |row, hour| {
                Ok((station_id(&row.get::<_, String>(3)?)?, hour))
            })?;
            let mut items = Vec::with_capacity(hours.items.len());
            for (station, hour) in hours.items {
                let Some((_, row)) = stations::row_of(transaction, &station)? else {
                    continue;
                };
                let query = ObservationQuery::hour(station, hour);
                items.push(ChangedHour {
                    station: row,
                    hour,
                    observations: observations::page(transaction, &query)?.observations,
                });
            }
            Ok(Changes {
                items,
                mark: hours.mark,
                more: hours.more,
            })
        })
        .await
    }

    pub(crate) async fn changes_waiting(
        self: &Arc<Self>,
        of: ChangesOf,
        after: ChangeMark,
    ) -> Result<u64, StoreError> {
        self.read("counting changes", move |transaction| {
            let sql = match of {
                ChangesOf::RawRecords => {
                    "SELECT count(*) FROM raw_record WHERE (change, station_key, hour) > (?1, ?2, ?3)"
                }
                ChangesOf::Observations => {
                    "SELECT count(*) FROM station_hour WHERE (change, station_key, hour) > (?1, ?2, ?3)"
                }
            };
            let count = transaction
                .prepare_cached(sql)?
                .query_row((after.change, after.station_key, after.hour), |row| {
                    row.get(0)
                })?;
            Ok(to_count(count))
        })
        .await
    }
}

fn changes<T>(
    transaction: &Transaction<'_>,
    sql: &str,
    after: ChangeMark,
    of: &Selection,
    limit: usize,
    mut read: impl FnMut(&Row<'_>, Hour) -> Result<T, Fault>,
) -> Result<Changes<T>, Fault> {
    let limit = limit.max(1);
    let stations = of.stations.as_ref().map(|stations| {
        let ids = stations.iter().map(|station| station.as_str().into());
        serde_json::Value::Array(ids.collect()).to_string()
    });
    let mut statement: rusqlite::CachedStatement<'_> = transaction.prepare_cached(sql)?;
    let statement: &mut Statement<'_> = &mut statement;
    let mut rows = statement.query(params![
        after.change,
        after.station_key,
        after.hour,
        stations,
        of.from.map_or(i64::MIN, Hour::index),
        of.to.map_or(i64::MAX, Hour::index),
        from_count(limit as u64),
    ])?;
    let (mut items, mut mark) = (Vec::new(), after);
    while let Some(row) = rows.next()? {
        mark = ChangeMark {
            change: row.get(0)?,
            station_key: row.get(1)?,
            hour: row.get(2)?,
        };
        items.push(read(row, hour(mark.hour)?)?);
    }
    let more = items.len() == limit;
    if !more {
        // What was filtered out need not be looked at again.
        mark = mark.max(ChangeMark::after(meta(transaction, "change")?));
    }
    Ok(Changes { items, mark, more })
}
