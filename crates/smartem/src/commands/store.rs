//! `smartem store`.

use std::process::ExitCode;

use anyhow::Context;
use smartem_store::{Migration, Store};

use super::{load_config, migrate_store, open_store};
use crate::cli::{self, Global};
use crate::config::Config;
use crate::output;

pub(super) async fn run(args: &cli::Store, global: &Global) -> anyhow::Result<ExitCode> {
    let config = load_config(global)?;
    match args {
        cli::Store::Migrate { dry_run } => migrate(&config, *dry_run).await,
        cli::Store::Backup(args) => super::backup::back_up(config, args).await,
        cli::Store::Restore(args) => super::backup::restore(&config, args).await,
        cli::Store::Copy(args) => super::copy::run(&config, args).await,
        cli::Store::Import(import) => match import.as_ref() {
            cli::StoreImport::Influx(args) => super::import_influx::run(&config, args).await,
            cli::StoreImport::Stetl(args) => super::import_stetl::run(&config, args).await,
        },
        cli::Store::Check => check(&config).await,
    }
}

/// Takes the steps of the schema that are missing, or says which those are.
async fn migrate(config: &Config, dry_run: bool) -> anyhow::Result<ExitCode> {
    let word = if dry_run { "missing" } else { "applied" };
    let steps = if dry_run {
        pending(config).await?
    } else {
        migrate_store(config).await?
    };
    for step in &steps {
        output::line(format_args!("{word} {} {}", step.version, step.name));
    }
    if steps.is_empty() {
        let place = open_store(config).await?.place();
        output::line(format_args!("the store in {place} is up to date"));
    } else if dry_run {
        output::line("nothing was changed");
    }
    Ok(ExitCode::SUCCESS)
}

async fn pending(config: &Config) -> anyhow::Result<Vec<Migration>> {
    match config.postgres()? {
        None => {
            let dir = &config.store.data_dir;
            Store::pending_dir(dir)
                .await
                .with_context(|| format!("looking at the store in {}", dir.display()))
        }
        Some(database) => Store::pending_postgres(&database)
            .await
            .context("looking at the store in the database of `store.postgres.url`"),
    }
}

async fn check(config: &Config) -> anyhow::Result<ExitCode> {
    let store = open_store(config).await?;
    let report = store.check().await?;
    for problem in &report.problems {
        output::line(problem);
    }
    if report.problems.is_empty() {
        output::line(format_args!("the store in {} is sound", store.place()));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
