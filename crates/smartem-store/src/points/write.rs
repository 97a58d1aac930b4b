//! A batch on its way into log and memory.

use std::collections::HashMap;

use smartem_points::{BatchPoint, FieldType, PointBatch};

use super::Refusal;
use super::catalogue::{DatabaseNo, Definition, MeasurementNo, SeriesNo, Undefined};
use super::engine::State;
use super::entry::EntryWriter;
use super::rows::FieldNo;

/// No field yet.
const UNKNOWN: FieldNo = FieldNo::MAX;

/// A batch being applied.
pub(crate) struct Application<'a> {
    state: &'a mut State,
    batch: &'a PointBatch,
    database: DatabaseNo,
    /// By series of the batch.
    series: Vec<Option<SeriesNo>>,
    measurements: Vec<Option<(MeasurementNo, usize)>>,
    /// For each measurement that was met, its fields by field of the batch.
    fields: Vec<Vec<(FieldNo, FieldType)>>,
    places: HashMap<MeasurementNo, usize>,
    pub(crate) entry: EntryWriter,
    pub(crate) refused: Vec<Refusal>,
}

impl<'a> Application<'a> {
    pub(crate) fn new(state: &'a mut State, database: DatabaseNo, batch: &'a PointBatch) -> Self {
        let series = batch.series().len();
        Self {
            state,
            batch,
            database,
            series: vec![None; series],
            measurements: vec![None; series],
            fields: Vec::new(),
            places: HashMap::new(),
            entry: EntryWriter::default(),
            refused: Vec::new(),
        }
    }

    /// Takes all points of the batch.
    pub(crate) fn run(&mut self) -> Result<(), Undefined> {
        let mut numbers = Vec::new();
        for point in self.batch.points() {
            let (measurement, place) = self.measurement(point.series.index())?;
            numbers.clear();
            if !self.fields_of(point, measurement, place, &mut numbers)? {
                continue;
            }
            let series = self.series(point.series.index(), measurement)?;
            self.entry.point(series, point, &numbers);
            self.state.active.push(series, point, &numbers);
        }
        Ok(())
    }

    fn define(&mut self, definition: Definition) -> Result<u32, Undefined> {
        let number = self.state.catalogue.define(&definition)?;
        self.entry.define(&definition);
        self.state.unsaved.push(definition);
        Ok(number)
    }

    fn measurement(&mut self, series: usize) -> Result<(MeasurementNo, usize), Undefined> {
        if let Some(known) = self.measurements[series] {
            return Ok(known);
        }
        let name = &self.batch.series()[series].measurement;
        let known = self.state.catalogue.measurement_of(self.database, name);
        let measurement = match known {
            Some(number) => number,
            None => self.define(Definition::Measurement {
                database: self.database,
                name: name.clone(),
            })?,
        };
        let next = self.fields.len();
        let place = *self.places.entry(measurement).or_insert(next);
        if place == next {
            self.fields.push(Vec::new());
        }
        self.measurements[series] = Some((measurement, place));
        Ok((measurement, place))
    }

    fn series(&mut self, series: usize, measurement: MeasurementNo) -> Result<SeriesNo, Undefined> {
        if let Some(known) = self.series[series] {
            return Ok(known);
        }
        let key = &self.batch.series()[series];
        let known = self.state.catalogue.series_of(self.database, key);
        let number = if let Some(number) = known {
            number
        } else {
            let tags = key.tags.clone();
            let number = self.define(Definition::Series { measurement, tags })?;
            self.state.newest.begin(number);
            number
        };
        self.series[series] = Some(number);
        self.state.touched.insert(number);
        Ok(number)
    }

    /// The numbers of a point's fields; false when the point is refused.
    fn fields_of(
        &mut self,
        point: BatchPoint<'_>,
        measurement: MeasurementNo,
        place: usize,
        numbers: &mut Vec<FieldNo>,
    ) -> Result<bool, Undefined> {
        for (field, value) in point.fields() {
            let sent = value.field_type();
            let known = self.fields[place].get(field.index()).copied();
            let (number, known) = match known {
                Some(known) if known.0 != UNKNOWN => known,
                _ => self.field(field.index(), measurement, place, sent)?,
            };
            if known != sent {
                let measurement = &self.batch.series()[point.series.index()].measurement;
                self.refused.push(Refusal {
                    line: point.line,
                    measurement: measurement.to_string(),
                    field: self.batch.fields()[field.index()].to_string(),
                    sent,
                    known,
                });
                return Ok(false);
            }
            numbers.push(number);
        }
        Ok(true)
    }

    /// A field that was not met in this measurement before; one that is new gets this type.
    fn field(
        &mut self,
        field: usize,
        measurement: MeasurementNo,
        place: usize,
        field_type: FieldType,
    ) -> Result<(FieldNo, FieldType), Undefined> {
        let name = &self.batch.fields()[field];
        let number = match self.state.catalogue.field_of(measurement, name) {
            Some(number) => number,
            None => self.define(Definition::Field {
                measurement,
                name: name.clone(),
                field_type,
            })?,
        };
        let known = self.state.catalogue.measurement(measurement);
        let known = known.and_then(|it| it.fields.get(number as usize));
        let known = known.ok_or(Undefined("a field"))?.field_type;
        let fields = &mut self.fields[place];
        if fields.len() <= field {
            fields.resize(field + 1, (UNKNOWN, FieldType::Float));
        }
        fields[field] = (number, known);
        Ok((number, known))
    }
}
