//! `smartem collect`: only the collector.

use std::process::ExitCode;

use smartem_store::Store;

use super::{load_config, open_store, serve};
use crate::cli::Global;
use crate::collector::Collector;
use crate::platform::Platform;
use crate::services::{self, Listeners, Services};
use crate::{clock, signals};

/// How it is called.
const COLLECTOR: &str = "the collector";

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_token()?;
    let config = load_config(global)?;
    let address = global.listen.unwrap_or(config.collect.listen);
    let platform = Platform::new(config)?;
    let database = platform.config.postgres()?;
    let store = match &database {
        None => Some(open_store(&platform.config).await?),
        // The server is waited for while it is away.
        Some(_) => None,
    };
    let internal = platform.config.collect.internal_listen;
    let listeners = Listeners::bind("collect", address, internal).await?;
    let services = Services::start(listeners, &stop);
    let begin = async |store| begin(&platform, &services, store).await;
    let begun = match (store, database) {
        (Some(store), _) => {
            let collector = begin(store).await;
            if collector.is_ok() {
                services.announce(COLLECTOR);
            }
            collector.map(Some)
        }
        (None, Some(database)) => {
            let tried = || services.announce(COLLECTOR);
            services::reach(&platform.config, &database, &stop, tried, begin).await
        }
        (None, None) => Ok(None),
    };
    match begun {
        Ok(Some(collector)) => {
            let (status, ending) = serve::end_collector(services, collector).await;
            ending.end().await;
            Ok(status)
        }
        Ok(None) => {
            services.stopped().await.end().await;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            services.give_up().await;
            Err(error)
        }
    }
}

/// Starts the collector on a store, and answers what it answers.
async fn begin(
    platform: &Platform,
    services: &Services,
    store: Store,
) -> anyhow::Result<Collector> {
    let mut collector = Collector::start(platform, &store, clock::system(), true).await?;
    let mut state = platform.serve_state(store, clock::system(), false)?;
    state.readiness = services.readiness();
    state.has_internal = services.has_internal();
    // It runs no processes, and its configuration need not be that of the platform.
    state.planned = None;
    state.metrics = std::mem::take(&mut collector.metrics);
    let parts = std::mem::take(&mut collector.parts);
    services.put(smartem_serve::collector_routers(state, parts));
    Ok(collector)
}
