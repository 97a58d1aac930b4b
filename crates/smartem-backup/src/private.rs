//! Folders and files that only their owner can look into: hashes of tokens are in them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::path::{Path, PathBuf};

use crate::BackupError;

/// Makes a folder and those above it that are missing (0700); one that is there stays as it is.
pub(crate) fn create_dir(dir: &Path) -> Result<(), BackupError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(dir)
        .map_err(|source| BackupError::file("making the folder", dir, source))
}

/// Makes a file that is not there yet (0600).
pub(crate) fn create_file(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map_err(|source| BackupError::file("writing", path, source))
}

/// Shuts a file for others (0600).
pub(crate) fn shut(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        match file.set_permissions(std::fs::Permissions::from_mode(0o600)) {
            // A share without modes has rights of its own.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::Unsupported
                ) => {}
            shut => return shut,
        }
    }
    Ok(())
}

/// Where a process says what it is at.
const LOCKS: &str = "locks";

/// The folders that were made for something, so that they can go again when nothing came of it.
pub(crate) struct NewDirs(Vec<PathBuf>);

impl NewDirs {
    /// Makes a folder and those above it that are missing.
    pub(crate) fn make(dir: &Path) -> Result<Self, BackupError> {
        let locks = dir.join(LOCKS);
        let missing = locks.ancestors().take_while(|it| {
            // The empty path is the current folder.
            !it.as_os_str().is_empty() && !it.exists()
        });
        let missing = missing.map(Path::to_owned).collect();
        create_dir(dir)?;
        Ok(Self(missing))
    }

    /// Takes away those that are empty but for locks.
    pub(crate) fn undo(self) {
        for dir in self.0 {
            let _ = if dir.ends_with(LOCKS) {
                std::fs::remove_dir_all(dir)
            } else {
                // One that is not empty stays.
                std::fs::remove_dir(dir)
            };
        }
    }
}
