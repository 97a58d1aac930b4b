//! Objects of Kubernetes as they are written.

use std::collections::BTreeMap;

use serde_json::Value;

/// A text that is no YAML.
#[derive(Debug, thiserror::Error)]
#[error("document {document} of {place}: {problem}")]
pub struct ReadError {
    place: String,
    document: usize,
    problem: String,
}

/// All objects of one overlay.
#[derive(Clone, Debug)]
pub struct Render {
    /// The name of the overlay.
    pub overlay: String,
    /// In the order they are written.
    pub objects: Vec<Object>,
}

impl Render {
    /// Reads the documents of a rendered overlay.
    pub fn read(overlay: &str, text: &str) -> Result<Self, ReadError> {
        let mut objects = Vec::new();
        for (at, document) in text.split("\n---\n").enumerate() {
            let value: Value = serde_saphyr::from_str(document).map_err(|error| ReadError {
                place: overlay.to_owned(),
                document: at + 1,
                problem: error.to_string(),
            })?;
            if !value.is_null() {
                objects.push(Object(value));
            }
        }
        Ok(Self {
            overlay: overlay.to_owned(),
            objects,
        })
    }

    /// The objects of this kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects
            .iter()
            .filter(move |object| object.kind() == kind)
    }

    /// The object of this kind, namespace and name.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| {
            object.kind() == kind && object.namespace() == namespace && object.name() == name
        })
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Value);

impl Object {
    /// Its kind; empty when it has none.
    pub fn kind(&self) -> &str {
        text(&self.0, "/kind")
    }

    /// Its API version; empty when it has none.
    pub fn api_version(&self) -> &str {
        text(&self.0, "/apiVersion")
    }

    /// Its name; empty when it has none.
    pub fn name(&self) -> &str {
        text(&self.0, "/metadata/name")
    }

    /// Its namespace; empty when it has none.
    pub fn namespace(&self) -> &str {
        text(&self.0, "/metadata/namespace")
    }

    /// How findings name it.
    pub fn id(&self) -> String {
        format!("{} {}/{}", self.kind(), self.namespace(), self.name())
    }

    /// Whether its kind lives in a namespace.
    pub fn is_namespaced(&self) -> bool {
        !matches!(
            self.kind(),
            "Namespace"
                | "PriorityClass"
                | "ClusterRole"
                | "ClusterRoleBinding"
                | "ClusterIssuer"
                | "ClusterSecretStore"
                | "StorageClass"
                | "IngressClass"
                | "GatewayClass"
                | "CustomResourceDefinition"
                | "ValidatingAdmissionPolicy"
                | "ValidatingAdmissionPolicyBinding"
                | "PersistentVolume"
        )
    }
}

/// The text at a place; empty when there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The list at a place; empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The number at a place.
pub(crate) fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// Whether `true` is at a place.
pub(crate) fn is_true(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer) == Some(&Value::Bool(true))
}

/// The texts of the map at a place.
pub(crate) fn map(value: &Value, pointer: &str) -> BTreeMap<String, String> {
    value
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Every text inside, however deep.
pub(crate) fn all_texts<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| all_texts(item, into)),
        Value::Object(fields) => fields.values().for_each(|item| all_texts(item, into)),
        _ => {}
    }
}

/// Whether a label selector (`matchLabels`, `matchExpressions`) takes these labels.
pub(crate) fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let plain = map(selector, "/matchLabels")
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value));
    plain
        && list(selector, "/matchExpressions")
            .iter()
            .all(|expression| {
                let found = labels.get(text(expression, "/key"));
                let among = |value: &String| {
                    list(expression, "/values")
                        .iter()
                        .any(|wanted| wanted.as_str() == Some(value))
                };
                match text(expression, "/operator") {
                    "In" => found.is_some_and(among),
                    "NotIn" => !found.is_some_and(among),
                    "Exists" => found.is_some(),
                    "DoesNotExist" => found.is_none(),
                    _ => false,
                }
            })
}
