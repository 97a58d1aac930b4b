//! From blocks, as a database gives them, to rows day by day.

use std::ops::{ControlFlow, RangeInclusive};

use super::catalogue::SeriesNo;
use super::record::decode;
use super::rows::{FieldNo, Rows};
use crate::StoreError;

/// What rows are wanted of a series.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) series: SeriesNo,
    pub(crate) fields: &'a [FieldNo],
    /// Nanoseconds since 1970.
    pub(crate) range: &'a RangeInclusive<i64>,
}

/// Takes the blocks of one series day by day, those of a day in the order in which they were written, and
/// gives the rows of each day in order.
pub(crate) struct DayByDay<'a> {
    wanted: Wanted<'a>,
    give: &'a mut dyn FnMut(i64, Rows) -> ControlFlow<()>,
    of_day: Option<(i64, Rows)>,
}

impl<'a> DayByDay<'a> {
    pub(crate) fn new(
        wanted: Wanted<'a>,
        give: &'a mut dyn FnMut(i64, Rows) -> ControlFlow<()>,
    ) -> Self {
        Self {
            wanted,
            give,
            of_day: None,
        }
    }

    /// Takes a block; breaks when no more is wanted.
    pub(crate) fn take(&mut self, day: i64, payload: &[u8]) -> Result<ControlFlow<()>, StoreError> {
        let Wanted {
            series,
            fields,
            range,
        } = self.wanted;
        let rows = decode(series, payload, fields)?
            .within(range)
            .of_fields(fields);
        match &mut self.of_day {
            Some((same, all)) if *same == day => all.append(&rows),
            other => {
                if let Some((day, rows)) = other.replace((day, rows)) {
                    return Ok((self.give)(day, rows.in_order()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Gives the last day.
    pub(crate) fn end(self) {
        if let Some((day, rows)) = self.of_day {
            // It is the last one.
            let _ = (self.give)(day, rows.in_order());
        }
    }
}
