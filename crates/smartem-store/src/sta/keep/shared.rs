//! Sensors and observed properties, which the stations share.

use std::collections::BTreeMap;

use serde_json::json;
use smartem_sta::EntityType;

use super::wanted::{PLAIN_TEXT, Series, Station, label_of};
use crate::postgres::text;
use crate::sta::changes::{ChangeKind, Changes};
use crate::sta::error::Fault;
use crate::sta::sql::{Param, Sql};

/// Ids of sensors by instrument, and of observed properties by indicator.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) sensors: BTreeMap<String, i64>,
    pub(super) properties: BTreeMap<String, i64>,
}

/// What is shared by stations, which is made where it is missing: in the order of names, so that no two
/// transactions wait for each other.
pub(super) async fn ensure(
    sql: &mut dyn Sql,
    stations: &[Station],
    changes: &mut Changes,
) -> Result<Shared, Fault> {
    let series = || stations.iter().flat_map(|station| &station.series);
    let sensors: BTreeMap<&str, Vec<Param>> = series()
        .map(|it| (it.sensor.as_str(), sensor(&it.sensor)))
        .collect();
    let properties: BTreeMap<&str, Vec<Param>> = series()
        .map(|it| (it.indicator.as_str(), property(it)))
        .collect();
    let head = "(instrument, name, description, encoding_type, metadata)";
    let sensors = Kind {
        entity_type: EntityType::Sensor,
        table: sql.dialect().table("sensor"),
        column: "instrument",
        columns: head,
    }
    .ensure(sql, &sensors, changes)
    .await?;
    let properties = Kind {
        entity_type: EntityType::ObservedProperty,
        table: sql.dialect().table("observed_property"),
        column: "indicator",
        columns: "(indicator, name, definition, description)",
    }
    .ensure(sql, &properties, changes)
    .await?;
    Ok(Shared {
        sensors,
        properties,
    })
}

fn sensor(instrument: &str) -> Vec<Param> {
    vec![
        Param::text(instrument),
        Param::text(instrument),
        Param::text(format!("Instrument {instrument}")),
        Param::text(PLAIN_TEXT),
        Param::json(&json!(text(instrument))),
    ]
}

fn property(series: &Series) -> Vec<Param> {
    let indicator = &series.indicator;
    vec![
        Param::text(indicator),
        Param::text(indicator),
        Param::text(format!("urn:smartem:indicator:{indicator}")),
        Param::text(label_of(series)),
    ]
}

struct Kind {
    entity_type: EntityType,
    table: String,
    /// What is unique.
    column: &'static str,
    columns: &'static str,
}

impl Kind {
    async fn ensure(
        &self,
        sql: &mut dyn Sql,
        wanted: &BTreeMap<&str, Vec<Param>>,
        changes: &mut Changes,
    ) -> Result<BTreeMap<String, i64>, Fault> {
        let mut known = self.known(sql, wanted).await?;
        let missing: Vec<Vec<Param>> = wanted
            .iter()
            .filter(|(name, _)| !known.contains_key(**name))
            .map(|(_, row)| row.clone())
            .collect();
        if missing.is_empty() {
            return Ok(known);
        }
        let (table, columns, column) = (&self.table, self.columns, self.column);
        let head = format!("INSERT INTO {table} {columns}");
        let tail = format!("ON CONFLICT ({column}) DO NOTHING RETURNING id");
        for row in sql.insert(&head, &missing, &tail).await? {
            changes.note(self.entity_type, row.int(0)?, ChangeKind::Created);
        }
        // Another transaction may have made some meanwhile.
        known = self.known(sql, wanted).await?;
        Ok(known)
    }

    async fn known(
        &self,
        sql: &mut dyn Sql,
        wanted: &BTreeMap<&str, Vec<Param>>,
    ) -> Result<BTreeMap<String, i64>, Fault> {
        let names: Vec<&str> = wanted.keys().copied().collect();
        let among = sql.dialect().among_texts(&sql.dialect().place(1));
        let (table, column) = (&self.table, self.column);
        let question = format!("SELECT {column}, id FROM {table} WHERE {column} {among}");
        let rows = sql.query(&question, &[Param::json(&json!(names))]).await?;
        rows.iter()
            .map(|row| Ok((row.text(0)?, row.int(1)?)))
            .collect()
    }
}
