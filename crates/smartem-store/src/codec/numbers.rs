//! Lists of numbers as byte planes.
//!
//! A list is transformed so that most of its numbers get small, cut to the bytes that the largest
//! needs, and written plane by plane: all lowest bytes, then all second bytes, and so on. Planes
//! of slowly changing values are nearly constant, which is what the compressor behind likes, and
//! they are read back without a branch for each number.

use super::CodecError;
use super::bytes::{Reader, low_byte, unzigzag, zigzag};

/// How a list was made small; the number is what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    /// Zigzag of each number.
    Plain = 0,
    /// Zigzag of the difference to the number before.
    Delta = 1,
    /// Zigzag of the difference between differences.
    DeltaOfDelta = 2,
    /// Each byte minus the same byte of the number before: for packed bands and bit fields.
    Bytewise = 3,
}

/// Appends the numbers, not their count.
pub(super) fn put_integers(out: &mut Vec<u8>, values: &[i64]) {
    let transform = best_transform(values);
    let mut encoded: Vec<u64> = Vec::with_capacity(values.len());
    let (mut previous, mut difference) = (0_i64, 0_i64);
    for &value in values {
        let step = value.wrapping_sub(previous);
        encoded.push(match transform {
            Transform::Plain => zigzag(value),
            Transform::Delta => zigzag(step),
            Transform::DeltaOfDelta => zigzag(step.wrapping_sub(difference)),
            Transform::Bytewise => bytewise_difference(value, previous),
        });
        (previous, difference) = (value, step);
    }
    out.push(transform as u8);
    put_planes(out, &encoded);
}

/// Reads `count` numbers.
pub(super) fn integers(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, CodecError> {
    let transform = reader.byte()?;
    let mut encoded = planes(reader, count)?;
    let (mut previous, mut difference) = (0_i64, 0_i64);
    let mut undo = |code: u64| {
        let value = match transform {
            0 => unzigzag(code),
            1 => previous.wrapping_add(unzigzag(code)),
            2 => previous.wrapping_add(difference.wrapping_add(unzigzag(code))),
            _ => bytewise_sum(code, previous),
        };
        difference = value.wrapping_sub(previous);
        previous = value;
        value
    };
    if transform > Transform::Bytewise as u8 {
        return Err(CodecError::Malformed("an unknown transform of numbers"));
    }
    Ok(encoded.drain(..).map(&mut undo).collect())
}

/// Appends patterns of 64 bits, not their count; each is written as the difference (exclusive or)
/// to the one before.
pub(super) fn put_patterns(out: &mut Vec<u8>, patterns: &[u64]) {
    let mut previous = 0;
    let encoded: Vec<u64> = patterns
        .iter()
        .map(|pattern| pattern ^ std::mem::replace(&mut previous, *pattern))
        .collect();
    put_planes(out, &encoded);
}

/// Reads `count` patterns.
pub(super) fn patterns(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, CodecError> {
    let mut patterns = planes(reader, count)?;
    let mut previous = 0;
    for pattern in &mut patterns {
        *pattern ^= previous;
        previous = *pattern;
    }
    Ok(patterns)
}

/// The transform that leaves the fewest significant bits.
fn best_transform(values: &[i64]) -> Transform {
    let mut bits = [0_u64; 4];
    let (mut previous, mut difference) = (0_i64, 0_i64);
    for &value in values {
        let step = value.wrapping_sub(previous);
        bits[0] += significant(zigzag(value));
        bits[1] += significant(zigzag(step));
        bits[2] += significant(zigzag(step.wrapping_sub(difference)));
        bits[3] += significant(bytewise_difference(value, previous));
        (previous, difference) = (value, step);
    }
    let all = [
        Transform::Plain,
        Transform::Delta,
        Transform::DeltaOfDelta,
        Transform::Bytewise,
    ];
    let best = (0..all.len()).min_by_key(|&at| bits[at]).unwrap_or(0);
    all[best]
}

fn significant(value: u64) -> u64 {
    u64::from(u64::BITS - value.leading_zeros())
}

/// The highest bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Subtracts byte by byte, without a borrow between bytes.
fn bytewise_difference(value: i64, previous: i64) -> u64 {
    let (a, b) = (value.cast_unsigned(), previous.cast_unsigned());
    // With the highest bits set apart no byte borrows from the next one.
    ((a | HIGH) - (b & !HIGH)) ^ ((a ^ !b) & HIGH)
}

/// Adds byte by byte, without a carry between bytes.
fn bytewise_sum(difference: u64, previous: i64) -> i64 {
    let b = previous.cast_unsigned();
    (((difference & !HIGH) + (b & !HIGH)) ^ ((difference ^ b) & HIGH)).cast_signed()
}

fn put_planes(out: &mut Vec<u8>, values: &[u64]) {
    let used = values.iter().fold(0, |all, value| all | value);
    let width = significant(used).div_ceil(8);
    out.push(low_byte(width));
    for plane in 0..width {
        out.extend(values.iter().map(|value| low_byte(value >> (8 * plane))));
    }
}

fn planes(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, CodecError> {
    let width = reader.byte()?;
    if width > 8 {
        return Err(CodecError::Malformed("numbers of more than eight bytes"));
    }
    let mut values = vec![0; count];
    for plane in 0..u32::from(width) {
        let bytes = reader.take(count)?;
        for (value, byte) in values.iter_mut().zip(bytes) {
            *value |= u64::from(*byte) << (8 * plane);
        }
    }
    Ok(values)
}
