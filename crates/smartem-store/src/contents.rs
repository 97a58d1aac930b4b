//! How much a copy of the store holds, to be compared with what it should.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smartem_model::Hour;

use crate::StoreError;
use crate::sqlite::{blocking, snapshot};

/// What a database file holds: rows of every table, and the times they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreContents {
    /// The version of the schema.
    pub schema_version: u32,
    /// Which store it is; `None` where an older program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Rows by table.
    pub tables: BTreeMap<String, u64>,
    /// The first hour that there is a raw record of.
    pub first_hour: Option<Hour>,
    /// The last one.
    pub last_hour: Option<Hour>,
    /// When the first observation began.
    pub first_observation: Option<Timestamp>,
    /// When the last one did.
    pub last_observation: Option<Timestamp>,
}

impl StoreContents {
    /// Counts a copy of the database file that nobody has open; reads all of it.
    pub async fn of_copy(file: &Path) -> Result<Self, StoreError> {
        let file = file.to_owned();
        blocking("reading the copy of the store", move || {
            snapshot::contents(&file)
        })
        .await
    }

    /// In what `found` differs from this, in words; empty when in nothing.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let mut told = Vec::new();
        let names: std::collections::BTreeSet<&String> =
            self.tables.keys().chain(found.tables.keys()).collect();
        for name in names {
            let rows = |of: &Self| of.tables.get(name).copied();
            if rows(self) != rows(found) {
                let text =
                    |rows: Option<u64>| rows.map_or("no table".to_owned(), |n| n.to_string());
                let (expected, is) = (text(rows(self)), text(rows(found)));
                told.push(format!("table {name}: {is} rows instead of {expected}"));
            }
        }
        if self.store != found.store {
            let text = |id: &Option<String>| id.clone().unwrap_or_else(|| "unknown".to_owned());
            let (expected, is) = (text(&self.store), text(&found.store));
            told.push(format!("it is of the store {is} instead of {expected}"));
        }
        let times = |of: &Self| {
            (
                of.first_hour,
                of.last_hour,
                of.first_observation,
                of.last_observation,
            )
        };
        if times(self) != times(found) {
            told.push(format!(
                "times: {:?} instead of {:?}",
                times(found),
                times(self)
            ));
        }
        told
    }
}
