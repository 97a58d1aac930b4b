//! `smartem store backup|restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use smartem_backup::store::{
    LINE, MakeSettings, RestoreSettings, Restored, back_up as make, restore as put_back, verify,
};
use smartem_backup::{
    BackupError, Contents, Keep, Manifest, Pruned, Repository, Sent, Target, Watch,
};
use smartem_etl::Progress;
use smartem_store::PostgresSettings;

use super::{copy, open_store, print_table};
use crate::backup::{self, BackupSettings};
use crate::cli::{KeepArgs, StoreBackup, StoreRestore};
use crate::config::{self, Config, StoreBackend, UsageError};
use crate::{clock, output, signals};

pub(super) async fn back_up(config: Config, args: &StoreBackup) -> anyhow::Result<ExitCode> {
    let settings = backup::settings(&config);
    let to = args
        .to
        .as_deref()
        .or(settings.as_ref().map(|it| it.to.as_str()));
    let to = to.filter(|to| !to.is_empty()).ok_or_else(|| {
        UsageError(
            "no place for backups; name one with `--to`, or as `to` in [process.backup.backup]"
                .to_owned(),
        )
    })?;
    let keep = keep(args.keep, settings.as_ref());
    let store = open_store(&config).await?;
    Target::check_outside(to, store.dir())?;
    let repository = repository(to, true)?;
    let how = MakeSettings {
        now: (clock::system())(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        scratch: args.scratch.clone(),
    };
    let (watch, bar) = watch("backup")?;
    let made = make(&store, &repository, &how, &watch).await;
    bar.finish();
    let made = made?;
    output::line(format_args!(
        "backup {} of the store in {}: {} files, {}",
        made.id,
        store.place(),
        made.manifest.files.len(),
        told(made.sent)
    ));
    if args.verify {
        let (watch, bar) = self::watch("verify")?;
        let scratch = args.scratch.as_deref().unwrap_or(store.dir());
        let now = (clock::system())();
        let nothing = async |_| Ok(Vec::new());
        let verified = verify(&repository, scratch, None, now, &watch, nothing).await;
        bar.finish();
        tell_verified(&verified?);
    }
    let now = (clock::system())();
    tell_pruned(&repository.prune(LINE, keep, now).await?);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn restore(config: &Config, args: &StoreRestore) -> anyhow::Result<ExitCode> {
    let repository = repository(&args.from, false)?;
    if args.list {
        return list(&repository, LINE).await;
    }
    let dir = args.to.as_ref().unwrap_or(&config.store.data_dir);
    let now = (clock::system())();
    let (watch, bar) = watch("restore")?;
    if args.check {
        let nothing = async |_| Ok(Vec::new());
        let verified = verify(&repository, dir, args.as_of, now, &watch, nothing).await;
        bar.finish();
        tell_verified(&verified?);
        return Ok(ExitCode::SUCCESS);
    }
    let settings = RestoreSettings {
        dir: dir.clone(),
        as_of: args.as_of,
        replace: args.replace,
        now,
    };
    if args.to.is_none()
        && let Some(database) = config.postgres()?
    {
        let restored = into_database(config, database, &repository, settings, &watch).await;
        bar.finish();
        return restored;
    }
    let restored = put_back(&repository, &settings, &watch).await;
    bar.finish();
    let restored = restored?;
    output::line(format_args!(
        "restored the backup of {} into {}; {}",
        restored.backup.made_at,
        dir.display(),
        contents(&restored)
    ));
    if let Some(aside) = &restored.aside {
        output::line(format_args!(
            "what was there is in {}; delete it when all is well",
            aside.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts a backup back into the database of the configuration, in which nothing was stored yet: first as an
/// embedded store in a folder beside, then from there.
async fn into_database(
    config: &Config,
    database: PostgresSettings,
    repository: &Repository,
    mut settings: RestoreSettings,
    watch: &Watch,
) -> anyhow::Result<ExitCode> {
    if settings.replace {
        return Err(UsageError(
            "`--replace` puts a folder aside, not a database; name an empty database in \
             `store.postgres.url`, or a folder with `--to`"
                .to_owned(),
        )
        .into());
    }
    let scratch = NewFolder::make(&config.store.data_dir, "restore-database")?;
    settings.dir.clone_from(&scratch.dir);
    let restored = put_back(repository, &settings, watch).await?;
    let mut beside = config.clone();
    beside.store.backend = StoreBackend::Sqlite;
    beside.store.data_dir.clone_from(&scratch.dir);
    let store = open_store(&beside).await?;
    // What the collector had acknowledged and not yet committed is in the log of the backup.
    copy::commit_log(&store, &beside).await?;
    let copied = copy::copy(&store, &copy::Place::Postgres(database), &watch.stop).await?;
    let Some((_, place)) = copied else {
        return Err(BackupError::Stopped.into());
    };
    output::line(format_args!(
        "restored the backup of {} into {place}; {}",
        restored.backup.made_at,
        contents(&restored)
    ));
    Ok(ExitCode::SUCCESS)
}

/// A folder that is thrown away.
struct NewFolder {
    dir: PathBuf,
}

impl NewFolder {
    fn make(within: &Path, name: &str) -> anyhow::Result<Self> {
        let folder = Self {
            dir: within.join(name),
        };
        // What a restore that was killed left.
        match std::fs::remove_dir_all(&folder.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("emptying the folder {}", folder.dir.display()))
            }
            _ => Ok(folder),
        }
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Lists the backups of a line.
pub(super) async fn list(repository: &Repository, line: &str) -> anyhow::Result<ExitCode> {
    let mut rows: Vec<[String; _]> = Vec::new();
    for backup in repository.backups(line).await? {
        let manifest = repository.manifest(line, &backup.id).await;
        let (bytes, program) = match &manifest {
            Ok(manifest) => (
                mib(manifest.files.iter().map(|file| file.bytes).sum()),
                manifest.program.clone(),
            ),
            Err(_) => ("damaged".to_owned(), "-".to_owned()),
        };
        let of = manifest.as_ref().map_or("-", |manifest| of(manifest));
        let verified = if backup.verified { "yes" } else { "no" };
        rows.push([
            backup.made_at.to_string(),
            bytes,
            verified.to_owned(),
            program,
            of.to_owned(),
        ]);
    }
    print_table(&["made at", "size", "verified", "version", "of"], &rows);
    Ok(ExitCode::SUCCESS)
}

/// The id of the store, or the database, that a backup is of.
fn of(manifest: &Manifest) -> &str {
    match &manifest.contents {
        Contents::Influxdb(contents) => &contents.database,
        Contents::Store(_) => manifest.store().unwrap_or("-"),
    }
}

/// The backups in a place.
pub(super) fn repository(place: &str, make: bool) -> anyhow::Result<Repository> {
    let target = Target::open(place, &config::storage_credentials(), make)?;
    Ok(Repository::new(target))
}

/// How many backups are kept: by flag, else as configured, else as usual.
pub(super) fn keep(args: KeepArgs, configured: Option<&BackupSettings>) -> Keep {
    let usual = configured.map_or_else(Keep::default, |it| Keep {
        daily: it.keep_daily,
        weekly: it.keep_weekly,
        monthly: it.keep_monthly,
    });
    Keep {
        daily: args.keep_daily.unwrap_or(usual.daily),
        weekly: args.keep_weekly.unwrap_or(usual.weekly),
        monthly: args.keep_monthly.unwrap_or(usual.monthly),
    }
}

/// What draws a bar and ends with a signal.
pub(super) fn watch(name: &str) -> anyhow::Result<(Watch, Arc<Progress>)> {
    let bar = Arc::new(Progress::shown(name));
    let (done, more) = (bar.clone(), bar.clone());
    let watch = Watch {
        stop: signals::stop_token()?,
        done: Arc::new(move |by| done.advance(by)),
        more: Arc::new(move |by| more.add_goal(by)),
    };
    Ok((watch, bar))
}

/// What was sent, in words.
pub(super) fn told(sent: Sent) -> String {
    format!(
        "{}, {} of {} pieces new, {} sent",
        mib(sent.bytes),
        sent.new_chunks,
        sent.chunks,
        mib(sent.new_bytes)
    )
}

/// Says what pruning did, where it did something.
pub(super) fn tell_pruned(pruned: &Pruned) {
    if pruned.backups > 0 || pruned.chunks > 0 {
        output::line(format_args!(
            "forgot {} older backups and {} pieces that no backup needs",
            pruned.backups, pruned.chunks
        ));
    }
    if pruned.unverified > 0 {
        output::line(format_args!(
            "{} older backups stay until a later one is verified",
            pruned.unverified
        ));
    }
    if pruned.postponed {
        output::line("pieces stay this time: another backup is being made, or was killed");
    }
}

fn tell_verified(verified: &Restored) {
    output::line(format_args!(
        "the backup of {} is whole; {}",
        verified.backup.made_at,
        contents(verified)
    ));
}

fn contents(restored: &Restored) -> String {
    let bytes = restored.manifest.files.iter().map(|file| file.bytes).sum();
    let size = mib(bytes);
    let Contents::Store(contents) = &restored.manifest.contents else {
        return size;
    };
    let rows = |table: &str| contents.tables.get(table).copied().unwrap_or(0);
    let hours = match (contents.first_hour, contents.last_hour) {
        (Some(first), Some(last)) => format!(" of {first} to {last}"),
        _ => String::new(),
    };
    format!(
        "{size}, {} stations, {} station-hours{hours} ({} compared with their sums), {} observations",
        rows("station"),
        rows("raw_record"),
        restored.records,
        rows("observation")
    )
}

/// Bytes as people read them.
pub(super) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}
