use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use crate::{
    Cells, Chunk, FieldType, FieldValue, Newest, Order, PointBatch, PointSource, SeriesId,
    SeriesInfo, SeriesKey, SourceError,
};

/// Points in memory: the plainest source there can be, to test others and queries against.
#[derive(Debug, Default)]
pub struct MemoryPoints {
    databases: BTreeMap<String, Database>,
    series: Vec<BTreeMap<i64, BTreeMap<String, FieldValue<'static>>>>,
}

#[derive(Debug, Default)]
struct Database {
    fields: BTreeMap<String, BTreeMap<String, FieldType>>,
    series: BTreeMap<Arc<SeriesKey>, SeriesId>,
}

impl MemoryPoints {
    /// Without any database.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a database, if it is not there.
    pub fn create_database(&mut self, name: &str) {
        self.databases.entry(name.to_owned()).or_default();
    }

    /// Writes points, making the database where needed; gives the lines of points left out because
    /// a field has another type.
    pub fn write(&mut self, database: &str, batch: &PointBatch) -> Vec<u32> {
        let mut refused = Vec::new();
        let database = self.databases.entry(database.to_owned()).or_default();
        for point in batch.points() {
            let key = Arc::new(batch.series()[point.series.index()].clone());
            let types = database.fields.entry(key.measurement.to_string());
            let types = types.or_default();
            let fields: Vec<_> = point
                .fields()
                .map(|(field, value)| (batch.fields()[field.index()].to_string(), value))
                .collect();
            let fits = |(name, value): &(String, FieldValue<'_>)| {
                types
                    .get(name)
                    .is_none_or(|known| *known == value.field_type())
            };
            if !fields.iter().all(fits) {
                refused.push(point.line);
                continue;
            }
            let next = SeriesId(u32::try_from(self.series.len()).unwrap_or(u32::MAX));
            let id = *database.series.entry(key).or_insert(next);
            if id == next {
                self.series.push(BTreeMap::new());
            }
            let row = self.series[id.0 as usize].entry(point.time).or_default();
            for (name, value) in fields {
                types.insert(name.clone(), value.field_type());
                row.insert(name, value.into_owned());
            }
        }
        refused
    }

    fn field_type(&self, series: SeriesId, field: &str) -> Option<FieldType> {
        self.databases.values().find_map(|database| {
            let (key, _) = database.series.iter().find(|(_, id)| **id == series)?;
            database
                .fields
                .get(key.measurement.as_ref())?
                .get(field)
                .copied()
        })
    }
}

impl PointSource for MemoryPoints {
    fn databases(&self) -> Vec<String> {
        self.databases.keys().cloned().collect()
    }

    fn measurements(&self, database: &str) -> Vec<String> {
        let database = self.databases.get(database);
        database.map_or_else(Vec::new, |it| it.fields.keys().cloned().collect())
    }

    fn fields(&self, database: &str, measurement: &str) -> Vec<(String, FieldType)> {
        let database = self.databases.get(database);
        let fields = database.and_then(|it| it.fields.get(measurement));
        fields.map_or_else(Vec::new, |fields| {
            fields
                .iter()
                .map(|(name, it)| (name.clone(), *it))
                .collect()
        })
    }

    fn series(&self, database: &str, measurement: &str) -> Vec<SeriesInfo> {
        let database = self.databases.get(database);
        let series = database.into_iter().flat_map(|it| &it.series);
        series
            .filter(|(key, _)| key.measurement.as_ref() == measurement)
            .map(|(key, id)| SeriesInfo {
                id: *id,
                key: key.clone(),
            })
            .collect()
    }

    fn scan(
        &self,
        series: SeriesId,
        fields: &[&str],
        range: RangeInclusive<i64>,
        order: Order,
        take: &mut dyn FnMut(&Chunk) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        let Some(rows) = self.series.get(series.0 as usize) else {
            return Ok(());
        };
        if range.is_empty() {
            return Ok(());
        }
        let rows = rows.range(range);
        let rows = rows.filter(|(_, row)| fields.iter().any(|field| row.contains_key(*field)));
        let mut rows: Vec<_> = rows.collect();
        if order == Order::Descending {
            rows.reverse();
        }
        // Small chunks, so that readers do not rely on there being one.
        for rows in rows.chunks(3) {
            let chunk = Chunk {
                times: rows.iter().map(|(time, _)| **time).collect(),
                columns: fields
                    .iter()
                    .map(|field| cells(self.field_type(series, field), field, rows))
                    .collect(),
            };
            if take(&chunk).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn newest(&self, series: SeriesId, field: &str) -> Result<Option<Newest>, SourceError> {
        let rows = self.series.get(series.0 as usize).into_iter().flatten();
        let newest = rows
            .rev()
            .find_map(|(time, row)| Some((*time, row.get(field)?.clone())));
        Ok(newest)
    }
}

fn cells(
    field_type: Option<FieldType>,
    field: &str,
    rows: &[(&i64, &BTreeMap<String, FieldValue<'static>>)],
) -> Cells {
    macro_rules! of {
        ($variant:ident, $map:expr) => {
            rows.iter()
                .map(|(_, row)| match row.get(field) {
                    Some(FieldValue::$variant(value)) => Some($map(value)),
                    _ => None,
                })
                .collect()
        };
    }
    if rows.iter().all(|(_, row)| !row.contains_key(field)) {
        return Cells::Absent;
    }
    match field_type {
        Some(FieldType::Float) => Cells::Floats(of!(Float, |it: &f64| *it)),
        Some(FieldType::Integer) => Cells::Integers(of!(Integer, |it: &i64| *it)),
        Some(FieldType::Unsigned) => Cells::Unsigned(of!(Unsigned, |it: &u64| *it)),
        Some(FieldType::Boolean) => Cells::Booleans(of!(Boolean, |it: &bool| *it)),
        Some(FieldType::String) => Cells::Strings(of!(String, |it: &std::borrow::Cow<'_, str>| {
            Box::<str>::from(&**it)
        })),
        None => Cells::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_point_of_the_same_time_adds_and_replaces_fields() {
        let key = || SeriesKey::new("air", [("box", "1")]);
        let mut batch = PointBatch::new();
        batch.push(
            key(),
            10,
            [("a", FieldValue::Float(1.0)), ("b", FieldValue::Integer(1))],
        );
        batch.push(key(), 10, [("a", FieldValue::Float(2.0))]);
        batch.push(key(), 20, [("b", FieldValue::Float(0.5))]);
        let mut points = MemoryPoints::new();
        assert_eq!(points.write("db", &batch), [0]);
        let series = points.series("db", "air")[0].id;
        let mut chunks = Vec::new();
        points
            .scan(
                series,
                &["a", "b", "c"],
                0..=30,
                Order::Ascending,
                &mut |chunk| {
                    chunks.push(chunk.clone());
                    ControlFlow::Continue(())
                },
            )
            .unwrap();
        let columns = vec![
            Cells::Floats(vec![Some(2.0)]),
            Cells::Integers(vec![Some(1)]),
            Cells::Absent,
        ];
        assert_eq!(
            chunks,
            [Chunk {
                times: vec![10],
                columns
            }]
        );
        assert_eq!(
            points.newest(series, "b").unwrap(),
            Some((10, FieldValue::Integer(1)))
        );
    }
}
