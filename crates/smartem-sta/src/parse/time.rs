//! Times and durations in the forms of ISO 8601 that clients send.

use std::str::FromStr;

use jiff::civil::{Date, Time};
use jiff::fmt::temporal::{Pieces, PiecesOffset};
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use smartem_model::{Period, parse_timestamp};

use crate::TimeValue;

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimeError(pub(crate) String);

/// A day, or a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Without a time of day.
    Date(Date),
    /// With one.
    Instant(Timestamp),
}

impl Moment {
    /// `2020-01-01`, or a time with or without seconds, fractions and zone (UTC without); `None` for
    /// anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const LONGEST: usize = 48;
        if let Some(at) = parse_timestamp(text) {
            return Some(Self::Instant(at));
        }
        if text.len() > LONGEST || !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let pieces = Pieces::parse(text).ok()?;
        if pieces.time_zone_annotation().is_some() {
            return None;
        }
        let Some(time) = pieces.time() else {
            return Some(Self::Date(pieces.date()));
        };
        let offset = match pieces.offset() {
            Some(PiecesOffset::Numeric(numeric)) => numeric.offset(),
            _ => Offset::UTC,
        };
        offset
            .to_timestamp(pieces.date().to_datetime(time))
            .ok()
            .map(Self::Instant)
    }

    /// The moment; a day stands for its beginning, UTC.
    pub(crate) fn instant(self) -> Option<Timestamp> {
        match self {
            Self::Instant(at) => Some(at),
            Self::Date(day) => Offset::UTC
                .to_timestamp(day.to_datetime(Time::midnight()))
                .ok(),
        }
    }
}

/// A moment, or `start/end`, where one of both may be a duration. A day stands for its beginning; without a
/// zone it is UTC.
impl FromStr for TimeValue {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let Some((start, end)) = text.split_once('/') else {
            return instant(text).map(Self::Instant);
        };
        let period = match (duration(start), duration(end)) {
            (None, None) => (instant(start)?, instant(end)?),
            (Some(length), None) => {
                let end = instant(end)?;
                (shifted(end, -length)?, end)
            }
            (None, Some(length)) => {
                let start = instant(start)?;
                (start, shifted(start, length)?)
            }
            (Some(_), Some(_)) => {
                return Err(TimeError(
                    "an interval has at most one duration, beside a start or an end".to_owned(),
                ));
            }
        };
        interval(period.0, period.1).map(Self::Interval)
    }
}

/// An interval; its end may not be before its start.
pub(crate) fn interval(start: Timestamp, end: Timestamp) -> Result<Period, TimeError> {
    if end < start {
        return Err(TimeError(format!(
            "the interval ends ({end}) before it starts ({start})"
        )));
    }
    Ok(Period { start, end })
}

fn shifted(at: Timestamp, by: SignedDuration) -> Result<Timestamp, TimeError> {
    at.checked_add(by)
        .map_err(|_| TimeError("the interval reaches beyond the years that are known".to_owned()))
}

/// A moment; see [`Moment::parse`]. What is beyond the times that are known, which reading takes for the last
/// of them, is none: it would not come back as it was.
pub(crate) fn instant(text: &str) -> Result<Timestamp, TimeError> {
    let read = Moment::parse(text.trim()).and_then(Moment::instant);
    let at = read.ok_or_else(|| {
        TimeError(format!(
            "`{}` is no time in the form 2020-01-31T12:00:00Z",
            super::error::excerpt(text)
        ))
    })?;
    if at == Timestamp::MAX || at == Timestamp::MIN {
        return Err(TimeError(format!(
            "`{}` is beyond the times that are known, which end with {}",
            super::error::excerpt(text),
            Timestamp::MAX.strftime("%Y-%m-%d")
        )));
    }
    Ok(at)
}

/// An ISO 8601 duration of fixed length; a day has 24 hours. `None` for anything else, also for months.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    span(text)?
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .ok()
}

/// An ISO 8601 duration.
pub(crate) fn span(text: &str) -> Option<Span> {
    const LONGEST: usize = 64;
    let unsigned = text.trim_start_matches(['+', '-']);
    if text.len() > LONGEST || !unsigned.starts_with(['P', 'p']) {
        return None;
    }
    text.parse().ok()
}

/// Whole months of a duration that has only years and months.
pub(crate) fn whole_months(span: &Span) -> Option<i64> {
    let months = i64::from(span.get_years()) * 12 + i64::from(span.get_months());
    let rest = span.years(0).months(0);
    (months != 0 && rest.is_zero()).then_some(months)
}

/// Whole seconds of a duration of fixed length.
pub(crate) fn whole_seconds(span: &Span) -> Option<i64> {
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    (length.subsec_nanos() == 0).then_some(length.as_secs())
}
