//! JSON Patch (RFC 6902) of an entity: what it changes, as the members of a merge.

use json_patch::Patch;
use serde_json::{Map, Value};

use super::fault::Fault;

/// Applies a patch to the JSON of an entity of version 1.1; what comes out has the members that changed, and
/// null for those that went.
///
/// # Errors
/// 400 where the patch is none, does not fit, or touches an id or a link.
pub(super) fn changes(entity: &Value, patch: &[u8]) -> Result<Value, Fault> {
    let patch: Patch = serde_json::from_slice(patch).map_err(|error| {
        Fault::invalid(format!(
            "the body is no JSON Patch: {error}; it is an array of operations such as \
             {{\"op\": \"replace\", \"path\": \"/name\", \"value\": \"new\"}} (RFC 6902)"
        ))
    })?;
    let before = plain(entity);
    let mut after = Value::Object(before.clone());
    json_patch::patch(&mut after, &patch).map_err(|error| {
        Fault::invalid(format!(
            "the patch does not fit the entity: {error}; GET shows the entity, and nothing was changed"
        ))
    })?;
    let Value::Object(after) = after else {
        return Err(Fault::invalid(
            "the patch leaves no entity; nothing was changed",
        ));
    };
    let mut changes = Map::new();
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    for (name, value) in after {
        if before.get(&name) != Some(&value) {
            changes.insert(name, value);
        }
    }
    Ok(Value::Object(changes))
}

/// Without ids and links, which cannot be changed so.
fn plain(entity: &Value) -> Map<String, Value> {
    let members = entity.as_object().into_iter().flatten();
    let members = members.filter(|(name, _)| !name.contains('@'));
    members
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(patch: &Value) -> Result<Value, String> {
        let entity = json!({"@iot.id": 1, "name": "a", "description": "b",
            "properties": {"x": [1, 2], "y": 3}, "Locations@iot.navigationLink": "..."});
        changes(&entity, patch.to_string().as_bytes()).map_err(|fault| fault.message().to_owned())
    }

    #[test]
    fn only_members_that_changed_come_out() {
        let patch = json!([
            {"op": "test", "path": "/name", "value": "a"},
            {"op": "replace", "path": "/description", "value": "c"},
            {"op": "add", "path": "/properties/x/-", "value": 5},
            {"op": "remove", "path": "/properties/y"},
        ]);
        assert_eq!(
            of(&patch),
            Ok(json!({"description": "c", "properties": {"x": [1, 2, 5]}}))
        );
        let removed = json!([{"op": "remove", "path": "/properties"}]);
        assert_eq!(of(&removed), Ok(json!({"properties": null})));
        assert_eq!(of(&json!([])), Ok(json!({})));
    }

    #[test]
    fn a_patch_that_does_not_fit_says_where() {
        let missing = json!([{"op": "replace", "path": "/shoe", "value": 1}]);
        let message = of(&missing).unwrap_err();
        assert!(message.contains("/shoe"), "{message}");
        let false_test = json!([{"op": "test", "path": "/name", "value": "z"}]);
        assert!(of(&false_test).is_err());
        assert!(of(&json!({"name": "z"})).unwrap_err().contains("RFC 6902"));
        let id = json!([{"op": "replace", "path": "/@iot.id", "value": 2}]);
        assert!(of(&id).is_err());
        assert!(of(&json!([{"op": "replace", "path": "", "value": 2}])).is_err());
    }
}
