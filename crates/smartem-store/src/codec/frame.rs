//! How the parts of a payload of form 2 lie: the head, the number of rows, the names of the columns,
//! the length of each, and the columns one behind the other.
//!
//! A length is doubled; one more says that the part is compressed with zstd.

use std::borrow::Cow;

use super::bytes::{Reader, put_varint};
use super::compression::{compress, decompress};
use super::{CodecError, MAX_BODY, VERSION};

/// Shorter parts are not worth compressing.
const COMPRESSIBLE: usize = 128;

/// A part as it is stored.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    bytes: &'a [u8],
    is_compressed: bool,
}

/// A payload, its parts not looked into yet.
pub(super) struct Frame<'a> {
    pub(super) head: Part<'a>,
    pub(super) rows: usize,
    pub(super) column_count: usize,
    names: &'a [u8],
    lengths: &'a [u8],
    columns: &'a [u8],
}

/// The length of a part before compression and the part compressed, when that pays.
pub(super) fn smaller(plain: &[u8]) -> Result<Option<Vec<u8>>, CodecError> {
    if plain.len() < COMPRESSIBLE {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    put_varint(&mut bytes, plain.len() as u64);
    bytes.extend(compress(plain)?);
    Ok((bytes.len() < plain.len() / 10 * 9).then_some(bytes))
}

impl<'a> Part<'a> {
    pub(super) fn plain(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            is_compressed: false,
        }
    }

    /// A part, or what [`smaller`] made of it.
    pub(super) fn shorter(plain: &'a [u8], compressed: Option<&'a [u8]>) -> Self {
        match compressed {
            Some(bytes) => Self {
                bytes,
                is_compressed: true,
            },
            None => Self::plain(plain),
        }
    }

    /// The part before compression.
    pub(super) fn bytes(&self) -> Result<Cow<'a, [u8]>, CodecError> {
        if !self.is_compressed {
            return Ok(Cow::Borrowed(self.bytes));
        }
        let mut reader = Reader::new(self.bytes);
        let length = reader.length()?;
        if length > MAX_BODY {
            return Err(CodecError::TooLarge);
        }
        Ok(Cow::Owned(decompress(reader.rest(), length)?))
    }

    fn put_length(&self, out: &mut Vec<u8>) {
        let length = self.bytes.len() as u64;
        put_varint(out, length << 1 | u64::from(self.is_compressed));
    }

    fn read(length: u64, reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        let count = usize::try_from(length >> 1).map_err(|_| CodecError::Truncated)?;
        Ok(Self {
            bytes: reader.take(count)?,
            is_compressed: length & 1 == 1,
        })
    }
}

/// Puts a payload together.
pub(super) fn assemble(head: Part<'_>, rows: usize, names: &[u8], columns: &[Part<'_>]) -> Vec<u8> {
    let sizes = columns.iter().map(|part| part.bytes.len());
    let size = head.bytes.len() + names.len() + sizes.sum::<usize>();
    let mut out = Vec::with_capacity(size + 3 * columns.len() + 32);
    out.push(VERSION);
    head.put_length(&mut out);
    out.extend_from_slice(head.bytes);
    put_varint(&mut out, rows as u64);
    put_varint(&mut out, columns.len() as u64);
    put_varint(&mut out, names.len() as u64);
    out.extend_from_slice(names);
    let mut lengths = Vec::with_capacity(2 * columns.len());
    for part in columns {
        part.put_length(&mut lengths);
    }
    put_varint(&mut out, lengths.len() as u64);
    out.extend_from_slice(&lengths);
    for part in columns {
        out.extend_from_slice(part.bytes);
    }
    out
}

impl<'a> Frame<'a> {
    /// Takes a payload apart, without its version byte.
    pub(super) fn read(mut reader: Reader<'a>) -> Result<Self, CodecError> {
        let head = reader.varint()?;
        let head = Part::read(head, &mut reader)?;
        let rows = reader.length()?;
        let column_count = reader.length()?;
        let names = reader.length()?;
        let names = reader.take(names)?;
        let lengths = reader.length()?;
        let lengths = reader.take(lengths)?;
        Ok(Self {
            head,
            rows,
            column_count,
            names,
            lengths,
            columns: reader.rest(),
        })
    }

    /// Calls `each` with the name and the part of every column.
    pub(super) fn for_each_column(
        &self,
        mut each: impl FnMut(&'a str, Part<'a>) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let mut names = Reader::new(self.names);
        let mut lengths = Reader::new(self.lengths);
        let mut columns = Reader::new(self.columns);
        for _ in 0..self.column_count {
            let name = names.text()?;
            each(name, Part::read(lengths.varint()?, &mut columns)?)?;
        }
        if names.is_at_end() && lengths.is_at_end() && columns.is_at_end() {
            Ok(())
        } else {
            Err(CodecError::Malformed("more than a record"))
        }
    }

    /// The payload as it would be if nothing were compressed.
    pub(super) fn plain(&self) -> Result<Vec<u8>, CodecError> {
        let head = self.head.bytes()?;
        let mut columns = Vec::new();
        self.for_each_column(|_, part| {
            columns.push(part.bytes()?);
            Ok(())
        })?;
        let columns: Vec<_> = columns.iter().map(|bytes| Part::plain(bytes)).collect();
        Ok(assemble(
            Part::plain(&head),
            self.rows,
            self.names,
            &columns,
        ))
    }
}
