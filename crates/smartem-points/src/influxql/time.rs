//! Times, durations and time zones in texts.

use std::fmt;

use chrono::{
    DateTime, Datelike as _, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset as _,
    TimeZone as _, Timelike as _, Utc,
};

/// The smallest time of a point, ns since 1970; two below are signs of their own.
pub(crate) const MIN_TIME: i64 = i64::MIN + 2;
/// The greatest time of a point, ns since 1970.
pub(crate) const MAX_TIME: i64 = i64::MAX - 1;

/// A time zone of the IANA database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(chrono_tz::Tz);

impl Zone {
    /// The zone of this name, such as `Europe/Amsterdam`.
    pub fn named(name: &str) -> Option<Self> {
        if name.is_empty() {
            return Some(Self(chrono_tz::UTC));
        }
        name.parse().ok().map(Self)
    }

    /// How far its clocks are ahead of UTC at a time, ns.
    pub(crate) fn offset(self, time: i64) -> i64 {
        let utc = DateTime::from_timestamp_nanos(time).naive_utc();
        let offset = self.0.offset_from_utc_datetime(&utc).fix();
        i64::from(offset.local_minus_utc()) * 1_000_000_000
    }

    /// The time that its clocks show so; of two the earlier, of none the one after the gap.
    fn local(self, shown: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.0.from_local_datetime(&shown) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => {
                Some(time.with_timezone(&Utc))
            }
            LocalResult::None => {
                let before = shown.checked_sub_signed(chrono::TimeDelta::hours(3))?;
                let offset = self
                    .0
                    .from_local_datetime(&before)
                    .earliest()?
                    .offset()
                    .fix();
                let utc = shown.checked_sub_offset(offset)?;
                Some(utc.and_utc())
            }
        }
    }
}

/// Writes a time as RFC 3339 with the shortest fraction, in UTC or in a zone.
pub(crate) struct Rfc3339(pub(crate) i64, pub(crate) Option<Zone>);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.1.map_or(0, |zone| zone.offset(self.0) / 1_000_000_000);
        let utc = DateTime::from_timestamp_nanos(self.0).naive_utc();
        let local = utc
            .checked_add_signed(chrono::TimeDelta::seconds(offset))
            .unwrap_or(utc);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            local.year(),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second()
        )?;
        let nanoseconds = local.nanosecond();
        if nanoseconds > 0 {
            let digits = format!("{nanoseconds:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        if offset == 0 {
            return f.write_str("Z");
        }
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// Whether a text is meant as a time: a date, or a date and more.
pub(crate) fn looks_like_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|it| it.iter().all(u8::is_ascii_digit))
    };
    let date = digits(0..4)
        && bytes.get(4) == Some(&b'-')
        && digits(5..7)
        && bytes.get(7) == Some(&b'-')
        && digits(8..10);
    date && (bytes.len() == 10 || bytes.get(10).is_some_and(|it| matches!(it, b' ' | b'T')))
}

/// The time that a text says, ns since 1970; `None` when it says none or one beyond the ends.
pub(crate) fn parse_time(text: &str, zone: Option<Zone>) -> Option<i64> {
    let date = NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
    let rest = &text[10..];
    if rest.is_empty() {
        return nanoseconds(date.and_time(NaiveTime::MIN), zone);
    }
    if let Some(clock) = rest.strip_prefix(' ') {
        return nanoseconds(date.and_time(parse_clock(clock)?), zone);
    }
    let clock = rest.strip_prefix('T')?;
    let split = clock.find(['Z', '+', '-'])?;
    let shown = date.and_time(parse_clock(&clock[..split])?);
    let offset = match &clock[split..] {
        "Z" => 0,
        text => {
            let sign = if text.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = text[1..].split_once(':')?;
            if hours.len() != 2 || minutes.len() != 2 {
                return None;
            }
            let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
            sign * (hours * 3600 + minutes * 60)
        }
    };
    let utc = shown.checked_sub_signed(chrono::TimeDelta::seconds(offset))?;
    utc.and_utc().timestamp_nanos_opt()
}

fn nanoseconds(shown: NaiveDateTime, zone: Option<Zone>) -> Option<i64> {
    let time = match zone {
        Some(zone) => zone.local(shown)?,
        None => shown.and_utc(),
    };
    time.timestamp_nanos_opt()
}

/// `hh:mm:ss` with any fraction; one digit of the hour is enough, as in Go.
fn parse_clock(text: &str) -> Option<NaiveTime> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let number = |text: &str, most: usize| -> Option<u32> {
        let good = (1..=most).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
        good.then(|| text.parse().ok())?
    };
    if minute.len() != 2 || second.len() != 2 || fraction.len() > 9 {
        return None;
    }
    let nanoseconds = if fraction.is_empty() {
        0
    } else {
        number(&format!("{fraction:0<9}"), 9)?
    };
    NaiveTime::from_hms_nano_opt(
        number(hour, 2)?,
        number(minute, 2)?,
        number(second, 2)?,
        nanoseconds,
    )
}

/// The duration that a text says, ns.
///
/// # Errors
/// What InfluxDB says of it.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || "invalid duration".to_owned();
    let mut rest = text;
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.len()
            - rest
                .trim_start_matches(|it: char| it.is_ascii_digit())
                .len();
        let number: i64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest
            .find(|it: char| it.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit: i64 = match &rest[..end] {
            "ns" => 1,
            "u" | "µ" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return Err(invalid()),
        };
        rest = &rest[end..];
        let value = number.checked_mul(unit);
        let sum = value.and_then(|value| total.checked_add(value));
        total = sum.ok_or_else(|| {
            format!(
                "overflowed duration {number}{}: choose a smaller duration or INF",
                &text[digits..digits + end].to_owned()
            )
        })?;
    }
    Ok(total)
}

/// A duration in the greatest unit that has no rest.
pub(crate) fn format_duration(value: i64) -> String {
    if value == 0 {
        return "0s".to_owned();
    }
    let units = [
        (604_800_000_000_000, "w"),
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "u"),
    ];
    let unit = units.iter().find(|(unit, _)| value % unit == 0);
    unit.map_or_else(
        || format!("{value}ns"),
        |(unit, name)| format!("{}{name}", value / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let amsterdam = Zone::named("Europe/Amsterdam");
        for (text, zone, written) in [
            ("2020-01-01", None, "2020-01-01T00:00:00Z"),
            ("2020-01-01", amsterdam, "2019-12-31T23:00:00Z"),
            ("2020-07-01 12:00:00.5", amsterdam, "2020-07-01T10:00:00.5Z"),
            (
                "2020-01-01T00:00:00.000000001Z",
                None,
                "2020-01-01T00:00:00.000000001Z",
            ),
            ("2020-01-01T00:00:00+01:00", None, "2019-12-31T23:00:00Z"),
            ("2020-03-29 02:30:00", amsterdam, "2020-03-29T01:30:00Z"),
        ] {
            let time = parse_time(text, zone).unwrap();
            assert_eq!(Rfc3339(time, None).to_string(), written, "{text}");
        }
        assert_eq!(parse_time("2020-13-01", None), None);
        assert_eq!(parse_time("1500-01-01", None), None);
        let summer = parse_time("2020-07-01T00:00:00Z", None).unwrap();
        assert_eq!(
            Rfc3339(summer, amsterdam).to_string(),
            "2020-07-01T02:00:00+02:00"
        );
    }

    #[test]
    fn durations_are_read_and_written() {
        assert_eq!(parse_duration("1h30m"), Ok(5_400_000_000_000));
        assert_eq!(parse_duration("3"), Err("invalid duration".into()));
        assert!(parse_duration("99999999999w").is_err());
        assert_eq!(format_duration(5_400_000_000_000), "90m");
    }
}
