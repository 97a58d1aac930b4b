//! What goes wrong inside a transaction, before it is known which one it was.

use std::path::Path;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::StoreError;

#[derive(Debug)]
pub(super) enum Fault {
    Sql(tokio_postgres::Error),
    /// No connection could be had.
    NoConnection(Box<dyn std::error::Error + Send + Sync>),
    /// A column holds what this program would not have written.
    Unknown {
        what: &'static str,
        value: String,
    },
    /// An error that already tells everything.
    Told(StoreError),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Sql(error),
            other => Self::NoConnection(other.into()),
        }
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

    /// Whether doing the same once more may help: the server is away or restarts, or two transactions
    /// stood in each other's way.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::NoConnection(_) => true,
            Self::Sql(error) => is_unreachable(error) || is_conflict(error),
            Self::Unknown { .. } | Self::Told(_) => false,
        }
    }

    /// The error for a reader of logs: what was tried, and at which server.
    pub(super) fn during(self, action: &'static str, place: &Path) -> StoreError {
        let path = place.to_owned();
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
            Self::NoConnection(source) => {
                return StoreError::Unreachable {
                    action,
                    path,
                    source,
                };
            }
            Self::Sql(error) => error,
        };
        if is_unreachable(&error) {
            let source = error.into();
            return StoreError::Unreachable {
                action,
                path,
                source,
            };
        }
        let problem = error.as_db_error().map(|told| told.message().to_owned());
        let problem = problem.unwrap_or_else(|| error.to_string());
        match error.code() {
            Some(code) if is_conflict(&error) || *code == SqlState::LOCK_NOT_AVAILABLE => {
                StoreError::Locked { action, path }
            }
            Some(&SqlState::DISK_FULL) => StoreError::DiskFull { action, path },
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => StoreError::ReadOnly { action, path },
            Some(
                &(SqlState::INSUFFICIENT_PRIVILEGE
                | SqlState::INVALID_PASSWORD
                | SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                | SqlState::INVALID_CATALOG_NAME),
            ) => StoreError::Denied {
                action,
                path,
                problem,
            },
            _ => StoreError::Database {
                action,
                path,
                source: error.into(),
            },
        }
    }
}

/// Whether the server is away, goes down or comes up.
fn is_unreachable(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // No answer of the server: the connection could not be made, or broke.
        return error.is_closed() || source_is_io(error);
    };
    // Class 57P: operator intervention; class 08: connection exception (PostgreSQL 15, appendix A).
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::TOO_MANY_CONNECTIONS,
    ]
    .contains(code)
        || code.code().starts_with("08")
}

fn source_is_io(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<std::io::Error>() {
            return true;
        }
        source = cause.source();
    }
    false
}

fn is_conflict(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
        || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}
