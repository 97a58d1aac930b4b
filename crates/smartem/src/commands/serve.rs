//! `smartem serve`: only the services, on an existing store.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use smartem_http::ServicePart;
use smartem_serve::ServeState;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{load_config, open_store};
use crate::cli::Global;
use crate::collector::Collector;
use crate::platform::Platform;
use crate::{clock, output, signals};

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let platform = Platform::new(load_config(global)?)?;
    let store = open_store(&platform.config).await?;
    let state = platform.serve_state(store, clock::system(), false)?;
    let listener = listen(platform.config.serve.listen).await?;
    let stop = signals::stop_token()?;
    announce(&listener)?;
    serve(listener, state, stop).await;
    Ok(ExitCode::SUCCESS)
}

/// Takes the address of the services.
pub(super) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("listening on {address}; another program may use it: choose one with --listen")
    })
}

/// Says where the services are to be found.
pub(super) fn announce(listener: &TcpListener) -> anyhow::Result<()> {
    let address = listener
        .local_addr()
        .context("asking for the own address")?;
    output::line(format_args!("smartem is at http://{address}/"));
    Ok(())
}

/// Serves until `stop`.
pub(super) async fn serve(listener: TcpListener, state: ServeState, stop: CancellationToken) {
    serve_with(listener, state, Vec::new(), stop).await;
}

/// Serves, together with other parts, until `stop`.
async fn serve_with(
    listener: TcpListener,
    state: ServeState,
    others: Vec<ServicePart>,
    stop: CancellationToken,
) {
    let readiness = state.readiness.clone();
    let router = smartem_serve::router_with(state, others);
    let shutdown = async move { stop.cancelled().await };
    smartem_http::serve(listener, router, readiness, shutdown).await;
}

/// Serves the services and the collector until `stop`, then ends the collector.
pub(super) async fn serve_collecting(
    listener: TcpListener,
    mut state: ServeState,
    mut collector: Collector,
    stop: CancellationToken,
) -> ExitCode {
    state.metrics = std::mem::take(&mut collector.metrics);
    let parts = std::mem::take(&mut collector.parts);
    serve_with(listener, state, parts, stop).await;
    collector.close().await
}
