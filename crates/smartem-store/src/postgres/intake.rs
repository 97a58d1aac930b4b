//! Raw records of hours, with their checkpoints.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::try_join;

use super::convert::text;
use super::fault::Fault;
use super::sql::{At, attempt, params, tried};
use super::{Kind, Postgres, next_change, quarantine, station_rows};
use crate::prepared::{Content, Meeting, Prepared, PreparedRecord};
use crate::sqlite::blocking;
use crate::{Intake, IntakeReport, Stage, Standing, StoreError};

/// What is stored of some hours.
const STORED: &str = "SELECT r.station_key, r.hour, r.content_hash, r.payload_key, r.standing
    FROM unnest($1::int[], $2::timestamptz[]) AS w (station_key, hour)
    JOIN smartem_raw.raw_record r ON r.station_key = w.station_key AND r.hour = w.hour";

const PAYLOADS: &str = "SELECT key, payload FROM smartem_raw.raw_payload WHERE key = ANY($1)";

const NEW_KEYS: &str = "SELECT nextval(pg_get_serial_sequence('smartem_raw.raw_payload', 'key'))
    FROM generate_series(1, $1)";

const ADD_PAYLOADS: &str = "INSERT INTO smartem_raw.raw_payload (key, payload)
    SELECT * FROM unnest($1::bigint[], $2::bytea[])";

const CHANGE_PAYLOADS: &str = "UPDATE smartem_raw.raw_payload p SET payload = w.payload
    FROM unnest($1::bigint[], $2::bytea[]) AS w (key, payload) WHERE p.key = w.key";

/// Hours seen for the first time, and other contents of known ones. The number of the change was just
/// written by this transaction.
const PUT_RECORDS: &str =
    "INSERT INTO smartem_raw.raw_record AS r (station_key, hour, revision, dirty,
       source, received_at, content_hash, payload_key, standing, change)
    SELECT w.station_key, w.hour, 1, true, $5, $6, w.content_hash, w.payload_key, w.standing,
       (SELECT value FROM smartem.meta WHERE key = 'change')
    FROM unnest($1::int[], $2::timestamptz[], $3::bytea[], $4::bigint[], $7::smallint[])
       AS w (station_key, hour, content_hash, payload_key, standing)
    ON CONFLICT (station_key, hour) DO UPDATE SET revision = r.revision + 1, dirty = true,
       source = excluded.source, received_at = excluded.received_at,
       content_hash = excluded.content_hash, payload_key = excluded.payload_key,
       standing = excluded.standing, change = excluded.change";

const RENEW_HASHES: &str = "UPDATE smartem_raw.raw_record r SET content_hash = w.content_hash
    FROM unnest($1::int[], $2::timestamptz[], $3::bytea[]) AS w (station_key, hour, content_hash)
    WHERE r.station_key = w.station_key AND r.hour = w.hour";

const COUNT_RECORDS: &str = "UPDATE smartem.station s SET raw_records = raw_records + w.added
    FROM (SELECT key, count(*) AS added FROM unnest($1::int[]) AS key GROUP BY key) w
    WHERE s.key = w.key";

/// How far a process got, in place of what was known.
const PUT_CHECKPOINTS: &str = "INSERT INTO smartem.checkpoint
       (process, source, partition, position, updated_at)
    SELECT $1, $2, w.partition, w.position::json, $5
    FROM unnest($3::text[], $4::text[]) AS w (partition, position)
    ON CONFLICT (process, source, partition) DO UPDATE
    SET position = excluded.position, updated_at = excluded.updated_at";

/// The newest hour that a source brought.
const NOTE_REACH: &str = "INSERT INTO smartem.source_reach AS s (process, source, newest_hour)
    VALUES ($1, $2, $3)
    ON CONFLICT (process, source) DO UPDATE
    SET newest_hour = greatest(s.newest_hour, excluded.newest_hour)";

impl Postgres {
    pub(crate) async fn take_in(
        self: &Arc<Self>,
        intake: Intake,
    ) -> Result<IntakeReport, StoreError> {
        const ACTION: &str = "taking in raw records";
        let prepared = blocking(ACTION, move || Prepared::new(intake)).await?;
        let terms = BTreeSet::from([prepared.source.as_str()]);
        tried!(self, ACTION, self.ensure_terms(&terms).await)?;
        attempt!(self, ACTION, Kind::Write, |transaction| {
            let source = self.terms.key(&prepared.source)?;
            take_in(&transaction, &prepared, source).await
        })
    }
}

async fn take_in(
    transaction: &Transaction<'_>,
    intake: &Prepared,
    source: i32,
) -> Result<IntakeReport, Fault> {
    let newcomers: Vec<_> = intake
        .records
        .iter()
        .map(|record| intake.newcomer(record))
        .collect();
    let ensured = station_rows::ensure(transaction, &newcomers).await?;
    let mut hours = Hours::load(transaction, intake, &ensured.keys).await?;
    let mut report = IntakeReport::default();
    for (record, key) in intake.records.iter().zip(&ensured.keys) {
        match hours.meet(record, *key)? {
            Outcome::New => report.new += 1,
            Outcome::Changed => report.changed += 1,
            Outcome::Unchanged => report.unchanged += 1,
        }
    }
    settle_quarantine(transaction, intake, &mut report).await?;
    put_checkpoints(transaction, intake).await?;
    hours.put_payloads(transaction).await?;
    hours.renew_hashes(transaction).await?;
    if ensured.changed || report.new + report.changed > 0 {
        let (_, ()) = try_join!(
            next_change(transaction),
            hours.put_records(transaction, source, At::time(intake.now)),
        )?;
    }
    Ok(report)
}

async fn settle_quarantine(
    transaction: &Transaction<'_>,
    intake: &Prepared,
    report: &mut IntakeReport,
) -> Result<(), Fault> {
    let good = intake.records.iter().map(|record| record.place.as_str());
    let understood = intake.understood.iter().map(String::as_str);
    let places: Vec<&str> = good.chain(understood).collect();
    let (process, from) = (&intake.process, &intake.source);
    if !places.is_empty() {
        report.resolved = quarantine::resolve(
            transaction,
            Stage::Harvest,
            process,
            from,
            &places,
            intake.now,
        )
        .await?;
    }
    for entry in &intake.quarantined {
        let opened = quarantine::put(transaction, entry, process, from, intake.now).await?;
        report.quarantined_new += u64::from(opened);
    }
    Ok(())
}

/// Notes how far a process got: partitions and positions, as JSON.
pub(super) async fn put_positions(
    transaction: &Transaction<'_>,
    (process, source): (&str, &str),
    positions: &[(String, String)],
    now: At,
) -> Result<(), Fault> {
    // Of one partition the last position holds.
    let positions: BTreeMap<_, _> = positions
        .iter()
        .map(|(partition, position)| (text(partition), position.as_str()))
        .collect();
    if positions.is_empty() {
        return Ok(());
    }
    let (partitions, positions): (Vec<_>, Vec<_>) = positions.into_iter().unzip();
    transaction
        .execute_typed(
            PUT_CHECKPOINTS,
            params![process => TEXT, source => TEXT, partitions => TEXT_ARRAY,
                positions => TEXT_ARRAY, now => TIMESTAMPTZ],
        )
        .await?;
    Ok(())
}

async fn put_checkpoints(transaction: &Transaction<'_>, intake: &Prepared) -> Result<(), Fault> {
    let (process, source) = (&intake.process, &intake.source);
    let now = At::time(intake.now);
    put_positions(transaction, (process, source), &intake.checkpoints, now).await?;
    let newest = intake.records.iter().map(|record| record.hour).max();
    if let Some(newest) = newest {
        transaction
            .execute_typed(
                NOTE_REACH,
                params![process => TEXT, source => TEXT, At::hour(newest) => TIMESTAMPTZ],
            )
            .await?;
    }
    Ok(())
}

enum Outcome {
    New,
    Changed,
    Unchanged,
}

/// What is stored of an hour, and what is to be.
struct Slot {
    is_stored: bool,
    /// `None`: it has no payload yet.
    payload_key: Option<i64>,
    hash: Vec<u8>,
    standing: Standing,
    write: Write,
}

#[derive(Default)]
enum Write {
    #[default]
    Nothing,
    /// The record is another one than was stored.
    Record(Content),
    /// The same record in the form of today.
    Form(Content),
}

/// The hours of an intake.
struct Hours {
    slots: BTreeMap<(i32, i64), Slot>,
    /// Stored contents that may have to be looked at.
    payloads: HashMap<i64, Vec<u8>>,
}

impl Hours {
    async fn load(
        transaction: &Transaction<'_>,
        intake: &Prepared,
        keys: &[i32],
    ) -> Result<Self, Fault> {
        let times: Vec<At> = intake
            .records
            .iter()
            .map(|record| At::hour(record.hour))
            .collect();
        let rows = transaction
            .query_typed(
                STORED,
                params![keys => INT4_ARRAY, times => TIMESTAMPTZ_ARRAY],
            )
            .await?;
        let mut slots = BTreeMap::new();
        for row in rows {
            let standing: i16 = row.try_get(4)?;
            let slot = Slot {
                is_stored: true,
                payload_key: row.try_get(3)?,
                hash: row.try_get(2)?,
                standing: Standing::of_number(standing.into())
                    .ok_or_else(|| Fault::unknown("the standing of a record", &standing))?,
                write: Write::Nothing,
            };
            slots.insert((row.try_get(0)?, row.try_get::<_, At>(1)?.to_index()), slot);
        }
        let mut hours = Self {
            slots,
            payloads: HashMap::new(),
        };
        hours.load_payloads(transaction, intake, keys).await?;
        Ok(hours)
    }

    /// Reads the contents of hours that come with another one.
    async fn load_payloads(
        &mut self,
        transaction: &Transaction<'_>,
        intake: &Prepared,
        keys: &[i32],
    ) -> Result<(), Fault> {
        let records = intake.records.iter().zip(keys);
        let differing = records.filter_map(|(record, key)| {
            let slot = self.slots.get(&(*key, record.hour.index()))?;
            let is_same = slot.hash == record.content.hash && slot.standing == record.standing;
            slot.payload_key.filter(|_| !is_same)
        });
        let wanted: Vec<i64> = differing.collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let rows = transaction
            .query_typed(PAYLOADS, params![wanted => INT8_ARRAY])
            .await?;
        for row in rows {
            self.payloads.insert(row.try_get(0)?, row.try_get(1)?);
        }
        Ok(())
    }

    /// What becomes of an hour when a record of it comes in.
    fn meet(&mut self, record: &PreparedRecord, key: i32) -> Result<Outcome, Fault> {
        let at = (key, record.hour.index());
        let Some(slot) = self.slots.get_mut(&at) else {
            let slot = Slot {
                is_stored: false,
                payload_key: None,
                hash: record.content.hash.to_vec(),
                standing: record.standing,
                write: Write::Record(record.content.clone()),
            };
            self.slots.insert(at, slot);
            return Ok(Outcome::New);
        };
        if slot.hash == record.content.hash && slot.standing == record.standing {
            return Ok(Outcome::Unchanged);
        }
        let stored = match (&slot.write, slot.payload_key) {
            (Write::Record(content) | Write::Form(content), _) => Some(&content.payload),
            (Write::Nothing, Some(key)) => self.payloads.get(&key),
            (Write::Nothing, None) => None,
        };
        let (content, standing) = match stored {
            // The hour has points only: the record is both.
            None => (record.content.clone(), record.standing),
            Some(stored) => match record.meets(slot.standing) {
                Meeting::Stays => return Ok(Outcome::Unchanged),
                Meeting::Replaces => (record.content.clone(), record.standing),
                Meeting::Unites(union, standing) => match record.united(stored, union)? {
                    Some(united) => (united, standing),
                    None => return Ok(Outcome::Unchanged),
                },
            },
        };
        slot.hash = content.hash.to_vec();
        if stored.is_some_and(|stored| content.is_in_older_form(stored)) {
            slot.write = Write::Form(content);
            return Ok(Outcome::Unchanged);
        }
        slot.standing = standing;
        slot.write = Write::Record(content);
        Ok(Outcome::Changed)
    }

    async fn put_payloads(&mut self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let (mut known, mut changed) = (Vec::new(), Vec::new());
        let (mut without, mut added) = (Vec::new(), Vec::new());
        for slot in self.slots.values_mut() {
            let content = match &slot.write {
                Write::Nothing => continue,
                Write::Record(content) | Write::Form(content) => content,
            };
            if let Some(key) = slot.payload_key {
                known.push(key);
                changed.push(content.payload.as_slice());
            } else {
                without.push(&mut slot.payload_key);
                added.push(content.payload.as_slice());
            }
        }
        if !known.is_empty() {
            let parameters = params![known => INT8_ARRAY, changed => BYTEA_ARRAY];
            transaction
                .execute_typed(CHANGE_PAYLOADS, parameters)
                .await?;
        }
        if !without.is_empty() {
            let count = i32::try_from(without.len()).unwrap_or(i32::MAX);
            let rows = transaction
                .query_typed(NEW_KEYS, params![count => INT4])
                .await?;
            let keys: Vec<i64> = rows
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()?;
            let parameters = params![keys => INT8_ARRAY, added => BYTEA_ARRAY];
            transaction.execute_typed(ADD_PAYLOADS, parameters).await?;
            for (slot, key) in without.into_iter().zip(keys) {
                *slot = Some(key);
            }
        }
        Ok(())
    }

    async fn put_records(
        &self,
        transaction: &Transaction<'_>,
        source: i32,
        now: At,
    ) -> Result<(), Fault> {
        let records: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.write, Write::Record(_)))
            .collect();
        let keys: Vec<i32> = records.iter().map(|((key, _), _)| *key).collect();
        let times: Vec<At> = records
            .iter()
            .map(|((_, hour), _)| At::index(*hour))
            .collect();
        let hashes: Vec<&[u8]> = records.iter().map(|(_, slot)| &*slot.hash).collect();
        let payloads: Vec<Option<i64>> = records.iter().map(|(_, slot)| slot.payload_key).collect();
        let standings: Vec<i16> = records
            .iter()
            .map(|(_, slot)| slot.standing.number())
            .collect();
        let put = params![keys => INT4_ARRAY, times => TIMESTAMPTZ_ARRAY, hashes => BYTEA_ARRAY,
            payloads => INT8_ARRAY, source => INT4, now => TIMESTAMPTZ, standings => INT2_ARRAY];
        let fresh = records.iter().filter(|(_, slot)| !slot.is_stored);
        let added: Vec<i32> = fresh.map(|((key, _), _)| *key).collect();
        let count = params![added => INT4_ARRAY];
        try_join!(
            transaction.execute_typed(PUT_RECORDS, put),
            transaction.execute_typed(COUNT_RECORDS, count),
        )?;
        Ok(())
    }

    /// Notes the hashes of records that are now kept in the form of today.
    async fn renew_hashes(&self, transaction: &Transaction<'_>) -> Result<(), Fault> {
        let renewed: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| matches!(slot.write, Write::Form(_)))
            .collect();
        if renewed.is_empty() {
            return Ok(());
        }
        let keys: Vec<i32> = renewed.iter().map(|((key, _), _)| *key).collect();
        let times: Vec<At> = renewed
            .iter()
            .map(|((_, hour), _)| At::index(*hour))
            .collect();
        let hashes: Vec<&[u8]> = renewed.iter().map(|(_, slot)| &*slot.hash).collect();
        let parameters =
            params![keys => INT4_ARRAY, times => TIMESTAMPTZ_ARRAY, hashes => BYTEA_ARRAY];
        transaction.execute_typed(RENEW_HASHES, parameters).await?;
        Ok(())
    }
}
