//! Rows as points in the line protocol of InfluxDB 1.x.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use smartem_etl::Row;

use super::geohash::geohash;
use super::number;

/// Settings that say what of a row is written, and how.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct LineSettings {
    /// The measurement.
    pub measurement: String,
    /// Tags: by the name of each the attribute it holds, such as `{ station = "device_id" }`.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Fields: by the name of each the attribute it holds.
    pub fields: BTreeMap<String, String>,
    /// Finest unit of time that is kept: "s", "ms", "us" or "ns"; finer parts are cut off. Times are
    /// written in nanoseconds all the same, and rows that fall on one time of a series become one
    /// point.
    #[serde(default)]
    #[schemars(with = "String")]
    pub time_precision: TimePrecision,
    /// Significant digits of real numbers, 1 to 17; without it as many as the number has. The
    /// original wrote 12.
    #[serde(default)]
    pub float_digits: Option<u8>,
    /// Whether a tag holds the geohash of the position.
    #[serde(default)]
    pub geohash_tag: bool,
    /// Name of that tag.
    #[serde(default = "geohash_tag_name")]
    pub geohash_tag_name: String,
    /// Characters of the geohash in the tag, 1 to 12.
    #[serde(default = "geohash_tag_precision")]
    pub geohash_tag_precision: u8,
    /// Whether a field holds the geohash of the position.
    #[serde(default)]
    pub geohash_field: bool,
    /// Name of that field.
    #[serde(default = "geohash_field_name")]
    pub geohash_field_name: String,
    /// Characters of the geohash in the field, 1 to 12.
    #[serde(default = "geohash_field_precision")]
    pub geohash_field_precision: u8,
    /// Whether positions on the equator or the zero meridian have no geohash, as in the original.
    #[serde(default)]
    pub geohash_skip_zero: bool,
}

fn geohash_tag_name() -> String {
    "geohash_tag".to_owned()
}

fn geohash_tag_precision() -> u8 {
    7
}

fn geohash_field_name() -> String {
    "geohash".to_owned()
}

fn geohash_field_precision() -> u8 {
    12
}

/// The finest unit of time that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TimePrecision {
    /// Seconds.
    S,
    /// Milliseconds.
    #[default]
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl TimePrecision {
    fn nanoseconds(self) -> i128 {
        match self {
            Self::S => 1_000_000_000,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Ns => 1,
        }
    }
}

/// Turns rows into points.
#[derive(Debug)]
pub struct Encoder {
    settings: LineSettings,
    /// The measurement, escaped.
    measurement: String,
    /// Names escaped, in order of the names, with what they hold.
    tags: Vec<(String, Source)>,
    fields: Vec<(String, Source)>,
}

/// Where the value of a tag or field comes from.
#[derive(Debug)]
enum Source {
    Attribute(String),
    Geohash(u8),
}

/// A point: what one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Measurement and tags, as they stand in the line.
    series: String,
    /// Names and values, as they stand in the line.
    fields: Vec<(String, String)>,
    /// Nanoseconds since 1970.
    time: i64,
}

/// Why a row gives no point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPoint {
    /// None of its fields has a value.
    WithoutField,
    /// InfluxDB has no such time: it keeps 64 bits of nanoseconds, 1677 to 2262.
    BeyondTime,
}

impl Encoder {
    /// An encoder with these settings.
    ///
    /// # Errors
    /// When the protocol cannot say what the settings ask for; the text names the setting.
    pub fn new(settings: LineSettings) -> Result<Self, String> {
        check_name("measurement", &settings.measurement)?;
        if settings.measurement.starts_with('#') {
            return Err("`measurement`: a line that begins with `#` is a comment".to_owned());
        }
        if settings.fields.is_empty() {
            return Err("`fields`: a point needs at least one".to_owned());
        }
        if settings
            .float_digits
            .is_some_and(|digits| !(1..=17).contains(&digits))
        {
            return Err("`float_digits`: 1 to 17".to_owned());
        }
        let tag_hash = settings.geohash_tag.then_some(Extra {
            setting: "geohash_tag",
            name: &settings.geohash_tag_name,
            characters: settings.geohash_tag_precision,
        });
        let field_hash = settings.geohash_field.then_some(Extra {
            setting: "geohash_field",
            name: &settings.geohash_field_name,
            characters: settings.geohash_field_precision,
        });
        Ok(Self {
            measurement: escaped(&settings.measurement, &[',', ' ']),
            tags: sources("tags", &settings.tags, tag_hash.as_ref())?,
            fields: sources("fields", &settings.fields, field_hash.as_ref())?,
            settings,
        })
    }

    /// The measurement that points belong to.
    pub fn measurement(&self) -> &str {
        &self.settings.measurement
    }

    /// The point that a row is, or why it is none.
    pub fn point(&self, row: &Row) -> Result<Point, NoPoint> {
        let unit = self.settings.time_precision.nanoseconds();
        let time = row.time.as_nanosecond().div_euclid(unit) * unit;
        // The outermost values of 64 bits are reserved.
        let time = i64::try_from(time)
            .ok()
            .filter(|time| (i64::MIN + 2..i64::MAX).contains(time))
            .ok_or(NoPoint::BeyondTime)?;
        let mut series = self.measurement.clone();
        for (name, source) in &self.tags {
            if let Some(value) = self.tag_value(source, row) {
                series.extend([",", name, "=", &value]);
            }
        }
        // A geohash alone says nothing.
        let mut has_value = false;
        let mut fields = Vec::with_capacity(self.fields.len());
        for (name, source) in &self.fields {
            if let Some(value) = self.field_value(source, row) {
                has_value |= matches!(source, Source::Attribute(_));
                fields.push((name.clone(), value));
            }
        }
        if !has_value {
            return Err(NoPoint::WithoutField);
        }
        Ok(Point {
            series,
            fields,
            time,
        })
    }

    fn tag_value(&self, source: &Source, row: &Row) -> Option<String> {
        let text = match source {
            Source::Geohash(characters) => self.geohash(row, *characters)?,
            Source::Attribute(attribute) => match row.attributes.get(attribute.as_str())? {
                Value::String(text) => text.clone(),
                Value::Bool(value) => value.to_string(),
                Value::Number(number) => self.number(number)?,
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            },
        };
        (!text.is_empty()).then(|| escaped_tag_value(&text))
    }

    fn field_value(&self, source: &Source, row: &Row) -> Option<String> {
        match source {
            Source::Geohash(characters) => {
                let text = self.geohash(row, *characters)?;
                Some(quoted(&text))
            }
            Source::Attribute(attribute) => match row.attributes.get(attribute.as_str())? {
                Value::String(text) => Some(quoted(text)),
                Value::Bool(value) => Some(value.to_string()),
                Value::Number(number) => self.number(number),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            },
        }
    }

    /// Integers stand without `i`, so that the field is real also when its first value is whole.
    fn number(&self, number: &serde_json::Number) -> Option<String> {
        if number.is_i64() || number.is_u64() {
            return Some(number.to_string());
        }
        let value = number.as_f64().filter(|value| value.is_finite())?;
        Some(number::real(value, self.settings.float_digits))
    }

    fn geohash(&self, row: &Row, characters: u8) -> Option<String> {
        let position = row.position?;
        let is_zero = position.lon == 0.0 || position.lat == 0.0;
        let is_wanted = !(is_zero && self.settings.geohash_skip_zero);
        is_wanted.then(|| geohash(position.lon, position.lat, characters))
    }
}

impl Point {
    /// Appends the line, with its end.
    pub fn write_line(&self, out: &mut String) {
        out.push_str(&self.series);
        for (at, (name, value)) in self.fields.iter().enumerate() {
            out.push(if at == 0 { ' ' } else { ',' });
            out.extend([name, "=", value]);
        }
        out.push(' ');
        out.push_str(&self.time.to_string());
        out.push('\n');
    }

    /// The line without its end.
    pub fn line(&self) -> String {
        let mut line = String::new();
        self.write_line(&mut line);
        line.truncate(line.len() - 1);
        line
    }

    /// Series and time, which no other point has.
    pub fn identity(&self) -> String {
        format!("{} {}", self.series, self.time)
    }
}

/// Unites points of the same series and time, as the database would: of a field the later value
/// holds. Gives the points in order of their first appearance, and how many were one with another.
pub fn united(points: Vec<Point>) -> (Vec<Point>, usize) {
    let before = points.len();
    let mut known: HashMap<(String, i64), usize> = HashMap::with_capacity(before);
    let mut united: Vec<Point> = Vec::with_capacity(before);
    for point in points {
        let next = united.len();
        let at = *known
            .entry((point.series.clone(), point.time))
            .or_insert(next);
        if at == next {
            united.push(point);
            continue;
        }
        let earlier = &mut united[at].fields;
        for (name, value) in point.fields {
            match earlier.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => earlier.push((name, value)),
            }
        }
    }
    let merged = before - united.len();
    (united, merged)
}

/// A tag or field that holds a geohash.
struct Extra<'a> {
    setting: &'static str,
    name: &'a str,
    characters: u8,
}

/// Names and sources in order of the names.
fn sources(
    setting: &str,
    attributes: &BTreeMap<String, String>,
    geohash: Option<&Extra<'_>>,
) -> Result<Vec<(String, Source)>, String> {
    let mut sources = BTreeMap::new();
    for (name, attribute) in attributes {
        check_name(setting, name)?;
        sources.insert(name.as_str(), Source::Attribute(attribute.clone()));
    }
    if let Some(Extra {
        setting: hash,
        name,
        characters,
    }) = geohash
    {
        check_name(&format!("{hash}_name"), name)?;
        if !(1..=12).contains(characters) {
            return Err(format!("`{hash}_precision`: 1 to 12"));
        }
        if sources.insert(name, Source::Geohash(*characters)).is_some() {
            return Err(format!("`{hash}_name`: `{setting}` has `{name}` too"));
        }
    }
    let escaped_names = sources.into_iter();
    Ok(escaped_names
        .map(|(name, source)| (escaped(name, &[',', '=', ' ']), source))
        .collect())
}

/// Refuses names that the protocol has no way to write.
fn check_name(setting: &str, name: &str) -> Result<(), String> {
    let fault = if name.is_empty() {
        "a name must not be empty"
    } else if name == "time" && setting != "measurement" {
        "`time` is the time of the point and no name"
    } else if name.ends_with('\\') {
        "a name must not end with a backslash"
    } else if name.contains(char::is_control) {
        "a name must not hold line ends or other control characters"
    } else {
        return Ok(());
    };
    Err(format!("`{setting}`: {fault}"))
}

/// The text with a backslash before each of these characters.
///
/// A backslash itself is not escaped: outside of quotes it only means something before one of them.
fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if special.contains(&character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// The value of a tag. The protocol cannot say all: a line end becomes the two characters `\n` (or
/// `\r`), and backslashes at the end, which would escape what follows, become slashes.
fn escaped_tag_value(text: &str) -> String {
    let escaped = escaped(text, &[',', '=', ' ']);
    let escaped = escaped.replace('\n', "\\n").replace('\r', "\\r");
    let kept = escaped.trim_end_matches('\\').len();
    let (kept, backslashes) = escaped.split_at(kept);
    format!("{kept}{}", "/".repeat(backslashes.len()))
}

/// A text as the value of a field.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, &['"', '\\']))
}

#[cfg(test)]
mod tests;
