//! Raw records as bytes: compact, exact, and read back without parsing any text but the envelope.
//!
//! A payload of form 2 is a version byte, the head (the envelope and the rows that are no objects),
//! the number of rows, the names of the columns, the length of each, and the columns one behind the
//! other. Each is small by itself, so that one can be read without the others; only texts that
//! do not repeat are compressed with zstd. Damaged bytes give an error; they never cost more memory
//! than a record may hold.

mod block;
pub(crate) mod bytes;
mod cells;
mod column;
mod compression;
mod frame;
mod numbers;
mod pack;
#[cfg(test)]
pub(crate) mod tests;
mod v1;

use smartem_model::raw::{Column, RawRecord, Samples};

pub(crate) use block::{decode_block, encode_block};
use bytes::{Reader, put_text, put_varint};
use column::{ColumnReader, put_column};
pub(crate) use compression::{compress, decompress};
use frame::{Frame, Part, assemble, smaller};

/// The first byte of a payload.
const VERSION: u8 = 2;
/// Read, but no longer written.
const VERSION_1: u8 = 1;
/// The most cells (rows times columns) of a record: some thousand times an hour of a Josene.
const MAX_CELLS: usize = 1 << 24;
/// The largest body of a record, in bytes.
const MAX_BODY: usize = 1 << 30;
/// The most bytes of text in a column.
const MAX_TEXTS: usize = 1 << 28;

/// Why bytes are no record, or a record does not fit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end too early.
    #[error("the payload is cut short")]
    Truncated,
    /// Written by a newer program, or no payload at all.
    #[error("payload format {0} is unknown")]
    UnknownVersion(u8),
    /// Something that no encoder writes.
    #[error("the payload holds {0}")]
    Malformed(&'static str),
    /// The compressed part cannot be read or written.
    #[error("the payload cannot be (de)compressed")]
    Compression(#[source] std::io::Error),
    /// More than 2^24 cells, 256 MiB of text in a column, or 1 GiB in all.
    #[error("the record is too large")]
    TooLarge,
    /// A time beyond 64 bits of nanoseconds.
    #[error("the record holds a time out of range")]
    TimeOutOfRange,
    /// The envelope is not that of a record.
    #[error("the envelope is not that of a record: {0}")]
    Envelope(smartem_model::Quarantine),
}

/// Whether a key of the samples of a station type is read.
type Reads<'a> = &'a dyn Fn(&str, &str) -> bool;

/// A record as bytes, and the same before compression.
pub(crate) struct Encoded {
    /// What is stored.
    pub(crate) payload: Vec<u8>,
    /// What the content hash is made of: it does not depend on the compressor.
    pub(crate) body: Vec<u8>,
}

/// The bytes of a record; [`decode_record`] gives back an equal one.
pub fn encode_record(record: &RawRecord) -> Result<Vec<u8>, CodecError> {
    Ok(encode(record)?.payload)
}

/// The record of these bytes.
pub fn decode_record(payload: &[u8]) -> Result<RawRecord, CodecError> {
    decode_record_for(payload, &|_, _| true)
}

/// The record of these bytes with only the columns that are read, which is faster.
///
/// `reads` is given the station type of the record and the key of each column. All rows are there,
/// also those without any of these keys. A column that is not read is not looked at: damage within
/// it goes unnoticed.
pub fn decode_record_for(
    payload: &[u8],
    reads: &dyn Fn(&str, &str) -> bool,
) -> Result<RawRecord, CodecError> {
    let mut reader = Reader::new(payload);
    match reader.byte()? {
        VERSION => record(reader, reads),
        VERSION_1 => v1::record(&v1::body_of(&mut reader)?, reads),
        other => Err(CodecError::UnknownVersion(other)),
    }
}

pub(crate) fn encode(record: &RawRecord) -> Result<Encoded, CodecError> {
    let samples = &record.samples;
    cells(samples.len(), samples.columns().len())?;
    let mut names = Vec::new();
    let mut parts = vec![(head(record), true)];
    for column in samples.columns() {
        put_text(&mut names, column.name());
        let mut bytes = Vec::with_capacity(512);
        let has_texts = put_column(&mut bytes, column)?;
        parts.push((bytes, has_texts));
    }
    let size = names.len() + parts.iter().map(|(bytes, _)| bytes.len()).sum::<usize>();
    if size > MAX_BODY {
        return Err(CodecError::TooLarge);
    }
    let compressed = parts
        .iter()
        .map(|(bytes, may_pay)| if *may_pay { smaller(bytes) } else { Ok(None) })
        .collect::<Result<Vec<_>, _>>()?;
    let put_together = |parts: &[Part<'_>]| {
        let (head, columns) = (parts[0], &parts[1..]);
        assemble(head, samples.len(), &names, columns)
    };
    let plain = parts.iter().map(|(bytes, _)| Part::plain(bytes));
    let shorter = parts.iter().zip(&compressed);
    let shorter = shorter.map(|((bytes, _), smaller)| Part::shorter(bytes, smaller.as_deref()));
    Ok(Encoded {
        payload: put_together(&shorter.collect::<Vec<_>>()),
        body: put_together(&plain.collect::<Vec<_>>()),
    })
}

/// A payload of form 1 in the present form; `None` for one that has it already.
pub(crate) fn renewed(payload: &[u8]) -> Result<Option<Encoded>, CodecError> {
    match payload.first() {
        Some(&VERSION_1) => Ok(Some(encode(&decode_record(payload)?)?)),
        _ => Ok(None),
    }
}

/// The body of a payload, as it was before compression.
pub(crate) fn body_of(payload: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut reader = Reader::new(payload);
    match reader.byte()? {
        VERSION => Frame::read(reader)?.plain(),
        VERSION_1 => v1::body_of(&mut reader),
        other => Err(CodecError::UnknownVersion(other)),
    }
}

/// The envelope and the rows that are no objects.
fn head(record: &RawRecord) -> Vec<u8> {
    let oddments = record.samples.oddments();
    let mut head = Vec::with_capacity(record.envelope().len() + 16);
    put_text(&mut head, record.envelope());
    put_varint(&mut head, oddments.len() as u64);
    for (row, json) in oddments {
        put_varint(&mut head, u64::from(*row));
        put_text(&mut head, json);
    }
    head
}

fn record(reader: Reader<'_>, reads: Reads<'_>) -> Result<RawRecord, CodecError> {
    let frame = Frame::read(reader)?;
    cells(frame.rows, frame.column_count)?;
    let head = frame.head.bytes()?;
    let mut head = Reader::new(&head);
    let record = without_samples(head.text()?)?;
    let oddments = oddments(&mut head)?;
    if !head.is_at_end() {
        return Err(CodecError::Malformed("more than a head"));
    }
    let mut columns = Vec::new();
    let mut column_reader = ColumnReader::default();
    frame.for_each_column(|name, part| {
        if reads(&record.station_type, name) {
            let bytes = part.bytes()?;
            let mut reader = Reader::new(&bytes);
            columns.push(column_reader.column(name, &mut reader, frame.rows)?);
        }
        Ok(())
    })?;
    with_samples(record, frame.rows, columns, oddments)
}

/// The record of an envelope, for its samples to come.
fn without_samples(envelope: &str) -> Result<RawRecord, CodecError> {
    RawRecord::from_parts(envelope, Samples::default(), &|_| true).map_err(CodecError::Envelope)
}

fn with_samples(
    mut record: RawRecord,
    rows: usize,
    columns: Vec<Column>,
    oddments: Oddments,
) -> Result<RawRecord, CodecError> {
    record.samples = Samples::from_columns(rows, columns, oddments)
        .ok_or(CodecError::Malformed("columns of different lengths"))?;
    Ok(record)
}

/// Rows that are no objects, as JSON text.
type Oddments = Vec<(u32, Box<str>)>;

fn oddments(reader: &mut Reader<'_>) -> Result<Oddments, CodecError> {
    let mut oddments = Vec::new();
    for _ in 0..reader.length()? {
        let row = u32::try_from(reader.varint()?);
        let row = row.map_err(|_| CodecError::Malformed("a row number out of range"))?;
        oddments.push((row, reader.text()?.into()));
    }
    Ok(oddments)
}

/// The number of cells, within its limit; rows without columns count as one cell each.
fn cells(rows: usize, columns: usize) -> Result<usize, CodecError> {
    rows.checked_mul(columns.max(1))
        .filter(|cells| *cells <= MAX_CELLS)
        .ok_or(CodecError::TooLarge)
}
