//! Stations: known by their first record, shown with their newest values.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use smartem_model::{Hour, Period, Position, StationId};

use super::convert::{flags, micros, optional_time, parsed_time, position, station_id, to_count};
use super::fault::Fault;
use super::{Sqlite, note_change, work};
use crate::prepared::Newcomer;
use crate::{LastValue, StationRow, StationView, StoreError};

/// Stations with the extent of their observations.
const VIEWS: &str = "SELECT key, id, name, network, project, station_type, cadence_s,
       (SELECT min(first_time) FROM series WHERE station_key = station.key),
       (SELECT max(last_time) FROM series WHERE station_key = station.key),
       (SELECT coalesce(sum(observations), 0) FROM series WHERE station_key = station.key)
    FROM station WHERE ?1 IS NULL OR key = ?1 ORDER BY id";

/// The newest value of each series.
const LAST_VALUES: &str = "SELECT s.station_key, s.indicator, s.sensor, s.label, s.unit,
       l.start_time, l.end_time, l.value, l.flags, l.from_snapshot
    FROM series s JOIN last_value l ON l.series_key = s.key
    WHERE ?1 IS NULL OR s.station_key = ?1
    ORDER BY s.station_key, s.indicator, s.sensor, s.unit";

impl Sqlite {
    pub(crate) async fn stations(self: &Arc<Self>) -> Result<Vec<StationView>, StoreError> {
        self.read("listing the stations", |transaction| {
            views(transaction, None)
        })
        .await
    }

    pub(crate) async fn station(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<Option<StationView>, StoreError> {
        self.read("reading a station", move |transaction| {
            match key_of(transaction, &station)? {
                Some(key) => Ok(views(transaction, Some(key))?.pop()),
                None => Ok(None),
            }
        })
        .await
    }

    pub(crate) async fn describe_station(
        &self,
        station: StationId,
        name: Option<String>,
        cadence_s: Option<f64>,
    ) -> Result<(), StoreError> {
        const ACTION: &str = "describing a station";
        self.write(ACTION, move |transaction| {
            let Some(key) = key_of(transaction, &station)? else {
                return Err(StoreError::UnknownStation {
                    action: ACTION,
                    station,
                }
                .into());
            };
            let before: Option<f64> = transaction.query_row(
                "SELECT cadence_s FROM station WHERE key = ?1",
                [key],
                |row| row.get(0),
            )?;
            transaction.execute(
                "UPDATE station SET name = coalesce(?2, name), cadence_s = coalesce(?3, cadence_s)
                 WHERE key = ?1",
                params![key, name, cadence_s],
            )?;
            if cadence_s.is_some() && cadence_s != before {
                // The coverage of every hour depends on it.
                work::mark(transaction, Some(key), (None, None))?;
            }
            note_change(transaction)?;
            Ok(())
        })
        .await
    }
}

pub(super) fn key_of(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> rusqlite::Result<Option<i64>> {
    transaction
        .prepare_cached("SELECT key FROM station WHERE id = ?1")?
        .query_row([station.as_str()], |row| row.get(0))
        .optional()
}

/// The key of a station, which is made when it is unknown.
///
/// Its type is that of its newest hour, its project the first that was told.
pub(super) fn ensure(
    transaction: &Transaction<'_>,
    newcomer: &Newcomer<'_>,
) -> rusqlite::Result<i64> {
    let known: Option<(i64, bool, bool)> = transaction
        .prepare_cached(
            "SELECT key, station_type = ?2, project IS NOT NULL FROM station WHERE id = ?1",
        )?
        .query_row((newcomer.station.as_str(), newcomer.station_type), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((key, same_type, has_project)) = known else {
        transaction.execute(
            "INSERT INTO station (id, station_type, network, project, first_seen)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                newcomer.station.as_str(),
                newcomer.station_type,
                newcomer.network,
                newcomer.project,
                micros(newcomer.now),
            ],
        )?;
        return Ok(transaction.last_insert_rowid());
    };
    if !same_type && is_newest(transaction, key, newcomer.hour)? {
        transaction.execute(
            "UPDATE station SET station_type = ?2 WHERE key = ?1",
            params![key, newcomer.station_type],
        )?;
        note_change(transaction)?;
    }
    if !has_project && newcomer.project.is_some() {
        transaction.execute(
            "UPDATE station SET project = ?2 WHERE key = ?1",
            params![key, newcomer.project],
        )?;
        note_change(transaction)?;
    }
    Ok(key)
}

/// Whether no hour after this one is stored; a snapshot only counts where there is no hour at all.
fn is_newest(
    transaction: &Transaction<'_>,
    station_key: i64,
    hour: Option<Hour>,
) -> rusqlite::Result<bool> {
    let newest: Option<i64> = transaction
        .prepare_cached("SELECT max(hour) FROM raw_record WHERE station_key = ?1")?
        .query_row([station_key], |row| row.get(0))?;
    Ok(match (newest, hour) {
        (None, _) => true,
        (Some(newest), Some(hour)) => hour.index() >= newest,
        (Some(_), None) => false,
    })
}

/// A station as it is kept, with its key.
pub(super) fn row_of(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> rusqlite::Result<Option<(i64, StationRow)>> {
    transaction
        .prepare_cached(
            "SELECT key, station_type, network, project, name, cadence_s
             FROM station WHERE id = ?1",
        )?
        .query_row([station.as_str()], |row| {
            let found = StationRow {
                id: station.clone(),
                station_type: row.get(1)?,
                network: row.get(2)?,
                project: row.get(3)?,
                name: row.get(4)?,
                cadence_s: row.get(5)?,
            };
            Ok((row.get(0)?, found))
        })
        .optional()
}

/// All stations by id, or the one of this key.
fn views(transaction: &Transaction<'_>, only: Option<i64>) -> Result<Vec<StationView>, Fault> {
    let mut locations = locations(transaction, only)?;
    let mut last = last_values(transaction, only)?;
    let mut statement = transaction.prepare_cached(VIEWS)?;
    let mut rows = statement.query([only])?;
    let mut views = Vec::new();
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        views.push(StationView {
            id: station_id(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
            name: row.get(2)?,
            network: row.get(3)?,
            project: row.get(4)?,
            station_type: row.get(5)?,
            cadence_s: row.get(6)?,
            location: locations.remove(&key),
            last: last.remove(&key).unwrap_or_default(),
            observations: to_count(row.get(9)?),
            first_time: optional_time(row.get(7)?)?,
            last_time: optional_time(row.get(8)?)?,
        });
    }
    Ok(views)
}

/// The newest location of each station, else the declared one, else that of its newest snapshot.
fn locations(
    transaction: &Transaction<'_>,
    only: Option<i64>,
) -> Result<HashMap<i64, Position>, Fault> {
    // With max() the other columns are those of the row that has it.
    const SNAPSHOTS: &str = "SELECT station_key, lon, lat, alt FROM raw_snapshot
        WHERE lon IS NOT NULL AND (?1 IS NULL OR station_key = ?1)";
    const DECLARED: &str = "SELECT key, declared_lon, declared_lat, declared_alt FROM station
        WHERE declared_lon IS NOT NULL AND (?1 IS NULL OR key = ?1)";
    const TRACKS: &str = "SELECT station_key, lon, lat, alt, max(valid_from) FROM location
        WHERE ?1 IS NULL OR station_key = ?1 GROUP BY station_key";
    let mut locations = HashMap::new();
    for sql in [SNAPSHOTS, DECLARED, TRACKS] {
        let mut statement = transaction.prepare_cached(sql)?;
        let mut rows = statement.query([only])?;
        while let Some(row) = rows.next()? {
            if let Some(found) = position(row, 1)? {
                locations.insert(row.get(0)?, found);
            }
        }
    }
    Ok(locations)
}

fn last_values(
    transaction: &Transaction<'_>,
    only: Option<i64>,
) -> Result<HashMap<i64, Vec<LastValue>>, Fault> {
    let mut statement = transaction.prepare_cached(LAST_VALUES)?;
    let mut rows = statement.query([only])?;
    // Few different texts for many rows.
    let mut texts = Texts::default();
    let mut values: HashMap<i64, Vec<LastValue>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let value = LastValue {
            indicator: texts.get(row, 1)?,
            sensor: texts.get(row, 2)?,
            label: texts.get(row, 3)?,
            unit: texts.get(row, 4)?,
            period: Period {
                start: parsed_time(&row.get::<_, String>(5)?)?,
                end: parsed_time(&row.get::<_, String>(6)?)?,
            },
            value: row.get(7)?,
            flags: flags(row.get(8)?),
            from_snapshot: row.get(9)?,
        };
        values.entry(row.get(0)?).or_default().push(value);
    }
    Ok(values)
}

/// Texts that are shared by the rows that have them.
#[derive(Default)]
struct Texts(HashMap<Box<str>, Arc<str>>);

impl Texts {
    fn get(&mut self, row: &Row<'_>, at: usize) -> rusqlite::Result<Arc<str>> {
        let text = row.get_ref(at)?.as_str()?;
        if let Some(known) = self.0.get(text) {
            return Ok(Arc::clone(known));
        }
        let shared: Arc<str> = text.into();
        self.0.insert(text.into(), Arc::clone(&shared));
        Ok(shared)
    }
}
