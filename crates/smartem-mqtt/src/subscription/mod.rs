//! The client: subscribed to topics of a broker of somebody else.

mod connection;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::broker::topic;
use crate::client::{Again, ConnectError, RemoteTls, Server};
use crate::incoming::{Incoming, QoS};

/// How a subscription is started.
#[derive(Clone, Debug)]
pub struct SubscriptionSettings {
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
    /// The client id. The broker keeps messages for it while we are away, so it must stay the same
    /// and be used by nobody else.
    pub client_id: String,
    /// The filters to subscribe to.
    pub topics: Vec<String>,
    /// The QoS to ask for; 2 is taken as 1.
    pub qos: QoS,
    /// Seconds after which a silent connection is looked after.
    pub keep_alive_s: u16,
    /// The largest packet, in bytes.
    pub max_packet_bytes: u32,
    /// The shortest and the longest time between two attempts to connect; it doubles in between.
    pub backoff: (Duration, Duration),
}

impl SubscriptionSettings {
    pub(crate) fn server(&self) -> Server<'_> {
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

    /// Settings with the usual values for what is not named.
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            tls: RemoteTls::Off,
            user: None,
            password_file: None,
            client_id: client_id.into(),
            topics: Vec::new(),
            qos: QoS::AtLeastOnce,
            keep_alive_s: 60,
            max_packet_bytes: 1024 * 1024,
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
        }
    }
}

/// A running subscription, connected or trying to be. Dropped, it ends at once.
pub struct Subscription {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    kill: DropGuard,
}

/// What the task and its handle share.
struct Shared {
    settings: SubscriptionSettings,
    sink: mpsc::Sender<Vec<Incoming>>,
    connected: AtomicBool,
    received: AtomicU64,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Subscription {
    /// Begins to connect; messages go to `sink`. QoS 1 is acknowledged when the receipt is
    /// confirmed. A connection that breaks is made again, also when the broker was never there.
    ///
    /// # Errors
    /// When settings contradict each other or a file cannot be read.
    pub fn start(
        settings: SubscriptionSettings,
        sink: mpsc::Sender<Vec<Incoming>>,
    ) -> Result<Self, ConnectError> {
        check(&settings)?;
        let kill = CancellationToken::new();
        let shared = Arc::new(Shared {
            settings,
            sink,
            connected: AtomicBool::new(false),
            received: AtomicU64::new(0),
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

    /// Whether it is connected and subscribed.
    pub fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// [`Subscription::is_connected`] for somebody who does not have it; not connected once it has ended.
    pub fn connection(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        // Held, it would keep the way to the receiver open.
        let shared = Arc::downgrade(&self.shared);
        move || {
            let shared = shared.upgrade();
            shared.is_some_and(|it| it.connected.load(Ordering::Relaxed))
        }
    }

    /// How many messages it has received.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// Acknowledges what becomes durable within some seconds, and disconnects. The broker keeps what
    /// is not acknowledged, and what comes later, for the next start.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        // A task that panicked has nothing to stop.
        let _ = self.task.await;
        drop(self.kill);
    }
}

fn check(settings: &SubscriptionSettings) -> Result<(), ConnectError> {
    if settings.topics.is_empty() {
        return Err(ConnectError::NoTopics);
    }
    if let Some(filter) = settings.topics.iter().find(|it| !topic::is_filter(it)) {
        let filter = filter.clone();
        return Err(ConnectError::NoFilter { filter });
    }
    settings.server().check()
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
}
