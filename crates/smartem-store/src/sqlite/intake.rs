//! Raw records of hours, with their checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;
use smartem_model::{Hour, StationId};

use super::convert::{hour, json, micros};
use super::fault::Fault;
use super::quarantine;
use super::series::Terms;
use super::stations;
use super::{Sqlite, add_to_meta, blocking, note_change, this_change};
use crate::prepared::{Content, Meeting, Prepared, PreparedRecord};
use crate::{Intake, IntakeReport, Stage, Standing, StoreError};

/// How far a process got, in place of what was known.
pub(super) const PUT_CHECKPOINT: &str =
    "INSERT INTO checkpoint (process, source, partition, position, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE
    SET position = excluded.position, updated_at = excluded.updated_at";

/// Another content of a known hour.
const CHANGE_RECORD: &str = "UPDATE raw_record SET revision = revision + 1, dirty = 1, source = ?3,
       received_at = ?4, content_hash = ?5, standing = ?6, change = ?7
    WHERE station_key = ?1 AND hour = ?2";

/// An hour seen for the first time.
const ADD_RECORD: &str = "INSERT INTO raw_record (station_key, hour, revision, dirty, source,
       received_at, content_hash, payload_key, standing, change)
    VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6, ?7, ?8)";

/// The newest hour that a source brought.
const NOTE_REACH: &str =
    "INSERT INTO source_reach (process, source, newest_hour) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET newest_hour = max(newest_hour, excluded.newest_hour)";

impl Sqlite {
    pub(crate) async fn take_in(&self, intake: Intake) -> Result<IntakeReport, StoreError> {
        const ACTION: &str = "taking in raw records";
        // Encoding takes longer than writing, and other writers need not wait for it.
        let prepared = blocking(ACTION, move || Prepared::new(intake)).await?;
        self.write(ACTION, move |transaction| take_in(transaction, &prepared))
            .await
    }

    pub(crate) async fn checkpoints(
        self: &Arc<Self>,
        process: String,
        source: String,
    ) -> Result<BTreeMap<String, Value>, StoreError> {
        self.read("reading checkpoints", move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT partition, position FROM checkpoint WHERE process = ?1 AND source = ?2",
            )?;
            let mut rows = statement.query([process, source])?;
            let mut positions = BTreeMap::new();
            while let Some(row) = rows.next()? {
                positions.insert(row.get(0)?, json(&row.get::<_, String>(1)?)?);
            }
            Ok(positions)
        })
        .await
    }

    pub(crate) async fn stored_hours(
        self: &Arc<Self>,
        station: StationId,
        from: Hour,
        to: Hour,
    ) -> Result<Vec<Hour>, StoreError> {
        self.read("looking for stored hours", move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT r.hour FROM raw_record r JOIN station s ON s.key = r.station_key
                 WHERE s.id = ?1 AND r.hour >= ?2 AND r.hour < ?3 ORDER BY r.hour",
            )?;
            let mut rows = statement.query((station.as_str(), from.index(), to.index()))?;
            let mut hours = Vec::new();
            while let Some(row) = rows.next()? {
                hours.push(hour(row.get(0)?)?);
            }
            Ok(hours)
        })
        .await
    }
}

fn take_in(transaction: &Transaction<'_>, intake: &Prepared) -> Result<IntakeReport, Fault> {
    let mut report = IntakeReport::default();
    let source = Terms::default().key(transaction, &intake.source)?;
    for record in &intake.records {
        let station_key = stations::ensure(transaction, &intake.newcomer(record))?;
        match store(transaction, intake, record, station_key, source)? {
            Outcome::New => report.new += 1,
            Outcome::Changed => report.changed += 1,
            Outcome::Unchanged => report.unchanged += 1,
        }
        report.resolved += resolve(transaction, intake, &record.place)?;
    }
    for place in &intake.understood {
        report.resolved += resolve(transaction, intake, place)?;
    }
    for quarantined in &intake.quarantined {
        let opened = quarantine::put(
            transaction,
            quarantined,
            &intake.process,
            &intake.source,
            intake.now,
        )?;
        report.quarantined_new += u64::from(opened);
    }
    for (partition, position) in &intake.checkpoints {
        transaction
            .prepare_cached(PUT_CHECKPOINT)?
            .execute(params![
                intake.process,
                intake.source,
                partition,
                position,
                micros(intake.now)
            ])?;
    }
    if let Some(newest) = intake
        .records
        .iter()
        .map(|record| record.hour.index())
        .max()
    {
        transaction.prepare_cached(NOTE_REACH)?.execute((
            &intake.process,
            &intake.source,
            newest,
        ))?;
    }
    if report.new + report.changed > 0 {
        add_to_meta(transaction, "raw_records", report.new.cast_signed())?;
        note_change(transaction)?;
    }
    Ok(report)
}

/// Resolves what is in quarantine from a place; how many entries that were.
fn resolve(transaction: &Transaction<'_>, intake: &Prepared, place: &str) -> rusqlite::Result<u64> {
    let stage = Stage::Harvest;
    let (process, source) = (&intake.process, &intake.source);
    quarantine::resolve(transaction, stage, process, source, place, intake.now).map(u64::from)
}

/// Whether a stored payload is of an older form, whose content hash says nothing, and holds the
/// same.
fn is_older_form(
    transaction: &Transaction<'_>,
    payload_key: i64,
    content: &Content,
) -> rusqlite::Result<bool> {
    let mut statement =
        transaction.prepare_cached("SELECT payload FROM raw_payload WHERE key = ?1")?;
    statement.query_row([payload_key], |row| {
        let payload = row.get_ref(0)?.as_blob()?;
        Ok(content.is_in_older_form(payload))
    })
}

fn put_payload(
    transaction: &Transaction<'_>,
    payload_key: i64,
    content: &Content,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE raw_payload SET payload = ?2 WHERE key = ?1")?
        .execute((payload_key, &content.payload))?;
    Ok(())
}

enum Outcome {
    New,
    Changed,
    Unchanged,
}

/// What is stored of the hour of a record.
struct Stored {
    /// `None`: all there is are points.
    payload_key: Option<i64>,
    standing: Standing,
    same_content: bool,
}

fn stored(
    transaction: &Transaction<'_>,
    station_key: i64,
    hour: i64,
    content: &Content,
) -> Result<Option<Stored>, Fault> {
    let row: Option<(Option<i64>, i64, bool)> = transaction
        .prepare_cached(
            "SELECT payload_key, standing, content_hash = ?3 FROM raw_record
             WHERE station_key = ?1 AND hour = ?2",
        )?
        .query_row((station_key, hour, &content.hash[..]), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    row.map(|(payload_key, standing, same_content)| {
        Ok(Stored {
            payload_key,
            standing: standing_of(standing)?,
            same_content,
        })
    })
    .transpose()
}

fn store(
    transaction: &Transaction<'_>,
    intake: &Prepared,
    record: &PreparedRecord,
    station_key: i64,
    source: i64,
) -> Result<Outcome, Fault> {
    let hour = record.hour.index();
    let stored = stored(transaction, station_key, hour, &record.content)?;
    let change = this_change(transaction)?;
    let Some(stored) = stored else {
        let content = &record.content;
        transaction
            .prepare_cached("INSERT INTO raw_payload (payload) VALUES (?1)")?
            .execute([&content.payload])?;
        let payload_key = transaction.last_insert_rowid();
        transaction.prepare_cached(ADD_RECORD)?.execute((
            station_key,
            hour,
            source,
            micros(intake.now),
            &content.hash[..],
            payload_key,
            record.standing.number(),
            change,
        ))?;
        return Ok(Outcome::New);
    };
    if stored.same_content && stored.standing == record.standing {
        return Ok(Outcome::Unchanged);
    }
    let Some(payload_key) = stored.payload_key else {
        add_payload(transaction, intake, record, (station_key, source, change))?;
        return Ok(Outcome::Changed);
    };
    let Some(replacement) = replacement(transaction, record, payload_key, stored.standing)? else {
        return Ok(Outcome::Unchanged);
    };
    let (content, standing) = (replacement.content(record), replacement.standing);
    if is_older_form(transaction, payload_key, content)? {
        put_payload(transaction, payload_key, content)?;
        transaction
            .prepare_cached(
                "UPDATE raw_record SET content_hash = ?3
                 WHERE station_key = ?1 AND hour = ?2",
            )?
            .execute((station_key, hour, &content.hash[..]))?;
        return Ok(Outcome::Unchanged);
    }
    put_payload(transaction, payload_key, content)?;
    transaction.prepare_cached(CHANGE_RECORD)?.execute((
        station_key,
        hour,
        source,
        micros(intake.now),
        &content.hash[..],
        standing.number(),
        change,
    ))?;
    Ok(Outcome::Changed)
}

/// Gives a payload to an hour that only has points; the record is both.
fn add_payload(
    transaction: &Transaction<'_>,
    intake: &Prepared,
    record: &PreparedRecord,
    (station_key, source, change): (i64, i64, i64),
) -> rusqlite::Result<()> {
    let content = &record.content;
    transaction
        .prepare_cached("INSERT INTO raw_payload (payload) VALUES (?1)")?
        .execute([&content.payload])?;
    let payload_key = transaction.last_insert_rowid();
    transaction
        .prepare_cached(
            "UPDATE raw_record SET revision = revision + 1, dirty = 1, source = ?3, received_at = ?4,
               content_hash = ?5, standing = ?6, change = ?7, payload_key = ?8
             WHERE station_key = ?1 AND hour = ?2",
        )?
        .execute(params![
            station_key,
            record.hour.index(),
            source,
            micros(intake.now),
            &content.hash[..],
            record.standing.number(),
            change,
            payload_key,
        ])?;
    Ok(())
}

/// What takes the place of a stored record.
struct Replacement {
    /// `None`: the record as it came in.
    united: Option<Content>,
    standing: Standing,
}

impl Replacement {
    fn content<'a>(&'a self, record: &'a PreparedRecord) -> &'a Content {
        self.united.as_ref().unwrap_or(&record.content)
    }
}

/// What takes the place of a stored record when this one comes in; `None`: nothing.
fn replacement(
    transaction: &Transaction<'_>,
    record: &PreparedRecord,
    payload_key: i64,
    stored: Standing,
) -> Result<Option<Replacement>, Fault> {
    let (union, standing) = match record.meets(stored) {
        Meeting::Stays => return Ok(None),
        Meeting::Replaces => {
            return Ok(Some(Replacement {
                united: None,
                standing: record.standing,
            }));
        }
        Meeting::Unites(union, standing) => (union, standing),
    };
    let payload: Vec<u8> = transaction
        .prepare_cached("SELECT payload FROM raw_payload WHERE key = ?1")?
        .query_row([payload_key], |row| row.get(0))?;
    let united = record.united(&payload, union)?;
    Ok(united.map(|united| Replacement {
        united: Some(united),
        standing,
    }))
}

fn standing_of(number: i64) -> Result<Standing, Fault> {
    Standing::of_number(number).ok_or_else(|| Fault::unknown("the standing of a record", &number))
}
