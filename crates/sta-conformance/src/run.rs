//! Tries the cases one after the other.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::{Bench, Cleaning, Scribe};
use crate::cases::{Case, Class, Level, all};
use crate::client::Client;
use crate::outcome::{Check, Stop, skip};
use crate::own::Station;
use crate::server::{Declared, Server};

/// What is tried.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    /// Only cases whose full names contain this.
    pub(crate) only: Option<String>,
    /// Only cases that need this; all where none is named.
    pub(crate) level: Option<Level>,
    /// Also cases of classes that the server does not declare.
    pub(crate) undeclared: bool,
}

impl Choice {
    /// Whether a case is chosen.
    fn takes(&self, case: &Case) -> bool {
        let named = self.only.as_ref().is_none_or(|only| {
            case.full_name()
                .to_lowercase()
                .contains(&only.to_lowercase())
        });
        named && self.level.is_none_or(|level| level == case.level)
    }
}

/// A case and what it came to.
pub(crate) struct Tried {
    /// The case.
    pub(crate) case: Case,
    /// What it came to.
    pub(crate) result: Check,
    /// How long it took.
    pub(crate) took: Duration,
}

/// A run.
pub(crate) struct Ran {
    /// The cases that were chosen, in the order of the report.
    pub(crate) tried: Vec<Tried>,
    /// What became of the data of the run.
    pub(crate) cleaning: Cleaning,
    /// Whether it was broken off.
    pub(crate) broken_off: bool,
}

/// Tries what is chosen. `mark` begins the names of all data of the run.
pub(crate) async fn run(client: &Client, server: &Server, choice: &Choice, mark: String) -> Ran {
    let cases: Vec<Case> = all()
        .into_iter()
        .filter(|case| choice.takes(case))
        .collect();
    let writes = cases.iter().any(|case| case.level == Level::Write);
    let scribe = Scribe::new(client, server.version, mark);
    let own = if writes {
        Station::make(&scribe).await
    } else {
        Station::none(&skip("only reading was asked for"))
    };
    let bench = Bench {
        client,
        server,
        scribe,
        own,
    };
    let bar = progress(cases.len());
    let mut tried = Vec::new();
    let mut broken_off = false;
    for case in cases {
        bar.set_message(case.full_name());
        let start = Instant::now();
        let result = if broken_off {
            Err(skip("the run was broken off"))
        } else {
            tokio::select! {
                result = attempt(&bench, &case, choice) => result,
                _ = tokio::signal::ctrl_c() => {
                    broken_off = true;
                    Err(skip("the run was broken off"))
                }
            }
        };
        if matches!(result, Err(Stop::Fault(_))) {
            bar.println(format!("FAIL {}", case.full_name()));
        }
        let took = start.elapsed();
        tried.push(Tried { case, result, took });
        bar.inc(1);
    }
    bar.set_message("removing the data of the run");
    let cleaning = bench.scribe.clean().await;
    bar.finish_and_clear();
    tried.sort_by_key(|tried| {
        Class::ALL
            .iter()
            .position(|class| *class == tried.case.class)
    });
    Ran {
        tried,
        cleaning,
        broken_off,
    }
}

/// Tries one case, unless the server does not claim what it asks.
async fn attempt(bench: &Bench<'_>, case: &Case, choice: &Choice) -> Check {
    if case.since > bench.server.version {
        return Err(skip(format!("asked for since {}", case.since.name())));
    }
    if !choice.undeclared {
        if case.class.declared(bench.server) == Declared::No {
            return Err(skip(UNDECLARED));
        }
        if let Some(requirement) = case.requires
            && bench.server.declares(requirement) == Declared::No
        {
            return Err(skip(format!("not declared: {requirement}")));
        }
    }
    if case.level == Level::Write {
        bench.writable()?;
    }
    case.attempt(bench).await
}

/// Why the cases of a class are skipped that the server does not declare.
pub(crate) const UNDECLARED: &str = "the server does not declare this class";

/// A bar on standard error, where that is a terminal.
fn progress(cases: usize) -> ProgressBar {
    let bar = ProgressBar::new(cases as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar
}
