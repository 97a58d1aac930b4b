//! Rows of one series as bytes: a block.
//!
//! A version byte, a checksum, the number of rows, the times, and the columns, each with its field,
//! type and length, so that one can be read without the others.

use smartem_points::FieldType;

use super::bytes::{Reader, put_text, put_varint};
use super::cells::read_times;
use super::column::{put_reals, put_times, read_reals};
use super::compression::{compress, decompress};
use super::numbers::{Numbers, put_numbers};
use super::{CodecError, MAX_CELLS, MAX_TEXTS};
use crate::points::entry::{type_number, type_of};
use crate::points::rows::{FieldColumn, FieldNo, Rows};

const VERSION: u8 = 1;
/// Beside the type of a column: some rows have no value.
const SPARSE: u8 = 0x10;
/// Shorter texts are not worth compressing.
const COMPRESSIBLE: usize = 128;

/// The rows, which are in order of time, as bytes.
pub(crate) fn encode_block(rows: &Rows) -> Result<Vec<u8>, CodecError> {
    if rows.len().saturating_mul(rows.columns.len().max(1)) > MAX_CELLS {
        return Err(CodecError::TooLarge);
    }
    let mut body = Vec::with_capacity(64 + rows.len() * rows.columns.len());
    put_varint(&mut body, rows.len() as u64);
    let mut part = Vec::new();
    put_times(&mut part, &rows.times);
    put_part(&mut body, &part);
    let filled = rows.columns.iter().filter(|it| !it.bits.is_empty());
    put_varint(&mut body, filled.clone().count() as u64);
    for column in filled {
        part.clear();
        let is_sparse = put_presence(&mut part, column, rows.len());
        put_values(&mut part, column)?;
        put_varint(&mut body, u64::from(column.field));
        body.push(type_number(column.field_type) | if is_sparse { SPARSE } else { 0 });
        put_part(&mut body, &part);
    }
    let mut block = Vec::with_capacity(body.len() + 5);
    block.push(VERSION);
    block.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    block.extend_from_slice(&body);
    Ok(block)
}

/// The rows of a block with the columns of the fields that are `wanted`.
pub(crate) fn decode_block(
    block: &[u8],
    wanted: &dyn Fn(FieldNo) -> bool,
) -> Result<Rows, CodecError> {
    let mut reader = Reader::new(block);
    match reader.byte()? {
        VERSION => {}
        other => return Err(CodecError::UnknownVersion(other)),
    }
    let sum = reader.take(4)?;
    if crc32fast::hash(reader.rest()).to_le_bytes() != *sum {
        return Err(CodecError::Malformed("bytes that are not what was stored"));
    }
    let count = reader.length()?;
    if count > MAX_CELLS {
        return Err(CodecError::TooLarge);
    }
    let mut numbers = Numbers::default();
    let mut times = Vec::new();
    let mut part = part(&mut reader)?;
    let zeros = part.byte()?;
    let counts = numbers.read(&mut part, count)?;
    read_times(&mut times, counts.iter().map(|it| it.cast_signed()), zeros)?;
    // Blocks are written in order.
    let mut rows = Rows::of_times(times);
    for _ in 0..reader.length()? {
        let field = FieldNo::try_from(reader.varint()?);
        let field = field.map_err(|_| CodecError::Malformed("a field number out of range"))?;
        let kind = reader.byte()?;
        let mut part = self::part(&mut reader)?;
        if wanted(field) {
            let field_type = type_of(kind & !SPARSE)?;
            let mut column = FieldColumn::new(field, field_type);
            let values = if kind & SPARSE == 0 {
                count
            } else {
                read_presence(&mut part, &mut column, count)?
            };
            read_values(&mut part, &mut column, values, &mut numbers)?;
            spread(&mut column);
            rows.columns.push(column);
        }
    }
    if !reader.is_at_end() {
        return Err(CodecError::Malformed("more than a block"));
    }
    Ok(rows)
}

fn put_part(out: &mut Vec<u8>, part: &[u8]) {
    put_varint(out, part.len() as u64);
    out.extend_from_slice(part);
}

fn part<'a>(reader: &mut Reader<'a>) -> Result<Reader<'a>, CodecError> {
    let length = reader.length()?;
    Ok(Reader::new(reader.take(length)?))
}

/// Appends how many rows in turn have a value and have none, when not all have one.
fn put_presence(out: &mut Vec<u8>, column: &FieldColumn, rows: usize) -> bool {
    if column.present.is_none() && column.bits.len() == rows {
        return false;
    }
    let mut runs = Vec::new();
    let (mut is_present, mut length) = (true, 0_u64);
    for row in 0..rows {
        if column.has(row) != is_present {
            runs.push(length);
            (is_present, length) = (!is_present, 0);
        }
        length += 1;
    }
    runs.push(length);
    put_varint(out, runs.len() as u64);
    for run in runs {
        put_varint(out, run);
    }
    true
}

/// Reads which rows have a value; how many that are.
fn read_presence(
    reader: &mut Reader<'_>,
    column: &mut FieldColumn,
    rows: usize,
) -> Result<usize, CodecError> {
    let mut present = Vec::new();
    let mut values = 0;
    for run in 0..reader.length()? {
        let length = reader.length()?;
        if length > rows - present.len() {
            return Err(CodecError::Malformed("more cells than rows"));
        }
        let is_present = run % 2 == 0;
        present.resize(present.len() + length, is_present);
        values += if is_present { length } else { 0 };
    }
    if present.len() != rows {
        return Err(CodecError::Malformed("fewer cells than rows"));
    }
    column.present = Some(present);
    Ok(values)
}

fn put_values(out: &mut Vec<u8>, column: &FieldColumn) -> Result<(), CodecError> {
    let bits: Vec<u64> = if column.present.is_none() {
        column.bits.clone()
    } else {
        let rows = (0..column.bits.len()).filter(|row| column.has(*row));
        rows.map(|row| column.bits[row]).collect()
    };
    match column.field_type {
        FieldType::Float => {
            let reals: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
            put_reals(out, &reals);
        }
        FieldType::Integer | FieldType::Unsigned | FieldType::Boolean => {
            let integers: Vec<i64> = bits.into_iter().map(u64::cast_signed).collect();
            put_numbers(out, &integers);
        }
        FieldType::String => put_strings(out, column, &bits)?,
    }
    Ok(())
}

fn read_values(
    reader: &mut Reader<'_>,
    column: &mut FieldColumn,
    values: usize,
    numbers: &mut Numbers,
) -> Result<(), CodecError> {
    match column.field_type {
        FieldType::Float => {
            let mut reals = Vec::with_capacity(values);
            read_reals(reader, values, numbers, &mut reals)?;
            column.bits = reals.into_iter().map(f64::to_bits).collect();
        }
        FieldType::Integer | FieldType::Unsigned | FieldType::Boolean => {
            column.bits = numbers.read(reader, values)?.to_vec();
        }
        FieldType::String => read_strings(reader, column, values, numbers)?,
    }
    Ok(())
}

/// The different texts, compressed where that pays, then the place of each value among them.
fn put_strings(out: &mut Vec<u8>, column: &FieldColumn, bits: &[u64]) -> Result<(), CodecError> {
    let mut known = std::collections::HashMap::new();
    let mut texts = Vec::new();
    let mut places = Vec::with_capacity(bits.len());
    for bits in bits {
        let text = usize::try_from(*bits)
            .ok()
            .and_then(|at| column.texts.get(at));
        let text = text.ok_or(CodecError::Malformed("a text that is not listed"))?;
        let next = i64::try_from(known.len()).unwrap_or(i64::MAX);
        places.push(*known.entry(text).or_insert_with(|| {
            put_text(&mut texts, text);
            next
        }));
    }
    if texts.len() > MAX_TEXTS {
        return Err(CodecError::TooLarge);
    }
    put_varint(out, known.len() as u64);
    let smaller = if texts.len() < COMPRESSIBLE {
        None
    } else {
        Some(compress(&texts)?).filter(|smaller| smaller.len() < texts.len())
    };
    put_varint(
        out,
        if smaller.is_some() {
            texts.len() as u64
        } else {
            0
        },
    );
    put_part(out, smaller.as_ref().unwrap_or(&texts));
    put_numbers(out, &places);
    Ok(())
}

fn read_strings(
    reader: &mut Reader<'_>,
    column: &mut FieldColumn,
    values: usize,
    numbers: &mut Numbers,
) -> Result<(), CodecError> {
    let different = reader.length()?;
    if different > values {
        return Err(CodecError::Malformed("more different texts than texts"));
    }
    let plain_length = reader.length()?;
    if plain_length > MAX_TEXTS {
        return Err(CodecError::TooLarge);
    }
    let stored = part(reader)?;
    let plain = match plain_length {
        0 => stored.rest().to_vec(),
        length => decompress(stored.rest(), length)?,
    };
    let mut texts = Reader::new(&plain);
    for _ in 0..different {
        column.texts.push(texts.text()?.into());
    }
    column.bits = numbers.read(reader, values)?.to_vec();
    if column.bits.iter().any(|bits| *bits >= different as u64) {
        return Err(CodecError::Malformed("a text that is not listed"));
    }
    Ok(())
}

/// Gives the values of a sparse column their rows.
fn spread(column: &mut FieldColumn) {
    let Some(present) = &column.present else {
        return;
    };
    let mut values = std::mem::take(&mut column.bits).into_iter();
    let spread = present
        .iter()
        .map(|is| if *is { values.next().unwrap_or(0) } else { 0 });
    column.bits = spread.collect();
}
