//! `smartem etl run|list|status`.

use std::process::ExitCode;

use jiff::Timestamp;
use smartem_etl::{Outcome, Run, run_once};
use smartem_model::{Hour, StationId};
use smartem_store::{Selection, Store};

use super::{load_config, open_store, print_table};
use crate::cli::{Etl, EtlRun, Global};
use crate::config::{Config, ProcessConfig, UsageError};
use crate::platform::Platform;
use crate::{clock, output, signals};

pub(super) async fn run(args: &Etl, global: &Global) -> anyhow::Result<ExitCode> {
    let config = load_config(global)?;
    match args {
        Etl::Run(args) => run_process(config, args).await,
        Etl::List => {
            list(&config);
            Ok(ExitCode::SUCCESS)
        }
        Etl::Status => status(&config).await,
    }
}

async fn run_process(config: Config, args: &EtlRun) -> anyhow::Result<ExitCode> {
    let name = &args.process;
    let platform = Platform::new(config)?;
    let selection = selection(&platform, args)?;
    let process = match &selection {
        Some(selection) => Box::new(platform.refiner().replaying(selection.clone())),
        None => platform.process(name)?,
    };
    let budget = platform.budget(name)?;
    let store = open_store(&platform.config).await?;
    if let Some(stations) = selection.and_then(|selection| selection.stations) {
        check_known(&store, &stations).await?;
    }
    let stop = signals::stop_token()?;
    let run = Run::new(process.name(), store, clock::system(), budget, stop);
    let report = run_once(process.as_ref(), run).await;
    output::line(&report.summary);
    if args.replay && report.outcome == Some(Outcome::AlreadyRunning) {
        output::line("nothing was marked; try again when the other run has ended");
        return Ok(ExitCode::from(smartem_etl::ExitCode::TryAgain.code()));
    }
    Ok(ExitCode::from(report.exit_code.code()))
}

/// What is to be replayed, if anything is.
fn selection(platform: &Platform, args: &EtlRun) -> anyhow::Result<Option<Selection>> {
    if !args.replay {
        return Ok(None);
    }
    let (name, process) = platform.config.process(&args.process)?;
    if !process
        .output
        .iter()
        .any(|output| output == "store.observations")
    {
        return Err(UsageError(format!(
            "`--replay` is for the refiner, which `{name}` is not; \
             write: smartem etl run refiner --replay"
        ))
        .into());
    }
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from >= to
    {
        return Err(UsageError(format!(
            "`--from` is {from}, which is not before `--to`, {to}; exchange them"
        ))
        .into());
    }
    Ok(Some(Selection {
        stations: (!args.stations.is_empty()).then(|| args.stations.clone()),
        // The hours that have a part in the time between.
        from: args.from.and_then(Hour::containing),
        to: args.to.and_then(first_hour_from),
    }))
}

/// The first hour that begins at a time or after it.
fn first_hour_from(time: Timestamp) -> Option<Hour> {
    let hour = Hour::containing(time)?;
    if hour.period().start == time {
        Some(hour)
    } else {
        Hour::from_index(hour.index() + 1)
    }
}

/// Refuses stations that the store does not have.
async fn check_known(store: &Store, stations: &[StationId]) -> anyhow::Result<()> {
    let known = store.stations().await?;
    let ids = || known.iter().map(|view| view.id.as_str());
    for station in stations {
        if ids().all(|id| id != station.as_str()) {
            let guess = match smartem_model::nearest(station.as_str(), ids()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`smartem device stations` lists them".to_owned(),
            };
            return Err(UsageError(format!("there is no station `{station}`; {guess}")).into());
        }
    }
    Ok(())
}

fn list(config: &Config) {
    let rows: Vec<[String; _]> = config
        .process
        .iter()
        .map(|(name, process)| {
            let names = process
                .source
                .iter()
                .filter_map(|source| source.get("name"));
            let sources: Vec<&str> = names.filter_map(toml::Value::as_str).collect();
            [
                name.clone(),
                chain(process),
                process.schedule.clone(),
                process.time_zone.clone(),
                sources.join(" "),
            ]
        })
        .collect();
    print_table(
        &["process", "chain", "schedule", "time zone", "sources"],
        &rows,
    );
}

/// `input | filter | output, output`
fn chain(process: &ProcessConfig) -> String {
    let outputs = process.output.join(", ");
    let filters = process.filter.iter().map(String::as_str);
    let parts: Vec<&str> = [process.input.as_str()]
        .into_iter()
        .chain(filters)
        .chain([outputs.as_str()])
        .collect();
    parts.join(" | ")
}

async fn status(config: &Config) -> anyhow::Result<ExitCode> {
    let store = open_store(config).await?;
    let (runs, backlog) = (store.runs_latest().await?, store.backlog().await?);
    let now = (clock::system())();
    let rows: Vec<[String; _]> = config
        .process
        .iter()
        .map(|(name, process)| {
            let run = runs.iter().find(|run| run.process == *name);
            let schedule = process.schedule().ok().flatten();
            let next = schedule.and_then(|schedule| schedule.next_after(now));
            [
                name.clone(),
                run.map_or_else(
                    || "never".to_owned(),
                    |run| format!("{:.0}", run.started_at),
                ),
                run.map_or_else(
                    || "-".to_owned(),
                    |run| {
                        run.outcome
                            .clone()
                            .unwrap_or_else(|| "at work, or killed".to_owned())
                    },
                ),
                next.map_or_else(|| "-".to_owned(), |next| next.to_string()),
            ]
        })
        .collect();
    print_table(&["process", "last run", "outcome", "next run"], &rows);
    let open: u64 = backlog.quarantine.iter().map(|count| count.open).sum();
    output::line(format_args!(
        "{} stations, {} raw station-hours ({} to be refined), {} observations, {open} open quarantine entries",
        backlog.stations, backlog.raw_records, backlog.dirty_hours, backlog.observations
    ));
    Ok(ExitCode::SUCCESS)
}
