//! What goes wrong inside a transaction, before it is known which one it was.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::StoreError;

pub(super) enum Fault {
    Sql(rusqlite::Error),
    /// A column holds what this program would not have written.
    Unknown {
        what: &'static str,
        value: String,
    },
    /// An error that already tells everything.
    Told(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    pub(super) fn unknown(what: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        let value = value.to_string();
        Self::Unknown { what, value }
    }

    /// The error for a reader of logs: what was tried, and with which file.
    pub(super) fn during(self, action: &'static str, file: &Path) -> StoreError {
        let path = file.to_owned();
        let error = match self {
            Self::Told(error) => return error,
            Self::Unknown { what, value } => {
                return StoreError::UnknownValue {
                    action,
                    path,
                    what,
                    value,
                };
            }
            Self::Sql(error) => error,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                StoreError::Locked { action, path }
            }
            Some(ErrorCode::DiskFull) => StoreError::DiskFull { action, path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StoreError::ReadOnly { action, path }
            }
            Some(ErrorCode::CannotOpen) => StoreError::CannotOpen { action, path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt {
                action,
                path,
                source: error.into(),
            },
            _ => StoreError::Database {
                action,
                path,
                source: error.into(),
            },
        }
    }
}
