//! How bodies name entities that are there.

use serde_json::{Map, Value};

use crate::{EntityType, Reference, ResourcePath, Target, Version};

use super::Earlier;
use super::text::{Problem, show};

/// The id of an entity that an object stands for, if it does: `{"@iot.id": 1}`. A plain `id` counts when nothing
/// else says what the entity is.
pub(super) fn of_object(
    object: &Map<String, Value>,
    earlier: Earlier<'_>,
) -> Option<Result<Reference, Problem>> {
    for name in ["@iot.id", "@id", "@odata.id"] {
        if let Some(value) = object.get(name) {
            return Some(id(value, earlier).map_err(|message| (format!("/{name}"), message)));
        }
    }
    let is_new = ["name", "time", "result"]
        .iter()
        .any(|name| object.contains_key(*name));
    let value = object.get("id").filter(|_| !is_new)?;
    Some(id(value, earlier).map_err(|message| ("/id".to_owned(), message)))
}

/// A whole number, also as text, or `$name` of an earlier operation.
pub(super) fn id(value: &Value, earlier: Earlier<'_>) -> Result<Reference, String> {
    let id = match value {
        Value::Number(number) => number.as_i64().map(Reference::Id),
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => return earlier_of(name, earlier),
            None => text.trim().parse().ok().map(Reference::Id),
        },
        _ => None,
    };
    id.ok_or_else(|| {
        format!(
            "{} is no id; ids are whole numbers, as in {{\"@iot.id\": 1}}",
            show(value)
        )
    })
}

fn earlier_of(name: &str, earlier: Earlier<'_>) -> Result<Reference, String> {
    earlier(name).map(Reference::Earlier).ok_or_else(|| {
        format!("`${name}` names no earlier request of a batch that makes an entity")
    })
}

/// An address of an entity of a type: `Things(1)`, with or without what comes before it; or an id.
pub(super) fn of_url(
    of: EntityType,
    version: Version,
    url: &str,
    earlier: Earlier<'_>,
) -> Result<Reference, String> {
    let url = url.trim();
    if let Some(name) = url.strip_prefix('$') {
        return earlier_of(name, earlier);
    }
    if let Ok(id) = url.parse() {
        return Ok(Reference::Id(id));
    }
    let last = url.rsplit('/').next().unwrap_or(url);
    let set = of.set_name(version);
    let named = ResourcePath::parse(last, version).map_err(|error| error.to_string());
    match named {
        Ok(ResourcePath {
            root,
            root_id: Some(id),
            target: Target::Entities,
            ..
        }) if root == of => Ok(Reference::Id(id)),
        Ok(_) => Err(format!(
            "`{url}` is not the address of one of the {set}, such as `{set}(1)`"
        )),
        Err(error) => Err(format!(
            "`{url}` is no address such as `{set}(1)` ({error})"
        )),
    }
}

/// What a body of `$ref` names.
pub(super) fn of_body(
    of: EntityType,
    version: Version,
    value: &Value,
    earlier: Earlier<'_>,
) -> Result<Reference, Problem> {
    let set = of.set_name(version);
    let expected = || {
        (
            String::new(),
            format!("expected what is linked, as in {{\"@id\": \"{set}(1)\"}}"),
        )
    };
    let object = value.as_object().ok_or_else(expected)?;
    for name in ["@iot.id", "@id", "@odata.id", "@iot.selfLink", "url", "id"] {
        let found = match object.get(name) {
            Some(Value::String(url)) => of_url(of, version, url, earlier),
            Some(value) => id(value, earlier),
            None => continue,
        };
        return found.map_err(|message| (format!("/{name}"), message));
    }
    Err(expected())
}
