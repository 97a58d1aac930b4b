//! Lines as the `lineprotocol` library of InfluxDB 2 reads them: one pass, strict about bytes.

use std::borrow::Cow;

use super::name::{unescaped, unescaped_by};
use super::number::{IntegerError, boolean, float, integer};
use super::{Clock, Line, Reason};
use crate::{FieldValue, PointBatch, SeriesKey};

pub(super) fn line(
    text: &[u8],
    start: usize,
    line: u32,
    clock: &Clock,
    batch: &mut PointBatch,
) -> Line {
    let mut cursor = Cursor { text, at: start };
    cursor.skip_spaces();
    let begin = cursor.at;
    let read = if cursor.end_of_line() {
        Ok(())
    } else if cursor.peek() == Some(b'#') {
        cursor.comment()
    } else {
        cursor.point(line, clock, batch)
    };
    let result = read.map_err(|reason| {
        cursor.skip_line();
        let end = cursor.at;
        let end = end - usize::from(end > begin && text[end - 1] == b'\n');
        (begin..end, reason)
    });
    Line {
        next: cursor.at,
        result,
    }
}

struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7F
}

impl<'t> Cursor<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
    }

    /// Takes the end of the line, if it is here.
    fn end_of_line(&mut self) -> bool {
        let length = match (self.peek(), self.text.get(self.at + 1)) {
            (None, _) => 0,
            (Some(b'\n'), _) | (Some(b'\r'), None) => 1,
            (Some(b'\r'), Some(b'\n')) => 2,
            _ => return false,
        };
        self.at += length;
        true
    }

    /// What to say of a byte that may not be here.
    fn unexpected(&self, at_end: Reason) -> Reason {
        match self.peek() {
            Some(byte) if is_control(byte) && !matches!(byte, b'\n' | b'\r') => {
                Reason::InvalidCharacter(byte)
            }
            _ => at_end,
        }
    }

    fn comment(&mut self) -> Result<(), Reason> {
        while self.peek().is_some_and(|byte| !is_control(byte)) {
            self.at += 1;
        }
        if self.end_of_line() {
            return Ok(());
        }
        Err(Reason::InvalidCharacter(self.peek().unwrap_or(0)))
    }

    /// Takes a name up to the first byte of `ends` or control character. A backslash before a byte of
    /// `escapes` makes it part of the name.
    fn name(&mut self, ends: &[u8], escapes: &[u8]) -> Result<Cow<'t, str>, Reason> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            if byte == b'\\' {
                let next = self.text.get(self.at + 1);
                self.at += usize::from(next.is_some_and(|next| escapes.contains(next)));
            } else if ends.contains(&byte) || is_control(byte) {
                break;
            }
            self.at += 1;
        }
        unescaped(&self.text[start..self.at], escapes)
    }

    fn point(&mut self, line: u32, clock: &Clock, batch: &mut PointBatch) -> Result<(), Reason> {
        let key = self.series_key()?;
        loop {
            let (name, value) = self.field()?;
            let field = batch.add_field(&name);
            batch.push_field(field, &value);
            if self.peek() != Some(b',') {
                break;
            }
            self.at += 1;
        }
        let time = self.time(clock)?;
        let series = batch.add_series(key);
        batch.end_point(series, time, line);
        Ok(())
    }

    fn series_key(&mut self) -> Result<SeriesKey, Reason> {
        let measurement = self.name(b", ", b" ,")?;
        if measurement.is_empty() {
            return Err(self.unexpected(Reason::MissingMeasurement));
        }
        let mut tags = Vec::new();
        while self.peek() == Some(b',') {
            self.at += 1;
            let key = self.name(b",= ", b",= ")?;
            if key.is_empty() {
                return Err(self.unexpected(Reason::MissingTagKey));
            }
            if self.peek() != Some(b'=') {
                return Err(self.unexpected(Reason::MissingTagValue));
            }
            self.at += 1;
            let value = self.name(b",= ", b",= ")?;
            if value.is_empty() {
                return Err(self.unexpected(Reason::MissingTagValue));
            }
            tags.push((key, value));
        }
        match self.peek() {
            Some(b' ') => self.skip_spaces(),
            Some(b'=') => return Err(Reason::InvalidTag),
            _ => return Err(self.unexpected(Reason::MissingFields)),
        }
        let key = SeriesKey::new(
            &measurement,
            tags.iter().map(|(key, value)| (&**key, &**value)),
        );
        if key.tags.len() < tags.len() {
            return Err(Reason::DuplicateTags);
        }
        Ok(key)
    }

    fn field(&mut self) -> Result<(Cow<'t, str>, FieldValue<'t>), Reason> {
        let name = self.name(b",= ", b",= ")?;
        if name.is_empty() {
            return Err(self.unexpected(Reason::MissingFieldKey));
        }
        if self.peek() != Some(b'=') {
            return Err(self.unexpected(Reason::InvalidFields));
        }
        self.at += 1;
        let value = match self.peek() {
            Some(b'"') => self.string()?,
            Some(b't' | b'T' | b'f' | b'F') => {
                let value = boolean(self.word()).ok_or(Reason::InvalidBoolean)?;
                FieldValue::Boolean(value)
            }
            Some(b'-' | b'.' | b'0'..=b'9') => number(self.word())?,
            _ => return Err(self.unexpected(Reason::MissingFieldValue)),
        };
        match self.peek() {
            None | Some(b',' | b' ' | b'\r' | b'\n') => Ok((name, value)),
            Some(byte) => Err(Reason::InvalidCharacter(byte)),
        }
    }

    fn word(&mut self) -> &'t [u8] {
        let rest = &self.text[self.at..];
        let ends = |byte: &u8| matches!(byte, b',' | b' ' | b'\r' | b'\n');
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn string(&mut self) -> Result<FieldValue<'t>, Reason> {
        let start = self.at + 1;
        self.at = start;
        loop {
            let rest = &self.text[self.at..];
            match memchr::memchr2(b'"', b'\\', rest) {
                None => {
                    self.at = self.text.len();
                    return Err(Reason::UnbalancedQuotes);
                }
                Some(end) if rest[end] == b'"' => {
                    self.at += end;
                    break;
                }
                Some(backslash) => {
                    let next = rest.get(backslash + 1);
                    let escape = next.is_some_and(|next| in_string(*next).is_some());
                    self.at += backslash + 1 + usize::from(escape);
                }
            }
        }
        let inner = &self.text[start..self.at];
        self.at += 1;
        Ok(FieldValue::String(unescaped_by(inner, in_string)?))
    }

    fn time(&mut self, clock: &Clock) -> Result<i64, Reason> {
        self.skip_spaces();
        let start = self.at;
        while matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        self.skip_spaces_after(text)?;
        let time = if text.is_empty() {
            clock.default_time
        } else {
            time_of(text, clock)?
        };
        // Taken last, so that what is skipped after an error is the rest of this line.
        if self.end_of_line() {
            Ok(time)
        } else {
            Err(Reason::Trailing)
        }
    }

    /// Takes the spaces after a time, which must be followed by nothing else.
    fn skip_spaces_after(&mut self, time: &[u8]) -> Result<(), Reason> {
        match self.peek() {
            None | Some(b' ' | b'\r' | b'\n') => {
                self.skip_spaces();
                Ok(())
            }
            Some(_) if time.is_empty() => Err(self.unexpected(Reason::BadTime)),
            Some(_) => Err(Reason::BadTime),
        }
    }
}

fn time_of(text: &[u8], clock: &Clock) -> Result<i64, Reason> {
    let written = || Box::from(String::from_utf8_lossy(text));
    let number: i64 = integer(text).map_err(|error| match error {
        IntegerError::Syntax => Reason::TimeSyntax(written()),
        IntegerError::Range => Reason::TimeDigits(written()),
    })?;
    number.checked_mul(clock.unit).ok_or(Reason::TimeRange {
        time: number,
        first: i64::MIN / clock.unit,
        last: i64::MAX / clock.unit,
    })
}

/// What a byte after a backslash stands for in a string.
fn in_string(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        _ => None,
    }
}

fn number(word: &[u8]) -> Result<FieldValue<'static>, Reason> {
    let out_of_range = |digits: &[u8]| Reason::IntegerRange(String::from_utf8_lossy(digits).into());
    let failed = |error, digits| match error {
        IntegerError::Syntax => Reason::InvalidNumber,
        IntegerError::Range => out_of_range(digits),
    };
    if let Some(digits) = word.strip_suffix(b"i") {
        let value = integer(digits).map_err(|error| failed(error, digits))?;
        return Ok(FieldValue::Integer(value));
    }
    if let Some(digits) = word.strip_suffix(b"u") {
        if digits.starts_with(b"-") {
            return Err(Reason::InvalidNumber);
        }
        let value = integer(digits).map_err(|error| failed(error, digits))?;
        return Ok(FieldValue::Unsigned(value));
    }
    float(word)
        .map(FieldValue::Float)
        .ok_or(Reason::InvalidFloat)
}
