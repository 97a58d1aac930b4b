//! `smartem device import`: stations and raw records from files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use smartem_collect::import::{Fault, stations};
use smartem_etl::{Outcome, Process, Run, run_once};
use smartem_store::{Store, StoreError};

use super::{load_config, open_store};
use crate::cli::Global;
use crate::config::UsageError;
use crate::platform::Platform;
use crate::{clock, output, signals};

pub(super) async fn run(files: &[PathBuf], global: &Global) -> anyhow::Result<ExitCode> {
    let (station_files, record_files) = by_kind(files)?;
    for file in files {
        // Before anything is taken in: a misspelt name is no fault of the data.
        std::fs::File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    }
    let platform = Platform::new(load_config(global)?)?;
    let store = open_store(&platform.config).await?;
    let mut refused = 0;
    for file in &station_files {
        refused += import_stations(file, &platform, &store).await?;
    }
    if record_files.is_empty() {
        return Ok(status(refused));
    }
    let set_aside = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&set_aside);
    let process = platform.import(record_files, move |file, fault| {
        counted.fetch_add(1, Ordering::Relaxed);
        tell(file, &fault);
    });
    let stop = signals::stop_token()?;
    let run = Run::new(process.name(), store, clock::system(), None, stop).with_progress();
    let report = run_once(&process, run).await;
    output::line(&report.summary);
    if report.outcome != Some(Outcome::Done) {
        let later = smartem_etl::ExitCode::TryAgain.code();
        return Ok(ExitCode::from(later.max(report.exit_code.code())));
    }
    Ok(status(refused + set_aside.load(Ordering::Relaxed)))
}

fn status(refused: usize) -> ExitCode {
    if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Station files and files of records, each in the order given.
fn by_kind(files: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), UsageError> {
    let (mut station_files, mut record_files) = (Vec::new(), Vec::new());
    for file in files {
        match file.extension().and_then(OsStr::to_str) {
            Some("toml") => station_files.push(file.clone()),
            Some("json" | "ndjson" | "jsonl") => record_files.push(file.clone()),
            _ => {
                return Err(UsageError(format!(
                    "{} is neither a station file (.toml) nor a file of raw records (.json)",
                    file.display()
                )));
            }
        }
    }
    Ok((station_files, record_files))
}

/// Takes in what is good of a station file; gives back how much is not.
async fn import_stations(file: &Path, platform: &Platform, store: &Store) -> anyhow::Result<usize> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let types: Vec<&str> = platform.catalogue.iter().map(|it| &*it.name).collect();
    let circumstances = stations::Circumstances {
        move_m: platform.config.refine.move_m,
        now: (clock::system())(),
    };
    let read = stations::read(&text, &types, circumstances);
    let mut refused = read.faults.len();
    for fault in &read.faults {
        tell(file, fault);
    }
    for (declaration, at) in read.stations {
        let id = declaration.id.clone();
        match store.declare_station(declaration).await {
            Ok(declared) => {
                let known = if declared.is_new { "added" } else { "known" };
                let marked = match declared.marked {
                    0 => String::new(),
                    hours => format!(", {hours} hours to be refined again"),
                };
                output::line(format_args!("station {id}: {known}{marked}"));
            }
            Err(StoreError::OtherStationType {
                declared, stored, ..
            }) => {
                refused += 1;
                let message = format!(
                    "`type` is `{declared}`, but the records of station `{id}` are of type \
                     `{stored}`; write type = \"{stored}\""
                );
                tell(file, &stations::fault_at(&text, at, message));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(refused)
}

fn tell(file: &Path, fault: &Fault) {
    let Fault {
        line,
        column,
        message,
    } = fault;
    output::line(format_args!(
        "{}:{line}:{column}: {message}",
        file.display()
    ));
}
