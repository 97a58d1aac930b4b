//! `smartem up`: the whole platform in one process.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use smartem_etl::{Process, Run, Scheduler, run_once};
use smartem_store::Store;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{load_config, open_migrated_store, serve};
use crate::cli::Global;
use crate::collector::Collector;
use crate::config::Config;
use crate::platform::Platform;
use crate::signals::Unfinished;
use crate::{clock, output, signals};

pub(super) async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_token()?;
    let config = load_config(global)?;
    let store = open_migrated_store(&config).await?;
    let platform = Arc::new(Platform::new(config)?);
    let services = serve::start(&platform, &stop).await?;
    let mut collector = Collector::start(&platform, &store, clock::system(), false).await?;
    let state = platform.serve_state(store.clone(), clock::system(), false)?;
    serve::put(&services, state, &mut collector);
    services.announce(serve::SERVICES);
    if no_source(&platform.config) {
        output::line(
            "no source is configured yet: add one to smartem.toml, see `smartem config show`",
        );
    }
    let scheduler = schedule(&platform, &store, &stop)?;
    let (status, ending) = serve::end_collector(services, collector).await;
    scheduler.join().await;
    ending.end().await;
    Ok(status)
}

/// A process that is built anew for each run, so that it goes with the secrets of the files of then.
struct Rebuilt {
    platform: Arc<Platform>,
    name: String,
    last: Mutex<Arc<dyn Process>>,
}

impl Rebuilt {
    /// Built once here, so that a fault in the configuration is told at the start.
    fn new(platform: Arc<Platform>, name: &str) -> anyhow::Result<Self> {
        let last = Mutex::new(platform.process(name)?.into());
        Ok(Self {
            platform,
            name: name.to_owned(),
            last,
        })
    }

    /// As the files are now; where one cannot be read, as they were the last time.
    fn build(&self) -> Arc<dyn Process> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match self.platform.process(&self.name) {
            Ok(built) => *last = built.into(),
            Err(error) => {
                let error = format!("{error:#}");
                warn!(
                    error,
                    "a changed file cannot be used; going on with the old one"
                );
            }
        }
        last.clone()
    }
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
        let budget = platform.budget(name)?;
        let (store, stop) = (store.clone(), stop.clone());
        let process = Arc::new(Rebuilt::new(platform.clone(), name)?);
        scheduler.add(schedule, move || {
            let (process, store, stop) = (process.clone(), store.clone(), stop.clone());
            async move {
                let built = process.build();
                let _unfinished = Unfinished::begin(format!("process {}", built.name()));
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
