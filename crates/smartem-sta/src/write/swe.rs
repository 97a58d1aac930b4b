//! The result of a datastream as version 2.0 describes it: SWE Common data components in JSON.

use serde_json::Value;

use super::text;
use crate::{Datastream, Property, Version};

/// The name of a property in a version.
pub(super) fn name(property: Property, version: Version) -> &'static str {
    match property {
        Property::ObservationType if !version.is_1() => "resultType",
        _ => property.name(),
    }
}

/// Writes what the results of a datastream are.
///
/// A datastream of one property has the component of its observation type, with the unit of a quantity; one
/// of several has a `DataRecord` with a field for each.
pub(super) fn result_type(out: &mut Vec<u8>, it: &Datastream) {
    let Some(types) = &it.multi_observation_data_types else {
        component(out, None, &it.observation_type, &it.unit_of_measurement);
        return;
    };
    out.extend_from_slice(b"{\"type\":\"DataRecord\",\"fields\":[");
    for (place, observation_type) in types.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let unit = it.unit_of_measurement.get(place).unwrap_or(&Value::Null);
        component(out, Some(place + 1), observation_type, unit);
    }
    out.extend_from_slice(b"]}");
}

/// A component; within a record it has a name, which tells its place.
fn component(out: &mut Vec<u8>, place: Option<usize>, observation_type: &str, unit: &Value) {
    let kind = kind(observation_type);
    out.extend_from_slice(b"{\"type\":");
    text::json(out, kind);
    if let Some(place) = place {
        text_member(out, "name", &format!("field{place}"));
    }
    let of_unit = |member| unit.get(member).and_then(Value::as_str);
    if kind == "Quantity" {
        out.extend_from_slice(b",\"uom\":{");
        let start = out.len();
        for (key, member) in [
            ("label", "name"),
            ("symbol", "symbol"),
            ("href", "definition"),
        ] {
            if let Some(value) = of_unit(member) {
                text_member(out, key, value);
            }
        }
        // The first member has no comma before it.
        if out.get(start) == Some(&b',') {
            out.remove(start);
        }
        out.push(b'}');
    }
    out.push(b'}');
}

fn text_member(out: &mut Vec<u8>, key: &str, value: &str) {
    out.push(b',');
    text::json(out, key);
    out.push(b':');
    text::json(out, value);
}

/// The component for an observation type of ISO 19156.
fn kind(observation_type: &str) -> &'static str {
    match observation_type.rsplit('/').next().unwrap_or_default() {
        "OM_Measurement" => "Quantity",
        "OM_CountObservation" => "Count",
        "OM_TruthObservation" => "Boolean",
        "OM_CategoryObservation" => "Category",
        "OM_TemporalObservation" => "Time",
        "OM_GeometryObservation" => "Geometry",
        "OM_ComplexObservation" => "DataRecord",
        // `OM_Observation` says nothing of its results; text is what every result can be written as.
        _ => "Text",
    }
}
