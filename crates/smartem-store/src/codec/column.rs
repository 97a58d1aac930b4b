//! One column of samples: its kinds of cells run-length coded, then its numbers, times and texts.

use std::collections::HashMap;

use smartem_model::raw::{Cell, Column};

use super::bytes::{Reader, put_varint, text};
use super::cells::{
    ABSENT, AS_BITS, Cells, INTEGER, JSON, MAX_DECIMALS, NULL, REAL, TEXT, TIME, TIME_MAX,
    read_times, unscaled, write_hex,
};
use super::numbers::{Numbers, put_numbers};
use super::{CodecError, MAX_TEXTS};

/// Texts of any kind, each with its length.
const ANY_TEXT: u8 = 0;
/// Texts of equally many lower-case hexadecimal digits, as numbers of up to 16 digits.
const HEX_TEXT: u8 = 1;
/// Few different texts, then the place of each among them.
const FEW_TEXTS: u8 = 2;

/// Up to so many runs of cells of one kind are not worth compressing.
const FEW_RUNS: usize = 16;

/// Hexadecimal digits in a number.
const DIGITS: usize = 16;

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

/// Appends a column; whether compressing it might pay: texts that do not repeat, or kinds of cells
/// that often change.
pub(super) fn put_column(out: &mut Vec<u8>, column: &Column) -> Result<bool, CodecError> {
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
    put_varint(out, parts.runs.len() as u64);
    for (kind, length) in &parts.runs {
        out.push(*kind);
        put_varint(out, *length as u64);
    }
    if !parts.integers.is_empty() {
        put_numbers(out, &parts.integers);
    }
    if !parts.reals.is_empty() {
        put_reals(out, &parts.reals);
    }
    if !parts.times.is_empty() {
        put_times(out, &parts.times);
    }
    let mut has_any_texts = false;
    if parts.texts.iter().map(|text| text.len()).sum::<usize>() > MAX_TEXTS {
        return Err(CodecError::TooLarge);
    }
    if !parts.texts.is_empty() {
        has_any_texts = put_texts(out, &parts.texts);
    }
    Ok(has_any_texts || parts.runs.len() > FEW_RUNS)
}

/// Reads columns one after the other, with the memory that takes.
#[derive(Default)]
pub(super) struct ColumnReader {
    cells: Cells,
    numbers: Numbers,
}

impl ColumnReader {
    /// The column of this name, all bytes of which are in `reader`.
    pub(super) fn column(
        &mut self,
        name: &str,
        reader: &mut Reader<'_>,
        rows: usize,
    ) -> Result<Column, CodecError> {
        let counts = self.cells.begin(reader, rows)?;
        if counts.integers > 0 {
            let numbers = self.numbers.read(reader, counts.integers)?;
            let integers = numbers.iter().map(|value| value.cast_signed());
            self.cells.integers.extend(integers);
        }
        if counts.reals > 0 {
            self.reals(reader, counts.reals)?;
        }
        if counts.times > 0 {
            let zeros = reader.byte()?;
            let numbers = self.numbers.read(reader, counts.times)?;
            let numbers = numbers.iter().map(|value| value.cast_signed());
            read_times(&mut self.cells.times, numbers, zeros)?;
        }
        if counts.texts > 0 {
            self.texts(reader, counts.texts)?;
        }
        if !reader.is_at_end() {
            return Err(CodecError::Malformed("more than a column"));
        }
        self.cells.column(name, rows)
    }

    fn reals(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), CodecError> {
        read_reals(reader, count, &mut self.numbers, &mut self.cells.reals)
    }

    fn texts(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), CodecError> {
        match reader.byte()? {
            ANY_TEXT => self.any_texts(reader, count),
            HEX_TEXT => self.hex_texts(reader, count),
            FEW_TEXTS => {
                let different = reader.length()?;
                if different > count {
                    return Err(CodecError::Malformed("more different texts than texts"));
                }
                self.any_texts(reader, different)?;
                self.repeat(reader, count)
            }
            _ => Err(CodecError::Malformed("an unknown kind of texts")),
        }
    }

    fn any_texts(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), CodecError> {
        let mut total = 0_usize;
        for &length in self.numbers.read(reader, count)? {
            let length = usize::try_from(length).map_err(|_| CodecError::Truncated)?;
            total = total.checked_add(length).ok_or(CodecError::Truncated)?;
            self.cells.lengths.push(length);
        }
        self.cells.texts.push_str(text(reader.take(total)?)?);
        Ok(())
    }

    /// Puts the different texts, which were just read, each in its places.
    fn repeat(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), CodecError> {
        let different = std::mem::take(&mut self.cells.texts);
        let lengths = std::mem::take(&mut self.cells.lengths);
        let mut rest = &different[..];
        let mut known = Vec::with_capacity(lengths.len());
        for length in lengths {
            let split = rest.split_at_checked(length);
            let (text, others) =
                split.ok_or(CodecError::Malformed("a text cut within a character"))?;
            known.push(text);
            rest = others;
        }
        for &place in self.numbers.read(reader, count)? {
            let text = usize::try_from(place).ok().and_then(|at| known.get(at));
            let text = text.ok_or(CodecError::Malformed("a text that is not listed"))?;
            // Repeating must not make much of little.
            if self.cells.texts.len() + text.len() > MAX_TEXTS {
                return Err(CodecError::TooLarge);
            }
            self.cells.texts.push_str(text);
            self.cells.lengths.push(text.len());
        }
        Ok(())
    }

    fn hex_texts(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), CodecError> {
        let length = reader.length()?;
        if length == 0 || length % 2 != 0 || length > MAX_HEX {
            return Err(CodecError::Malformed("an odd number of hexadecimal digits"));
        }
        if length * count > MAX_TEXTS {
            return Err(CodecError::TooLarge);
        }
        let mut words = Vec::with_capacity(length.div_ceil(DIGITS));
        for _ in 0..length.div_ceil(DIGITS) {
            words.push(self.numbers.read(reader, count)?.to_vec());
        }
        let mut all = vec![0; length * count];
        for (row, digits) in all.chunks_exact_mut(length).enumerate() {
            for (digits, word) in digits.chunks_mut(DIGITS).zip(&words) {
                let bytes = word[row].to_be_bytes();
                write_hex(digits, &bytes[8 - digits.len() / 2..]);
            }
        }
        self.cells.texts.push_str(text(&all)?);
        self.cells.lengths.resize(count, length);
        Ok(())
    }
}

/// The longest texts that are written as hexadecimal digits.
const MAX_HEX: usize = 64;

/// Most instruments give decimals of few places: those are kept as integers, exactly.
pub(super) fn put_reals(out: &mut Vec<u8>, values: &[f64]) {
    if let Some((decimals, scaled)) = in_decimals(values) {
        out.push(decimals);
        put_numbers(out, &scaled);
    } else {
        out.push(AS_BITS);
        let bits = values.iter().map(|value| value.to_bits().cast_signed());
        put_numbers(out, &bits.collect::<Vec<_>>());
    }
}

/// The fewest decimals that keep all values, and the values as integers of them.
fn in_decimals(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let mut decimals = 0;
    loop {
        // Most often what one value needs is what all need.
        for value in values {
            while scaled(*value, decimals).is_none() {
                decimals += 1;
                if decimals > MAX_DECIMALS {
                    return None;
                }
            }
        }
        let all = values.iter().map(|value| scaled(*value, decimals));
        if let Some(all) = all.collect() {
            return Some((decimals, all));
        }
        decimals += 1;
        if decimals > MAX_DECIMALS {
            return None;
        }
    }
}

/// Reads what [`put_reals`] wrote.
pub(super) fn read_reals(
    reader: &mut Reader<'_>,
    count: usize,
    numbers: &mut Numbers,
    reals: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let decimals = reader.byte()?;
    let numbers = numbers.read(reader, count)?.iter();
    match decimals {
        AS_BITS => reals.extend(numbers.map(|bits| f64::from_bits(*bits))),
        0..=MAX_DECIMALS => {
            reals.extend(numbers.map(|integer| unscaled(integer.cast_signed(), decimals)));
        }
        _ => return Err(CodecError::Malformed("decimals of too many places")),
    }
    Ok(())
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

/// Times in the coarsest power of ten nanoseconds that keeps them all.
pub(super) fn put_times(out: &mut Vec<u8>, times: &[i64]) {
    let mut zeros = 9_u8;
    for time in times {
        while zeros > 0 && time % 10_i64.pow(zeros.into()) != 0 {
            zeros -= 1;
        }
    }
    out.push(zeros);
    let unit = 10_i64.pow(zeros.into());
    let counts: Vec<i64> = times.iter().map(|time| time / unit).collect();
    put_numbers(out, &counts);
}

/// Appends texts; whether they were written out.
fn put_texts(out: &mut Vec<u8>, texts: &[&str]) -> bool {
    if let Some(length) = common_hex_length(texts) {
        put_hex_texts(out, texts, length);
        return false;
    }
    let mut known: HashMap<&str, i64> = HashMap::new();
    let mut different = Vec::new();
    let mut places = Vec::with_capacity(texts.len());
    for &text in texts {
        places.push(*known.entry(text).or_insert_with(|| {
            different.push(text);
            number(different.len() - 1)
        }));
    }
    if different.len() <= texts.len() / 2 {
        out.push(FEW_TEXTS);
        put_varint(out, different.len() as u64);
        put_any_texts(out, &different);
        put_numbers(out, &places);
    } else {
        out.push(ANY_TEXT);
        put_any_texts(out, texts);
    }
    true
}

/// A length or place; all of them are in memory, so they fit.
fn number(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn put_any_texts(out: &mut Vec<u8>, texts: &[&str]) {
    let lengths = texts.iter().map(|text| number(text.len()));
    put_numbers(out, &lengths.collect::<Vec<_>>());
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

fn put_hex_texts(out: &mut Vec<u8>, texts: &[&str], length: usize) {
    out.push(HEX_TEXT);
    put_varint(out, length as u64);
    for from in (0..length).step_by(DIGITS) {
        let digits = from..(from + DIGITS).min(length);
        let words = texts.iter().map(|text| {
            let bytes = text.as_bytes()[digits.clone()].iter();
            bytes.fold(0, |word, digit| word << 4 | i64::from(hex_value(*digit)))
        });
        put_numbers(out, &words.collect::<Vec<_>>());
    }
}

/// The length of all texts, when they are lower-case hexadecimal digits in pairs.
fn common_hex_length(texts: &[&str]) -> Option<usize> {
    let length = texts.first()?.len();
    let is_hex = |text: &&str| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_length = (1..=MAX_HEX).contains(&length) && length % 2 == 0;
    (is_length && texts.iter().all(is_hex)).then_some(length)
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}
