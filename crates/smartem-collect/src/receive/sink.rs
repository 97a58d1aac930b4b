//! Where points go.

use async_trait::async_trait;
use smartem_http::{Kind, Problem};
use smartem_points::PointBatch;
use smartem_store::{Points, PointsError, WriteReport};

/// Takes points and keeps them.
#[async_trait]
pub trait PointSink: Send + Sync {
    /// Writes points; they are durable when it returns. Also an empty batch needs its database.
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError>;

    /// The project whose database it is; `None` also for one that is not there.
    fn project_of(&self, database: &str) -> Option<String>;
}

#[async_trait]
impl PointSink for Points {
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError> {
        Self::write(self, database, batch).await
    }

    fn project_of(&self, database: &str) -> Option<String> {
        Self::project_of(self, database)
    }
}

/// The answer to who sent points that were not kept.
pub(super) fn not_kept(error: PointsError) -> Problem {
    let detail = "What was sent could not be kept and is not stored; send it again.";
    Problem::new(Kind::Unavailable, detail).because(error)
}
