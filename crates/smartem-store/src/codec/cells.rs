//! The cells of one column sorted by kind: what both forms of a payload are read into.

use smartem_model::raw::{Cell, Column};

use super::CodecError;
use super::bytes::Reader;

pub(super) const ABSENT: u8 = 0;
pub(super) const NULL: u8 = 1;
pub(super) const INTEGER: u8 = 2;
pub(super) const REAL: u8 = 3;
pub(super) const TEXT: u8 = 4;
pub(super) const JSON: u8 = 5;
/// A time; its number of fractional digits is added.
pub(super) const TIME: u8 = 16;
pub(super) const TIME_MAX: u8 = TIME + 9;

/// Reals as the bits of an f64.
pub(super) const AS_BITS: u8 = 0xFF;
/// Reals as integers: up to so many decimal places.
pub(super) const MAX_DECIMALS: u8 = 9;

/// The cells of a column by kind; to be used for one column after another.
#[derive(Default)]
pub(super) struct Cells {
    /// Kinds with how many cells of it follow each other.
    pub(super) runs: Vec<(u8, usize)>,
    pub(super) integers: Vec<i64>,
    pub(super) reals: Vec<f64>,
    /// Nanoseconds since 1970.
    pub(super) times: Vec<i64>,
    /// All texts, one behind the other.
    pub(super) texts: String,
    /// Of each text, in bytes.
    pub(super) lengths: Vec<usize>,
}

/// How many cells there are of each kind that has a list.
pub(super) struct Counts {
    pub(super) integers: usize,
    pub(super) reals: usize,
    pub(super) times: usize,
    pub(super) texts: usize,
}

impl Cells {
    /// Forgets the column before, and reads the kinds of the cells of the next.
    pub(super) fn begin(
        &mut self,
        reader: &mut Reader<'_>,
        rows: usize,
    ) -> Result<Counts, CodecError> {
        self.runs.clear();
        self.integers.clear();
        self.reals.clear();
        self.times.clear();
        self.texts.clear();
        self.lengths.clear();
        let mut total = 0_usize;
        for _ in 0..reader.length()? {
            let kind = reader.byte()?;
            if kind > JSON && !(TIME..=TIME_MAX).contains(&kind) {
                return Err(CodecError::Malformed("an unknown kind of cell"));
            }
            let length = reader.length()?;
            total = total
                .checked_add(length)
                .filter(|total| *total <= rows)
                .ok_or(CodecError::Malformed("more cells than rows"))?;
            self.runs.push((kind, length));
        }
        if total != rows {
            return Err(CodecError::Malformed("fewer cells than rows"));
        }
        Ok(Counts {
            integers: self.count(|kind| kind == INTEGER),
            reals: self.count(|kind| kind == REAL),
            times: self.count(|kind| kind >= TIME),
            texts: self.count(|kind| kind == TEXT || kind == JSON),
        })
    }

    fn count(&self, is_kind: impl Fn(u8) -> bool) -> usize {
        let of_kind = self.runs.iter().filter(|(kind, _)| is_kind(*kind));
        of_kind.map(|(_, length)| length).sum()
    }

    /// The column, when each list has as many cells as [`Cells::begin`] counted.
    pub(super) fn column(&self, name: &str, rows: usize) -> Result<Column, CodecError> {
        const CUT: CodecError = CodecError::Malformed("a text cut within a character");
        let mut column = Column::with_capacity(name, rows);
        let mut integers = &self.integers[..];
        let mut reals = &self.reals[..];
        let mut times = &self.times[..];
        let mut lengths = &self.lengths[..];
        let mut texts = &self.texts[..];
        for &(kind, length) in &self.runs {
            match kind {
                ABSENT => column.extend_absent(length),
                NULL => (0..length).for_each(|_| column.push(Cell::Null)),
                INTEGER => column.extend_integers(first(&mut integers, length)?),
                REAL => column.extend_reals(first(&mut reals, length)?),
                TEXT => {
                    let lengths = first(&mut lengths, length)?;
                    let run = text(&mut texts, lengths.iter().sum()).ok_or(CUT)?;
                    column.extend_texts(run, lengths).ok_or(CUT)?;
                }
                JSON => {
                    for &length in first(&mut lengths, length)? {
                        column.push(Cell::Json(text(&mut texts, length).ok_or(CUT)?));
                    }
                }
                _ => column.extend_times(first(&mut times, length)?, kind - TIME),
            }
        }
        Ok(column)
    }
}

/// Takes the first of a list.
fn first<'a, T>(list: &mut &'a [T], count: usize) -> Result<&'a [T], CodecError> {
    let (taken, rest) = list.split_at_checked(count).ok_or(CodecError::Truncated)?;
    *list = rest;
    Ok(taken)
}

/// Takes so many bytes of text.
fn text<'a>(texts: &mut &'a str, length: usize) -> Option<&'a str> {
    let (taken, rest) = texts.split_at_checked(length)?;
    *texts = rest;
    Some(taken)
}

/// The real that an integer of so many decimal places stands for.
pub(super) fn unscaled(integer: i64, decimals: u8) -> f64 {
    integer as f64 / 10_f64.powi(decimals.into())
}

/// Times from counts of a unit of `10^zeros` nanoseconds.
pub(super) fn read_times(
    times: &mut Vec<i64>,
    counts: impl Iterator<Item = i64>,
    zeros: u8,
) -> Result<(), CodecError> {
    if zeros > 9 {
        return Err(CodecError::Malformed("an unknown unit of time"));
    }
    let unit = 10_i64.pow(zeros.into());
    for count in counts {
        let time = count.checked_mul(unit);
        times.push(time.ok_or(CodecError::TimeOutOfRange)?);
    }
    Ok(())
}

/// Writes the two lower-case hexadecimal digits of each byte.
pub(super) fn write_hex(digits: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0x0F)];
    }
}
