//! The two backends behind the one interface.

use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt as _;
use smartem_model::StationId;
use smartem_points::{Newest, Order};

use crate::StoreError;
use crate::points::catalogue::SeriesNo;
use crate::points::record::StoredPoints;
use crate::points::rows::{FieldNo, Rows};
use crate::points::{Flush, KnownStation, LogId, StationOf};
use crate::postgres::{Lease, Postgres};
use crate::sqlite::{Sqlite, blocking};

#[derive(Clone)]
pub(crate) enum Backend {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// Calls a method that both backends have: `on!(backend, method(arguments))`.
macro_rules! on {
    ($backend:expr, $method:ident($($argument:expr),* $(,)?)) => {
        match &$backend {
            $crate::backend::Backend::Sqlite(it) => it.$method($($argument),*).await,
            // Boxed: within closures of callers the compiler cannot see that the future may be sent.
            $crate::backend::Backend::Postgres(it) => {
                futures::FutureExt::boxed(it.$method($($argument),*)).await
            }
        }
    };
}

pub(crate) use on;

/// What the points of stations are kept by.
impl Backend {
    /// The folder of what this machine keeps.
    pub(crate) fn dir(&self) -> &Path {
        match self {
            Self::Sqlite(it) => it.dir(),
            Self::Postgres(it) => it.dir(),
        }
    }

    /// Makes this program the one that collects points, whose log is in a folder that no other process uses;
    /// `None` where nothing else could be one.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another program of those that share the store is.
    pub(crate) async fn collect(
        &self,
        folder: PathBuf,
    ) -> Result<Option<(Lease, LogId)>, StoreError> {
        let Self::Postgres(it) = self else {
            return Ok(None);
        };
        let id = blocking("opening the points", move || LogId::of_folder(&folder)).await?;
        let lease = it.collect(id).boxed().await?;
        Ok(Some((lease, id)))
    }

    pub(crate) async fn stored_points(&self) -> Result<StoredPoints, StoreError> {
        on!(self, stored_points())
    }

    pub(crate) async fn commit_points(&self, flush: Flush) -> Result<(), StoreError> {
        on!(self, commit_points(flush))
    }

    pub(crate) async fn remap_series(
        &self,
        series: Vec<(SeriesNo, Option<StationOf>)>,
        now: jiff::Timestamp,
    ) -> Result<(), StoreError> {
        on!(self, remap_series(series, now))
    }

    pub(crate) async fn tidy_points(&self, today: i64, limit: usize) -> Result<usize, StoreError> {
        on!(self, tidy_points(today, limit))
    }

    pub(crate) async fn checkpoint(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(it) => it.checkpoint().await,
            // The server does that by itself.
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Gives the rows of a series day by day; those of a day in order. Blocks.
    pub(crate) fn scan_points(
        &self,
        series: SeriesNo,
        fields: &[FieldNo],
        range: &RangeInclusive<i64>,
        order: Order,
        give: &mut dyn FnMut(i64, Rows) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(it) => it.scan_points(series, fields, range, order, give),
            Self::Postgres(it) => it.scan_points(series, fields, range, order, give),
        }
    }

    /// The newest value of every field of a series among its blocks. Blocks.
    pub(crate) fn newest_points(
        &self,
        series: SeriesNo,
    ) -> Result<Vec<(FieldNo, Newest)>, StoreError> {
        match self {
            Self::Sqlite(it) => it.newest_points(series),
            Self::Postgres(it) => it.newest_points(series),
        }
    }

    /// What is known of a station. Blocks, shortly.
    pub(crate) fn known_station(
        &self,
        station: &StationId,
    ) -> Result<Option<KnownStation>, StoreError> {
        match self {
            Self::Sqlite(it) => it.known_station(station),
            Self::Postgres(it) => it.known_station(station),
        }
    }
}
