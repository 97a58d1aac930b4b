//! What databases, measurements, fields and series there are: in memory, by number.
//!
//! Numbers are given in order of definition and never again; the append log and the database name
//! everything by them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use smartem_points::{FieldType, SeriesKey};

use super::mapping::{Mapping, StationOf, Untold};
use super::rows::FieldNo;

/// A database by its number.
pub(crate) type DatabaseNo = u32;
/// A measurement by its number, over all databases.
pub(crate) type MeasurementNo = u32;
/// A series by its number, over all databases.
pub(crate) type SeriesNo = u32;

/// Something that is there from now on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Definition {
    Database {
        name: Box<str>,
    },
    Measurement {
        database: DatabaseNo,
        name: Box<str>,
    },
    Field {
        measurement: MeasurementNo,
        name: Box<str>,
        field_type: FieldType,
    },
    Series {
        measurement: MeasurementNo,
        tags: Box<[(Box<str>, Box<str>)]>,
    },
}

/// All that is there.
#[derive(Default)]
pub(crate) struct Catalogue {
    mapping: Arc<Mapping>,
    databases: Vec<Database>,
    database_by_name: HashMap<Box<str>, DatabaseNo>,
    measurements: Vec<Measurement>,
    series: Vec<Series>,
    /// Series of which it could not be told whose they are.
    undecided: Vec<SeriesNo>,
}

pub(crate) struct Database {
    pub(crate) name: Box<str>,
    pub(crate) measurements: BTreeMap<Box<str>, MeasurementNo>,
    series: HashMap<Arc<SeriesKey>, SeriesNo, foldhash::fast::RandomState>,
}

pub(crate) struct Measurement {
    pub(crate) database: DatabaseNo,
    pub(crate) name: Box<str>,
    pub(crate) fields: Vec<Field>,
    field_by_name: HashMap<Box<str>, FieldNo>,
    pub(crate) series: Vec<SeriesNo>,
}

pub(crate) struct Field {
    pub(crate) name: Box<str>,
    pub(crate) field_type: FieldType,
}

pub(crate) struct Series {
    pub(crate) key: Arc<SeriesKey>,
    pub(crate) measurement: MeasurementNo,
    /// The station whose series it is.
    pub(crate) station: Option<Arc<StationOf>>,
}

/// A number that a definition got, or why it cannot be one: it names what is not there.
#[derive(Debug, thiserror::Error)]
#[error("{0} that is not defined")]
pub(crate) struct Undefined(pub(crate) &'static str);

impl Catalogue {
    pub(crate) fn new(mapping: Mapping) -> Self {
        Self {
            mapping: Arc::new(mapping),
            ..Self::default()
        }
    }

    /// Makes something known; defining what is there already changes nothing.
    pub(crate) fn define(&mut self, definition: &Definition) -> Result<u32, Undefined> {
        match definition {
            Definition::Database { name } => Ok(self.define_database(name)),
            Definition::Measurement { database, name } => self.define_measurement(*database, name),
            Definition::Field {
                measurement,
                name,
                field_type,
            } => self.define_field(*measurement, name, *field_type),
            Definition::Series { measurement, tags } => self.define_series(*measurement, tags),
        }
    }

    fn define_database(&mut self, name: &str) -> DatabaseNo {
        if let Some(known) = self.database_by_name.get(name) {
            return *known;
        }
        let number = number(self.databases.len());
        self.databases.push(Database {
            name: name.into(),
            measurements: BTreeMap::new(),
            series: HashMap::default(),
        });
        self.database_by_name.insert(name.into(), number);
        number
    }

    fn define_measurement(
        &mut self,
        database: DatabaseNo,
        name: &str,
    ) -> Result<MeasurementNo, Undefined> {
        let holder = self.databases.get_mut(database as usize);
        let holder = holder.ok_or(Undefined("a database"))?;
        if let Some(known) = holder.measurements.get(name) {
            return Ok(*known);
        }
        let number = number(self.measurements.len());
        holder.measurements.insert(name.into(), number);
        self.measurements.push(Measurement {
            database,
            name: name.into(),
            fields: Vec::new(),
            field_by_name: HashMap::new(),
            series: Vec::new(),
        });
        Ok(number)
    }

    fn define_field(
        &mut self,
        measurement: MeasurementNo,
        name: &str,
        field_type: FieldType,
    ) -> Result<FieldNo, Undefined> {
        let holder = self.measurements.get_mut(measurement as usize);
        let holder = holder.ok_or(Undefined("a measurement"))?;
        if let Some(known) = holder.field_by_name.get(name) {
            return Ok(*known);
        }
        let number = number(holder.fields.len());
        holder.fields.push(Field {
            name: name.into(),
            field_type,
        });
        holder.field_by_name.insert(name.into(), number);
        Ok(number)
    }

    fn define_series(
        &mut self,
        measurement: MeasurementNo,
        tags: &[(Box<str>, Box<str>)],
    ) -> Result<SeriesNo, Undefined> {
        let holder = self.measurements.get_mut(measurement as usize);
        let holder = holder.ok_or(Undefined("a measurement"))?;
        let key = Arc::new(SeriesKey {
            measurement: holder.name.clone(),
            tags: tags.into(),
        });
        let database = &mut self.databases[holder.database as usize];
        if let Some(known) = database.series.get(&key) {
            return Ok(*known);
        }
        let number = number(self.series.len());
        let station = self.mapping.station_of(&database.name, &key);
        if station.is_err() {
            self.undecided.push(number);
        }
        holder.series.push(number);
        database.series.insert(key.clone(), number);
        self.series.push(Series {
            station: station.ok().flatten().map(Arc::new),
            key,
            measurement,
        });
        Ok(number)
    }

    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    pub(crate) fn is_undecided(&self, series: SeriesNo) -> bool {
        self.undecided.contains(&series)
    }

    /// Takes the series of which it could not be told whose they are.
    pub(crate) fn take_undecided(&mut self) -> Vec<SeriesNo> {
        std::mem::take(&mut self.undecided)
    }

    /// Gives series to stations, or puts them back to be decided later.
    pub(crate) fn decide(&mut self, series: SeriesNo, station: Result<Option<StationOf>, Untold>) {
        match (station, self.series.get_mut(series as usize)) {
            (Ok(station), Some(known)) => known.station = station.map(Arc::new),
            (Err(Untold), Some(_)) => self.undecided.push(series),
            (_, None) => {}
        }
    }

    /// All measurements in order of number.
    pub(crate) fn all_measurements(&self) -> &[Measurement] {
        &self.measurements
    }

    pub(crate) fn databases(&self) -> &[Database] {
        &self.databases
    }

    pub(crate) fn database(&self, name: &str) -> Option<DatabaseNo> {
        self.database_by_name.get(name).copied()
    }

    pub(crate) fn measurement_of(&self, database: DatabaseNo, name: &str) -> Option<MeasurementNo> {
        let database = self.databases.get(database as usize)?;
        database.measurements.get(name).copied()
    }

    pub(crate) fn series_of(&self, database: DatabaseNo, key: &SeriesKey) -> Option<SeriesNo> {
        let database = self.databases.get(database as usize)?;
        database.series.get(key).copied()
    }

    pub(crate) fn field_of(&self, measurement: MeasurementNo, name: &str) -> Option<FieldNo> {
        let measurement = self.measurements.get(measurement as usize)?;
        measurement.field_by_name.get(name).copied()
    }

    pub(crate) fn measurement(&self, number: MeasurementNo) -> Option<&Measurement> {
        self.measurements.get(number as usize)
    }

    pub(crate) fn series(&self, number: SeriesNo) -> Option<&Series> {
        self.series.get(number as usize)
    }

    /// All series in order of number.
    pub(crate) fn all_series(&self) -> &[Series] {
        &self.series
    }

    /// The database of a series.
    pub(crate) fn database_of(&self, series: &Series) -> &str {
        let measurement = &self.measurements[series.measurement as usize];
        &self.databases[measurement.database as usize].name
    }
}

/// Numbers are of 32 bits: the names alone of as many series would not fit into memory.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
