use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::harvest::http::Politeness;
use crate::harvest::source::Names;

/// Settings of one source, `[[process.harvester-csv.source]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct CsvConfig {
    /// The names of the source.
    #[serde(flatten)]
    pub names: Names,
    /// File or folder, relative to the folder of the configuration file. Of a folder all `*.csv`,
    /// `*.csv.gz` and the `*.csv` in `*.zip`, those of its folders too; what is hidden (`.name`, `__MACOSX`) is left out. A file should come in whole:
    /// written beside and renamed.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// Address of a file.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub url: Option<Url>,
    /// Addresses of files.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub urls: Vec<Url>,
    /// A known format, whose settings hold where none are given here; see the list above.
    #[serde(default)]
    pub preset: Option<String>,
    /// How addresses are asked.
    #[serde(flatten)]
    pub http: Politeness,
    /// What the columns mean.
    #[serde(flatten)]
    pub mapping: Mapping,
}

/// What the columns of a file mean.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Mapping {
    /// What stands between fields: `,`, `;`, `tab` or another single character; found out by itself
    /// among these three when it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The names of the columns of a file without a header line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Vec<String>>,
    /// Whether numbers are written with a comma, as `12,5`; default no.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal_comma: Option<bool>,
    /// The station of all rows, its whole id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station: Option<String>,
    /// The column that names the station.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station_column: Option<String>,
    /// The station is the name of the file up to this text, or up to its first dot. `date`: up to the
    /// date at the end of the name, as in `x-2018-05-11.csv`, which must be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station_from_file: Option<String>,
    /// What is put before the name of a column or file to make the station's id; default the network
    /// and a colon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station_prefix: Option<String>,
    /// The station type; default `vanilla`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station_type: Option<String>,
    /// The instrument of all rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_id: Option<String>,
    /// The columns that name the instrument, joined with `-`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta_id_columns: Option<Vec<String>>,
    /// The column of the date, where it stands apart from the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_column: Option<String>,
    /// The column of the time, or of date and time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
    /// How times are written, in the way of `strftime`, tried in this order; also `epoch` (seconds
    /// since 1970), `epoch_ms` and `excel` (days since 1899-12-30). Date and time of two columns are
    /// joined with a blank. Default RFC 3339, also with a zone as `[Europe/Amsterdam]` behind it, or
    /// `YYYY-MM-DD hh:mm:ss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_format: Option<Vec<String>>,
    /// The zone of times that name none: an IANA name or a fixed `+01:00`; default `UTC`. A local
    /// time that comes twice when clocks are put back is the first one, and the second one where the
    /// rows of a station and instrument in this file ascend and it is not after the row before. One
    /// that does not exist makes the row a bad one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What the time of a row is: the `instant` of measuring (default), or the `start` or `end` of
    /// the `interval` that was averaged over. A sample stands at the start of its interval, so that
    /// an average stamped at the end of an hour belongs to that hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    /// The interval that was averaged over; needed with `stamp = "end"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub interval: Option<SignedDuration>,
    /// The column of the latitude, in degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lat_column: Option<String>,
    /// The column of the longitude, in degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lon_column: Option<String>,
    /// The column of the altitude, in metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt_column: Option<String>,
    /// Where the station is, when no column tells: `{ lat = 51.8, lon = 5.9, alt = 10 }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Place>,
    /// Texts that stand for no value, beside the empty one; a number also when it is written
    /// otherwise, as `-200` and `-200.0`.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "texts_or_numbers"
    )]
    pub missing: Option<Vec<String>>,
    /// Which column becomes which key of the sample: `pm10 = "P1"`, or with a change of unit
    /// `co = { column = "CO_GT", unit = "mg/m3" }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<BTreeMap<String, ColumnSetting>>,
    /// What becomes of other columns: `ignore` (default), or `keep` them under their own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns_rest: Option<Rest>,
    /// Columns that are left out although others are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns_drop: Option<Vec<String>>,
    /// For files with one value in a row: the column that names what was measured. The `column` in
    /// `columns` is then the name that stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_column: Option<String>,
    /// For files with one value in a row: the column of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_column: Option<String>,
    /// How the rows stand to what is stored of an hour: `part` (default) adds to measured samples,
    /// `archive` only fills hours that have none. With both, a value that is corrected later stands
    /// beside the one before, and the refiner takes neither. `whole` takes the place of what is stored:
    /// for files that have one row for a station and hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<FileStanding>,
}

/// Texts, of which numbers may be written as such.
fn texts_or_numbers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`missing` holds texts and numbers")]
    enum Written {
        Text(String),
        Number(f64),
    }
    let written: Option<Vec<Written>> = Option::deserialize(from)?;
    let text = |written| match written {
        Written::Text(text) => text,
        Written::Number(number) => number.to_string(),
    };
    Ok(written.map(|all| all.into_iter().map(text).collect()))
}

/// What the time of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stamp {
    /// When it was measured.
    Instant,
    /// Begin of the interval averaged over.
    Start,
    /// End of the interval averaged over.
    End,
}

/// A fixed place.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Latitude in degrees.
    pub lat: f64,
    /// Longitude in degrees.
    pub lon: f64,
    /// Altitude in metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<f64>,
}

/// A column, and how its numbers become those of the station type.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ColumnSetting {
    /// Its name; the numbers stay as they are.
    Name(String),
    /// value = number · `factor` / `divide` + `offset`.
    Changed(ChangedColumn),
}

/// A column whose numbers are changed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedColumn {
    /// Its name.
    pub column: String,
    /// What numbers are multiplied with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// What numbers are divided by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divide: Option<f64>,
    /// What is added then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f64>,
    /// In place of the others: the unit of the numbers, changed to that of the indicator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// What becomes of columns that `columns` does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// They are left out.
    Ignore,
    /// They are kept under their own name.
    Keep,
}

/// How rows stand to what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileStanding {
    /// They are measured samples of an hour.
    Part,
    /// They fill hours that have none.
    Archive,
    /// They are all there is of an hour.
    Whole,
}

impl CsvConfig {
    /// A source of this name with this mapping, without any file yet.
    pub fn new(name: &str, mapping: Mapping) -> Self {
        Self {
            names: Names {
                name: name.to_owned(),
                ..Names::default()
            },
            path: None,
            url: None,
            urls: Vec::new(),
            preset: None,
            http: Politeness::default(),
            mapping,
        }
    }
}
