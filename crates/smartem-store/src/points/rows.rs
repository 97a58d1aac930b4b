//! Rows of one series, field by field: in memory, and as they are read from blocks.

use std::ops::RangeInclusive;

use smartem_points::{BatchPoint, Cells, FieldType, FieldValue};

/// A field by its number within its measurement.
pub(crate) type FieldNo = u32;

/// Rows of one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rows {
    /// Nanoseconds since 1970 (UTC).
    pub(crate) times: Vec<i64>,
    pub(crate) columns: Vec<FieldColumn>,
    /// Whether some time is not later than the one before.
    is_mixed: bool,
}

/// The values of a field; it may end before the rows do: the rest has none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FieldColumn {
    pub(crate) field: FieldNo,
    pub(crate) field_type: FieldType,
    /// The bits of a number, 0 or 1, or a place among `texts`; 0 where there is no value.
    pub(crate) bits: Vec<u64>,
    /// Which rows have a value; `None`: all of `bits`.
    pub(crate) present: Option<Vec<bool>>,
    pub(crate) texts: Vec<Box<str>>,
}

impl FieldColumn {
    pub(crate) fn new(field: FieldNo, field_type: FieldType) -> Self {
        Self {
            field,
            field_type,
            bits: Vec::new(),
            present: None,
            texts: Vec::new(),
        }
    }

    pub(crate) fn has(&self, row: usize) -> bool {
        row < self.bits.len() && self.present.as_ref().is_none_or(|present| present[row])
    }

    /// The value of a row that has one.
    pub(crate) fn value(&self, row: usize) -> Option<FieldValue<'_>> {
        self.has(row).then(|| self.at(row))
    }

    fn at(&self, row: usize) -> FieldValue<'_> {
        let bits = self.bits[row];
        match self.field_type {
            FieldType::Float => FieldValue::Float(f64::from_bits(bits)),
            FieldType::Integer => FieldValue::Integer(bits.cast_signed()),
            FieldType::Unsigned => FieldValue::Unsigned(bits),
            FieldType::Boolean => FieldValue::Boolean(bits != 0),
            FieldType::String => FieldValue::String((&*self.texts[place(bits)]).into()),
        }
    }

    /// Fills up with rows that have no value.
    fn pad(&mut self, rows: usize) {
        let length = self.bits.len();
        if length < rows {
            let present = self.present.get_or_insert_with(|| vec![true; length]);
            present.resize(rows, false);
            self.bits.resize(rows, 0);
        }
    }

    fn push(&mut self, value: &FieldValue<'_>) {
        let bits = match value {
            FieldValue::Float(value) => value.to_bits(),
            FieldValue::Integer(value) => value.cast_unsigned(),
            FieldValue::Unsigned(value) => *value,
            FieldValue::Boolean(value) => u64::from(*value),
            FieldValue::String(text) => self.keep(text),
        };
        self.bits.push(bits);
        if let Some(present) = &mut self.present {
            present.push(true);
        }
    }

    fn keep(&mut self, text: &str) -> u64 {
        // Texts of a field are often the same again and again.
        match self.texts.last() {
            Some(last) if **last == *text => {}
            _ => self.texts.push(text.into()),
        }
        (self.texts.len() - 1) as u64
    }

    /// Puts the value of another column's row into a row, which is there.
    fn set(&mut self, row: usize, other: &Self, from: usize) {
        self.bits[row] = match self.field_type {
            FieldType::String => self.keep(&other.texts[place(other.bits[from])]),
            _ => other.bits[from],
        };
        if let Some(present) = &mut self.present {
            present[row] = true;
        }
    }

    /// For those who query: a cell for each of `rows` rows.
    pub(crate) fn cells(&self, rows: usize) -> Cells {
        fn all<T>(column: &FieldColumn, rows: usize, value: impl Fn(u64) -> T) -> Vec<Option<T>> {
            let mut cells: Vec<Option<T>> = match &column.present {
                None => column.bits.iter().map(|bits| Some(value(*bits))).collect(),
                Some(present) => {
                    let pairs = column.bits.iter().zip(present);
                    pairs.map(|(bits, is)| is.then(|| value(*bits))).collect()
                }
            };
            cells.resize_with(rows, || None);
            cells
        }
        match self.field_type {
            FieldType::Float => Cells::Floats(all(self, rows, f64::from_bits)),
            FieldType::Integer => Cells::Integers(all(self, rows, u64::cast_signed)),
            FieldType::Unsigned => Cells::Unsigned(all(self, rows, |bits| bits)),
            FieldType::Boolean => Cells::Booleans(all(self, rows, |bits| bits != 0)),
            FieldType::String => {
                Cells::Strings(all(self, rows, |bits| self.texts[place(bits)].clone()))
            }
        }
    }
}

/// A place in a list that is in memory.
fn place(bits: u64) -> usize {
    usize::try_from(bits).unwrap_or(usize::MAX)
}

impl Rows {
    /// Rows of these times, which are in order.
    pub(crate) fn of_times(times: Vec<i64>) -> Self {
        Self {
            times,
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub(crate) fn column(&self, field: FieldNo) -> Option<&FieldColumn> {
        self.columns.iter().find(|column| column.field == field)
    }

    /// Adds a point; `fields` tells the number of each of its fields.
    pub(crate) fn push(&mut self, point: BatchPoint<'_>, fields: &[FieldNo]) {
        let row = self.times.len();
        self.is_mixed |= self.times.last().is_some_and(|last| *last >= point.time);
        self.times.push(point.time);
        for (position, ((_, value), &field)) in point.fields().zip(fields).enumerate() {
            let column = self.place_of(position, field, value.field_type());
            let column = &mut self.columns[column];
            if column.bits.len() > row {
                // The same field twice in one point: the later holds.
                column.bits.truncate(row);
                if let Some(present) = &mut column.present {
                    present.truncate(row);
                }
            }
            column.pad(row);
            column.push(&value);
        }
    }

    /// Where the column of a field is; most often where it was in the point before.
    fn place_of(&mut self, position: usize, field: FieldNo, field_type: FieldType) -> usize {
        if self
            .columns
            .get(position)
            .is_some_and(|it| it.field == field)
        {
            return position;
        }
        let known = self.columns.iter().position(|it| it.field == field);
        known.unwrap_or_else(|| {
            self.columns.push(FieldColumn::new(field, field_type));
            self.columns.len() - 1
        })
    }

    /// Adds the rows of another, which are newer: where times are equal, their values hold.
    pub(crate) fn append(&mut self, other: &Self) {
        let before = self.len();
        let ends = self.times.last().zip(other.times.first());
        self.is_mixed |= other.is_mixed || ends.is_some_and(|(last, first)| last >= first);
        self.times.extend_from_slice(&other.times);
        for column in &other.columns {
            let own = self.place_of(usize::MAX, column.field, column.field_type);
            let own = &mut self.columns[own];
            if own.field_type == FieldType::String {
                for row in 0..column.bits.len() {
                    if let Some(value) = column.value(row) {
                        own.pad(before + row);
                        own.push(&value);
                    }
                }
                continue;
            }
            if !column.bits.is_empty() {
                own.pad(before);
            }
            own.bits.extend_from_slice(&column.bits);
            match (&mut own.present, &column.present) {
                (None, None) => {}
                (Some(own), None) => own.resize(own.len() + column.bits.len(), true),
                (own, Some(present)) => {
                    own.get_or_insert_with(|| vec![true; before])
                        .extend_from_slice(present);
                }
            }
        }
    }

    /// Whether times grow from row to row.
    pub(crate) fn is_in_order(&self) -> bool {
        !self.is_mixed
    }

    /// The latest time.
    pub(crate) fn latest(&self) -> Option<i64> {
        if self.is_mixed {
            self.times.iter().max().copied()
        } else {
            self.times.last().copied()
        }
    }

    /// The rows in order of time, each time once: of several the values of the later rows hold.
    pub(crate) fn in_order(self) -> Self {
        if self.is_in_order() {
            return self;
        }
        let mut order: Vec<usize> = (0..self.len()).collect();
        // Stable: rows of one time stay in the order in which they came.
        order.sort_by_key(|row| self.times[*row]);
        let mut times: Vec<i64> = Vec::with_capacity(order.len());
        let mut places = Vec::with_capacity(order.len());
        for row in &order {
            let time = self.times[*row];
            if times.last() != Some(&time) {
                times.push(time);
            }
            places.push(times.len() - 1);
        }
        let columns = self.columns.iter().map(|column| {
            let mut ordered = FieldColumn::new(column.field, column.field_type);
            ordered.bits = vec![0; times.len()];
            ordered.present = Some(vec![false; times.len()]);
            for (row, place) in order.iter().zip(&places) {
                if column.has(*row) {
                    ordered.set(*place, column, *row);
                }
            }
            if ordered
                .present
                .as_ref()
                .is_some_and(|it| it.iter().all(|is| *is))
            {
                ordered.present = None;
            }
            ordered
        });
        let columns = columns.collect();
        Self {
            times,
            columns,
            is_mixed: false,
        }
    }

    /// The rows within a range of times, when the rows are in order.
    pub(crate) fn within(&self, range: &RangeInclusive<i64>) -> Self {
        let start = self.times.partition_point(|time| time < range.start());
        let end = self.times.partition_point(|time| time <= range.end());
        if start == 0 && end == self.len() {
            return self.clone();
        }
        self.cut(start, end.max(start))
    }

    /// The rows `start..end`.
    pub(crate) fn cut(&self, start: usize, end: usize) -> Self {
        let columns = self.columns.iter().map(|column| {
            let length = column.bits.len();
            let rows = start.min(length)..end.min(length);
            FieldColumn {
                field: column.field,
                field_type: column.field_type,
                bits: column.bits[rows.clone()].to_vec(),
                present: column.present.as_ref().map(|it| it[rows].to_vec()),
                texts: column.texts.clone(),
            }
        });
        Self {
            times: self.times[start..end].to_vec(),
            columns: columns.collect(),
            is_mixed: self.is_mixed,
        }
    }

    /// Only these fields, and the rows that have at least one of them.
    pub(crate) fn of_fields(mut self, fields: &[FieldNo]) -> Self {
        self.columns.retain(|column| fields.contains(&column.field));
        let has_any = |row: usize| self.columns.iter().any(|column| column.has(row));
        if (0..self.len()).all(has_any) {
            return self;
        }
        let kept: Vec<usize> = (0..self.len()).filter(|row| has_any(*row)).collect();
        let columns = self.columns.iter().map(|column| {
            let mut left = FieldColumn::new(column.field, column.field_type);
            for (place, row) in kept.iter().enumerate() {
                if let Some(value) = column.value(*row) {
                    left.pad(place);
                    left.push(&value);
                }
            }
            left
        });
        Self {
            columns: columns.collect(),
            is_mixed: self.is_mixed,
            times: kept.iter().map(|row| self.times[*row]).collect(),
        }
    }

    /// Bytes in memory, roughly.
    pub(crate) fn size_of(point: BatchPoint<'_>) -> usize {
        let texts = point.fields().map(|(_, value)| match value {
            FieldValue::String(text) => text.len() + 16,
            _ => 0,
        });
        8 + 8 * point.fields().len() + texts.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use smartem_points::{PointBatch, SeriesKey};

    use super::*;

    /// Rows of points given as time and fields by number.
    fn rows(points: &[(i64, &[(FieldNo, FieldValue<'static>)])]) -> Rows {
        let mut batch = PointBatch::new();
        for (time, fields) in points {
            let names: Vec<String> = fields.iter().map(|(no, _)| no.to_string()).collect();
            let fields = names.iter().zip(*fields);
            batch.push(
                SeriesKey::new("m", []),
                *time,
                fields.map(|(name, (_, value))| (name.as_str(), value.clone())),
            );
        }
        let mut rows = Rows::default();
        for (point, (_, fields)) in batch.points().zip(points) {
            let numbers: Vec<FieldNo> = fields.iter().map(|(no, _)| *no).collect();
            rows.push(point, &numbers);
        }
        rows
    }

    fn listed(rows: &Rows) -> Vec<(i64, Vec<(FieldNo, FieldValue<'_>)>)> {
        let row = |row: usize| {
            let columns = rows.columns.iter();
            let values = columns.filter_map(|it| Some((it.field, it.value(row)?)));
            let mut values: Vec<_> = values.collect();
            values.sort_by_key(|(field, _)| *field);
            (rows.times[row], values)
        };
        (0..rows.len()).map(row).collect()
    }

    #[test]
    fn later_rows_add_to_and_replace_what_is_there_at_the_same_time() {
        use FieldValue::{Float, Integer, String};
        let text = |text: &'static str| String(text.into());
        let mut all = rows(&[
            (20, &[(0, Float(1.0)), (1, text("a"))]),
            (10, &[(2, Integer(7))]),
        ]);
        all.append(&rows(&[
            (20, &[(0, Float(2.0)), (2, Integer(8))]),
            (15, &[(1, text("b"))]),
        ]));
        let all = all.in_order();
        let wanted = vec![
            (10, vec![(2, Integer(7))]),
            (15, vec![(1, text("b"))]),
            (20, vec![(0, Float(2.0)), (1, text("a")), (2, Integer(8))]),
        ];
        assert_eq!(listed(&all), wanted);
        assert_eq!(listed(&all.within(&(11..=20))), wanted[1..]);
        let only = all.of_fields(&[2]);
        assert_eq!(
            listed(&only),
            [(10, vec![(2, Integer(7))]), (20, vec![(2, Integer(8))])]
        );
    }

    #[test]
    fn of_a_field_twice_in_a_point_the_later_holds() {
        use FieldValue::Float;
        let rows = rows(&[
            (1, &[(0, Float(1.0)), (0, Float(2.0))]),
            (2, &[(0, Float(3.0))]),
        ]);
        assert_eq!(
            listed(&rows),
            [(1, vec![(0, Float(2.0))]), (2, vec![(0, Float(3.0))])]
        );
    }
}
