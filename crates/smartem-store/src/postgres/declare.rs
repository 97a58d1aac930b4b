//! What an operator says of a station.

use std::sync::Arc;

use deadpool_postgres::Transaction;

use super::convert::text;
use super::fault::Fault;
use super::sql::{attempt, params};
use super::{Kind, Postgres, location, next_change, station_rows, work};
use crate::prepared::Newcomer;
use crate::{Declared, IMPORT_NETWORK, StationDeclaration, StoreError};

/// What is said, beside what was.
const DECLARE: &str = "UPDATE smartem.station SET station_type = $2, name = coalesce($3, name),
       network = coalesce($4, network), project = coalesce($5, project),
       cadence_s = coalesce($6, cadence_s),
       declared_lon = coalesce($7, declared_lon), declared_lat = coalesce($8, declared_lat),
       declared_alt = CASE WHEN $7 IS NULL THEN declared_alt ELSE $9 END
    WHERE key = $1";

impl Postgres {
    pub(crate) async fn declare_station(
        self: &Arc<Self>,
        declaration: StationDeclaration,
    ) -> Result<Declared, StoreError> {
        attempt!(self, "declaring a station", Kind::Write, |transaction| {
            declare(&transaction, &declaration).await
        })
    }
}

async fn declare(
    transaction: &Transaction<'_>,
    declaration: &StationDeclaration,
) -> Result<Declared, Fault> {
    station_rows::lock(transaction, &declaration.id).await?;
    let known = station_rows::row_of(transaction, &declaration.id).await?;
    let mut declared = Declared {
        is_new: known.is_none(),
        ..Declared::default()
    };
    let (key, cadence_before) = match known {
        Some((key, row)) => {
            let is_other = *row.station_type != *declaration.station_type;
            if is_other && has_hours(transaction, key).await? {
                return Err(StoreError::OtherStationType {
                    station: declaration.id.clone(),
                    declared: declaration.station_type.clone(),
                    stored: row.station_type,
                }
                .into());
            }
            (key, row.cadence_s)
        }
        None => (add(transaction, declaration).await?, None),
    };
    let location_before = location::declared_position(transaction, key).await?;
    put(transaction, key, declaration).await?;
    if declaration.location.is_some() && declaration.location != location_before {
        declared.marked = location::redeclared(transaction, key, declaration.move_m).await?;
    }
    if declaration.cadence_s.is_some() && declaration.cadence_s != cadence_before {
        // The coverage of every hour depends on it.
        declared.marked = work::mark(transaction, &[key], None, None).await?;
    }
    next_change(transaction).await?;
    Ok(declared)
}

async fn add(
    transaction: &Transaction<'_>,
    declaration: &StationDeclaration,
) -> Result<i32, Fault> {
    let newcomer = Newcomer {
        station: &declaration.id,
        station_type: &declaration.station_type,
        hour: None,
        network: declaration.network.as_deref().unwrap_or(IMPORT_NETWORK),
        project: declaration.project.as_deref(),
        now: declaration.now,
    };
    let ensured = station_rows::ensure(transaction, &[newcomer]).await?;
    let key = ensured.keys.first().copied();
    key.ok_or_else(|| Fault::unknown("a station without a row", declaration.id.as_str()))
}

async fn put(
    transaction: &Transaction<'_>,
    key: i32,
    declaration: &StationDeclaration,
) -> Result<(), Fault> {
    let name = declaration.name.as_deref().map(text);
    let network = declaration.network.as_deref().map(text);
    let project = declaration.project.as_deref().map(text);
    let place = declaration.location;
    let (lon, lat) = place.map(|place| (place.lon, place.lat)).unzip();
    let alt = place.and_then(|place| place.alt);
    transaction
        .execute_typed(
            DECLARE,
            params![key => INT4, declaration.station_type => TEXT, name => TEXT, network => TEXT,
                project => TEXT, declaration.cadence_s => FLOAT8, lon => FLOAT8, lat => FLOAT8,
                alt => FLOAT8],
        )
        .await?;
    Ok(())
}

async fn has_hours(transaction: &Transaction<'_>, station_key: i32) -> Result<bool, Fault> {
    let sql = "SELECT EXISTS (SELECT FROM smartem_raw.raw_record WHERE station_key = $1)";
    let row = transaction
        .query_typed_one(sql, params![station_key => INT4])
        .await?;
    Ok(row.try_get(0)?)
}
