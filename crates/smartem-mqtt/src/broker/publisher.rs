//! Messages of the program itself, and what subscribers want.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::watch;

use super::hub::Hub;
use super::router::Sent;
use super::session::Message;
use crate::incoming::{QoS, Topic};

/// Publishes messages of the program itself to the subscribers of a broker; cheap to clone.
///
/// Nothing here waits for a subscriber: whose queue is full does not get the message, as with those of
/// clients. The receiver of the broker gets none of these messages. When the broker has ended, nobody
/// gets them.
#[derive(Clone)]
pub struct Publisher {
    // Held, the hub would keep the way to the receiver open.
    hub: Weak<Hub>,
}

impl Publisher {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        Self {
            hub: Arc::downgrade(hub),
        }
    }

    /// Hands a message to whoever subscribed to its topic; how many have it in their queue. Retained, it
    /// is kept for later subscribers until a retained message without a payload comes.
    pub fn publish(&self, topic: &Topic, payload: Bytes, qos: QoS, retain: bool) -> usize {
        let Some(hub) = self.hub.upgrade() else {
            return 0;
        };
        let sent = Sent { topic, qos, retain };
        hub.hand_out(&sent, None, || Message::own(topic.0.clone(), payload))
    }

    /// Hands a message to those who subscribed to exactly this filter, which is its topic too; others
    /// whose filter would take it do not get it.
    pub fn publish_to(&self, filter: &Topic, payload: Bytes, qos: QoS) -> usize {
        let Some(hub) = self.hub.upgrade() else {
            return 0;
        };
        hub.hand_out_to(filter, Message::own(filter.0.clone(), payload), qos)
    }

    /// Whether anybody would get a message of this topic.
    pub fn is_wanted(&self, topic: &str) -> bool {
        let hub = self.hub.upgrade();
        hub.is_some_and(|hub| hub.is_wanted(topic))
    }

    /// The filters that there are subscriptions to.
    pub fn filters(&self) -> Filters {
        let hub = self.hub.upgrade();
        let changed = hub.map(|hub| hub.filters_changed.subscribe());
        Filters {
            hub: self.hub.clone(),
            // Of a broker that has ended, there is no change to wait for.
            changed: changed.unwrap_or_else(|| watch::channel(()).1),
        }
    }
}

/// The filters that there are subscriptions to, those of clients that are away included.
#[derive(Clone)]
pub struct Filters {
    hub: Weak<Hub>,
    changed: watch::Receiver<()>,
}

impl Filters {
    /// All of them, each once, in their order.
    pub fn current(&mut self) -> Vec<Arc<str>> {
        // Before they are read: what changes meanwhile is told.
        self.changed.mark_unchanged();
        let hub = self.hub.upgrade();
        hub.map(|hub| hub.filters()).unwrap_or_default()
    }

    /// Whether there may be other filters than [`Filters::current`] gave last.
    pub fn has_changed(&self) -> bool {
        self.changed.has_changed().unwrap_or(false)
    }

    /// Waits until there are other filters than [`Filters::current`] gave last; `false`: the broker has
    /// ended.
    pub async fn changed(&mut self) -> bool {
        self.changed.changed().await.is_ok()
    }
}
