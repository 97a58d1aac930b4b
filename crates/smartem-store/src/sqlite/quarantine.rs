//! Quarantine: what could not be understood, whole, with the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Row, Transaction, params};
use smartem_model::StationId;

use super::Sqlite;
use super::convert::{from_count, micros, optional_time, reason, station_id, time, to_count};
use super::fault::Fault;
use crate::codec;
use crate::prepared::PreparedQuarantine;
use crate::{QuarantineEntry, QuarantineFilter, Stage, StoreError};

/// Without the bodies.
const LIST: &str = "SELECT id, stage, process, source, station, place, reason, detail, NULL, NULL,
       first_seen, last_seen, seen, resolved_at
    FROM quarantine WHERE NOT ?1 OR resolved_at IS NULL ORDER BY id DESC LIMIT ?2";

/// With the body.
const GET: &str = "SELECT id, stage, process, source, station, place, reason, detail, body,
       body_length, first_seen, last_seen, seen, resolved_at
    FROM quarantine WHERE id = ?1";

/// An open entry that was seen again; of the bodies the newest is kept.
const SEE_AGAIN: &str = "UPDATE quarantine SET seen = seen + 1, last_seen = ?4, 
       station = coalesce(?6, station), reason = ?7, detail = ?8, body = ?9,
       body_length = ?10
    WHERE stage = ?1 AND process = ?5 AND source = ?2 AND place = ?3 AND resolved_at IS NULL";

/// An entry for a place that has no open one.
const OPEN: &str = "INSERT INTO quarantine (stage, source, place, first_seen, last_seen, process,
       station, reason, detail, body, body_length, seen)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1)";

impl Sqlite {
    pub(crate) async fn open_quarantine_places(
        self: &Arc<Self>,
        source: String,
    ) -> Result<BTreeMap<String, Option<StationId>>, StoreError> {
        self.read("looking for places in quarantine", move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT place, station FROM quarantine
                 WHERE stage = 'harvest' AND source = ?1 AND resolved_at IS NULL",
            )?;
            let mut rows = statement.query([source])?;
            let mut places = BTreeMap::new();
            while let Some(row) = rows.next()? {
                places.insert(row.get(0)?, optional_station(row, 1)?);
            }
            Ok(places)
        })
        .await
    }

    pub(crate) async fn quarantine_list(
        self: &Arc<Self>,
        filter: QuarantineFilter,
    ) -> Result<Vec<QuarantineEntry>, StoreError> {
        self.read("listing the quarantine", move |transaction| {
            let mut statement = transaction.prepare_cached(LIST)?;
            let limit = from_count(filter.limit as u64);
            let mut rows = statement.query((filter.open_only, limit))?;
            let mut entries = Vec::new();
            while let Some(row) = rows.next()? {
                entries.push(entry(row)?);
            }
            Ok(entries)
        })
        .await
    }

    pub(crate) async fn quarantine_get(
        self: &Arc<Self>,
        id: i64,
    ) -> Result<Option<QuarantineEntry>, StoreError> {
        self.read("reading a quarantine entry", move |transaction| {
            let mut statement = transaction.prepare_cached(GET)?;
            let mut rows = statement.query([id])?;
            rows.next()?.map(entry).transpose()
        })
        .await
    }

    pub(crate) async fn quarantine_drop(&self, id: i64) -> Result<bool, StoreError> {
        self.write("dropping a quarantine entry", move |transaction| {
            Ok(transaction.execute("DELETE FROM quarantine WHERE id = ?1", [id])? > 0)
        })
        .await
    }
}

/// Opens an entry, or notes that the open one was seen again; whether it is new.
pub(super) fn put(
    transaction: &Transaction<'_>,
    entry: &PreparedQuarantine,
    process: &str,
    source: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let (body, body_length) = entry
        .body
        .as_ref()
        .map(|(body, length)| (body, length))
        .unzip();
    let station = entry.station.as_ref().map(StationId::as_str);
    let stage = entry.stage.as_str();
    let now = micros(now);
    let seen_again = transaction.prepare_cached(SEE_AGAIN)?.execute(params![
        stage,
        source,
        entry.place,
        now,
        process,
        station,
        entry.reason.as_str(),
        entry.detail,
        body,
        body_length,
    ])?;
    if seen_again > 0 {
        return Ok(false);
    }
    transaction.prepare_cached(OPEN)?.execute(params![
        stage,
        source,
        entry.place,
        now,
        process,
        station,
        entry.reason.as_str(),
        entry.detail,
        body,
        body_length,
    ])?;
    Ok(true)
}

/// Marks the open entry of a place as resolved; whether there was one.
pub(super) fn resolve(
    transaction: &Transaction<'_>,
    stage: Stage,
    process: &str,
    source: &str,
    place: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let resolved = transaction
        .prepare_cached(
            "UPDATE quarantine SET resolved_at = ?4
             WHERE stage = ?1 AND process = ?5 AND source = ?2 AND place = ?3
               AND resolved_at IS NULL",
        )?
        .execute((stage.as_str(), source, place, micros(now), process))?;
    Ok(resolved > 0)
}

pub(super) fn stage(name: &str) -> Result<Stage, Fault> {
    Stage::from_name(name).ok_or_else(|| Fault::unknown("the stage", name))
}

fn entry(row: &Row<'_>) -> Result<QuarantineEntry, Fault> {
    let compressed: Option<(Vec<u8>, usize)> = row.get::<_, Option<Vec<u8>>>(8)?.zip(row.get(9)?);
    let body = match compressed {
        Some((bytes, length)) => Some(
            codec::decompress(&bytes, length)
                .map_err(|error| Fault::unknown("the body", &error))?,
        ),
        None => None,
    };
    Ok(QuarantineEntry {
        id: row.get(0)?,
        stage: stage(&row.get::<_, String>(1)?)?,
        process: row.get(2)?,
        source: row.get(3)?,
        station: optional_station(row, 4)?,
        place: row.get(5)?,
        reason: reason(&row.get::<_, String>(6)?)?,
        detail: row.get(7)?,
        body,
        first_seen: time(row.get(10)?)?,
        last_seen: time(row.get(11)?)?,
        seen: to_count(row.get(12)?),
        resolved_at: optional_time(row.get(13)?)?,
    })
}

fn optional_station(row: &Row<'_>, at: usize) -> Result<Option<StationId>, Fault> {
    let text: Option<String> = row.get(at)?;
    text.as_deref().map(station_id).transpose()
}
