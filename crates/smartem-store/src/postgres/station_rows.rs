//! Stations as they are kept: known by their first record.

use std::collections::{BTreeMap, HashMap};

use deadpool_postgres::Transaction;
use smartem_model::StationId;

use super::convert::text;
use super::fault::Fault;
use super::sql::{At, params};
use crate::StationRow;
use crate::prepared::Newcomer;

/// Stations by id, locked until the end of the transaction: in the order of keys, as everywhere, so that no
/// two transactions wait for each other.
const LOCK: &str = "SELECT key, id, station_type, project IS NOT NULL FROM smartem.station
    WHERE id = ANY($1) ORDER BY key FOR NO KEY UPDATE";

const ADD: &str = "INSERT INTO smartem.station (id, station_type, network, project, first_seen)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
    ON CONFLICT (id) DO NOTHING";

/// What a station has become: its newest type, its first project.
const UPDATE: &str = "UPDATE smartem.station s SET station_type = w.station_type,
       project = coalesce(s.project, w.project)
    FROM unnest($1::int[], $2::text[], $3::text[]) AS w (key, station_type, project)
    WHERE s.key = w.key";

/// What became of [`ensure`].
pub(super) struct Ensured {
    /// The key of the station of each newcomer.
    pub(super) keys: Vec<i32>,
    /// Whether something that readers see of a known station is different now.
    pub(super) changed: bool,
}

struct Known {
    key: i32,
    station_type: String,
    has_project: bool,
}

/// The keys of stations, which are made where they are unknown; their rows are locked.
///
/// The type of a station is that of its newest hour, its project the first that was told.
pub(super) async fn ensure(
    transaction: &Transaction<'_>,
    newcomers: &[Newcomer<'_>],
) -> Result<Ensured, Fault> {
    let mut by_id: BTreeMap<&str, Vec<&Newcomer<'_>>> = BTreeMap::new();
    for newcomer in newcomers {
        by_id
            .entry(newcomer.station.as_str())
            .or_default()
            .push(newcomer);
    }
    let ids: Vec<&str> = by_id.keys().copied().collect();
    let mut known = locked(transaction, &ids).await?;
    if known.len() < ids.len() {
        let missing = by_id.iter().filter(|(id, _)| !known.contains_key(**id));
        add(transaction, missing.filter_map(|(_, of)| of.first())).await?;
        known = locked(transaction, &ids).await?;
    }
    let changed = update(transaction, &by_id, &known).await?;
    let key = |newcomer: &Newcomer<'_>| {
        let id = newcomer.station.as_str();
        let found = known.get(id).map(|known| known.key);
        found.ok_or_else(|| Fault::unknown("a station without a row", id))
    };
    Ok(Ensured {
        keys: newcomers.iter().map(key).collect::<Result<_, _>>()?,
        changed,
    })
}

async fn locked(
    transaction: &Transaction<'_>,
    ids: &[&str],
) -> Result<HashMap<String, Known>, Fault> {
    let rows = transaction
        .query_typed(LOCK, params![ids => TEXT_ARRAY])
        .await?;
    let mut known = HashMap::with_capacity(rows.len());
    for row in rows {
        let station = Known {
            key: row.try_get(0)?,
            station_type: row.try_get(2)?,
            has_project: row.try_get(3)?,
        };
        known.insert(row.try_get(1)?, station);
    }
    Ok(known)
}

async fn add<'a>(
    transaction: &Transaction<'_>,
    newcomers: impl Iterator<Item = &'a &'a Newcomer<'a>>,
) -> Result<(), Fault> {
    let (mut ids, mut types, mut networks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut projects, mut seen) = (Vec::new(), Vec::new());
    for newcomer in newcomers {
        ids.push(newcomer.station.as_str());
        types.push(newcomer.station_type);
        networks.push(text(newcomer.network));
        projects.push(newcomer.project.map(text));
        seen.push(At::time(newcomer.now));
    }
    transaction
        .execute_typed(
            ADD,
            params![ids => TEXT_ARRAY, types => TEXT_ARRAY, networks => TEXT_ARRAY,
                projects => TEXT_ARRAY, seen => TIMESTAMPTZ_ARRAY],
        )
        .await?;
    Ok(())
}

/// Whether one of them differs from what was known of its station.
async fn update(
    transaction: &Transaction<'_>,
    by_id: &BTreeMap<&str, Vec<&Newcomer<'_>>>,
    known: &HashMap<String, Known>,
) -> Result<bool, Fault> {
    let differing = |known: &Known, newcomer: &Newcomer<'_>| {
        known.station_type != newcomer.station_type
            || (!known.has_project && newcomer.project.is_some())
    };
    let pairs = by_id
        .iter()
        .filter_map(|(id, of)| Some((known.get(*id)?, of)));
    let touched: Vec<_> = pairs
        .filter(|(known, of)| of.iter().any(|newcomer| differing(known, newcomer)))
        .collect();
    if touched.is_empty() {
        return Ok(false);
    }
    let keys: Vec<i32> = touched.iter().map(|(known, _)| known.key).collect();
    let mut newest = newest_hours(transaction, &keys).await?;
    let (mut types, mut projects) = (Vec::new(), Vec::new());
    let mut changed = false;
    for (known, of) in &touched {
        let newest = newest.entry(known.key).or_default();
        let mut station_type = known.station_type.as_str();
        for newcomer in *of {
            let hour = newcomer.hour.map(smartem_model::Hour::index);
            // A snapshot only counts where there is no hour at all.
            let is_newest = match (*newest, hour) {
                (None, _) => true,
                (Some(newest), Some(hour)) => hour >= newest,
                (Some(_), None) => false,
            };
            if is_newest {
                station_type = newcomer.station_type;
            }
            *newest = (*newest).max(hour);
        }
        let project = of.iter().find_map(|newcomer| newcomer.project);
        changed |= station_type != known.station_type;
        changed |= !known.has_project && project.is_some();
        types.push(station_type);
        projects.push(project.map(text));
    }
    if changed {
        transaction
            .execute_typed(
                UPDATE,
                params![keys => INT4_ARRAY, types => TEXT_ARRAY, projects => TEXT_ARRAY],
            )
            .await?;
    }
    Ok(changed)
}

/// The number of the newest stored hour of each station that has one.
async fn newest_hours(
    transaction: &Transaction<'_>,
    keys: &[i32],
) -> Result<HashMap<i32, Option<i64>>, Fault> {
    let sql = "SELECT k, (SELECT max(hour) FROM smartem_raw.raw_record WHERE station_key = k)
        FROM unnest($1::int[]) AS k";
    let rows = transaction
        .query_typed(sql, params![keys => INT4_ARRAY])
        .await?;
    let mut newest = HashMap::new();
    for row in rows {
        let hour: Option<At> = row.try_get(1)?;
        newest.insert(row.try_get(0)?, hour.map(At::to_index));
    }
    Ok(newest)
}

pub(super) async fn key_of(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> Result<Option<i32>, Fault> {
    let id = station.as_str();
    let sql = "SELECT key FROM smartem.station WHERE id = $1";
    let row = transaction
        .query_typed_opt(sql, params![id => TEXT])
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// As [`key_of`], and its row is locked: its hours are going to change.
pub(super) async fn lock(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> Result<Option<i32>, Fault> {
    let id = station.as_str();
    let sql = "SELECT key FROM smartem.station WHERE id = $1 FOR NO KEY UPDATE";
    let row = transaction
        .query_typed_opt(sql, params![id => TEXT])
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// A station as it is kept, with its key.
pub(super) async fn row_of(
    transaction: &Transaction<'_>,
    station: &StationId,
) -> Result<Option<(i32, StationRow)>, Fault> {
    let id = station.as_str();
    let sql = "SELECT key, station_type, network, project, name, cadence_s
        FROM smartem.station WHERE id = $1";
    let row = transaction
        .query_typed_opt(sql, params![id => TEXT])
        .await?;
    let Some(row) = row else { return Ok(None) };
    let optional = |at: usize| -> Result<Option<std::sync::Arc<str>>, Fault> {
        Ok(row.try_get::<_, Option<String>>(at)?.map(Into::into))
    };
    let found = StationRow {
        id: station.clone(),
        station_type: row.try_get::<_, String>(1)?.into(),
        network: row.try_get::<_, String>(2)?.into(),
        project: optional(3)?,
        name: optional(4)?,
        cadence_s: row.try_get(5)?,
    };
    Ok(Some((row.try_get(0)?, found)))
}
