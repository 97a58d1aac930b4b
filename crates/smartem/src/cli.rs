//! The command line as a table; nothing is opened or connected here.

mod backup;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use smartem_model::{Hour, StationId, parse_timestamp};

pub(crate) use backup::{
    ImportInflux, ImportStetl, Influx, InfluxBackup, InfluxOffline, InfluxProgram, InfluxRestore,
    InfluxServer, InfluxSource, InfluxVerify, KeepArgs, StoreBackup, StoreImport, StoreRestore,
};

/// The Smart Emission Data Platform: raw values of air-quality, noise and weather stations in,
/// validated and calibrated open data out.
#[derive(Debug, Parser)]
#[command(
    name = "smartem",
    version = crate::version::version(),
    propagate_version = true,
    after_help = "Try it: `smartem demo` shows a simulated city on a map, with nothing else installed."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

/// Options that most commands take.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Configuration file [default: ./smartem.toml where it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the store [default: ./smartem-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8080; simulate: 127.0.0.1:8091]
    #[arg(long, global = true, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Form of the log on standard error
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log: Option<LogFormat>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole platform in one process: ETL on its schedules, services, viewer
    Up,
    /// The same on a throw-away store with a simulated city; open the address it prints
    Demo(Demo),
    /// Only the services, on an existing store
    Serve,
    /// Only the collector, on an existing store: takes what stations push
    #[command(
        after_help = "Listens on `collect.listen` (127.0.0.1:8086) and for MQTT on `collect.mqtt.listen`.\n\
        Examples:\n  smartem collect\n  smartem collect --listen 0.0.0.0:8086"
    )]
    Collect,
    /// Processes: run one once, list them, or see how they are doing
    #[command(subcommand)]
    Etl(Etl),
    /// Refine a raw record from a file and print what becomes of it; needs no store
    #[command(
        after_help = "Exit status: 0 refined, 1 quarantined, 2 file not readable or a model refused.\n\
        Examples:\n  smartem refine timeseries-hour.json\n  smartem refine timeseries-hour.json --explain"
    )]
    Refine(Refine),
    /// Stations to try things on: recorded ones, or a simulated city
    #[command(subcommand)]
    Simulate(Simulate),
    /// Station-type definitions
    #[command(subcommand)]
    Device(Device),
    /// The store
    #[command(subcommand)]
    Store(Store),
    /// Backups of a real InfluxDB 1.x
    #[command(subcommand)]
    Influx(Box<Influx>),
    /// What could not be understood
    #[command(subcommand)]
    Quarantine(Quarantine),
    /// Tokens: who may write
    #[command(subcommand)]
    Token(Token),
    /// The effective configuration
    #[command(subcommand)]
    Config(Config),
    /// Checks what this machine, its configuration and everything around it need, and says what to do
    #[command(
        after_help = "Exit status: 0 nothing fails, 1 something does, 78 the configuration cannot be read.\n\
        Examples:\n  smartem doctor\n  smartem doctor --offline\n  smartem doctor --json | jq '.checks[] | select(.level != \"ok\")'"
    )]
    Doctor(Doctor),
    /// Ask a running service whether it is ready; for containers without curl
    Healthcheck,
}

#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Ask nobody but the database: no sources, no brokers, no object storage
    #[arg(long)]
    pub offline: bool,
    /// Print the checks as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Days of history that the simulated city has at once
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=366))]
    pub days: u32,
    /// Stations in the city
    #[arg(long, default_value_t = 60)]
    pub stations: usize,
    /// Another seed is another city
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seconds between two samples of a station
    #[arg(long, default_value_t = 11)]
    pub cadence: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Etl {
    /// One run of one process, as a cron job runs it
    #[command(
        after_help = "Exit status: 0 done, nothing to do, budget spent with work left, or records quarantined;\n\
        75 nothing could be reached or stopped with work left; 65 data no later run can pass; 78 configuration.\n\
        Examples:\n  smartem etl run harvester-whale && smartem etl run refiner\n  \
        smartem etl run refiner --replay --from 2026-11-01 --to 2026-11-02T12:00:00Z --stations 23,24"
    )]
    Run(EtlRun),
    /// All processes with their chains and schedules
    List,
    /// Last run, outcome, lag, backlog, quarantined and next run of every process
    Status,
    /// The inputs, filters and outputs that processes are made of, or the page of one
    #[command(after_help = "Examples:\n  smartem etl parts\n  smartem etl parts whale")]
    Parts {
        /// Name of the part
        name: Option<String>,
    },
}

#[derive(Args, Debug)]
pub(crate) struct EtlRun {
    /// Name of the process; `smartem etl list` shows them
    pub process: String,
    /// Read again what was read before, whatever the checkpoints say; the result is the same
    #[arg(long)]
    pub replay: bool,
    /// Replay only the hours from this time on: RFC 3339, or a date (UTC) [default: the first]
    #[arg(long, requires = "replay", value_name = "TIME", value_parser = time)]
    pub from: Option<Timestamp>,
    /// Replay only the hours before this time: RFC 3339, or a date (UTC) [default: to the last]
    #[arg(long, requires = "replay", value_name = "TIME", value_parser = time)]
    pub to: Option<Timestamp>,
    /// Replay only these stations, separated by commas [default: all]
    #[arg(long, requires = "replay", value_name = "ID", value_delimiter = ',', value_parser = station_id)]
    pub stations: Vec<StationId>,
    /// Act as if it were this time (RFC 3339): for tests and for stories that are told again
    #[arg(long, value_name = "TIME", value_parser = time, hide = true)]
    pub now: Option<Timestamp>,
}

/// Reads a time, or a date as its midnight in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    // The library reads more forms of a date than the one that is offered.
    let date = (text.len() == 10).then(|| text.parse::<Date>().ok());
    let midnight = date
        .flatten()
        .and_then(|date| Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    let time = midnight.or_else(|| parse_timestamp(text)).ok_or(
        "no RFC 3339 time and no date; write for example 2026-11-15T00:00:00Z or 2026-11-15",
    )?;
    match Hour::containing(time) {
        Some(_) => Ok(time),
        None => Err("there are no hours before 1970 or after 2999".to_owned()),
    }
}

fn station_id(text: &str) -> Result<StationId, String> {
    StationId::new(text.trim()).ok_or_else(|| "an id must not be empty".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct Refine {
    /// A raw record, a Whale hour as its API serves it, or a request with models and state
    pub file: PathBuf,
    /// Folder with further station-type definitions
    #[arg(long, value_name = "DIR")]
    pub devices: Option<PathBuf>,
    /// Say in words what became of the record: inputs, rejections, models and versions
    #[arg(long)]
    pub explain: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Simulate {
    /// Serves the Raw Sensor ("Whale") API
    #[command(
        after_help = "Examples:\n  smartem simulate whale --from recordings/\n  \
        smartem simulate whale --seed 7 --stations 10 --since 2026-11-01T00:00:00Z"
    )]
    Whale(SimulateWhale),
}

#[derive(Args, Debug)]
pub(crate) struct SimulateWhale {
    /// Serve the recorded hours and last values below this folder instead of a city
    #[arg(long, value_name = "DIR", conflicts_with_all = ["seed", "stations", "cadence", "since", "until"])]
    pub from: Option<PathBuf>,
    /// Another seed is another city
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Stations in the city
    #[arg(long, default_value_t = 60)]
    pub stations: usize,
    /// Seconds between two samples of a station
    #[arg(long, default_value_t = 11)]
    pub cadence: u32,
    /// When the stations began to measure [default: 7 days ago]
    #[arg(long)]
    pub since: Option<Timestamp>,
    /// When they ended [default: they go on]
    #[arg(long)]
    pub until: Option<Timestamp>,
    /// Pretend that it is this time, for answers that never change
    #[arg(long)]
    pub now: Option<Timestamp>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// The station types that are known
    List,
    /// What a station type measures
    Show {
        /// Name of the type
        name: String,
    },
    /// Checks a definition file and explains its faults by line
    Check {
        /// The definition, TOML
        file: PathBuf,
    },
    /// Brings stations (*.toml) and raw records (*.json) into the store
    #[command(
        after_help = "Exit status: 0 everything was taken in, 1 something was refused, the rest was taken in.\n\
        Example: smartem device import stations.toml hours.json && smartem etl run refiner"
    )]
    Import {
        /// Station files and files of raw records: an object, a list, or an object on each line
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// The stations of the store
    Stations,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Store {
    /// Brings the store to the version of this program; makes it when there is none
    Migrate {
        /// Only says which steps are missing
        #[arg(long)]
        dry_run: bool,
    },
    /// Checks the store for damage
    Check,
    /// Backs the store up while it is used; only what is new is sent
    #[command(
        after_help = "Exit status: 0 made, 75 the place was not reached or it was stopped, 65 damage, 78 no place.\n\
        Keys of object storages come from AWS_... and AZURE_... in the environment, or with _FILE from files.\n\
        Examples:\n  smartem store backup --to /backup/smartem\n  smartem store backup --to s3://bucket/smartem --verify"
    )]
    Backup(StoreBackup),
    /// Puts a backup back: checked beside, then renamed into place
    #[command(
        after_help = "Exit status: 0 restored, 65 the backup is damaged, 75 not reached, 1 refused; then nothing was changed.\n\
        Examples:\n  smartem store restore --from /backup/smartem --list\n  \
        smartem store restore --from s3://bucket/smartem --to /data/smartem --as-of 2026-11-27"
    )]
    Restore(StoreRestore),
    /// Copies everything into another store, of either kind
    #[command(
        after_help = "A place is the folder of an embedded store, or the address of a PostgreSQL database, which is reached as \
        [store.postgres] says otherwise. Stop what uses the store; the copy has its id and takes its place.\n\
        Exit status: 0 copied and compared, 78 the target holds something, 75 not reached or stopped; then nothing was copied.\n\
        Examples:\n  smartem store copy --to postgresql://smartem_owner@db.example/smartem\n  \
        smartem store copy --from postgresql://smartem_owner@db.example/smartem --to /data/smartem"
    )]
    Copy(StoreCopy),
    /// Copies into the store what is elsewhere
    #[command(subcommand)]
    Import(Box<StoreImport>),
}

#[derive(Args, Debug)]
pub(crate) struct StoreCopy {
    /// Where to, an empty place: DIR, or postgresql://USER@HOST:PORT/DATABASE
    #[arg(long, value_name = "PLACE")]
    pub to: String,
    /// Where from [default: the store of the configuration]
    #[arg(long, value_name = "PLACE")]
    pub from: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quarantine {
    /// The entries, newest first
    List {
        /// Also those that were resolved
        #[arg(long)]
        all: bool,
    },
    /// One entry with its body
    Show {
        /// Number of the entry
        id: i64,
    },
    /// Forgets an entry
    Drop {
        /// Number of the entry
        id: i64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Makes a token and prints its secret, once
    #[command(
        after_help = "Examples:\n  smartem token add roof-stations --right write --project nijmegen\n  \
        smartem token add visitor --right write --expires 90d\n  \
        smartem token add old-firmware --right write --secret-file password.txt"
    )]
    Add(TokenAdd),
    /// The tokens, without their secrets
    List {
        /// Also those that were revoked
        #[arg(long)]
        all: bool,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Ends the validity of a token; running processes know within seconds
    Revoke {
        /// Name of the token
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct TokenAdd {
    /// Name of the token, and user name where a client wants one: letters, digits, `.`, `_`, `-`, `@`
    #[arg(value_parser = token_name)]
    pub name: String,
    /// What it may do; give it again for another right
    #[arg(long, required = true, value_name = "RIGHT", value_parser = ["write", "admin"])]
    pub right: Vec<String>,
    /// The only project in which it may [default: all]
    #[arg(long, value_name = "PROJECT")]
    pub project: Option<String>,
    /// When it ends: a time from now such as 90d or 12h, RFC 3339, or a date (UTC) [default: never]
    #[arg(long, value_name = "WHEN", value_parser = expiry, allow_hyphen_values = true)]
    pub expires: Option<Expiry>,
    /// File with a password to be used instead of a secret made here, for firmware that has a fixed one
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// When a token ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiry {
    At(Timestamp),
    In(SignedDuration),
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if let Ok(at) = time(text) {
        return Ok(Expiry::At(at));
    }
    let span = text.parse::<Span>().ok();
    let duration = span.and_then(|span| {
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
        duration.ok().filter(jiff::SignedDuration::is_positive)
    });
    duration.map(Expiry::In).ok_or_else(|| {
        "neither a time from now nor a time to come; write for example 90d, 12h or 2027-01-31"
            .to_owned()
    })
}

fn token_name(text: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_good) {
        return Ok(text.to_owned());
    }
    Err("a name has 1 to 64 letters, digits, `.`, `_`, `-` or `@`".to_owned())
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints every setting as it holds
    Show,
    /// Says whether the configuration can be used
    Check,
}
