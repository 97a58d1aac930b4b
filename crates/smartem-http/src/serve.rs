use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tower_http::add_extension::AddExtension;
use tracing::{debug, info, warn};

use crate::auth::PeerAddress;
use crate::{Readiness, layers};

/// Fewer than the 1024 open files that a process usually may have.
const MAX_CONNECTIONS: u16 = 900;

/// How long a client may take for the head of a request, and may keep a connection idle.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long after the stop signal a client may begin one more request on a connection that it has: it
/// may have sent it before it could know.
const LAST_REQUEST: Duration = Duration::from_secs(2);

/// How long requests that were begun may take after the stop signal.
const FINISH_TIME: Duration = Duration::from_secs(20);

/// How long clients that have begun to connect may take to come to an end of it.
const CONNECT_TIME: Duration = Duration::from_millis(100);

/// Pause between looks at the queue of those who connect.
const LOOK: Duration = Duration::from_millis(5);

/// Answers requests until `shutdown` is ready, then finishes those that were begun.
///
/// On the signal `readiness` turns at once. Who has connected by then is still answered, nobody else is;
/// each answer is the last one on its connection and says so. Connections without a request are closed
/// after 2 s, and requests being answered have 20 s to end.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    readiness: Readiness,
    shutdown: impl Future<Output = ()>,
) {
    let connections = Connections::new(router, &readiness);
    tokio::pin!(shutdown);
    loop {
        let next = async {
            let place = connections.place().await;
            // Waits and tries again when there are too many open files.
            let (stream, peer) = Listener::accept(&mut listener).await;
            (place, stream, peer)
        };
        let (place, stream, peer) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next => next,
        };
        connections.answer(place, stream, peer);
    }
    readiness.stop();
    let stopped = Instant::now();
    connections.empty(listener, stopped).await;
    info!("stopped accepting connections");
    connections.finish(stopped).await;
}

/// How far a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// Connections without a request are closed.
    Closing,
    /// All are.
    Cut,
}

/// Waits for a phase, or for the end of the server.
async fn reached(now: &mut watch::Receiver<Phase>, phase: Phase) {
    let _ = now.wait_for(|it| *it >= phase).await;
}

struct Connections {
    builder: auto::Builder<TokioExecutor>,
    router: Router,
    places: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
}

impl Connections {
    fn new(router: Router, readiness: &Readiness) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HEAD_TIME);
        let close = from_fn_with_state(readiness.clone(), layers::close_when_stopping);
        Self {
            builder,
            router: router.layer(close),
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS.into())),
            phase: watch::Sender::new(Phase::Open),
        }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Answers the requests of a connection in a task of its own.
    fn answer(&self, place: Option<OwnedSemaphorePermit>, stream: TcpStream, peer: SocketAddr) {
        // Answers are written whole, so waiting for more to send only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot turn off the delay of small packets");
        }
        let router = AddExtension::new(self.router.clone(), PeerAddress(peer.ip()));
        let service = TowerToHyperService::new(router);
        // A connection that becomes something else, such as a WebSocket, gives its place back.
        let connection = self
            .builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = connection.into_owned();
        let mut phase = self.phase.subscribe();
        tokio::spawn(async move {
            let _place = place;
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = reached(&mut phase, Phase::Closing) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => ended,
                        () = reached(&mut phase, Phase::Cut) => return,
                    }
                }
            };
            if let Err(error) = ended {
                debug!(%peer, error, "connection ended early");
            }
        });
    }

    /// Takes in everybody who has connected, and closes the address.
    ///
    /// A queue that is closed with somebody in it resets connections that the other end takes for
    /// open.
    async fn empty(&self, listener: TcpListener, stopped: Instant) {
        let admits = !turn_away(&listener);
        let listener = match listener.into_std() {
            Ok(listener) => listener,
            Err(error) => return debug!(%error, "cannot empty the queue of connections"),
        };
        let mut quiet = Instant::now();
        while let Some(place) = self.place_after(stopped).await {
            match listener.accept() {
                Ok((stream, peer)) => {
                    quiet = Instant::now();
                    let nonblocking = stream.set_nonblocking(true);
                    match nonblocking.and_then(|()| TcpStream::from_std(stream)) {
                        Ok(stream) => self.answer(Some(place), stream, peer),
                        Err(error) => debug!(%peer, %error, "connection ended early"),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if admits || quiet.elapsed() > CONNECT_TIME {
                        return;
                    }
                    sleep(LOOK).await;
                }
                // Who gave up meanwhile, or too many open files.
                Err(_) if stopped.elapsed() < FINISH_TIME => sleep(LOOK).await,
                Err(error) => return debug!(%error, "cannot empty the queue of connections"),
            }
        }
    }

    /// A place while the server stops: connections without a request make room in time.
    async fn place_after(&self, stopped: Instant) -> Option<OwnedSemaphorePermit> {
        if let Ok(place) = timeout_at(stopped + LAST_REQUEST, self.place()).await {
            return place;
        }
        self.phase.send_replace(Phase::Closing);
        let place = timeout_at(stopped + FINISH_TIME, self.place()).await;
        place.ok().flatten()
    }

    /// Waits until all connections are closed, and closes those that stay open.
    async fn finish(self, stopped: Instant) {
        let all = || self.places.acquire_many(MAX_CONNECTIONS.into());
        if timeout_at(stopped + LAST_REQUEST, all()).await.is_ok() {
            return;
        }
        self.phase.send_replace(Phase::Closing);
        if timeout_at(stopped + FINISH_TIME, all()).await.is_err() {
            let open = usize::from(MAX_CONNECTIONS) - self.places.available_permits();
            warn!(open, "cutting off connections that did not finish in time");
        }
        self.phase.send_replace(Phase::Cut);
    }
}

/// Lets nobody begin to connect any more, while who has begun comes to an end: a program (classic BPF)
/// at the socket drops packets with SYN alone. The other end sends them again, and is refused when the
/// address is closed, or is served by who has it then.
///
/// `false` where the system does not do that.
#[cfg(target_os = "linux")]
fn turn_away(listener: &TcpListener) -> bool {
    use socket2::{SockFilter, SockRef};

    // Operations of `linux/filter.h`; byte 13 of a TCP header has the flags (RFC 9293, 3.1).
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const SYN_AND_ACK: u32 = 0x12;
    let program = [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN_AND_ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    let attached = SockRef::from(listener).attach_filter(&program);
    if let Err(error) = &attached {
        debug!(%error, "cannot turn away who begins to connect");
    }
    attached.is_ok()
}

#[cfg(not(target_os = "linux"))]
fn turn_away(_listener: &TcpListener) -> bool {
    false
}
