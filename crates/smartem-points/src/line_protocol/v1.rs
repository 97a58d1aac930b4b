//! Lines as the `models` package of InfluxDB 1.6 reads them.
//!
//! It looks at each part of a line several times, by rules that are not quite the same; a line is good
//! when all of them agree. Where they do not, InfluxDB 1.6 answers 500 or ends; here the line is faulty.

use super::name::{unescaped, unescaped_by};
use super::number::{IntegerError, boolean, float, integer};
use super::{Clock, Line, Reason, TIMES};
use crate::{FieldValue, PointBatch, SeriesKey};

/// Measurement, tags and the name of a field must not be longer, with the four bytes that InfluxDB
/// puts between them.
const LONGEST: usize = 65_535;
const BETWEEN: usize = 4;

pub(super) fn line(
    text: &[u8],
    start: usize,
    line: u32,
    clock: &Clock,
    batch: &mut PointBatch,
) -> Line {
    let end = line_end(text, start);
    let next = (end + 1).min(text.len());
    let mut place = blank_end(text, start).min(end)..end;
    let is_point = !place.is_empty() && text[place.start] != b'#';
    if is_point && text[end - 1] == b'\n' {
        place.end -= 1;
    }
    let result = if is_point {
        point(&text[place.clone()], line, clock, batch).map_err(|reason| (place, reason))
    } else {
        Ok(())
    };
    Line { next, result }
}

/// Where a line ends: at the first break that is neither in a string nor after a backslash.
fn line_end(text: &[u8], start: usize) -> usize {
    let (mut quoted, mut fields) = (false, false);
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b' ' => fields = true,
            b'=' if fields && !quoted => equals += 1,
            b',' if fields && !quoted => commas += 1,
            b'"' if fields && equals > commas => quoted = !quoted,
            b'\n' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Where spaces, tabs and NULs end.
fn blank_end(text: &[u8], start: usize) -> usize {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 0);
    let end = text[start..].iter().position(|byte| !blank(byte));
    end.map_or(text.len(), |end| start + end)
}

fn point(line: &[u8], number: u32, clock: &Clock, batch: &mut PointBatch) -> Result<(), Reason> {
    let (key, key_end) = series_key(line)?;
    if key_end > LONGEST {
        return Err(Reason::KeyLength(key_end));
    }
    let start = blank_end(line, key_end);
    let end = fields_end(line, start)?;
    let fields = &line[start..end];
    if fields.is_empty() {
        return Err(Reason::MissingFields);
    }
    let split = split_fields(fields);
    for (name, value) in &split {
        if value.is_empty() {
            let name = String::from_utf8_lossy(name).into();
            return Err(Reason::InvalidValue(name));
        }
        let length = key_end + BETWEEN + name.len();
        if length > LONGEST {
            return Err(Reason::KeyLength(length));
        }
    }
    let time = time(line, end, clock)?;
    for (name, value) in split {
        let name = unescaped(name, b",\" =")?;
        if name.is_empty() {
            return Err(Reason::MissingFieldKey);
        }
        let value = field_value(value)?;
        let field = batch.add_field(&name);
        batch.push_field(field, &value);
    }
    let series = batch.add_series(key);
    batch.end_point(series, time, number);
    Ok(())
}

/// Whether the byte at `at` follows a backslash.
fn escaped(text: &[u8], at: usize) -> bool {
    at > 0 && text[at - 1] == b'\\'
}

/// Measurement and tags, and where they end.
fn series_key(line: &[u8]) -> Result<(SeriesKey, usize), Reason> {
    if line.first().is_none_or(|byte| *byte == b',') {
        return Err(Reason::MissingMeasurement);
    }
    let end = (1..line.len())
        .find(|at| matches!(line[*at], b',' | b' ') && !escaped(line, *at))
        .ok_or(Reason::MissingFields)?;
    let measurement = unescaped(&line[..end], b",\" =");
    let mut tags = Vec::new();
    let mut at = end;
    while line[at] == b',' {
        let key_end = tag_key_end(line, at + 1)?;
        let value_end = tag_value_end(line, key_end + 1)?;
        tags.push((&line[at + 1..key_end], &line[key_end + 1..value_end]));
        at = value_end;
    }
    tags.sort_by_key(|(key, _)| *key);
    if tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Reason::DuplicateTags);
    }
    let mut texts = Vec::with_capacity(tags.len());
    for (key, value) in tags {
        texts.push((unescaped(key, b", =")?, unescaped(value, b", =")?));
    }
    let tags = texts.iter().map(|(key, value)| (&**key, &**value));
    Ok((SeriesKey::new(&measurement?, tags), at))
}

fn tag_key_end(line: &[u8], start: usize) -> Result<usize, Reason> {
    if line
        .get(start)
        .is_none_or(|byte| matches!(byte, b' ' | b',' | b'='))
    {
        return Err(Reason::MissingTagKey);
    }
    let special = |at: &usize| matches!(line[*at], b' ' | b',' | b'=') && !escaped(line, *at);
    match (start + 1..line.len()).find(special) {
        Some(end) if line[end] == b'=' => Ok(end),
        _ => Err(Reason::MissingTagValue),
    }
}

fn tag_value_end(line: &[u8], start: usize) -> Result<usize, Reason> {
    if line
        .get(start)
        .is_none_or(|byte| matches!(byte, b' ' | b','))
    {
        return Err(Reason::MissingTagValue);
    }
    let special = |at: &usize| matches!(line[*at], b' ' | b',' | b'=') && !escaped(line, *at);
    match (start + 1..line.len()).find(special) {
        Some(end) if line[end] == b'=' => Err(Reason::InvalidTag),
        Some(end) => Ok(end),
        None => Err(Reason::MissingFields),
    }
}

/// Where the fields end, if they are names and values in pairs.
fn fields_end(line: &[u8], start: usize) -> Result<usize, Reason> {
    let mut quoted = false;
    let (mut equals, mut commas) = (0_usize, 0_usize);
    let mut at = start;
    while let Some(byte) = line.get(at) {
        match byte {
            b'\\' if at + 1 < line.len() => at += 1,
            b'"' if equals > commas => quoted = !quoted,
            b'=' if !quoted => {
                equals += 1;
                let before = at.checked_sub(1).map(|before| line[before]);
                if matches!(before, Some(b' ' | b',')) && !escaped(line, at - 1) {
                    return Err(Reason::MissingFieldKey);
                }
                match line.get(at + 1) {
                    None | Some(b',' | b' ') => return Err(Reason::MissingFieldValue),
                    Some(b'0'..=b'9' | b'.' | b'-' | b'N' | b'n') => {
                        at = number_end(line, at + 1)?;
                        continue;
                    }
                    Some(b'"') => {}
                    Some(_) => {
                        at = boolean_end(line, at + 1)?;
                        continue;
                    }
                }
            }
            b',' if !quoted => commas += 1,
            b' ' if !quoted => break,
            _ => {}
        }
        at += 1;
    }
    let at = at.min(line.len());
    if quoted {
        return Err(Reason::UnbalancedQuotes);
    }
    if equals == 0 || commas != equals - 1 {
        return Err(Reason::InvalidFields);
    }
    Ok(at)
}

fn word_end(line: &[u8], start: usize) -> usize {
    memchr::memchr2(b',', b' ', &line[start..]).map_or(line.len(), |end| start + end)
}

fn boolean_end(line: &[u8], start: usize) -> Result<usize, Reason> {
    let end = word_end(line, start);
    match boolean(&line[start..end]) {
        Some(_) => Ok(end),
        None => Err(Reason::InvalidBoolean),
    }
}

fn number_end(line: &[u8], start: usize) -> Result<usize, Reason> {
    let end = word_end(line, start);
    let word = &line[start..end];
    number(word).map(|_| end)
}

fn number(word: &[u8]) -> Result<FieldValue<'static>, Reason> {
    let Some(digits) = word.strip_suffix(b"i") else {
        return match (float(word), number_form(word)) {
            (Some(value), true) => Ok(FieldValue::Float(value)),
            (None, true) => Err(Reason::InvalidFloat),
            (_, false) => Err(Reason::InvalidNumber),
        };
    };
    match integer(digits) {
        Ok(value) => Ok(FieldValue::Integer(value)),
        Err(IntegerError::Syntax) => Err(Reason::InvalidNumber),
        Err(IntegerError::Range) => {
            let digits = String::from_utf8_lossy(digits).into();
            Err(Reason::IntegerRange(digits))
        }
    }
}

/// Whether a float has digits, at most one point, and signs only where they may be.
fn number_form(word: &[u8]) -> bool {
    let body = word.strip_prefix(b"-").unwrap_or(word);
    let mut points = 0;
    for (at, byte) in body.iter().enumerate() {
        let good = match byte {
            b'0'..=b'9' => true,
            b'.' => {
                points += 1;
                points == 1
            }
            b'e' | b'E' => at > 0 || body.len() < word.len(),
            b'+' | b'-' => at > 0 && matches!(body[at - 1], b'e' | b'E'),
            _ => false,
        };
        if !good {
            return false;
        }
    }
    body.len() > points
}

/// Names and values, as written.
fn split_fields(fields: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut split = Vec::new();
    let mut at = 0;
    while at < fields.len() {
        let name_end = (at..fields.len())
            .find(|end| fields[*end] == b'=' && !escaped(fields, *end))
            .unwrap_or(fields.len());
        let value_start = (name_end + 1).min(fields.len());
        let value_end = value_end(fields, value_start);
        split.push((&fields[at..name_end], &fields[value_start..value_end]));
        at = value_end + 1;
    }
    split
}

fn value_end(fields: &[u8], start: usize) -> usize {
    let mut quoted = false;
    let mut at = start;
    while let Some(byte) = fields.get(at) {
        match byte {
            b'\\' if matches!(fields.get(at + 1), Some(b'"' | b'\\')) => at += 1,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    fields.len()
}

fn field_value(text: &[u8]) -> Result<FieldValue<'_>, Reason> {
    match text.first() {
        None => Err(Reason::MissingFieldValue),
        Some(b'"') => {
            // What follows the closing quote is cut off as if it were the quote, as InfluxDB does.
            let inner = text.get(1..text.len() - 1);
            let inner = inner.ok_or(Reason::UnbalancedQuotes)?;
            let string = unescaped_by(inner, |byte| matches!(byte, b'"' | b'\\').then_some(byte))?;
            Ok(FieldValue::String(string))
        }
        Some(b'0'..=b'9' | b'-' | b'.' | b'n' | b'N' | b'i' | b'I' | b'u') => number(text),
        Some(_) => {
            let value = boolean(text).ok_or(Reason::InvalidBoolean)?;
            Ok(FieldValue::Boolean(value))
        }
    }
}

fn time(line: &[u8], fields_end: usize, clock: &Clock) -> Result<i64, Reason> {
    let start = blank_end(line, fields_end);
    let digits = start + usize::from(line.get(start) == Some(&b'-'));
    let end = (digits..line.len())
        .find(|at| !line[*at].is_ascii_digit())
        .unwrap_or(line.len());
    if end < line.len() && !matches!(line[end], b' ' | b'\n') {
        return Err(Reason::BadTime);
    }
    let text = &line[start..end];
    if text.is_empty() {
        return Ok(clock.default_time);
    }
    let written = || Box::from(String::from_utf8_lossy(text));
    let number: i64 = integer(text).map_err(|error| match error {
        IntegerError::Syntax => Reason::TimeSyntax(written()),
        IntegerError::Range => Reason::TimeDigits(written()),
    })?;
    let time = number.checked_mul(clock.unit);
    let time = time.filter(|time| TIMES.contains(time));
    let time = time.ok_or(Reason::TimeRange)?;
    if line[end..].iter().any(|byte| *byte != b' ') {
        return Err(Reason::Trailing);
    }
    Ok(time)
}
