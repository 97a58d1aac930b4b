//! Points in memory, by series.

use std::collections::HashMap;

use smartem_points::BatchPoint;

use super::catalogue::SeriesNo;
use super::rows::{FieldNo, Rows};

/// Points that are not committed yet.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    rows: HashMap<SeriesNo, Rows, foldhash::fast::RandomState>,
    bytes: usize,
}

/// What a series costs beside its rows.
const SERIES_BYTES: usize = 256;

impl Buffer {
    pub(crate) fn push(&mut self, series: SeriesNo, point: BatchPoint<'_>, fields: &[FieldNo]) {
        let rows = self.rows.entry(series).or_insert_with(|| {
            self.bytes += SERIES_BYTES;
            Rows::default()
        });
        rows.push(point, fields);
        self.bytes += Rows::size_of(point);
    }

    pub(crate) fn rows(&self, series: SeriesNo) -> Option<&Rows> {
        self.rows.get(&series)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All rows, by number of series.
    pub(crate) fn by_series(&self) -> Vec<(SeriesNo, &Rows)> {
        let mut all: Vec<_> = self.rows.iter().map(|(no, rows)| (*no, rows)).collect();
        all.sort_unstable_by_key(|(no, _)| *no);
        all
    }
}
