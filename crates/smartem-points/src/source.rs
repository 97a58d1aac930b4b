use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use crate::{Cells, FieldType, FieldValue, SeriesKey};

/// A series by number; a number is never given twice in the life of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u32);

/// A series of a measurement.
#[derive(Clone, Debug)]
pub struct SeriesInfo {
    /// By what it is read.
    pub id: SeriesId,
    /// Measurement and tags.
    pub key: Arc<SeriesKey>,
}

/// Rows of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chunk {
    /// Nanoseconds since 1970 (UTC), each once, in the order asked for.
    pub times: Vec<i64>,
    /// One for each field asked for, in that order, each with a cell for each time.
    pub columns: Vec<Cells>,
}

/// The newest value of a field in a series: its time in nanoseconds since 1970, and the value.
pub type Newest = (i64, FieldValue<'static>);

/// In which order rows are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    #[default]
    Ascending,
    /// The newest first.
    Descending,
}

/// Why a source could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the points cannot be read: {0}")]
pub struct SourceError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Points to be queried. Reads may block; a query runs where that is allowed.
///
/// Every read sees what was written before it.
pub trait PointSource {
    /// All databases, by name.
    fn databases(&self) -> Vec<String>;

    /// The measurements of a database, by name; none of an unknown one.
    fn measurements(&self, database: &str) -> Vec<String>;

    /// The fields of a measurement with their types, by name.
    fn fields(&self, database: &str, measurement: &str) -> Vec<(String, FieldType)>;

    /// The series of a measurement, by key.
    fn series(&self, database: &str, measurement: &str) -> Vec<SeriesInfo>;

    /// Gives the rows of a series within `range` (nanoseconds) that have at least one of `fields`,
    /// chunk by chunk, until `take` breaks. Chunks do not overlap and come in this order.
    fn scan(
        &self,
        series: SeriesId,
        fields: &[&str],
        range: RangeInclusive<i64>,
        order: Order,
        take: &mut dyn FnMut(&Chunk) -> ControlFlow<()>,
    ) -> Result<(), SourceError>;

    /// The newest value of a field in a series, whenever that was, without scanning.
    fn newest(&self, series: SeriesId, field: &str) -> Result<Option<Newest>, SourceError>;
}
