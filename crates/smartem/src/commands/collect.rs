//! `smartem collect`: only the collector.

use std::process::ExitCode;

use super::{load_config, open_store, serve};
use crate::cli::Global;
use crate::collector::Collector;
use crate::platform::Platform;
use crate::{clock, output, signals};

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let config = load_config(global)?;
    let address = global.listen.unwrap_or(config.collect.listen);
    let platform = Platform::new(config)?;
    let store = open_store(&platform.config).await?;
    let listener = serve::listen(address).await?;
    let stop = signals::stop_token()?;
    let collector = Collector::start(&platform, &store, clock::system(), true).await?;
    let mut collector = collector;
    let mut state = platform.serve_state(store, clock::system(), false)?;
    // It runs no processes, and its configuration need not be that of the platform.
    state.planned = None;
    state.metrics = std::mem::take(&mut collector.metrics);
    let parts = std::mem::take(&mut collector.parts);
    let readiness = state.readiness.clone();
    let router = smartem_serve::collector_router(state, parts);
    if let Ok(address) = listener.local_addr() {
        output::line(format_args!("the collector is at http://{address}/"));
    }
    let shutdown = async move { stop.cancelled().await };
    smartem_http::serve(listener, router, readiness, shutdown).await;
    Ok(collector.close().await)
}
