//! How far the archive was read: the checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::listing::DayFile;

/// Of a day up to so many files that failed are known by name; of more the whole day is read again.
const FAILED: usize = 20;

/// How far the archive was read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Progress {
    /// The first day that was asked for.
    pub from: Option<Date>,
    /// All days from there to before this one are settled.
    pub next: Option<Date>,
    /// Days from there on that were read before.
    pub days: BTreeMap<Date, DayProgress>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct DayProgress {
    /// When files of this day were found for the first time.
    pub appeared: Option<Timestamp>,
    /// When it was read to its end.
    pub read: Option<Timestamp>,
    /// The last file that is taken of a reading that has not come to its end.
    pub after: Option<String>,
    /// Nothing more is expected but the files that failed.
    pub settled: bool,
    /// Files that were refused or not understood.
    failed: BTreeSet<String>,
}

impl DayProgress {
    /// Whether the day need not be read again.
    pub(super) fn is_done(&self) -> bool {
        self.settled && self.failed.is_empty()
    }

    /// Begins to read the day, or goes on where it was left; the files to be read of those wanted.
    pub(super) fn begin(&mut self, mut files: Vec<DayFile>) -> Vec<DayFile> {
        if self.settled {
            files.retain(|file| self.failed.contains(&file.name));
            // What is no longer wanted or listed is not awaited.
            self.failed = files.iter().map(|file| file.name.clone()).collect();
        } else if self.after.is_none() {
            self.failed.clear();
        }
        if let Some(after) = &self.after {
            files.retain(|file| file.name > *after);
        }
        files
    }

    /// Notes a file that was refused or not understood.
    pub(super) fn fail(&mut self, file: &str) {
        // One more than are kept says that there are others.
        if self.failed.len() <= FAILED {
            self.failed.insert(file.to_owned());
        }
    }

    /// Notes a file that was read, or that is not there.
    pub(super) fn succeed(&mut self, file: &str) {
        self.failed.remove(file);
    }

    /// Notes that the day was read to its end, and whether it was old enough to be the last time.
    pub(super) fn end(&mut self, now: Timestamp, is_old: bool) {
        self.after = None;
        self.read = Some(now);
        self.settled |= is_old && self.failed.len() <= FAILED;
    }
}

impl Progress {
    /// Moves over the settled days at the beginning.
    pub(super) fn advance(&mut self) {
        while let Some(next) = self.next {
            if !self.days.get(&next).is_some_and(DayProgress::is_done) {
                return;
            }
            self.days.remove(&next);
            self.next = next.tomorrow().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harvest::sensor_community::listing;

    #[test]
    fn of_many_files_that_failed_the_whole_day_is_read_again() {
        let day = Date::constant(2026, 11, 21);
        let files = || -> Vec<DayFile> {
            let each = 10..40;
            each.map(|id| listing::name(day, "SDS011", id, false))
                .collect()
        };
        let mut progress = DayProgress::default();
        for (failing, again) in [(FAILED + 1, 30), (FAILED, FAILED), (0, 0)] {
            for (place, file) in progress.begin(files()).iter().enumerate() {
                if place < failing {
                    progress.fail(&file.name);
                } else {
                    progress.succeed(&file.name);
                }
            }
            progress.end(Timestamp::UNIX_EPOCH, true);
            assert_eq!(progress.is_done(), again == 0);
            assert_eq!(progress.clone().begin(files()).len(), again);
        }
    }
}
