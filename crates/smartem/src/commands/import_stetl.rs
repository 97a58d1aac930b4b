//! `smartem store import stetl`.

use std::process::ExitCode;

use anyhow::anyhow;
use smartem_collect::import::stetl::{Import, Imported, PROCESS, Tally, WHALE};
use smartem_etl::Progress;
use smartem_model::Vocabulary;
use smartem_store::{PostgresSettings, StetlSource, Store};
use toml::Value;

use super::{open_migrated_store, print_table};
use crate::cli::ImportStetl;
use crate::config::{Config, UsageError};
use crate::platform::Platform;
use crate::{clock, output, signals};

/// Raw records have 200 kB, refined values 100 bytes.
const RAW_ROWS: usize = 50;
const REFINED_ROWS: usize = 5_000;

pub(super) async fn run(config: &Config, args: &ImportStetl) -> anyhow::Result<ExitCode> {
    let settings = PostgresSettings {
        password_file: args.password_file.clone(),
        ca_file: args.ca_file.clone(),
        connections: 1,
        ..PostgresSettings::new(&args.from)
    };
    let source = StetlSource::connect(&settings).await?;
    if args.dry_run {
        return count(&source).await;
    }
    let whale = whale_source(config, args)?;
    let store = open_migrated_store(config).await?;
    let Some(lock) = store.lock(PROCESS).await? else {
        output::line("another import into this store is running");
        return Ok(ExitCode::from(smartem_etl::ExitCode::TryAgain.code()));
    };
    let imported = import(config, args, &source, &store, whale).await;
    drop(lock);
    Ok(tell(&imported?))
}

async fn count(source: &StetlSource) -> anyhow::Result<ExitCode> {
    let counts = source.counts(i64::MAX, i64::MAX).await?;
    let rows: Vec<[String; _]> = counts
        .iter()
        .map(|it| {
            let station = it.device_id.map_or("none".to_owned(), |id| id.to_string());
            [station, it.raw.to_string(), it.refined.to_string()]
        })
        .collect();
    print_table(&["station", "raw records", "refined values"], &rows);
    output::line("nothing was imported (`--dry-run`)");
    Ok(ExitCode::SUCCESS)
}

async fn import(
    config: &Config,
    args: &ImportStetl,
    source: &StetlSource,
    store: &Store,
    whale: Option<String>,
) -> anyhow::Result<Imported> {
    let platform = Platform::new(config.clone())?;
    let vocabulary = Vocabulary::builtin();
    let bar = Progress::shown(PROCESS);
    let there = source.counts(i64::MAX, i64::MAX).await?;
    bar.set_goal(there.iter().map(|it| it.raw + it.refined).sum());
    if !args.again {
        bar.advance(already_read(store, source).await?);
    }
    let told = |what: &'static str, rows: u64| {
        bar.tell(what.to_owned());
        bar.advance(rows);
    };
    let stop = signals::stop_token()?;
    let import = Import {
        source,
        store,
        vocabulary,
        types: platform
            .catalogue
            .iter()
            .map(|it| it.name.to_string())
            .collect(),
        move_m: config.refine.move_m,
        clock: clock::system(),
        again: args.again,
        whale,
        raw_rows: RAW_ROWS,
        refined_rows: REFINED_ROWS,
        told: &told,
        stop: &stop,
    };
    let imported = import.run().await;
    bar.finish();
    Ok(imported?)
}

/// Rows that an import before this one read.
async fn already_read(store: &Store, source: &StetlSource) -> anyhow::Result<u64> {
    let kept = store.checkpoints(PROCESS, &source.place()).await?;
    let stations = kept
        .values()
        .filter_map(|it| it.get("stations")?.as_object());
    let tallies = stations.flat_map(|stations| stations.values());
    Ok(tallies.filter_map(|it| it.get("read")?.as_u64()).sum())
}

/// The source whose stations the original harvested.
fn whale_source(config: &Config, args: &ImportStetl) -> anyhow::Result<Option<String>> {
    let process = config.process.get(WHALE);
    let names: Vec<&str> = process
        .iter()
        .flat_map(|process| &process.source)
        .filter_map(|source| source.get("name").and_then(Value::as_str))
        .collect();
    match (&args.whale_source, &names[..]) {
        (Some(name), names) if !names.contains(&name.as_str()) => {
            Err(anyhow!(UsageError(format!(
                "`--whale-source {name}`: the process `{WHALE}` has no such source; it has: {}",
                names.join(", ")
            ))))
        }
        (Some(name), _) => Ok(Some(name.clone())),
        (None, [name]) => Ok(Some((*name).to_owned())),
        (None, _) => Ok(None),
    }
}

fn tell(imported: &Imported) -> ExitCode {
    let row = |name: &str, it: &Tally| {
        let counts = [it.read, it.written, it.present, it.own, it.bad];
        let [read, written, present, own, bad] = counts.map(|count| count.to_string());
        [name.to_owned(), read, written, present, own, bad]
    };
    print_table(
        &[
            "",
            "read",
            "taken in",
            "there already",
            "refined here",
            "quarantine",
        ],
        &[
            row("raw records", &imported.raw),
            row("refined values", &imported.refined),
        ],
    );
    output::line(format_args!(
        "stations added: {}; harvesting goes on where it was: {}; models kept: {}",
        imported.stations_new, imported.checkpoints, imported.models
    ));
    if !imported.is_whole {
        output::line("stopped; the same command goes on");
        return ExitCode::from(smartem_etl::ExitCode::TryAgain.code());
    }
    if imported.differences.is_empty() {
        output::line("the counts of all stations agree");
        return ExitCode::SUCCESS;
    }
    for difference in &imported.differences {
        output::line(difference);
    }
    output::line("the counts differ: rows came or went meanwhile; import with `--again`");
    ExitCode::FAILURE
}
