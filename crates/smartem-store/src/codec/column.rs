//! One column of samples: its kinds of cells run-length coded, then its numbers, times and texts.

use jiff::Timestamp;
use smartem_model::raw::{Cell, Column};

use super::CodecError;
use super::bytes::{Reader, put_text, put_varint, text};
use super::numbers::{integers, patterns, put_integers, put_patterns};

const ABSENT: u8 = 0;
const NULL: u8 = 1;
const INTEGER: u8 = 2;
const REAL: u8 = 3;
const TEXT: u8 = 4;
const JSON: u8 = 5;
/// A time; its number of fractional digits is added.
const TIME: u8 = 16;
const TIME_MAX: u8 = TIME + 9;

/// Reals as the bits of an f64.
const AS_BITS: u8 = 0xFF;
/// Reals as integers: up to so many decimal places.
const MAX_DECIMALS: u8 = 9;

/// Texts of any kind, each with its length.
const ANY_TEXT: u8 = 0;
/// Texts of equally many lower-case hexadecimal digits, two a byte.
const HEX_TEXT: u8 = 1;

/// The cells of a column sorted by kind.
#[derive(Default)]
struct Parts<'a> {
    runs: Vec<(u8, usize)>,
    integers: Vec<i64>,
    reals: Vec<f64>,
    /// Nanoseconds since 1970.
    times: Vec<i64>,
    texts: Vec<&'a str>,
}

pub(super) fn put_column(out: &mut Vec<u8>, column: &Column) -> Result<(), CodecError> {
    let mut parts = Parts::default();
    for cell in column.cells() {
        let kind = match cell {
            Cell::Absent => ABSENT,
            Cell::Null => NULL,
            Cell::Integer(value) => {
                parts.integers.push(value);
                INTEGER
            }
            Cell::Real(value) => {
                parts.reals.push(value);
                REAL
            }
            Cell::Time(time, digits) => {
                let nanoseconds = i64::try_from(time.as_nanosecond());
                parts
                    .times
                    .push(nanoseconds.map_err(|_| CodecError::TimeOutOfRange)?);
                TIME + digits.min(TIME_MAX - TIME)
            }
            Cell::Text(text) => {
                parts.texts.push(text);
                TEXT
            }
            Cell::Json(json) => {
                parts.texts.push(json);
                JSON
            }
        };
        match parts.runs.last_mut() {
            Some((last, length)) if *last == kind => *length += 1,
            _ => parts.runs.push((kind, 1)),
        }
    }
    put_text(out, column.name());
    put_varint(out, parts.runs.len() as u64);
    for (kind, length) in &parts.runs {
        out.push(*kind);
        put_varint(out, *length as u64);
    }
    if !parts.integers.is_empty() {
        put_integers(out, &parts.integers);
    }
    if !parts.reals.is_empty() {
        put_reals(out, &parts.reals);
    }
    if !parts.times.is_empty() {
        put_times(out, &parts.times);
    }
    if !parts.texts.is_empty() {
        put_texts(out, &parts.texts);
    }
    Ok(())
}

pub(super) fn column(reader: &mut Reader<'_>, rows: usize) -> Result<Column, CodecError> {
    let mut column = Column::new(reader.text()?);
    let runs = runs(reader, rows)?;
    let count = |is_kind: &dyn Fn(u8) -> bool| -> usize {
        let of_kind = runs.iter().filter(|(kind, _)| is_kind(*kind));
        of_kind.map(|(_, length)| length).sum()
    };
    let integers = match count(&|kind| kind == INTEGER) {
        0 => Vec::new(),
        count => integers(reader, count)?,
    };
    let mut integers = &integers[..];
    let mut reals = match count(&|kind| kind == REAL) {
        0 => Vec::new(),
        count => read_reals(reader, count)?,
    }
    .into_iter();
    let mut times = match count(&|kind| kind >= TIME) {
        0 => Vec::new(),
        count => read_times(reader, count)?,
    }
    .into_iter();
    let mut texts = match count(&|kind| kind == TEXT || kind == JSON) {
        0 => Texts::default(),
        count => read_texts(reader, count)?,
    };
    for (kind, length) in runs {
        // Each list was read with the number of cells of its kind, so none ends early.
        if kind == INTEGER {
            let (run, rest) = integers.split_at_checked(length).unwrap_or_default();
            column.extend_integers(run);
            integers = rest;
            continue;
        }
        for _ in 0..length {
            column.push(match kind {
                ABSENT => Cell::Absent,
                NULL => Cell::Null,
                REAL => Cell::Real(reals.next().unwrap_or_default()),
                TEXT => Cell::Text(texts.next()?),
                JSON => Cell::Json(texts.next()?),
                _ => Cell::Time(times.next().unwrap_or_default(), kind - TIME),
            });
        }
    }
    Ok(column)
}

fn runs(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<(u8, usize)>, CodecError> {
    let count = reader.length()?;
    let mut runs = Vec::new();
    let mut total = 0_usize;
    for _ in 0..count {
        let kind = reader.byte()?;
        if kind > JSON && !(TIME..=TIME_MAX).contains(&kind) {
            return Err(CodecError::Malformed("an unknown kind of cell"));
        }
        let length = reader.length()?;
        total = total
            .checked_add(length)
            .filter(|total| *total <= rows)
            .ok_or(CodecError::Malformed("more cells than rows"))?;
        runs.push((kind, length));
    }
    if total == rows {
        Ok(runs)
    } else {
        Err(CodecError::Malformed("fewer cells than rows"))
    }
}

/// Most instruments give decimals of few places: those are kept as integers, exactly.
fn put_reals(out: &mut Vec<u8>, values: &[f64]) {
    for decimals in 0..=MAX_DECIMALS {
        let scaled: Option<Vec<i64>> = values
            .iter()
            .map(|value| scaled(*value, decimals))
            .collect();
        if let Some(scaled) = scaled {
            out.push(decimals);
            put_integers(out, &scaled);
            return;
        }
    }
    out.push(AS_BITS);
    let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
    put_patterns(out, &bits);
}

fn read_reals(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f64>, CodecError> {
    let decimals = reader.byte()?;
    if decimals == AS_BITS {
        let bits = patterns(reader, count)?;
        return Ok(bits.into_iter().map(f64::from_bits).collect());
    }
    if decimals > MAX_DECIMALS {
        return Err(CodecError::Malformed("decimals of too many places"));
    }
    let scaled = integers(reader, count)?;
    Ok(scaled
        .into_iter()
        .map(|integer| unscaled(integer, decimals))
        .collect())
}

/// The integer that gives back `value` to the bit, when there is one.
fn scaled(value: f64, decimals: u8) -> Option<i64> {
    // Beyond 2^53 not every integer is an f64.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    let rounded = (value * 10_f64.powi(decimals.into())).round();
    if rounded.is_nan() || rounded.abs() > LARGEST {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    let integer = rounded as i64;
    (unscaled(integer, decimals).to_bits() == value.to_bits()).then_some(integer)
}

fn unscaled(integer: i64, decimals: u8) -> f64 {
    integer as f64 / 10_f64.powi(decimals.into())
}

/// Times in the coarsest power of ten nanoseconds that keeps them all.
fn put_times(out: &mut Vec<u8>, times: &[i64]) {
    let mut zeros = 9_u8;
    for time in times {
        while zeros > 0 && time % 10_i64.pow(zeros.into()) != 0 {
            zeros -= 1;
        }
    }
    out.push(zeros);
    let unit = 10_i64.pow(zeros.into());
    let counts: Vec<i64> = times.iter().map(|time| time / unit).collect();
    put_integers(out, &counts);
}

fn read_times(reader: &mut Reader<'_>, count: usize) -> Result<Vec<Timestamp>, CodecError> {
    let zeros = reader.byte()?;
    if zeros > 9 {
        return Err(CodecError::Malformed("an unknown unit of time"));
    }
    let unit = 10_i128.pow(zeros.into());
    integers(reader, count)?
        .into_iter()
        .map(|count| Timestamp::from_nanosecond(i128::from(count) * unit).ok())
        .collect::<Option<_>>()
        .ok_or(CodecError::TimeOutOfRange)
}

fn put_texts(out: &mut Vec<u8>, texts: &[&str]) {
    if let Some(length) = common_hex_length(texts) {
        out.push(HEX_TEXT);
        put_varint(out, length as u64);
        for at in (0..length).step_by(2) {
            let mut before = 0;
            out.extend(texts.iter().map(|text| {
                let digits = &text.as_bytes()[at..at + 2];
                let byte = hex_value(digits[0]) << 4 | hex_value(digits[1]);
                byte.wrapping_sub(std::mem::replace(&mut before, byte))
            }));
        }
        return;
    }
    out.push(ANY_TEXT);
    for text in texts {
        put_varint(out, text.len() as u64);
    }
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Texts as they are read back, in order.
#[derive(Default)]
struct Texts {
    lengths: std::vec::IntoIter<usize>,
    all: String,
    at: usize,
}

impl Texts {
    fn next(&mut self) -> Result<&str, CodecError> {
        let end = self.at + self.lengths.next().unwrap_or_default();
        let text = self.all.get(self.at..end);
        self.at = end;
        text.ok_or(CodecError::Malformed("a text cut within a character"))
    }
}

fn read_texts(reader: &mut Reader<'_>, count: usize) -> Result<Texts, CodecError> {
    match reader.byte()? {
        ANY_TEXT => {
            let mut lengths = Vec::new();
            let mut total = 0_usize;
            for _ in 0..count {
                let length = reader.length()?;
                total = total.checked_add(length).ok_or(CodecError::Truncated)?;
                lengths.push(length);
            }
            let all = text(reader.take(total)?)?.to_owned();
            let lengths = lengths.into_iter();
            Ok(Texts {
                lengths,
                all,
                at: 0,
            })
        }
        HEX_TEXT => {
            let length = reader.length()?;
            if length == 0 || length % 2 != 0 {
                return Err(CodecError::Malformed("an odd number of hexadecimal digits"));
            }
            let planes: Vec<&[u8]> = (0..length / 2)
                .map(|_| reader.take(count))
                .collect::<Result<_, _>>()?;
            let mut all = String::with_capacity(length * count);
            let mut bytes = vec![0_u8; planes.len()];
            for row in 0..count {
                for (byte, plane) in bytes.iter_mut().zip(&planes) {
                    *byte = byte.wrapping_add(plane[row]);
                    all.push(hex_digit(*byte >> 4));
                    all.push(hex_digit(*byte & 0x0F));
                }
            }
            let lengths = vec![length; count].into_iter();
            Ok(Texts {
                lengths,
                all,
                at: 0,
            })
        }
        _ => Err(CodecError::Malformed("an unknown kind of texts")),
    }
}

/// The length of all texts, when they are lower-case hexadecimal digits in pairs.
fn common_hex_length(texts: &[&str]) -> Option<usize> {
    let length = texts.first()?.len();
    let is_hex = |text: &&str| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    (length > 0 && length % 2 == 0 && texts.iter().all(is_hex)).then_some(length)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

fn hex_digit(value: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(value)])
}
