use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A half-open interval of time `[start, end)`, UTC; an instant when both are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Included.
    pub start: Timestamp,
    /// Excluded, unless the period is an instant.
    pub end: Timestamp,
}

/// One hour of a UTC day: hour *h* (1 to 24) is `[day + (h-1) h, day + h h)` (R2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hour {
    /// Whole hours since 1970-01-01T00:00Z of the start of the interval.
    index: i64,
}

impl Hour {
    /// Hour `hour` (1 to 24) of `day`, 1970 to 2999; `None` outside.
    pub fn new(day: Date, hour: i64) -> Option<Self> {
        if !(1970..=2999).contains(&day.year()) || !(1..=24).contains(&hour) {
            return None;
        }
        let midnight = Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
        Some(Self {
            index: midnight.as_second() / 3600 + hour - 1,
        })
    }

    /// The hour that starts `index` hours after 1970-01-01T00:00Z; `None` outside 1970 to 2999.
    pub fn from_index(index: i64) -> Option<Self> {
        let start = Timestamp::from_second(index.checked_mul(3600)?).ok()?;
        let year = Offset::UTC.to_datetime(start).year();
        (1970..=2999).contains(&year).then_some(Self { index })
    }

    /// The hour that holds the instant `time`.
    pub fn containing(time: Timestamp) -> Option<Self> {
        Self::from_index(time.as_second().div_euclid(3600))
    }

    /// Whole hours since 1970-01-01T00:00Z.
    pub fn index(self) -> i64 {
        self.index
    }

    /// The interval of this hour.
    pub fn period(self) -> Period {
        let start = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(self.index);
        Period {
            start,
            end: start + SignedDuration::from_hours(1),
        }
    }

    /// The day (UTC) this hour belongs to.
    pub fn day(self) -> Date {
        Offset::UTC.to_datetime(self.period().start).date()
    }

    /// The number of the hour within its day, 1 to 24.
    pub fn of_day(self) -> i64 {
        self.index.rem_euclid(24) + 1
    }
}

impl fmt::Display for Hour {
    /// `2016-01-08 hour 23`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hour {}", self.day(), self.of_day())
    }
}

/// Reads the time of a sample (R3.2).
///
/// RFC 3339 with a `T`, `t` or blank between date and time, seconds 00 to 59, an optional fraction
/// (cut after the ninth digit) and an optional zone; without a zone it is UTC.
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') || bytes[13] != b':' || bytes[16] != b':' {
        return None;
    }
    let year = digits(&bytes[0..4])?;
    let [month, day, hour, minute, second] =
        [5, 8, 11, 14, 17].map(|at| digits(&bytes[at..at + 2]).and_then(|n| i8::try_from(n).ok()));
    let (nanosecond, zone) = split_fraction(&bytes[19..])?;
    let local = DateTime::new(
        i16::try_from(year).ok()?,
        month?,
        day?,
        hour?,
        minute?,
        second?,
        nanosecond,
    )
    .ok()?;
    let offset = Offset::from_seconds(zone_seconds(zone)?).ok()?;
    Some(offset.to_timestamp(local).unwrap_or(if year == 9999 {
        // Only the last hours of the year 9999 lie beyond what a Timestamp holds.
        Timestamp::MAX
    } else {
        Timestamp::MIN
    }))
}

/// The value of ASCII digits; `None` if there is anything else.
fn digits(bytes: &[u8]) -> Option<i32> {
    bytes.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i32::from(byte - b'0'))
    })
}

/// Splits `.123Z` into nanoseconds and zone.
fn split_fraction(rest: &[u8]) -> Option<(i32, &[u8])> {
    let Some(after_dot) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = after_dot
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if count == 0 {
        return None;
    }
    let kept = count.min(9);
    let value = digits(&after_dot[..kept])?;
    let missing = u32::try_from(9 - kept).ok()?;
    Some((value * 10_i32.pow(missing), &after_dot[count..]))
}

/// The offset from UTC in seconds of `""`, `Z`, `z` or `±hh:mm`.
fn zone_seconds(zone: &[u8]) -> Option<i32> {
    match zone {
        b"" | b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = hours * 3600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn hour_24_ends_at_midnight_of_the_next_day() {
        let hour = Hour::new(Date::constant(2016, 2, 29), 24).unwrap();
        assert_eq!(hour.period().start, utc("2016-02-29T23:00:00Z"));
        assert_eq!(hour.period().end, utc("2016-03-01T00:00:00Z"));
        assert_eq!(
            (hour.day(), hour.of_day()),
            (Date::constant(2016, 2, 29), 24)
        );
    }

    #[test]
    fn hours_outside_1_to_24_and_years_outside_1970_to_2999_do_not_exist() {
        for hour in [0, 25, -1] {
            assert_eq!(Hour::new(Date::constant(2017, 6, 14), hour), None);
        }
        assert_eq!(Hour::new(Date::constant(1969, 12, 31), 24), None);
        assert_eq!(Hour::new(Date::constant(3000, 1, 1), 1), None);
        assert_eq!(
            Hour::containing(utc("1970-01-01T00:59:59Z"))
                .unwrap()
                .index(),
            0
        );
    }

    #[test]
    fn every_form_of_time_that_the_rules_allow_is_read() {
        for (text, expected) in [
            ("2017-06-14T08:10:00Z", "2017-06-14T08:10:00Z"),
            ("2017-06-14t08:10:00z", "2017-06-14T08:10:00Z"),
            ("2017-06-14 08:10:00", "2017-06-14T08:10:00Z"),
            ("2017-06-14T10:10:00+02:00", "2017-06-14T08:10:00Z"),
            ("2017-06-14T08:10:00-00:00", "2017-06-14T08:10:00Z"),
            ("2017-06-14T08:10:00.5", "2017-06-14T08:10:00.5Z"),
            (
                "2017-06-14T08:10:00.1234567899Z",
                "2017-06-14T08:10:00.123456789Z",
            ),
        ] {
            assert_eq!(parse_timestamp(text), Some(utc(expected)), "{text}");
        }
    }

    #[test]
    fn any_other_form_is_refused() {
        for text in [
            "2017-06-14T08:10Z",
            "20170614T081000Z",
            "2017-06-14T08:10:60Z",
            "2017-06-31T08:10:00Z",
            "2017-06-14T24:00:00Z",
            "2017-06-14T08:10:00.Z",
            "2017-06-14T08:10:00,5Z",
            "2017-06-14T08:10:00+0200",
            "2017-06-14T08:10:00+24:00",
            "2017-06-14T08:10:00+02:60",
            "2017-06-14T08:10:00 Z",
            " 2017-06-14T08:10:00Z",
            "2017-06-14T08:10:0٣Z",
            "",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_the_calendar_is_still_a_time() {
        assert_eq!(
            parse_timestamp("9999-12-31T23:59:59Z"),
            Some(Timestamp::MAX)
        );
        assert!(parse_timestamp("0000-01-01T00:00:00Z").is_some());
    }
}
