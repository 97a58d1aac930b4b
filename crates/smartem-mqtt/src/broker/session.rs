//! What the broker remembers of a client, also while it is away.

use std::collections::{HashSet, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use rmqtt_codec::types::Publish;
use rmqtt_codec::v5::PublishProperties;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::incoming::QoS;

/// So long a new session waits for its connection.
const NEW: Duration = Duration::from_secs(60);

/// A session belongs to a user and a client id: nobody takes over the session of another user.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) user: Arc<str>,
    pub(super) client: Arc<str>,
}

pub(super) struct Session {
    pub(super) key: SessionKey,
    /// Woken when there is something to send.
    pub(super) wake: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    filters: HashSet<Box<str>>,
    waiting: VecDeque<Delivery>,
    /// Sent before the last connection broke, and not acknowledged.
    again: VecDeque<(NonZeroU16, Delivery)>,
    sent: VecDeque<(NonZeroU16, Delivery)>,
    last_id: u16,
    /// Messages of QoS 2 that have arrived and are not released yet.
    arrived: HashSet<NonZeroU16>,
    connection: Option<(u64, CancellationToken)>,
    connections: u64,
    /// When the last connection ended, and how long the session lives on.
    ended: Option<(Instant, Duration)>,
    /// Whether the session is in the log.
    noted: bool,
}

/// A message on its way to one subscriber.
#[derive(Clone)]
pub(super) struct Delivery {
    pub(super) message: Arc<Message>,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// The numbers that the subscriber gave to the filters (MQTT 5).
    pub(super) ids: Vec<NonZeroU32>,
}

/// What all subscribers get. It has memory of its own: payloads from the network share theirs.
pub(super) struct Message {
    topic: ByteString,
    payload: Bytes,
    properties: Option<PublishProperties>,
    expires: Option<Instant>,
}

impl Message {
    pub(super) fn of(publish: &Publish) -> Self {
        let properties = publish.properties.as_ref().map(own_properties);
        let expires = properties.as_ref().and_then(|it| {
            let seconds = it.message_expiry_interval?.get();
            Some(Instant::now() + Duration::from_secs(u64::from(seconds)))
        });
        Self {
            topic: ByteString::from(&*publish.topic),
            payload: Bytes::copy_from_slice(&publish.payload),
            properties,
            expires,
        }
    }

    /// A message of the program itself, whose payload is its own already.
    pub(super) fn own(topic: ByteString, payload: Bytes) -> Self {
        Self {
            topic,
            payload,
            properties: None,
            expires: None,
        }
    }

    pub(super) fn topic(&self) -> &ByteString {
        &self.topic
    }

    pub(super) fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }
}

/// Properties that go with a message; an alias and numbers of filters are of one connection only.
fn own_properties(it: &PublishProperties) -> PublishProperties {
    let copy = |text: &ByteString| ByteString::from(&**text);
    PublishProperties {
        topic_alias: None,
        correlation_data: it.correlation_data.as_deref().map(Bytes::copy_from_slice),
        message_expiry_interval: it.message_expiry_interval,
        content_type: it.content_type.as_ref().map(copy),
        user_properties: it
            .user_properties
            .iter()
            .map(|(name, value)| (copy(name), copy(value)))
            .collect(),
        is_utf8_payload: it.is_utf8_payload,
        response_topic: it.response_topic.as_ref().map(copy),
        subscription_ids: Vec::new(),
    }
}

impl Delivery {
    /// The packet, or `None` where the message has expired.
    fn packet(&self, packet_id: Option<NonZeroU16>, dup: bool) -> Option<Publish> {
        let message = &self.message;
        let mut properties = message.properties.clone().unwrap_or_default();
        if let Some(expires) = message.expires {
            let left = expires.checked_duration_since(Instant::now())?;
            let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).max(1);
            properties.message_expiry_interval = NonZeroU32::new(seconds);
        }
        properties.subscription_ids.clone_from(&self.ids);
        Some(Publish {
            dup,
            retain: self.retain,
            qos: match packet_id {
                Some(_) => rmqtt_codec::types::QoS::AtLeastOnce,
                None => rmqtt_codec::types::QoS::AtMostOnce,
            },
            topic: message.topic.clone(),
            packet_id,
            payload: message.payload.clone(),
            properties: Some(properties),
        })
    }
}

impl Session {
    /// A session that nobody is connected to yet.
    pub(super) fn new(key: SessionKey) -> Self {
        let state = State {
            ended: Some((Instant::now(), NEW)),
            ..State::default()
        };
        Self {
            key,
            wake: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// A session that was there before a restart.
    pub(super) fn from_before(key: SessionKey, keep: Duration) -> Self {
        let session = Self::new(key);
        let mut state = session.state();
        state.ended = Some((Instant::now(), keep));
        state.noted = true;
        drop(state);
        session
    }

    /// Marks the session as noted in the log; whether it was not yet, and has no subscriptions.
    pub(super) fn note(&self) -> bool {
        let mut state = self.state();
        state.filters.is_empty() && !std::mem::replace(&mut state.noted, true)
    }

    /// Takes the mark away; whether it was there.
    pub(super) fn unnote(&self) -> bool {
        std::mem::take(&mut self.state().noted)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a connection, ending the one before; its number, and what tells it to end.
    pub(super) fn attach(&self) -> (u64, CancellationToken) {
        let mut state = self.state();
        if let Some((_, other)) = state.connection.take() {
            other.cancel();
        }
        state.connections += 1;
        state.ended = None;
        let unacknowledged = std::mem::take(&mut state.sent);
        state.again.extend(unacknowledged);
        let token = CancellationToken::new();
        let connection = (state.connections, token.clone());
        state.connection = Some(connection);
        (state.connections, token)
    }

    /// Ends a connection; whether it was the last one, and not taken over.
    pub(super) fn detach(&self, connection: u64, keep: Duration) -> bool {
        let mut state = self.state();
        if state.connection.as_ref().map(|(number, _)| *number) != Some(connection) {
            return false;
        }
        state.connection = None;
        state.ended = Some((Instant::now(), keep));
        // A message of QoS 0 is for those who are there.
        state.waiting.retain(|it| it.qos != QoS::AtMostOnce);
        true
    }

    /// Tells a connection to end.
    pub(super) fn end(&self) {
        if let Some((_, token)) = self.state().connection.take() {
            token.cancel();
        }
    }

    /// When the last connection ended, where nobody is connected.
    pub(super) fn away_since(&self) -> Option<Instant> {
        self.state().ended.map(|(ended, _)| ended)
    }

    /// Whether nobody is connected, and has not been for too long.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        let ended = self.state().ended;
        ended.is_some_and(|(ended, keep)| now.duration_since(ended) >= keep)
    }

    /// Puts a message into the queue, up to `limit` messages; whether it is there.
    pub(super) fn offer(&self, delivery: Delivery, limit: usize) -> bool {
        let mut state = self.state();
        if state.connection.is_none() && delivery.qos == QoS::AtMostOnce {
            return true;
        }
        if state.waiting.len() >= limit {
            return false;
        }
        state.waiting.push_back(delivery);
        drop(state);
        self.wake.notify_one();
        true
    }

    /// The next message to send, with at most `window` of QoS 1 unacknowledged.
    pub(super) fn next(&self, window: usize) -> Option<Publish> {
        let mut state = self.state();
        loop {
            if state.sent.len() >= window {
                // QoS 0 behind QoS 1 waits too: messages keep their order.
                return None;
            }
            if let Some((id, delivery)) = state.again.pop_front() {
                if let Some(packet) = delivery.packet(Some(id), true) {
                    state.sent.push_back((id, delivery));
                    return Some(packet);
                }
                continue;
            }
            let delivery = state.waiting.pop_front()?;
            if delivery.qos == QoS::AtMostOnce {
                if let Some(packet) = delivery.packet(None, false) {
                    return Some(packet);
                }
                continue;
            }
            let id = state.next_id();
            if let Some(packet) = delivery.packet(Some(id), false) {
                state.sent.push_back((id, delivery));
                return Some(packet);
            }
        }
    }

    /// The subscriber has a message of QoS 1.
    pub(super) fn acknowledged(&self, id: NonZeroU16) {
        let mut state = self.state();
        if let Some(place) = state.sent.iter().position(|(it, _)| *it == id) {
            state.sent.remove(place);
        }
    }

    /// Remembers a message of QoS 2 that has arrived.
    pub(super) fn remember(&self, id: NonZeroU16) {
        self.state().arrived.insert(id);
    }

    /// Whether a message of QoS 2 has arrived before.
    pub(super) fn remembers(&self, id: NonZeroU16) -> bool {
        self.state().arrived.contains(&id)
    }

    /// Forgets a message of QoS 2; whether it was known.
    pub(super) fn release(&self, id: NonZeroU16) -> bool {
        self.state().arrived.remove(&id)
    }

    /// Notes a filter, unless there are too many; whether it is new, or `None` for too many.
    pub(super) fn add_filter(&self, filter: &str, limit: usize) -> Option<bool> {
        let mut state = self.state();
        if state.filters.contains(filter) {
            return Some(false);
        }
        if state.filters.len() >= limit {
            return None;
        }
        state.filters.insert(filter.into());
        Some(true)
    }

    /// Forgets a filter; whether it was known.
    pub(super) fn remove_filter(&self, filter: &str) -> bool {
        self.state().filters.remove(filter)
    }

    /// All filters, which are forgotten.
    pub(super) fn take_filters(&self) -> HashSet<Box<str>> {
        std::mem::take(&mut self.state().filters)
    }
}

impl State {
    fn next_id(&mut self) -> NonZeroU16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if let Some(id) = NonZeroU16::new(self.last_id)
                && !self.sent.iter().any(|(it, _)| *it == id)
            {
                return id;
            }
        }
    }
}
