//! How far an import is, what became of the rows so far, and whether that is all there is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartem_model::StationId;
use smartem_store::{ImportReport, StetlCounts};

/// How far a table was read, as it is kept in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The number of the last row that was read.
    pub(super) gid: i64,
    /// By station; rows without one under an empty text.
    pub(super) stations: BTreeMap<String, Tally>,
}

/// What became of the rows of a station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows read.
    pub read: u64,
    /// Taken in.
    pub written: u64,
    /// Left out, being there already: duplicates of the original, or imported before.
    pub present: u64,
    /// Left out, because the platform refined the hour itself.
    pub own: u64,
    /// Put into quarantine.
    pub bad: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.present += other.present;
        self.own += other.own;
        self.bad += other.bad;
    }

    fn is_whole(self) -> bool {
        self.read == self.written + self.present + self.own + self.bad
    }
}

impl Position {
    pub(super) fn from_checkpoint(position: Option<&Value>) -> Self {
        position
            .and_then(|position| serde_json::from_value(position.clone()).ok())
            .unwrap_or_default()
    }

    pub(super) fn to_checkpoint(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Counts a row.
    pub(super) fn of(&mut self, device_id: Option<i64>) -> &mut Tally {
        let station = device_id.map_or_else(String::new, |id| id.to_string());
        self.stations.entry(station).or_default()
    }

    /// As this, with what became of the observations of these stations.
    pub(super) fn after(&self, stations: &[StationId], report: &ImportReport) -> Self {
        let mut after = self.clone();
        for (station, counts) in stations.iter().zip(&report.stations) {
            let tally = after
                .stations
                .entry(station.as_str().to_owned())
                .or_default();
            tally.written += counts.written;
            tally.present += counts.present;
            tally.own += counts.own;
        }
        after
    }

    pub(super) fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in self.stations.values() {
            total.add(*tally);
        }
        total
    }
}

/// In what the rows that were read differ from those that there are, in words.
pub(super) fn differences(
    raw: &Position,
    refined: &Position,
    there: &[StetlCounts],
) -> Vec<String> {
    let name = |id: Option<i64>| id.map_or_else(String::new, |id| id.to_string());
    let there: BTreeMap<String, &StetlCounts> =
        there.iter().map(|it| (name(it.device_id), it)).collect();
    let read = raw.stations.keys().chain(refined.stations.keys());
    let stations: BTreeSet<&String> = there.keys().chain(read).collect();
    let mut told = Vec::new();
    for station in stations {
        let counts = there.get(station);
        let tables = [
            ("raw records", raw, counts.map_or(0, |it| it.raw)),
            ("refined values", refined, counts.map_or(0, |it| it.refined)),
        ];
        for (what, position, there) in tables {
            let tally = position.stations.get(station).copied().unwrap_or_default();
            if tally.read != there || !tally.is_whole() {
                let name = match station.as_str() {
                    "" => "rows without a station",
                    station => station,
                };
                told.push(format!(
                    "station {name}: {there} {what} there, {} read, {} taken in, {} there already, {} refined \
                     here, {} in quarantine",
                    tally.read, tally.written, tally.present, tally.own, tally.bad
                ));
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(read: u64, written: u64) -> Position {
        let mut position = Position::default();
        *position.of(Some(23)) = Tally {
            read,
            written,
            ..Tally::default()
        };
        position
    }

    #[test]
    fn a_row_that_was_not_read_and_one_of_which_nothing_became_are_told() {
        let there = |refined| StetlCounts {
            device_id: Some(23),
            raw: 0,
            refined,
        };
        let none = Position::default();
        assert!(differences(&none, &position(5, 5), &[there(5)]).is_empty());
        let told = differences(&none, &position(5, 5), &[there(6)]);
        assert!(told.len() == 1 && told[0].contains("6 refined values there, 5 read"));
        assert_eq!(differences(&none, &position(5, 4), &[there(5)]).len(), 1);
        assert_eq!(differences(&none, &position(5, 5), &[]).len(), 1);
    }

    #[test]
    fn a_position_comes_back_from_its_checkpoint() {
        let position = position(5, 4);
        let kept = position.to_checkpoint();
        assert_eq!(Position::from_checkpoint(Some(&kept)), position);
        assert_eq!(Position::from_checkpoint(None), Position::default());
    }
}
