//! The environment of a container, and `$(NAME)` in what it is given.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::{Objects, PodError};

/// `ConfigMaps` or Secrets by namespace and name.
type Values = BTreeMap<(String, String), BTreeMap<String, String>>;

/// Where a pod is.
pub(super) struct Identity<'a> {
    pub(super) namespace: &'a str,
    pub(super) pod: &'a str,
}

/// Name and value of each variable, in order; a later one replaces an earlier one.
pub(super) fn environment(
    container: &Container,
    objects: &Objects,
    identity: &Identity,
) -> Result<Vec<(String, String)>, PodError> {
    if container.env_from.is_some() {
        return Err(PodError::Unsupported {
            place: container.name.clone(),
            field: "envFrom".to_owned(),
        });
    }
    let mut known = BTreeMap::new();
    let mut variables: Vec<(String, String)> = Vec::new();
    for variable in container.env.iter().flatten() {
        let Some(value) = value(variable, container, objects, identity)? else {
            continue;
        };
        let value = expand(&value, &known);
        known.insert(variable.name.clone(), value.clone());
        variables.retain(|(name, _)| *name != variable.name);
        variables.push((variable.name.clone(), value));
    }
    Ok(variables)
}

/// `None` when it is of an optional object that is not there.
fn value(
    variable: &EnvVar,
    container: &Container,
    objects: &Objects,
    identity: &Identity,
) -> Result<Option<String>, PodError> {
    let Some(source) = &variable.value_from else {
        return Ok(Some(variable.value.clone().unwrap_or_default()));
    };
    let place = || format!("container `{}`, variable {}", container.name, variable.name);
    let found = |kind: &'static str, objects: &Values, name: &str, key: &str, optional: bool| {
        let found = objects
            .get(&(identity.namespace.to_owned(), name.to_owned()))
            .and_then(|values| values.get(key))
            .cloned();
        if found.is_none() && !optional {
            return Err(PodError::Missing {
                place: place(),
                kind,
                name: format!("{}/{name}, key {key}", identity.namespace),
            });
        }
        Ok(found)
    };
    if let Some(from) = &source.config_map_key_ref {
        let optional = from.optional.unwrap_or(false);
        return found(
            "the ConfigMap",
            &objects.config_maps,
            &from.name,
            &from.key,
            optional,
        );
    }
    if let Some(from) = &source.secret_key_ref {
        let optional = from.optional.unwrap_or(false);
        return found(
            "the Secret",
            &objects.secrets,
            &from.name,
            &from.key,
            optional,
        );
    }
    match source
        .field_ref
        .as_ref()
        .map(|field| field.field_path.as_str())
    {
        Some("metadata.name") => Ok(Some(identity.pod.to_owned())),
        Some("metadata.namespace") => Ok(Some(identity.namespace.to_owned())),
        other => Err(PodError::Unsupported {
            place: place(),
            field: format!("valueFrom {}", other.unwrap_or_default()),
        }),
    }
}

/// `$(NAME)` becomes the value of a variable that is known, and stays as it is otherwise; `$$` is one dollar.
pub(super) fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = behind;
            continue;
        }
        let name = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'));
        match name.and_then(|(name, behind)| Some((known.get(name)?, behind))) {
            Some((value, behind)) => {
                expanded.push_str(value);
                rest = behind;
            }
            None => expanded.push('$'),
        }
    }
    expanded.push_str(rest);
    expanded
}
