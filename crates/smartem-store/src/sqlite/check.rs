//! Whether the store is whole.

use std::sync::Arc;

use rusqlite::Transaction;
use sha2::{Digest, Sha256};

use super::Sqlite;
use super::convert::{hour, to_count};
use super::fault::Fault;
use crate::codec;
use crate::{CheckReport, StoreError};

/// All payloads of raw records with what their content must be.
const PAYLOADS: &str = "SELECT s.id, r.hour, r.content_hash, p.payload FROM raw_record r
    JOIN station s ON s.key = r.station_key
    JOIN raw_payload p ON p.key = r.payload_key";

/// Series whose kept number of observations is not the true one.
const SERIES: &str = "SELECT id, indicator, kept, counted FROM
       (SELECT t.id, s.indicator, s.observations AS kept,
           (SELECT count(*) FROM observation WHERE series_key = s.key) AS counted
        FROM series s JOIN station t ON t.key = s.station_key)
    WHERE kept <> counted";

impl Sqlite {
    pub(crate) async fn check(self: &Arc<Self>) -> Result<CheckReport, StoreError> {
        self.read("checking the store", check).await
    }
}

fn check(transaction: &Transaction<'_>) -> Result<CheckReport, Fault> {
    let mut report = CheckReport {
        records: 0,
        problems: Vec::new(),
    };
    let mut statement = transaction.prepare("PRAGMA integrity_check")?;
    let findings = statement.query_map([], |row| row.get::<_, String>(0))?;
    for finding in findings {
        let finding = finding?;
        if finding != "ok" {
            report.problems.push(finding);
        }
    }
    let mut statement = transaction.prepare("PRAGMA foreign_key_check")?;
    let dangling = statement.query_map([], |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        Ok(format!("a row of {table} names no row of {parent}"))
    })?;
    for problem in dangling {
        report.problems.push(problem?);
    }
    check_payloads(transaction, &mut report)?;
    check_points(transaction, &mut report)?;
    check_totals(transaction, &mut report)?;
    Ok(report)
}

fn check_payloads(transaction: &Transaction<'_>, report: &mut CheckReport) -> Result<(), Fault> {
    let mut statement = transaction.prepare(PAYLOADS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.records += 1;
        let blob = |at| -> Result<&[u8], Fault> {
            Ok(row.get_ref(at)?.as_blob().map_err(rusqlite::Error::from)?)
        };
        let problem = match codec::body_of(blob(3)?) {
            Ok(body) if Sha256::digest(&body)[..] == *blob(2)? => continue,
            Ok(_) => "its content is not what was stored".to_owned(),
            Err(error) => error.to_string(),
        };
        let (station, hour) = (row.get::<_, String>(0)?, hour(row.get(1)?)?);
        report.problems.push(format!(
            "raw record of station {station}, {hour}: {problem}"
        ));
    }
    Ok(())
}

/// Every block must be readable and hold what is said of it.
fn check_points(transaction: &Transaction<'_>, report: &mut CheckReport) -> Result<(), Fault> {
    let mut statement =
        transaction.prepare("SELECT key, series, first, last, rows, payload FROM point_block")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let payload = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
        let problem = match codec::decode_block(payload, &|_| true) {
            Ok(block) => {
                let (first, last): (i64, i64) = (row.get(2)?, row.get(3)?);
                let rows: i64 = row.get(4)?;
                let is_right = block.times.first() == Some(&first)
                    && block.times.last() == Some(&last)
                    && block.times.len() as u64 == to_count(rows);
                if is_right {
                    continue;
                }
                "it holds other times than are said of it".to_owned()
            }
            Err(error) => error.to_string(),
        };
        let (key, series): (i64, i64) = (row.get(0)?, row.get(1)?);
        report.problems.push(format!(
            "block {key} of points of series {series}: {problem}"
        ));
    }
    Ok(())
}

fn check_totals(transaction: &Transaction<'_>, report: &mut CheckReport) -> Result<(), Fault> {
    for (name, table) in [
        ("observations", "observation"),
        ("raw_records", "raw_record"),
    ] {
        let kept = to_count(super::meta(transaction, name)?);
        let count = transaction.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        });
        let counted = to_count(count?);
        if kept != counted {
            report.problems.push(format!(
                "the total of {name} is {kept}, there are {counted}"
            ));
        }
    }
    let mut statement = transaction.prepare(SERIES)?;
    let wrong = statement.query_map([], |row| {
        let (station, indicator): (String, String) = (row.get(0)?, row.get(1)?);
        let (kept, counted): (i64, i64) = (row.get(2)?, row.get(3)?);
        Ok(format!(
            "the total of {indicator} of station {station} is {kept}, there are {counted}"
        ))
    })?;
    for problem in wrong {
        report.problems.push(problem?);
    }
    Ok(())
}
