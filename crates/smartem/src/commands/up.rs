//! `smartem up`: the whole platform in one process.

use std::process::ExitCode;
use std::sync::Arc;

use smartem_etl::{Run, Scheduler, run_once};
use smartem_store::Store;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{load_config, open_migrated_store, serve};
use crate::cli::Global;
use crate::collector::Collector;
use crate::config::Config;
use crate::platform::Platform;
use crate::{clock, output, signals};

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let config = load_config(global)?;
    let store = open_migrated_store(&config).await?;
    let platform = Arc::new(Platform::new(config)?);
    let listener = serve::listen(platform.config.serve.listen).await?;
    let stop = signals::stop_token()?;
    let collector = Collector::start(&platform, &store, clock::system(), false).await?;
    let state = platform.serve_state(store.clone(), clock::system(), false)?;
    serve::announce(&listener)?;
    if no_source(&platform.config) {
        output::line(
            "no source is configured yet: add one to smartem.toml, see `smartem config show`",
        );
    }
    let scheduler = schedule(&platform, &store, &stop)?;
    let status = serve::serve_collecting(listener, state, collector, stop).await;
    scheduler.join().await;
    Ok(status)
}

fn no_source(config: &Config) -> bool {
    config
        .process
        .values()
        .all(|process| process.source.is_empty())
}

/// Starts every process that has a schedule: right now, and whenever it says.
pub(super) fn schedule(
    platform: &Arc<Platform>,
    store: &Store,
    stop: &CancellationToken,
) -> anyhow::Result<Scheduler> {
    let mut scheduler = Scheduler::new(clock::system(), stop.clone());
    for (name, process) in &platform.config.process {
        let Some(schedule) = process.schedule()? else {
            continue;
        };
        // Built once here, so that a fault in the configuration is told at the start.
        let built: Arc<dyn smartem_etl::Process> = platform.process(name)?.into();
        let budget = platform.budget(name)?;
        let (store, stop) = (store.clone(), stop.clone());
        scheduler.add(schedule, move || {
            let (built, store, stop) = (built.clone(), store.clone(), stop.clone());
            async move {
                let run = Run::new(built.name(), store, clock::system(), budget, stop);
                let report = run_once(built.as_ref(), run).await;
                if report.exit_code != smartem_etl::ExitCode::Ok {
                    warn!(summary = %report.summary, "the next run tries again");
                }
            }
        });
    }
    Ok(scheduler)
}
