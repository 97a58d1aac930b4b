//! The client: subscribed to topics of a broker of somebody else.

mod connection;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::connection::Ended;
use crate::broker::topic;
use crate::incoming::{Incoming, QoS};
use crate::tls::{self, TlsError};

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

/// Whether a connection is encrypted, and by what the other side is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteTls {
    /// Not encrypted.
    Off,
    /// By the certificates that the system trusts.
    System,
    /// By the certificates in this file (PEM).
    Roots(PathBuf),
}

impl SubscriptionSettings {
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

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// The filters cannot be subscribed to.
    #[error("`{filter}` is no topic filter: `+` and `#` stand alone in their level, `#` last")]
    NoFilter {
        /// The filter.
        filter: String,
    },
    /// No filters.
    #[error("there are no topics to subscribe to")]
    NoTopics,
    /// No client id.
    #[error("a client id is needed: the broker keeps messages under it")]
    NoClientId,
    /// A password without a user.
    #[error("a password needs a user")]
    NoUser,
    /// The file with the password cannot be read.
    #[error("{path}: {source}")]
    Password {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file with the certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificates of the system cannot be used.
    #[error("the certificates that the system trusts: {problem}")]
    SystemTls {
        /// Why not.
        problem: String,
    },
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
    ) -> Result<Self, SubscriptionError> {
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

fn check(settings: &SubscriptionSettings) -> Result<(), SubscriptionError> {
    if settings.client_id.is_empty() {
        return Err(SubscriptionError::NoClientId);
    }
    if settings.topics.is_empty() {
        return Err(SubscriptionError::NoTopics);
    }
    if let Some(filter) = settings.topics.iter().find(|it| !topic::is_filter(it)) {
        let filter = filter.clone();
        return Err(SubscriptionError::NoFilter { filter });
    }
    if settings.password_file.is_some() && settings.user.is_none() {
        return Err(SubscriptionError::NoUser);
    }
    connection::password(settings)?;
    if let RemoteTls::Roots(path) = &settings.tls {
        tls::client_config(path)?;
    }
    Ok(())
}

async fn run(shared: Arc<Shared>) {
    let (shortest, longest) = shared.settings.backoff;
    let mut pause = shortest;
    loop {
        let connection = connection::connect(&shared);
        let ended = shared.kill.run_until_cancelled(connection).await;
        shared.connected.store(false, Ordering::Relaxed);
        let server = (&*shared.settings.host, shared.settings.port);
        match ended {
            None | Some(Ended::Stopped) => return,
            Some(Ended::Broken {
                problem,
                was_connected,
            }) => {
                if was_connected {
                    pause = shortest;
                }
                tracing::warn!(?server, %problem, pause_s = pause.as_secs_f64(), "MQTT connection");
            }
        }
        // Not all clients of a broker come back at the same instant.
        let jitter = pause.mul_f64(rand::random_range(0.0..0.25));
        let wait = tokio::time::sleep(pause + jitter);
        tokio::select! {
            () = wait => {}
            () = shared.stop.cancelled() => return,
            () = shared.kill.cancelled() => return,
        }
        pause = (pause * 2).min(longest);
    }
}
