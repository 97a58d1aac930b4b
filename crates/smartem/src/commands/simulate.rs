//! `smartem simulate`: stations to try things on, over the real protocols.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use jiff::SignedDuration;
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::recorded::Recorded;
use smartem_simulate::whale::{self, World};
use tokio::net::TcpListener;

use crate::cli::{Global, SimulateWhale};
use crate::{clock, output, signals};

/// Where the simulator listens unless told otherwise.
const USUAL_ADDRESS: &str = "127.0.0.1:8091";

pub(super) async fn whale(args: SimulateWhale, global: &Global) -> anyhow::Result<ExitCode> {
    let clock = args.now.map_or_else(clock::system, clock::fixed);
    let world: Arc<dyn World> = if let Some(folder) = &args.from {
        Arc::new(Recorded::load(folder)?)
    } else {
        let since = args
            .since
            .unwrap_or_else(|| clock() - SignedDuration::from_hours(7 * 24));
        Arc::new(City::new(CityConfig {
            seed: args.seed,
            stations: args.stations,
            cadence_s: args.cadence,
            until: args.until,
            ..CityConfig::starting(since)
        })?)
    };
    let address = global
        .listen
        .map_or_else(|| USUAL_ADDRESS.to_owned(), |address| address.to_string());
    let listener = TcpListener::bind(&address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    let address = listener
        .local_addr()
        .context("asking for the own address")?;
    output::line(format_args!("serving http://{address}{}", whale::PREFIX));
    let stop = signals::stop_token()?;
    axum::serve(listener, whale::router(world, clock))
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
        .context("serving the simulated stations")?;
    Ok(ExitCode::SUCCESS)
}
