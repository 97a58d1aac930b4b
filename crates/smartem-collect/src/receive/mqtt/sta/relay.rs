use std::sync::Arc;
use std::time::Duration;

use smartem_mqtt::{PublishError, RemotePublisher, Topic};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::StaUnavailable;
use super::changes::{EVERY, PAUSE, StaChanges};

/// Publishes changed entities to another broker, each on its topics without options of a query: who
/// subscribes there is not known here.
///
/// Every change arrives at least once, in its order, as long as somebody keeps the confirmed mark and
/// begins with it the next time.
pub struct StaRelay<S: StaChanges> {
    source: Arc<S>,
    remote: RemotePublisher,
    confirmed: watch::Sender<Option<S::Mark>>,
    wake: Arc<Notify>,
    every: Duration,
}

/// Why a look ended early.
enum Ended {
    Unavailable(StaUnavailable),
    /// Nothing more is published to the other broker.
    Remote,
}

impl<S: StaChanges> StaRelay<S> {
    /// A relay of a service that begins after a mark; without one it begins now.
    pub fn new(source: Arc<S>, remote: RemotePublisher, from: Option<S::Mark>) -> Self {
        Self {
            source,
            remote,
            confirmed: watch::Sender::new(from),
            wake: Arc::default(),
            every: EVERY,
        }
    }

    /// Asks so often what has changed.
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Notified, the relay asks at once what has changed.
    pub fn waker(&self) -> Arc<Notify> {
        self.wake.clone()
    }

    /// The mark up to which the other broker has acknowledged everything.
    pub fn confirmed(&self) -> watch::Receiver<Option<S::Mark>> {
        self.confirmed.subscribe()
    }

    /// Publishes what changes until it is stopped, or nothing more is published to the other broker.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = self.every;
        loop {
            match stop.run_until_cancelled(self.look()).await {
                None | Some(Err(Ended::Remote)) => return,
                Some(Ok(())) => pause = self.every,
                Some(Err(Ended::Unavailable(error))) => {
                    if pause == self.every {
                        warn!(%error, "another broker waits for what has changed");
                    }
                    pause = (pause * 2).min(PAUSE);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                () = self.wake.notified() => {}
            }
        }
    }

    /// Publishes what has changed since the confirmed mark, and confirms it page by page.
    async fn look(&self) -> Result<(), Ended> {
        loop {
            let from = self.confirmed.borrow().clone();
            let asked = self.source.changes_since(from).await;
            let (next, changes) = asked.map_err(Ended::Unavailable)?;
            let mut newest = 0;
            for change in &changes {
                newest = self.publish(change).await?.unwrap_or(newest);
            }
            self.remote.acknowledged_up_to(newest).await;
            if self.remote.acknowledged() < newest {
                return Err(Ended::Remote);
            }
            self.confirmed.send_replace(Some(next));
            if changes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Publishes a change on its topics; the number of the last message, where there is one.
    async fn publish(&self, change: &S::Change) -> Result<Option<u64>, Ended> {
        let mut newest = None;
        for name in self.source.topics(change) {
            let Some((topic, filter)) = Topic::new(&name).zip(self.source.filter(&name)) else {
                continue;
            };
            let rendered = self.source.render(&filter, change).await;
            let Some(payload) = rendered.map_err(Ended::Unavailable)? else {
                continue;
            };
            match self.remote.send(topic, payload, false).await {
                Ok(number) => newest = Some(number),
                Err(PublishError::Ended) => return Err(Ended::Remote),
                // It will be no smaller the next time.
                Err(error) => warn!(topic = name, %error, "a change is not published"),
            }
        }
        Ok(newest)
    }
}
