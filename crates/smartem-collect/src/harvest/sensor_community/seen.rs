//! Sensors that were seen in the feed: the checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Sensors with their types.
pub(super) type Seen = BTreeMap<u64, Types>;

/// The types a sensor has or had; the archive has a file under each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Stored")]
pub(super) struct Types(BTreeSet<String>);

impl Types {
    /// Adds a type; whether it is new.
    pub(super) fn add(&mut self, kind: &str) -> bool {
        self.0.insert(kind.to_owned())
    }

    /// Those that are told.
    pub(super) fn known(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .map(String::as_str)
            .filter(|kind| !kind.is_empty())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    /// As it once was: the first type.
    One(String),
    All(BTreeSet<String>),
}

impl From<Stored> for Types {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::One(kind) => Self(BTreeSet::from([kind])),
            Stored::All(kinds) => Self(kinds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_with_one_type_is_read() {
        let mut seen: Seen =
            serde_json::from_str(r#"{"5": "SDS011", "6": ["", "DHT22"]}"#).unwrap();
        let types = seen.get_mut(&5).unwrap();
        assert!(types.add("PMS5003") && !types.add("SDS011"));
        assert_eq!(seen[&6].known().collect::<Vec<_>>(), ["DHT22"]);
        let stored = serde_json::to_string(&seen).unwrap();
        assert_eq!(serde_json::from_str::<Seen>(&stored).unwrap(), seen);
    }
}
