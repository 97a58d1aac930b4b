//! Newest values: the last snapshot of each station.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use jiff::Timestamp;
use smartem_model::StationId;
use smartem_model::raw::RawRecord;

use super::convert::{joined, split};
use super::fault::Fault;
use super::series::{StationSeries, terms_of};
use super::sql::{At, attempt, params, tried};
use super::{Kind, Postgres, next_change, quarantine, station_rows};
use crate::prepared::{Content, Newcomer, PreparedLast};
use crate::sqlite::blocking;
use crate::{LastIntake, LastItem, LastReport, Stage, StoreError, codec};

const STORED: &str = "SELECT station_key, time, time_ns, content_hash FROM smartem_raw.raw_snapshot
    WHERE station_key = ANY($1)";

/// The newest snapshot of a station, in place of the one before.
const PUT: &str = "INSERT INTO smartem_raw.raw_snapshot
       (station_key, time, time_ns, source, received_at, content_hash, payload, lon, lat, alt)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (station_key) DO UPDATE SET time = excluded.time, time_ns = excluded.time_ns,
       source = excluded.source, received_at = excluded.received_at,
       content_hash = excluded.content_hash, payload = excluded.payload, lon = excluded.lon,
       lat = excluded.lat, alt = excluded.alt";

const LAST_SAMPLE: &str = "SELECT r.time, r.time_ns, r.payload
    FROM smartem_raw.raw_snapshot r JOIN smartem.station s ON s.key = r.station_key WHERE s.id = $1";

impl Postgres {
    pub(crate) async fn take_in_last(
        self: &Arc<Self>,
        intake: LastIntake,
    ) -> Result<LastReport, StoreError> {
        const ACTION: &str = "taking in newest values";
        let prepared = blocking(ACTION, move || PreparedLast::new(intake)).await?;
        let items = prepared.intake.items.iter();
        let observations = items.flat_map(|item| &item.observations);
        let terms = terms_of(observations).chain([prepared.intake.source.as_str()]);
        let terms: BTreeSet<&str> = terms.collect();
        tried!(self, ACTION, self.ensure_terms(&terms).await)?;
        attempt!(self, ACTION, Kind::Write, |transaction| {
            let source = self.terms.key(&prepared.intake.source)?;
            take_in(&transaction, &prepared, source).await
        })
    }

    pub(crate) async fn last_sample(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<Option<(Timestamp, RawRecord)>, StoreError> {
        const ACTION: &str = "reading the newest snapshot";
        let row = attempt!(self, ACTION, Kind::Read, |transaction| {
            let id = station.as_str();
            let row = transaction
                .query_typed_opt(LAST_SAMPLE, params![id => TEXT])
                .await?;
            let Some(row) = row else { return Ok(None) };
            let time = joined(row.try_get(0)?, row.try_get(1)?)?;
            Ok(Some((time, row.try_get::<_, Vec<u8>>(2)?)))
        })?;
        let Some((time, payload)) = row else {
            return Ok(None);
        };
        let record =
            codec::decode_record(&payload).map_err(|source| StoreError::DamagedRecord {
                station,
                time: time.to_string(),
                source,
            })?;
        Ok(Some((time, record)))
    }
}

async fn take_in(
    transaction: &Transaction<'_>,
    prepared: &PreparedLast,
    source: i32,
) -> Result<LastReport, Fault> {
    let intake = &prepared.intake;
    let mut report = LastReport::default();
    let newcomer = |item| newcomer(intake, item);
    let newcomers: Vec<Newcomer<'_>> = intake.items.iter().map(newcomer).collect();
    let ensured = station_rows::ensure(transaction, &newcomers).await?;
    let mut stored = stored(transaction, &ensured.keys).await?;
    for ((item, content), key) in intake
        .items
        .iter()
        .zip(&prepared.contents)
        .zip(&ensured.keys)
    {
        match compare(stored.get(key), item, content) {
            Age::Older => report.older += 1,
            Age::Same => report.unchanged += 1,
            Age::Newer => {
                report.stored += 1;
                store(transaction, *key, item, content, (source, intake.now)).await?;
                stored.insert(*key, (item.time, content.hash.to_vec()));
            }
        }
    }
    let places: Vec<&str> = intake
        .items
        .iter()
        .map(|item| item.place.as_str())
        .collect();
    let (process, from, now) = (&intake.process, &intake.source, intake.now);
    if !places.is_empty() {
        report.resolved =
            quarantine::resolve(transaction, Stage::Harvest, process, from, &places, now).await?;
    }
    for entry in &prepared.quarantined {
        let opened = quarantine::put(transaction, entry, process, from, now).await?;
        report.quarantined_new += u64::from(opened);
    }
    if ensured.changed || report.stored > 0 {
        next_change(transaction).await?;
    }
    Ok(report)
}

fn newcomer<'a>(intake: &'a LastIntake, item: &'a LastItem) -> Newcomer<'a> {
    Newcomer {
        station: &item.record.station,
        station_type: &item.record.station_type,
        hour: None,
        network: &intake.network,
        project: intake.project.as_deref(),
        now: intake.now,
    }
}

/// Time and hash of the stored snapshots of stations.
async fn stored(
    transaction: &Transaction<'_>,
    keys: &[i32],
) -> Result<HashMap<i32, (Timestamp, Vec<u8>)>, Fault> {
    let rows = transaction
        .query_typed(STORED, params![keys => INT4_ARRAY])
        .await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in rows {
        let time = joined(row.try_get(1)?, row.try_get(2)?)?;
        stored.insert(row.try_get(0)?, (time, row.try_get(3)?));
    }
    Ok(stored)
}

enum Age {
    Older,
    Same,
    /// Of a later time, or of the same time with another content.
    Newer,
}

fn compare(stored: Option<&(Timestamp, Vec<u8>)>, item: &LastItem, content: &Content) -> Age {
    match stored {
        Some((time, _)) if *time > item.time => Age::Older,
        Some((time, hash)) if *time == item.time && *hash == content.hash => Age::Same,
        _ => Age::Newer,
    }
}

async fn store(
    transaction: &Transaction<'_>,
    station_key: i32,
    item: &LastItem,
    content: &Content,
    (source, now): (i32, Timestamp),
) -> Result<(), Fault> {
    // All observations of a record are of one place.
    let location = item.observations.first().map(|first| first.location);
    let (time, nanoseconds) = split(item.time);
    let (hash, payload) = (&content.hash[..], &content.payload[..]);
    let (lon, lat) = location
        .map(|location| (location.lon, location.lat))
        .unzip();
    let alt = location.and_then(|location| location.alt);
    transaction
        .execute_typed(
            PUT,
            params![station_key => INT4, time => TIMESTAMPTZ, nanoseconds => INT2, source => INT4,
                At::time(now) => TIMESTAMPTZ, hash => BYTEA, payload => BYTEA, lon => FLOAT8,
                lat => FLOAT8, alt => FLOAT8],
        )
        .await?;
    StationSeries::load(transaction, station_key)
        .await?
        .note_snapshot(transaction, &item.observations)
        .await
}
