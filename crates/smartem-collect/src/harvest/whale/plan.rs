//! Which hours are wanted: days, hours and how far a station is settled.

use std::fmt;

use jiff::ToSpan;
use jiff::civil::Date;
use smartem_model::Hour;

/// A day as the API names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub Date);

/// The number of an hour as the API lists it; 1 to 24 when all is well.
pub(super) type HourNumber = i64;

impl Day {
    /// `20160108`
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_compact = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_compact {
            return None;
        }
        let (year, month, day) = (
            text[..4].parse().ok()?,
            text[4..6].parse().ok()?,
            text[6..].parse().ok()?,
        );
        Date::new(year, month, day).ok().map(Self)
    }

    pub(super) fn hour(self, number: HourNumber) -> Option<Hour> {
        Hour::new(self.0, number)
    }

    /// The first hour of the day, and the first one after it.
    pub(super) fn hours(self) -> Option<(Hour, Hour)> {
        let (first, last) = (self.hour(1)?, self.hour(24)?);
        Some((first, Hour::from_index(last.index() + 1)?))
    }

    /// Before which day a station is settled once `read` was read and `next` is its next listed day.
    ///
    /// Hours may come late: a day is only settled when it lies `late_days` back. `None` when nothing
    /// moves, as on the day itself.
    pub(super) fn settled(
        read: Self,
        next: Option<Self>,
        today: Date,
        late_days: u32,
    ) -> Option<Self> {
        let still_open = today.checked_sub(i64::from(late_days).days()).ok()?;
        let reached = next.map_or_else(|| read.0.tomorrow().ok(), |next| Some(next.0))?;
        Some(Self(reached.min(still_open)))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:04}{:02}{:02}",
            self.0.year(),
            self.0.month(),
            self.0.day()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        Day::parse(text).unwrap()
    }

    #[test]
    fn a_day_is_settled_only_when_nothing_can_come_late_any_more() {
        let today = Date::constant(2026, 11, 22);
        assert_eq!(
            Day::settled(day("20261101"), Some(day("20261105")), today, 2),
            Some(day("20261105"))
        );
        assert_eq!(
            Day::settled(day("20261101"), None, today, 2),
            Some(day("20261102"))
        );
        assert_eq!(
            Day::settled(day("20261122"), None, today, 2),
            Some(day("20261120"))
        );
    }

    #[test]
    fn only_compact_days_are_days() {
        assert_eq!(day("20160108").to_string(), "20160108");
        for text in ["2016-01-08", "20161301", "2016010", "x0160108"] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }
}
