//! Whether the store is whole.
//!
//! The server keeps pages and references whole itself; what it does not know of is looked at here. All is
//! read in pieces, each in a transaction of its own: a check of hours holds nothing up, and what others write
//! meanwhile is whole in each piece.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use super::convert::to_count;
use super::fault::Fault;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres};
use crate::sqlite::blocking;
use crate::{CheckReport, StoreError, codec};

const ACTION: &str = "checking the store";

/// Payloads looked at together; some are a megabyte.
const PAYLOADS_AT_ONCE: i64 = 64;
const BLOCKS_AT_ONCE: i64 = 16;

/// Payloads of raw records with what their content must be, after one.
const PAYLOADS: &str = "SELECT r.station_key, r.hour, s.id, r.content_hash, p.payload
    FROM (SELECT station_key, hour, content_hash, payload_key FROM smartem_raw.raw_record
        WHERE (station_key, hour) > ($1, $2) AND payload_key IS NOT NULL
        ORDER BY station_key, hour LIMIT $3) r
    JOIN smartem.station s ON s.key = r.station_key
    JOIN smartem_raw.raw_payload p ON p.key = r.payload_key
    ORDER BY r.station_key, r.hour";

const BLOCKS: &str = "SELECT key, series, first, last, rows, payload FROM smartem_raw.point_block
    WHERE key > $1 ORDER BY key LIMIT $2";

/// Stations whose kept number of raw records is not the true one.
const STATIONS: &str = "SELECT s.id, s.raw_records, coalesce(r.counted, 0)
    FROM smartem.station s
    LEFT JOIN (SELECT station_key, count(*) AS counted FROM smartem_raw.raw_record
        GROUP BY station_key) r ON r.station_key = s.key
    WHERE s.raw_records <> coalesce(r.counted, 0) ORDER BY s.key";

/// Series whose kept number of observations is not the true one, or whose extent is not: pages of
/// observations go by it. Observations of no series have no station.
const SERIES: &str =
    "SELECT t.id, s.indicator, s.observations, coalesce(o.counted, 0), o.series_key
    FROM smartem_refined.series s
    JOIN smartem.station t ON t.key = s.station_key
    FULL JOIN (SELECT series_key, count(*) AS counted, min(start_time) AS first,
            max(start_time) AS newest, max(end_time) AS last
        FROM smartem_refined.observation GROUP BY series_key) o ON o.series_key = s.key
    WHERE s.key IS NULL OR s.observations <> coalesce(o.counted, 0)
        OR s.first_time IS DISTINCT FROM o.first
        OR (s.last_time IS NULL) <> (o.last IS NULL)
        OR s.last_time < o.newest OR s.last_time > o.last
    ORDER BY s.station_key, s.key";

/// What names something that is not there, in words, and how much of it.
const ORPHANS: [(&str, &str); 3] = [
    (
        "observations name a text (table term) that is not there",
        "SELECT coalesce(sum(o.counted), 0)::bigint FROM
            (SELECT definition, model, raw_unit, count(*) AS counted
             FROM smartem_refined.observation GROUP BY definition, model, raw_unit) o
         WHERE NOT EXISTS (SELECT FROM smartem.term WHERE key = o.definition)
            OR (o.model IS NOT NULL AND NOT EXISTS
                (SELECT FROM smartem.term WHERE key = o.model))
            OR (o.raw_unit IS NOT NULL AND NOT EXISTS
                (SELECT FROM smartem.term WHERE key = o.raw_unit))",
    ),
    (
        "contents (table raw_payload) belong to no raw record",
        "SELECT count(*) FROM smartem_raw.raw_payload p WHERE NOT EXISTS
            (SELECT FROM smartem_raw.raw_record r WHERE r.payload_key = p.key)",
    ),
    (
        "refined hours (table station_hour) have no raw record",
        // Imported hours, which hand on no state, need none.
        "SELECT count(*) FROM smartem_refined.station_hour h WHERE h.state <> 'null' AND NOT EXISTS
            (SELECT FROM smartem_raw.raw_record r
             WHERE r.station_key = h.station_key AND r.hour = h.hour)",
    ),
];

impl Postgres {
    pub(crate) async fn check(self: &Arc<Self>) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport {
            records: 0,
            problems: Vec::new(),
        };
        self.check_payloads(&mut report).await?;
        self.check_points(&mut report).await?;
        self.check_totals(&mut report).await?;
        self.check_orphans(&mut report).await?;
        Ok(report)
    }

    async fn check_payloads(self: &Arc<Self>, report: &mut CheckReport) -> Result<(), StoreError> {
        let mut after = (i32::MIN, At(i64::MIN));
        loop {
            let rows = attempt!(self, ACTION, Kind::Read, |transaction| {
                let parameters = params![after.0 => INT4, after.1 => TIMESTAMPTZ,
                    PAYLOADS_AT_ONCE => INT8];
                Ok(transaction.query_typed(PAYLOADS, parameters).await?)
            })?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = self.read(|| Ok((last.try_get(0)?, last.try_get(1)?)))?;
            report.records += rows.len() as u64;
            let problems = self.each(rows, payload_problem).await?;
            report.problems.extend(problems);
        }
    }

    /// Every block must be readable and hold what is said of it.
    async fn check_points(self: &Arc<Self>, report: &mut CheckReport) -> Result<(), StoreError> {
        let mut after = i64::MIN;
        loop {
            let rows = attempt!(self, ACTION, Kind::Read, |transaction| {
                let parameters = params![after => INT8, BLOCKS_AT_ONCE => INT8];
                Ok(transaction.query_typed(BLOCKS, parameters).await?)
            })?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            after = self.read(|| Ok(last.try_get(0)?))?;
            let problems = self.each(rows, block_problem).await?;
            report.problems.extend(problems);
        }
    }

    async fn check_totals(self: &Arc<Self>, report: &mut CheckReport) -> Result<(), StoreError> {
        for (sql, problem) in [
            (STATIONS, station_problem as fn(&Row) -> _),
            (SERIES, series_problem),
        ] {
            let problems: Vec<String> = attempt!(self, ACTION, Kind::Read, |transaction| {
                let rows = transaction.query_typed(sql, params![]).await?;
                rows.iter().map(problem).collect::<Result<_, Fault>>()
            })?;
            report.problems.extend(problems);
        }
        Ok(())
    }

    async fn check_orphans(self: &Arc<Self>, report: &mut CheckReport) -> Result<(), StoreError> {
        for (problem, sql) in ORPHANS {
            let orphans: i64 = attempt!(self, ACTION, Kind::Read, |transaction| {
                let row = transaction.query_typed_one(sql, params![]).await?;
                Ok(row.try_get(0)?)
            })?;
            if orphans > 0 {
                report.problems.push(format!("{orphans} {problem}"));
            }
        }
        Ok(())
    }

    /// The problems of rows, whose contents take time to be looked at.
    async fn each(
        self: &Arc<Self>,
        rows: Vec<Row>,
        problem: fn(&Row) -> Result<Option<String>, Fault>,
    ) -> Result<Vec<String>, StoreError> {
        let this = Arc::clone(self);
        blocking(ACTION, move || {
            let problems = rows.iter().map(problem).filter_map(Result::transpose);
            this.read(|| problems.collect())
        })
        .await
    }

    fn read<T>(&self, read: impl FnOnce() -> Result<T, Fault>) -> Result<T, StoreError> {
        read().map_err(|fault| fault.during(ACTION, self.place()))
    }
}

fn payload_problem(row: &Row) -> Result<Option<String>, Fault> {
    let (hash, payload): (&[u8], &[u8]) = (row.try_get(3)?, row.try_get(4)?);
    let problem = match codec::body_of(payload) {
        Ok(body) if Sha256::digest(&body)[..] == *hash => return Ok(None),
        Ok(_) => "its content is not what was stored".to_owned(),
        Err(error) => error.to_string(),
    };
    let station: &str = row.try_get(2)?;
    let hour = row.try_get::<_, At>(1)?.to_hour()?;
    Ok(Some(format!(
        "raw record of station {station}, {hour}: {problem}"
    )))
}

fn block_problem(row: &Row) -> Result<Option<String>, Fault> {
    let problem = match codec::decode_block(row.try_get(5)?, &|_| true) {
        Ok(block) => {
            let (first, last): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
            let rows: i32 = row.try_get(4)?;
            let is_right = block.times.first() == Some(&first)
                && block.times.last() == Some(&last)
                && block.times.len() as u64 == to_count(rows.into());
            if is_right {
                return Ok(None);
            }
            "it holds other times than are said of it".to_owned()
        }
        Err(error) => error.to_string(),
    };
    let (key, series): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(format!(
        "block {key} of points of series {series}: {problem}"
    )))
}

fn station_problem(row: &Row) -> Result<String, Fault> {
    let station: &str = row.try_get(0)?;
    let (kept, counted): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
    Ok(format!(
        "the total of raw records of station {station} is {kept}, there are {counted}"
    ))
}

fn series_problem(row: &Row) -> Result<String, Fault> {
    let counted: i64 = row.try_get(3)?;
    let Some(station) = row.try_get::<_, Option<&str>>(0)? else {
        let series: i32 = row.try_get(4)?;
        return Ok(format!(
            "{counted} observations are of series {series}, which is not there"
        ));
    };
    let (indicator, kept): (&str, i64) = (row.try_get(1)?, row.try_get(2)?);
    Ok(if kept == counted {
        format!(
            "the observations of {indicator} of station {station} begin or end elsewhere than is said"
        )
    } else {
        format!("the total of {indicator} of station {station} is {kept}, there are {counted}")
    })
}
