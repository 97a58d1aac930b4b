//! How far a measurement is read, and which of its hours are wanted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smartem_model::Hour;

/// Hours looked at together.
const WINDOW: i64 = 72;

/// What is known of a measurement between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// All hours before this one are in the store, and will not change.
    pub settled: Option<Hour>,
    /// How many values later hours had when they were last read.
    pub counts: BTreeMap<Hour, u64>,
}

/// As a checkpoint is written: hours by the time of their start.
#[derive(Deserialize, Serialize)]
struct Checkpoint {
    settled: Timestamp,
    #[serde(default)]
    counts: BTreeMap<Timestamp, u64>,
}

impl Progress {
    pub(super) fn from_checkpoint(position: &Value) -> Option<Self> {
        let read = Checkpoint::deserialize(position).ok()?;
        let counts = read.counts.into_iter();
        Some(Self {
            settled: Hour::containing(read.settled),
            counts: counts
                .filter_map(|(start, count)| Some((Hour::containing(start)?, count)))
                .collect(),
        })
    }

    /// `None` as long as nothing is settled and nothing was read.
    pub(super) fn to_checkpoint(&self) -> Option<Value> {
        let counts = self.counts.iter();
        let position = Checkpoint {
            settled: self.settled?.period().start,
            counts: counts
                .map(|(hour, count)| (hour.period().start, *count))
                .collect(),
        };
        serde_json::to_value(position).ok()
    }

    /// Notes that all hours before `reached` were looked at, and what those of the last window hold.
    pub(super) fn advance(&mut self, reached: Hour, found: &BTreeMap<Hour, u64>, bounds: Bounds) {
        let settled = reached.min(bounds.open);
        self.settled = self.settled.max(Some(settled));
        self.counts.extend(found);
        self.counts.retain(|hour, _| Some(*hour) >= self.settled);
    }
}

/// The hours that matter at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// From here on hours may still appear or grow.
    pub open: Hour,
    /// From here on hours are read again in any case.
    pub fresh: Hour,
    /// The first hour that is not over.
    pub end: Hour,
}

impl Bounds {
    /// `None` when the clock shows no year in which there are hours.
    pub(super) fn at(
        now: Timestamp,
        grace: SignedDuration,
        recheck: SignedDuration,
        late: SignedDuration,
    ) -> Option<Self> {
        let hour = |back: SignedDuration| Hour::containing(now.checked_sub(back).ok()?);
        let end = hour(grace)?;
        Some(Self {
            open: hour(late)?.min(end),
            fresh: hour(recheck)?.min(end),
            end,
        })
    }

    /// The hours to be looked at together, beginning with `first`: the first one after them.
    pub(super) fn window_end(self, first: Hour) -> Hour {
        let end = Hour::from_index(first.index() + WINDOW).unwrap_or(self.end);
        end.min(self.end)
    }
}

/// The first hour there is.
pub(super) fn first_hour() -> Option<Hour> {
    Hour::from_index(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(text: &str) -> Hour {
        Hour::containing(text.parse().unwrap()).unwrap()
    }

    fn bounds() -> Bounds {
        let hours = SignedDuration::from_hours;
        let now = "2026-11-20T12:01:00Z".parse().unwrap();
        Bounds::at(now, SignedDuration::from_mins(2), hours(2), hours(48)).unwrap()
    }

    #[test]
    fn an_hour_is_over_some_time_after_its_end() {
        let bounds = bounds();
        assert_eq!(bounds.end, hour("2026-11-20T11:00:00Z"));
        assert_eq!(bounds.fresh, hour("2026-11-20T10:00:00Z"));
        assert_eq!(bounds.open, hour("2026-11-18T12:00:00Z"));
        assert_eq!(bounds.window_end(hour("2026-11-20T01:00:00Z")), bounds.end);
        let long_ago = bounds.window_end(hour("2020-01-01T00:00:00Z"));
        assert_eq!(long_ago, hour("2020-01-04T00:00:00Z"));
    }

    #[test]
    fn only_what_can_still_change_is_remembered_and_nothing_goes_back() {
        let mut progress = Progress::default();
        assert_eq!(progress.to_checkpoint(), None);
        let found = BTreeMap::from([(hour("2026-11-01T05:00:00Z"), 7)]);
        progress.advance(hour("2026-11-04T00:00:00Z"), &found, bounds());
        assert_eq!(progress.settled, Some(hour("2026-11-04T00:00:00Z")));
        assert_eq!(progress.counts, BTreeMap::new());

        let found = BTreeMap::from([
            (hour("2026-11-18T11:00:00Z"), 7),
            (hour("2026-11-19T11:00:00Z"), 8),
        ]);
        progress.advance(hour("2026-11-20T11:00:00Z"), &found, bounds());
        let kept = progress.to_checkpoint().unwrap();
        assert_eq!(
            kept,
            serde_json::json!({"settled": "2026-11-18T12:00:00Z", "counts": {"2026-11-19T11:00:00Z": 8}})
        );
        assert_eq!(Progress::from_checkpoint(&kept), Some(progress.clone()));
        progress.advance(hour("2026-11-10T00:00:00Z"), &BTreeMap::new(), bounds());
        assert_eq!(progress.settled, Some(hour("2026-11-18T12:00:00Z")));
    }
}
