//! What was computed elsewhere and is taken over.

use std::collections::BTreeSet;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::try_join;
use jiff::Timestamp;
use smartem_model::{Flag, Hour};

use super::commit::put_hours;
use super::convert::{flag_bits, text};
use super::fault::Fault;
use super::location::{self, Positioned};
use super::series::{StationSeries, terms_of};
use super::sql::{At, attempt, params, tried};
use super::{Kind, Postgres, intake, next_change, quarantine, station_rows};
use crate::imported::{ImportedStation, Plan, StoredHours};
use crate::prepared::{Newcomer, PreparedQuarantine, all_quarantined};
use crate::sqlite::blocking;
use crate::{ImportReport, ImportedHours, ImportedModel, RefinedHour, StoreError};

const REFINED: &str = "SELECT hour FROM smartem_refined.station_hour
    WHERE station_key = $1 AND hour = ANY($2)";

/// Imported observations of some hours; the bounds keep the partitions apart that have none.
const IMPORTED: &str = "SELECT s.indicator, s.sensor, s.unit, o.start_time
    FROM smartem_refined.series s JOIN smartem_refined.observation o ON o.series_key = s.key
    WHERE s.station_key = $1 AND o.start_time = ANY($2) AND o.start_time >= $3 AND o.start_time <= $4
      AND o.flags & $5 <> 0";

const ADD_MODELS: &str = "INSERT INTO smartem_calibrated.imported_model (source, id, parameters,
       model, input_order, predicts, score, n, invalid, made_at, imported_at)
    SELECT w.*, $11 FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::text[],
       $6::text[], $7::float8[], $8::bigint[], $9::bool[], $10::timestamptz[]) AS w
    ON CONFLICT (source, id) DO NOTHING";

impl Postgres {
    pub(crate) async fn import_observations(
        self: &Arc<Self>,
        mut import: ImportedHours,
    ) -> Result<ImportReport, StoreError> {
        const ACTION: &str = "importing observations";
        import.check()?;
        let quarantined = std::mem::take(&mut import.quarantined);
        let quarantined = blocking(ACTION, || all_quarantined(quarantined)).await?;
        let hours = import.stations.iter().flat_map(|station| &station.hours);
        let observations = hours.clone().flat_map(|hour| &hour.observations);
        let terms: BTreeSet<&str> = terms_of(observations).collect();
        let hours: Vec<Hour> = hours.map(|hour| hour.hour).collect();
        tried!(self, ACTION, {
            self.ensure_terms(&terms).await?;
            self.ensure_months(&hours).await
        })?;
        attempt!(self, ACTION, Kind::Write, |transaction| {
            store(self, &transaction, &import, &quarantined).await
        })
    }

    pub(crate) async fn import_models(
        self: &Arc<Self>,
        models: Vec<ImportedModel>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        attempt!(self, "importing models", Kind::Write, |transaction| {
            add_models(&transaction, &models, At::time(now)).await
        })
    }
}

async fn store(
    database: &Postgres,
    transaction: &Transaction<'_>,
    import: &ImportedHours,
    quarantined: &[PreparedQuarantine],
) -> Result<ImportReport, Fault> {
    let mut report = ImportReport::default();
    let newcomers: Vec<Newcomer<'_>> = import
        .stations
        .iter()
        .map(|station| newcomer(import, station))
        .collect();
    let ensured = station_rows::ensure(transaction, &newcomers).await?;
    let mut written = Vec::new();
    for (station, key) in import.stations.iter().zip(&ensured.keys) {
        let plan = station.plan(stored(transaction, *key, station).await?);
        report.stations.push(plan.counts);
        if !plan.hours.is_empty() {
            write(database, transaction, *key, &plan, import.move_m).await?;
            written.push((*key, plan.hours));
        }
    }
    let (process, source) = (&import.process, &import.source);
    for entry in quarantined {
        let opened = quarantine::put(transaction, entry, process, source, import.now).await?;
        report.quarantined_new += u64::from(opened);
    }
    let (positions, now) = (import.positions(&report), At::time(import.now));
    intake::put_positions(transaction, (process, source), &positions, now).await?;
    if ensured.changed || !written.is_empty() {
        next_change(transaction).await?;
    }
    for (key, hours) in &written {
        let hours: Vec<&RefinedHour> = hours.iter().collect();
        put_hours(transaction, *key, &hours).await?;
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

async fn stored(
    transaction: &Transaction<'_>,
    station_key: i32,
    station: &ImportedStation,
) -> Result<StoredHours, Fault> {
    let mut stored = StoredHours::default();
    let hours: Vec<At> = station.hours.iter().map(|it| At::hour(it.hour)).collect();
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else {
        return Ok(stored);
    };
    // Few bits are in use.
    let bit = i16::try_from(flag_bits(&[Flag::Imported])).unwrap_or_default();
    let of_hours = params![station_key => INT4, hours => TIMESTAMPTZ_ARRAY];
    let between = params![station_key => INT4, hours => TIMESTAMPTZ_ARRAY, first => TIMESTAMPTZ,
        last => TIMESTAMPTZ, bit => INT2];
    let (refined, imported) = try_join!(
        transaction.query_typed(REFINED, of_hours),
        transaction.query_typed(IMPORTED, between),
    )?;
    for row in refined {
        stored.refined.insert(row.try_get::<_, At>(0)?.to_hour()?);
    }
    for row in imported {
        let text =
            |at: usize| -> Result<Arc<str>, Fault> { Ok(row.try_get::<_, String>(at)?.into()) };
        let hour = row.try_get::<_, At>(3)?.to_hour()?;
        let identity = (text(0)?, text(1)?, text(2)?);
        stored.imported.entry(hour).or_default().insert(identity);
    }
    Ok(stored)
}

/// All but the hours themselves, which have the number of the change.
async fn write(
    database: &Postgres,
    transaction: &Transaction<'_>,
    station_key: i32,
    plan: &Plan<'_>,
    move_m: f64,
) -> Result<(), Fault> {
    let (Some(first), Some(last)) = (plan.hours.first(), plan.hours.last()) else {
        return Ok(());
    };
    let range = (first.hour, last.hour);
    let mut series = StationSeries::load(transaction, station_key).await?;
    series
        .replace(transaction, &database.terms, &[], &plan.observations)
        .await?;
    let own: Vec<Positioned> = plan.hours.iter().map(Positioned::of).collect();
    location::update(transaction, station_key, range, &own, move_m).await?;
    Ok(())
}

async fn add_models(
    transaction: &Transaction<'_>,
    models: &[ImportedModel],
    now: At,
) -> Result<u64, Fault> {
    let all = || models.iter();
    let sources: Vec<&str> = all().map(|it| it.source.as_str()).collect();
    let ids: Vec<i64> = all().map(|it| it.id).collect();
    let parameters: Vec<_> = all().map(|it| it.parameters.as_deref().map(text)).collect();
    let contents: Vec<&[u8]> = all().map(|it| it.model.as_slice()).collect();
    let orders: Vec<_> = all()
        .map(|it| it.input_order.as_deref().map(text))
        .collect();
    let gases: Vec<_> = all().map(|it| text(&it.predicts)).collect();
    let scores: Vec<Option<f64>> = all().map(|it| it.score).collect();
    let counts: Vec<Option<i64>> = all().map(|it| it.n).collect();
    let invalid: Vec<bool> = all().map(|it| it.invalid).collect();
    let made: Vec<Option<At>> = all().map(|it| it.made_at.map(At::time)).collect();
    let parameters = params![sources => TEXT_ARRAY, ids => INT8_ARRAY, parameters => TEXT_ARRAY,
        contents => BYTEA_ARRAY, orders => TEXT_ARRAY, gases => TEXT_ARRAY, scores => FLOAT8_ARRAY,
        counts => INT8_ARRAY, invalid => BOOL_ARRAY, made => TIMESTAMPTZ_ARRAY, now => TIMESTAMPTZ];
    Ok(transaction.execute_typed(ADD_MODELS, parameters).await?)
}
