use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The identity of a station: a non-empty text, the same in every network, table and URL.
///
/// Josene ids are kept as they are (`23`), other networks prefix theirs (`opensensemap:57…`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StationId(Arc<str>);

impl StationId {
    /// Takes any non-empty text; `None` for the empty one.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for StationId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text).ok_or("a station id must not be empty")
    }
}

impl From<StationId> for String {
    fn from(id: StationId) -> Self {
        id.0.as_ref().to_owned()
    }
}
