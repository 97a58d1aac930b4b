//! What both the broker and the client hand on.

use std::fmt;
use std::num::NonZeroU16;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use tokio::sync::mpsc;

/// How surely a message is delivered (MQTT 3.1.1, 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// 0: at most once.
    AtMostOnce,
    /// 1: at least once.
    AtLeastOnce,
    /// 2: exactly once.
    ExactlyOnce,
}

/// The name of a topic: valid UTF-8, not empty, without wildcards.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Topic(pub(crate) ByteString);

impl Topic {
    /// The topic of this name, or `None` where it cannot be one (MQTT 3.1.1, 4.7).
    pub fn new(name: &str) -> Option<Self> {
        crate::broker::topic::is_name(name).then(|| Self(name.into()))
    }
}

impl Deref for Topic {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// A message that somebody published.
#[derive(Debug)]
pub struct Incoming {
    /// The topic.
    pub topic: Topic,
    /// The payload. It shares memory with its neighbours: copy what is kept for long.
    pub payload: Bytes,
    /// The QoS with which it came.
    pub qos: QoS,
    /// Whether the sender may have sent it before, and did not hear that it had arrived (DUP).
    pub again: bool,
    /// Whether another broker had kept it for new subscribers: nobody knows how old it is.
    pub kept: bool,
    /// The client id of the publisher; of a [`Subscription`](crate::Subscription) its own.
    pub client: Arc<str>,
    /// Who published, as the [`Authority`](crate::Authority) named it; `None` where another broker
    /// has checked that.
    pub user: Option<Arc<str>>,
    /// To be answered for QoS 1 and 2.
    pub receipt: Option<Receipt>,
}

/// Why a receiver does not want a message, now or ever; the sender is told that it has arrived, so
/// that it does not send it for ever, and MQTT 5 tells it why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The payload cannot be understood.
    Payload,
    /// The sender may not send this.
    NotAuthorized,
}

/// What tells the sender of a message that it has arrived.
///
/// Dropped without an answer, the connection is closed, and the sender will send the message again
/// when it is back. Receipts of one connection should be answered in the order of their messages
/// (MQTT 3.1.1, 4.6).
pub struct Receipt {
    id: NonZeroU16,
    qos: QoS,
    answers: Option<mpsc::UnboundedSender<Answer>>,
}

/// The answer to one message of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) id: NonZeroU16,
    pub(crate) qos: QoS,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Durable,
    Refused(Refused),
    Lost,
}

impl Receipt {
    pub(crate) fn new(id: NonZeroU16, qos: QoS, answers: mpsc::UnboundedSender<Answer>) -> Self {
        Self {
            id,
            qos,
            answers: Some(answers),
        }
    }

    /// The message is where it cannot get lost any more.
    pub fn confirm(self) {
        self.answer(Outcome::Durable);
    }

    /// The message is not wanted.
    pub fn refuse(self, why: Refused) {
        self.answer(Outcome::Refused(why));
    }

    fn answer(mut self, outcome: Outcome) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: Outcome) {
        if let Some(answers) = self.answers.take() {
            let (id, qos) = (self.id, self.qos);
            // A closed channel is a connection that is gone: its client sends the message again.
            let _ = answers.send(Answer { id, qos, outcome });
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.send(Outcome::Lost);
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({})", self.id)
    }
}
