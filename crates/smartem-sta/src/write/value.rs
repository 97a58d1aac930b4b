//! Values of properties: in JSON, as text, and alone.

use jiff::Timestamp;
use serde_json::{Map, Value};
use smartem_model::Period;

use super::text;
use super::{Body, Frame, WriteError, swe};
use crate::{
    Datastream, Entity, EntityType, Observation, Property, Provenance, Record, ResultValue,
    TimeValue, Version,
};

/// The value of a property of an entity.
#[derive(Clone, Copy, Debug)]
pub(super) enum Val<'a> {
    /// There is none, and it is left out.
    Absent,
    /// There is none, and that is written.
    Null,
    Id(i64),
    Text(&'a str),
    Texts(&'a [String]),
    Number(f64),
    Instant(Timestamp),
    Time(TimeValue),
    Period(Period),
    /// A time as versions 2.x have it: an object of start and end.
    Span(TimeValue),
    Json(&'a Value),
    Quality(&'a Provenance),
    Parameters(&'a Provenance),
    ResultType(&'a Datastream),
}

impl Record {
    /// The type of the entity; datastreams of several observed properties are `MultiDatastream`.
    pub fn entity_type(&self) -> EntityType {
        match self {
            Self::Thing(_) => EntityType::Thing,
            Self::Location(_) => EntityType::Location,
            Self::HistoricalLocation(_) => EntityType::HistoricalLocation,
            Self::Datastream(it) if it.is_multi() => EntityType::MultiDatastream,
            Self::Datastream(_) => EntityType::Datastream,
            Self::Sensor(_) => EntityType::Sensor,
            Self::ObservedProperty(_) => EntityType::ObservedProperty,
            Self::Observation(_) => EntityType::Observation,
            Self::Feature(_) => EntityType::Feature,
        }
    }
}

/// The value of a property; links are not among them.
pub(super) fn of(entity: &Entity, property: Property, version: Version) -> Val<'_> {
    use Property as P;
    if property == P::Id {
        return Val::Id(entity.id);
    }
    match &entity.record {
        Record::Thing(it) => match property {
            P::Name => Val::Text(&it.name),
            P::Description => Val::Text(&it.description),
            P::Properties => optional(it.properties.as_ref()),
            _ => Val::Absent,
        },
        Record::Location(it) => match property {
            P::Name => Val::Text(&it.name),
            P::Description => Val::Text(&it.description),
            P::EncodingType => encoding(&it.encoding_type, version),
            P::Location => Val::Json(&it.location),
            P::Properties => later_properties(it.properties.as_ref(), version),
            _ => Val::Absent,
        },
        Record::HistoricalLocation(it) => match property {
            P::Time => Val::Instant(it.time),
            _ => Val::Absent,
        },
        Record::Datastream(it) => datastream(it, property, version),
        Record::Sensor(it) => match property {
            P::Name => Val::Text(&it.name),
            P::Description => Val::Text(&it.description),
            P::EncodingType => Val::Text(&it.encoding_type),
            P::Metadata => Val::Json(&it.metadata),
            P::Properties => later_properties(it.properties.as_ref(), version),
            _ => Val::Absent,
        },
        Record::ObservedProperty(it) => match property {
            P::Name => Val::Text(&it.name),
            P::Definition => Val::Text(&it.definition),
            P::Description => Val::Text(&it.description),
            P::Properties => later_properties(it.properties.as_ref(), version),
            _ => Val::Absent,
        },
        Record::Observation(it) => observation(it, property, version),
        Record::Feature(it) => match property {
            P::Name => Val::Text(&it.name),
            P::Description => Val::Text(&it.description),
            P::EncodingType => encoding(&it.encoding_type, version),
            P::Feature => Val::Json(&it.feature),
            P::Properties => later_properties(it.properties.as_ref(), version),
            _ => Val::Absent,
        },
    }
}

fn datastream(it: &Datastream, property: Property, version: Version) -> Val<'_> {
    use Property as P;
    let is_1 = version.is_1();
    match property {
        P::Name => Val::Text(&it.name),
        P::Description => Val::Text(&it.description),
        // Version 2.0 says both with one description of the result.
        P::ObservationType if is_1 => Val::Text(&it.observation_type),
        P::ObservationType => Val::ResultType(it),
        P::UnitOfMeasurement | P::UnitOfMeasurements if is_1 => Val::Json(&it.unit_of_measurement),
        P::MultiObservationDataTypes if is_1 => match &it.multi_observation_data_types {
            Some(types) => Val::Texts(types),
            None => Val::Absent,
        },
        P::ObservedArea => optional(it.observed_area.as_ref()),
        P::PhenomenonTime => span(it.phenomenon_time, version),
        P::ResultTime => span(it.result_time, version),
        P::Properties => later_properties(it.properties.as_ref(), version),
        _ => Val::Absent,
    }
}

fn observation(it: &Observation, property: Property, version: Version) -> Val<'_> {
    use Property as P;
    match property {
        P::PhenomenonTime if version.is_1() => Val::Time(it.phenomenon_time),
        P::PhenomenonTime => Val::Span(it.phenomenon_time),
        P::ResultTime => it.result_time.map_or(Val::Null, Val::Instant),
        P::Result => match &it.result {
            ResultValue::Number(number) => Val::Number(*number),
            ResultValue::Json(value) => Val::Json(value),
        },
        P::ResultQuality => match (&it.result_quality, &it.provenance) {
            (Some(given), _) => Val::Json(given),
            (None, Some(provenance)) => Val::Quality(provenance),
            (None, None) => Val::Absent,
        },
        P::ValidTime => span(it.valid_time, version),
        P::Parameters => match (&it.parameters, &it.provenance) {
            (Some(given), _) => Val::Json(given),
            (None, Some(provenance)) => Val::Parameters(provenance),
            (None, None) => Val::Absent,
        },
        _ => Val::Absent,
    }
}

fn optional(value: Option<&Value>) -> Val<'_> {
    match value {
        Some(Value::Null) | None => Val::Absent,
        Some(value) => Val::Json(value),
    }
}

/// Version 1.0 has `properties` only of things.
fn later_properties(value: Option<&Value>, version: Version) -> Val<'_> {
    if version == Version::V1_0 {
        return Val::Absent;
    }
    optional(value)
}

/// Version 1.0 knows GeoJSON by the name that it had before RFC 7946.
fn encoding(name: &str, version: Version) -> Val<'_> {
    if version == Version::V1_0 && name == "application/geo+json" {
        return Val::Text("application/vnd.geo+json");
    }
    Val::Text(name)
}

fn span(period: Option<Period>, version: Version) -> Val<'static> {
    match period {
        None => Val::Absent,
        Some(period) if version.is_1() => Val::Period(period),
        Some(period) => Val::Span(TimeValue::Interval(period)),
    }
}

impl Val<'_> {
    pub(super) fn is_absent(self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether it is null in JSON, written or not.
    fn is_null(self) -> bool {
        matches!(self, Self::Absent | Self::Null | Self::Json(Value::Null))
    }

    pub(super) fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Absent | Self::Null => out.extend_from_slice(b"null"),
            Self::Id(id) => text::integer(out, id),
            Self::Text(it) => text::json(out, it),
            Self::Texts(it) => text::json(out, it),
            Self::Number(number) => text::number(out, number),
            Self::Json(value) => text::json(out, value),
            Self::Instant(_) | Self::Time(_) | Self::Period(_) => {
                out.push(b'"');
                self.write_time(out);
                out.push(b'"');
            }
            Self::Span(time) => write_span(out, time),
            Self::Quality(it) => write_quality(out, it),
            Self::Parameters(it) => write_parameters(out, it),
            Self::ResultType(it) => swe::result_type(out, it),
        }
    }

    /// As text alone: texts without quotes, everything else as in JSON.
    pub(super) fn write_plain(self, out: &mut Vec<u8>) {
        match self {
            Self::Text(it) => out.extend_from_slice(it.as_bytes()),
            Self::Json(Value::String(it)) => out.extend_from_slice(it.as_bytes()),
            Self::Instant(_) | Self::Time(_) | Self::Period(_) => self.write_time(out),
            Self::Absent | Self::Null | Self::Json(Value::Null) => {}
            _ => self.write_json(out),
        }
    }

    fn write_time(self, out: &mut Vec<u8>) {
        match self {
            Self::Instant(at) => text::timestamp(out, at),
            Self::Time(time) => text::time(out, time),
            Self::Period(period) => text::period(out, period),
            _ => {}
        }
    }

    /// As a tree of JSON, for what is asked for of its members.
    pub(super) fn to_value(self) -> Value {
        if let Self::Json(value) = self {
            return value.clone();
        }
        let mut bytes = Vec::new();
        self.write_json(&mut bytes);
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    /// Is it an object or array in JSON.
    fn is_composite(self) -> bool {
        match self {
            Self::Json(value) => value.is_object() || value.is_array(),
            Self::Texts(_)
            | Self::Span(_)
            | Self::Quality(_)
            | Self::Parameters(_)
            | Self::ResultType(_) => true,
            _ => false,
        }
    }
}

fn write_span(out: &mut Vec<u8>, time: TimeValue) {
    out.extend_from_slice(b"{\"start\":\"");
    text::timestamp(out, time.start());
    if let TimeValue::Interval(period) = time {
        out.extend_from_slice(b"\",\"end\":\"");
        text::timestamp(out, period.end);
    }
    out.extend_from_slice(b"\"}");
}

/// How good a refined value is: the share of samples that were accepted, the share of the hour that they
/// cover, and flags.
fn write_quality(out: &mut Vec<u8>, it: &Provenance) {
    out.extend_from_slice(b"{\"fraction\":");
    let all = it.accepted + it.rejected;
    let fraction = if all == 0 {
        0.0
    } else {
        it.accepted as f64 / all as f64
    };
    text::number(out, fraction);
    if let Some(coverage) = it.coverage {
        out.extend_from_slice(b",\"coverage\":");
        text::number(out, coverage);
    }
    out.extend_from_slice(b",\"flags\":[");
    for (place, flag) in it.flags.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        text::json(out, *flag);
    }
    out.extend_from_slice(b"]}");
}

/// How a refined value came about.
fn write_parameters(out: &mut Vec<u8>, it: &Provenance) {
    out.extend_from_slice(b"{\"min\":");
    text::number(out, it.min);
    out.extend_from_slice(b",\"max\":");
    text::number(out, it.max);
    if let Some(raw) = it.raw {
        out.extend_from_slice(b",\"raw\":");
        text::number(out, raw);
    }
    if let Some(unit) = &it.raw_unit {
        out.extend_from_slice(b",\"rawUnit\":");
        text::json(out, &**unit);
    }
    out.extend_from_slice(b",\"acceptedCount\":");
    text::unsigned(out, it.accepted);
    out.extend_from_slice(b",\"rejectedCount\":");
    text::unsigned(out, it.rejected);
    out.extend_from_slice(b",\"definition\":");
    text::json(out, &*it.definition);
    if let Some(model) = &it.model {
        out.extend_from_slice(b",\"model\":");
        text::json(out, &**model);
    }
    out.push(b'}');
}

/// The members of a value at these paths, and nothing else of it; `None` when it has none of them.
pub(super) fn members(value: &Value, paths: &[Vec<String>]) -> Option<Value> {
    let mut found = Map::new();
    for path in paths {
        if let Some(member) = walk(value, path) {
            put(&mut found, path, member.clone());
        }
    }
    (!found.is_empty()).then_some(Value::Object(found))
}

/// The member at a path; parts of it are keys of objects or places of arrays.
pub(super) fn walk<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

fn put(into: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((key, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        into.insert(key.clone(), value);
        return;
    }
    let deeper = into
        .entry(key.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(deeper) = deeper {
        put(deeper, rest, value);
    }
}

/// `{"name": value}`, as a path to a property answers.
pub(super) fn property(
    entity: &Entity,
    property: Property,
    path: &[String],
    frame: &Frame<'_>,
) -> Result<Body, WriteError> {
    let links = text::Links::new(frame.version, frame.root);
    let name = match property {
        Property::Id => links.id_key(),
        Property::SelfLink => links.self_key(),
        _ => swe::name(property, frame.version),
    };
    let key = path.last().map_or(name, String::as_str);
    let mut out = vec![b'{'];
    text::json(&mut out, key);
    out.push(b':');
    if property == Property::SelfLink {
        let of = entity.record.entity_type();
        let link = super::self_link(frame.version, frame.root, of, entity.id);
        text::json(&mut out, &link);
    } else if path.is_empty() {
        let value = of(entity, property, frame.version);
        if value.is_null() {
            return Err(WriteError::Null);
        }
        value.write_json(&mut out);
    } else {
        text::json(&mut out, &member(entity, property, path, frame)?);
    }
    out.push(b'}');
    Ok(Body::json(out))
}

/// The value alone, as a path with `$value` answers.
pub(super) fn raw(
    entity: &Entity,
    property: Property,
    path: &[String],
    frame: &Frame<'_>,
) -> Result<Body, WriteError> {
    let mut out = Vec::new();
    if property == Property::SelfLink {
        let of = entity.record.entity_type();
        out = super::self_link(frame.version, frame.root, of, entity.id).into_bytes();
        return Ok(Body::text(out));
    }
    let found;
    let value = if path.is_empty() {
        of(entity, property, frame.version)
    } else {
        found = member(entity, property, path, frame)?;
        Val::Json(&found)
    };
    if value.is_null() {
        return Err(WriteError::Null);
    }
    value.write_plain(&mut out);
    Ok(if value.is_composite() {
        Body::json(out)
    } else {
        Body::text(out)
    })
}

fn member(
    entity: &Entity,
    property: Property,
    path: &[String],
    frame: &Frame<'_>,
) -> Result<Value, WriteError> {
    let whole = of(entity, property, frame.version).to_value();
    match walk(&whole, path) {
        None => {
            let name = swe::name(property, frame.version);
            Err(WriteError::NoMember(format!("{name}/{}", path.join("/"))))
        }
        Some(Value::Null) => Err(WriteError::Null),
        Some(value) => Ok(value.clone()),
    }
}
