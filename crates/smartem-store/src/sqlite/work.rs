//! Hours to be refined, and raw records as they are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction};
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, Quarantine, StationId};

use super::Sqlite;
use super::convert::{from_count, hour, json, position, reason, source, station_id};
use super::fault::Fault;
use super::points::{PointsOfStation, raw_record};
use super::{location, stations};
use crate::track::location_at;
use crate::{
    Columns, Growing, Selection, SnapshotFacts, StationHour, StationWork, StoreError, WorkHour,
};

/// The content of one hour.
const PAYLOAD: &str = "SELECT p.payload, r.has_points FROM station s
    JOIN raw_record r ON r.station_key = s.key
    LEFT JOIN raw_payload p ON p.key = r.payload_key
    WHERE s.id = ?1 AND r.hour = ?2";

/// Stored hours from one on.
const HOURS_FROM: &str = "SELECT r.hour, r.revision,
       r.dirty = 1 AND (r.hour < ?4 OR r.standing IN (0, 2)), p.payload, r.has_points
    FROM raw_record r LEFT JOIN raw_payload p ON p.key = r.payload_key
    WHERE r.station_key = ?1 AND r.hour >= ?2 ORDER BY r.hour LIMIT ?3";

/// What refining an hour gave.
const STATION_HOUR: &str = "SELECT h.state, h.rejections, h.quarantine_reason, h.quarantine_detail,
       h.lon, h.lat, h.alt, h.location_source
    FROM station s JOIN station_hour h ON h.station_key = s.key
    WHERE s.id = ?1 AND h.hour = ?2";

impl Sqlite {
    pub(crate) async fn dirty_stations(
        self: &Arc<Self>,
        limit: usize,
        growing: Growing,
    ) -> Result<Vec<StationId>, StoreError> {
        self.read("looking for stations to refine", move |transaction| {
            dirty_stations(transaction, limit, growing)
        })
        .await
    }

    pub(crate) async fn work(
        self: &Arc<Self>,
        station: StationId,
        max_hours: usize,
        columns: Columns,
        growing: Growing,
    ) -> Result<Option<StationWork>, StoreError> {
        self.read("reading hours to refine", move |transaction| {
            work(transaction, &station, max_hours.max(1), &columns, growing)
        })
        .await
    }

    pub(crate) async fn snapshot_facts(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<SnapshotFacts, StoreError> {
        self.read("reading what is known of a station", move |transaction| {
            snapshot_facts(transaction, &station)
        })
        .await
    }

    pub(crate) async fn refine_again(&self, selection: Selection) -> Result<u64, StoreError> {
        const ACTION: &str = "marking hours to be refined again";
        self.write(ACTION, move |transaction| {
            let range = (selection.from, selection.to);
            let Some(stations) = selection.stations else {
                return Ok(mark(transaction, None, range)?);
            };
            let mut marked = 0;
            // Each once, however often it is named.
            for station in BTreeSet::from_iter(stations) {
                let Some(key) = stations::key_of(transaction, &station)? else {
                    return Err(StoreError::UnknownStation {
                        action: ACTION,
                        station,
                    }
                    .into());
                };
                marked += mark(transaction, Some(key), range)?;
            }
            Ok(marked)
        })
        .await
    }

    pub(crate) async fn raw_record(
        self: &Arc<Self>,
        station: StationId,
        hour: Hour,
    ) -> Result<Option<RawRecord>, StoreError> {
        self.read("reading a raw record", move |transaction| {
            let mut statement = transaction.prepare_cached(PAYLOAD)?;
            let found: Option<(Option<Vec<u8>>, bool)> = statement
                .query_row((station.as_str(), hour.index()), |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let Some((payload, has_points)) = found else {
                return Ok(None);
            };
            let mut points = PointsOfStation::new(&station, &Columns::All);
            let payload = payload.as_deref();
            raw_record(transaction, hour, payload, has_points, &mut points).map(Some)
        })
        .await
    }

    pub(crate) async fn station_hour(
        self: &Arc<Self>,
        station: StationId,
        hour: Hour,
    ) -> Result<Option<StationHour>, StoreError> {
        self.read("reading a refined hour", move |transaction| {
            station_hour(transaction, &station, hour)
        })
        .await
    }
}

fn dirty_stations(
    transaction: &Transaction<'_>,
    limit: usize,
    growing: Growing,
) -> Result<Vec<StationId>, Fault> {
    // One step to each next station: the hours of a long backlog are not read.
    let mut next = transaction.prepare_cached(
        "SELECT station_key, (SELECT id FROM station WHERE key = station_key) FROM raw_record
         WHERE dirty = 1 AND station_key > ?1 AND (hour < ?2 OR standing IN (0, 2))
         ORDER BY station_key LIMIT 1",
    )?;
    let mut stations = Vec::new();
    let mut after = i64::MIN;
    while stations.len() < limit {
        let found: Option<(i64, String)> = next
            .query_row((after, growing.from()), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((key, id)) = found else { break };
        stations.push(station_id(&id)?);
        after = key;
    }
    Ok(stations)
}

/// Marks the hours `from..to` of a station (of all, for `None`); returns how many.
///
/// The revision grows, so that what is being refined just now from the same hours is not taken.
pub(super) fn mark(
    transaction: &Transaction<'_>,
    station_key: Option<i64>,
    (from, to): (Option<Hour>, Option<Hour>),
) -> rusqlite::Result<u64> {
    let from = from.map_or(i64::MIN, Hour::index);
    let to = to.map_or(i64::MAX, Hour::index);
    let marked = match station_key {
        Some(key) => transaction.execute(
            "UPDATE raw_record SET dirty = 1, revision = revision + 1
             WHERE station_key = ?1 AND hour >= ?2 AND hour < ?3",
            (key, from, to),
        )?,
        None => transaction.execute(
            "UPDATE raw_record SET dirty = 1, revision = revision + 1
             WHERE hour >= ?1 AND hour < ?2",
            (from, to),
        )?,
    };
    Ok(marked as u64)
}

fn work(
    transaction: &Transaction<'_>,
    station: &StationId,
    max_hours: usize,
    columns: &Columns,
    growing: Growing,
) -> Result<Option<StationWork>, Fault> {
    let Some((station_key, station)) = stations::row_of(transaction, station)? else {
        return Ok(None);
    };
    let first: Option<i64> = transaction
        .prepare_cached(
            "SELECT hour FROM raw_record
             WHERE station_key = ?1 AND dirty = 1 AND (hour < ?2 OR standing IN (0, 2))
             ORDER BY hour LIMIT 1",
        )?
        .query_row((station_key, growing.from()), |row| row.get(0))
        .optional()?;
    let Some(first) = first else {
        return Ok(None);
    };
    let mut hours = Vec::new();
    let mut points = PointsOfStation::new(&station.id, columns);
    let mut statement = transaction.prepare_cached(HOURS_FROM)?;
    let mut rows = statement.query((
        station_key,
        first,
        from_count(max_hours as u64),
        growing.from(),
    ))?;
    while let Some(row) = rows.next()? {
        let is_ready: bool = row.get(2)?;
        if !is_ready {
            break;
        }
        let hour = hour(row.get(0)?)?;
        let payload = row
            .get_ref(3)?
            .as_blob_or_null()
            .map_err(rusqlite::Error::from)?;
        hours.push(WorkHour {
            hour,
            revision: row.get(1)?,
            record: raw_record(transaction, hour, payload, row.get(4)?, &mut points)?,
            station_location: None,
        });
    }
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else {
        return Ok(None);
    };
    let track = location::track(transaction, station_key, first.hour, last.hour)?;
    let state = state_before(transaction, station_key, first.hour)?;
    for hour in &mut hours {
        hour.station_location = location_at(&track, hour.hour);
    }
    Ok(Some(StationWork {
        station,
        state,
        hours,
    }))
}

fn snapshot_facts(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> Result<SnapshotFacts, Fault> {
    let Some((station_key, _)) = stations::row_of(transaction, station)? else {
        return Ok(SnapshotFacts::default());
    };
    let state = transaction
        .prepare_cached(
            "SELECT state FROM station_hour WHERE station_key = ?1 ORDER BY hour DESC LIMIT 1",
        )?
        .query_row([station_key], |row| row.get(0))
        .optional()?;
    let location = location::newest(transaction, station_key)?;
    Ok(SnapshotFacts { state, location })
}

/// The state handed on by the stored hour before.
fn state_before(
    transaction: &Transaction<'_>,
    station_key: i64,
    hour: Hour,
) -> rusqlite::Result<Option<String>> {
    transaction
        .prepare_cached(
            "SELECT state FROM station_hour WHERE station_key = ?1 AND hour =
                (SELECT max(hour) FROM raw_record WHERE station_key = ?1 AND hour < ?2)",
        )?
        .query_row((station_key, hour.index()), |row| row.get(0))
        .optional()
}

pub(super) fn station_hour(
    transaction: &Transaction<'_>,
    station: &StationId,
    hour: Hour,
) -> Result<Option<StationHour>, Fault> {
    let mut statement = transaction.prepare_cached(STATION_HOUR)?;
    let mut rows = statement.query((station.as_str(), hour.index()))?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let quarantine = match row.get::<_, Option<String>>(2)? {
        Some(name) => Some(Quarantine::new(
            reason(&name)?,
            row.get::<_, Option<String>>(3)?.unwrap_or_default(),
        )),
        None => None,
    };
    let from: Option<String> = row.get(7)?;
    let from = from.as_deref().map(source).transpose()?;
    Ok(Some(StationHour {
        hour,
        state: row.get(0)?,
        rejections: json(&row.get::<_, String>(1)?)?,
        quarantine,
        position: position(row, 4)?.zip(from),
    }))
}
