//! Which log it is.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::StoreError;

/// The file with the name of a log.
const ID_FILE: &str = "id";

/// Which log this is, among those of all machines that ever collected for a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogId(i64);

impl LogId {
    pub(crate) fn of_number(number: i64) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> i64 {
        self.0
    }

    /// That of the log in a folder, made where there is none.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(ID_FILE);
        let fault = |source| StoreError::File {
            action: "reading or making the name of the log of points in",
            path: path.clone(),
            source,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let number = u64::from_str_radix(text.trim(), 16);
                let number = number.map_err(|error| fault(std::io::Error::other(error)))?;
                Ok(Self(number.cast_signed()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = Self(rand::random());
                id.write(folder, &path).map_err(fault)?;
                Ok(id)
            }
            Err(error) => Err(fault(error)),
        }
    }

    /// Whole or not at all.
    fn write(self, folder: &Path, path: &Path) -> std::io::Result<()> {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(self.to_string().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(folder)?.sync_all()
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0.cast_unsigned())
    }
}
