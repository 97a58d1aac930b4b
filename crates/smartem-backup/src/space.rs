//! Room on a disk.

use std::io;
use std::path::Path;

/// The file system that a folder is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub size: u64,
    /// What this program may still take.
    pub free: u64,
}

impl Space {
    /// Asks the system about the file system of an existing file or folder.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Self {
            size: found.f_blocks.saturating_mul(found.f_frsize),
            // `f_bfree` also counts what only root may take.
            free: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_there_has_room_and_one_that_is_not_is_an_error() {
        let dir = tempfile::TempDir::new().unwrap();
        let space = Space::of(dir.path()).unwrap();
        assert!(0 < space.free && space.free <= space.size, "{space:?}");
        let error = Space::of(&dir.path().join("nowhere")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
