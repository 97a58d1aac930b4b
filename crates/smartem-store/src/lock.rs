use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use futures::FutureExt as _;

use crate::StoreError;
use crate::postgres::Lease;
use crate::sqlite::create_dir;

/// A name held by one process of those that share a store; released when dropped, also when the process
/// is killed (where the store is a server: a little later).
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct ProcessLock {
    held: Held,
}

#[derive(Debug)]
enum Held {
    /// The system's lock lives as long as the open file.
    File { _file: File },
    /// A row of the database with an end.
    Lease(Lease),
}

impl ProcessLock {
    /// Locks `name` among the processes that use the folder `dir`, where there may be no store yet;
    /// `None` when another has it.
    pub fn of_dir(dir: &Path, name: &str) -> Result<Option<Self>, StoreError> {
        Self::take(dir, name)
    }

    fn of_file(file: File) -> Self {
        Self {
            held: Held::File { _file: file },
        }
    }

    /// Gives it back: another can have it from now on.
    ///
    /// Where the store is a server, dropping it does the same a little later.
    pub async fn release(self) {
        if let Held::Lease(lease) = self.held {
            // Boxed, as what a store does on a server.
            lease.release().boxed().await;
        }
    }

    pub(crate) fn of_lease(lease: Lease) -> Self {
        Self {
            held: Held::Lease(lease),
        }
    }

    /// Locks `name` among the processes that use the store in `dir`; `None` when another has it.
    pub(crate) fn take(dir: &Path, name: &str) -> Result<Option<Self>, StoreError> {
        let (file, path) = open(dir, name)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self::of_file(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(not_locked(path, source)),
        }
    }

    /// As [`ProcessLock::take`], but waits until no other has it.
    pub(crate) fn wait(dir: &Path, name: &str) -> Result<Self, StoreError> {
        let (file, path) = open(dir, name)?;
        match file.lock() {
            Ok(()) => Ok(Self::of_file(file)),
            Err(source) => Err(not_locked(path, source)),
        }
    }
}

fn open(dir: &Path, name: &str) -> Result<(File, PathBuf), StoreError> {
    let locks = dir.join("locks");
    create_dir(&locks)?;
    let path = locks.join(format!("{}.lock", file_name(name)));
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    match opened {
        Ok(file) => Ok((file, path)),
        Err(source) => Err(StoreError::File {
            action: "opening the lock file",
            path,
            source,
        }),
    }
}

fn not_locked(path: PathBuf, source: std::io::Error) -> StoreError {
    StoreError::File {
        action: "locking the file",
        path,
        source,
    }
}

/// A name that is safe in any folder; different names stay different.
fn file_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => safe.push(byte.into()),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "%{byte:02x}");
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let held = ProcessLock::take(dir.path(), "refiner").unwrap();
        assert!(held.is_some());
        assert!(ProcessLock::take(dir.path(), "refiner").unwrap().is_none());
        assert!(ProcessLock::take(dir.path(), "last").unwrap().is_some());
        drop(held);
        assert!(ProcessLock::take(dir.path(), "refiner").unwrap().is_some());
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        assert_eq!(file_name("../a b"), "%2e%2e%2fa%20b");
    }
}
