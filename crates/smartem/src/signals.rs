//! SIGTERM and SIGINT: the first ends the work in order, the second at once.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Exit status of a program that was interrupted, as shells have it for SIGINT.
const INTERRUPTED: i32 = 130;

/// A token that is cancelled at the first signal.
pub(crate) fn stop_token() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let token = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = next().await;
        info!(
            signal,
            "stopping after the work at hand; a second signal stops at once"
        );
        token.cancel();
        next().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}
