//! zstd, with what it needs made once for each thread.

use std::cell::RefCell;
use std::io::Read;

use zstd::bulk::{Compressor, Decompressor};
use zstd::stream::read::Decoder;

use super::CodecError;

/// A longer search gains little: on a real hour in form 1 level 3 was as large as level 1 and took
/// half as long again, level 9 was 1 % smaller and took eight times as long.
const LEVEL: i32 = 1;
/// Up to here memory is taken as the length announces, beyond as data comes.
const TRUSTED: usize = 1 << 20;

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
    let bytes = if length <= TRUSTED {
        at_once(compressed, length)
    } else {
        as_it_comes(compressed, length)
    };
    let bytes = bytes.map_err(CodecError::Compression)?;
    if bytes.len() == length {
        Ok(bytes)
    } else {
        Err(CodecError::Truncated)
    }
}

fn at_once(compressed: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new()?),
        };
        decompressor.decompress(compressed, length)
    })
}

fn as_it_comes(compressed: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(TRUSTED);
    let decoder = Decoder::with_buffer(compressed)?;
    decoder.take(length as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
