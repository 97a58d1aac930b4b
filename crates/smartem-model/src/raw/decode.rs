use std::borrow::Cow;
use std::fmt;

use jiff::civil::Date;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::samples::{MAX_CELLS, Samples, SamplesBuilder, cell_of};
use super::scan;
use crate::{Hour, Position, Quarantine, QuarantineReason, StationId};

/// One raw record: the samples of one station in one hour, or its last ones (R2).
#[derive(Clone, Debug, PartialEq)]
pub struct RawRecord {
    /// Who sent it.
    pub station: StationId,
    /// The name of the definition that understands it.
    pub station_type: Box<str>,
    /// Version of the device, default `1`.
    pub device_version: Box<str>,
    /// The hour it belongs to, or that it is a snapshot.
    pub time: RecordTime,
    /// The record's own position, where it has one (`point`).
    pub point: Option<Position>,
    /// The record's own altitude in metres, where it has a believable one.
    pub altitude: Option<f64>,
    /// What was measured.
    pub samples: Samples,
    /// The JSON object without its samples, so that the whole can be given back.
    envelope: Box<str>,
}

/// What a record says of its time.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordTime {
    /// The record holds the samples of this hour.
    Hour(Hour),
    /// A "last" record (R11); its own `time` as JSON text serves samples that have none.
    Snapshot(Option<Box<str>>),
}

/// A text that is not JSON at all.
#[derive(Debug, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct MalformedJson(#[from] serde_json::Error);

impl RawRecord {
    /// Reads a raw record, or a Whale hour as its API serves it (R2.1).
    ///
    /// `is_known` tells whether a definition is loaded for a station type. Text that is no JSON is
    /// a quarantine like every other fault of a record (R2.5); the tests are made in that order.
    pub fn from_json(text: &str, is_known: &dyn Fn(&str) -> bool) -> Result<Self, Quarantine> {
        if let Some((envelope, samples)) = usual_form(text)
            && let Some(document) = Document::around(&envelope, samples)
        {
            return document.into_record(is_known);
        }
        Self::from_json_of_any_form(text, is_known)
    }

    /// As [`RawRecord::from_json`], one value after the other.
    pub(super) fn from_json_of_any_form(
        text: &str,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Quarantine> {
        match Document::parse(text) {
            Ok(document) => document.into_record(is_known),
            Err(error) => Err(malformed(error.to_string())),
        }
    }

    /// As [`RawRecord::from_json`], for the text of a snapshot sample alone (`/last`).
    ///
    /// The sample becomes the only one of a record of `station`.
    pub fn from_last_sample(
        text: &str,
        station: &StationId,
        station_type: &str,
    ) -> Result<Self, Quarantine> {
        let sample: &RawValue = serde_json::from_str(text)
            .map_err(|error| malformed(MalformedJson(error).to_string()))?;
        if !sample.get().starts_with('{') {
            return Err(malformed("the last value is not a JSON object"));
        }
        let text = format!(
            r#"{{"device_id":{},"device_type":{},"data":{{"timeseries":[{}]}}}}"#,
            serde_json::Value::from(station.as_str()),
            serde_json::Value::from(station_type),
            sample.get(),
        );
        Self::from_json(&text, &|_| true)
    }

    /// Puts a stored record together again.
    pub fn from_parts(
        envelope: &str,
        samples: Samples,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Quarantine> {
        let mut document =
            Document::parse(envelope).map_err(|error| malformed(error.to_string()))?;
        document.samples = Some(samples);
        document.into_record(is_known)
    }

    /// The JSON object without its samples.
    pub fn envelope(&self) -> &str {
        &self.envelope
    }

    /// A document equal to the one that was read.
    pub fn to_json(&self) -> String {
        let samples = self.samples.to_json();
        let whole = || -> Result<String, serde_json::Error> {
            let members = members_of(&self.envelope)?;
            Ok(
                match last(&members, "data").filter(|data| data.get() != "null") {
                    Some(data) => {
                        let data =
                            envelope_of(&members_of(data.get())?, Some(("timeseries", &samples)));
                        envelope_of(&members, Some(("data", &data)))
                    }
                    None => envelope_of(&members, Some(("timeseries", &samples))),
                },
            )
        };
        // The envelope was written by `envelope_of`, so it is always an object.
        whole().unwrap_or_default()
    }
}

fn malformed(detail: impl Into<String>) -> Quarantine {
    Quarantine::new(QuarantineReason::MalformedRecord, detail)
}

/// A JSON document taken apart, before it is judged.
struct Document<'a> {
    /// Members of the object; `None` when it is something else.
    members: Option<Vec<Member<'a>>>,
    /// Members of `data`, where that is an object.
    data: Option<Vec<Member<'a>>>,
    /// The list `timeseries` of `data`, or of the object itself.
    samples: Option<Samples>,
    /// The document without its samples.
    envelope: String,
}

type Member<'a> = (Cow<'a, str>, &'a RawValue);

impl<'a> Document<'a> {
    fn parse(text: &'a str) -> Result<Self, MalformedJson> {
        let mut document = Self {
            members: None,
            data: None,
            samples: None,
            envelope: String::new(),
        };
        if !text.trim_start().starts_with('{') {
            // Something else may still be JSON, or no JSON at all.
            serde_json::from_str::<serde::de::IgnoredAny>(text)?;
            return Ok(document);
        }
        let members = members_of(text)?;
        match last(&members, "data").filter(|data| data.get() != "null") {
            Some(data) if data.get().starts_with('{') => {
                let inner = members_of(data.get())?;
                document.samples = samples_of(&inner)?;
                let data_envelope = envelope_of(&inner, None);
                document.envelope = envelope_of(&members, Some(("data", &data_envelope)));
                document.data = Some(inner);
            }
            Some(_) => {}
            None => {
                document.samples = samples_of(&members)?;
                document.envelope = envelope_of(&members, None);
            }
        }
        document.members = Some(members);
        Ok(document)
    }

    /// A document whose samples were read already; `envelope` has null in their place.
    ///
    /// `None` when that null is not where the samples of a record are, or the rest is no JSON.
    fn around(envelope: &'a Envelope, samples: Samples) -> Option<Self> {
        let mut document = Self::parse(&envelope.text).ok()?;
        let list = match &document.data {
            Some(data) => last(data, "timeseries")?,
            None => last(document.members.as_ref()?, "timeseries")?,
        };
        // Parts of one text, so their addresses tell the place.
        let place = list.get().as_ptr() as usize - envelope.text.as_ptr() as usize;
        let is_whale_hour = document.data.is_none();
        let has_data = document
            .members
            .as_deref()
            .and_then(|members| last(members, "data"));
        if place != envelope.place || (is_whale_hour && has_data.is_some_and(|d| d.get() != "null"))
        {
            return None;
        }
        document.samples = Some(samples);
        Some(document)
    }

    /// Judges the document in the order of R2.5.
    fn into_record(self, is_known: &dyn Fn(&str) -> bool) -> Result<RawRecord, Quarantine> {
        let Some(members) = &self.members else {
            return Err(malformed("the record is not a JSON object"));
        };
        let member = |name| last(members, name).filter(|value| value.get() != "null");
        let is_whale_hour = member("data").is_none();
        let [id_key, day_key] = if is_whale_hour {
            ["id", "date"]
        } else {
            ["device_id", "day"]
        };
        let station = station_id(id_key, member(id_key))?;
        let Some(samples) = self.samples else {
            return Err(malformed(if is_whale_hour {
                "no list `timeseries`"
            } else {
                "no list `data.timeseries`"
            }));
        };
        let station_type: Box<str> = if is_whale_hour {
            "jose".into()
        } else {
            let given = member("device_type").map_or("null", RawValue::get);
            serde_json::from_str(given)
                .map_err(|_| unknown_type(given))
                .and_then(|name: String| {
                    if is_known(&name) {
                        Ok(name)
                    } else {
                        Err(unknown_type(&name))
                    }
                })?
                .into()
        };
        if !is_known(&station_type) {
            return Err(unknown_type(&station_type));
        }
        let time = match (member(day_key), member("hour")) {
            (None, None) => RecordTime::Snapshot(member("time").map(|time| time.get().into())),
            (day, hour) => RecordTime::Hour(hour_of(day, hour)?),
        };
        let point = member("point")
            .and_then(text_of)
            .and_then(|text| Position::from_ewkt(&text));
        let altitude = member("altitude")
            .and_then(|value| cell_of(value.get(), &mut String::new()).number())
            .and_then(Position::valid_altitude);
        let device_version = member("device_version").map_or_else(
            || "1".to_owned(),
            |value| text_of(value).unwrap_or_else(|| value.get().to_owned()),
        );
        Ok(RawRecord {
            station,
            station_type,
            device_version: device_version.into(),
            time,
            point,
            altitude,
            samples,
            envelope: self.envelope.into(),
        })
    }
}

fn unknown_type(name: &str) -> Quarantine {
    Quarantine::new(
        QuarantineReason::UnknownDeviceType,
        format!("no definition for `{name}`"),
    )
}

/// An integer or a non-empty text (R2.2).
fn station_id(key: &str, value: Option<&RawValue>) -> Result<StationId, Quarantine> {
    let Some(value) = value else {
        return Err(malformed(format!("no `{key}`")));
    };
    let id = match text_of(value) {
        Some(text) => StationId::new(&text),
        None => integral(value).and_then(|digits| StationId::new(&digits)),
    };
    id.ok_or_else(|| {
        malformed(format!(
            "`{key}` is neither an integer nor a text: {}",
            excerpt(value.get())
        ))
    })
}

/// The digits of an integral JSON number, `1644827.0` being `1644827`.
fn integral(value: &RawValue) -> Option<String> {
    let text = value.get();
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if !is_number {
        return None;
    }
    if !text.contains(['.', 'e', 'E']) {
        return Some(if text == "-0" {
            "0".to_owned()
        } else {
            text.to_owned()
        });
    }
    let number: f64 = text.parse().ok()?;
    // Adding zero takes the sign from a negative one.
    (number.is_finite() && number.fract() == 0.0).then(|| format!("{:.0}", number + 0.0))
}

/// Day and hour of a record (R2.2): numbers, or their digits as text.
fn hour_of(day: Option<&RawValue>, hour: Option<&RawValue>) -> Result<Hour, Quarantine> {
    let shown = |value: Option<&RawValue>| {
        value.map_or_else(|| "missing".to_owned(), |value| excerpt(value.get()))
    };
    let parsed = day.and_then(date_of).zip(hour.and_then(whole_number));
    parsed
        .and_then(|(day, hour)| Hour::new(day, hour))
        .ok_or_else(|| {
            Quarantine::new(
                QuarantineReason::InvalidHour,
                format!("day {}, hour {}", shown(day), shown(hour)),
            )
        })
}

/// `20160108`, `"20160108"` or `"2016-01-08"`.
fn date_of(value: &RawValue) -> Option<Date> {
    let compact = match text_of(value) {
        Some(text) if text.len() == 10 && text.is_ascii() => {
            let (year, month, day) = (&text[..4], &text[5..7], &text[8..]);
            let dashed = text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
            if !dashed {
                return None;
            }
            ascii_digits(&format!("{year}{month}{day}"))?
        }
        Some(text) if text.len() != 8 => return None,
        _ => whole_number(value)?,
    };
    let year = i16::try_from(compact / 10_000).ok()?;
    let month = i8::try_from(compact / 100 % 100).ok()?;
    let day = i8::try_from(compact % 100).ok()?;
    Date::new(year, month, day).ok()
}

fn whole_number(value: &RawValue) -> Option<i64> {
    match text_of(value) {
        Some(text) => ascii_digits(&text),
        None => integral(value)?.parse().ok(),
    }
}

fn ascii_digits(text: &str) -> Option<i64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

fn text_of(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// The first characters of a value, for messages.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// The member of this name; of several the last one, as JSON readers have it.
fn last<'a>(members: &[Member<'a>], name: &str) -> Option<&'a RawValue> {
    members
        .iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| *value)
}

/// Writes an object with its samples left out, and `replaced` in place of the member of that name.
fn envelope_of(members: &[Member<'_>], replaced: Option<(&str, &str)>) -> String {
    let mut out = String::from("{");
    for (at, (key, value)) in members.iter().enumerate() {
        let is_last = !members[at + 1..].iter().any(|(later, _)| later == key);
        if !is_last {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(key.as_ref()).to_string());
        out.push(':');
        match replaced {
            Some((name, text)) if name == key => out.push_str(text),
            None if key == "timeseries" => out.push_str("null"),
            _ => out.push_str(value.get()),
        }
    }
    out.push('}');
    out
}

fn members_of(object: &str) -> Result<Vec<Member<'_>>, serde_json::Error> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<Member<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(entry) = map.next_entry::<Key<'de>, &RawValue>()? {
                members.push((entry.0.0, entry.1));
            }
            Ok(members)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(object);
    let members = reader.deserialize_map(Members)?;
    reader.end()?;
    Ok(members)
}

/// The text of a document with null instead of its samples.
struct Envelope {
    text: String,
    /// Where the samples were.
    place: usize,
}

/// Takes the samples out of a document of the usual form (see [`scan`]).
fn usual_form(text: &str) -> Option<(Envelope, Samples)> {
    const KEY: &str = "\"timeseries\"";
    let after_key = text.find(KEY)? + KEY.len();
    let list = text[after_key..]
        .trim_start_matches(BLANKS)
        .strip_prefix(':')?;
    let place = text.len() - list.trim_start_matches(BLANKS).len();
    let (samples, end) = scan::samples(text, place)?;
    let envelope = Envelope {
        text: [&text[..place], "null", &text[end..]].concat(),
        place,
    };
    Some((envelope, samples))
}

/// What may stand between the words of JSON (RFC 8259, section 2).
const BLANKS: [char; 4] = [' ', '\n', '\r', '\t'];

/// The samples, when there is a list `timeseries`.
///
/// Nearly always every row is an object; then the text is read once, straight into columns.
fn samples_of(members: &[Member<'_>]) -> Result<Option<Samples>, serde_json::Error> {
    match last(members, "timeseries") {
        Some(list) if list.get().starts_with('[') => {
            let samples = read_rows(list, true);
            samples.or_else(|_| read_rows(list, false)).map(Some)
        }
        _ => Ok(None),
    }
}

fn read_rows(list: &RawValue, only_objects: bool) -> Result<Samples, serde_json::Error> {
    let mut builder = SamplesBuilder::default();
    let rows = Rows {
        builder: &mut builder,
        only_objects,
    };
    serde_json::Deserializer::from_str(list.get()).deserialize_seq(rows)?;
    Ok(builder.finish())
}

struct Rows<'b> {
    builder: &'b mut SamplesBuilder,
    only_objects: bool,
}

impl Rows<'_> {
    /// Reads the next row; `false` when there is none.
    fn read_row<'de, A: SeqAccess<'de>>(&mut self, list: &mut A) -> Result<bool, A::Error> {
        if self.only_objects {
            let row = list.next_element_seed(Cells(self.builder))?;
            return Ok(row.map(|()| self.builder.finish_row()).is_some());
        }
        let Some(row) = list.next_element::<&RawValue>()? else {
            return Ok(false);
        };
        if row.get().starts_with('{') {
            let mut reader = serde_json::Deserializer::from_str(row.get());
            let cells = Cells(self.builder);
            cells
                .deserialize(&mut reader)
                .map_err(serde::de::Error::custom)?;
            self.builder.finish_row();
        } else {
            self.builder.push_oddment(row.get());
        }
        Ok(true)
    }
}

impl<'de> Visitor<'de> for Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of samples")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while self.read_row(&mut list)? {
            if self.builder.is_too_wide() {
                return Err(serde::de::Error::custom(format_args!(
                    "the samples have more than {MAX_CELLS} cells (samples times different keys)"
                )));
            }
        }
        Ok(())
    }
}

struct Cells<'b>(&'b mut SamplesBuilder);

impl<'de> DeserializeSeed<'de> for Cells<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Cells<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sample")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut scratch = String::new();
        while let Some((key, value)) = map.next_entry::<Key<'de>, &RawValue>()? {
            self.0.push_cell(&key.0, cell_of(value.get(), &mut scratch));
        }
        Ok(())
    }
}

/// A key, borrowed from the text unless it has escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
