//! What pods may do: the Pod Security Standard `restricted`, and roles.

use serde_json::Value;

use super::Report;
use crate::objects::{Object, Render, is_true, list, map, number, text};
use crate::tables::Tables;
use crate::workloads::{Workload, workloads};

/// Volumes that `restricted` allows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Every pod fulfils `restricted`, and every namespace with pods enforces it in a version that is named.
pub(super) fn psa_restricted(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render) {
        pod(&workload, report);
        for container in workload.all_containers() {
            for fault in container_faults(workload.spec(), container) {
                report.object(
                    workload.object,
                    format!("container `{}`: {fault}", text(container, "/name")),
                    "see the Pod Security Standard `restricted`",
                );
            }
        }
        namespace_enforces(render, workload.object, report);
    }
}

fn pod(workload: &Workload, report: &mut Report) {
    let spec = workload.spec();
    for field in ["/hostNetwork", "/hostPID", "/hostIPC"] {
        if is_true(spec, field) {
            report.object(workload.object, format!("{field} is set"), "leave it out");
        }
    }
    if is_true(spec, "/securityContext/windowsOptions/hostProcess") {
        report.object(workload.object, "hostProcess is set", "leave it out");
    }
    if !list(spec, "/securityContext/sysctls").is_empty() {
        report.object(workload.object, "it sets sysctls", "leave them out");
    }
    for volume in workload.volumes() {
        let kinds = volume
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str());
        for kind in kinds.filter(|kind| *kind != "name" && !VOLUMES.contains(kind)) {
            report.object(
                workload.object,
                format!("the volume `{}` is a {kind}", text(volume, "/name")),
                format!("use one of {}", VOLUMES.join(", ")),
            );
        }
    }
    // Beyond the standard: nobody here speaks with the API of the cluster but Prometheus.
    if !is_true(spec, "/automountServiceAccountToken")
        && spec.get("automountServiceAccountToken").is_none()
    {
        report.object(
            workload.object,
            "it gets a token of the API by default",
            "say automountServiceAccountToken",
        );
    }
    if text(spec, "/serviceAccountName").is_empty()
        || text(spec, "/serviceAccountName") == "default"
    {
        report.object(
            workload.object,
            "it runs as the ServiceAccount `default`",
            "give it one of its own",
        );
    }
}

/// What `restricted` has against a container.
fn container_faults(spec: &Value, container: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, what: &str| {
        if wrong {
            faults.push(what.to_owned());
        }
    };
    let own = |place: &str| container.pointer(&format!("/securityContext/{place}"));
    let or_pod =
        |place: &str| own(place).or_else(|| spec.pointer(&format!("/securityContext/{place}")));

    fault(
        own("privileged") == Some(&Value::Bool(true)),
        "it is privileged",
    );
    fault(
        own("allowPrivilegeEscalation") != Some(&Value::Bool(false)),
        "allowPrivilegeEscalation is not false",
    );
    let drops = own("capabilities").map_or(&[][..], |capabilities| list(capabilities, "/drop"));
    fault(
        !drops.iter().any(|name| name == "ALL"),
        "it does not drop ALL capabilities",
    );
    let adds = own("capabilities").map_or(&[][..], |capabilities| list(capabilities, "/add"));
    fault(
        adds.iter().any(|name| name != "NET_BIND_SERVICE"),
        "it adds capabilities",
    );
    fault(
        or_pod("runAsNonRoot") != Some(&Value::Bool(true)),
        "runAsNonRoot is not true",
    );
    fault(
        or_pod("runAsUser").and_then(Value::as_i64) == Some(0),
        "it runs as user 0",
    );
    let profile = or_pod("seccompProfile").map_or("", |profile| text(profile, "/type"));
    fault(
        !matches!(profile, "RuntimeDefault" | "Localhost"),
        "it has no seccomp profile",
    );
    let mount = own("procMount").and_then(Value::as_str);
    fault(
        mount.is_some_and(|mount| mount != "Default"),
        "procMount is not Default",
    );
    let labels = or_pod("seLinuxOptions");
    fault(
        labels
            .is_some_and(|options| options.get("user").is_some() || options.get("role").is_some()),
        "it sets user or role of SELinux",
    );
    fault(
        list(container, "/ports")
            .iter()
            .any(|port| number(port, "/hostPort").is_some_and(|port| port != 0)),
        "it takes a port of the host",
    );
    let handlers = [
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
        "lifecycle/preStop",
        "lifecycle/postStart",
    ];
    fault(
        handlers.iter().any(|handler| {
            ["httpGet", "tcpSocket"]
                .iter()
                .any(|way| !text(container, &format!("/{handler}/{way}/host")).is_empty())
        }),
        "a probe or hook names a host",
    );
    faults
}

fn namespace_enforces(render: &Render, object: &Object, report: &mut Report) {
    let Some(namespace) = render.find("Namespace", "", object.namespace()) else {
        return;
    };
    let labels = map(&namespace.0, "/metadata/labels");
    let label = |name: &str| {
        labels
            .get(&format!("pod-security.kubernetes.io/{name}"))
            .map_or("", String::as_str)
    };
    if label("enforce") != "restricted" {
        report.object(
            namespace,
            "pods are not held to `restricted`",
            "label it pod-security.kubernetes.io/enforce",
        );
    }
    if !label("enforce-version").starts_with("v1.") {
        report.object(
            namespace,
            "what `restricted` means changes with the cluster",
            "name a version in enforce-version",
        );
    }
}

/// The role of the database of each kind of pod, by component.
const DATABASE_ROLES: [(&str, &str); 6] = [
    ("serve", "smartem_api"),
    ("collect", "smartem_writer"),
    ("etl", "smartem_writer"),
    ("backup", "smartem_writer"),
    ("migrate", "smartem_owner"),
    ("restore", "smartem_owner"),
];

/// Each kind of pod logs in to the database as its own role, whose password alone it has; roles of the cluster name
/// what they may do, and never everything.
pub(super) fn least_privilege_roles(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render) {
        for container in workload.all_containers() {
            for variable in list(container, "/env") {
                if text(variable, "/name") != "SMARTEM_STORE__POSTGRES__URL" {
                    continue;
                }
                let address = text(variable, "/value");
                let role = address
                    .split_once("://")
                    .and_then(|(_, rest)| rest.split_once('@'))
                    .map_or("", |(role, _)| role);
                database_role(&workload, role, report);
            }
        }
    }
    for role in render.of_kind("Role").chain(render.of_kind("ClusterRole")) {
        for rule in list(&role.0, "/rules") {
            for field in ["/verbs", "/resources", "/apiGroups"] {
                if list(rule, field).iter().any(|item| item == "*") {
                    report.object(role, format!("`*` in {field}"), "name what is needed");
                }
            }
            let writes = |verb: &Value| !matches!(verb.as_str(), Some("get" | "list" | "watch"));
            let secrets = list(rule, "/resources")
                .iter()
                .any(|item| item == "secrets");
            if secrets || list(rule, "/verbs").iter().any(writes) {
                report.object(
                    role,
                    "it may read Secrets or change something",
                    "only get, list and watch other things",
                );
            }
        }
    }
    for binding in render
        .of_kind("ClusterRoleBinding")
        .chain(render.of_kind("RoleBinding"))
    {
        let name = text(&binding.0, "/roleRef/name");
        if matches!(name, "cluster-admin" | "admin" | "edit") {
            report.object(
                binding,
                format!("it gives `{name}`"),
                "bind a role with only what is needed",
            );
        }
        let kind = text(&binding.0, "/roleRef/kind");
        let namespace = if kind == "Role" {
            binding.namespace()
        } else {
            ""
        };
        if render.find(kind, namespace, name).is_none() && !matches!(name, "view") {
            report.object(
                binding,
                format!("there is no {kind} `{name}`"),
                "name one that is",
            );
        }
    }
}

fn database_role(workload: &Workload, role: &str, report: &mut Report) {
    let component = workload.component();
    let wanted = DATABASE_ROLES
        .iter()
        .find(|(name, _)| *name == component)
        .map(|(_, role)| *role);
    if wanted != Some(role) {
        report.object(
            workload.object,
            format!("it logs in to the database as `{role}`"),
            format!(
                "as a pod of `{component}` it should be `{}`",
                wanted.unwrap_or("nobody")
            ),
        );
    }
    let secret = role.replace("smartem_", "postgres-");
    for volume in workload.volumes() {
        let name = text(volume, "/secret/secretName");
        if name.starts_with("postgres-") && name != secret {
            report.object(
                workload.object,
                format!("it has the password `{name}`"),
                format!("mount `{secret}` only"),
            );
        }
    }
}
