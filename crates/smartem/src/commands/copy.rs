//! `smartem store copy`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use smartem_etl::Progress;
use smartem_store::{Access, Copied, Points, PostgresSettings, Store, StoreError};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::cli::StoreCopy;
use crate::collector::points_settings;
use crate::config::{Config, UsageError};
use crate::platform::Platform;
use crate::{clock, output, signals};

/// Where a store is.
pub(super) enum Place {
    Dir(PathBuf),
    Postgres(PostgresSettings),
}

impl Place {
    /// A folder, or the address of a database.
    fn new(text: &str, config: &Config) -> anyhow::Result<Self> {
        match text.split_once("://") {
            Some(("postgresql" | "postgres", _)) => Ok(Self::Postgres(config.postgres_at(text)?)),
            // The address may hold a password, so only its beginning is told.
            Some((scheme, _)) => Err(UsageError(format!(
                "a store cannot be at `{scheme}://...`; name a folder, or postgresql://USER@HOST:PORT/DATABASE"
            ))
            .into()),
            None if text.is_empty() => {
                Err(UsageError("the place of a store is empty".to_owned()).into())
            }
            None => Ok(Self::Dir(text.into())),
        }
    }

    /// The store of the configuration.
    fn configured(config: &Config) -> anyhow::Result<Self> {
        Ok(match config.postgres()? {
            None => Self::Dir(config.store.data_dir.clone()),
            Some(database) => Self::Postgres(database),
        })
    }

    /// Whether the configuration says how what stations push there is understood.
    fn is_configured(&self, config: &Config) -> bool {
        match self {
            Self::Dir(dir) => *dir == config.store.data_dir,
            Self::Postgres(database) => database.url == config.store.postgres.url,
        }
    }
}

pub(super) async fn run(config: &Config, args: &StoreCopy) -> anyhow::Result<ExitCode> {
    let to = Place::new(&args.to, config)?;
    let from = match &args.from {
        Some(from) => Place::new(from, config)?,
        None => Place::configured(config)?,
    };
    let is_configured = from.is_configured(config);
    let (source, _folder) = open(from, config, is_configured).await?;
    if is_configured {
        commit_log(&source, config).await?;
    }
    let stop = signals::stop_token()?;
    let copied = copy(&source, &to, &stop).await?;
    let Some((copied, target)) = copied else {
        output::line("stopped; nothing was copied");
        return Ok(ExitCode::from(smartem_etl::ExitCode::TryAgain.code()));
    };
    tell(&source, &copied, &target);
    Ok(ExitCode::SUCCESS)
}

/// Opens the store that is copied, and the folder that is thrown away with it.
async fn open(
    from: Place,
    config: &Config,
    is_configured: bool,
) -> anyhow::Result<(Store, Option<TempDir>)> {
    match from {
        Place::Dir(dir) => {
            if Store::in_use(&dir).await? {
                let what = "the tables";
                return Err(StoreError::InUse { what, path: dir }.into());
            }
            let store = Store::open(&dir, Access::Existing).await?;
            Ok((store, None))
        }
        // The log of this machine is that of the configured database.
        Place::Postgres(database) if is_configured => {
            let dir = &config.store.data_dir;
            let store = Store::connect(dir, &database, Access::Existing).await?;
            Ok((store, None))
        }
        Place::Postgres(database) => {
            let folder = TempDir::with_prefix("smartem-copy-").context("making a folder")?;
            let store = Store::connect(folder.path(), &database, Access::Existing).await?;
            Ok((store, Some(folder)))
        }
    }
}

/// Commits what a collector that was killed left in its log.
pub(super) async fn commit_log(store: &Store, config: &Config) -> anyhow::Result<()> {
    let platform = Platform::new(config.clone())?;
    let settings = points_settings(&platform, clock::system())?;
    let points = Points::open(store, settings).await?;
    Ok(points.close().await?)
}

/// Copies a store and tells how far it is; `None` when it was stopped. Also gives the name of the target.
pub(super) async fn copy(
    source: &Store,
    to: &Place,
    stop: &CancellationToken,
) -> anyhow::Result<Option<(Copied, String)>> {
    let bar = Arc::new(Progress::shown("copy"));
    let (shown, stop) = (bar.clone(), stop.clone());
    let mut before = 0;
    let told = move |done: u64, of: u64| {
        shown.set_goal(of);
        shown.advance(done - before);
        before = done;
        if stop.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let now = (clock::system())();
    let copied = match to {
        Place::Dir(dir) => source.copy_to_dir(dir, now, told).await,
        Place::Postgres(database) => source.copy_to_postgres(database, now, told).await,
    };
    bar.finish();
    let Some(copied) = copied? else {
        return Ok(None);
    };
    let place = match to {
        Place::Dir(dir) => dir.display().to_string(),
        Place::Postgres(database) => database.place()?,
    };
    Ok(Some((copied, place)))
}

fn tell(source: &Store, copied: &Copied, target: &str) {
    let rows: u64 = copied.tables.iter().map(|(_, rows)| rows).sum();
    output::line(format_args!(
        "copied the store in {} into {target}: {} stations, {} station-hours, {} observations, {} blocks of \
         points; {rows} rows in all, each table compared",
        source.place(),
        copied.rows("station"),
        copied.rows("raw_record"),
        copied.rows("observation"),
        copied.rows("point_block"),
    ));
    output::line(
        "say in the configuration where the store is now (`store.backend`), and start again",
    );
}
