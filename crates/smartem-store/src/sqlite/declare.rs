//! What an operator says of a station.

use rusqlite::{Transaction, params};
use smartem_model::Position;

use super::convert::position;
use super::fault::Fault;
use super::stations;
use super::{Sqlite, location, note_change, work};
use crate::prepared::Newcomer;
use crate::{Declared, IMPORT_NETWORK, StationDeclaration, StoreError};

/// What is said, beside what was.
const DECLARE: &str = "UPDATE station SET station_type = ?2, name = coalesce(?3, name),
       network = coalesce(?4, network), project = coalesce(?5, project),
       cadence_s = coalesce(?6, cadence_s),
       declared_lon = coalesce(?7, declared_lon), declared_lat = coalesce(?8, declared_lat),
       declared_alt = CASE WHEN ?7 IS NULL THEN declared_alt ELSE ?9 END
    WHERE key = ?1";

impl Sqlite {
    pub(crate) async fn declare_station(
        &self,
        declaration: StationDeclaration,
    ) -> Result<Declared, StoreError> {
        self.write("declaring a station", move |transaction| {
            declare(transaction, &declaration)
        })
        .await
    }
}

fn declare(
    transaction: &Transaction<'_>,
    declaration: &StationDeclaration,
) -> Result<Declared, Fault> {
    let known = stations::row_of(transaction, &declaration.id)?;
    let mut declared = Declared {
        is_new: known.is_none(),
        ..Declared::default()
    };
    let (key, cadence_before) = match known {
        Some((key, row)) => {
            let is_other = *row.station_type != *declaration.station_type;
            if is_other && has_hours(transaction, key)? {
                return Err(StoreError::OtherStationType {
                    station: declaration.id.clone(),
                    declared: declaration.station_type.clone(),
                    stored: row.station_type,
                }
                .into());
            }
            (key, row.cadence_s)
        }
        None => (add(transaction, declaration)?, None),
    };
    let location_before = declared_position(transaction, key)?;
    let place = declaration.location;
    transaction.execute(
        DECLARE,
        params![
            key,
            declaration.station_type,
            declaration.name,
            declaration.network,
            declaration.project,
            declaration.cadence_s,
            place.map(|place| place.lon),
            place.map(|place| place.lat),
            place.and_then(|place| place.alt),
        ],
    )?;
    if place.is_some() && place != location_before {
        declared.marked = location::redeclared(transaction, key, declaration.move_m)?;
    }
    if declaration.cadence_s.is_some() && declaration.cadence_s != cadence_before {
        // The coverage of every hour depends on it.
        declared.marked = work::mark(transaction, Some(key), (None, None))?;
    }
    note_change(transaction)?;
    Ok(declared)
}

fn add(transaction: &Transaction<'_>, declaration: &StationDeclaration) -> rusqlite::Result<i64> {
    stations::ensure(
        transaction,
        &Newcomer {
            station: &declaration.id,
            station_type: &declaration.station_type,
            hour: None,
            network: declaration.network.as_deref().unwrap_or(IMPORT_NETWORK),
            project: declaration.project.as_deref(),
            now: declaration.now,
        },
    )
}

fn has_hours(transaction: &Transaction<'_>, station_key: i64) -> rusqlite::Result<bool> {
    transaction
        .prepare_cached("SELECT 1 FROM raw_record WHERE station_key = ?1 LIMIT 1")?
        .exists([station_key])
}

/// Where an operator says that a station is, from its first hour on.
pub(super) fn declared_position(
    transaction: &Transaction<'_>,
    station_key: i64,
) -> Result<Option<Position>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT declared_lon, declared_lat, declared_alt FROM station WHERE key = ?1",
    )?;
    let mut rows = statement.query([station_key])?;
    match rows.next()? {
        Some(row) => Ok(position(row, 0)?),
        None => Ok(None),
    }
}
