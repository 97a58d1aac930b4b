//! Quarantine: what could not be understood, whole, with the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use smartem_model::StationId;
use tokio_postgres::Row;

use super::convert::{from_count, optional_time, reason, station_id, text, to_count};
use super::fault::Fault;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres};
use crate::prepared::PreparedQuarantine;
use crate::{QuarantineEntry, QuarantineFilter, Stage, StoreError, codec};

/// Without the bodies.
const LIST: &str = "SELECT id, stage, process, source, station, place, reason, detail, NULL::bytea,
       NULL::bigint, first_seen, last_seen, seen, resolved_at
    FROM smartem.quarantine WHERE NOT $1 OR resolved_at IS NULL ORDER BY id DESC LIMIT $2";

/// With the body.
const GET: &str = "SELECT id, stage, process, source, station, place, reason, detail, body,
       body_length, first_seen, last_seen, seen, resolved_at
    FROM smartem.quarantine WHERE id = $1";

/// An entry for a place, or an open one that was seen again; of the bodies the newest is kept. A row that
/// is new was made by no other transaction before.
const PUT: &str =
    "INSERT INTO smartem.quarantine AS q (stage, process, source, station, place, reason,
       detail, body, body_length, first_seen, last_seen, seen)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, 1)
    ON CONFLICT (stage, process, source, place) WHERE resolved_at IS NULL DO UPDATE SET
       seen = q.seen + 1, last_seen = excluded.last_seen,
       station = coalesce(excluded.station, q.station), reason = excluded.reason,
       detail = excluded.detail, body = excluded.body, body_length = excluded.body_length
    RETURNING xmax = 0";

const RESOLVE: &str = "UPDATE smartem.quarantine SET resolved_at = $5
    WHERE stage = $1 AND process = $2 AND source = $3 AND place = ANY($4) AND resolved_at IS NULL";

const OPEN_PLACES: &str = "SELECT place, station FROM smartem.quarantine
    WHERE stage = 'harvest' AND source = $1 AND resolved_at IS NULL";

impl Postgres {
    pub(crate) async fn open_quarantine_places(
        self: &Arc<Self>,
        source: String,
    ) -> Result<BTreeMap<String, Option<StationId>>, StoreError> {
        const ACTION: &str = "looking for places in quarantine";
        attempt!(self, ACTION, Kind::Read, |transaction| {
            let rows = transaction
                .query_typed(OPEN_PLACES, params![source => TEXT])
                .await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, optional_station(row, 1)?)))
                .collect()
        })
    }

    pub(crate) async fn quarantine_list(
        self: &Arc<Self>,
        filter: QuarantineFilter,
    ) -> Result<Vec<QuarantineEntry>, StoreError> {
        let limit = from_count(filter.limit as u64);
        attempt!(self, "listing the quarantine", Kind::Read, |transaction| {
            let parameters = params![filter.open_only => BOOL, limit => INT8];
            let rows = transaction.query_typed(LIST, parameters).await?;
            rows.iter().map(entry).collect()
        })
    }

    pub(crate) async fn quarantine_get(
        self: &Arc<Self>,
        id: i64,
    ) -> Result<Option<QuarantineEntry>, StoreError> {
        attempt!(
            self,
            "reading a quarantine entry",
            Kind::Read,
            |transaction| {
                let row = transaction
                    .query_typed_opt(GET, params![id => INT8])
                    .await?;
                row.as_ref().map(entry).transpose()
            }
        )
    }

    pub(crate) async fn quarantine_drop(self: &Arc<Self>, id: i64) -> Result<bool, StoreError> {
        attempt!(
            self,
            "dropping a quarantine entry",
            Kind::Write,
            |transaction| {
                let sql = "DELETE FROM smartem.quarantine WHERE id = $1";
                Ok(transaction.execute_typed(sql, params![id => INT8]).await? > 0)
            }
        )
    }
}

/// Opens an entry, or notes that the open one was seen again; whether it is new.
pub(super) async fn put(
    transaction: &Transaction<'_>,
    entry: &PreparedQuarantine,
    process: &str,
    source: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let body = entry.body.as_ref();
    let bytes = body.map(|(bytes, _)| bytes.as_slice());
    let length = body.map(|(_, length)| from_count(*length as u64));
    let station = entry.station.as_ref().map(StationId::as_str);
    let (stage, reason) = (entry.stage.as_str(), entry.reason.as_str());
    let (place, detail, now) = (text(&entry.place), text(&entry.detail), At::time(now));
    let row = transaction
        .query_typed_one(
            PUT,
            params![stage => TEXT, process => TEXT, source => TEXT, station => TEXT, place => TEXT,
                reason => TEXT, detail => TEXT, bytes => BYTEA, length => INT8,
                now => TIMESTAMPTZ],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// Marks the open entries of places as resolved; how many there were.
pub(super) async fn resolve(
    transaction: &Transaction<'_>,
    stage: Stage,
    process: &str,
    source: &str,
    places: &[&str],
    now: Timestamp,
) -> Result<u64, Fault> {
    let (stage, now) = (stage.as_str(), At::time(now));
    let places: Vec<_> = places.iter().map(|place| text(place)).collect();
    let parameters = params![stage => TEXT, process => TEXT, source => TEXT, places => TEXT_ARRAY,
        now => TIMESTAMPTZ];
    Ok(transaction.execute_typed(RESOLVE, parameters).await?)
}

pub(super) fn stage(name: &str) -> Result<Stage, Fault> {
    Stage::from_name(name).ok_or_else(|| Fault::unknown("the stage", name))
}

fn entry(row: &Row) -> Result<QuarantineEntry, Fault> {
    let bytes: Option<&[u8]> = row.try_get(8)?;
    let length: Option<i64> = row.try_get(9)?;
    let length = length.and_then(|length| usize::try_from(length).ok());
    let body = match bytes.zip(length) {
        Some((bytes, length)) => Some(
            codec::decompress(bytes, length).map_err(|error| Fault::unknown("the body", &error))?,
        ),
        None => None,
    };
    Ok(QuarantineEntry {
        id: row.try_get(0)?,
        stage: stage(row.try_get(1)?)?,
        process: row.try_get(2)?,
        source: row.try_get(3)?,
        station: optional_station(row, 4)?,
        place: row.try_get(5)?,
        reason: reason(row.try_get(6)?)?,
        detail: row.try_get(7)?,
        body,
        first_seen: row.try_get::<_, At>(10)?.to_time()?,
        last_seen: row.try_get::<_, At>(11)?.to_time()?,
        seen: to_count(row.try_get(12)?),
        resolved_at: optional_time(row.try_get(13)?)?,
    })
}

fn optional_station(row: &Row, at: usize) -> Result<Option<StationId>, Fault> {
    let id: Option<&str> = row.try_get(at)?;
    id.map(station_id).transpose()
}
