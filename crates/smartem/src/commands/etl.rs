//! `smartem etl run|list|status`.

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use smartem_etl::{Outcome, Process, Run, growing, run_once, stored};
use smartem_model::{Hour, StationId};
use smartem_store::{ChangesOf, Progress, RunRow, Selection, Store};

use super::{load_config, open_store, print_table};
use crate::cli::{Etl, EtlRun, Global};
use crate::config::{Config, ProcessConfig, UsageError};
use crate::parts::{self, Part};
use crate::platform::Platform;
use crate::signals::Unfinished;
use crate::{chains, clock, output, signals};

/// The output that makes a process the refiner.
const OBSERVATIONS: &str = "store.observations";

pub(super) async fn run(args: &Etl, global: &Global) -> anyhow::Result<ExitCode> {
    if let Etl::Parts { name } = args {
        // Told also beside a configuration that cannot be used.
        return tell_parts(name.as_deref());
    }
    let config = load_config(global)?;
    match args {
        Etl::Run(args) => run_process(config, args).await,
        Etl::List => {
            list(&config)?;
            Ok(ExitCode::SUCCESS)
        }
        Etl::Status => status(&config).await,
        Etl::Parts { .. } => Ok(ExitCode::SUCCESS),
    }
}

async fn run_process(config: Config, args: &EtlRun) -> anyhow::Result<ExitCode> {
    let stop = signals::stop_token()?;
    let platform = Platform::new(config)?;
    let (name, declared) = platform.config.process(&args.process)?;
    let selection = selection(args)?;
    let is_refiner = declared.output.iter().any(|output| output == OBSERVATIONS);
    let process: Box<dyn Process> = match &selection {
        Some(selection) if is_refiner => Box::new(platform.refiner().replaying(selection.clone())),
        _ => platform.process(name)?,
    };
    let budget = platform.budget(name)?;
    let _unfinished = Unfinished::begin(format!("process {name}"));
    // A database that is away is waited for, but not by who is told to stop.
    let store = tokio::select! {
        store = open_store(&platform.config) => store?,
        () = stop.cancelled() => {
            output::line(format_args!("{name}: stopped before it began"));
            return Ok(ExitCode::from(smartem_etl::ExitCode::TryAgain.code()));
        }
    };
    if let Some(stations) = selection.as_ref().and_then(|it| it.stations.as_ref()) {
        check_known(&store, stations).await?;
    }
    let clock = args.now.map_or_else(clock::system, clock::fixed);
    let run = Run::new(process.name(), store, clock, budget, stop)
        .replaying(selection)
        .with_progress();
    let report = run_once(process.as_ref(), run).await;
    output::line(&report.summary);
    if let Some(waits) = chains::waits_for(name, declared)? {
        output::line(format_args!(
            "{name} rests until its output `{waits}` is configured: [process.{name}.{waits}], \
             see `smartem etl parts {waits}`"
        ));
    }
    if args.replay && report.outcome == Some(Outcome::AlreadyRunning) {
        output::line("nothing was replayed; try again when the other run has ended");
        return Ok(ExitCode::from(smartem_etl::ExitCode::TryAgain.code()));
    }
    Ok(ExitCode::from(report.exit_code.code()))
}

/// Lists the parts of chains, or tells all of those with this name.
fn tell_parts(name: Option<&str>) -> anyhow::Result<ExitCode> {
    let all = parts::all();
    let Some(name) = name else {
        let row = |part: &Part| [part.kind, part.about.name, part.about.summary].map(str::to_owned);
        let rows: Vec<[String; _]> = all.iter().map(row).collect();
        print_table(&["kind", "name", "what it does"], &rows);
        return Ok(ExitCode::SUCCESS);
    };
    let named: Vec<String> = all
        .iter()
        .filter(|part| part.about.name == name)
        .map(Part::page)
        .collect();
    if named.is_empty() {
        let names = all.iter().map(|part| part.about.name);
        let guess = smartem_model::nearest(name, names).map_or_else(
            || "`smartem etl parts` lists them".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return Err(UsageError(format!("there is no part `{name}`; {guess}")).into());
    }
    output::line(named.join("\n").trim_end());
    Ok(ExitCode::SUCCESS)
}

/// What is to be replayed, if anything is.
fn selection(args: &EtlRun) -> anyhow::Result<Option<Selection>> {
    if !args.replay {
        return Ok(None);
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

fn list(config: &Config) -> anyhow::Result<()> {
    let mut rows: Vec<[String; _]> = Vec::new();
    for (name, process) in &config.process {
        let zone = match (process.schedule.as_str(), process.time_zone.as_str()) {
            ("", _) => "",
            (_, "") => "UTC",
            (_, zone) => zone,
        };
        rows.push([
            name.clone(),
            chain(process),
            process.schedule.clone(),
            zone.to_owned(),
            sources(config, name, process)?,
        ]);
    }
    print_table(
        &["process", "chain", "schedule", "time zone", "sources"],
        &rows,
    );
    Ok(())
}

/// The names of the sources of a process, or what it waits for.
fn sources(config: &Config, name: &str, process: &ProcessConfig) -> anyhow::Result<String> {
    if let Some(rest) = chains::rests(config, name, process)? {
        return Ok(rest.to_string());
    }
    Ok(if process.input == "last" {
        process.sources_of.join(", ")
    } else if let Some(names) = chains::source_names(process) {
        names.join(", ")
    } else {
        "the store".to_owned()
    })
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
    let now = (clock::system())();
    let look = Look {
        now,
        runs: store.runs_latest().await?,
        progress: store.progress(growing(now)).await?,
    };
    let mut rows: Vec<[String; _]> = Vec::new();
    for (name, process) in &config.process {
        rows.push(look.row(&store, name, process).await?);
    }
    print_table(
        &[
            "process",
            "last run",
            "outcome",
            "lag",
            "backlog",
            "quarantined",
            "next run",
        ],
        &rows,
    );
    let backlog = store.backlog().await?;
    let open: u64 = backlog.quarantine.iter().map(|count| count.open).sum();
    output::line(format_args!(
        "{} stations, {} raw station-hours ({} to be refined), {} observations, {open} open quarantine entries",
        backlog.stations, backlog.raw_records, look.progress.waiting, backlog.observations
    ));
    Ok(ExitCode::SUCCESS)
}

/// What the status of every process is told from.
struct Look {
    now: Timestamp,
    runs: Vec<RunRow>,
    progress: Progress,
}

impl Look {
    async fn row(
        &self,
        store: &Store,
        name: &str,
        process: &ProcessConfig,
    ) -> anyhow::Result<[String; 7]> {
        let run = self.runs.iter().find(|run| run.process == name);
        let schedule = process.schedule().ok().flatten();
        let next = schedule.and_then(|schedule| schedule.next_after(self.now));
        let (lag, backlog) = self.lag_and_backlog(store, name, process).await?;
        let left = run.and_then(left_over);
        let quarantined = self.progress.quarantined.iter().find(|(of, _)| of == name);
        Ok([
            name.to_owned(),
            run.map_or_else(
                || "never".to_owned(),
                |run| format!("{:.0}", run.started_at),
            ),
            run.map_or_else(
                || "-".to_owned(),
                |run| {
                    let outcome = run.outcome.clone();
                    outcome.unwrap_or_else(|| "at work, or killed".to_owned())
                },
            ),
            lag.map_or_else(|| "-".to_owned(), |lag| format!("{:#}", whole_seconds(lag))),
            backlog.or(left).unwrap_or_else(|| "-".to_owned()),
            quarantined.map_or(0, |(_, count)| *count).to_string(),
            next.map_or_else(|| "-".to_owned(), |next| next.to_string()),
        ])
    }

    /// How far behind a process is: a harvester by the end of its newest hour, the refiner by the
    /// arrival of its oldest waiting hour, a chain over the store by its last step while work waits.
    async fn lag_and_backlog(
        &self,
        store: &Store,
        name: &str,
        process: &ProcessConfig,
    ) -> anyhow::Result<(Option<SignedDuration>, Option<String>)> {
        let hours = |count: u64| format!("{count} hours");
        let of = match process.input.as_str() {
            "store.raw" if process.output.iter().any(|it| it == OBSERVATIONS) => {
                let lag = self.progress.refine_lag(self.now);
                return Ok((Some(lag), Some(hours(self.progress.waiting))));
            }
            "store.raw" => ChangesOf::RawRecords,
            "store.observations" => ChangesOf::Observations,
            _ => return Ok((self.progress.harvest_lag(name, self.now), None)),
        };
        if chains::waits_for(name, process)?.is_some() {
            return Ok((None, None));
        }
        let waiting = stored::waiting(store, name, of).await?;
        let moved = self.progress.moved.iter().find(|(of, _)| of == name);
        let lag = match moved {
            _ if waiting == 0 => Some(SignedDuration::ZERO),
            Some((_, at)) => Some(self.now.duration_since(*at).max(SignedDuration::ZERO)),
            None => None,
        };
        Ok((lag, Some(hours(waiting))))
    }
}

/// What the newest run left for the next one, as it counted it.
fn left_over(run: &RunRow) -> Option<String> {
    let left = run.summary.as_ref()?.get("stations_left")?.as_u64()?;
    Some(format!("{left} stations"))
}

fn whole_seconds(lag: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(lag.as_secs())
}
