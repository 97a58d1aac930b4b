//! One file for each command.

mod backup;
mod collect;
mod config;
mod copy;
mod demo;
mod device;
mod doctor;
mod etl;
mod healthcheck;
mod import;
mod import_influx;
mod import_stetl;
mod influx;
mod quarantine;
mod refine;
mod serve;
mod simulate;
mod store;
mod token;
mod up;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context;
use smartem_backup::BackupError;
use smartem_etl::ScheduleError;
use smartem_influxdb::InfluxError;
use smartem_store::{Access, Migration, Store, StoreError};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, Global, LogFormat, Simulate};
use crate::config::{Config, ConfigError, UsageError};
use crate::{output, signals};

/// Exit status for wrong usage, after `sysexits.h`.
pub(crate) const USAGE: u8 = 64;
const FAILED: u8 = 1;
const CONFIGURATION: u8 = 78;

/// Runs a command; the exit status is part of its contract.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    start_log(cli.global.log.unwrap_or(LogFormat::Text));
    let global = cli.global;
    match cli.command {
        Command::Refine(args) => return Ok(refine::run(&args)),
        Command::Config(args) => return config::run(&args, &global),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        signals::end_without_order()?;
        match cli.command {
            Command::Up => up::run(&global).await,
            Command::Demo(args) => demo::run(&args, &global).await,
            Command::Serve => serve::run(&global).await,
            Command::Collect => collect::run(&global).await,
            Command::Etl(args) => etl::run(&args, &global).await,
            Command::Simulate(Simulate::Whale(args)) => simulate::whale(args, &global).await,
            Command::Device(args) => device::run(&args, &global).await,
            Command::Store(args) => store::run(&args, &global).await,
            Command::Influx(args) => influx::run(&args, &global).await,
            Command::Quarantine(args) => quarantine::run(&args, &global).await,
            Command::Token(args) => token::run(&args, &global).await,
            Command::Doctor(args) => doctor::run(&args, &global).await,
            Command::Healthcheck => healthcheck::run(&global).await,
            Command::Refine(_) | Command::Config(_) => Ok(ExitCode::SUCCESS),
        }
    })
}

/// The exit status that tells an operator, or a Job's failure policy, what would help.
pub(crate) fn exit_code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.is::<UsageError>() {
            return USAGE;
        }
        let is_configuration = cause.is::<ConfigError>()
            || cause.is::<toml::de::Error>()
            || cause.is::<ScheduleError>();
        if is_configuration {
            return CONFIGURATION;
        }
        if let Some(error) = cause.downcast_ref::<BackupError>() {
            return crate::backup::exit_code(error);
        }
        if let Some(error) = cause.downcast_ref::<InfluxError>() {
            return crate::backup::influx_exit_code(error);
        }
        if let Some(error) = cause.downcast_ref::<StoreError>() {
            return smartem_etl::ExitCode::from(error).code();
        }
    }
    FAILED
}

/// Logs to standard error; `RUST_LOG` chooses what.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,hyper=warn,reqwest=warn,tower_http=warn"));
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| BesideBars)
        .with_ansi(is_terminal);
    match format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

/// Standard error, written between the bars that are drawn there.
struct BesideBars;

impl std::io::Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        smartem_etl::terminal().suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Opens the store of the configuration, which must be there; the error of an older one names the command
/// that brings it up.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let dir = &config.store.data_dir;
    match config.postgres()? {
        None => Store::open(dir, Access::Existing)
            .await
            .with_context(|| format!("opening the store in {}", dir.display())),
        Some(database) => Store::connect(dir, &database, Access::Existing)
            .await
            .context("opening the store in the database of `store.postgres.url`"),
    }
}

/// Makes or brings up the store of the configuration.
async fn migrate_store(config: &Config) -> anyhow::Result<Vec<Migration>> {
    match config.postgres()? {
        None => {
            let dir = &config.store.data_dir;
            let now = (crate::clock::system())();
            Store::migrate_dir(dir, now)
                .await
                .with_context(|| format!("making the store in {}", dir.display()))
        }
        Some(database) => Store::migrate_postgres(&database)
            .await
            .context("making the store in the database of `store.postgres.url`"),
    }
}

/// Makes or brings up the store, then opens it.
async fn open_migrated_store(config: &Config) -> anyhow::Result<Store> {
    migrate_store(config).await?;
    open_store(config).await
}

fn load_config(global: &Global) -> anyhow::Result<Config> {
    Config::load(global)
}

/// Prints rows in columns as wide as their widest cell.
///
/// Every row has a cell for each column.
fn print_table<const COLUMNS: usize>(header: &[&str; COLUMNS], rows: &[[String; COLUMNS]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([header[column].chars().count()])
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    output::line(line(header.to_vec()));
    for row in rows {
        output::line(line(row.iter().map(String::as_str).collect()));
    }
}
