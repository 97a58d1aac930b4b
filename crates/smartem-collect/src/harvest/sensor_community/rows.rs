//! The rows of a file of the archive.

use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;
use smartem_model::StationId;

use crate::harvest::csv::{BAD_ROWS, Entry, Format, Table, TableError};
use crate::harvest::samples::Sample;

/// A file of the archive, read.
#[derive(Default)]
pub(super) struct File {
    pub samples: Vec<(StationId, Sample)>,
    /// Line, reason and text.
    pub bad: Vec<(u64, String, Vec<u8>)>,
    pub bad_not_kept: u64,
    pub empty: u64,
}

/// Reads a file, packed or not.
///
/// # Errors
/// When it is no table of this format.
pub(super) fn read(format: &Format, name: &str, body: &[u8]) -> Result<File, TableError> {
    let is_gzip = body.starts_with(b"\x1f\x8b");
    let content: Box<dyn Read + '_> = if is_gzip {
        Box::new(MultiGzDecoder::new(body))
    } else {
        Box::new(body)
    };
    let mut file = File::default();
    let Some(mut table) = Table::open(BufReader::new(content), format, name)? else {
        return Ok(file);
    };
    while let Some((line, entry)) = table.next()? {
        match entry {
            Entry::Sample(station, sample) => file.samples.push((station, sample)),
            Entry::Empty => file.empty += 1,
            Entry::Bad(detail, text) if (file.bad.len() as u64) < BAD_ROWS => {
                file.bad.push((line, detail, text));
            }
            Entry::Bad(..) => file.bad_not_kept += 1,
        }
    }
    Ok(file)
}
