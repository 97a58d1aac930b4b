//! Reads a database of the original platform. Numbers are cast, so that it does not matter how wide a
//! restored table has them.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use smartem_model::Position;
use tokio_postgres::Row;

use super::convert::{from_count, optional_time, to_count};
use super::fault::Fault;
use super::sql::{attempt, params};
use super::{Kind, Postgres};
use crate::stetl::{StetlCounts, StetlHarvested, StetlRaw, StetlRefined, StetlStation, Tables};
use crate::{ImportedModel, StoreError};

/// Tables that can be read; in a store of smartem they are views.
const TABLES: &str = "SELECT n.nspname || '.' || c.relname, c.relkind = 'v'
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname, c.relname) IN (('smartem_raw', 'timeseries'), ('smartem_refined', 'timeseries'),
       ('smartem_rt', 'last_device_output'), ('smartem_raw', 'harvester_progress'),
       ('smartem_calibrated', 'calibration_models'))";

const RAW: &str = "SELECT gid::bigint, device_id::bigint, day::integer, hour::integer, data::text,
       device_type::text, device_version::text
    FROM smartem_raw.timeseries WHERE gid > $1 ORDER BY gid LIMIT $2";

const REFINED: &str = "SELECT gid::bigint, device_id::bigint, device_meta::text, sensor_meta::text,
       name::text, label::text, unit::text, day::integer, hour::integer, value_min::float8,
       value_max::float8, value_raw::float8, value::float8, sample_count::bigint, altitude::float8,
       ST_X(point), ST_Y(point)
    FROM smartem_refined.timeseries WHERE gid > $1 ORDER BY gid LIMIT $2";

const RAW_STATIONS: &str = "SELECT DISTINCT ON (device_id) device_id::bigint, device_type::text
    FROM smartem_raw.timeseries ORDER BY device_id, gid DESC";

const REFINED_STATIONS: &str = "SELECT DISTINCT ON (device_id) device_id::bigint, device_meta::text
    FROM smartem_refined.timeseries WHERE device_id IS NOT NULL ORDER BY device_id, gid DESC";

const LAST_STATIONS: &str = "SELECT DISTINCT ON (device_id) device_id::bigint, device_meta::text,
       device_name::text, ST_X(point), ST_Y(point), nullif(altitude, 0)::float8
    FROM smartem_rt.last_device_output WHERE device_id IS NOT NULL
    ORDER BY device_id, time DESC NULLS LAST, gid DESC";

const HARVESTED: &str =
    "SELECT DISTINCT ON (device_id) device_id::bigint, day::integer, hour::integer
    FROM smartem_raw.harvester_progress ORDER BY device_id, day DESC, hour DESC";

const MODELS: &str =
    "SELECT id::bigint, parameters::text, model, input_order::text, predicts::text,
       score::float8, n::bigint, invalid, timestamp
    FROM smartem_calibrated.calibration_models ORDER BY id";

const COUNT_RAW: &str = "SELECT device_id::bigint, count(*) FROM smartem_raw.timeseries
    WHERE gid <= $1 GROUP BY device_id ORDER BY device_id";

const COUNT_REFINED: &str = "SELECT device_id::bigint, count(*) FROM smartem_refined.timeseries
    WHERE gid <= $1 GROUP BY device_id ORDER BY device_id";

impl Postgres {
    /// Which tables of the original there are.
    pub(crate) async fn stetl_tables(self: &Arc<Self>) -> Result<Tables, StoreError> {
        const ACTION: &str = "looking for tables of the original platform";
        let rows = attempt!(self, ACTION, Kind::Read, |transaction| {
            Ok(transaction.query_typed(TABLES, params![]).await?)
        })?;
        let mut tables = Tables::default();
        let mut problem = None;
        for row in &rows {
            let (name, is_view): (String, bool) = match (row.try_get(0), row.try_get(1)) {
                (Ok(name), Ok(is_view)) => (name, is_view),
                _ => continue,
            };
            if is_view {
                problem = Some(
                    "this is a store of smartem, whose views have the names of the original's tables; name \
                     the original's database, or one beside into which a dump of it was loaded",
                );
            }
            match name.as_str() {
                "smartem_raw.timeseries" => tables.raw = true,
                "smartem_refined.timeseries" => tables.refined = true,
                "smartem_rt.last_device_output" => tables.last = true,
                "smartem_raw.harvester_progress" => tables.harvested = true,
                "smartem_calibrated.calibration_models" => tables.models = true,
                _ => {}
            }
        }
        if tables == Tables::default() {
            problem = Some(
                "there is no table of the original platform, such as smartem_refined.timeseries; name its \
                 database (usually `gis`)",
            );
        }
        match problem {
            None => Ok(tables),
            Some(problem) => Err(StoreError::Unprepared {
                action: ACTION,
                path: self.place().to_owned(),
                problem: problem.to_owned(),
            }),
        }
    }

    pub(crate) async fn stetl_raw(
        self: &Arc<Self>,
        gid: i64,
        limit: usize,
    ) -> Result<Vec<StetlRaw>, StoreError> {
        let limit = from_count(limit as u64);
        attempt!(
            self,
            "reading raw records of the original",
            Kind::Read,
            |transaction| {
                let rows = transaction
                    .query_typed(RAW, params![gid => INT8, limit => INT8])
                    .await?;
                rows.iter().map(raw).collect()
            }
        )
    }

    pub(crate) async fn stetl_refined(
        self: &Arc<Self>,
        gid: i64,
        limit: usize,
    ) -> Result<Vec<StetlRefined>, StoreError> {
        let limit = from_count(limit as u64);
        attempt!(
            self,
            "reading refined values of the original",
            Kind::Read,
            |transaction| {
                let rows = transaction
                    .query_typed(REFINED, params![gid => INT8, limit => INT8])
                    .await?;
                rows.iter().map(refined).collect()
            }
        )
    }

    pub(crate) async fn stetl_stations(
        self: &Arc<Self>,
        tables: Tables,
    ) -> Result<Vec<StetlStation>, StoreError> {
        attempt!(
            self,
            "reading the stations of the original",
            Kind::Read,
            |transaction| stations(&transaction, tables).await
        )
    }

    pub(crate) async fn stetl_counts(
        self: &Arc<Self>,
        tables: Tables,
        up_to: (i64, i64),
    ) -> Result<Vec<StetlCounts>, StoreError> {
        attempt!(
            self,
            "counting rows of the original",
            Kind::Read,
            |transaction| counts(&transaction, tables, up_to).await
        )
    }

    pub(crate) async fn stetl_harvested(
        self: &Arc<Self>,
    ) -> Result<Vec<StetlHarvested>, StoreError> {
        attempt!(
            self,
            "reading the progress of the original's harvesters",
            Kind::Read,
            |transaction| {
                let rows = transaction.query_typed(HARVESTED, params![]).await?;
                let harvested = |row: &Row| {
                    Ok(StetlHarvested {
                        device_id: row.try_get(0)?,
                        day: row.try_get(1)?,
                        hour: row.try_get(2)?,
                    })
                };
                rows.iter().map(harvested).collect()
            }
        )
    }

    pub(crate) async fn stetl_models(self: &Arc<Self>) -> Result<Vec<ImportedModel>, StoreError> {
        let source = self.place().display().to_string();
        attempt!(
            self,
            "reading models of the original",
            Kind::Read,
            |transaction| {
                let rows = transaction.query_typed(MODELS, params![]).await?;
                rows.iter().map(|row| model(row, &source)).collect()
            }
        )
    }
}

fn raw(row: &Row) -> Result<StetlRaw, Fault> {
    Ok(StetlRaw {
        gid: row.try_get(0)?,
        device_id: row.try_get(1)?,
        day: row.try_get(2)?,
        hour: row.try_get(3)?,
        data: row.try_get(4)?,
        device_type: row.try_get(5)?,
        device_version: row.try_get(6)?,
    })
}

fn refined(row: &Row) -> Result<StetlRefined, Fault> {
    Ok(StetlRefined {
        gid: row.try_get(0)?,
        device_id: row.try_get(1)?,
        device_meta: row.try_get(2)?,
        sensor_meta: row.try_get(3)?,
        name: row.try_get(4)?,
        label: row.try_get(5)?,
        unit: row.try_get(6)?,
        day: row.try_get(7)?,
        hour: row.try_get(8)?,
        value_min: row.try_get(9)?,
        value_max: row.try_get(10)?,
        value_raw: row.try_get(11)?,
        value: row.try_get(12)?,
        sample_count: row.try_get(13)?,
        altitude: row.try_get(14)?,
        lon: row.try_get(15)?,
        lat: row.try_get(16)?,
    })
}

fn model(row: &Row, source: &str) -> Result<ImportedModel, Fault> {
    Ok(ImportedModel {
        source: source.to_owned(),
        id: row.try_get(0)?,
        parameters: row.try_get(1)?,
        model: row.try_get(2)?,
        input_order: row.try_get(3)?,
        predicts: row.try_get(4)?,
        score: row.try_get(5)?,
        n: row.try_get(6)?,
        invalid: row.try_get(7)?,
        made_at: optional_time(row.try_get(8)?)?,
    })
}

/// What was refined tells the type that was understood, newest values the name.
async fn stations(
    transaction: &Transaction<'_>,
    tables: Tables,
) -> Result<Vec<StetlStation>, Fault> {
    let mut all = std::collections::BTreeMap::<i64, StetlStation>::new();
    let new = |device_id| StetlStation {
        device_id,
        device_type: None,
        name: None,
        position: None,
    };
    if tables.raw {
        for row in transaction.query_typed(RAW_STATIONS, params![]).await? {
            let device_id = row.try_get(0)?;
            let station = all.entry(device_id).or_insert_with(|| new(device_id));
            station.device_type = row.try_get(1)?;
        }
    }
    if tables.last {
        for row in transaction.query_typed(LAST_STATIONS, params![]).await? {
            let device_id = row.try_get(0)?;
            let (lon, lat): (Option<f64>, Option<f64>) = (row.try_get(3)?, row.try_get(4)?);
            let station = all.entry(device_id).or_insert_with(|| new(device_id));
            station.device_type = row.try_get(1)?;
            station.name = row.try_get(2)?;
            let alt = row.try_get(5)?;
            station.position = lon.zip(lat).map(|(lon, lat)| Position { lon, lat, alt });
        }
    }
    if tables.refined {
        for row in transaction.query_typed(REFINED_STATIONS, params![]).await? {
            let device_id = row.try_get(0)?;
            let station = all.entry(device_id).or_insert_with(|| new(device_id));
            station.device_type = row.try_get(1)?;
            station.position = None;
        }
    }
    Ok(all.into_values().collect())
}

async fn counts(
    transaction: &Transaction<'_>,
    tables: Tables,
    (raw, refined): (i64, i64),
) -> Result<Vec<StetlCounts>, Fault> {
    let mut all = std::collections::BTreeMap::<Option<i64>, (u64, u64)>::new();
    if tables.raw {
        let rows = transaction
            .query_typed(COUNT_RAW, params![raw => INT8])
            .await?;
        for row in rows {
            all.entry(row.try_get(0)?).or_default().0 = to_count(row.try_get(1)?);
        }
    }
    if tables.refined {
        let rows = transaction
            .query_typed(COUNT_REFINED, params![refined => INT8])
            .await?;
        for row in rows {
            all.entry(row.try_get(0)?).or_default().1 = to_count(row.try_get(1)?);
        }
    }
    let counts = all
        .into_iter()
        .map(|(device_id, (raw, refined))| StetlCounts {
            device_id,
            raw,
            refined,
        });
    Ok(counts.collect())
}
