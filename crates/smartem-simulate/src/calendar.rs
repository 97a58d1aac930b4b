//! Dutch local time, and the parts of it that people live by.

use jiff::civil::{Date, DateTime, date};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};

/// Seconds of an hour.
pub(crate) const HOUR: i64 = 3600;
/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// A day as traffic sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DayKind {
    Weekday,
    Saturday,
    Sunday,
}

/// A moment on Dutch clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local {
    /// Date and time on the clock.
    pub(crate) clock: DateTime,
    /// Hours since local midnight, 0 up to 24.
    pub(crate) hour: f64,
    pub(crate) yesterday: DayKind,
    pub(crate) today: DayKind,
    pub(crate) tomorrow: DayKind,
}

impl Local {
    /// `seconds` is Unix time.
    pub(crate) fn at(seconds: i64) -> Self {
        let utc = utc(seconds);
        let clock = utc.saturating_add(offset_hours(utc).hours());
        let midnight = clock.date();
        let time = clock.time();
        Self {
            clock,
            hour: f64::from(time.hour())
                + f64::from(time.minute()) / 60.0
                + f64::from(time.second()) / 3600.0,
            yesterday: kind(midnight.saturating_sub(1.day())),
            today: kind(midnight),
            tomorrow: kind(midnight.saturating_add(1.day())),
        }
    }

    /// Hours since the turn of the year, if it is the last day of December (then negative) or the first of January.
    pub(crate) fn hours_into_new_year(&self) -> Option<f64> {
        match (self.clock.month(), self.clock.day()) {
            (12, 31) => Some(self.hour - 24.0),
            (1, 1) => Some(self.hour),
            _ => None,
        }
    }
}

/// The civil time in UTC of a Unix time (s); outside jiff's range the nearest end of it.
pub(crate) fn utc(seconds: i64) -> DateTime {
    let moment = Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    });
    Offset::UTC.to_datetime(moment)
}

/// Hours that Dutch clocks are ahead of UTC: 2 from the last Sunday of March to the last Sunday of October, both at
/// 01:00 UTC (Directive 2000/84/EC), else 1. Earlier rules are not followed.
fn offset_hours(utc: DateTime) -> i64 {
    let change = |month| last_sunday(utc.year(), month).at(1, 0, 0, 0);
    if utc >= change(3) && utc < change(10) {
        2
    } else {
        1
    }
}

/// `month` is one of 31 days.
fn last_sunday(year: i16, month: i8) -> Date {
    let end = date(year, month, 31);
    end.saturating_sub(i64::from(end.weekday().to_sunday_zero_offset()).days())
}

fn kind(day: Date) -> DayKind {
    match day.weekday() {
        jiff::civil::Weekday::Saturday => DayKind::Saturday,
        jiff::civil::Weekday::Sunday => DayKind::Sunday,
        _ => DayKind::Weekday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(text: &str) -> String {
        let moment: Timestamp = text.parse().unwrap();
        Local::at(moment.as_second()).clock.to_string()
    }

    #[test]
    fn clocks_change_on_the_last_sundays_at_one_o_clock_utc() {
        assert_eq!(clock("2026-03-29T00:59:59Z"), "2026-03-29T01:59:59");
        assert_eq!(clock("2026-03-29T01:00:00Z"), "2026-03-29T03:00:00");
        assert_eq!(clock("2026-10-25T00:59:59Z"), "2026-10-25T02:59:59");
        assert_eq!(clock("2026-10-25T01:00:00Z"), "2026-10-25T02:00:00");
        assert_eq!(clock("2024-03-31T01:00:00Z"), "2024-03-31T03:00:00");
    }

    #[test]
    fn the_night_of_new_year_is_counted_from_midnight() {
        let at = |text: &str| {
            let moment: Timestamp = text.parse().unwrap();
            Local::at(moment.as_second()).hours_into_new_year()
        };
        assert_eq!(at("2026-12-31T22:00:00Z"), Some(-1.0));
        assert_eq!(at("2026-12-31T23:30:00Z"), Some(0.5));
        assert_eq!(at("2027-01-02T12:00:00Z"), None);
    }
}
