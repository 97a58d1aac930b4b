//! The embedded broker.

mod authority;
mod connection;
mod door;
mod handshake;
mod hub;
mod packet;
mod publisher;
mod router;
mod session;
mod session_log;
pub(crate) mod topic;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use authority::{Authority, Login, LoginRefused};
pub use door::{Door, Place};
pub use publisher::{Filters, Publisher};

use self::hub::Hub;
use crate::incoming::Incoming;
use crate::tls::{Acceptor, TlsError, TlsFiles};

/// So long a client may take to log in.
const LOGIN: Duration = Duration::from_secs(10);
/// So long connections may take to end when the broker stops.
const STOP: Duration = Duration::from_secs(10);
/// So often sessions are looked through for expired ones.
const EXPIRE: Duration = Duration::from_secs(10);

/// How a broker is started.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Where it listens without TLS; port 0 stands for any free one.
    pub listen: Option<SocketAddr>,
    /// Where it listens with TLS, and the files for it. They are read again when they have changed.
    pub listen_tls: Option<(SocketAddr, TlsFiles)>,
    /// So many connections at a time, those that are logging in included.
    pub max_connections: usize,
    /// So many of them of guests ([`Authority::is_guest`]).
    pub max_guests: usize,
    /// So many subscriptions of all guests together: each costs whoever publishes work.
    pub max_guest_subscriptions: usize,
    /// The largest packet, in bytes.
    pub max_packet_bytes: u32,
    /// So many messages of QoS 1 and 2 of a connection may wait for their answer, in each direction;
    /// then nothing more is read.
    pub max_inflight: u16,
    /// The longest keep-alive in seconds. A client that is silent for one and a half times its own is
    /// gone.
    pub max_keep_alive_s: u16,
    /// So many sessions, those of clients that are away included.
    pub max_sessions: usize,
    /// So long a session outlives its connection, where the client wants one to.
    pub session_expiry: Duration,
    /// The file in which it is noted which clients have a session, so that a restart does not make
    /// them forget what they have sent. `None`: a restart ends all sessions.
    pub session_file: Option<PathBuf>,
    /// So many messages wait for one subscriber; further ones are left out for it.
    pub max_queued: usize,
    /// So many retained messages; further ones are not retained.
    pub max_retained: usize,
}

impl Default for BrokerSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 1883))),
            listen_tls: None,
            max_connections: 1_000,
            max_guests: 500,
            max_guest_subscriptions: 5_000,
            max_packet_bytes: 1024 * 1024,
            max_inflight: 1_000,
            max_keep_alive_s: 3_600,
            max_sessions: 10_000,
            session_expiry: Duration::from_secs(24 * 3_600),
            session_file: None,
            max_queued: 1_000,
            max_retained: 10_000,
        }
    }
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; choose another address or stop who has it")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of sessions cannot be used.
    #[error("{path}: {source}")]
    Sessions {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither an address without TLS nor one with it.
    #[error("the broker has no address to listen on")]
    NoAddress,
}

/// What a broker has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerCounts {
    /// Connections accepted.
    pub connections: u64,
    /// Connections turned away because there were too many.
    pub turned_away: u64,
    /// Logins refused.
    pub logins_refused: u64,
    /// Messages handed to the receiver.
    pub received: u64,
    /// Messages left out because their sender may not publish to the topic.
    pub forbidden: u64,
    /// Connections ended because of what the client sent, or did not send in time.
    pub faults: u64,
    /// Messages that a subscriber did not get because its queue was full or the message too large for
    /// it, and messages that were not retained.
    pub undelivered: u64,
}

/// What a broker is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerState {
    /// Connections, those that are logging in included.
    pub connections: usize,
    /// Connections of guests.
    pub guests: usize,
    /// Subscriptions, those of clients that are away included.
    pub subscriptions: usize,
    /// What it has done.
    pub counts: BrokerCounts,
}

/// A running broker. Dropped, it ends its connections at once.
pub struct Broker {
    hub: Arc<Hub>,
    address: Option<SocketAddr>,
    tls_address: Option<SocketAddr>,
    door: Door,
    stop: CancellationToken,
    places: Arc<Semaphore>,
    kill: DropGuard,
}

impl Broker {
    /// Starts listening. Messages go to `sink`, those that were read together together; while it is
    /// full, nothing is read. A closed sink ends every connection that publishes.
    ///
    /// # Errors
    /// When an address is taken or a file for TLS cannot be used.
    pub async fn start(
        settings: BrokerSettings,
        authority: Arc<dyn Authority>,
        sink: mpsc::Sender<Vec<Incoming>>,
    ) -> Result<Self, BrokerError> {
        let plain = match settings.listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let tls = match &settings.listen_tls {
            Some((address, files)) => {
                Some((listen(*address).await?, Acceptor::new(files.clone())?))
            }
            None => None,
        };
        if plain.is_none() && tls.is_none() {
            return Err(BrokerError::NoAddress);
        }
        let most = settings.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(most));
        let path = settings.session_file.clone().unwrap_or_default();
        let hub = Hub::new(settings, authority, sink)
            .map_err(|source| BrokerError::Sessions { path, source })?;
        let hub = Arc::new(hub);
        let kill = CancellationToken::new();
        let stop = CancellationToken::new();
        let door = Door {
            hub: Arc::downgrade(&hub),
            places: places.clone(),
            stop: stop.clone(),
            kill: kill.clone(),
        };
        let run = |socket, acceptor| {
            let door = door.clone();
            let listener = Listener { door, acceptor };
            tokio::spawn(Arc::new(listener).run(socket));
        };
        let address = plain.map(|(socket, address)| {
            run(socket, None);
            address
        });
        let tls_address = tls.map(|((socket, address), acceptor)| {
            run(socket, Some(acceptor));
            address
        });
        tokio::spawn(expire(hub.clone(), kill.clone()));
        Ok(Self {
            hub,
            address,
            tls_address,
            door,
            stop,
            places,
            kill: kill.drop_guard(),
        })
    }

    /// Where it listens without TLS.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where it listens with TLS.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// What it has done.
    pub fn counts(&self) -> BrokerCounts {
        self.hub.counters.snapshot()
    }

    /// How many connections there are now.
    pub fn connected(&self) -> usize {
        self.hub.connected(&self.places)
    }

    /// Tells what the broker is busy with, to somebody who does not have it; `None` once it has ended.
    pub fn state(&self) -> impl Fn() -> Option<BrokerState> + Send + Sync + use<> {
        // Held, the hub would keep the way to the receiver open.
        let (hub, places) = (Arc::downgrade(&self.hub), self.places.clone());
        move || {
            let hub = hub.upgrade()?;
            Some(BrokerState {
                connections: hub.connected(&places),
                guests: hub.guests(),
                subscriptions: hub.subscriptions(),
                counts: hub.counters.snapshot(),
            })
        }
    }

    /// How many subscriptions there are, those of clients that are away included.
    pub fn subscriptions(&self) -> usize {
        self.hub.subscriptions()
    }

    /// Where clients come in that do not come to its addresses, such as those over WebSocket.
    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// What publishes messages of the program itself.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(&self.hub)
    }

    /// Stops listening and reading, answers the messages that became durable within some seconds, and
    /// ends the connections. The receiver must go on meanwhile.
    pub async fn stop(self) {
        self.stop.cancel();
        let all = u32::try_from(self.hub.settings.max_connections.max(1)).unwrap_or(u32::MAX);
        if timeout(STOP, self.places.acquire_many(all)).await.is_err() {
            tracing::warn!("some MQTT connections did not end in time");
        }
        drop(self.kill);
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BrokerError> {
    let failed = |source| BrokerError::Listen { address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok((socket, address))
}

async fn expire(hub: Arc<Hub>, kill: CancellationToken) {
    let mut ticks = interval(EXPIRE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while kill.run_until_cancelled(ticks.tick()).await.is_some() {
        hub.expire(Instant::now());
    }
}

struct Listener {
    door: Door,
    acceptor: Option<Acceptor>,
}

impl Listener {
    async fn run(self: Arc<Self>, socket: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.door.stop.cancelled() => return,
                () = self.door.kill.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(problem) => {
                    tracing::warn!(%problem, "cannot accept an MQTT connection");
                    // Usually there are too many open files: that does not pass at once.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(place) = self.door.enter() else {
                continue;
            };
            let listener = self.clone();
            tokio::spawn(async move {
                // TLS makes it large.
                Box::pin(listener.welcome(place, stream, peer)).await;
            });
        }
    }

    async fn welcome(&self, place: Place, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &self.acceptor else {
            return place.serve(stream, peer, false).await;
        };
        let accepted = timeout(LOGIN, acceptor.current().accept(stream));
        match place.kill().run_until_cancelled(accepted).await {
            Some(Ok(Ok(stream))) => place.serve(stream, peer, true).await,
            Some(_) => place.count_fault(),
            None => {}
        }
    }
}
