//! `smartem serve`: only the services, on an existing store.

use std::process::ExitCode;

use smartem_serve::ServeState;
use tokio_util::sync::CancellationToken;

use super::{load_config, open_store};
use crate::cli::Global;
use crate::collector::Collector;
use crate::platform::Platform;
use crate::services::{self, Ending, Listeners, Services};
use crate::signals::Unfinished;
use crate::{clock, signals};

/// How the services are called.
pub(super) const SERVICES: &str = "smartem";

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_token()?;
    let platform = Platform::new(load_config(global)?)?;
    let database = platform.config.postgres()?;
    let store = match &database {
        None => Some(open_store(&platform.config).await?),
        // The server is waited for while it is away.
        Some(_) => None,
    };
    let services = start(&platform, &stop).await?;
    let put = async |store| {
        let mut state = platform.serve_state(store, clock::system(), false)?;
        state.readiness = services.readiness();
        state.has_internal = services.has_internal();
        services.put(smartem_serve::routers(state, Vec::new()));
        Ok(())
    };
    let begun = match (store, database) {
        (Some(store), _) => {
            let put = put(store).await;
            services.announce(SERVICES);
            put
        }
        (None, Some(database)) => {
            let tried = || services.announce(SERVICES);
            let reached = services::reach(&platform.config, &database, &stop, tried, put).await;
            reached.map(drop)
        }
        (None, None) => Ok(()),
    };
    if let Err(error) = begun {
        services.give_up().await;
        return Err(error);
    }
    services.stopped().await.end().await;
    Ok(ExitCode::SUCCESS)
}

/// Takes the addresses of the services and answers there.
pub(super) async fn start(
    platform: &Platform,
    stop: &CancellationToken,
) -> anyhow::Result<Services> {
    let serve = &platform.config.serve;
    let listeners = Listeners::bind("serve", serve.listen, serve.internal_listen).await?;
    Ok(Services::start(listeners, stop))
}

/// Answers what the services and a collector in the same program answer.
pub(super) fn put(services: &Services, mut state: ServeState, collector: &mut Collector) {
    state.readiness = services.readiness();
    state.has_internal = services.has_internal();
    state.metrics = std::mem::take(&mut collector.metrics);
    if state.sensorthings.mqtt.is_empty() {
        state.sensorthings.mqtt = collector.mqtt_endpoints();
    }
    let parts = std::mem::take(&mut collector.parts);
    services.put(smartem_serve::routers(state, parts));
}

/// Waits for the end, and ends a collector after its services.
pub(super) async fn end_collector(services: Services, collector: Collector) -> (ExitCode, Ending) {
    let ending = services.stopped().await;
    let _unfinished = Unfinished::begin("what stations pushed");
    (collector.close().await, ending)
}
