use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use smartem_store::{Access, ProcessLock, Store, StoreContents};

use super::LINE;
use crate::manifest::{Contents, Manifest};
use crate::private::{self, NewDirs};
use crate::transfer::{Readers, Watch, fetch};
use crate::{Backup, BackupError, Repository};

/// The folder in which a store is put together before it takes its place.
const STAGING: &str = "restore-scratch";

/// How folders begin that hold what a restore put aside.
const ASIDE: &str = "before-restore-";

/// How a store is put back.
#[derive(Clone, Debug)]
pub struct RestoreSettings {
    /// The folder of the store.
    pub dir: PathBuf,
    /// The newest backup that began then or before.
    pub as_of: Option<Timestamp>,
    /// Puts aside what is in the folder; without it the folder must be empty.
    pub replace: bool,
    /// The time.
    pub now: Timestamp,
}

/// A store that was put back, or read back to see whether that would do.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The backup.
    pub backup: Backup,
    /// What it consists of.
    pub manifest: Manifest,
    /// Raw records whose content was read and compared with its sum.
    pub records: u64,
    /// Where that lies which was in the folder before.
    pub aside: Option<PathBuf>,
}

/// Puts a store back: reads the whole backup into a folder beside, checks it there, and renames.
///
/// Until the last step nothing that is in the folder is touched. What was there is put aside, not
/// deleted.
///
/// # Errors
/// [`BackupError::Refused`] for a folder that is not empty (without `replace`) or a store in use,
/// [`BackupError::Damaged`] and [`BackupError::Differs`] for a backup that is not whole.
pub async fn restore(
    repository: &Repository,
    settings: &RestoreSettings,
    watch: &Watch,
) -> Result<Restored, BackupError> {
    let made = NewDirs::make(&settings.dir)?;
    let restored = put_in_place(repository, settings, watch).await;
    if restored.is_err() {
        made.undo();
    }
    restored
}

async fn put_in_place(
    repository: &Repository,
    settings: &RestoreSettings,
    watch: &Watch,
) -> Result<Restored, BackupError> {
    let dir = &settings.dir;
    let Some(lock) = ProcessLock::of_dir(dir, "restoring")? else {
        return Err(BackupError::Refused(format!(
            "another restore into {} is at work",
            dir.display()
        )));
    };
    let there = entries(dir)?;
    if !there.is_empty() && !settings.replace {
        return Err(BackupError::Refused(format!(
            "{} is not empty; name another folder with `--to`, or put what is in it aside with `--replace`",
            dir.display()
        )));
    }
    if Store::in_use(dir).await? {
        return Err(BackupError::Refused(format!(
            "the store in {} is in use; stop what uses it",
            dir.display()
        )));
    }
    let staging = dir.join(STAGING);
    let mut restored = stage(repository, &staging, settings.as_of, settings.now, watch).await?;
    if Store::in_use(dir).await? {
        return Err(BackupError::Refused(format!(
            "the store in {} came into use meanwhile; stop what uses it",
            dir.display()
        )));
    }
    restored.aside = swap(dir, &staging, settings.now)?;
    drop(lock);
    Ok(restored)
}

/// Reads a whole backup back into a scratch folder, checks it as a restore does, and drops it.
///
/// `look` sees the store before that; what it returns is added to the differences.
///
/// # Errors
/// As [`restore`].
pub async fn verify<L, F>(
    repository: &Repository,
    scratch: &Path,
    as_of: Option<Timestamp>,
    now: Timestamp,
    watch: &Watch,
    look: L,
) -> Result<Restored, BackupError>
where
    L: FnOnce(Store) -> F,
    F: Future<Output = Result<Vec<String>, BackupError>>,
{
    let made = NewDirs::make(scratch)?;
    let staging = scratch.join("verify-scratch");
    let looked = async {
        let restored = stage(repository, &staging, as_of, now, watch).await?;
        let found = look(Store::open(&staging, Access::Existing).await?).await?;
        if !found.is_empty() {
            return Err(BackupError::Differs(found));
        }
        Ok(restored)
    };
    let looked = looked.await;
    remove(&staging)?;
    made.undo();
    let restored = looked?;
    repository
        .mark_verified(LINE, &restored.backup.id, now)
        .await?;
    Ok(restored)
}

/// Reads a backup back into a folder of its own and compares it with what was noted.
async fn stage(
    repository: &Repository,
    staging: &Path,
    as_of: Option<Timestamp>,
    now: Timestamp,
    watch: &Watch,
) -> Result<Restored, BackupError> {
    let backup = repository.pick(LINE, as_of).await?;
    let manifest = repository.manifest(LINE, &backup.id).await?;
    let Contents::Store(expected) = &manifest.contents else {
        return Err(BackupError::NoBackup {
            place: repository.name().to_owned(),
            problem: format!("the backup {} is not of a store", backup.id),
        });
    };
    if expected.schema_version > Store::schema_known() {
        return Err(BackupError::Newer {
            id: backup.id,
            what: "a schema of version",
            found: expected.schema_version,
            known: Store::schema_known(),
        });
    }
    remove(staging)?;
    let staged = async {
        for file in &manifest.files {
            let to = staging.join(&file.path);
            fetch(repository, file, Some(&to), Readers::Owner, watch).await?;
        }
        check(staging, expected, now).await
    };
    match staged.await {
        Ok(records) => Ok(Restored {
            backup,
            manifest,
            records,
            aside: None,
        }),
        Err(error) => {
            remove(staging)?;
            Err(error)
        }
    }
}

/// Counts and checks a store; the number of raw records that were compared with their sums.
async fn check(dir: &Path, expected: &StoreContents, now: Timestamp) -> Result<u64, BackupError> {
    let found = StoreContents::of_copy(&dir.join(Store::FILE_NAME)).await?;
    let differences = expected.differences(&found);
    if !differences.is_empty() {
        return Err(BackupError::Differs(differences));
    }
    // A backup of an older program is brought up here, where nobody uses it yet.
    Store::migrate_dir(dir, now).await?;
    let store = Store::open(dir, Access::Existing).await?;
    let report = store.check().await?;
    if report.problems.is_empty() {
        Ok(report.records)
    } else {
        Err(BackupError::Differs(report.problems))
    }
}

/// What is in a folder, but for locks and what restores made.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let failed = |source| BackupError::file("looking through", dir, source);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = [STAGING, "locks", "lost+found"].contains(&&*name) || name.starts_with(ASIDE);
        if !ours {
            paths.push(entry.path());
        }
    }
    // The database goes first, so that what is left of a store half put aside is not taken for one.
    paths.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default().to_owned();
        (name != OsStr::new(Store::FILE_NAME), name)
    });
    Ok(paths)
}

/// Puts aside what is there and brings in what was made, the database last.
fn swap(dir: &Path, staging: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let aside = move_aside(dir, now)?;
    let mut made = entries(staging)?;
    made.reverse();
    for path in made {
        rename_into(&path, dir)?;
    }
    sync_dir(dir)?;
    remove(staging)?;
    Ok(aside)
}

fn move_aside(dir: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let there = entries(dir)?;
    if there.is_empty() {
        return Ok(None);
    }
    let name = format!("{ASIDE}{}", crate::manifest::id_of(now));
    let aside = dir.join(name);
    private::create_dir(&aside)?;
    for path in there {
        rename_into(&path, &aside)?;
    }
    sync_dir(&aside)?;
    Ok(Some(aside))
}

fn rename_into(path: &Path, folder: &Path) -> Result<(), BackupError> {
    let to = folder.join(path.file_name().unwrap_or_default());
    std::fs::rename(path, &to).map_err(|source| BackupError::file("renaming", path, source))
}

fn sync_dir(dir: &Path) -> Result<(), BackupError> {
    let synced = std::fs::File::open(dir).and_then(|it| it.sync_all());
    synced.map_err(|source| BackupError::file("syncing", dir, source))
}

fn remove(dir: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(BackupError::file("deleting the folder", dir, error))
        }
        _ => Ok(()),
    }
}
