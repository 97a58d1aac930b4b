use std::path::{Path, PathBuf};

use smartem_influxdb::InfluxError;
use smartem_store::StoreError;

/// Why something about a backup did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The place of backups is not written as one.
    #[error("`{text}` is no place for backups: {problem}")]
    Place {
        /// As it was given.
        text: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The place of backups does not answer, or refuses.
    #[error("{action} {object} in {place}: {problem}")]
    Target {
        /// What was tried.
        action: &'static str,
        /// With which object.
        object: String,
        /// Where.
        place: String,
        /// What the library says, without the query of an address.
        problem: String,
    },
    /// A local file or folder.
    #[error("{action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The InfluxDB server.
    #[error(transparent)]
    Influx(#[from] InfluxError),
    /// A backup that is not what was written.
    #[error("{object} in {place} is damaged: {problem}; {remedy}")]
    Damaged {
        /// Which object or file.
        object: String,
        /// Where.
        place: String,
        /// What is wrong with it.
        problem: String,
        /// What helps.
        remedy: &'static str,
    },
    /// No backup that was asked for.
    #[error("{place}: {problem}")]
    NoBackup {
        /// Where it was looked for.
        place: String,
        /// What was asked for, and the remedy.
        problem: String,
    },
    /// A newer program made it.
    #[error(
        "the backup {id} has {what} {found}, this program knows those up to {known}; use a newer smartem"
    )]
    Newer {
        /// Which backup.
        id: String,
        /// Of what.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// The place has backups of another store, which would be mixed with those of this one.
    #[error(
        "{place} has backups of another store ({theirs}, this one is {ours}); give this store a place or \
         prefix of its own, for example {place}/{ours}"
    )]
    OtherStore {
        /// Where.
        place: String,
        /// The id of the store whose backups are there.
        theirs: String,
        /// The id of the store that was to be backed up.
        ours: String,
    },
    /// Something is in the way; nothing was changed.
    #[error("{0}; nothing was changed")]
    Refused(String),
    /// What was restored is not what was backed up.
    #[error("what was restored is not what was backed up: {}", .0.join("; "))]
    Differs(Vec<String>),
    /// InfluxDB's own program failed.
    #[error("`{command}` failed: {problem}")]
    Program {
        /// How it was called.
        command: String,
        /// Its last words.
        problem: String,
    },
    /// Told to stop.
    #[error("stopped before it was done; the next run begins anew")]
    Stopped,
    /// A task ended unexpectedly.
    #[error("a task ended unexpectedly: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl BackupError {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
