//! Points of time series as InfluxDB has them; pure: no I/O, no clock.
//!
//! A *point* is a time, a *series* (database, measurement and tags) and some fields. Writing a point
//! of a series and a time that is there already puts its fields in the place of the old ones.
//!
//! - [`FieldValue`], [`FieldType`], [`SeriesKey`]: the words
//! - [`PointBatch`]: points that come in together
//! - [`line_protocol`]: points as text
//! - [`PointSource`]: what a query reads
//! - [`MemoryPoints`]: the simplest source, to test others and queries against
//! - [`influxql`]: the query language over a [`PointSource`]

mod batch;
pub mod influxql;
pub mod line_protocol;
mod memory;
mod series;
mod source;
mod value;

pub use batch::{BatchField, BatchPoint, BatchSeries, PointBatch};
pub use memory::MemoryPoints;
pub use series::SeriesKey;
pub use source::{Chunk, Newest, Order, PointSource, SeriesId, SeriesInfo, SourceError};
pub use value::{Cells, FieldType, FieldValue, Precision};
