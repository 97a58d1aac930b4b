use async_trait::async_trait;
use smartem_points::{FieldType, PointBatch};

/// Databases of points that can be written.
#[async_trait]
pub trait Databases: Send + Sync {
    /// Keeps points; they are durable when it returns. Also an empty batch needs its database.
    ///
    /// # Errors
    /// [`WriteError::NoDatabase`], or when nothing can be kept now; then nothing was kept.
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, WriteError>;

    /// The project whose database it is; `None` also for one that is not there.
    fn project_of(&self, database: &str) -> Option<String>;
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteReport {
    /// How many points were kept.
    pub written: u64,
    /// What was not.
    pub refused: Vec<Refusal>,
}

/// A point that was not kept because one of its fields has another type than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The line of the point, counted from 1.
    pub line: u32,
    /// Its measurement.
    pub measurement: String,
    /// The field.
    pub field: String,
    /// The type that was sent.
    pub sent: FieldType,
    /// The type that the field has.
    pub known: FieldType,
}

/// Why a batch was not kept.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is no such database.
    #[error("there is no database `{name}`")]
    NoDatabase {
        /// Its name.
        name: String,
    },
    /// Nothing can be kept now.
    #[error("points cannot be kept now: {problem}")]
    Unavailable {
        /// Why.
        problem: String,
    },
}
