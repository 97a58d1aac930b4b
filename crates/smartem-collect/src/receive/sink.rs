//! Where points go.

use async_trait::async_trait;
use smartem_http::{Kind, Problem};
use smartem_points::{FieldType, PointBatch};

/// Takes points and keeps them.
#[async_trait]
pub trait PointSink: Send + Sync {
    /// Makes a database, if it is not there; whether it is new.
    async fn create_database(&self, name: &str) -> Result<bool, SinkError>;

    /// Writes points; they are durable when it returns.
    async fn write(&self, database: &str, batch: PointBatch) -> Result<Written, SinkError>;
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Points that were kept.
    pub written: u64,
    /// Fields that were not.
    pub refused: Vec<Refused>,
}

/// A field whose type is another than it was before.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The line of its point.
    pub line: u32,
    /// The measurement.
    pub measurement: String,
    /// The field.
    pub field: String,
    /// The type that was sent.
    pub sent: FieldType,
    /// The type that it has.
    pub known: FieldType,
}

/// Why points were not kept.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// There is no such database.
    #[error("there is no database `{name}`")]
    NoDatabase {
        /// Its name.
        name: String,
    },
    /// Nothing can be written now.
    #[error("points cannot be kept now: {problem}")]
    Unavailable {
        /// Why.
        problem: String,
    },
}

impl SinkError {
    /// The answer to who sent the points.
    pub(super) fn into_problem(self) -> Problem {
        let detail = "What was sent could not be kept and is not stored; send it again.";
        Problem::new(Kind::Unavailable, detail).because(self)
    }
}

/// Writes into a database of a receiver, making it at the first time.
pub(super) async fn write_own(
    sink: &dyn PointSink,
    database: &str,
    batch: PointBatch,
) -> Result<Written, SinkError> {
    // Making one that is there costs nothing beside the write itself.
    sink.create_database(database).await?;
    sink.write(database, batch).await
}
