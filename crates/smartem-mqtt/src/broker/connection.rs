//! One connection after its handshake.

use std::collections::VecDeque;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use bytes::BytesMut;
use bytestring::ByteString;
use rmqtt_codec::types::{Publish, QoS as Level};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::handshake::Accepted;
use super::hub::{Hub, count};
use super::packet::{Ending, Granted, Inbound, Wish, ending, qos};
use super::router::MAX_LEVELS;
use super::topic;
use crate::incoming::{Answer, Incoming, Outcome, QoS, Receipt, Refused, Topic};

/// A client that takes nothing for so long is gone.
const WRITE: Duration = Duration::from_secs(30);
/// So long messages that were taken in may become durable when the broker stops.
const FINISH: Duration = Duration::from_secs(5);
/// So long a client may take to read our last words.
const LINGER: Duration = Duration::from_secs(1);
/// The end of the connection comes so long after our last words.
const LAST_WORDS: Duration = Duration::from_millis(50);
/// So much is read and written at a time, in bytes.
const CHUNK: usize = 64 * 1024;

/// How a connection ends.
enum End {
    /// The client said so: its will is not published.
    Goodbye,
    /// The connection broke, or the client wants its will published.
    Broken,
    /// We end it.
    Ours(Ending),
}

impl From<rmqtt_codec::error::EncodeError> for End {
    fn from(error: rmqtt_codec::error::EncodeError) -> Self {
        tracing::debug!(%error, "a packet cannot be written");
        Self::Broken
    }
}

/// A message whose sender is not answered yet.
struct Pending {
    id: NonZeroU16,
    qos: QoS,
    outcome: Option<Outcome>,
}

pub(super) struct Connection<'a, S> {
    hub: &'a Hub,
    stream: S,
    it: Accepted,
    output: BytesMut,
    /// In the order of the messages, in which they are answered too (MQTT 3.1.1, 4.6).
    pending: VecDeque<Pending>,
    answers: mpsc::UnboundedReceiver<Answer>,
    answer: mpsc::UnboundedSender<Answer>,
    heard: Instant,
    told_forbidden: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    pub(super) fn new(hub: &'a Hub, stream: S, accepted: Accepted) -> Self {
        let (answer, answers) = mpsc::unbounded_channel();
        Self {
            hub,
            stream,
            it: accepted,
            output: BytesMut::new(),
            pending: VecDeque::new(),
            answers,
            answer,
            heard: Instant::now(),
            told_forbidden: false,
        }
    }

    /// Serves the client until the end.
    pub(super) async fn serve(mut self, stop: &CancellationToken) {
        let end = match self.exchange(stop).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let session = self.it.session.clone();
        match &end {
            End::Goodbye => self.it.will = None,
            End::Broken => {}
            End::Ours(why) => {
                if !matches!(why, Ending::Stopping | Ending::TakenOver) {
                    count(&self.hub.counters.faults, 1);
                    tracing::debug!(client = &*session.key.client, ?why, "connection ended");
                }
                if self.it.codec.disconnect(*why, &mut self.output).is_ok() {
                    let _ = self.flush().await;
                }
                if matches!(why, Ending::Stopping) {
                    self.it.will = None;
                }
            }
        }
        if let Some(will) = self.it.will.take() {
            self.publish_will(will).await;
        }
        if matches!(end, End::Ours(_)) {
            let _ = timeout(LINGER, self.linger()).await;
        }
        if session.detach(self.it.number, self.it.keep) {
            if self.it.keep.is_zero() {
                self.hub.remove(&session);
            }
        } else {
            self.hub.tidy(&session);
        }
    }

    /// Closes our side and reads on for a moment: bytes that nobody reads would make the system take
    /// back the answers that the client has not read yet. Some clients also forget answers that they
    /// read together with the end of the connection, so the end comes a little later.
    async fn linger(&mut self) -> std::io::Result<()> {
        if let Ok(gone) = timeout(LAST_WORDS, self.discard()).await {
            return gone;
        }
        self.stream.shutdown().await?;
        self.discard().await
    }

    async fn discard(&mut self) -> std::io::Result<()> {
        loop {
            self.it.input.clear();
            if self.stream.read_buf(&mut self.it.input).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn exchange(
        &mut self,
        stop: &CancellationToken,
    ) -> Result<std::convert::Infallible, End> {
        let mut finish: Option<Instant> = None;
        loop {
            let more = self.deliver()?;
            self.flush().await?;
            if finish.is_none() && self.take_in().await? || more {
                continue;
            }
            if finish.is_some() && self.pending.is_empty() {
                return Err(End::Ours(Ending::Stopping));
            }
            let reads = finish.is_none() && self.has_room();
            // While we do not read, silence is ours.
            let silent = finish.unwrap_or(if reads {
                self.heard + self.it.keep_alive
            } else {
                Instant::now() + self.it.keep_alive
            });
            tokio::select! {
                biased;
                () = self.it.taken_over.cancelled() => return Err(End::Ours(Ending::TakenOver)),
                () = stop.cancelled(), if finish.is_none() => finish = Some(Instant::now() + FINISH),
                Some(answer) = self.answers.recv() => self.answered(answer)?,
                () = self.it.session.wake.notified() => {}
                read = self.stream.read_buf(&mut self.it.input), if reads => match read {
                    Ok(length) if length > 0 => self.heard = Instant::now(),
                    _ => return Err(End::Broken),
                },
                () = sleep_until(silent) => return Err(End::Ours(match finish {
                    Some(_) => Ending::Stopping,
                    None => Ending::KeepAlive,
                })),
            }
        }
    }

    fn has_room(&self) -> bool {
        self.pending.len() < usize::from(self.hub.settings.max_inflight.max(1))
    }

    /// Writes what the session has for its client; whether there may be more.
    fn deliver(&mut self) -> Result<bool, End> {
        while self.output.len() < CHUNK {
            let Some(packet) = self.it.session.next(self.it.window) else {
                return Ok(false);
            };
            let id = packet.packet_id;
            let before = self.output.len();
            self.it.codec.publish(packet, &mut self.output)?;
            if self.output.len() - before > self.it.max_packet {
                // Larger than the client takes: it is as if it had been sent (MQTT 5, 3.1.2.11.4).
                self.output.truncate(before);
                count(&self.hub.counters.undelivered, 1);
                if let Some(id) = id {
                    self.it.session.acknowledged(id);
                }
            }
        }
        Ok(true)
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let written = timeout(WRITE, async {
            self.stream.write_all_buf(&mut self.output).await?;
            self.stream.flush().await
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Broken),
        }
    }

    /// Handles the packets that are here; whether there were any. Their messages go to the receiver
    /// together.
    async fn take_in(&mut self) -> Result<bool, End> {
        let mut batch = Vec::new();
        let mut any = false;
        let result = loop {
            if !self.has_room() || self.output.len() >= CHUNK {
                break Ok(());
            }
            match self.it.codec.decode(&mut self.it.input) {
                Ok(Some(packet)) => {
                    any = true;
                    if let Err(end) = self.handle(packet, &mut batch) {
                        break Err(end);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(End::Ours(ending(&error))),
            }
        };
        if !batch.is_empty() {
            count(&self.hub.counters.received, batch.len());
            if self.hub.sink.send(batch).await.is_err() {
                return Err(End::Ours(Ending::NotTaken));
            }
            self.heard = Instant::now();
        }
        result.map(|()| any)
    }

    fn handle(&mut self, packet: Inbound, batch: &mut Vec<Incoming>) -> Result<(), End> {
        match packet {
            Inbound::Publish(publish) => return self.publish(*publish, batch),
            Inbound::Acknowledged(id) => self.it.session.acknowledged(id),
            Inbound::Released(id) => {
                let known = self.it.session.release(id);
                self.it.codec.complete(id, known, &mut self.output)?;
            }
            Inbound::Subscribe(id, number, filters) => self.subscribe(id, number, &filters)?,
            Inbound::Unsubscribe(id, filters) => {
                let hub = self.hub;
                let existed: Vec<bool> = filters
                    .iter()
                    .map(|filter| hub.unsubscribe(&self.it.session, filter))
                    .collect();
                self.it.codec.unsubscribed(id, &existed, &mut self.output)?;
            }
            Inbound::Ping => self.it.codec.pong(&mut self.output)?,
            Inbound::Disconnect {
                with_will,
                expiry_s,
            } => {
                if let Some(seconds) = expiry_s {
                    // Where none was to be kept, none can be asked for now (MQTT 5, 3.14.2.2.2).
                    if !self.it.keep.is_zero() {
                        let asked = Duration::from_secs(u64::from(seconds));
                        self.it.keep = asked.min(self.hub.settings.session_expiry);
                    }
                }
                return Err(if with_will { End::Broken } else { End::Goodbye });
            }
            Inbound::Unexpected => return Err(End::Ours(Ending::Protocol)),
        }
        Ok(())
    }

    fn publish(&mut self, publish: Publish, batch: &mut Vec<Incoming>) -> Result<(), End> {
        let alias = publish.properties.as_ref().and_then(|it| it.topic_alias);
        if !topic::is_name(&publish.topic) || alias.is_some() {
            // We said that we take no aliases.
            return Err(End::Ours(Ending::Topic));
        }
        let qos = qos(publish.qos);
        let receipt = if let Some(id) = publish.packet_id {
            let known = qos == QoS::ExactlyOnce && self.it.session.remembers(id);
            self.pending.push_back(Pending {
                id,
                qos,
                outcome: known.then_some(Outcome::Durable),
            });
            if known {
                return self.answer_in_order();
            }
            Some(Receipt::new(id, qos, self.answer.clone()))
        } else {
            None
        };
        if !self.may_publish(&publish.topic) {
            if let Some(receipt) = receipt {
                receipt.refuse(Refused::NotAuthorized);
            }
            return Ok(());
        }
        if self.hub.authority.is_shared(&publish.topic) {
            self.hub.route(&publish, &self.it.session);
        }
        batch.push(self.incoming(publish, receipt));
        Ok(())
    }

    fn incoming(&self, publish: Publish, receipt: Option<Receipt>) -> Incoming {
        let key = &self.it.session.key;
        Incoming {
            qos: qos(publish.qos),
            again: publish.dup,
            topic: Topic(publish.topic),
            payload: publish.payload,
            kept: false,
            client: key.client.clone(),
            user: Some(key.user.clone()),
            receipt,
        }
    }

    fn may_publish(&mut self, topic: &str) -> bool {
        let key = &self.it.session.key;
        // Topics with `$` are the broker's own (MQTT 3.1.1, 4.7.2).
        if !topic.starts_with('$') && self.hub.authority.may_publish(&key.user, topic) {
            return true;
        }
        count(&self.hub.counters.forbidden, 1);
        if !self.told_forbidden {
            self.told_forbidden = true;
            tracing::warn!(
                client = &*key.client,
                user = &*key.user,
                topic,
                "may not publish to this topic; its messages are left out"
            );
        }
        false
    }

    /// Notes an answer, and those that follow and are here.
    fn answered(&mut self, answer: Answer) -> Result<(), End> {
        let mut next = Some(answer);
        while let Some(answer) = next {
            if matches!(answer.outcome, Outcome::Lost) {
                return Err(End::Ours(Ending::NotTaken));
            }
            let waiting = |it: &&mut Pending| {
                it.id == answer.id && it.qos == answer.qos && it.outcome.is_none()
            };
            if let Some(pending) = self.pending.iter_mut().find(waiting) {
                pending.outcome = Some(answer.outcome);
            }
            next = self.answers.try_recv().ok();
        }
        // Whoever waits for us is not silent.
        self.heard = Instant::now();
        self.answer_in_order()
    }

    fn answer_in_order(&mut self) -> Result<(), End> {
        while let Some(Pending {
            id,
            qos,
            outcome: Some(outcome),
        }) = self.pending.front()
        {
            // A refusal of MQTT 5 ends the exchange; MQTT 3.1.1 knows none and goes on.
            let goes_on = matches!(outcome, Outcome::Durable) || !self.it.codec.is_v5();
            if *qos == QoS::ExactlyOnce && goes_on {
                self.it.session.remember(*id);
            }
            let codec = &mut self.it.codec;
            codec.arrived(*id, *qos, *outcome, &mut self.output)?;
            self.pending.pop_front();
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        id: NonZeroU16,
        number: Option<NonZeroU32>,
        filters: &[(ByteString, Wish)],
    ) -> Result<(), End> {
        let mut granted = Vec::with_capacity(filters.len());
        for (filter, wish) in filters {
            granted.push(self.grant(filter, *wish, number));
        }
        self.it.codec.subscribed(id, &granted, &mut self.output)?;
        Ok(())
    }

    fn grant(&self, filter: &str, wish: Wish, number: Option<NonZeroU32>) -> Granted {
        if filter.starts_with("$share/") {
            return Granted::Shared;
        }
        if !topic::is_filter(filter) || filter.split('/').count() > MAX_LEVELS {
            return Granted::Invalid;
        }
        let session = &self.it.session;
        if !self.hub.authority.may_subscribe(&session.key.user, filter) {
            return Granted::NotAuthorized;
        }
        let qos = wish.qos.min(QoS::AtLeastOnce);
        let wish = Wish { qos, ..wish };
        if self.hub.subscribe(session, filter, wish, number) {
            Granted::Yes(qos)
        } else {
            Granted::TooMany
        }
    }

    async fn publish_will(&mut self, mut will: Publish) {
        if !topic::is_name(&will.topic) || !self.may_publish(&will.topic) {
            return;
        }
        if self.hub.authority.is_shared(&will.topic) {
            self.hub.route(&will, &self.it.session);
        }
        // Nobody waits for an answer.
        will.qos = Level::AtMostOnce;
        let message = self.incoming(will, None);
        let _ = self.hub.sink.send(vec![message]).await;
    }
}
