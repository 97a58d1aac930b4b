use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{FieldType, FieldValue, SeriesKey};

/// A series within a [`PointBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchSeries(u32);

/// A name of fields within a [`PointBatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchField(u32);

impl BatchSeries {
    /// Its place among [`PointBatch::series`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl BatchField {
    /// Its place among [`PointBatch::fields`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Points of one database that come in together, made to be filled and read fast.
///
/// Series and names of fields are there once, however many points have them.
#[derive(Clone, Debug, Default)]
pub struct PointBatch {
    series: Vec<SeriesKey>,
    by_key: HashTable<BatchSeries>,
    /// What series were written like, one after the other.
    written: Vec<u8>,
    by_text: HashTable<Written>,
    fields: Vec<Box<str>>,
    by_name: HashTable<BatchField>,
    hasher: RandomState,
    rows: Vec<Row>,
    cells: Vec<Cell>,
    texts: String,
}

/// How a series was written: a part of `written`, and its hash.
#[derive(Clone, Copy, Debug)]
struct Written {
    series: BatchSeries,
    start: u32,
    end: u32,
    hash: u64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    series: BatchSeries,
    time: i64,
    /// Where its cells end.
    end: u32,
    line: u32,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    field: BatchField,
    field_type: FieldType,
    /// The value, or an offset and length into `texts`.
    bits: u64,
}

/// One point of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchPoint<'a> {
    /// Its series.
    pub series: BatchSeries,
    /// Nanoseconds since 1970 (UTC).
    pub time: i64,
    /// The line it stood in, counted from 1; 0 where there are no lines.
    pub line: u32,
    cells: &'a [Cell],
    texts: &'a str,
}

impl<'a> BatchPoint<'a> {
    /// Its fields with their values, as they came; of two with one name the later holds.
    pub fn fields(self) -> impl ExactSizeIterator<Item = (BatchField, FieldValue<'a>)> {
        self.cells
            .iter()
            .map(move |cell| (cell.field, cell.value(self.texts)))
    }
}

impl Cell {
    fn value(self, texts: &str) -> FieldValue<'_> {
        match self.field_type {
            FieldType::Float => FieldValue::Float(f64::from_bits(self.bits)),
            FieldType::Integer => FieldValue::Integer(self.bits.cast_signed()),
            FieldType::Unsigned => FieldValue::Unsigned(self.bits),
            FieldType::Boolean => FieldValue::Boolean(self.bits != 0),
            FieldType::String => {
                let start = (self.bits >> 32) as usize;
                let length = (self.bits & 0xFFFF_FFFF) as usize;
                FieldValue::String(texts[start..start + length].into())
            }
        }
    }
}

impl PointBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The series of this key.
    pub fn add_series(&mut self, key: SeriesKey) -> BatchSeries {
        let hash = self.hasher.hash_one(&key);
        let (all, hasher) = (&self.series, &self.hasher);
        if let Some(known) = self.by_key.find(hash, |it| all[it.index()] == key) {
            return *known;
        }
        let series = BatchSeries(place(all.len()));
        self.by_key
            .insert_unique(hash, series, |it| hasher.hash_one(&all[it.index()]));
        self.series.push(key);
        series
    }

    /// The series whose key is written so; `parse` is called for a text that is new.
    ///
    /// # Errors
    /// That of `parse`; nothing is added then.
    pub fn add_series_text<E>(
        &mut self,
        text: &[u8],
        parse: impl FnOnce() -> Result<SeriesKey, E>,
    ) -> Result<BatchSeries, E> {
        let hash = self.hasher.hash_one(text);
        let all = &self.written;
        let same =
            |it: &Written| it.hash == hash && all[it.start as usize..it.end as usize] == *text;
        if let Some(known) = self.by_text.find(hash, same) {
            return Ok(known.series);
        }
        let series = self.add_series(parse()?);
        let start = place(self.written.len());
        self.written.extend_from_slice(text);
        let end = place(self.written.len());
        let written = Written {
            series,
            start,
            end,
            hash,
        };
        self.by_text.insert_unique(hash, written, |it| it.hash);
        Ok(series)
    }

    /// The field of this name.
    pub fn add_field(&mut self, name: &str) -> BatchField {
        let hash = self.hasher.hash_one(name);
        let (all, hasher) = (&self.fields, &self.hasher);
        if let Some(known) = self.by_name.find(hash, |it| *all[it.index()] == *name) {
            return *known;
        }
        let field = BatchField(place(all.len()));
        self.by_name
            .insert_unique(hash, field, |it| hasher.hash_one(&*all[it.index()]));
        self.fields.push(name.into());
        field
    }

    /// Adds a field to the point that [`end_point`](Self::end_point) will end.
    pub fn push_field(&mut self, field: BatchField, value: &FieldValue<'_>) {
        let bits = match value {
            FieldValue::Float(value) => value.to_bits(),
            FieldValue::Integer(value) => value.cast_unsigned(),
            FieldValue::Unsigned(value) => *value,
            FieldValue::Boolean(value) => u64::from(*value),
            FieldValue::String(text) => {
                let start = self.texts.len() as u64;
                self.texts.push_str(text);
                start << 32 | text.len() as u64
            }
        };
        self.cells.push(Cell {
            field,
            field_type: value.field_type(),
            bits,
        });
    }

    /// Adds a float field, as [`push_field`](Self::push_field) does.
    #[inline]
    pub fn push_float(&mut self, field: BatchField, value: f64) {
        self.cells.push(Cell {
            field,
            field_type: FieldType::Float,
            bits: value.to_bits(),
        });
    }

    /// Makes the fields pushed since the last point into one.
    pub fn end_point(&mut self, series: BatchSeries, time: i64, line: u32) {
        self.rows.push(Row {
            series,
            time,
            end: place(self.cells.len()),
            line,
        });
    }

    /// Forgets the fields pushed since the last point.
    pub fn cancel_point(&mut self) {
        let end = self.rows.last().map_or(0, |row| row.end as usize);
        self.cells.truncate(end);
    }

    /// A whole point at once.
    pub fn push<'a>(
        &mut self,
        key: SeriesKey,
        time: i64,
        fields: impl IntoIterator<Item = (&'a str, FieldValue<'a>)>,
    ) {
        let series = self.add_series(key);
        for (name, value) in fields {
            let field = self.add_field(name);
            self.push_field(field, &value);
        }
        self.end_point(series, time, 0);
    }

    /// The keys of its series, by [`BatchSeries::index`].
    pub fn series(&self) -> &[SeriesKey] {
        &self.series
    }

    /// The names of its fields, by [`BatchField::index`].
    pub fn fields(&self) -> &[Box<str>] {
        &self.fields
    }

    /// How many points.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no points.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many values.
    pub fn values(&self) -> usize {
        self.rows.last().map_or(0, |row| row.end as usize)
    }

    /// Its points, as they came.
    pub fn points(&self) -> impl ExactSizeIterator<Item = BatchPoint<'_>> {
        let mut start = 0;
        self.rows.iter().map(move |row| {
            let cells = &self.cells[start..row.end as usize];
            start = row.end as usize;
            BatchPoint {
                series: row.series,
                time: row.time,
                line: row.line,
                cells,
                texts: &self.texts,
            }
        })
    }
}

/// A place in a list; receivers limit bodies far below 2^32 bytes.
fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_come_back_as_they_went_in() {
        let mut batch = PointBatch::new();
        let key = SeriesKey::new("air", [("box", "1")]);
        batch.push(
            key.clone(),
            5,
            [
                ("no2", FieldValue::Float(1.5)),
                ("on", FieldValue::Boolean(true)),
            ],
        );
        let field = batch.add_field("lost");
        batch.push_field(field, &FieldValue::Integer(1));
        batch.cancel_point();
        batch.push(key.clone(), 6, [("name", FieldValue::String("a b".into()))]);
        assert_eq!((batch.len(), batch.values()), (2, 3));
        assert_eq!(batch.series(), [key]);
        let points: Vec<_> = batch
            .points()
            .map(|point| {
                let fields: Vec<_> = point
                    .fields()
                    .map(|(field, value)| (&*batch.fields()[field.index()], value))
                    .collect();
                (point.series.index(), point.time, fields)
            })
            .collect();
        assert_eq!(
            points,
            [
                (
                    0,
                    5,
                    vec![
                        ("no2", FieldValue::Float(1.5)),
                        ("on", FieldValue::Boolean(true))
                    ]
                ),
                (0, 6, vec![("name", FieldValue::String("a b".into()))]),
            ]
        );
    }
}
