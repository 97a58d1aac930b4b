//! A database of the original platform, read to be imported.
//!
//! It is only read, in transactions that cannot write. Tables and columns are those of its last version
//! (`device_type` and `sensor_meta` were added on the way); a database that holds only some of the tables,
//! as a partial dump does, is read as far as it goes.

mod rows;

use std::path::Path;
use std::sync::Arc;

use crate::postgres::Postgres;
use crate::{ImportedModel, PostgresSettings, StoreError};

pub use rows::{StetlCounts, StetlHarvested, StetlRaw, StetlRefined, StetlStation};

/// Which tables of the original a database has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a table of its own")]
pub(crate) struct Tables {
    pub(crate) raw: bool,
    pub(crate) refined: bool,
    pub(crate) last: bool,
    pub(crate) harvested: bool,
    pub(crate) models: bool,
}

/// A database of the original platform.
#[derive(Clone)]
pub struct StetlSource {
    database: Arc<Postgres>,
    tables: Tables,
}

impl StetlSource {
    /// Connects, and looks whether it is one.
    ///
    /// # Errors
    /// [`StoreError::Unprepared`] when it has none of the tables, or is a store of smartem, whose views have
    /// their names; [`StoreError::Address`], [`StoreError::Unreachable`] or [`StoreError::Denied`] when there
    /// is no way to it.
    pub async fn connect(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let database = Arc::new(Postgres::connect(Path::new(""), settings)?);
        let tables = database.stetl_tables().await?;
        Ok(Self { database, tables })
    }

    /// Where it is, for messages and as the name of the source: without user and password.
    pub fn place(&self) -> String {
        self.database.place().display().to_string()
    }

    /// Rows of each station, up to these numbers.
    pub async fn counts(&self, raw: i64, refined: i64) -> Result<Vec<StetlCounts>, StoreError> {
        self.database
            .stetl_counts(self.tables, (raw, refined))
            .await
    }

    /// All stations, in order of their numbers.
    pub async fn stations(&self) -> Result<Vec<StetlStation>, StoreError> {
        self.database.stetl_stations(self.tables).await
    }

    /// Raw records after a number, in order, at most `limit`.
    pub async fn raw_after(&self, gid: i64, limit: usize) -> Result<Vec<StetlRaw>, StoreError> {
        if !self.tables.raw {
            return Ok(Vec::new());
        }
        self.database.stetl_raw(gid, limit).await
    }

    /// Refined values after a number, in order, at most `limit`.
    pub async fn refined_after(
        &self,
        gid: i64,
        limit: usize,
    ) -> Result<Vec<StetlRefined>, StoreError> {
        if !self.tables.refined {
            return Ok(Vec::new());
        }
        self.database.stetl_refined(gid, limit).await
    }

    /// How far the harvesters got with each station.
    pub async fn harvested(&self) -> Result<Vec<StetlHarvested>, StoreError> {
        if !self.tables.harvested {
            return Ok(Vec::new());
        }
        self.database.stetl_harvested().await
    }

    /// All calibration models.
    pub async fn models(&self) -> Result<Vec<ImportedModel>, StoreError> {
        if !self.tables.models {
            return Ok(Vec::new());
        }
        self.database.stetl_models().await
    }
}
