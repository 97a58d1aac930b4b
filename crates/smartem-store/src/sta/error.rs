//! What can go wrong with a question or a change.

use std::ops::Range;

use crate::StoreError;

/// Why a question was not answered, or a change not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StaError {
    /// There is no such entity.
    #[error("there is no {what}")]
    NotFound {
        /// For example `Things(5)`.
        what: String,
    },
    /// It makes no sense.
    #[error("{detail}")]
    Invalid {
        /// What, and what to do.
        detail: String,
        /// Where in the option it stands: bytes after decoding.
        at: Option<Range<usize>>,
    },
    /// It does not go together with what is there.
    #[error("{detail}")]
    Conflict {
        /// With what, and what to do.
        detail: String,
    },
    /// The author may not.
    #[error("{detail}")]
    Forbidden {
        /// What, and who may.
        detail: String,
    },
    /// It would take too much.
    #[error("{detail}")]
    TooMuch {
        /// How much is taken, and what to do.
        detail: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What goes wrong inside a transaction.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Of the question or change: trying again would not help.
    Sta(StaError),
    /// Of the embedded database.
    Sqlite(rusqlite::Error),
    /// Of the server.
    Postgres(tokio_postgres::Error),
    /// A column holds what this program would not have written.
    Unknown {
        /// In words.
        what: &'static str,
        /// What it holds.
        value: String,
    },
}

impl From<StaError> for Fault {
    fn from(error: StaError) -> Self {
        Self::Sta(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

impl Fault {
    pub(crate) fn unknown(what: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        let value = value.to_string();
        Self::Unknown { what, value }
    }
}
