//! `smartem demo`: the whole platform on a throw-away store with a simulated city.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use jiff::SignedDuration;
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::whale;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{load_config, open_migrated_store, serve, up};
use crate::cli::{Demo, Global};
use crate::collector::Collector;
use crate::config::{Config, StoreBackend};
use crate::platform::{self, Platform};
use crate::services::{Listeners, Services};
use crate::{clock, output, signals};

pub(super) async fn run(args: &Demo, global: &Global) -> anyhow::Result<ExitCode> {
    let mut config = load_config(global)?;
    // Removed at the end; a folder that was named is kept.
    let throw_away = match &global.data_dir {
        Some(_) => None,
        None => {
            Some(TempDir::with_prefix("smartem-demo-").context("making a folder for the demo")?)
        }
    };
    if let Some(folder) = &throw_away {
        folder.path().clone_into(&mut config.store.data_dir);
    }
    // A throw-away store is a folder, whatever the configuration of the real one says.
    config.store.backend = StoreBackend::Sqlite;
    // Whoever tries it out may push what he likes.
    config.collect.auto_register = true;
    let stop = signals::stop_token()?;
    // Whoever tries it out finds everything at one address.
    let listeners = Listeners::bind("serve", config.serve.listen, None).await?;
    let source = simulate(args, &stop).await?;
    set_schedules(&mut config, &source);
    let store = open_migrated_store(&config).await?;
    let catalogue = platform::catalogue(config.definitions_dir().as_deref())?;
    let models = platform::demo_models(&catalogue, platform::DEMO_MODELS)?;
    let platform = Arc::new(Platform::with_models(config, models)?);
    let services = Services::start(listeners, &stop);
    let mut collector = Collector::start(&platform, &store, clock::system(), false).await?;
    let state = platform.serve_state(store.clone(), clock::system(), true)?;
    output::line(format_args!(
        "a simulated city of {} stations; its last {} days are on their way into the store",
        args.stations, args.days
    ));
    serve::put(&services, state, &mut collector);
    services.announce(serve::SERVICES);
    let scheduler = up::schedule(&platform, &store, &stop)?;
    let (status, ending) = serve::end_collector(services, collector).await;
    scheduler.join().await;
    ending.end().await;
    Ok(status)
}

/// Starts the city behind a Raw Sensor API of its own; gives back its address.
async fn simulate(args: &Demo, stop: &CancellationToken) -> anyhow::Result<Url> {
    let now = (clock::system())();
    let city = City::new(CityConfig {
        seed: args.seed,
        stations: args.stations,
        cadence_s: args.cadence,
        ..CityConfig::starting(now - SignedDuration::from_hours(24 * i64::from(args.days)))
    })?;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("listening for the simulated city")?;
    let address = listener
        .local_addr()
        .context("asking for the own address")?;
    let (router, stop) = (whale::router(Arc::new(city), clock::system()), stop.clone());
    tokio::spawn(async move {
        let stopped = async move { stop.cancelled().await };
        if let Err(error) = axum::serve(listener, router)
            .with_graceful_shutdown(stopped)
            .await
        {
            tracing::error!(%error, "the simulated city ended");
        }
    });
    format!("http://{address}{}", whale::PREFIX)
        .parse()
        .context("the address of the simulated city")
}

/// The simulated city as the only source, and schedules that show results at once.
fn set_schedules(config: &mut Config, city: &Url) {
    for (name, process) in &mut config.process {
        process.source.clear();
        process.budget = None;
        let schedule = match name.as_str() {
            "harvester-whale" => "*/30 * * * * *",
            "last" => "*/10 * * * * *",
            "refiner" => "*/2 * * * * *",
            _ => "",
        };
        schedule.clone_into(&mut process.schedule);
        if name == "harvester-whale" {
            let mut source = toml::Table::new();
            source.insert("name".to_owned(), "city".into());
            source.insert("url".to_owned(), city.as_str().into());
            // A simulated hour never changes once it is over.
            source.insert("recheck".to_owned(), "0s".into());
            process.source.push(source);
        }
    }
}
