//! Lines of the usual form, which both dialects read alike: no backslash, one space between the parts,
//! no control characters, nothing wrong. Nearly all lines are such.

use std::borrow::Cow;

use super::number::{Number, boolean, plain_integer, plain_number};
use super::{Clock, Dialect, TIMES};
use crate::{BatchField, FieldValue, PointBatch, SeriesKey};

/// Longer keys and names are left to the dialects, which know how long they may be.
const LONG: usize = 30_000;

/// Reads lines of the usual form.
pub(super) struct Plain<'t> {
    text: &'t [u8],
    clock: &'t Clock,
    /// Whether a line may end with CR LF.
    crlf: bool,
    /// The names of the line before, each with its `=`, by their place in the line: the next line has
    /// nearly always the same.
    names: Vec<(&'t [u8], BatchField)>,
}

impl<'t> Plain<'t> {
    pub(super) fn new(text: &'t [u8], clock: &'t Clock, dialect: Dialect) -> Self {
        Self {
            text,
            clock,
            crlf: dialect == Dialect::V2,
            names: Vec::new(),
        }
    }

    /// Adds the line that begins at `start`; where the next one begins. `None`: it is not of the usual
    /// form; fields may have been pushed.
    pub(super) fn line(
        &mut self,
        start: usize,
        line: u32,
        batch: &mut PointBatch,
    ) -> Option<usize> {
        let text = self.text;
        let mut at = start + memchr::memchr2(b' ', b'\n', &text[start..])?;
        if at == start && text[at] == b'\n' {
            return Some(at + 1);
        }
        let key = &text[start..at];
        if text[at] == b'\n' {
            return None;
        }
        let series = batch
            .add_series_text(key, || plain_key(key).ok_or(()))
            .ok()?;
        let mut place = 0;
        loop {
            at += 1;
            let (name, field) = self.name(at, place, batch)?;
            place += 1;
            at = value(text, at + name, field, batch)?;
            if text.get(at) != Some(&b',') {
                break;
            }
        }
        let mut time = self.clock.default_time;
        if text.get(at) == Some(&b' ') {
            let (number, length) = plain_integer(&text[at + 1..])?;
            time = number.checked_mul(self.clock.unit)?;
            if !TIMES.contains(&time) {
                return None;
            }
            at += 1 + length;
        }
        let end = match text.get(at) {
            None => at,
            Some(b'\n') => at + 1,
            Some(b'\r') if self.crlf && text.get(at + 1) == Some(&b'\n') => at + 2,
            Some(_) => return None,
        };
        batch.end_point(series, time, line);
        Some(end)
    }

    /// The field whose name begins at `at`, and the length of the name with its `=`.
    #[inline]
    fn name(
        &mut self,
        at: usize,
        place: usize,
        batch: &mut PointBatch,
    ) -> Option<(usize, BatchField)> {
        let text = &self.text[at..];
        if let Some((name, field)) = self.names.get(place)
            && text.starts_with(name)
        {
            return Some((name.len(), *field));
        }
        let end = text.iter().position(|byte| !in_name(*byte))?;
        if end == 0 || end > LONG || text[end] != b'=' {
            return None;
        }
        let field = batch.add_field(std::str::from_utf8(&text[..end]).ok()?);
        self.names.truncate(place);
        self.names.push((&text[..=end], field));
        Some((end + 1, field))
    }
}

/// Whether a byte may stand in the name of a field without meaning anything.
fn in_name(byte: u8) -> bool {
    byte > b' ' && !matches!(byte, b',' | b'=' | b'"' | b'\\' | 0x7F)
}

/// Pushes the value that begins at `at`; where it ends.
#[inline]
fn value(text: &[u8], at: usize, field: BatchField, batch: &mut PointBatch) -> Option<usize> {
    let rest = text.get(at..)?;
    match rest.first()? {
        b'0'..=b'9' | b'-' => {
            let (number, length) = plain_number(rest)?;
            match number {
                Number::Float(value) => batch.push_float(field, value),
                Number::Integer(value) => batch.push_field(field, &FieldValue::Integer(value)),
            }
            Some(at + length)
        }
        b'"' => {
            let end = 1 + memchr::memchr2(b'"', b'\\', &rest[1..])?;
            let string = &rest[1..end];
            if rest[end] == b'\\' || memchr::memchr(b'\n', string).is_some() {
                return None;
            }
            let string = std::str::from_utf8(string).ok()?;
            batch.push_field(field, &FieldValue::String(Cow::Borrowed(string)));
            Some(at + end + 1)
        }
        _ => {
            let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic());
            let word = &rest[..end.unwrap_or(rest.len())];
            batch.push_field(field, &FieldValue::Boolean(boolean(word)?));
            Some(at + word.len())
        }
    }
}

/// Measurement and tags without anything special.
fn plain_key(text: &[u8]) -> Option<SeriesKey> {
    let special = |byte: &u8| *byte < b' ' || matches!(byte, b'\\' | 0x7F);
    if text.len() > LONG || text.starts_with(b"#") || text.iter().any(special) {
        return None;
    }
    let mut parts = std::str::from_utf8(text).ok()?.split(',');
    let measurement = parts.next().filter(|it| !it.is_empty())?;
    let mut tags = Vec::new();
    for part in parts {
        let (key, value) = part.split_once('=')?;
        if key.is_empty() || value.is_empty() || value.contains('=') {
            return None;
        }
        tags.push((key, value));
    }
    let count = tags.len();
    let key = SeriesKey::new(measurement, tags);
    (key.tags.len() == count).then_some(key)
}
