//! `sta-conformance`: tries a server of the OGC SensorThings API, whoever made it.
//!
//! ```text
//! arguments ─► server: what it says of itself ─► run: cases, one after the other ─► report ─► exit status
//!                                                 │
//!                                own: data of the run, made by deep inserts, removed at the end
//! ```
//!
//! `cases/` has a file for each conformance class; each case is a row of a table with a name, the section of the
//! standard, what it asks in own words, and a function. A case fails with the exchange that shows the fault, and it is
//! skipped with a reason where it cannot be tried: what the server does not declare, or where it lets nobody write.
//! Nothing here knows any particular server.

mod bench;
mod cases;
mod client;
mod model;
mod outcome;
mod own;
mod report;
mod run;
mod server;
#[cfg(test)]
mod tests;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::client::Client;
use crate::outcome::Stop;
use crate::report::Counts;
use crate::run::{Choice, Ran};
use crate::server::Server;

/// Tries a server of the OGC SensorThings API 1.0 or 1.1 against the standard.
///
/// The version is taken from the address, or from what the server declares. Data are made for the run, and removed at
/// its end; what was there before stays untouched.
///
/// The exit status is 0 when no case failed, 1 when one did, 2 for wrong usage, 3 when the server does not answer, and 4
/// when no case could be tried.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address of the service with its version, as `http://localhost:8080/sta/v1.1`
    #[arg(value_name = "URL", required_unless_present = "list")]
    url: Option<String>,
    /// A token to send as `Authorization: Bearer TOKEN`
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// A header to send with every request, as `Name: value`; may be repeated
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// Only cases whose names contain this, as `filter-functions` or `delete`
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Cases that only read, those that need data of the run, or all
    #[arg(long, value_enum, default_value_t)]
    level: Levels,
    /// How the report is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Tries also what the server does not declare
    #[arg(long)]
    undeclared: bool,
    /// Names passed and skipped cases as well
    #[arg(long, short)]
    verbose: bool,
    /// Lists all cases and what they ask, and tries nothing
    #[arg(long)]
    list: bool,
}

/// Which cases are tried, by what they need.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Levels {
    /// Cases that only read
    Read,
    /// Cases that need data of the run
    Write,
    /// Both
    #[default]
    All,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For continuous integration
    Junit,
}

/// A case failed.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;
/// The server does not answer.
const UNREACHED: u8 = 3;
/// Nothing was tried.
const NOTHING: u8 = 4;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => ExitCode::from(runtime.block_on(told(&arguments))),
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(UNREACHED)
        }
    }
}

/// Runs and reports, and gives the exit status.
async fn told(arguments: &Arguments) -> u8 {
    if arguments.list {
        print(&listed());
        return 0;
    }
    let Some(url) = &arguments.url else {
        complain("the address of the service is missing");
        return USAGE;
    };
    let headers = match headers(arguments) {
        Ok(headers) => headers,
        Err(why) => {
            complain(&why);
            return USAGE;
        }
    };
    let client = match Client::new(url, &headers) {
        Ok(client) => client,
        Err(why) => {
            complain(&why);
            return USAGE;
        }
    };
    let server = match Server::ask(&client).await {
        Ok(server) => server,
        Err(stop) => {
            if let Stop::Fault(fault) = stop {
                complain(&format!("{url}: {}", fault.what));
            }
            return UNREACHED;
        }
    };
    let ran = run::run(&client, &server, &choice(arguments), mark()).await;
    print(&match arguments.format {
        Format::Text => report::text(client.root(), &server, &ran, arguments.verbose),
        Format::Json => report::as_json(client.root(), &server, &ran),
        Format::Junit => report::junit(&server, &ran),
    });
    status(&ran)
}

/// The exit status of a run.
fn status(ran: &Ran) -> u8 {
    let counts = Counts::of(ran.tried.iter());
    match counts {
        Counts { failed: 1.., .. } => FAILED,
        Counts { passed: 0, .. } => NOTHING,
        _ => 0,
    }
}

/// The headers to send.
fn headers(arguments: &Arguments) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    if let Some(token) = &arguments.token {
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    for header in &arguments.header {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| format!("no header as `Name: value`: {header}"))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(headers)
}

/// What was chosen.
fn choice(arguments: &Arguments) -> Choice {
    Choice {
        only: arguments.only.clone(),
        level: match arguments.level {
            Levels::Read => Some(cases::Level::Read),
            Levels::Write => Some(cases::Level::Write),
            Levels::All => None,
        },
        undeclared: arguments.undeclared,
    }
}

/// What the names of all data of this run begin with: unlike that of any other run.
#[expect(
    clippy::disallowed_methods,
    reason = "the wiring reads the clock, so that runs do not meet each other's data"
)]
fn mark() -> String {
    let now = jiff::Timestamp::now().as_millisecond();
    format!("conformance-{now:x}-{:x}", std::process::id())
}

/// All cases and what they ask.
fn listed() -> String {
    let all = cases::all();
    let each = all
        .iter()
        .map(|case| format!("{}\n    {}\n", case.full_name(), case.requirement));
    each.collect()
}

/// Writes a document; a closed pipe is no reason to fail.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Says why nothing was done.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "error: {text}");
}
