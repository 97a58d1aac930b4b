//! Newest values: the last snapshot of each station.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use smartem_model::StationId;
use smartem_model::raw::RawRecord;

use super::convert::{micros, parsed_time};
use super::fault::Fault;
use super::quarantine;
use super::series::{SeriesWriter, Terms};
use super::stations;
use super::{Sqlite, blocking, note_change};
use crate::codec;
use crate::prepared::{Content, Newcomer, PreparedLast};
use crate::{LastIntake, LastItem, LastReport, Stage, StoreError};

/// The newest snapshot of a station, in place of the one before.
const PUT_SNAPSHOT: &str = "INSERT OR REPLACE INTO raw_snapshot
       (station_key, time, source, received_at, content_hash, payload, lon, lat, alt)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

impl Sqlite {
    pub(crate) async fn take_in_last(&self, intake: LastIntake) -> Result<LastReport, StoreError> {
        const ACTION: &str = "taking in newest values";
        let prepared = blocking(ACTION, move || PreparedLast::new(intake)).await?;
        self.write(ACTION, move |transaction| take_in(transaction, &prepared))
            .await
    }

    pub(crate) async fn last_sample(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<Option<(Timestamp, RawRecord)>, StoreError> {
        self.read("reading the newest snapshot", move |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT r.time, r.payload
                 FROM raw_snapshot r JOIN station s ON s.key = r.station_key WHERE s.id = ?1",
            )?;
            let mut rows = statement.query([station.as_str()])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            let time: String = row.get(0)?;
            let payload = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let record =
                codec::decode_record(payload).map_err(|source| StoreError::DamagedRecord {
                    station: station.clone(),
                    time: time.clone(),
                    source,
                })?;
            Ok(Some((parsed_time(&time)?, record)))
        })
        .await
    }
}

fn take_in(transaction: &Transaction<'_>, prepared: &PreparedLast) -> Result<LastReport, Fault> {
    let intake = &prepared.intake;
    let mut report = LastReport::default();
    let source = Terms::default().key(transaction, &intake.source)?;
    for (item, content) in intake.items.iter().zip(&prepared.contents) {
        let newcomer = Newcomer {
            station: &item.record.station,
            station_type: &item.record.station_type,
            hour: None,
            network: &intake.network,
            project: intake.project.as_deref(),
            now: intake.now,
        };
        let station_key = stations::ensure(transaction, &newcomer)?;
        match compare(transaction, station_key, item, content)? {
            Age::Older => report.older += 1,
            Age::Same => report.unchanged += 1,
            Age::Newer => {
                report.stored += 1;
                store(transaction, station_key, item, content, source, intake.now)?;
            }
        }
        let resolved = quarantine::resolve(
            transaction,
            Stage::Harvest,
            &intake.process,
            &intake.source,
            &item.place,
            intake.now,
        )?;
        report.resolved += u64::from(resolved);
    }
    for quarantined in &prepared.quarantined {
        let opened = quarantine::put(
            transaction,
            quarantined,
            &intake.process,
            &intake.source,
            intake.now,
        )?;
        report.quarantined_new += u64::from(opened);
    }
    if report.stored > 0 {
        note_change(transaction)?;
    }
    Ok(report)
}

enum Age {
    Older,
    Same,
    /// Of a later time, or of the same time with another content.
    Newer,
}

fn compare(
    transaction: &Transaction<'_>,
    station_key: i64,
    item: &LastItem,
    content: &Content,
) -> Result<Age, Fault> {
    let stored: Option<(String, bool)> = transaction
        .prepare_cached("SELECT time, content_hash = ?2 FROM raw_snapshot WHERE station_key = ?1")?
        .query_row((station_key, &content.hash[..]), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((time, same)) = stored else {
        return Ok(Age::Newer);
    };
    let time = parsed_time(&time)?;
    Ok(if time > item.time {
        Age::Older
    } else if time == item.time && same {
        Age::Same
    } else {
        Age::Newer
    })
}

fn store(
    transaction: &Transaction<'_>,
    station_key: i64,
    item: &LastItem,
    content: &Content,
    source: i64,
    now: Timestamp,
) -> Result<(), Fault> {
    // All observations of a record are of one place.
    let location = item.observations.first().map(|first| first.location);
    transaction.prepare_cached(PUT_SNAPSHOT)?.execute(params![
        station_key,
        item.time.to_string(),
        source,
        micros(now),
        &content.hash[..],
        content.payload,
        location.map(|location| location.lon),
        location.map(|location| location.lat),
        location.and_then(|location| location.alt),
    ])?;
    let mut series = SeriesWriter::new(transaction, station_key)?;
    for observation in &item.observations {
        series.note_snapshot(observation)?;
    }
    Ok(())
}
