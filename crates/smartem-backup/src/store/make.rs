use std::fs::File;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use smartem_store::{Store, StoreContents};

use super::{LINE, POINTS};
use crate::manifest::{Contents, FORMAT, FileEntry, Manifest};
use crate::transfer::{Sent, Session, Watch};
use crate::{BackupError, Repository, private};

/// How a backup is made.
#[derive(Clone, Debug)]
pub struct MakeSettings {
    /// The time; also the name of the backup.
    pub now: Timestamp,
    /// The version of this program.
    pub program: String,
    /// Folder for the copy of the database, which is as large as that; `None`: in the folder of the store.
    pub scratch: Option<PathBuf>,
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// What it is called.
    pub id: String,
    /// What was sent.
    pub sent: Sent,
    /// What it consists of.
    pub manifest: Manifest,
}

/// Backs up the store while others write to it.
///
/// The log of points is copied before the database: what moves from one into the other meanwhile is
/// in both, and taking a point in twice changes nothing. So everything that was acknowledged before the
/// start is in the backup. Killed anywhere, there is no backup, and what was sent serves the next.
///
/// # Errors
/// [`BackupError::Refused`] while another backup of this store is being made,
/// [`BackupError::OtherStore`] where backups of another store are.
pub async fn back_up(
    store: &Store,
    repository: &Repository,
    settings: &MakeSettings,
    watch: &Watch,
) -> Result<Made, BackupError> {
    let Some(_lock) = store.lock("making-backup").await? else {
        return Err(BackupError::Refused(
            "another backup of this store is being made; wait for it".to_owned(),
        ));
    };
    if let Some(ours) = store.identity().await? {
        alone(repository, ours).await?;
    }
    let scratch = settings.scratch.as_deref().unwrap_or(store.dir());
    let scratch = Scratch::new(scratch)?;
    let session = Session::begin(repository, LINE, settings.now, watch).await?;
    let marker = session.marker().to_owned();
    let made = make(store, session, &scratch, settings, watch).await;
    if made.is_err() {
        // It only keeps pieces from being deleted for a while.
        let _ = repository.target.delete(&marker).await;
    }
    made
}

/// Refuses a place that has backups of another store: the newest would be restored, whichever it is of,
/// and the oldest forgotten. Backups of older programs, which have no id, are taken for those of this store.
async fn alone(repository: &Repository, ours: String) -> Result<(), BackupError> {
    for backup in repository.backups(LINE).await? {
        let manifest = repository.readable(LINE, &backup.id).await?;
        let theirs = manifest.as_ref().and_then(Manifest::store);
        if let Some(theirs) = theirs.filter(|theirs| *theirs != ours) {
            return Err(BackupError::OtherStore {
                place: repository.name().trim_end_matches('/').to_owned(),
                theirs: theirs.to_owned(),
                ours,
            });
        }
    }
    Ok(())
}

async fn make(
    store: &Store,
    mut session: Session<'_>,
    scratch: &Scratch,
    settings: &MakeSettings,
    watch: &Watch,
) -> Result<Made, BackupError> {
    let mut files = send_points(store.dir(), &mut session).await?;
    let copy = scratch.dir.join(Store::FILE_NAME);
    let stop = watch.stop.clone();
    let go_on = move |_, _| {
        if stop.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    if !store.snapshot(&copy, go_on).await? {
        return Err(BackupError::Stopped);
    }
    let contents = StoreContents::of_copy(&copy).await?;
    let opened = open(&copy)?;
    files.push(
        session
            .send(opened.0, opened.1, Store::FILE_NAME, &copy)
            .await?,
    );
    let manifest = Manifest {
        format: FORMAT,
        made_at: settings.now,
        program: settings.program.clone(),
        files,
        contents: Contents::Store(contents),
    };
    let sent = session.sent;
    let id = session.finish(&manifest).await?;
    Ok(Made { id, sent, manifest })
}

/// Sends the segments of the log of points, each as long as it is when it is opened.
///
/// A segment that is gone by then is in the database, which is copied later.
async fn send_points(dir: &Path, session: &mut Session<'_>) -> Result<Vec<FileEntry>, BackupError> {
    let folder = dir.join(POINTS);
    let mut files = Vec::new();
    for path in segments(&folder)? {
        let (file, bytes) = match open(&path) {
            Ok(opened) => opened,
            Err(BackupError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
                continue;
            }
            Err(error) => return Err(error),
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{POINTS}/{name}");
        files.push(session.send(file, bytes, &name, &path).await?);
    }
    Ok(files)
}

fn segments(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let failed = |source| BackupError::file("looking through", folder, source);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn open(path: &Path) -> Result<(File, u64), BackupError> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (bytes, file) = opened.map_err(|source| BackupError::file("opening", path, source))?;
    Ok((file, bytes))
}

/// A folder for the copy, emptied before and deleted after.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn new(within: &Path) -> Result<Self, BackupError> {
        let dir = within.join("backup-scratch");
        // What a backup that was killed left.
        match std::fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(BackupError::file("emptying the folder", &dir, error));
            }
            _ => {}
        }
        private::create_dir(&dir)?;
        Ok(Self { dir })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
