use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::StaUnavailable;

/// How often it is asked what has changed, where nobody wakes who asks.
pub(super) const EVERY: Duration = Duration::from_millis(500);
/// The longest pause before a service that could not answer is asked again.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// Tells of changed entities, and what subscribers get of them.
#[async_trait]
pub trait StaChanges: Send + Sync + 'static {
    /// A place in the order of changes.
    type Mark: Clone + Send + Sync;
    /// One entity that was created or changed.
    type Change: Send + Sync;
    /// What was read of the text of a topic or filter, so that it is read once.
    type Filter: Send + Sync;

    /// What has changed after a mark, in its order, a page at most, and the mark after that. Without a
    /// mark: the mark of now, and no change. It is asked often, and must be cheap when there is nothing.
    ///
    /// # Errors
    /// When that cannot be told now.
    async fn changes_since(
        &self,
        mark: Option<Self::Mark>,
    ) -> Result<(Self::Mark, Vec<Self::Change>), StaUnavailable>;

    /// Reads a topic without wildcards, such as `v1.1/Datastreams(1)/Observations?$select=result`; `None`:
    /// nothing is ever published to it.
    fn filter(&self, topic: &str) -> Option<Self::Filter>;

    /// What subscribers of a topic get of a change; `None`: it is not of that topic, or nothing is told of
    /// it, as of what was deleted.
    ///
    /// # Errors
    /// When that cannot be told now. The change is told again, also on topics where it was already.
    async fn render(
        &self,
        filter: &Self::Filter,
        change: &Self::Change,
    ) -> Result<Option<Bytes>, StaUnavailable>;

    /// The topics of a change without options of a query, for subscribers with wildcards. Asked only
    /// while there are some.
    fn topics(&self, change: &Self::Change) -> Vec<String>;
}
