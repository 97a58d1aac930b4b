//! Lists of small numbers, each in as many bits as most of them need.
//!
//! The few that need more are exceptions: their low bits stand in the list like those of all, the
//! others behind it with their place. So one outlier does not make the whole list wide, and a list
//! is read without a branch for each number.

use super::CodecError;
use super::bytes::{Reader, low_byte, put_varint};

/// A number that begins anywhere within a byte must end within the eight bytes from there.
const WIDEST: u32 = 56;

/// How many significant bits the numbers of a list have.
pub(super) struct Widths {
    counts: [u32; 65],
    total: usize,
}

impl Widths {
    pub(super) fn of(numbers: &[u64]) -> Self {
        // Four counts taken by turns: equal numbers need not wait for each other.
        let mut counts = [[0_u32; 65]; 4];
        for numbers in numbers.chunks(4) {
            for (counts, number) in counts.iter_mut().zip(numbers) {
                counts[significant(*number) as usize] += 1;
            }
        }
        let [mut all, others @ ..] = counts;
        for counts in others {
            for (count, more) in all.iter_mut().zip(counts) {
                *count += more;
            }
        }
        Self {
            counts: all,
            total: numbers.len(),
        }
    }

    /// The width that makes the list smallest, and how many bytes it takes then.
    pub(super) fn best(&self) -> (u32, usize) {
        let largest = (0..65).rev().find(|&bits| self.counts[bits] > 0);
        let largest = u32::try_from(largest.unwrap_or(0)).unwrap_or(u64::BITS);
        let widths = (0..=largest.min(WIDEST)).chain((largest > WIDEST).then_some(u64::BITS));
        let sized = widths.map(|width| (width, self.size(width, largest)));
        sized.min_by_key(|(_, size)| *size).unwrap_or_default()
    }

    /// The size at a width, when none has more than `largest` bits.
    fn size(&self, width: u32, largest: u32) -> usize {
        let beyond = (width + 1..=largest).map(|bits| {
            let each = 1 + (bits - width).div_ceil(7);
            self.counts[bits as usize] as usize * each as usize
        });
        2 + packed_length(self.total, width) + beyond.sum::<usize>()
    }
}

pub(super) fn significant(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

fn packed_length(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

fn mask(width: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0)
}

/// Appends numbers, not their count.
pub(super) fn put_packed(out: &mut Vec<u8>, numbers: &[u64]) {
    let (width, _) = Widths::of(numbers).best();
    let widest = mask(width);
    let exceptions = numbers.iter().filter(|&&number| number > widest).count();
    out.push(low_byte(width.into()));
    put_varint(out, exceptions as u64);
    put_bits(out, numbers, width);
    if exceptions == 0 {
        return;
    }
    let mut before = 0;
    for (at, &number) in numbers.iter().enumerate() {
        if number > widest {
            put_varint(out, (at - before) as u64);
            put_varint(out, number >> width);
            before = at;
        }
    }
}

/// Appends the lowest `width` bits of each number.
pub(super) fn put_bits(out: &mut Vec<u8>, numbers: &[u64], width: u32) {
    let mask = mask(width);
    let (mut pending, mut bits) = (0_u128, 0);
    for number in numbers {
        pending |= u128::from(number & mask) << bits;
        bits += width;
        if bits >= u64::BITS {
            out.extend_from_slice(&pending.to_le_bytes()[..8]);
            pending >>= u64::BITS;
            bits -= u64::BITS;
        }
    }
    out.extend_from_slice(&pending.to_le_bytes()[..bits.div_ceil(8) as usize]);
}

/// Reads as many numbers as `numbers` has room for.
pub(super) fn packed(reader: &mut Reader<'_>, numbers: &mut [u64]) -> Result<(), CodecError> {
    let width = u32::from(reader.byte()?);
    let exceptions = reader.length()?;
    read_bits(reader, numbers, width)?;
    let mut at = 0_usize;
    for _ in 0..exceptions {
        at = at.saturating_add(reader.length()?);
        let high = reader.varint()?;
        let number = numbers.get_mut(at);
        let number = number.ok_or(CodecError::Malformed("an exception beyond its list"))?;
        *number |= high.checked_shl(width).unwrap_or(0);
    }
    Ok(())
}

/// Reads as many numbers of `width` bits as `numbers` has room for.
pub(super) fn read_bits(
    reader: &mut Reader<'_>,
    numbers: &mut [u64],
    width: u32,
) -> Result<(), CodecError> {
    if width > WIDEST && width != u64::BITS {
        return Err(CodecError::Malformed("numbers of an odd width"));
    }
    let bytes = reader.take(packed_length(numbers.len(), width))?;
    match width {
        0 => numbers.fill(0),
        1..=8 => unpack_short(bytes, numbers, width),
        _ => unpack(bytes, numbers, width),
    }
    Ok(())
}

/// Numbers of up to eight bits: eight of them are in eight bytes.
fn unpack_short(bytes: &[u8], numbers: &mut [u64], width: u32) {
    let mask = mask(width);
    for (at, group) in numbers.chunks_mut(8).enumerate() {
        let word = eight_bytes(bytes, at * width as usize);
        let mut shift = 0;
        for number in group {
            *number = (word >> shift) & mask;
            shift += width;
        }
    }
}

fn unpack(bytes: &[u8], numbers: &mut [u64], width: u32) {
    let mask = mask(width);
    let mut bit = 0;
    for number in numbers {
        *number = (eight_bytes(bytes, bit / 8) >> (bit % 8)) & mask;
        bit += width as usize;
    }
}

/// The eight bytes from a place on; zeros stand for those beyond the end.
#[inline]
fn eight_bytes(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(whole) = rest.first_chunk() {
        return u64::from_le_bytes(*whole);
    }
    let mut whole = [0; 8];
    whole[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(whole)
}
