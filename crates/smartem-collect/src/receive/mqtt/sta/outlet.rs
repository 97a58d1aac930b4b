use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smartem_mqtt::{Filters, Publisher, QoS, Topic};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::changes::{EVERY, PAUSE, StaChanges};
use super::{StaTopic, StaUnavailable};

/// Publishes changed entities to those who subscribe at our broker.
///
/// Each filter without wildcards is a topic of its own, with the options of its query. Who subscribes
/// with wildcards gets a change on each of its plain topics. Nothing is rendered that nobody listens to.
/// A subscriber may get changes of the last moment before it subscribed, and misses none after it.
pub struct StaOutlet<S: StaChanges> {
    source: Arc<S>,
    publisher: Publisher,
    filters: Filters,
    /// Whether the filters are others than those in `wanted`.
    is_stale: bool,
    wanted: Wanted<S::Filter>,
    /// Changes before the mark that are not published yet.
    page: VecDeque<S::Change>,
    wake: Arc<Notify>,
    every: Duration,
    counters: Arc<Counters>,
}

/// What is listened to.
struct Wanted<F> {
    /// Topics with subscribers of their own; `None`: nothing is published to them.
    topics: BTreeMap<Arc<str>, Option<(Topic, F)>>,
    /// Whether there are subscribers with wildcards.
    has_wildcards: bool,
}

/// What an outlet has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaOutletCounts {
    /// Messages published, each counted once, however many subscribers got it.
    pub published: u64,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
}

impl<S: StaChanges> StaOutlet<S> {
    /// An outlet of a service to the subscribers of a broker.
    pub fn new(source: Arc<S>, publisher: Publisher) -> Self {
        Self {
            filters: publisher.filters(),
            source,
            publisher,
            is_stale: true,
            wanted: Wanted {
                topics: BTreeMap::new(),
                has_wildcards: false,
            },
            page: VecDeque::new(),
            wake: Arc::default(),
            every: EVERY,
            counters: Arc::default(),
        }
    }

    /// Asks so often what has changed.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Notified, the outlet asks at once what has changed.
    pub fn waker(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// Tells what the outlet has done, also while it runs.
    pub fn counts(&self) -> impl Fn() -> StaOutletCounts + Send + Sync + 'static {
        let counters = self.counters.clone();
        move || StaOutletCounts {
            published: counters.published.load(Ordering::Relaxed),
        }
    }

    /// Publishes what changes from now on, until it is stopped or the broker has ended.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut mark = None;
        let mut pause = self.every;
        loop {
            let asked = stop.run_until_cancelled(self.look(&mut mark)).await;
            match asked {
                None => return,
                Some(Ok(())) => pause = self.every,
                Some(Err(error)) => {
                    if pause == self.every {
                        warn!(%error, "subscribers of SensorThings wait for what has changed");
                    }
                    pause = (pause * 2).min(PAUSE);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                () = self.wake.notified() => {}
                goes_on = self.filters.changed() => {
                    if !goes_on {
                        return;
                    }
                    self.is_stale = true;
                }
            }
        }
    }

    /// Publishes what has changed since the mark.
    async fn look(&mut self, mark: &mut Option<S::Mark>) -> Result<(), StaUnavailable> {
        self.refresh();
        let Some(from) = mark.as_mut().filter(|_| !self.wanted.is_empty()) else {
            return self.skip(mark).await;
        };
        loop {
            while let Some(change) = self.page.front() {
                self.publish(change).await?;
                self.page.pop_front();
                // Rendering may never have to wait, and others want to go on.
                tokio::task::yield_now().await;
            }
            let (next, changes) = self.source.changes_since(Some(from.clone())).await?;
            *from = next;
            if changes.is_empty() {
                return Ok(());
            }
            self.page = changes.into();
            self.refresh();
        }
    }

    /// Goes to the mark of now, while nobody listens.
    async fn skip(&mut self, mark: &mut Option<S::Mark>) -> Result<(), StaUnavailable> {
        self.page.clear();
        let (now, _) = self.source.changes_since(None).await?;
        // Who subscribed meanwhile may have changed something before this mark.
        if mark.is_none() || !self.filters.has_changed() {
            *mark = Some(now);
        }
        Ok(())
    }

    /// Reads the filters that are new, and forgets those that are gone.
    fn refresh(&mut self) {
        if !self.is_stale && !self.filters.has_changed() {
            return;
        }
        self.is_stale = false;
        let all = self.filters.current();
        self.wanted.has_wildcards = all.iter().any(|filter| is_wildcard_of_sta(filter));
        let mut known = std::mem::take(&mut self.wanted.topics);
        for filter in all {
            let is_topic = StaTopic::of(&filter).is_some_and(|it| !it.has_wildcards());
            if is_topic {
                let read = known.remove(&filter).unwrap_or_else(|| self.read(&filter));
                self.wanted.topics.insert(filter, read);
            }
        }
    }

    fn read(&self, filter: &str) -> Option<(Topic, S::Filter)> {
        Some((Topic::new(filter)?, self.source.filter(filter)?))
    }

    async fn publish(&self, change: &S::Change) -> Result<(), StaUnavailable> {
        let plain: HashSet<String> = if self.wanted.has_wildcards {
            self.source.topics(change).into_iter().collect()
        } else {
            HashSet::new()
        };
        for (topic, filter) in self.wanted.topics.values().flatten() {
            let Some(payload) = self.source.render(filter, change).await? else {
                continue;
            };
            self.count();
            if plain.contains(&**topic) {
                let qos = QoS::AtLeastOnce;
                self.publisher.publish(topic, payload, qos, false);
            } else {
                // Not for wildcards: what those get must not depend on the filters of others.
                self.publisher.publish_to(topic, payload, QoS::AtLeastOnce);
            }
        }
        for topic in &plain {
            if !self.wanted.topics.contains_key(&**topic) && self.publisher.is_wanted(topic) {
                self.publish_plain(topic, change).await?;
            }
        }
        Ok(())
    }

    async fn publish_plain(&self, topic: &str, change: &S::Change) -> Result<(), StaUnavailable> {
        let Some((topic, filter)) = self.read(topic) else {
            return Ok(());
        };
        if let Some(payload) = self.source.render(&filter, change).await? {
            self.count();
            self.publisher
                .publish(&topic, payload, QoS::AtLeastOnce, false);
        }
        Ok(())
    }

    fn count(&self) {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
    }
}

impl<F> Wanted<F> {
    fn is_empty(&self) -> bool {
        !self.has_wildcards && self.topics.values().all(Option::is_none)
    }
}

/// Whether a filter with wildcards may take topics of SensorThings.
fn is_wildcard_of_sta(filter: &str) -> bool {
    let first = filter.split('/').next().unwrap_or_default();
    match StaTopic::of(filter) {
        Some(topic) => topic.has_wildcards(),
        None => ["#", "+", "sta"].contains(&first) && filter.contains(['#', '+']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_with_wildcards_that_may_take_topics_of_sensorthings_are_known() {
        for filter in [
            "#",
            "+/#",
            "+/Observations",
            "sta/#",
            "sta/+/Things",
            "v1.1/#",
        ] {
            assert!(is_wildcard_of_sta(filter), "{filter}");
        }
        for filter in ["smartem/#", "v1.1/Things", "sta/v1.1/Things", "a/+"] {
            assert!(!is_wildcard_of_sta(filter), "{filter}");
        }
    }
}
