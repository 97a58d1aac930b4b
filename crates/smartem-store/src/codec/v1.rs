//! Reading payloads of form 1, which older stores hold; nothing writes them any more.
//!
//! A payload is a version byte, the length of the body, and the body compressed with zstd. The
//! body is the envelope, the number of rows, the rows that are no objects, and the samples column
//! by column, their numbers as byte planes: all lowest bytes, then all second bytes, and so on.

use smartem_model::raw::{Column, RawRecord};

use super::bytes::{Reader, text, unzigzag};
use super::cells::{AS_BITS, Cells, Counts, MAX_DECIMALS, read_times, unscaled, write_hex};
use super::compression::decompress;
use super::{CodecError, MAX_BODY, Reads, cells, oddments, with_samples, without_samples};

/// The body behind the version byte.
pub(super) fn body_of(reader: &mut Reader<'_>) -> Result<Vec<u8>, CodecError> {
    let length = reader.length()?;
    if length > MAX_BODY {
        return Err(CodecError::TooLarge);
    }
    decompress(reader.rest(), length)
}

/// The record of a body, with the columns that are read.
pub(super) fn record(body: &[u8], reads: Reads<'_>) -> Result<RawRecord, CodecError> {
    let mut reader = Reader::new(body);
    let record = without_samples(reader.text()?)?;
    let rows = reader.length()?;
    let column_count = reader.length()?;
    cells(rows, column_count)?;
    let oddments = oddments(&mut reader)?;
    let mut lists = Cells::default();
    let mut columns = Vec::new();
    for _ in 0..column_count {
        let name = reader.text()?;
        let counts = lists.begin(&mut reader, rows)?;
        if reads(&record.station_type, name) {
            columns.push(column(&mut reader, name, rows, &counts, &mut lists)?);
        } else {
            skip(&mut reader, &counts)?;
        }
    }
    if !reader.is_at_end() {
        return Err(CodecError::Malformed("more than a record"));
    }
    with_samples(record, rows, columns, oddments)
}

fn column(
    reader: &mut Reader<'_>,
    name: &str,
    rows: usize,
    counts: &Counts,
    lists: &mut Cells,
) -> Result<Column, CodecError> {
    if counts.integers > 0 {
        lists.integers = integers(reader, counts.integers)?;
    }
    if counts.reals > 0 {
        lists.reals = reals(reader, counts.reals)?;
    }
    if counts.times > 0 {
        let zeros = reader.byte()?;
        let numbers = integers(reader, counts.times)?;
        read_times(&mut lists.times, numbers.into_iter(), zeros)?;
    }
    if counts.texts > 0 {
        texts(reader, counts.texts, lists)?;
    }
    lists.column(name, rows)
}

/// Passes over the lists of a column.
fn skip(reader: &mut Reader<'_>, counts: &Counts) -> Result<(), CodecError> {
    if counts.integers > 0 {
        reader.byte()?;
        skip_planes(reader, counts.integers)?;
    }
    if counts.reals > 0 {
        if reader.byte()? != AS_BITS {
            reader.byte()?;
        }
        skip_planes(reader, counts.reals)?;
    }
    if counts.times > 0 {
        reader.take(2)?;
        skip_planes(reader, counts.times)?;
    }
    if counts.texts > 0 {
        let of_any_length = reader.byte()? == 0;
        let mut total = 0_usize;
        if of_any_length {
            for _ in 0..counts.texts {
                let length = reader.length()?;
                total = total.checked_add(length).ok_or(CodecError::Truncated)?;
            }
        } else {
            let planes = reader.length()? / 2;
            let length = planes.checked_mul(counts.texts);
            total = length.ok_or(CodecError::Truncated)?;
        }
        reader.take(total)?;
    }
    Ok(())
}

fn skip_planes(reader: &mut Reader<'_>, count: usize) -> Result<(), CodecError> {
    let width = usize::from(reader.byte()?);
    reader.take(width * count)?;
    Ok(())
}

fn integers(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, CodecError> {
    let transform = reader.byte()?;
    if transform > 3 {
        return Err(CodecError::Malformed("an unknown transform of numbers"));
    }
    let encoded = planes(reader, count)?;
    let (mut previous, mut difference) = (0_i64, 0_i64);
    let undo = |code: u64| {
        let value = match transform {
            0 => unzigzag(code),
            1 => previous.wrapping_add(unzigzag(code)),
            2 => previous.wrapping_add(difference.wrapping_add(unzigzag(code))),
            _ => bytewise_sum(code, previous.cast_unsigned()).cast_signed(),
        };
        difference = value.wrapping_sub(previous);
        previous = value;
        value
    };
    Ok(encoded.into_iter().map(undo).collect())
}

fn reals(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f64>, CodecError> {
    let decimals = reader.byte()?;
    if decimals == AS_BITS {
        let mut previous = 0;
        let bits = planes(reader, count)?.into_iter().map(|code| {
            previous ^= code;
            f64::from_bits(previous)
        });
        return Ok(bits.collect());
    }
    if decimals > MAX_DECIMALS {
        return Err(CodecError::Malformed("decimals of too many places"));
    }
    let scaled = integers(reader, count)?.into_iter();
    Ok(scaled.map(|integer| unscaled(integer, decimals)).collect())
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

/// Texts with their lengths, or of equally many hexadecimal digits, two a byte.
fn texts(reader: &mut Reader<'_>, count: usize, lists: &mut Cells) -> Result<(), CodecError> {
    match reader.byte()? {
        0 => {
            let mut total = 0_usize;
            for _ in 0..count {
                let length = reader.length()?;
                total = total.checked_add(length).ok_or(CodecError::Truncated)?;
                lists.lengths.push(length);
            }
            lists.texts.push_str(text(reader.take(total)?)?);
        }
        1 => {
            let length = reader.length()?;
            if length == 0 || length % 2 != 0 {
                return Err(CodecError::Malformed("an odd number of hexadecimal digits"));
            }
            let planes: Vec<&[u8]> = (0..length / 2)
                .map(|_| reader.take(count))
                .collect::<Result<_, _>>()?;
            let mut all = vec![0; length * count];
            let mut bytes = vec![0_u8; planes.len()];
            for (row, digits) in all.chunks_exact_mut(length).enumerate() {
                for (byte, plane) in bytes.iter_mut().zip(&planes) {
                    *byte = byte.wrapping_add(plane[row]);
                }
                write_hex(digits, &bytes);
            }
            lists.texts.push_str(text(&all)?);
            lists.lengths.resize(count, length);
        }
        _ => return Err(CodecError::Malformed("an unknown kind of texts")),
    }
    Ok(())
}

/// Adds byte by byte, without a carry between bytes.
fn bytewise_sum(a: u64, b: u64) -> u64 {
    /// The highest bit of each byte.
    const HIGH: u64 = 0x8080_8080_8080_8080;
    ((a & !HIGH) + (b & !HIGH)) ^ ((a ^ b) & HIGH)
}
