//! Constants.

use jiff::SignedDuration;

use crate::{Literal, TimeValue, Type};

use super::error::{Fault, excerpt};
use super::geometry;
use super::scan::Scanner;
use super::time::{self, Moment};

impl Literal {
    /// What it is.
    pub(super) fn ty(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) | Self::Real(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::Instant(_) => Type::Instant,
            Self::Interval(_) => Type::Time,
            Self::Duration(_) => Type::Duration,
            Self::Date(_) => Type::Date,
            Self::TimeOfDay(_) => Type::TimeOfDay,
            Self::Geometry(_) => Type::Geometry,
        }
    }
}

impl From<TimeValue> for Literal {
    fn from(time: TimeValue) -> Self {
        match time {
            TimeValue::Instant(at) => Self::Instant(at),
            TimeValue::Interval(period) => Self::Interval(period),
        }
    }
}

/// `'text'`, in which a quote is doubled.
pub(super) fn text(scan: &mut Scanner<'_>) -> Result<String, Fault> {
    let start = scan.at();
    scan.skip(1);
    let mut value = String::new();
    loop {
        value.push_str(scan.take_while(|c| c != '\''));
        if !scan.take("'") {
            return Err(Fault::new(
                start,
                "the text that begins here has no closing `'`",
            ));
        }
        if !scan.take("'") {
            break;
        }
        value.push('\'');
    }
    if value.contains('\0') {
        return Err(Fault::new(
            start,
            "a text cannot contain the character U+0000",
        ));
    }
    Ok(value)
}

/// `duration'...'`, `geography'...'`, `geometry'...'`, of which the quote is next; `name` began at `start`.
pub(super) fn named(name: &str, start: usize, scan: &mut Scanner<'_>) -> Result<Literal, Fault> {
    let value = text(scan)?;
    if name == "duration" {
        return duration(&value).map(Literal::Duration).ok_or_else(|| {
            Fault::new(
                start,
                format!(
                    "`{}` is no duration of fixed length such as duration'P1DT2H'",
                    excerpt(&value)
                ),
            )
        });
    }
    geometry::normalise(&value)
        .map(Literal::Geometry)
        .map_err(|problem| {
            Fault::new(
                start,
                format!(
                    "{name}'{}': {problem}; write it like {name}'POINT(5.8 51.8)'",
                    excerpt(&value)
                ),
            )
        })
}

pub(super) fn duration(text: &str) -> Option<SignedDuration> {
    time::duration(text.trim())
}

/// What begins with a digit, or with a sign and a digit: a number, a time, an interval, a date or a time of day.
pub(super) fn number_or_time(scan: &mut Scanner<'_>) -> Result<Literal, Fault> {
    match time_shape(scan.rest().as_bytes()) {
        Shape::Number => number(scan),
        Shape::TimeOfDay => time_of_day(scan),
        Shape::Date => date_or_interval(scan),
    }
}

enum Shape {
    Number,
    TimeOfDay,
    Date,
}

fn time_shape(bytes: &[u8]) -> Shape {
    let digits = bytes.iter().take_while(|it| it.is_ascii_digit()).count();
    let byte = |offset: usize| bytes.get(offset).copied().unwrap_or_default();
    match (digits, byte(digits)) {
        (4, b'-') if byte(5).is_ascii_digit() => Shape::Date,
        (8, b'T' | b't') if byte(9).is_ascii_digit() => Shape::Date,
        (1 | 2, b':') => Shape::TimeOfDay,
        _ => Shape::Number,
    }
}

fn number(scan: &mut Scanner<'_>) -> Result<Literal, Fault> {
    let start = scan.at();
    let digits = |scan: &mut Scanner<'_>| !scan.take_while(|c| c.is_ascii_digit()).is_empty();
    let _ = scan.take("-") || scan.take("+");
    digits(scan);
    let mut is_whole = true;
    let mut ahead = *scan;
    if ahead.take(".") && digits(&mut ahead) {
        is_whole = false;
        *scan = ahead;
    }
    let mut ahead = *scan;
    if ahead.take("e") || ahead.take("E") {
        let _ = ahead.take("-") || ahead.take("+");
        if digits(&mut ahead) {
            is_whole = false;
            *scan = ahead;
        }
    }
    let text = scan.slice(start, scan.at());
    if is_whole && let Ok(value) = text.parse() {
        return Ok(Literal::Int(value));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Literal::Real(value)),
        _ => Err(Fault::new(
            start,
            format!("`{}` is beyond the numbers that are known", excerpt(text)),
        )),
    }
}

fn time_of_day(scan: &mut Scanner<'_>) -> Result<Literal, Fault> {
    let start = scan.at();
    let text = scan.take_while(|c| c.is_ascii_digit() || matches!(c, ':' | '.'));
    parse_time_of_day(text)
        .map(Literal::TimeOfDay)
        .ok_or_else(|| {
            Fault::new(
                start,
                format!("`{}` is no time of day such as 12:30:00", excerpt(text)),
            )
        })
}

pub(super) fn parse_time_of_day(text: &str) -> Option<jiff::civil::Time> {
    let is_shape = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    (is_shape && text.contains(':'))
        .then(|| text.parse().ok())
        .flatten()
}

fn date_or_interval(scan: &mut Scanner<'_>) -> Result<Literal, Fault> {
    let start = scan.at();
    let first = moment(scan)?;
    let mut ahead = *scan;
    ahead.skip_blanks();
    if !ahead.take("/") {
        return match first {
            Moment::Date(day) => Ok(Literal::Date(day)),
            Moment::Instant(at) => Ok(Literal::Instant(at)),
        };
    }
    ahead.skip_blanks();
    *scan = ahead;
    let fault = |problem: time::TimeError| Fault::new(start, problem.to_string());
    let beyond = || Fault::new(start, "the time is beyond the years that are known");
    let first = first.instant().ok_or_else(beyond)?;
    if matches!(scan.peek(), Some(b'P' | b'p')) {
        let at = scan.at();
        let text = scan.take_while(|c| c.is_ascii_alphanumeric() || c == '.');
        let end = time::duration(text)
            .and_then(|length| first.checked_add(length).ok())
            .ok_or_else(|| {
                Fault::new(
                    at,
                    format!("`{}` is no duration of fixed length", excerpt(text)),
                )
            })?;
        return time::interval(first, end)
            .map(Literal::Interval)
            .map_err(fault);
    }
    let second = moment(scan)?.instant().ok_or_else(beyond)?;
    time::interval(first, second)
        .map(Literal::Interval)
        .map_err(fault)
}

/// A date or time. The `+` of an offset that came unencoded is a blank now.
fn moment(scan: &mut Scanner<'_>) -> Result<Moment, Fault> {
    let start = scan.at();
    let mut text = scan.take_while(is_time_char).to_owned();
    if !text.contains(['T', 't']) && is_time_after_blank(scan.rest()) {
        scan.skip(1);
        text.push('T');
        text.push_str(scan.take_while(is_time_char));
    }
    if text.contains(['T', 't']) && is_offset_after_blank(scan.rest()) {
        scan.skip(1);
        text.push('+');
        text.push_str(scan.take_while(|c| c.is_ascii_digit() || c == ':'));
    }
    Moment::parse(&text).ok_or_else(|| {
        Fault::new(
            start,
            format!(
                "`{}` is no time in the form 2020-01-31T12:00:00Z",
                excerpt(&text)
            ),
        )
    })
}

/// A time in quotes, of which the `+` of offsets may have become a blank too.
pub(super) fn quoted_time(text: &str) -> Option<TimeValue> {
    let with_plus = |side: &str| match side.len().checked_sub(6) {
        Some(at)
            if side.is_char_boundary(at)
                && side[..at].contains(['T', 't'])
                && is_offset_after_blank(&side[at..]) =>
        {
            format!("{}+{}", &side[..at], &side[at + 1..])
        }
        _ => side.to_owned(),
    };
    let sides: Vec<String> = text.trim().split('/').map(with_plus).collect();
    sides.join("/").parse().ok()
}

fn is_time_char(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '+' | ':' | '.' | 'T' | 't' | 'Z' | 'z')
}

/// ` 12:34`, as it follows a date or a time.
fn is_offset_after_blank(rest: &str) -> bool {
    is_time_after_blank(rest) && !rest[6..].starts_with([':', '.'])
}

fn is_time_after_blank(rest: &str) -> bool {
    let bytes = rest.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    bytes.starts_with(b" ")
        && digit(1)
        && digit(2)
        && bytes.get(3) == Some(&b':')
        && digit(4)
        && digit(5)
}
