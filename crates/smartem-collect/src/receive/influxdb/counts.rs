use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what comes in, by database. Cheap to clone; clones count together.
///
/// Only databases that are there are counted, so no client can make it grow.
#[derive(Clone, Debug, Default)]
pub struct PointCounts {
    // A lock held for a few additions, never across an await.
    databases: Arc<Mutex<BTreeMap<String, DatabaseCounts>>>,
}

/// What came in for one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseCounts {
    /// Points that were kept.
    pub written: u64,
    /// Lines that could not be read.
    pub faulty: u64,
    /// Points that were read and not kept.
    pub refused: u64,
}

impl PointCounts {
    /// Adds to the counts of a database.
    pub fn add(&self, database: &str, counts: DatabaseCounts) {
        let mut all = self
            .databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(database) {
            own.add(counts);
        } else {
            all.insert(database.to_owned(), counts);
        }
    }

    /// The counts so far, by database.
    pub fn all(&self) -> Vec<(String, DatabaseCounts)> {
        let all = self
            .databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .map(|(name, counts)| (name.clone(), *counts))
            .collect()
    }
}

impl DatabaseCounts {
    fn add(&mut self, more: Self) {
        self.written += more.written;
        self.faulty += more.faulty;
        self.refused += more.refused;
    }
}
