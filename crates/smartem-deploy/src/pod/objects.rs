//! What a render holds, as far as pods need it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplateSpec, Service};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::PodError;

/// Namespace and name.
type Key = (String, String);

/// Templates, `ConfigMaps` and Secrets by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    templates: BTreeMap<(Workload, Key), PodTemplateSpec>,
    claims: BTreeMap<Key, Vec<String>>,
    /// By namespace and name, the labels that each Service selects.
    services: BTreeMap<Key, BTreeMap<String, String>>,
    pub(super) config_maps: BTreeMap<Key, BTreeMap<String, String>>,
    pub(super) secrets: BTreeMap<Key, BTreeMap<String, String>>,
}

/// Kinds of objects that pods are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// A Deployment.
    Deployment,
    /// A `StatefulSet`.
    StatefulSet,
    /// A `CronJob`.
    CronJob,
}

impl Objects {
    /// Reads a render of many documents.
    pub fn read(text: &str) -> Result<Self, PodError> {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| PodError::Render {
                name: "render".to_owned(),
                problem: error.to_string(),
            })?;
        let mut objects = Self::default();
        for document in documents {
            objects.add(document)?;
        }
        Ok(objects)
    }

    fn add(&mut self, document: Value) -> Result<(), PodError> {
        let text = |pointer: &str| {
            document
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let key = (
            text("/metadata/namespace").to_owned(),
            text("/metadata/name").to_owned(),
        );
        let name = format!("{} {}/{}", text("/kind"), key.0, key.1);
        match text("/kind") {
            "ConfigMap" => {
                let map: ConfigMap = typed(document, &name)?;
                self.config_maps.insert(key, map.data.unwrap_or_default());
            }
            "Service" => {
                let service: Service = typed(document, &name)?;
                if let Some(selector) = service.spec.and_then(|spec| spec.selector) {
                    self.services.insert(key, selector);
                }
            }
            "Deployment" => {
                let object: Deployment = typed(document, &name)?;
                let template = Some(object.spec.template);
                self.insert(Workload::Deployment, key, template, &name)?;
            }
            "StatefulSet" => {
                let object: StatefulSet = typed(document, &name)?;
                let claims = object
                    .spec
                    .volume_claim_templates
                    .iter()
                    .flatten()
                    .filter_map(|claim| claim.metadata.name.clone())
                    .collect();
                self.claims.insert(key.clone(), claims);
                let template = Some(object.spec.template);
                self.insert(Workload::StatefulSet, key, template, &name)?;
            }
            "CronJob" => {
                let object: CronJob = typed(document, &name)?;
                let template = object.spec.job_template.spec.map(|job| job.template);
                self.insert(Workload::CronJob, key, template, &name)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn insert(
        &mut self,
        workload: Workload,
        key: Key,
        template: Option<PodTemplateSpec>,
        name: &str,
    ) -> Result<(), PodError> {
        let template = template.ok_or_else(|| PodError::Render {
            name: name.to_owned(),
            problem: "it has no template of a pod".to_owned(),
        })?;
        self.templates.insert((workload, key), template);
        Ok(())
    }

    /// The template of a workload.
    pub fn template(
        &self,
        workload: Workload,
        namespace: &str,
        name: &str,
    ) -> Result<&PodTemplateSpec, PodError> {
        self.templates
            .get(&(workload, (namespace.to_owned(), name.to_owned())))
            .ok_or_else(|| PodError::Missing {
                place: "the test".to_owned(),
                kind: "a workload",
                name: format!("{workload:?} {namespace}/{name}"),
            })
    }

    /// Takes over a workload of another render: its template, claims and Services, and the `ConfigMap` whose name
    /// begins with `config`.
    pub fn take_workload(
        &mut self,
        from: &Self,
        workload: Workload,
        namespace: &str,
        name: &str,
        config: &str,
    ) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(template) = from.templates.get(&(workload, key.clone())) {
            self.templates
                .insert((workload, key.clone()), template.clone());
        }
        if let Some(claims) = from.claims.get(&key) {
            self.claims.insert(key.clone(), claims.clone());
        }
        if let Some(selector) = from.services.get(&key) {
            self.services.insert(key, selector.clone());
        }
        if let Some(config) = from.config_map_name(namespace, config) {
            let key = (namespace.to_owned(), config);
            self.config_maps
                .insert(key.clone(), from.config_maps[&key].clone());
        }
    }

    /// Names of the volumes that are claims of a `StatefulSet`.
    pub fn claims(&self, namespace: &str, name: &str) -> Vec<String> {
        let key = (namespace.to_owned(), name.to_owned());
        self.claims.get(&key).cloned().unwrap_or_default()
    }

    /// Names of the Services of a namespace that select a pod with these labels.
    pub(super) fn services(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Vec<String> {
        self.services
            .iter()
            .filter(|((space, _), selector)| {
                space == namespace
                    && !selector.is_empty()
                    && selector
                        .iter()
                        .all(|(key, value)| labels.get(key) == Some(value))
            })
            .map(|((_, name), _)| name.clone())
            .collect()
    }

    /// Names of all workloads of a kind, with their namespaces.
    pub fn names(&self, workload: Workload) -> Vec<(String, String)> {
        self.templates
            .keys()
            .filter(|(kind, _)| *kind == workload)
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// The name of the `ConfigMap` whose name begins so; Kustomize puts a hash behind it.
    pub fn config_map_name(&self, namespace: &str, prefix: &str) -> Option<String> {
        self.config_maps
            .keys()
            .find(|(space, name)| {
                space == namespace
                    && (name == prefix
                        || name.strip_prefix(prefix).is_some_and(|rest| {
                            rest.starts_with('-') && rest[1..].chars().all(char::is_alphanumeric)
                        }))
            })
            .map(|(_, name)| name.clone())
    }

    /// One value of a `ConfigMap`, to be read or changed.
    pub fn config_map(&mut self, namespace: &str, name: &str) -> &mut BTreeMap<String, String> {
        self.config_maps
            .entry((namespace.to_owned(), name.to_owned()))
            .or_default()
    }

    /// Sets one value of a Secret; no render has any.
    pub fn put_secret(&mut self, namespace: &str, name: &str, key: &str, value: &str) {
        self.secrets
            .entry((namespace.to_owned(), name.to_owned()))
            .or_default()
            .insert(key.to_owned(), value.to_owned());
    }
}

fn typed<T: DeserializeOwned>(document: Value, name: &str) -> Result<T, PodError> {
    serde_json::from_value(document).map_err(|error| PodError::Render {
        name: name.to_owned(),
        problem: error.to_string(),
    })
}
