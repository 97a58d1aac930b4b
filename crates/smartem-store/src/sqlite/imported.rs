//! What was computed elsewhere and is taken over.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use smartem_model::Flag;

use super::commit::put_hour;
use super::convert::{flag_bits, micros};
use super::fault::Fault;
use super::intake::PUT_CHECKPOINT;
use super::series::SeriesWriter;
use super::{Sqlite, add_to_meta, blocking, location, note_change, quarantine, stations};
use crate::imported::{ImportedStation, Plan, StoredHours};
use crate::prepared::{Newcomer, PreparedQuarantine, all_quarantined};
use crate::{ImportReport, ImportedHours, ImportedModel, StoreError};

/// The imported observations of an hour.
const IMPORTED: &str = "SELECT s.indicator, s.sensor, s.unit FROM series s
    JOIN observation o ON o.series_key = s.key AND o.start_time = ?2
    WHERE s.station_key = ?1 AND o.flags & ?3 <> 0";

const ADD_MODEL: &str = "INSERT OR IGNORE INTO imported_model (source, id, parameters, model,
       input_order, predicts, score, n, invalid, made_at, imported_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

impl Sqlite {
    pub(crate) async fn import_observations(
        self: &Arc<Self>,
        mut import: ImportedHours,
    ) -> Result<ImportReport, StoreError> {
        const ACTION: &str = "importing observations";
        import.check()?;
        let quarantined = std::mem::take(&mut import.quarantined);
        let quarantined = blocking(ACTION, || all_quarantined(quarantined)).await?;
        self.write(ACTION, move |transaction| {
            store(transaction, &import, &quarantined)
        })
        .await
    }

    pub(crate) async fn import_models(
        self: &Arc<Self>,
        models: Vec<ImportedModel>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.write("importing models", move |transaction| {
            let mut added = 0;
            for it in &models {
                added += transaction.prepare_cached(ADD_MODEL)?.execute(params![
                    it.source,
                    it.id,
                    it.parameters,
                    it.model,
                    it.input_order,
                    it.predicts,
                    it.score,
                    it.n,
                    it.invalid,
                    it.made_at.map(micros),
                    micros(now),
                ])?;
            }
            Ok(added as u64)
        })
        .await
    }
}

fn store(
    transaction: &Transaction<'_>,
    import: &ImportedHours,
    quarantined: &[PreparedQuarantine],
) -> Result<ImportReport, Fault> {
    let mut report = ImportReport::default();
    let mut changed = false;
    for station in &import.stations {
        let newcomer = newcomer(import, station);
        let station_key = stations::ensure(transaction, &newcomer)?;
        let plan = station.plan(stored(transaction, station_key, station)?);
        changed |= write(transaction, station_key, &plan, import.move_m)?;
        report.stations.push(plan.counts);
    }
    for entry in quarantined {
        let (process, source) = (&import.process, &import.source);
        let opened = quarantine::put(transaction, entry, process, source, import.now)?;
        report.quarantined_new += u64::from(opened);
    }
    for (partition, position) in import.positions(&report) {
        let at = micros(import.now);
        transaction
            .prepare_cached(PUT_CHECKPOINT)?
            .execute(params![
                import.process,
                import.source,
                partition,
                position,
                at
            ])?;
    }
    if changed {
        note_change(transaction)?;
    }
    Ok(report)
}

fn newcomer<'a>(import: &'a ImportedHours, station: &'a ImportedStation) -> Newcomer<'a> {
    Newcomer {
        station: &station.id,
        station_type: &station.station_type,
        hour: station.hours.last().map(|it| it.hour),
        network: &import.network,
        project: None,
        now: import.now,
    }
}

fn stored(
    transaction: &Transaction<'_>,
    station_key: i64,
    station: &ImportedStation,
) -> Result<StoredHours, Fault> {
    let mut stored = StoredHours::default();
    let mut refined = transaction
        .prepare_cached("SELECT 1 FROM station_hour WHERE station_key = ?1 AND hour = ?2")?;
    let mut imported = transaction.prepare_cached(IMPORTED)?;
    let bit = flag_bits(&[Flag::Imported]);
    for hour in station.hours.iter().map(|it| it.hour) {
        if !refined.exists((station_key, hour.index()))? {
            continue;
        }
        stored.refined.insert(hour);
        let mut rows = imported.query((station_key, micros(hour.period().start), bit))?;
        while let Some(row) = rows.next()? {
            let identity = (row.get(0)?, row.get(1)?, row.get(2)?);
            stored.imported.entry(hour).or_default().insert(identity);
        }
    }
    Ok(stored)
}

/// Whether anything was.
fn write(
    transaction: &Transaction<'_>,
    station_key: i64,
    plan: &Plan<'_>,
    move_m: f64,
) -> Result<bool, Fault> {
    let (Some(first), Some(last)) = (plan.hours.first(), plan.hours.last()) else {
        return Ok(false);
    };
    let mut series = SeriesWriter::new(transaction, station_key)?;
    for observation in &plan.observations {
        series.add(observation)?;
    }
    add_to_meta(transaction, "observations", series.finish()?)?;
    for hour in &plan.hours {
        put_hour(transaction, station_key, hour)?;
    }
    location::update(transaction, station_key, (first.hour, last.hour), move_m)?;
    Ok(true)
}
