//! The client that publishes: messages of our own to a broker of somebody else.

mod connection;
mod queue;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use queue::PublishError;

use self::queue::{Queue, Queued};
use crate::client::{Again, ConnectError, RemoteTls, Server};
use crate::incoming::Topic;

/// How messages are published to another broker.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// The host of the broker.
    pub host: String,
    /// Its port; usually 1883, or 8883 with TLS.
    pub port: u16,
    /// Whether, and by which certificates, the broker is known.
    pub tls: RemoteTls,
    /// The name to log in with.
    pub user: Option<String>,
    /// The file with the password. It is read for each connection.
    pub password_file: Option<PathBuf>,
    /// The client id, used by nobody else.
    pub client_id: String,
    /// Seconds after which a silent connection is looked after.
    pub keep_alive_s: u16,
    /// The largest packet, in bytes.
    pub max_packet_bytes: u32,
    /// The shortest and the longest time between two attempts to connect; it doubles in between.
    pub backoff: (Duration, Duration),
    /// So many messages wait for the broker, those included that it has not acknowledged.
    pub max_queued: usize,
    /// So many messages may be sent and not acknowledged yet.
    pub max_inflight: u16,
}

impl RemoteSettings {
    /// Settings with the usual values for what is not named.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            tls: RemoteTls::Off,
            user: None,
            password_file: None,
            client_id: client_id.into(),
            keep_alive_s: 60,
            max_packet_bytes: 1024 * 1024,
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            max_queued: 10_000,
            max_inflight: 100,
        }
    }

    fn server(&self) -> Server<'_> {
        Server {
            host: &self.host,
            port: self.port,
            tls: &self.tls,
            user: self.user.as_deref(),
            password_file: self.password_file.as_deref(),
            client_id: &self.client_id,
            keep_alive_s: self.keep_alive_s,
            max_packet_bytes: self.max_packet_bytes,
        }
    }
}

/// Publishes with QoS 1 to another broker, connected or trying to be. What the broker has not
/// acknowledged when a connection breaks is sent again on the next one: nothing is lost while the program
/// runs, and something may arrive twice. Dropped, it ends at once.
pub struct Remote {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    kill: DropGuard,
}

/// What the task and its handles share.
struct Shared {
    settings: RemoteSettings,
    queue: Queue,
    connected: AtomicBool,
    stop: CancellationToken,
    kill: CancellationToken,
}

/// Gives messages to a [`Remote`]; cheap to clone.
#[derive(Clone)]
pub struct RemotePublisher {
    shared: Arc<Shared>,
}

impl Remote {
    /// Begins to connect. A connection that breaks is made again, also when the broker was never there.
    ///
    /// # Errors
    /// When settings contradict each other or a file cannot be read.
    pub fn start(settings: RemoteSettings) -> Result<Self, ConnectError> {
        settings.server().check()?;
        let kill = CancellationToken::new();
        let shared = Arc::new(Shared {
            queue: Queue::new(settings.max_queued),
            settings,
            connected: AtomicBool::new(false),
            stop: CancellationToken::new(),
            kill: kill.clone(),
        });
        let task = tokio::spawn(run(shared.clone()));
        Ok(Self {
            shared,
            task,
            kill: kill.drop_guard(),
        })
    }

    /// What gives messages to it.
    pub fn publisher(&self) -> RemotePublisher {
        RemotePublisher {
            shared: self.shared.clone(),
        }
    }

    /// Whether it is connected.
    pub fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Takes no more messages, waits for the broker to acknowledge those that are there, and disconnects;
    /// how many were not acknowledged in this time.
    pub async fn stop(self, within: Duration) -> usize {
        self.shared.queue.close();
        let all = self.shared.queue.number();
        // In time or not, it ends.
        let _ = timeout(within, self.shared.queue.acknowledged_up_to(all)).await;
        self.shared.stop.cancel();
        // A task that panicked has nothing to stop.
        let _ = self.task.await;
        drop(self.kill);
        self.shared.queue.unacknowledged()
    }
}

impl RemotePublisher {
    /// Puts a message into the queue; its number, counted from 1.
    ///
    /// # Errors
    /// [`PublishError::Full`] while as many wait as may, [`PublishError::TooLarge`] for a message that no
    /// packet holds, and [`PublishError::Ended`].
    pub fn publish(&self, topic: Topic, payload: Bytes, retain: bool) -> Result<u64, PublishError> {
        let message = self.message(topic, payload, retain)?;
        self.shared.queue.push(message)
    }

    /// Puts a message into the queue as soon as there is room; its number, counted from 1.
    ///
    /// # Errors
    /// [`PublishError::TooLarge`] and [`PublishError::Ended`].
    pub async fn send(
        &self,
        topic: Topic,
        payload: Bytes,
        retain: bool,
    ) -> Result<u64, PublishError> {
        let message = self.message(topic, payload, retain)?;
        loop {
            match self.shared.queue.push(message.clone()) {
                Err(PublishError::Full) => self.shared.queue.room().await,
                done => return done,
            }
        }
    }

    /// So many messages are acknowledged, all from the first one on.
    pub fn acknowledged(&self) -> u64 {
        self.shared.queue.acknowledged()
    }

    /// Waits until the message of this number and all before it are acknowledged, or nothing more will be.
    pub async fn acknowledged_up_to(&self, number: u64) {
        tokio::select! {
            () = self.shared.queue.acknowledged_up_to(number) => {}
            () = self.shared.stop.cancelled() => {}
            () = self.shared.kill.cancelled() => {}
        }
    }

    /// How many messages are not acknowledged yet.
    pub fn unacknowledged(&self) -> usize {
        self.shared.queue.unacknowledged()
    }

    fn message(&self, topic: Topic, payload: Bytes, retain: bool) -> Result<Queued, PublishError> {
        /// Fixed header, length of the topic and packet id, in bytes.
        const HEADERS: usize = 9;
        let largest = usize::try_from(self.shared.settings.max_packet_bytes).unwrap_or(usize::MAX);
        if HEADERS + topic.len() + payload.len() > largest {
            return Err(PublishError::TooLarge);
        }
        Ok(Queued {
            topic,
            payload,
            retain,
        })
    }
}

async fn run(shared: Arc<Shared>) {
    let again = Again {
        server: (&shared.settings.host, shared.settings.port),
        backoff: shared.settings.backoff,
        connected: &shared.connected,
        stop: &shared.stop,
        kill: &shared.kill,
    };
    again.and_again(|| connection::connect(&shared)).await;
    shared.queue.close();
}
