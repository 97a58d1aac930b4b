//! Reading what is defined.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::{TryStreamExt as _, pin_mut};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::names::given;
use super::record::{number, series_number};
use crate::StoreError;
use crate::points::catalogue::Definition;
use crate::points::entry::type_of;
use crate::points::record::{StoredPoints, tags_of};
use crate::points::{KnownStation, LogId};
use crate::postgres::convert::{station_id, to_count};
use crate::postgres::fault::Fault;
use crate::postgres::sql::{attempt, params};
use crate::postgres::{Kind, Postgres, meta};

const DATABASES: &str = "SELECT name FROM smartem_raw.point_database ORDER BY number";

const MEASUREMENTS: &str =
    "SELECT database, name FROM smartem_raw.point_measurement ORDER BY number";

const FIELDS: &str = "SELECT measurement, name, type FROM smartem_raw.point_field
    ORDER BY measurement, number";

const SERIES: &str = "SELECT number, measurement, tags, station, station_type
    FROM smartem_raw.point_series ORDER BY number";

const STATIONS: &str = "SELECT id, station_type, network, project FROM smartem.station
    WHERE id IN (SELECT station FROM smartem_raw.point_series WHERE station IS NOT NULL)";

const LOG: &str = "SELECT value FROM smartem.meta WHERE key = 'points_log'";

impl Postgres {
    pub(crate) async fn stored_points(self: &Arc<Self>) -> Result<StoredPoints, StoreError> {
        const ACTION: &str = "reading what series there are";
        attempt!(self, ACTION, Kind::Read, |transaction| {
            stored(&transaction).await
        })
    }
}

async fn stored(transaction: &Transaction<'_>) -> Result<StoredPoints, Fault> {
    let log = transaction.query_typed_opt(LOG, params![]).await?;
    let log: Option<i64> = log.map(|row| row.try_get(0)).transpose()?;
    let mut stored = StoredPoints {
        segment: to_count(meta(transaction, "points_segment").await?),
        log: log.map(LogId::of_number),
        definitions: Vec::new(),
        stations: std::collections::BTreeMap::new(),
        known: Vec::new(),
    };
    let definitions = &mut stored.definitions;
    each(transaction, DATABASES, |row| {
        let name = given(row.try_get(0)?)?.into();
        definitions.push(Definition::Database { name });
        Ok(())
    })
    .await?;
    each(transaction, MEASUREMENTS, |row| {
        definitions.push(Definition::Measurement {
            database: number(row.try_get(0)?)?,
            name: given(row.try_get(1)?)?.into(),
        });
        Ok(())
    })
    .await?;
    each(transaction, FIELDS, |row| {
        let kept: i16 = row.try_get(2)?;
        let field_type = u8::try_from(kept).ok().and_then(|kept| type_of(kept).ok());
        definitions.push(Definition::Field {
            measurement: number(row.try_get(0)?)?,
            name: given(row.try_get(1)?)?.into(),
            field_type: field_type.ok_or_else(|| Fault::unknown("the type of a field", &kept))?,
        });
        Ok(())
    })
    .await?;
    let stations = &mut stored.stations;
    each(transaction, SERIES, |row| {
        let tags: &str = row.try_get(2)?;
        definitions.push(Definition::Series {
            measurement: number(row.try_get(1)?)?,
            tags: tags_of(tags).ok_or_else(|| Fault::unknown("the tags of a series", tags))?,
        });
        let station: Option<String> = row.try_get(3)?;
        let station_type: Option<&str> = row.try_get(4)?;
        if let Some((station, station_type)) = station.zip(station_type) {
            let station_type = given(station_type)?.into_owned();
            stations.insert(series_number(row.try_get(0)?)?, (station, station_type));
        }
        Ok(())
    })
    .await?;
    let known = &mut stored.known;
    each(transaction, STATIONS, |row| {
        let station = KnownStation {
            station_type: row.try_get::<_, &str>(1)?.into(),
            network: row.try_get::<_, &str>(2)?.into(),
            project: row.try_get::<_, Option<&str>>(3)?.map(Into::into),
        };
        known.push((station_id(row.try_get(0)?)?, station));
        Ok(())
    })
    .await?;
    Ok(stored)
}

/// Gives row after row; they are not all in memory at once.
pub(super) async fn each(
    transaction: &Transaction<'_>,
    sql: &str,
    mut take: impl FnMut(&Row) -> Result<(), Fault> + Send,
) -> Result<(), Fault> {
    let nothing = std::iter::empty::<(i32, Type)>();
    let rows = transaction.query_typed_raw(sql, nothing).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        take(&row)?;
    }
    Ok(())
}
