//! Every rule sees what it is there for: small edits of a real render, each of which must be found by its rule.

use serde_json::{Value, json};
use smartem_deploy::rules::{DEFECTS, RULES, check_rule};
use smartem_deploy::{Object, Render, Tables};

use crate::overlays::{render, tables};

/// A broken deployment: the rule that must tell, the overlay, and what to break.
type Mutation = (&'static str, &'static str, fn(&mut Render, &mut Tables));

/// The value of an object at a place.
fn at<'a>(render: &'a mut Render, kind: &str, name: &str, pointer: &str) -> &'a mut Value {
    let object = render
        .objects
        .iter_mut()
        .find(|object| {
            object.kind() == kind
                && (object.name() == name || object.name().starts_with(&format!("{name}-")))
        })
        .unwrap_or_else(|| panic!("no {kind} {name}"));
    object
        .0
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("{kind} {name} has no {pointer}"))
}

fn set(render: &mut Render, kind: &str, name: &str, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = at(render, kind, name, parent);
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => parent[key.replace("~1", "/")] = value,
    }
}

fn remove(render: &mut Render, kind: &str, name: &str, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let removed = at(render, kind, name, parent)
        .as_object_mut()
        .unwrap()
        .remove(key);
    assert!(removed.is_some(), "{kind} {name} has no {pointer}");
}

fn drop_object(render: &mut Render, kind: &str, name: &str) {
    let before = render.objects.len();
    render
        .objects
        .retain(|object| object.kind() != kind || object.name() != name);
    assert!(render.objects.len() < before, "no {kind} {name}");
}

fn add(render: &mut Render, object: Value) {
    render.objects.push(Object(object));
}

const SERVE: &str = "/spec/template/spec/containers/0";
const JOB: &str = "/spec/jobTemplate/spec";

const MUTATIONS: &[Mutation] = &[
    ("names_unique", "generic", |render, _| {
        let twice = render
            .find("Service", "smartemission", "serve")
            .unwrap()
            .clone();
        render.objects.push(twice);
    }),
    ("service_names_resolve", "generic", |render, _| {
        set(
            render,
            "StatefulSet",
            "influxdb",
            "/spec/serviceName",
            json!("influx"),
        );
    }),
    ("service_names_resolve", "generic", |render, _| {
        set(
            render,
            "StatefulSet",
            "collect",
            &format!("{SERVE}/env/0/value"),
            json!("mqtt://broker.smartemission:1883"),
        );
    }),
    ("typed_roundtrip", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/resources/limit"),
            json!({"memory": "1Gi"}),
        );
    }),
    ("typed_roundtrip", "local", |render, _| {
        set(
            render,
            "Ingress",
            "smartem",
            "/apiVersion",
            json!("extensions/v1beta1"),
        );
    }),
    ("typed_roundtrip", "generic", |render, _| {
        set(
            render,
            "CronJob",
            "etl-last",
            "/apiVersion",
            json!("batch/v1beta1"),
        );
    }),
    ("typed_roundtrip", "generic", |render, _| {
        set(
            render,
            "HTTPRoute",
            "smartem",
            "/spec/hostname",
            json!(["smartem.example"]),
        );
    }),
    ("claims_are_used", "generic", |render, _| {
        set(
            render,
            "PersistentVolumeClaim",
            "backup",
            "/metadata/name",
            json!("backups"),
        );
    }),
    ("secret_refs_local", "generic", |render, _| {
        set(
            render,
            "Gateway",
            "smartem",
            "/spec/listeners/1/tls/certificateRefs/0/name",
            json!("other-tls"),
        );
    }),
    ("secret_refs_local", "generic", |_, tables| {
        tables
            .secrets
            .iter_mut()
            .find(|row| row.name == "mosquitto")
            .unwrap()
            .keys
            .clear();
        let row = tables
            .secrets
            .iter()
            .find(|row| row.name == "grafana-admin")
            .unwrap()
            .clone();
        tables.secrets.push(smartem_deploy_row(row));
    }),
    ("read_only_root", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/securityContext/readOnlyRootFilesystem"),
            json!(false),
        );
    }),
    ("read_only_root", "generic", |render, _| {
        set(
            render,
            "CronJob",
            "influxdb-verify",
            &format!("{JOB}/template/spec/initContainers/0/args/2"),
            json!("--prepare=/var/lib/elsewhere"),
        );
    }),
    ("liveness_is_cheap", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/livenessProbe/httpGet/path"),
            json!("/readyz"),
        );
    }),
    ("images_pinned", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/image"),
            json!("smartem:latest"),
        );
    }),
    ("images_pinned", "generic", |_, tables| {
        tables
            .images
            .insert("influxdb".to_owned(), "influxdb:latest".to_owned());
    }),
    ("images_pinned", "generic", |_, tables| {
        tables
            .digests
            .insert("smartem".to_owned(), "sha256:0".to_owned());
    }),
    ("resources_declared", "generic", |render, _| {
        remove(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/resources/requests/memory"),
        );
    }),
    ("psa_restricted", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/securityContext/privileged"),
            json!(true),
        );
    }),
    ("psa_restricted", "generic", |render, _| {
        remove(
            render,
            "Deployment",
            "serve",
            "/spec/template/spec/securityContext/runAsNonRoot",
        );
    }),
    ("psa_restricted", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            "/spec/template/spec/volumes/0",
            json!({"name": "config", "hostPath": {"path": "/"}}),
        );
    }),
    ("psa_restricted", "generic", |render, _| {
        remove(
            render,
            "CronJob",
            "etl-refiner",
            &format!("{JOB}/template/spec/containers/0/securityContext/capabilities"),
        );
    }),
    ("exposed_routes_equal_table", "generic", |render, _| {
        set(
            render,
            "Service",
            "serve",
            "/spec/type",
            json!("LoadBalancer"),
        );
    }),
    ("exposed_routes_equal_table", "generic", |render, _| {
        drop_object(render, "HTTPRoute", "smartem");
    }),
    ("exposed_routes_equal_table", "local", |_, tables| {
        tables.routes.retain(|route| route.path != "/grafana");
    }),
    ("least_privilege_roles", "local", |render, _| {
        set(render, "Role", "prometheus", "/rules/0/verbs", json!(["*"]));
    }),
    ("least_privilege_roles", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/env/4/value"),
            json!("postgresql://smartem_owner@postgres/smartem"),
        );
    }),
    ("cron_policy", "generic", |render, _| {
        set(
            render,
            "CronJob",
            "etl-refiner",
            "/spec/concurrencyPolicy",
            json!("Replace"),
        );
    }),
    ("cron_policy", "generic", |render, _| {
        remove(
            render,
            "CronJob",
            "etl-refiner",
            &format!("{JOB}/podFailurePolicy"),
        );
    }),
    ("cron_deadline_below_period", "generic", |render, _| {
        remove(
            render,
            "CronJob",
            "etl-refiner",
            &format!("{JOB}/activeDeadlineSeconds"),
        );
    }),
    ("cron_deadline_below_period", "generic", |render, _| {
        set(
            render,
            "CronJob",
            "etl-refiner",
            &format!("{JOB}/activeDeadlineSeconds"),
            json!(300),
        );
    }),
    ("unknown_settings_rejected", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/env/4/name"),
            json!("STORE__POSTGRES__URL"),
        );
    }),
    ("unknown_settings_rejected", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/env/4/name"),
            json!("SMARTEM_STORE__POSTGRES__ADDRESS"),
        );
    }),
    ("unknown_settings_rejected", "generic", |render, _| {
        set(
            render,
            "ConfigMap",
            "smartem",
            "/data/smartem.toml",
            json!("[stores]\nbackend = \"postgres\"\n"),
        );
    }),
    ("every_service_has_a_client", "generic", |render, _| {
        add(
            render,
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "unused", "namespace": "smartemission"},
                "spec": {"selector": {"app.kubernetes.io/component": "serve"}, "ports": [{"port": 1}]},
            }),
        );
    }),
    ("docs_paths_exist", "generic", |_, tables| {
        tables.documents.insert(
            "docs/new.md".to_owned(),
            "See `deploy/nowhere.yaml`.".to_owned(),
        );
    }),
    ("docs_paths_exist", "generic", |_, tables| {
        tables.documents.insert(
            "docs/new.md".to_owned(),
            "See [it](../nowhere.md).".to_owned(),
        );
    }),
    ("alerts_have_unit_tests", "generic", |_, tables| {
        tables.prometheus.insert(
            "deploy/prometheus/new.rules.yml".to_owned(),
            "- alert: NobodyTestsThis\n".to_owned(),
        );
    }),
    ("hardening_complete", "generic", |render, _| {
        drop_object(render, "PodDisruptionBudget", "serve");
    }),
    ("hardening_complete", "generic", |render, _| {
        drop_object(render, "NetworkPolicy", "serve");
    }),
    ("hardening_complete", "generic", |render, _| {
        drop_object(render, "HorizontalPodAutoscaler", "serve");
    }),
    ("hardening_complete", "generic", |render, _| {
        drop_object(render, "ResourceQuota", "quota");
    }),
    ("hardening_complete", "generic", |render, _| {
        remove(
            render,
            "Deployment",
            "serve",
            "/spec/template/spec/topologySpreadConstraints",
        );
    }),
    ("backup_cronjobs_present", "generic", |render, _| {
        set(
            render,
            "CronJob",
            "etl-backup",
            "/spec/suspend",
            json!(true),
        );
    }),
    ("backup_cronjobs_present", "generic", |render, _| {
        drop_object(render, "CronJob", "influxdb-verify");
    }),
    ("mqtt_route", "generic", |render, _| {
        drop_object(render, "TLSRoute", "mqtt");
    }),
    ("mqtt_route", "generic", |render, _| {
        set(
            render,
            "ConfigMap",
            "mosquitto",
            "/data/mosquitto.conf",
            json!("allow_anonymous true\n"),
        );
    }),
    ("schedules_are_staggered", "generic", |render, _| {
        for name in [
            "etl-harvester-rivm",
            "etl-harvester-whale",
            "etl-refiner",
            "etl-extractor",
            "etl-last",
        ] {
            set(
                render,
                "CronJob",
                name,
                "/spec/schedule",
                json!("*/15 * * * *"),
            );
        }
    }),
    ("namespace_set", "generic", |render, _| {
        remove(render, "Service", "serve", "/metadata/namespace");
    }),
    ("cron_parses", "generic", |render, _| {
        set(
            render,
            "CronJob",
            "etl-refiner",
            "/spec/schedule",
            json!("not a cron"),
        );
    }),
    ("cron_parses", "generic", |render, _| {
        remove(render, "CronJob", "etl-refiner", "/spec/timeZone");
    }),
    ("process_schedules_equal", "generic", |render, _| {
        drop_object(render, "CronJob", "etl-refiner");
    }),
    ("process_schedules_equal", "generic", |_, tables| {
        tables.processes.remove("refiner");
    }),
    ("job_restart_policy", "generic", |render, _| {
        set(
            render,
            "CronJob",
            "etl-refiner",
            &format!("{JOB}/template/spec/restartPolicy"),
            json!("Always"),
        );
    }),
    ("selectors_match_templates", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            "/spec/template/metadata/labels/app.kubernetes.io~1component",
            json!("api"),
        );
    }),
    ("named_ports_exist", "generic", |render, _| {
        set(
            render,
            "Service",
            "serve",
            "/spec/ports/0/targetPort",
            json!("web"),
        );
    }),
    ("named_ports_exist", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/readinessProbe/httpGet/port"),
            json!("admin"),
        );
    }),
    ("targets_exist", "generic", |render, _| {
        set(
            render,
            "HorizontalPodAutoscaler",
            "serve",
            "/spec/scaleTargetRef/name",
            json!("server"),
        );
    }),
    ("targets_exist", "generic", |render, _| {
        set(
            render,
            "TLSRoute",
            "mqtt",
            "/spec/rules/0/backendRefs/0/port",
            json!(1884),
        );
    }),
    ("disruption_budget_has_one_field", "generic", |render, _| {
        set(
            render,
            "PodDisruptionBudget",
            "serve",
            "/spec/minAvailable",
            json!(1),
        );
    }),
    ("tcp_route_not_on_tls", "generic", |render, _| {
        set(render, "TLSRoute", "mqtt", "/kind", json!("TCPRoute"));
    }),
    ("secrets_have_no_data", "generic", |render, _| {
        add(
            render,
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "smartemission"},
                "stringData": {"password": "1"},
            }),
        );
    }),
    ("env_refers_to_earlier", "generic", |render, _| {
        at(render, "Deployment", "serve", &format!("{SERVE}/env"))
            .as_array_mut()
            .unwrap()
            .reverse();
    }),
    ("config_refs_exist", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/env/0/valueFrom/configMapKeyRef/key"),
            json!("hostname"),
        );
    }),
    ("config_refs_exist", "generic", |render, _| {
        set(
            render,
            "ConfigMap",
            "pgbouncer",
            "/metadata/name",
            json!("pgbouncer-other"),
        );
    }),
    ("network_matrix", "generic", |render, _| {
        drop_object(render, "NetworkPolicy", "serve");
    }),
    ("network_matrix", "generic", |render, _| {
        at(render, "NetworkPolicy", "serve", "/spec/ingress")
            .as_array_mut()
            .unwrap()
            .push(json!({}));
    }),
    ("network_matrix", "generic", |_, tables| {
        tables.allowed.remove(0);
    }),
    ("connection_budget", "generic", |_, tables| {
        tables.limits.get_mut("generic").unwrap().connections = Some(20);
    }),
    ("memory_budget", "generic", |render, _| {
        set(
            render,
            "Deployment",
            "serve",
            &format!("{SERVE}/resources/requests/memory"),
            json!("512Mi"),
        );
    }),
    ("quota_admits", "generic", |render, _| {
        for object in render
            .objects
            .iter_mut()
            .filter(|object| object.kind() == "ResourceQuota")
        {
            object.0["spec"]["hard"]["pods"] = json!("3");
        }
    }),
];

/// A row that nobody uses.
fn smartem_deploy_row(mut row: smartem_deploy::SecretRow) -> smartem_deploy::SecretRow {
    "nobody-uses-this".clone_into(&mut row.name);
    row
}

#[test]
fn every_mutation_is_found_by_its_rule() {
    let whole = tables();
    for (at, (name, overlay, break_it)) in MUTATIONS.iter().enumerate() {
        let (mut render, mut tables) = (render(overlay), whole.clone());
        let (known, rule) = RULES
            .iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("no rule {name}"));
        let before = check_rule(known, *rule, &render, &tables);
        break_it(&mut render, &mut tables);
        let after = check_rule(known, *rule, &render, &tables);
        assert!(
            after.iter().any(|finding| !before.contains(finding)),
            "mutation {at} of {name} is not found"
        );
    }
}

#[test]
fn every_rule_has_a_mutation() {
    for (name, _) in RULES {
        assert!(
            MUTATIONS.iter().any(|(rule, ..)| rule == name),
            "{name} has none"
        );
    }
}

#[test]
fn every_defect_of_the_original_is_a_rule() {
    let names: Vec<&str> = RULES[..DEFECTS].iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "names_unique",
            "service_names_resolve",
            "typed_roundtrip",
            "claims_are_used",
            "secret_refs_local",
            "read_only_root",
            "liveness_is_cheap",
            "images_pinned",
            "resources_declared",
            "psa_restricted",
            "exposed_routes_equal_table",
            "least_privilege_roles",
            "cron_policy",
            "cron_deadline_below_period",
            "unknown_settings_rejected",
            "every_service_has_a_client",
            "docs_paths_exist",
            "alerts_have_unit_tests",
            "hardening_complete",
            "backup_cronjobs_present",
            "mqtt_route",
            "schedules_are_staggered",
        ]
    );
}
