//! The newest committed value of every field of a series.

use std::collections::HashMap;
use std::ops::ControlFlow;

use smartem_points::{FieldValue, Newest};

use super::catalogue::SeriesNo;
use super::rows::{FieldNo, Rows};

/// Newest values by series; what is not there yet is found in the blocks when it is asked for.
#[derive(Default)]
pub(crate) struct NewestValues {
    series: HashMap<SeriesNo, SeriesNewest, foldhash::fast::RandomState>,
}

#[derive(Default)]
struct SeriesNewest {
    fields: Vec<(FieldNo, Newest)>,
    /// Whether everything committed was looked at.
    is_complete: bool,
}

impl NewestValues {
    /// Says that nothing of a series was committed before: it is new.
    pub(crate) fn begin(&mut self, series: SeriesNo) {
        self.series.entry(series).or_default().is_complete = true;
    }

    /// Takes note of rows of a series, in any order.
    pub(crate) fn note(&mut self, series: SeriesNo, rows: &Rows) {
        let known = self.series.entry(series).or_default();
        for column in &rows.columns {
            if let Some(newest) = newest_of(rows, column.field) {
                known.put(column.field, newest);
            }
        }
    }

    /// Takes note of what all blocks of a series hold.
    pub(crate) fn complete(&mut self, series: SeriesNo, fields: Vec<(FieldNo, Newest)>) {
        let known = self.series.entry(series).or_default();
        for (field, newest) in fields {
            known.put(field, newest);
        }
        known.is_complete = true;
    }

    /// Whether everything committed of a series was looked at; else the blocks have to be asked.
    pub(crate) fn is_complete(&self, series: SeriesNo) -> bool {
        self.series.get(&series).is_some_and(|it| it.is_complete)
    }

    /// The newest value of a field that was looked at.
    pub(crate) fn get(&self, series: SeriesNo, field: FieldNo) -> Option<&Newest> {
        let known = self.series.get(&series)?;
        let newest = known.fields.iter().find(|(number, _)| *number == field);
        newest.map(|(_, newest)| newest)
    }
}

/// Looks for the newest value of each field of a series, the newest rows first.
pub(crate) struct NewestOfFields {
    wanted: Vec<FieldNo>,
    found: Vec<(FieldNo, Newest)>,
}

impl NewestOfFields {
    pub(crate) fn new(wanted: Vec<FieldNo>) -> Self {
        Self {
            wanted,
            found: Vec::new(),
        }
    }

    /// Takes rows, which are older than those before; breaks when all is found.
    pub(crate) fn take(&mut self, rows: &Rows) -> ControlFlow<()> {
        let found = &mut self.found;
        self.wanted.retain(|field| match newest_of(rows, *field) {
            Some(newest) => {
                found.push((*field, newest));
                false
            }
            None => true,
        });
        if self.wanted.is_empty() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    pub(crate) fn found(self) -> Vec<(FieldNo, Newest)> {
        self.found
    }
}

impl SeriesNewest {
    fn put(&mut self, field: FieldNo, newest: Newest) {
        match self.fields.iter_mut().find(|(number, _)| *number == field) {
            Some((_, known)) if newest.0 >= known.0 => *known = newest,
            Some(_) => {}
            None => self.fields.push((field, newest)),
        }
    }
}

/// The value of a field at the latest time among rows in any order; of equal times the later row's.
pub(crate) fn newest_of(rows: &Rows, field: FieldNo) -> Option<Newest> {
    let column = rows.column(field)?;
    let mut newest: Option<usize> = None;
    // Most often rows are in order, and the last one it is.
    for row in (0..column.bits.len()).rev().filter(|row| column.has(*row)) {
        match newest {
            Some(found) if rows.times[found] >= rows.times[row] => {}
            _ => newest = Some(row),
        }
        if newest == Some(row) && rows.is_in_order() {
            break;
        }
    }
    let row = newest?;
    let value: FieldValue<'static> = column.value(row)?.into_owned();
    Some((rows.times[row], value))
}
