//! How a connection, whatever carries its bytes, becomes a client.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::hub::{Hub, count};
use super::{LOGIN, handshake};

/// Lets clients in whose bytes come over something else than the addresses of the broker; cheap to
/// clone. They are in every way like the others.
#[derive(Clone)]
pub struct Door {
    // Held, the hub would keep the way to the receiver open.
    pub(super) hub: Weak<Hub>,
    pub(super) places: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
    pub(super) kill: CancellationToken,
}

/// The place of one connection; given back when it is dropped.
pub struct Place {
    hub: Arc<Hub>,
    stop: CancellationToken,
    kill: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Door {
    /// A place for one more connection; `None` when there are too many, or the broker has stopped.
    pub fn enter(&self) -> Option<Place> {
        let hub = self.hub.upgrade()?;
        if self.stop.is_cancelled() || self.kill.is_cancelled() {
            return None;
        }
        let Ok(permit) = self.places.clone().try_acquire_owned() else {
            count(&hub.counters.turned_away, 1);
            return None;
        };
        Some(Place {
            hub,
            stop: self.stop.clone(),
            kill: self.kill.clone(),
            _permit: permit,
        })
    }
}

impl Place {
    /// The largest packet that a client may send, in bytes.
    pub fn max_packet_bytes(&self) -> u32 {
        self.hub.settings.max_packet_bytes
    }

    /// Serves a client until the end: its login, which may take 10 s, and what follows. `encrypted` is
    /// whether the bytes are protected on their way.
    pub async fn serve<S>(self, stream: S, peer: SocketAddr, encrypted: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let client = self.serve_until_stopped(stream, peer, encrypted);
        self.kill.run_until_cancelled(client).await;
    }

    async fn serve_until_stopped<S>(&self, mut stream: S, peer: SocketAddr, encrypted: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let login = handshake::accept(&self.hub, &mut stream, peer, encrypted);
        let accepted = tokio::select! {
            () = self.stop.cancelled() => return,
            accepted = timeout(LOGIN, login) => accepted,
        };
        match accepted {
            Ok(Some(accepted)) => {
                count(&self.hub.counters.connections, 1);
                let connection = Connection::new(&self.hub, stream, accepted);
                connection.serve(&self.stop).await;
            }
            Ok(None) => {}
            Err(_) => self.count_fault(),
        }
    }

    pub(super) fn kill(&self) -> CancellationToken {
        self.kill.clone()
    }

    pub(super) fn count_fault(&self) {
        count(&self.hub.counters.faults, 1);
    }
}
