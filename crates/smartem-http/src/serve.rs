use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower_http::add_extension::AddExtension;
use tracing::{debug, info, warn};

use crate::Readiness;
use crate::auth::PeerAddress;

/// Fewer than the 1024 open files that a process usually may have.
const MAX_CONNECTIONS: usize = 900;

/// How long a client may take for the head of a request, and may keep a connection idle.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// How long requests that were begun may take after the stop signal.
const FINISH_TIME: Duration = Duration::from_secs(20);

/// Answers requests until `shutdown` is ready, then finishes those that were begun.
///
/// On the signal `readiness` turns at once, no connection is accepted any more, and requests being
/// answered have 20 s to end.
pub async fn serve(
    mut listener: TcpListener,
    router: Router,
    readiness: Readiness,
    shutdown: impl Future<Output = ()>,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIME);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = GracefulShutdown::new();
    let next_connection = async |listener: &mut TcpListener| {
        // The semaphore is never closed.
        let place = places.clone().acquire_owned().await.ok();
        // Waits and tries again when there are too many open files.
        let (stream, peer) = Listener::accept(listener).await;
        (place, stream, peer)
    };

    tokio::pin!(shutdown);
    loop {
        let (place, stream, peer) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            next = next_connection(&mut listener) => next,
        };
        // Answers are written whole, so waiting for more to send only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "cannot turn off the delay of small packets");
        }
        let router = AddExtension::new(router.clone(), PeerAddress(peer.ip()));
        let service = TowerToHyperService::new(router);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%peer, error, "connection ended early");
            }
            drop(place);
        });
    }

    readiness.stop();
    drop(listener);
    info!("stopped accepting connections");
    if timeout(FINISH_TIME, connections.shutdown()).await.is_err() {
        let open = MAX_CONNECTIONS - places.available_permits();
        warn!(open, "cutting off connections that did not finish in time");
    }
}
