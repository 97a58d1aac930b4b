//! `smartem etl run|list|status`.

use std::process::ExitCode;

use smartem_etl::{Run, Schedule, run_once};

use super::{load_config, open_store, print_table};
use crate::cli::{Etl, Global};
use crate::config::Config;
use crate::platform::Platform;
use crate::{clock, output, signals};

pub(super) async fn run(args: &Etl, global: &Global) -> anyhow::Result<ExitCode> {
    let config = load_config(global)?;
    match args {
        Etl::Run { process } => run_process(config, process).await,
        Etl::List => {
            list(&config);
            Ok(ExitCode::SUCCESS)
        }
        Etl::Status => status(&config).await,
    }
}

async fn run_process(config: Config, name: &str) -> anyhow::Result<ExitCode> {
    let platform = Platform::new(config)?;
    let process = platform.process(name)?;
    let budget = platform.budget(name)?;
    let store = open_store(&platform.config).await?;
    let stop = signals::stop_token()?;
    let run = Run::new(process.name(), store, clock::system(), budget, stop);
    let report = run_once(process.as_ref(), run).await;
    output::line(&report.summary);
    Ok(ExitCode::from(report.exit_code.code()))
}

fn list(config: &Config) {
    let rows: Vec<[String; _]> = config
        .process
        .iter()
        .map(|(name, process)| {
            let word = |value: serde_json::Result<serde_json::Value>| {
                value
                    .ok()
                    .and_then(|v| v.as_str().map(str::to_owned))
                    .unwrap_or_default()
            };
            let outputs: Vec<String> = process
                .output
                .iter()
                .map(|output| word(serde_json::to_value(output)))
                .collect();
            let input = word(serde_json::to_value(process.input));
            let sources: Vec<&str> = process.source.iter().map(|s| s.name.as_str()).collect();
            [
                name.clone(),
                format!("{input} | {}", outputs.join(", ")),
                process.schedule.clone(),
                sources.join(" "),
            ]
        })
        .collect();
    print_table(&["process", "chain", "schedule (UTC)", "sources"], &rows);
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
            let next = process
                .schedule
                .parse::<Schedule>()
                .ok()
                .and_then(|s| s.next_after(now));
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
