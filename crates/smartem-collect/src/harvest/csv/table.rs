//! One file as a sequence of samples and bad rows.

use std::io::{self, BufRead};

use smartem_model::StationId;

use super::clock::Clocks;
use super::layout::{Format, Layout};
use super::rows::{Row, Rows, Splitter, delimiter_of};
use crate::harvest::samples::Sample;

/// A file that is open, its header read.
pub(in crate::harvest) struct Table<'a, R> {
    rows: Rows<R>,
    splitter: Splitter,
    layout: Layout<'a>,
    clocks: Clocks,
    /// The first row of a file without a header.
    first: Option<Row>,
}

/// A file of which no row can be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::harvest) enum TableError {
    /// The file itself cannot be read, or not to its end.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The header is not that of the settings.
    #[error("{0}")]
    NotUnderstood(String),
}

/// What a row gave.
pub(in crate::harvest) enum Entry {
    /// A sample of a station.
    Sample(StationId, Sample),
    /// A row without any value.
    Empty,
    /// A row that is to be set aside: why, and its text.
    Bad(String, Vec<u8>),
}

impl<'a, R: BufRead> Table<'a, R> {
    /// Reads the header; `None` when there is nothing in the file at all.
    pub(in crate::harvest) fn open(
        input: R,
        format: &'a Format,
        file: &str,
    ) -> Result<Option<Self>, TableError> {
        let mut rows = Rows::new(input);
        let Some(first) = rows.next()? else {
            return Ok(None);
        };
        if let Some(fault) = first.fault {
            return Err(TableError::NotUnderstood(format!(
                "the first line: {fault}"
            )));
        }
        let delimiter = format.delimiter;
        let delimiter = delimiter.unwrap_or_else(|| delimiter_of(&first.text));
        let mut splitter = Splitter::new(delimiter);
        let (header, first) = match format.header() {
            Some(header) => (header.clone(), Some(first)),
            None => (splitter.fields(&first.text), None),
        };
        Ok(Some(Self {
            layout: Layout::new(format, file, header).map_err(TableError::NotUnderstood)?,
            rows,
            splitter,
            clocks: Clocks::default(),
            first,
        }))
    }

    /// The next row and the line on which it begins; `None` at the end.
    pub(in crate::harvest) fn next(&mut self) -> io::Result<Option<(u64, Entry)>> {
        let row = match self.first.take() {
            Some(row) => row,
            None => match self.rows.next()? {
                Some(row) => row,
                None => return Ok(None),
            },
        };
        let read = if let Some(fault) = row.fault {
            Err(fault.to_owned())
        } else {
            let fields = self.splitter.fields(&row.text);
            self.layout.read(&fields, &mut self.clocks)
        };
        let entry = match read {
            Ok(Some((station, sample))) => Entry::Sample(station, sample),
            Ok(None) => Entry::Empty,
            Err(detail) => Entry::Bad(detail, row.text),
        };
        Ok(Some((row.line, entry)))
    }

    /// Passes over a row that was read before; false at the end.
    pub(in crate::harvest) fn skip(&mut self) -> io::Result<bool> {
        if self.layout.needs_clocks() {
            // What comes later is told by the rows before it.
            return Ok(self.next()?.is_some());
        }
        Ok(self.first.take().is_some() || self.rows.next()?.is_some())
    }
}
