//! Where points go.

use async_trait::async_trait;
use smartem_points::PointBatch;
use smartem_store::{Points, PointsError, WriteReport};

/// Takes points and keeps them.
#[async_trait]
pub trait PointSink: Send + Sync {
    /// Makes a database, if it is not there; whether it is new.
    async fn create_database(&self, name: &str) -> Result<bool, PointsError>;

    /// Writes points; they are durable when it returns. Also an empty batch needs its database.
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError>;

    /// The project whose database it is; `None` also for one that is not there.
    fn project_of(&self, database: &str) -> Option<String>;
}

#[async_trait]
impl PointSink for Points {
    async fn create_database(&self, name: &str) -> Result<bool, PointsError> {
        Self::create_database(self, name).await
    }

    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError> {
        Self::write(self, database, batch).await
    }

    fn project_of(&self, database: &str) -> Option<String> {
        Self::project_of(self, database)
    }
}
