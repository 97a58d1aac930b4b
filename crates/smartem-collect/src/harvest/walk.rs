//! Sources whose stations are visited one by one: several at a time, failures kept apart.
//!
//! [`super::hours`] does the same for stations that consist of series.

use async_trait::async_trait;
use smartem_etl::{Batch, InputError, Origin, Outcome, Run, Sink};
use tracing::warn;

use super::queue::Queue;

/// Newest values committed together.
const SNAPSHOTS: usize = 50;

/// A source that gives the newest values of a station, or of what is one, with one request.
#[async_trait]
pub(crate) trait Visited: Sync {
    /// A station, as the source knows it.
    type Item: Clone + Send;

    /// A station on its way through its hours.
    type Visit: Clone + Send;

    fn origin(&self) -> &Origin;

    /// Stations visited at the same time.
    fn parallel(&self) -> usize;

    /// Whether the source itself answers; says in the log what it says instead.
    async fn is_there(&self, run: &Run) -> bool;

    /// Reads some more hours of a station and hands them on; gives the visit back when there are more.
    async fn visit(
        &self,
        run: &Run,
        visit: Self::Visit,
        sink: &Sink<'_>,
    ) -> Result<Option<Self::Visit>, InputError>;

    /// Reads the newest values of a station into a batch.
    async fn fetch_last(
        &self,
        run: &Run,
        item: &Self::Item,
        found: &mut Batch,
    ) -> Result<(), InputError>;
}

/// Reads the hours of all stations, each a piece at a time, so that every one gets its turn.
pub(crate) async fn read_history<Source: Visited>(
    source: &Source,
    run: &Run,
    visits: Vec<Source::Visit>,
    sink: &Sink<'_>,
) -> Result<Outcome, InputError> {
    run.set_goal(visits.len() as u64);
    let queue = Queue::new(visits);
    let workers = (0..source.parallel().max(1)).map(|_| async {
        while let Some(visit) = queue.next(run) {
            let interrupted = visit.clone();
            match source.visit(run, visit, sink).await {
                Ok(Some(unfinished)) => {
                    queue.succeeded();
                    queue.put_back(unfinished);
                }
                Ok(None) => {
                    queue.succeeded();
                    run.advance(1);
                }
                Err(InputError::Interrupted) => queue.put_back(interrupted),
                Err(InputError::Unreachable { place, problem }) => {
                    let source_name = &source.origin().source;
                    warn!(source = %source_name, place, problem, "station left for the next run");
                    run.counters.add("stations_unreachable", 1);
                    note_failure(source, run, &queue, place, problem).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    futures::future::try_join_all(workers).await?;
    queue.outcome(run)
}

/// Reads the newest values of all stations.
pub(crate) async fn read_last<Source: Visited>(
    source: &Source,
    run: &Run,
    items: Vec<Source::Item>,
    sink: &Sink<'_>,
) -> Result<Outcome, InputError> {
    let queue = Queue::new(items);
    let workers = (0..source.parallel().max(1)).map(|_| async {
        let mut found = Batch::default();
        while let Some(item) = queue.next(run) {
            match source.fetch_last(run, &item, &mut found).await {
                Ok(()) => queue.succeeded(),
                Err(InputError::Interrupted) => queue.put_back(item),
                Err(InputError::Unreachable { place, problem }) => {
                    warn!(source = %source.origin().source, place, problem, "last value not read");
                    note_failure(source, run, &queue, place, problem).await;
                }
                Err(error) => return Err(error),
            }
            if found.snapshots.len() >= SNAPSHOTS {
                sink.take(std::mem::take(&mut found)).await?;
            }
        }
        sink.take(found).await
    });
    futures::future::try_join_all(workers).await?;
    queue.outcome(run)
}

/// After several failures in a row asks the source itself, and gives up when it is silent.
///
/// So a source that is down is not asked for every station, and some broken stations, which come
/// first in every run, never keep the others from their turn.
async fn note_failure<Source: Visited, T>(
    source: &Source,
    run: &Run,
    queue: &Queue<T>,
    place: String,
    problem: String,
) {
    if !queue.failed(place, problem) {
        return;
    }
    if source.is_there(run).await {
        queue.source_answered();
    } else {
        queue.give_up();
    }
}
