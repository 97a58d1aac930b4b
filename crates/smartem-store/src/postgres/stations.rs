//! Stations, shown with their newest values.

use std::collections::HashMap;
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::try_join;
use smartem_model::{Period, Position, StationId};

use super::convert::{flags, joined, optional_time, position, station_id, text, to_count};
use super::fault::Fault;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres, next_change, station_rows, work};
use crate::{LastValue, StationView, StoreError};

/// Stations with the extent of their observations.
const VIEWS: &str = "SELECT t.key, t.id, t.name, t.network, t.project, t.station_type, t.cadence_s,
       s.first_time, s.last_time, coalesce(s.observations, 0)
    FROM smartem.station t
    LEFT JOIN (SELECT station_key, min(first_time) AS first_time, max(last_time) AS last_time,
            sum(observations)::bigint AS observations
        FROM smartem_refined.series WHERE $1::int IS NULL OR station_key = $1
        GROUP BY station_key) s ON s.station_key = t.key
    WHERE $1 IS NULL OR t.key = $1 ORDER BY t.id COLLATE \"C\"";

/// The newest value of each series.
const LAST_VALUES: &str = "SELECT s.station_key, s.indicator, s.sensor, s.label, s.unit,
       l.start_time, l.start_ns, l.end_time, l.end_ns, l.value, l.flags, l.from_snapshot
    FROM smartem_refined.series s JOIN smartem_rt.last_value l ON l.series_key = s.key
    WHERE $1::int IS NULL OR s.station_key = $1";

/// The newest location of each station, else the declared one, else that of its newest snapshot. Of long
/// tracks only the end is read.
const LOCATIONS: &str = "SELECT t.key, l.lon, l.lat, l.alt, t.declared_lon, t.declared_lat,
       t.declared_alt, n.lon, n.lat, n.alt
    FROM smartem.station t
    LEFT JOIN LATERAL (SELECT lon, lat, alt FROM smartem.location
        WHERE station_key = t.key ORDER BY valid_from DESC LIMIT 1) l ON true
    LEFT JOIN smartem_raw.raw_snapshot n ON n.station_key = t.key
    WHERE $1::int IS NULL OR t.key = $1";

const DESCRIBE: &str = "UPDATE smartem.station SET name = coalesce($2, name),
       cadence_s = coalesce($3, cadence_s)
    WHERE key = $1";

impl Postgres {
    pub(crate) async fn stations(self: &Arc<Self>) -> Result<Vec<StationView>, StoreError> {
        attempt!(self, "listing the stations", Kind::Read, |transaction| {
            views(&transaction, None).await
        })
    }

    pub(crate) async fn station(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<Option<StationView>, StoreError> {
        attempt!(self, "reading a station", Kind::Read, |transaction| {
            match station_rows::key_of(&transaction, &station).await? {
                Some(key) => Ok(views(&transaction, Some(key)).await?.pop()),
                None => Ok(None),
            }
        })
    }

    pub(crate) async fn describe_station(
        self: &Arc<Self>,
        station: StationId,
        name: Option<String>,
        cadence_s: Option<f64>,
    ) -> Result<(), StoreError> {
        const ACTION: &str = "describing a station";
        attempt!(self, ACTION, Kind::Write, |transaction| {
            let Some(key) = station_rows::lock(&transaction, &station).await? else {
                return Err(StoreError::UnknownStation {
                    action: ACTION,
                    station: station.clone(),
                }
                .into());
            };
            let sql = "SELECT cadence_s FROM smartem.station WHERE key = $1";
            let row = transaction
                .query_typed_one(sql, params![key => INT4])
                .await?;
            let before: Option<f64> = row.try_get(0)?;
            let name = name.as_deref().map(text);
            transaction
                .execute_typed(
                    DESCRIBE,
                    params![key => INT4, name => TEXT, cadence_s => FLOAT8],
                )
                .await?;
            if cadence_s.is_some() && cadence_s != before {
                // The coverage of every hour depends on it.
                work::mark(&transaction, &[key], None, None).await?;
            }
            next_change(&transaction).await?;
            Ok(())
        })
    }
}

/// All stations by id, or the one of this key.
async fn views(
    transaction: &Transaction<'_>,
    only: Option<i32>,
) -> Result<Vec<StationView>, Fault> {
    let (rows, mut locations, mut last) = try_join!(
        async {
            Ok(transaction
                .query_typed(VIEWS, params![only => INT4])
                .await?)
        },
        locations(transaction, only),
        last_values(transaction, only),
    )?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let key: i32 = row.try_get(0)?;
        let optional = |at: usize| -> Result<Option<Arc<str>>, Fault> {
            Ok(row.try_get::<_, Option<&str>>(at)?.map(Into::into))
        };
        views.push(StationView {
            id: station_id(row.try_get(1)?)?,
            name: optional(2)?,
            network: row.try_get::<_, &str>(3)?.into(),
            project: optional(4)?,
            station_type: row.try_get::<_, &str>(5)?.into(),
            cadence_s: row.try_get(6)?,
            location: locations.remove(&key),
            last: last.remove(&key).unwrap_or_default(),
            observations: to_count(row.try_get(9)?),
            first_time: optional_time(row.try_get(7)?)?,
            last_time: optional_time(row.try_get(8)?)?,
        });
    }
    Ok(views)
}

async fn locations(
    transaction: &Transaction<'_>,
    only: Option<i32>,
) -> Result<HashMap<i32, Position>, Fault> {
    let rows = transaction
        .query_typed(LOCATIONS, params![only => INT4])
        .await?;
    let mut locations = HashMap::with_capacity(rows.len());
    for row in rows {
        let (newest, declared) = (position(&row, 1)?, position(&row, 4)?);
        if let Some(found) = newest.or(declared).or(position(&row, 7)?) {
            locations.insert(row.try_get(0)?, found);
        }
    }
    Ok(locations)
}

/// Of each station by indicator, sensor and unit.
async fn last_values(
    transaction: &Transaction<'_>,
    only: Option<i32>,
) -> Result<HashMap<i32, Vec<LastValue>>, Fault> {
    let rows = transaction
        .query_typed(LAST_VALUES, params![only => INT4])
        .await?;
    // Few different texts for many rows.
    let mut texts = Texts::default();
    let mut values: HashMap<i32, Vec<LastValue>> = HashMap::new();
    for row in &rows {
        let time = |at: usize| joined(row.try_get::<_, At>(at)?, row.try_get(at + 1)?);
        let value = LastValue {
            indicator: texts.get(row.try_get(1)?),
            sensor: texts.get(row.try_get(2)?),
            label: texts.get(row.try_get(3)?),
            unit: texts.get(row.try_get(4)?),
            period: Period {
                start: time(5)?,
                end: time(7)?,
            },
            value: row.try_get(9)?,
            flags: flags(row.try_get::<_, i16>(10)?.into()),
            from_snapshot: row.try_get(11)?,
        };
        values.entry(row.try_get(0)?).or_default().push(value);
    }
    for of_station in values.values_mut() {
        of_station.sort_by(|a, b| {
            (&a.indicator, &a.sensor, &a.unit).cmp(&(&b.indicator, &b.sensor, &b.unit))
        });
    }
    Ok(values)
}

/// Texts that are shared by the rows that have them.
#[derive(Default)]
pub(super) struct Texts(HashMap<Box<str>, Arc<str>>);

impl Texts {
    pub(super) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = text.into();
        self.0.insert(text.into(), Arc::clone(&shared));
        shared
    }
}
