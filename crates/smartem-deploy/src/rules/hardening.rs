//! What keeps a cluster safe and available beside the pods themselves.

use super::Report;
use crate::objects::{Object, Render, list, number, selects, text};
use crate::tables::Tables;
use crate::workloads::{Workload, workloads};

/// Namespaces deny by default and have a quota and limits; workloads have a policy of their own, a disruption budget,
/// an autoscaler or a reason for having none, and are spread when there are several.
pub(super) fn hardening_complete(render: &Render, tables: &Tables, report: &mut Report) {
    for namespace in render.of_kind("Namespace") {
        let has_pods =
            workloads(render).any(|workload| workload.object.namespace() == namespace.name());
        if has_pods {
            namespace_is_closed(render, namespace, report);
        }
    }
    for workload in workloads(render) {
        if !chosen_by(
            render,
            &workload,
            "NetworkPolicy",
            "/spec/podSelector",
            |policy| policy.0.pointer("/spec/podSelector") != Some(&serde_json::json!({})),
        ) {
            report.object(
                workload.object,
                "no NetworkPolicy is about its pods",
                "add one",
            );
        }
        if !workload.is_job() {
            long_running(render, tables, &workload, report);
        }
    }
}

fn chosen_by(
    render: &Render,
    workload: &Workload,
    kind: &str,
    place: &str,
    counts: impl Fn(&Object) -> bool,
) -> bool {
    render.of_kind(kind).any(|object| {
        object.namespace() == workload.object.namespace()
            && counts(object)
            && object
                .0
                .pointer(place)
                .is_some_and(|selector| selects(selector, &workload.labels()))
    })
}

fn namespace_is_closed(render: &Render, namespace: &Object, report: &mut Report) {
    let denies = render.of_kind("NetworkPolicy").any(|policy| {
        policy.namespace() == namespace.name()
            && policy.0.pointer("/spec/podSelector") == Some(&serde_json::json!({}))
            && ["Ingress", "Egress"].iter().all(|way| {
                list(&policy.0, "/spec/policyTypes")
                    .iter()
                    .any(|own| own == way)
            })
            && list(&policy.0, "/spec/ingress").is_empty()
            && list(&policy.0, "/spec/egress").is_empty()
    });
    if !denies {
        report.object(
            namespace,
            "everybody may connect to everybody",
            "deny ingress and egress by default",
        );
    }
    for kind in ["ResourceQuota", "LimitRange"] {
        if !render
            .of_kind(kind)
            .any(|object| object.namespace() == namespace.name())
        {
            report.object(namespace, format!("it has no {kind}"), "add one");
        }
    }
}

fn long_running(render: &Render, tables: &Tables, workload: &Workload, report: &mut Report) {
    let object = workload.object;
    if !chosen_by(
        render,
        workload,
        "PodDisruptionBudget",
        "/spec/selector",
        |_| true,
    ) {
        report.object(
            object,
            "no PodDisruptionBudget is about its pods",
            "add one",
        );
    }
    let scaled = render.of_kind("HorizontalPodAutoscaler").any(|scaler| {
        scaler.namespace() == object.namespace()
            && text(&scaler.0, "/spec/scaleTargetRef/kind") == object.kind()
            && text(&scaler.0, "/spec/scaleTargetRef/name") == object.name()
    });
    let key = format!("{}/{}", object.namespace(), object.name());
    if !scaled && !tables.fixed_replicas.contains_key(&key) {
        report.object(
            object,
            "its number of pods is fixed, and nobody says why",
            "add an autoscaler, or a reason to deploy/limits.toml",
        );
    }
    let several = workload.most_pods(render) > 1;
    let constraints = list(workload.spec(), "/topologySpreadConstraints");
    for key in ["topology.kubernetes.io/zone", "kubernetes.io/hostname"] {
        if several
            && !constraints
                .iter()
                .any(|constraint| text(constraint, "/topologyKey") == key)
        {
            report.object(
                object,
                format!("its pods may all be on one {key}"),
                "add a topologySpreadConstraint",
            );
        }
    }
    if several
        && object.kind() == "Deployment"
        && number(&object.0, "/spec/strategy/rollingUpdate/maxUnavailable") != Some(0)
    {
        report.object(
            object,
            "an update runs with fewer pods than asked for",
            "set maxUnavailable to 0",
        );
    }
    if text(workload.spec(), "/priorityClassName").is_empty()
        && render.of_kind("PriorityClass").next().is_some()
    {
        report.object(
            object,
            "it has no priority",
            "name one of the PriorityClasses",
        );
    }
}
