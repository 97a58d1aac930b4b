//! The messages that the broker has not acknowledged, in their order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use crate::incoming::Topic;

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// As many messages wait as may.
    #[error("too many messages wait for the broker")]
    Full,
    /// It does not fit into a packet.
    #[error("the message is larger than a packet may be")]
    TooLarge,
    /// Nothing is published any more.
    #[error("nothing more is published to the broker")]
    Ended,
}

#[derive(Clone)]
pub(super) struct Queued {
    pub(super) topic: Topic,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
}

pub(super) struct Queue {
    most: usize,
    state: Mutex<State>,
    /// Woken when there is something new to send.
    pub(super) wake: Notify,
    /// How many messages were acknowledged.
    acknowledged: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Queued>,
    /// The number of the newest message.
    number: u64,
    closed: bool,
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            state: Mutex::default(),
            wake: Notify::new(),
            acknowledged: watch::Sender::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, message: Queued) -> Result<u64, PublishError> {
        let mut state = self.state();
        if state.closed {
            return Err(PublishError::Ended);
        }
        if state.waiting.len() >= self.most {
            return Err(PublishError::Full);
        }
        state.waiting.push_back(message);
        state.number += 1;
        let number = state.number;
        drop(state);
        self.wake.notify_one();
        Ok(number)
    }

    /// Takes no more messages, and lets nobody wait for room.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.acknowledged.send_modify(|_| {});
    }

    /// The message at a place, counted from the oldest that is not acknowledged.
    pub(super) fn at(&self, place: usize) -> Option<Queued> {
        self.state().waiting.get(place).cloned()
    }

    /// The oldest message was acknowledged.
    pub(super) fn pop(&self) {
        if self.state().waiting.pop_front().is_some() {
            self.acknowledged.send_modify(|number| *number += 1);
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.state().number
    }

    pub(super) fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.state().waiting.len()
    }

    /// Waits until so many are acknowledged.
    pub(super) async fn acknowledged_up_to(&self, number: u64) {
        let mut acknowledged = self.acknowledged.subscribe();
        // The sender is ours and lives on.
        let _ = acknowledged.wait_for(|it| *it >= number).await;
    }

    /// Waits until there is room, or nothing more is taken.
    pub(super) async fn room(&self) {
        let mut acknowledged = self.acknowledged.subscribe();
        let has_room = |_: &u64| {
            let state = self.state();
            state.closed || state.waiting.len() < self.most
        };
        let _ = acknowledged.wait_for(has_room).await;
    }
}
