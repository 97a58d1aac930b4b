//! Refined hours given back to the store.

use rusqlite::{OptionalExtension, Transaction, params};
use smartem_model::{Hour, StationId};

use super::convert::source_name;
use super::fault::Fault;
use super::quarantine;
use super::series::SeriesWriter;
use super::{Sqlite, add_to_meta, location, note_change, stations, this_change};
use crate::prepared::PreparedQuarantine;
use crate::{CommitRefined, CommitReport, RefinedHour, Stage, StoreError};

/// What is stored of an hour; without a state it was never refined.
const STORED_HOUR: &str = "SELECT r.revision, h.state, h.quarantine_reason IS NOT NULL
    FROM raw_record r
    LEFT JOIN station_hour h ON h.station_key = r.station_key AND h.hour = r.hour
    WHERE r.station_key = ?1 AND r.hour = ?2";

/// What an hour gave, in place of what it gave before.
const PUT_HOUR: &str = "INSERT OR REPLACE INTO station_hour (station_key, hour, state, rejections,
       quarantine_reason, quarantine_detail, lon, lat, alt, location_source,
       station_altitude, change)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// The source of quarantine entries of refining.
const SOURCE: &str = "store";

impl Sqlite {
    pub(crate) async fn commit_refined(
        &self,
        commit: CommitRefined,
    ) -> Result<CommitReport, StoreError> {
        commit.check()?;
        self.write("committing refined hours", move |transaction| {
            store(transaction, &commit)
        })
        .await
    }
}

fn store(transaction: &Transaction<'_>, commit: &CommitRefined) -> Result<CommitReport, Fault> {
    let mut report = CommitReport::default();
    let Some(station_key) = stations::key_of(transaction, &commit.station)? else {
        return Err(StoreError::UnknownStation {
            action: "committing refined hours",
            station: commit.station.clone(),
        }
        .into());
    };
    let mut series = SeriesWriter::new(transaction, station_key)?;
    let mut committed: Option<(Hour, Hour)> = None;
    // The last committed hour, when it hands on another state than before.
    let mut handed_on: Option<Hour> = None;
    for (at, refined) in commit.hours.iter().enumerate() {
        let stored = stored(transaction, station_key, refined.hour)?;
        let Some(stored) = stored.filter(|stored| stored.revision == refined.revision) else {
            // The hours after it took their state from it: they are left as well.
            report.stale = (commit.hours.len() - at) as u64;
            break;
        };
        if let Some(before) = handed_on.take() {
            report.marked += mark_next(transaction, station_key, before, Some(refined.hour))?;
        }
        if stored.state.is_some() {
            series.clear(refined.hour)?;
        }
        for observation in &refined.observations {
            series.add(observation)?;
        }
        put_hour(transaction, station_key, refined)?;
        settle(transaction, station_key, refined.hour)?;
        settle_quarantine(transaction, commit, refined, &stored, &mut report)?;
        if stored.state.as_deref() != Some(&refined.state) {
            handed_on = Some(refined.hour);
        }
        report.committed += 1;
        report.observations += refined.observations.len() as u64;
        committed = Some((
            committed.map_or(refined.hour, |(first, _)| first),
            refined.hour,
        ));
    }
    if let Some(before) = handed_on {
        report.marked += mark_next(transaction, station_key, before, None)?;
    }
    if let Some(hours) = committed {
        let more = series.finish()?;
        add_to_meta(transaction, "observations", more)?;
        report.marked += location::update(transaction, station_key, hours, commit.move_m)?;
        note_change(transaction)?;
    }
    Ok(report)
}

/// What is stored of an hour.
struct Stored {
    revision: i64,
    /// `None` before it was refined for the first time.
    state: Option<String>,
    is_quarantined: bool,
}

fn stored(
    transaction: &Transaction<'_>,
    station_key: i64,
    hour: Hour,
) -> rusqlite::Result<Option<Stored>> {
    transaction
        .prepare_cached(STORED_HOUR)?
        .query_row((station_key, hour.index()), |row| {
            Ok(Stored {
                revision: row.get(0)?,
                state: row.get(1)?,
                is_quarantined: row.get(2)?,
            })
        })
        .optional()
}

/// Marks the stored hour after `hour`, unless it is the one being committed next.
fn mark_next(
    transaction: &Transaction<'_>,
    station_key: i64,
    hour: Hour,
    committing: Option<Hour>,
) -> rusqlite::Result<u64> {
    let next: Option<i64> = transaction
        .prepare_cached(
            "SELECT hour FROM raw_record
             WHERE station_key = ?1 AND hour > ?2 ORDER BY hour LIMIT 1",
        )?
        .query_row((station_key, hour.index()), |row| row.get(0))
        .optional()?;
    let Some(next) = next.filter(|next| committing.map(Hour::index) != Some(*next)) else {
        return Ok(0);
    };
    let marked = transaction
        .prepare_cached(
            "UPDATE raw_record SET dirty = 1, revision = revision + 1
             WHERE station_key = ?1 AND hour = ?2",
        )?
        .execute((station_key, next))?;
    Ok(marked as u64)
}

pub(super) fn put_hour(
    transaction: &Transaction<'_>,
    station_key: i64,
    refined: &RefinedHour,
) -> Result<(), Fault> {
    let rejections = serde_json::to_string(&refined.rejections)
        .map_err(|error| Fault::unknown("the list of rejections", &error))?;
    let (position, source) = refined.position.unzip();
    transaction.prepare_cached(PUT_HOUR)?.execute(params![
        station_key,
        refined.hour.index(),
        refined.state,
        rejections,
        refined.quarantine.as_ref().map(|it| it.reason.as_str()),
        refined.quarantine.as_ref().map(|it| &it.detail),
        position.map(|position| position.lon),
        position.map(|position| position.lat),
        position.and_then(|position| position.alt),
        source.map(source_name),
        refined.station_altitude,
        this_change(transaction)?,
    ])?;
    Ok(())
}

/// Whoever else refined the hour from the same input has to look again.
fn settle(transaction: &Transaction<'_>, station_key: i64, hour: Hour) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE raw_record SET dirty = 0, revision = revision + 1
             WHERE station_key = ?1 AND hour = ?2",
        )?
        .execute((station_key, hour.index()))?;
    Ok(())
}

fn settle_quarantine(
    transaction: &Transaction<'_>,
    commit: &CommitRefined,
    refined: &RefinedHour,
    stored: &Stored,
    report: &mut CommitReport,
) -> rusqlite::Result<()> {
    if let Some(quarantine) = &refined.quarantine {
        let entry = PreparedQuarantine {
            stage: Stage::Refine,
            station: Some(commit.station.clone()),
            place: place(&commit.station, refined.hour),
            reason: quarantine.reason,
            detail: quarantine.detail.clone(),
            body: None,
        };
        let opened = quarantine::put(transaction, &entry, &commit.process, SOURCE, commit.now)?;
        report.quarantined_new += u64::from(opened);
    } else if stored.is_quarantined {
        let place = place(&commit.station, refined.hour);
        let (process, now) = (&commit.process, commit.now);
        let resolved =
            quarantine::resolve(transaction, Stage::Refine, process, SOURCE, &place, now)?;
        report.resolved += u64::from(resolved);
    }
    Ok(())
}

fn place(station: &StationId, hour: Hour) -> String {
    format!("{station} {hour}")
}
