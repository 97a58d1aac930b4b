//! Hours to be refined.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::try_join;
use smartem_model::{Hour, StationId};

use super::convert::{from_count, station_id};
use super::fault::Fault;
use super::points::raw_records;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres, location, station_rows};
use crate::track::location_at;
use crate::{Columns, Growing, Selection, SnapshotFacts, StationWork, StoreError, WorkHour};

/// Stored hours from the first on that is to be refined.
const HOURS: &str = "SELECT r.hour, r.revision, r.dirty AND (r.hour < $3 OR r.standing IN (0, 2)),
       p.payload, r.has_points
    FROM smartem_raw.raw_record r LEFT JOIN smartem_raw.raw_payload p ON p.key = r.payload_key
    WHERE r.station_key = $1 AND r.hour >= (SELECT d.hour FROM smartem_raw.raw_record d
        WHERE d.station_key = $1 AND d.dirty AND (d.hour < $3 OR d.standing IN (0, 2))
        ORDER BY d.hour LIMIT 1)
    ORDER BY r.hour LIMIT $2";

/// The state handed on by the stored hour before.
const STATE_BEFORE: &str = "SELECT state FROM smartem_refined.station_hour
    WHERE station_key = $1 AND hour = (SELECT max(hour) FROM smartem_raw.raw_record
        WHERE station_key = $1 AND hour < $2)";

const NEWEST_STATE: &str = "SELECT state FROM smartem_refined.station_hour
    WHERE station_key = $1 ORDER BY hour DESC LIMIT 1";

/// One step to each next station: the hours of a long backlog are not read.
const DIRTY: &str = "WITH RECURSIVE next AS (
        (SELECT station_key FROM smartem_raw.raw_record
         WHERE dirty AND (hour < $2 OR standing IN (0, 2)) ORDER BY station_key LIMIT 1)
        UNION ALL
        SELECT (SELECT r.station_key FROM smartem_raw.raw_record r
                WHERE r.dirty AND r.station_key > next.station_key
                  AND (r.hour < $2 OR r.standing IN (0, 2))
                ORDER BY r.station_key LIMIT 1)
        FROM next WHERE next.station_key IS NOT NULL
    )
    SELECT s.id FROM next JOIN smartem.station s ON s.key = next.station_key
    ORDER BY s.key LIMIT $1";

/// The revision grows, so that what is being refined just now from the same hours is not taken.
const MARK: &str = "UPDATE smartem_raw.raw_record SET dirty = true, revision = revision + 1
    WHERE station_key = ANY($1) AND hour >= $2 AND hour < $3";

impl Postgres {
    pub(crate) async fn dirty_stations(
        self: &Arc<Self>,
        limit: usize,
        growing: Growing,
    ) -> Result<Vec<StationId>, StoreError> {
        let (limit, before) = (from_count(limit as u64), At::index(growing.from()));
        attempt!(
            self,
            "looking for stations to refine",
            Kind::Read,
            |transaction| {
                let rows = transaction
                    .query_typed(DIRTY, params![limit => INT8, before => TIMESTAMPTZ])
                    .await?;
                rows.iter()
                    .map(|row| station_id(row.try_get(0)?))
                    .collect::<Result<Vec<_>, Fault>>()
            }
        )
    }

    pub(crate) async fn work(
        self: &Arc<Self>,
        station: StationId,
        max_hours: usize,
        columns: Columns,
        growing: Growing,
    ) -> Result<Option<StationWork>, StoreError> {
        attempt!(self, "reading hours to refine", Kind::Read, |transaction| {
            work(&transaction, &station, max_hours.max(1), &columns, growing).await
        })
    }

    pub(crate) async fn snapshot_facts(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<SnapshotFacts, StoreError> {
        const ACTION: &str = "reading what is known of a station";
        attempt!(self, ACTION, Kind::Read, |transaction| {
            let Some(key) = station_rows::key_of(&transaction, &station).await? else {
                return Ok(SnapshotFacts::default());
            };
            let (state, location) = try_join!(
                state(&transaction, NEWEST_STATE, key),
                location::newest(&transaction, key),
            )?;
            Ok(SnapshotFacts { state, location })
        })
    }

    pub(crate) async fn refine_again(
        self: &Arc<Self>,
        selection: Selection,
    ) -> Result<u64, StoreError> {
        const ACTION: &str = "marking hours to be refined again";
        attempt!(self, ACTION, Kind::Write, |transaction| {
            let keys = lock_selected(&transaction, &selection, ACTION).await?;
            let (from, to) = (selection.from, selection.to);
            mark(&transaction, &keys, from, to).await
        })
    }
}

/// The keys of selected stations, whose rows are locked.
async fn lock_selected(
    transaction: &Transaction<'_>,
    selection: &Selection,
    action: &'static str,
) -> Result<Vec<i32>, Fault> {
    let ids = selection.stations.as_ref().map(|stations| {
        let ids = stations.iter().map(StationId::as_str);
        ids.collect::<Vec<_>>()
    });
    let sql = "SELECT key, id FROM smartem.station WHERE $1::text[] IS NULL OR id = ANY($1)
        ORDER BY key FOR NO KEY UPDATE";
    let rows = transaction
        .query_typed(sql, params![ids => TEXT_ARRAY])
        .await?;
    let mut found = std::collections::HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(row.try_get::<_, String>(1)?, row.try_get::<_, i32>(0)?);
    }
    for station in selection.stations.iter().flatten() {
        if !found.contains_key(station.as_str()) {
            return Err(StoreError::UnknownStation {
                action,
                station: station.clone(),
            }
            .into());
        }
    }
    Ok(found.into_values().collect())
}

/// Marks the hours `from..to` of stations, whose rows are locked; returns how many.
pub(super) async fn mark(
    transaction: &Transaction<'_>,
    station_keys: &[i32],
    from: Option<Hour>,
    to: Option<Hour>,
) -> Result<u64, Fault> {
    let from = from.map_or(At(i64::MIN), At::hour);
    let to = to.map_or(At(i64::MAX), At::hour);
    let parameters = params![station_keys => INT4_ARRAY, from => TIMESTAMPTZ, to => TIMESTAMPTZ];
    Ok(transaction.execute_typed(MARK, parameters).await?)
}

async fn state(
    transaction: &Transaction<'_>,
    sql: &str,
    station_key: i32,
) -> Result<Option<String>, Fault> {
    let row = transaction
        .query_typed_opt(sql, params![station_key => INT4])
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn work(
    transaction: &Transaction<'_>,
    station: &StationId,
    max_hours: usize,
    columns: &Columns,
    growing: Growing,
) -> Result<Option<StationWork>, Fault> {
    let Some((key, station)) = station_rows::row_of(transaction, station).await? else {
        return Ok(None);
    };
    let (limit, before) = (from_count(max_hours as u64), At::index(growing.from()));
    let rows = transaction
        .query_typed(
            HOURS,
            params![key => INT4, limit => INT8, before => TIMESTAMPTZ],
        )
        .await?;
    let (mut payloads, mut revisions) = (Vec::new(), Vec::new());
    for row in &rows {
        if !row.try_get::<_, bool>(2)? {
            break;
        }
        let hour = row.try_get::<_, At>(0)?.to_hour()?;
        payloads.push((hour, row.try_get::<_, Option<Vec<u8>>>(3)?, row.try_get(4)?));
        revisions.push(row.try_get::<_, i64>(1)?);
    }
    let (Some((first, ..)), Some((last, ..))) = (payloads.first(), payloads.last()) else {
        return Ok(None);
    };
    let (first, last) = (*first, *last);
    let first_at = At::hour(first);
    let (state, track) = try_join!(
        async {
            let parameters = params![key => INT4, first_at => TIMESTAMPTZ];
            let row = transaction
                .query_typed_opt(STATE_BEFORE, parameters)
                .await?;
            Ok::<Option<String>, Fault>(row.map(|row| row.try_get(0)).transpose()?)
        },
        location::track(transaction, key, first, last),
    )?;
    let records = raw_records(transaction, &station.id, &payloads, columns).await?;
    let hours = payloads.iter().zip(revisions).zip(records);
    let hours = hours.map(|(((hour, ..), revision), record)| WorkHour {
        hour: *hour,
        revision,
        record,
        station_location: location_at(&track, *hour),
    });
    Ok(Some(StationWork {
        hours: hours.collect(),
        station,
        state,
    }))
}
