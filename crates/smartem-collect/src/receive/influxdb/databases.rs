use async_trait::async_trait;
use smartem_points::PointBatch;
use smartem_store::{Points, PointsError, WriteReport};

/// Databases of points that can be written.
#[async_trait]
pub trait Databases: Send + Sync {
    /// Keeps points; they are durable when it returns. Also an empty batch needs its database.
    ///
    /// # Errors
    /// [`PointsError::NoDatabase`], or when nothing can be kept now; then nothing was kept.
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError>;

    /// The project whose database it is; `None` also for one that is not there.
    fn project_of(&self, database: &str) -> Option<String>;
}

#[async_trait]
impl Databases for Points {
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError> {
        Self::write(self, database, batch).await
    }

    fn project_of(&self, database: &str) -> Option<String> {
        Self::project_of(self, database)
    }
}
