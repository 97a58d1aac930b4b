//! The points of the store as databases that can be written.

use async_trait::async_trait;
use smartem_http::{Kind, Problem};
use smartem_points::PointBatch;
use smartem_store::{Points, PointsError};

use super::influxdb::{Databases, Refusal, WriteError, WriteReport};

#[async_trait]
impl Databases for Points {
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, WriteError> {
        let report = Points::write(self, database, batch)
            .await
            .map_err(|error| match error {
                PointsError::NoDatabase { name } => WriteError::NoDatabase { name },
                error => WriteError::Unavailable {
                    problem: error.to_string(),
                },
            })?;
        let refused = report.refused.into_iter().map(|it| Refusal {
            line: it.line,
            measurement: it.measurement,
            field: it.field,
            sent: it.sent,
            known: it.known,
        });
        Ok(WriteReport {
            written: report.written,
            refused: refused.collect(),
        })
    }

    fn project_of(&self, database: &str) -> Option<String> {
        Points::project_of(self, database)
    }
}

/// The answer to who sent points that were not kept.
pub(super) fn not_kept(error: WriteError) -> Problem {
    let detail = "What was sent could not be kept and is not stored; send it again.";
    Problem::new(Kind::Unavailable, detail).because(error)
}
