//! What starts pods: Deployments, `StatefulSets`, `DaemonSets`, Jobs, `CronJobs` and Pods, seen alike.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::objects::{self, Object, Render};

/// An object that starts pods.
#[derive(Clone, Copy, Debug)]
pub struct Workload<'a> {
    /// The object.
    pub object: &'a Object,
    /// Its pod template.
    pub template: &'a Value,
}

/// Where the pod template of a kind is.
pub(crate) fn template_at(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        "Pod" => "",
        _ => return None,
    })
}

/// All workloads of a render.
pub fn workloads(render: &Render) -> impl Iterator<Item = Workload<'_>> {
    render.objects.iter().filter_map(|object| {
        let template = object.0.pointer(template_at(object.kind())?)?;
        Some(Workload { object, template })
    })
}

impl<'a> Workload<'a> {
    /// Its pod specification.
    pub fn spec(&self) -> &'a Value {
        self.template.pointer("/spec").unwrap_or(&Value::Null)
    }

    /// The labels of its pods.
    pub fn labels(&self) -> BTreeMap<String, String> {
        objects::map(self.template, "/metadata/labels")
    }

    /// The component its pods belong to.
    pub fn component(&self) -> String {
        self.labels()
            .remove("app.kubernetes.io/component")
            .unwrap_or_default()
    }

    /// Whether its pods end by themselves.
    pub fn is_job(&self) -> bool {
        matches!(self.object.kind(), "Job" | "CronJob")
    }

    /// Containers that run beside each other.
    pub fn containers(&self) -> &'a [Value] {
        objects::list(self.spec(), "/containers")
    }

    /// Containers that run before, one after the other.
    pub fn init_containers(&self) -> &'a [Value] {
        objects::list(self.spec(), "/initContainers")
    }

    /// Both kinds.
    pub fn all_containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.init_containers().iter().chain(self.containers())
    }

    /// Volumes of its pods.
    pub fn volumes(&self) -> &'a [Value] {
        objects::list(self.spec(), "/volumes")
    }

    /// The number of a port of its pods by name or number.
    pub fn port(&self, wanted: &Value) -> Option<i64> {
        if let Some(number) = wanted.as_i64() {
            return Some(number);
        }
        self.ports()
            .find(|port| port.pointer("/name") == Some(wanted))
            .and_then(|port| objects::number(port, "/containerPort"))
    }

    /// Ports of its containers.
    pub fn ports(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.containers()
            .iter()
            .flat_map(|container| objects::list(container, "/ports"))
    }

    /// The most pods there can be at the same time, without those of an update.
    pub fn most_pods(&self, render: &Render) -> i64 {
        if self.is_job() {
            return objects::number(&self.object.0, "/spec/jobTemplate/spec/parallelism")
                .unwrap_or(1);
        }
        let scaled = render
            .of_kind("HorizontalPodAutoscaler")
            .filter(|scaler| {
                scaler.namespace() == self.object.namespace()
                    && objects::text(&scaler.0, "/spec/scaleTargetRef/kind") == self.object.kind()
                    && objects::text(&scaler.0, "/spec/scaleTargetRef/name") == self.object.name()
            })
            .find_map(|scaler| objects::number(&scaler.0, "/spec/maxReplicas"));
        scaled
            .or_else(|| objects::number(&self.object.0, "/spec/replicas"))
            .unwrap_or(1)
    }

    /// Pods that an update runs beside those of before.
    pub fn surge(&self) -> i64 {
        if self.object.kind() == "Deployment" {
            objects::number(&self.object.0, "/spec/strategy/rollingUpdate/maxSurge").unwrap_or(1)
        } else {
            0
        }
    }
}
