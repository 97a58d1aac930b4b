//! Raw records of hours, with their checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;
use sha2::{Digest, Sha256};
use smartem_model::raw::{RawRecord, RecordTime};
use smartem_model::{Hour, StationId};

use super::convert::{hour, json, micros};
use super::fault::Fault;
use super::quarantine::{self, PreparedQuarantine};
use super::series::Terms;
use super::stations::{self, Newcomer};
use super::{Sqlite, add_to_meta, blocking, note_change};
use crate::codec;
use crate::{Intake, IntakeReport, Stage, StoreError};

/// How far a process got, in place of what was known.
const PUT_CHECKPOINT: &str =
    "INSERT INTO checkpoint (process, source, partition, position, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT DO UPDATE
    SET position = excluded.position, updated_at = excluded.updated_at";

/// Another content of a known hour.
const CHANGE_RECORD: &str = "UPDATE raw_record SET revision = revision + 1, dirty = 1, source = ?3,
       received_at = ?4, content_hash = ?5
    WHERE station_key = ?1 AND hour = ?2";

/// An hour seen for the first time.
const ADD_RECORD: &str = "INSERT INTO raw_record (station_key, hour, revision, dirty, source,
       received_at, content_hash, payload_key)
    VALUES (?1, ?2, 1, 1, ?3, ?4, ?5, ?6)";

impl Sqlite {
    pub(crate) async fn take_in(&self, intake: Intake) -> Result<IntakeReport, StoreError> {
        const ACTION: &str = "taking in raw records";
        // Encoding takes longer than writing, and other writers need not wait for it.
        let prepared = blocking(ACTION, move || Prepared::new(intake)).await?;
        self.write(ACTION, move |transaction| prepared.take_in(transaction))
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

/// An intake with all that takes time done: encoded, compressed, hashed.
struct Prepared {
    process: String,
    source: String,
    network: String,
    project: Option<String>,
    now: jiff::Timestamp,
    records: Vec<PreparedRecord>,
    quarantined: Vec<PreparedQuarantine>,
    understood: Vec<String>,
    checkpoints: Vec<(String, String)>,
}

struct PreparedRecord {
    station: StationId,
    station_type: Box<str>,
    hour: Hour,
    place: String,
    content: Content,
}

/// A record as it is stored.
pub(super) struct Content {
    pub(super) payload: Vec<u8>,
    pub(super) hash: [u8; 32],
}

impl Content {
    pub(super) fn new(record: &RawRecord, place: &str) -> Result<Self, StoreError> {
        let encoded = codec::encode(record).map_err(|source| StoreError::UnfitRecord {
            station: record.station.clone(),
            place: place.to_owned(),
            source,
        })?;
        Ok(Self::of(encoded))
    }

    fn of(encoded: codec::Encoded) -> Self {
        Self {
            hash: Sha256::digest(&encoded.body).into(),
            payload: encoded.payload,
        }
    }
}

impl Prepared {
    fn new(intake: Intake) -> Result<Self, StoreError> {
        let mut records = Vec::with_capacity(intake.records.len());
        for received in intake.records {
            let record = received.record;
            let RecordTime::Hour(hour) = record.time else {
                return Err(StoreError::NotAnHour {
                    station: record.station,
                    place: received.place,
                });
            };
            records.push(PreparedRecord {
                hour,
                content: Content::new(&record, &received.place)?,
                station: record.station,
                station_type: record.station_type,
                place: received.place,
            });
        }
        let quarantined = intake.quarantined.into_iter();
        let checkpoints = intake.checkpoints.into_iter();
        Ok(Self {
            process: intake.process,
            source: intake.source,
            network: intake.network,
            project: intake.project,
            now: intake.now,
            records,
            quarantined: quarantined
                .map(PreparedQuarantine::new)
                .collect::<Result<_, _>>()?,
            understood: intake.understood,
            checkpoints: checkpoints
                .map(|(partition, position)| (partition, position.to_string()))
                .collect(),
        })
    }

    fn take_in(&self, transaction: &Transaction<'_>) -> Result<IntakeReport, Fault> {
        let mut report = IntakeReport::default();
        let source = Terms::default().key(transaction, &self.source)?;
        for record in &self.records {
            let station_key = stations::ensure(transaction, &self.newcomer(record))?;
            match store(transaction, self, record, station_key, source)? {
                Outcome::New => report.new += 1,
                Outcome::Changed => report.changed += 1,
                Outcome::Unchanged => report.unchanged += 1,
            }
            report.resolved += self.resolve(transaction, &record.place)?;
        }
        for place in &self.understood {
            report.resolved += self.resolve(transaction, place)?;
        }
        for quarantined in &self.quarantined {
            let opened = quarantined.put(transaction, &self.process, &self.source, self.now)?;
            report.quarantined_new += u64::from(opened);
        }
        for (partition, position) in &self.checkpoints {
            transaction
                .prepare_cached(PUT_CHECKPOINT)?
                .execute(params![
                    self.process,
                    self.source,
                    partition,
                    position,
                    micros(self.now)
                ])?;
        }
        if report.new + report.changed > 0 {
            add_to_meta(transaction, "raw_records", report.new.cast_signed())?;
            note_change(transaction)?;
        }
        Ok(report)
    }

    /// Resolves what is in quarantine from a place; how many entries that were.
    fn resolve(&self, transaction: &Transaction<'_>, place: &str) -> rusqlite::Result<u64> {
        let stage = Stage::Harvest;
        quarantine::resolve(transaction, stage, &self.source, place, self.now).map(u64::from)
    }

    fn newcomer<'a>(&'a self, record: &'a PreparedRecord) -> Newcomer<'a> {
        Newcomer {
            station: &record.station,
            station_type: &record.station_type,
            hour: Some(record.hour),
            network: &self.network,
            project: self.project.as_deref(),
            now: self.now,
        }
    }
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
        // What cannot be read any more is not the same.
        let renewed = codec::renewed(payload).ok().flatten();
        Ok(renewed.is_some_and(|renewed| Content::of(renewed).hash == content.hash))
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

fn store(
    transaction: &Transaction<'_>,
    intake: &Prepared,
    record: &PreparedRecord,
    station_key: i64,
    source: i64,
) -> rusqlite::Result<Outcome> {
    let content = &record.content;
    let hour = record.hour.index();
    let stored: Option<(i64, bool)> = transaction
        .prepare_cached(
            "SELECT payload_key, content_hash = ?3 FROM raw_record
             WHERE station_key = ?1 AND hour = ?2",
        )?
        .query_row((station_key, hour, &content.hash[..]), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    match stored {
        Some((_, true)) => Ok(Outcome::Unchanged),
        Some((payload_key, false)) => {
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
            ))?;
            Ok(Outcome::Changed)
        }
        None => {
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
            ))?;
            Ok(Outcome::New)
        }
    }
}
