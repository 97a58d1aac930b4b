//! Raw records as bytes: compact, exact, and read back without parsing any text but the envelope.
//!
//! A payload is a version byte, the length of the body, and the body compressed with zstd. The
//! body is the envelope, the number of rows, the rows that are no objects, and the samples column
//! by column. Damaged bytes give an error; they never cost more memory than a small multiple of
//! what a record may hold.

mod bytes;
mod column;
mod numbers;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io::Read;

use smartem_model::raw::{RawRecord, Samples};
use zstd::bulk::Compressor;
use zstd::stream::read::Decoder;

use bytes::{Reader, put_text, put_varint};

/// The first byte of a payload.
const VERSION: u8 = 1;
/// Byte planes leave little for a longer search: on a real hour level 3 is as large as level 1 and
/// takes half as long again, level 9 is 1 % smaller and takes eight times as long.
const LEVEL: i32 = 1;
/// The most cells (rows times columns) of a record: some thousand times an hour of a Josene.
const MAX_CELLS: usize = 1 << 26;
/// The largest body of a record, in bytes.
const MAX_BODY: usize = 1 << 30;

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
    /// More than 2^26 cells or a body of more than 1 GiB.
    #[error("the record is too large")]
    TooLarge,
    /// A time beyond 64 bits of nanoseconds.
    #[error("the record holds a time out of range")]
    TimeOutOfRange,
    /// The envelope is not that of a record.
    #[error("the envelope is not that of a record: {0}")]
    Envelope(smartem_model::Quarantine),
}

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
    let body = body_of(payload)?;
    let mut reader = Reader::new(&body);
    let envelope = reader.text()?;
    let samples = read_samples(&mut reader)?;
    if !reader.is_at_end() {
        return Err(CodecError::Malformed("more than a record"));
    }
    RawRecord::from_parts(envelope, samples, &|_| true).map_err(CodecError::Envelope)
}

pub(crate) fn encode(record: &RawRecord) -> Result<Encoded, CodecError> {
    let samples = &record.samples;
    let cells = cells(samples.len(), samples.columns().len())?;
    let mut body = Vec::with_capacity(512 + record.envelope().len() + 4 * cells);
    put_text(&mut body, record.envelope());
    put_samples(&mut body, samples)?;
    if body.len() > MAX_BODY {
        return Err(CodecError::TooLarge);
    }
    let mut payload = vec![VERSION];
    put_varint(&mut payload, body.len() as u64);
    payload.extend(compress(&body)?);
    Ok(Encoded { payload, body })
}

/// The body of a payload, as it was before compression.
pub(crate) fn body_of(payload: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut reader = Reader::new(payload);
    match reader.byte()? {
        VERSION => {}
        other => return Err(CodecError::UnknownVersion(other)),
    }
    let length = reader.length()?;
    if length > MAX_BODY {
        return Err(CodecError::TooLarge);
    }
    decompress(reader.rest(), length)
}

/// Compresses any bytes at the level of the store.
pub(crate) fn compress(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    thread_local! {
        // Making a compressor takes longer than compressing an hour.
        static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    let compressed = COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(Compressor::new(LEVEL)?),
        };
        compressor.compress(bytes)
    });
    compressed.map_err(CodecError::Compression)
}

/// The bytes that [`compress`] was given, `length` of them.
pub(crate) fn decompress(compressed: &[u8], length: usize) -> Result<Vec<u8>, CodecError> {
    // Memory is taken as data comes, not as the length announces.
    let mut bytes = Vec::with_capacity(length.min(1 << 20));
    Decoder::with_buffer(compressed)
        .and_then(|decoder| decoder.take(length as u64 + 1).read_to_end(&mut bytes))
        .map_err(CodecError::Compression)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(CodecError::Truncated)
    }
}

fn put_samples(out: &mut Vec<u8>, samples: &Samples) -> Result<(), CodecError> {
    put_varint(out, samples.len() as u64);
    put_varint(out, samples.columns().len() as u64);
    put_varint(out, samples.oddments().len() as u64);
    for (row, json) in samples.oddments() {
        put_varint(out, u64::from(*row));
        put_text(out, json);
    }
    for column in samples.columns() {
        column::put_column(out, column)?;
    }
    Ok(())
}

fn read_samples(reader: &mut Reader<'_>) -> Result<Samples, CodecError> {
    let rows = reader.length()?;
    let column_count = reader.length()?;
    cells(rows, column_count)?;
    let mut oddments = Vec::new();
    for _ in 0..reader.length()? {
        let row = u32::try_from(reader.varint()?);
        let row = row.map_err(|_| CodecError::Malformed("a row number out of range"))?;
        oddments.push((row, reader.text()?.into()));
    }
    let mut columns = Vec::new();
    for _ in 0..column_count {
        columns.push(column::column(reader, rows)?);
    }
    Samples::from_columns(rows, columns, oddments)
        .ok_or(CodecError::Malformed("columns of different lengths"))
}

/// The number of cells, within its limit; rows without columns count as one cell each.
fn cells(rows: usize, columns: usize) -> Result<usize, CodecError> {
    rows.checked_mul(columns.max(1))
        .filter(|cells| *cells <= MAX_CELLS)
        .ok_or(CodecError::TooLarge)
}
