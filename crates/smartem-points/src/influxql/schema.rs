//! What there is to read: looked up once for each query.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::ast::{DataType, Measurement};
use crate::{FieldType, PointSource, SeriesInfo};

/// A measurement of a database.
pub(crate) struct Table {
    /// Its fields with their types, by name.
    pub(crate) fields: Vec<(String, DataType)>,
    /// Its series, by key.
    pub(crate) series: Vec<SeriesInfo>,
    tags: OnceCell<BTreeSet<String>>,
}

impl Table {
    /// The type of a field.
    pub(crate) fn field(&self, name: &str) -> Option<DataType> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, data_type)| *data_type)
    }

    /// The keys of its tags.
    pub(crate) fn tags(&self) -> &BTreeSet<String> {
        self.tags.get_or_init(|| {
            let mut tags = BTreeSet::new();
            for (key, _) in self.series.iter().flat_map(|it| &it.key.tags) {
                if !tags.contains(&**key) {
                    tags.insert(key.to_string());
                }
            }
            tags
        })
    }

    /// What a name is here.
    pub(crate) fn data_type(&self, name: &str) -> DataType {
        self.field(name).unwrap_or_else(|| {
            if self.tags().contains(name) {
                DataType::Tag
            } else {
                DataType::Unknown
            }
        })
    }
}

/// The measurements that a query has looked at.
pub(crate) struct Schema<'a> {
    pub(crate) source: &'a dyn PointSource,
    tables: RefCell<HashMap<(String, String), Rc<Table>>>,
}

impl<'a> Schema<'a> {
    pub(crate) fn new(source: &'a dyn PointSource) -> Self {
        Self {
            source,
            tables: RefCell::default(),
        }
    }

    /// A measurement, empty where there is none.
    pub(crate) fn table(&self, database: &str, measurement: &str) -> Rc<Table> {
        let key = (database.to_owned(), measurement.to_owned());
        if let Some(known) = self.tables.borrow().get(&key) {
            return Rc::clone(known);
        }
        let fields = self.source.fields(database, measurement).into_iter();
        let table = Rc::new(Table {
            fields: fields.map(|(name, it)| (name, data_type(it))).collect(),
            series: self.source.series(database, measurement),
            tags: OnceCell::new(),
        });
        self.tables.borrow_mut().insert(key, Rc::clone(&table));
        table
    }

    /// The names of the measurements that are meant, by name.
    pub(crate) fn names(&self, database: &str, meant: &Measurement) -> Vec<String> {
        let Some(regex) = &meant.regex else {
            return vec![meant.name.clone()];
        };
        let mut names = self.source.measurements(database);
        names.retain(|name| regex.is_match(name));
        names
    }
}

pub(crate) fn data_type(field: FieldType) -> DataType {
    match field {
        FieldType::Float => DataType::Float,
        FieldType::Integer => DataType::Integer,
        FieldType::Unsigned => DataType::Unsigned,
        FieldType::Boolean => DataType::Boolean,
        FieldType::String => DataType::String,
    }
}
