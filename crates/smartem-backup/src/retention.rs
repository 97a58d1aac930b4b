//! Which backups are kept.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// How many backups are kept; days, ISO weeks and months are those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The last backup of so many days that have one.
    pub daily: u32,
    /// The last backup of so many weeks that have one.
    pub weekly: u32,
    /// The last backup of so many months that have one.
    pub monthly: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            daily: 7,
            weekly: 4,
            monthly: 12,
        }
    }
}

/// The day, week or month of a time, as numbers.
type SpanOf<'a> = &'a dyn Fn(Timestamp) -> (i16, i8, i16);

impl Keep {
    /// Which of the times are kept; the newest always is.
    pub fn of(self, times: &BTreeSet<Timestamp>) -> BTreeSet<Timestamp> {
        let mut kept: BTreeSet<Timestamp> = times.last().copied().into_iter().collect();
        let day = |time: Timestamp| {
            let date = time.to_zoned(TimeZone::UTC).date();
            (date.year(), 0, date.day_of_year())
        };
        let week = |time: Timestamp| {
            let week = time.to_zoned(TimeZone::UTC).date().iso_week_date();
            (week.year(), 0, week.week().into())
        };
        let month = |time: Timestamp| {
            let date = time.to_zoned(TimeZone::UTC).date();
            (date.year(), date.month(), 0)
        };
        let rules: [(u32, SpanOf<'_>); 3] = [
            (self.daily, &day),
            (self.weekly, &week),
            (self.monthly, &month),
        ];
        for (count, span) in rules {
            let mut spans = BTreeSet::new();
            for time in times.iter().rev() {
                if spans.contains(&span(*time)) {
                    continue;
                }
                if spans.len() as u64 >= u64::from(count) {
                    break;
                }
                spans.insert(span(*time));
                kept.insert(*time);
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(texts: &[&str]) -> BTreeSet<Timestamp> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_last_of_each_span_is_kept() {
        let all = times(&[
            "2026-01-31T02:00:00Z",
            "2026-02-27T02:00:00Z",
            "2026-02-28T02:00:00Z",
            "2026-02-28T14:00:00Z",
            "2026-03-02T02:00:00Z",
        ]);
        let keep = |daily, weekly, monthly| {
            let kept = Keep {
                daily,
                weekly,
                monthly,
            }
            .of(&all);
            kept.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(keep(0, 0, 0), ["2026-03-02T02:00:00Z"]);
        assert_eq!(
            keep(3, 0, 0),
            [
                "2026-02-27T02:00:00Z",
                "2026-02-28T14:00:00Z",
                "2026-03-02T02:00:00Z"
            ]
        );
        // 28 February is in the week before that of 2 March.
        assert_eq!(
            keep(0, 2, 0),
            ["2026-02-28T14:00:00Z", "2026-03-02T02:00:00Z"]
        );
        assert_eq!(
            keep(0, 0, 12),
            [
                "2026-01-31T02:00:00Z",
                "2026-02-28T14:00:00Z",
                "2026-03-02T02:00:00Z"
            ]
        );
    }
}
