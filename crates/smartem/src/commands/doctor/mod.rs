//! `smartem doctor`: what can be checked without changing anything, with a remedy for each fault.

mod clock;
mod configuration;
mod database;
mod history;
mod machine;
mod remote;

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::{FAILED, load_config, print_table};
use crate::cli::{Doctor, Global};
use crate::output;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Serialize)]
struct Check {
    group: &'static str,
    level: Level,
    what: String,
    detail: String,
    /// What to do; `None` when all is well.
    remedy: Option<String>,
}

/// What a kind of checks finds.
struct Findings {
    group: &'static str,
    checks: Vec<Check>,
}

impl Findings {
    fn new(group: &'static str) -> Self {
        Self {
            group,
            checks: Vec::new(),
        }
    }

    fn add(&mut self, level: Level, what: &str, detail: impl Into<String>, remedy: Option<String>) {
        self.checks.push(Check {
            group: self.group,
            level,
            what: what.to_owned(),
            detail: one_line(&detail.into()),
            remedy: remedy.map(|remedy| one_line(&remedy)),
        });
    }

    fn ok(&mut self, what: &str, detail: impl Into<String>) {
        self.add(Level::Ok, what, detail, None);
    }

    fn warn(&mut self, what: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Warn, what, detail, Some(remedy.into()));
    }

    fn fail(&mut self, what: &str, detail: impl Into<String>, remedy: impl Into<String>) {
        self.add(Level::Fail, what, detail, Some(remedy.into()));
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error with its causes, each once.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// All that was found; said as it comes, unless as JSON at the end.
struct Report {
    is_json: bool,
    checks: Vec<Check>,
}

impl Report {
    fn take(&mut self, findings: Findings) {
        for check in findings.checks {
            if !self.is_json {
                let Check {
                    level,
                    what,
                    detail,
                    remedy,
                    ..
                } = &check;
                let remedy = remedy
                    .as_ref()
                    .map_or_else(String::new, |it| format!("; {it}"));
                output::line(format_args!(
                    "{:<4}  {what} \u{2014} {detail}{remedy}",
                    level.as_str()
                ));
            }
            self.checks.push(check);
        }
    }

    fn count(&self, level: Level, group: Option<&str>) -> usize {
        let counted = self
            .checks
            .iter()
            .filter(|check| check.level == level && group.is_none_or(|group| check.group == group));
        counted.count()
    }

    fn end(&self) -> anyhow::Result<ExitCode> {
        let failed = self.count(Level::Fail, None);
        if self.is_json {
            let document = json!({
                "ok": failed == 0,
                "counts": {
                    "ok": self.count(Level::Ok, None),
                    "warn": self.count(Level::Warn, None),
                    "fail": failed,
                },
                "checks": self.checks,
            });
            output::document(&serde_json::to_string_pretty(&document)?)?;
        } else {
            self.table();
        }
        Ok(if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        })
    }

    fn table(&self) {
        let mut groups: Vec<&str> = self.checks.iter().map(|check| check.group).collect();
        groups.dedup();
        let row = |name: &str, group: Option<&str>| {
            let counted = |level| self.count(level, group).to_string();
            [
                name.to_owned(),
                counted(Level::Ok),
                counted(Level::Warn),
                counted(Level::Fail),
            ]
        };
        let mut rows: Vec<[String; 4]> = groups.iter().map(|it| row(it, Some(it))).collect();
        rows.push(row("all", None));
        output::line("");
        print_table(&["checks", "ok", "warn", "FAIL"], &rows);
    }
}

pub(super) async fn run(args: &Doctor, global: &Global) -> anyhow::Result<ExitCode> {
    let config = load_config(global)?;
    let mut report = Report {
        is_json: args.json,
        checks: Vec::new(),
    };
    report.take(machine::version());
    report.take(configuration::check(&config, global)?);
    report.take(machine::check(&config));
    let mut clocks = clock::Clocks::default();
    report.take(database::check(&config, &mut clocks).await);
    if !args.offline {
        report.take(remote::check(&config, &mut clocks).await);
    }
    report.take(clocks.check());
    report.take(history::backups(&config, args.offline).await);
    if let Some(findings) = history::store(&config).await {
        report.take(findings);
    }
    report.end()
}
