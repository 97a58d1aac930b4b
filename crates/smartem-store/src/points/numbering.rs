//! What the numbers in a log mean after another collector has gone on with the database.
//!
//! Databases, measurements, fields and series are numbered in order of definition. A log that was not
//! committed to the end names by number what it defined itself, and meanwhile others may have given these
//! numbers to other things. So where a database is shared, each segment begins with how many of each there
//! were: what is below is in the database, what is above is what the log defines from there on.

use std::collections::HashMap;

use smartem_points::FieldType;

use super::catalogue::{Catalogue, DatabaseNo, Definition, MeasurementNo, SeriesNo};
use super::rows::FieldNo;
use crate::codec::CodecError;
use crate::codec::bytes::{Reader, put_varint};

/// How many of each kind there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    databases: u32,
    measurements: u32,
    series: u32,
    /// By measurement.
    fields: Vec<u32>,
}

impl Counts {
    pub(crate) fn of(catalogue: &Catalogue) -> Self {
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let fields = catalogue.all_measurements().iter();
        Self {
            databases: count(catalogue.databases().len()),
            measurements: count(catalogue.all_measurements().len()),
            series: count(catalogue.all_series().len()),
            fields: fields.map(|it| count(it.fields.len())).collect(),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for count in [self.databases, self.series, self.measurements] {
            put_varint(out, count.into());
        }
        for count in &self.fields {
            put_varint(out, (*count).into());
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (databases, series) = (number(reader)?, number(reader)?);
        let count = reader.length()?;
        let fields = (0..count)
            .map(|_| number(reader))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            databases,
            measurements: u32::try_from(count).unwrap_or(u32::MAX),
            series,
            fields,
        })
    }
}

fn number(reader: &mut Reader<'_>) -> Result<u32, CodecError> {
    let number = u32::try_from(reader.varint()?);
    number.map_err(|_| CodecError::Malformed("a number out of range"))
}

/// Numbers of one kind: those below the base as they are, those above by order of definition.
#[derive(Default)]
struct Line<T> {
    base: u32,
    defined: Vec<T>,
}

impl<T: Copy> Line<T> {
    fn new(base: u32) -> Self {
        Self {
            base,
            defined: Vec::new(),
        }
    }

    /// `Ok` with what a number above the base stands for, `Err` with one that is below it.
    fn get(&self, number: u32) -> Option<Result<T, u32>> {
        match number.checked_sub(self.base) {
            None => Some(Err(number)),
            Some(place) => self.defined.get(place as usize).copied().map(Ok),
        }
    }

    fn end(&self) -> u32 {
        let defined = u32::try_from(self.defined.len()).unwrap_or(u32::MAX);
        self.base.saturating_add(defined)
    }
}

impl Line<u32> {
    fn number(&self, of: u32) -> Option<u32> {
        self.get(of).map(|it| it.unwrap_or_else(|below| below))
    }
}

/// What the numbers in a log are to be taken for.
pub(crate) enum Numbers {
    /// Those of the catalogue.
    Own,
    /// Those of the catalogue as it was when the log was written.
    Former(Former),
}

/// How far numbers can be told.
pub(crate) enum Former {
    /// Not yet.
    Unknown,
    Running(Numbering),
    /// Something is missing in the log, so not any more.
    Broken,
}

impl Numbers {
    pub(super) fn new(is_former: bool) -> Self {
        if is_former {
            Self::Former(Former::Unknown)
        } else {
            Self::Own
        }
    }

    /// Takes note of how many of each kind a log has come to.
    pub(super) fn begin(&mut self, counts: Counts) {
        let Self::Former(former) = self else {
            return;
        };
        match former {
            Former::Unknown => *former = Former::Running(Numbering::new(counts)),
            Former::Running(numbering) if !numbering.is_at(&counts) => *former = Former::Broken,
            Former::Running(_) | Former::Broken => {}
        }
    }

    /// The number that a series of the log has in the catalogue.
    pub(super) fn series(&self, of: SeriesNo) -> Result<SeriesNo, CodecError> {
        match self {
            Self::Own => Ok(of),
            Self::Former(former) => {
                let found = former.as_running()?.series(of);
                found.ok_or(CodecError::Malformed("a series that is not defined"))
            }
        }
    }
}

const UNTOLD: CodecError =
    CodecError::Malformed("numbers of another collector, which cannot be told any more");

impl Former {
    pub(super) fn running(&mut self) -> Result<&mut Numbering, CodecError> {
        match self {
            Self::Running(numbering) => Ok(numbering),
            Self::Unknown | Self::Broken => Err(UNTOLD),
        }
    }

    pub(super) fn as_running(&self) -> Result<&Numbering, CodecError> {
        match self {
            Self::Running(numbering) => Ok(numbering),
            Self::Unknown | Self::Broken => Err(UNTOLD),
        }
    }
}

/// From the numbers of a log to those of the catalogue.
pub(crate) struct Numbering {
    databases: Line<DatabaseNo>,
    measurements: Line<MeasurementNo>,
    series: Line<SeriesNo>,
    /// By measurement of the log; with the type that the field has there.
    fields: HashMap<MeasurementNo, Line<(FieldNo, FieldType)>>,
    fields_below: Vec<u32>,
}

impl Numbering {
    pub(crate) fn new(counts: Counts) -> Self {
        Self {
            databases: Line::new(counts.databases),
            measurements: Line::new(counts.measurements),
            series: Line::new(counts.series),
            fields: HashMap::new(),
            fields_below: counts.fields,
        }
    }

    /// Whether the log has come as far as these counts say.
    pub(crate) fn is_at(&self, counts: &Counts) -> bool {
        self.databases.end() == counts.databases
            && self.measurements.end() == counts.measurements
            && self.series.end() == counts.series
            && (0..).zip(&counts.fields).all(|(measurement, count)| {
                let line = self.fields.get(&measurement);
                line.map_or_else(|| self.fields_below(measurement), Line::end) == *count
            })
    }

    /// A definition of the log as the catalogue has it; `None` when it is of something that is not there.
    pub(crate) fn translated(&self, definition: &Definition) -> Option<Definition> {
        let mut translated = definition.clone();
        match &mut translated {
            Definition::Database { .. } => {}
            Definition::Measurement { database, .. } => {
                *database = self.databases.number(*database)?;
            }
            Definition::Field { measurement, .. } | Definition::Series { measurement, .. } => {
                *measurement = self.measurements.number(*measurement)?;
            }
        }
        Some(translated)
    }

    /// Takes note of the number that a definition of the log got.
    pub(crate) fn defined(&mut self, definition: &Definition, number: u32) {
        match definition {
            Definition::Database { .. } => self.databases.defined.push(number),
            Definition::Measurement { .. } => self.measurements.defined.push(number),
            Definition::Series { .. } => self.series.defined.push(number),
            Definition::Field {
                measurement,
                field_type,
                ..
            } => {
                let base = self.fields_below(*measurement);
                let line = self.fields.entry(*measurement);
                let line = line.or_insert_with(|| Line::new(base));
                line.defined.push((number, *field_type));
            }
        }
    }

    fn fields_below(&self, measurement: MeasurementNo) -> u32 {
        let below = self.fields_below.get(measurement as usize);
        below.copied().unwrap_or(0)
    }

    pub(crate) fn series(&self, of: SeriesNo) -> Option<SeriesNo> {
        self.series.number(of)
    }

    /// A field of a series of the log: its number in the catalogue, and the type that its values have in the
    /// log.
    pub(crate) fn field(
        &self,
        catalogue: &Catalogue,
        series: SeriesNo,
        field: FieldNo,
    ) -> Option<(FieldNo, FieldType)> {
        let measurement = catalogue.series(series)?.measurement;
        let own = self.own_measurement(measurement)?;
        let found = match self.fields.get(&own) {
            Some(line) => line.get(field)?,
            None if field < self.fields_below(own) => Err(field),
            None => return None,
        };
        match found {
            Ok(defined) => Some(defined),
            Err(below) => {
                let known = catalogue
                    .measurement(measurement)?
                    .fields
                    .get(below as usize)?;
                Some((below, known.field_type))
            }
        }
    }

    /// The number that the log has for a measurement.
    fn own_measurement(&self, measurement: MeasurementNo) -> Option<MeasurementNo> {
        let defined = self.measurements.defined.iter();
        let place = defined.clone().position(|it| *it == measurement);
        match place {
            Some(place) => {
                let place = u32::try_from(place).ok()?;
                Some(self.measurements.base + place)
            }
            None => (measurement < self.measurements.base).then_some(measurement),
        }
    }
}
