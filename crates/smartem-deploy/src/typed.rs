//! The types of the API: reads an object as its type and looks for what was dropped on the way.

use k8s_openapi::api::{
    admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling,
    batch::v1 as batch, core::v1 as core, networking::v1 as networking, policy::v1 as policy,
    rbac::v1 as rbac, scheduling::v1 as scheduling,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::custom;
use crate::objects::Object;

/// What is wrong with an object as its API version sees it: texts that name the path.
pub(crate) fn faults(object: &Object) -> Vec<String> {
    macro_rules! kinds {
        ($($api:literal { $($kind:literal $type:ty),* $(,)? })*) => {
            match (object.api_version(), object.kind()) {
                $($(($api, $kind) => Some(round_trip::<$type>(&object.0)),)*)*
                _ => None,
            }
        };
    }
    let built_in = kinds! {
        "v1" {
            "ConfigMap" core::ConfigMap, "LimitRange" core::LimitRange, "Namespace" core::Namespace,
            "PersistentVolumeClaim" core::PersistentVolumeClaim, "Pod" core::Pod,
            "ResourceQuota" core::ResourceQuota, "Secret" core::Secret, "Service" core::Service,
            "ServiceAccount" core::ServiceAccount,
        }
        "apps/v1" {
            "DaemonSet" apps::DaemonSet, "Deployment" apps::Deployment, "StatefulSet" apps::StatefulSet,
        }
        "batch/v1" { "CronJob" batch::CronJob, "Job" batch::Job }
        "autoscaling/v2" { "HorizontalPodAutoscaler" autoscaling::HorizontalPodAutoscaler }
        "networking.k8s.io/v1" {
            "Ingress" networking::Ingress, "IngressClass" networking::IngressClass,
            "NetworkPolicy" networking::NetworkPolicy,
        }
        "policy/v1" { "PodDisruptionBudget" policy::PodDisruptionBudget }
        "rbac.authorization.k8s.io/v1" {
            "ClusterRole" rbac::ClusterRole, "ClusterRoleBinding" rbac::ClusterRoleBinding,
            "Role" rbac::Role, "RoleBinding" rbac::RoleBinding,
        }
        "scheduling.k8s.io/v1" { "PriorityClass" scheduling::PriorityClass }
        "admissionregistration.k8s.io/v1" {
            "ValidatingAdmissionPolicy" admission::ValidatingAdmissionPolicy,
            "ValidatingAdmissionPolicyBinding" admission::ValidatingAdmissionPolicyBinding,
        }
    };
    built_in
        .or_else(|| custom::faults(object))
        .unwrap_or_else(|| {
            vec![format!(
                "there is no {} in API version `{}`",
                object.kind(),
                object.api_version()
            )]
        })
}

fn round_trip<T: DeserializeOwned + Serialize>(value: &Value) -> Vec<String> {
    let typed = T::deserialize(value).map_err(|error| error.to_string());
    match typed.and_then(|typed| serde_json::to_value(typed).map_err(|error| error.to_string())) {
        Ok(back) => {
            let mut dropped = Vec::new();
            compare(value, &back, "", &mut dropped);
            dropped
        }
        Err(problem) => vec![problem],
    }
}

/// Paths that are in what was written and not in what the type kept.
fn compare(written: &Value, kept: &Value, path: &str, dropped: &mut Vec<String>) {
    match (written, kept) {
        (Value::Object(fields), Value::Object(others)) => {
            for (key, field) in fields {
                let path = format!("{path}/{key}");
                match others.get(key) {
                    Some(other) => compare(field, other, &path, dropped),
                    None if field.is_null() => {}
                    None => dropped.push(format!("{path} is no field of the type")),
                }
            }
        }
        (Value::Array(items), Value::Array(others)) => {
            for (at, (item, other)) in items.iter().zip(others).enumerate() {
                compare(item, other, &format!("{path}/{at}"), dropped);
            }
        }
        _ => {}
    }
}
