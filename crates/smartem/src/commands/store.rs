//! `smartem store`.

use std::process::ExitCode;

use anyhow::Context;
use smartem_store::Store;

use super::{load_config, open_store};
use crate::cli::{self, Global};
use crate::{clock, output};

pub(super) async fn run(args: &cli::Store, global: &Global) -> anyhow::Result<ExitCode> {
    let config = load_config(global)?;
    let dir = &config.store.data_dir;
    match args {
        cli::Store::Migrate => {
            let applied = Store::migrate_dir(dir, (clock::system())())
                .await
                .with_context(|| format!("migrating the store in {}", dir.display()))?;
            for migration in &applied {
                output::line(format_args!(
                    "applied {} {}",
                    migration.version, migration.name
                ));
            }
            if applied.is_empty() {
                output::line(format_args!("the store in {} is up to date", dir.display()));
            }
            Ok(ExitCode::SUCCESS)
        }
        cli::Store::Backup(args) => super::backup::back_up(config, args).await,
        cli::Store::Restore(args) => super::backup::restore(&config, args).await,
        cli::Store::Import(import) => {
            let cli::StoreImport::Influx(args) = import.as_ref();
            super::import_influx::run(&config, args).await
        }
        cli::Store::Check => {
            let report = open_store(&config).await?.check().await?;
            for problem in &report.problems {
                output::line(problem);
            }
            if report.problems.is_empty() {
                output::line(format_args!("the store in {} is sound", dir.display()));
            }
            Ok(if report.problems.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}
