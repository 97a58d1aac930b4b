//! From a row to a sample: what the columns of one file mean.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use smartem_etl::SettingsError;
use smartem_model::{StationId, Vocabulary};

use super::change::{Change, change_of};
use super::check;
use super::clock::{Clocks, Instants, Stream};
use super::config::{FileStanding, Mapping, Rest};
use super::time::Times;
use crate::harvest::samples::{Sample, shifted};

/// The settings of a source, read once: what holds for all its files.
#[derive(Clone, Debug)]
pub(in crate::harvest) struct Format {
    mapping: Mapping,
    times: Times,
    pub(super) delimiter: Option<u8>,
    prefix: String,
    station_type: String,
    /// By the name of the column, or of what is measured in files with one value in a row.
    keys: HashMap<String, Vec<(String, Change)>>,
}

impl Format {
    /// Settings that are complete, in a network, over a vocabulary of indicators and their units.
    ///
    /// # Errors
    /// When a setting is missing or makes no sense; tells which and what to write.
    pub(in crate::harvest) fn new(
        mapping: Mapping,
        network: &str,
        vocabulary: Option<&Vocabulary>,
    ) -> Result<Self, SettingsError> {
        let refused = |problem: &str| Err(SettingsError(problem.to_owned()));
        let ways = [
            mapping.station.is_some(),
            mapping.station_column.is_some(),
            mapping.station_from_file.is_some(),
        ];
        if ways.iter().filter(|given| **given).count() != 1 {
            return refused(
                "write one of `station`, `station_column` and `station_from_file`: whose rows they are",
            );
        }
        if mapping.time_column.is_none() {
            return refused("`time_column`: write the name of the column of the time");
        }
        if mapping.key_column.is_some() != mapping.value_column.is_some() {
            return refused("`key_column` and `value_column` go together");
        }
        let is_kept = mapping.columns_rest == Some(Rest::Keep);
        if mapping.columns.as_ref().is_none_or(BTreeMap::is_empty) && !is_kept {
            return refused(
                "`columns`: write which column becomes which key, such as `columns.pm10 = \"P1\"`",
            );
        }
        check::check(&mapping)?;
        let delimiter = check::delimiter(mapping.delimiter.as_deref())?;
        let mut keys = HashMap::<String, Vec<_>>::new();
        for (key, setting) in mapping.columns.iter().flatten() {
            let (column, change) = change_of(key, setting, vocabulary)?;
            keys.entry(column).or_default().push((key.clone(), change));
        }
        let prefix = mapping.station_prefix.clone();
        Ok(Self {
            times: Times::new(&mapping)?,
            delimiter,
            prefix: prefix.unwrap_or_else(|| format!("{network}:")),
            station_type: mapping
                .station_type
                .clone()
                .unwrap_or_else(|| "vanilla".to_owned()),
            keys,
            mapping,
        })
    }

    pub(in crate::harvest) fn station_type(&self) -> &str {
        &self.station_type
    }

    pub(super) fn standing(&self) -> FileStanding {
        self.mapping.standing.unwrap_or(FileStanding::Part)
    }

    /// The names of the columns of files that do not tell them.
    pub(super) fn header(&self) -> Option<&Vec<String>> {
        self.mapping.header.as_ref()
    }

    fn station_of_file(&self, file: &str) -> Option<StationId> {
        if let Some(station) = &self.mapping.station {
            return StationId::new(station);
        }
        let until = self.mapping.station_from_file.as_deref()?;
        let name = file.rsplit('/').next()?;
        let stem = name.split('.').next()?;
        let local = match until {
            "" => stem,
            DATE => before_date(stem)?,
            until => stem.split(until).next()?,
        };
        StationId::new(&format!("{}{local}", self.prefix))
    }
}

/// The value of `station_from_file` that stands for a date at the end of the name.
const DATE: &str = "date";

/// The name of a file up to the date at its end, as in `x-2018-05-11`.
fn before_date(stem: &str) -> Option<&str> {
    let (before, date) = stem.split_at_checked(stem.len().checked_sub(10)?)?;
    date.parse::<jiff::civil::Date>().ok()?;
    let local = before.strip_suffix(['-', '_', ' '])?;
    Some(local).filter(|local| !local.is_empty())
}

/// The columns of one file.
pub(super) struct Layout<'a> {
    format: &'a Format,
    header: Vec<String>,
    /// For rows that do not name their station.
    station: Option<StationId>,
    station_column: Option<usize>,
    meta_id: Vec<usize>,
    date: Option<usize>,
    time: usize,
    place: [(&'static str, Option<usize>); 3],
    key_and_value: Option<(usize, usize)>,
    /// Column, key of the sample, and change; `None` for columns kept as they are.
    values: Vec<(usize, String, Option<Change>)>,
}

impl<'a> Layout<'a> {
    /// The layout of a file of this name with this header.
    ///
    /// # Errors
    /// When a column is not there without which no row can be read.
    pub(super) fn new(format: &'a Format, file: &str, header: Vec<String>) -> Result<Self, String> {
        let mapping = &format.mapping;
        let find = |column: &str| find(&header, column);
        let found = |column: &Option<String>| column.as_deref().map(find).transpose();
        let optional = |column: &Option<String>| column.as_deref().and_then(|c| find(c).ok());
        let station = format.station_of_file(file);
        let station_column = found(&mapping.station_column)?;
        if station.is_none() && station_column.is_none() {
            return Err(
                "the name of the file gives no station id as `station_from_file` says".to_owned(),
            );
        }
        let key_and_value = found(&mapping.key_column)?.zip(found(&mapping.value_column)?);
        let meta_id = mapping.meta_id_columns.iter().flatten();
        let meta_id = meta_id
            .map(|column| find(column))
            .collect::<Result<Vec<usize>, String>>()?;
        let mut layout = Self {
            station,
            station_column,
            meta_id,
            date: found(&mapping.date_column)?,
            time: found(&mapping.time_column)?.unwrap_or_default(),
            place: [
                ("longitude", optional(&mapping.lon_column)),
                ("latitude", optional(&mapping.lat_column)),
                ("altitude", optional(&mapping.alt_column)),
            ],
            key_and_value,
            values: Vec::new(),
            format,
            header,
        };
        if layout.key_and_value.is_none() {
            layout.values = layout.value_columns()?;
        }
        Ok(layout)
    }

    fn value_columns(&self) -> Result<Vec<(usize, String, Option<Change>)>, String> {
        let mut values = Vec::new();
        for (column, keys) in &self.format.keys {
            if self.header.contains(column) {
                let index = find(&self.header, column)?;
                let each = keys.iter();
                values.extend(each.map(|(key, change)| (index, key.clone(), Some(*change))));
            }
        }
        if values.is_empty() && self.format.mapping.columns_rest != Some(Rest::Keep) {
            return Err(format!(
                "none of the columns of `columns` is there; there are: {}",
                self.header.join(", ")
            ));
        }
        if self.format.mapping.columns_rest == Some(Rest::Keep) {
            values.extend(self.rest());
        }
        values.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        Ok(values)
    }

    /// Columns that nothing else uses.
    fn rest(&self) -> Vec<(usize, String, Option<Change>)> {
        let mapping = &self.format.mapping;
        let is_used = |index: usize| {
            let places = self.place.iter().filter_map(|(_, column)| *column);
            let mut used = self.meta_id.iter().copied().chain(places);
            used.any(|column| column == index)
                || Some(index) == self.station_column
                || Some(index) == self.date
                || index == self.time
        };
        let dropped = mapping.columns_drop.as_deref().unwrap_or_default();
        let columns = self.header.iter().enumerate();
        columns
            .filter(|(index, column)| {
                !is_used(*index)
                    && !column.is_empty()
                    && !dropped.contains(column)
                    && !self.format.keys.contains_key(*column)
                    // A column may not take the place of a key that another one becomes.
                    && !self.is_key(column)
            })
            .map(|(index, column)| (index, column.clone(), None))
            .collect()
    }

    fn is_key(&self, name: &str) -> bool {
        let keys = self.format.keys.values().flatten();
        ["time", "meta_id", "longitude", "latitude", "altitude"].contains(&name)
            || keys.map(|(key, _)| key.as_str()).any(|key| key == name)
    }

    /// The sample of a row; `None` when it holds no value. The error tells column, value and remedy.
    pub(super) fn read(
        &self,
        fields: &[String],
        clocks: &mut Clocks,
    ) -> Result<Option<(StationId, Sample)>, String> {
        if fields.len() != self.header.len() {
            return Err(format!(
                "{} fields where the header names {}; no value can be told to belong to a column",
                fields.len(),
                self.header.len()
            ));
        }
        let mut sample = self.values_of(fields)?;
        if sample.is_empty() {
            // Its time still tells where the clock is.
            if self.needs_clocks()
                && let (Ok(station), Ok(instants)) = (self.station(fields), self.time(fields))
            {
                clocks.tell(self.stream(station, fields), instants);
            }
            return Ok(None);
        }
        let station = self.station(fields)?;
        let instants = self.time(fields)?;
        let time = if self.needs_clocks() {
            clocks.tell(self.stream(station.clone(), fields), instants)
        } else {
            instants.first
        };
        self.put_place(fields, &mut sample)?;
        Ok(Some((
            station,
            Sample::new(time, self.instrument(fields), sample),
        )))
    }

    /// Whether a row's time depends on the rows before it.
    pub(super) fn needs_clocks(&self) -> bool {
        self.format.times.may_come_twice()
    }

    fn stream(&self, station: StationId, fields: &[String]) -> Stream {
        let key = self.key_and_value.map(|(key, _)| fields[key].clone());
        (station, self.instrument(fields), key)
    }

    fn station(&self, fields: &[String]) -> Result<StationId, String> {
        let Some(column) = self.station_column else {
            return self.station.clone().ok_or_else(|| "no station".to_owned());
        };
        let local = fields[column].as_str();
        if local.is_empty() || self.is_missing(local) {
            return Err(format!("column `{}` names no station", self.header[column]));
        }
        let id = format!("{}{local}", self.format.prefix);
        StationId::new(&id).ok_or_else(|| {
            format!(
                "column `{}`: `{}` cannot be part of a station id",
                self.header[column],
                excerpt(local)
            )
        })
    }

    fn instrument(&self, fields: &[String]) -> Option<String> {
        if self.meta_id.is_empty() {
            return self.format.mapping.meta_id.clone();
        }
        let parts: Vec<&str> = self.meta_id.iter().map(|c| fields[*c].as_str()).collect();
        Some(parts.join("-"))
    }

    fn time(&self, fields: &[String]) -> Result<Instants, String> {
        let text = match self.date {
            Some(date) => format!("{} {}", fields[date], fields[self.time]),
            None => fields[self.time].clone(),
        };
        self.format.times.read(&text).map_err(|problem| {
            let column = &self.header[self.time];
            format!("column `{column}`: `{}` {problem}", excerpt(&text))
        })
    }

    fn values_of(&self, fields: &[String]) -> Result<BTreeMap<String, Value>, String> {
        let mut sample = BTreeMap::new();
        if let Some((key, value)) = self.key_and_value {
            let name = &fields[key];
            let text = fields[value].as_str();
            match self.format.keys.get(name) {
                Some(keys) => {
                    for (key, change) in keys {
                        if let Some(number) = self.number(value, text, *change)? {
                            sample.insert(key.clone(), number.into());
                        }
                    }
                }
                None if self.format.mapping.columns_rest == Some(Rest::Keep)
                    && !self.is_key(name) =>
                {
                    if let Some(number) = self.number(value, text, Change::default())? {
                        sample.insert(name.clone(), number.into());
                    }
                }
                None => {}
            }
            return Ok(sample);
        }
        for (column, key, change) in &self.values {
            let text = fields[*column].as_str();
            match change {
                Some(change) => {
                    if let Some(number) = self.number(*column, text, *change)? {
                        sample.insert(key.clone(), number.into());
                    }
                }
                None if self.is_missing(text) => {}
                None => {
                    let number = self.parsed(text);
                    let kept = number.map_or_else(|| Value::from(text), Value::from);
                    sample.insert(key.clone(), kept);
                }
            }
        }
        Ok(sample)
    }

    fn put_place(
        &self,
        fields: &[String],
        sample: &mut BTreeMap<String, Value>,
    ) -> Result<(), String> {
        if let Some(place) = self.format.mapping.position {
            let alt = place.alt.map(|alt| ("altitude", alt));
            let known = [("longitude", place.lon), ("latitude", place.lat)];
            for (key, number) in known.into_iter().chain(alt) {
                sample.insert(key.to_owned(), number.into());
            }
        }
        for (key, column) in &self.place {
            let Some(column) = *column else { continue };
            if let Some(number) = self.number(column, &fields[column], Change::default())? {
                sample.insert((*key).to_owned(), number.into());
            }
        }
        Ok(())
    }

    /// The number in a field, changed; `None` where the text stands for no value.
    fn number(&self, column: usize, text: &str, change: Change) -> Result<Option<f64>, String> {
        if self.is_missing(text) {
            return Ok(None);
        }
        let plain = self.plain(text);
        let number = plain.as_deref().and_then(|text| change.apply(text));
        number.map(Some).ok_or_else(|| {
            format!(
                "column `{}`: `{}` is no number; if it stands for no value, list it in `missing`",
                self.header[column],
                excerpt(text)
            )
        })
    }

    fn parsed(&self, text: &str) -> Option<f64> {
        shifted(&self.plain(text)?, 0)
    }

    /// The text of a number with a point; `None` for `inf`, `nan` and the like, which are numbers for
    /// the standard library only.
    fn plain(&self, text: &str) -> Option<String> {
        let is_comma = self.format.mapping.decimal_comma == Some(true);
        let plain = if is_comma {
            text.replace(',', ".")
        } else {
            text.to_owned()
        };
        let is_plain = plain.bytes().all(|byte| b"+-.0123456789eE".contains(&byte));
        is_plain.then_some(plain)
    }

    fn is_missing(&self, text: &str) -> bool {
        let missing = self.format.mapping.missing.iter().flatten();
        let same_number = |other: &str| {
            let (a, b) = (self.parsed(text), self.parsed(other));
            a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= 0.0)
        };
        text.is_empty() || missing.into_iter().any(|m| m == text || same_number(m))
    }
}

/// The place of a column that must be there, and only once.
fn find(header: &[String], column: &str) -> Result<usize, String> {
    let mut places = header
        .iter()
        .enumerate()
        .filter(|(_, name)| *name == column);
    let Some((place, _)) = places.next() else {
        let names = || header.iter().map(String::as_str);
        let hint = smartem_model::nearest(column, names()).map_or_else(
            || format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
            |near| format!("there is `{near}`"),
        );
        return Err(format!("no column `{column}`; {hint}"));
    };
    if places.next().is_some() {
        return Err(format!("two columns are named `{column}`"));
    }
    Ok(place)
}

fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}
