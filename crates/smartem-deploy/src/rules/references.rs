//! Secrets, config maps and what the environment of a container refers to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Report;
use crate::objects::{Object, Render, is_true, list, map, text};
use crate::tables::Tables;
use crate::workloads::{Workload, workloads};

/// A Secret or `ConfigMap` that a pod needs: its name, and the keys; none: all of it.
struct Reference {
    name: String,
    keys: Vec<String>,
}

/// References of a pod to `Secret` or `ConfigMap`, less the optional ones.
fn references(workload: &Workload, kind: &str) -> Vec<Reference> {
    let (volume, name, env, from) = if kind == "Secret" {
        ("secret", "secretName", "secretKeyRef", "secretRef")
    } else {
        ("configMap", "name", "configMapKeyRef", "configMapRef")
    };
    let mut found = Vec::new();
    let mut add = |source: Option<&Value>, name: &str, keys: Vec<String>| {
        if let Some(source) = source
            && !is_true(source, "/optional")
        {
            let name = text(source, &format!("/{name}")).to_owned();
            found.push(Reference { name, keys });
        }
    };
    let items = |source: Option<&Value>| {
        source.map_or_else(Vec::new, |source| {
            list(source, "/items")
                .iter()
                .map(|item| text(item, "/key").to_owned())
                .collect()
        })
    };
    for own in workload.volumes() {
        add(own.get(volume), name, items(own.get(volume)));
        for source in list(own, "/projected/sources") {
            add(source.get(volume), "name", items(source.get(volume)));
        }
    }
    for container in workload.all_containers() {
        for variable in list(container, "/env") {
            let source = variable.pointer(&format!("/valueFrom/{env}"));
            let key = source.map(|source| text(source, "/key").to_owned());
            add(source, "name", key.into_iter().collect());
        }
        for source in list(container, "/envFrom") {
            add(source.get(from), "name", Vec::new());
        }
    }
    found
}

/// Every Secret that is referred to is in the table for this namespace, and every row has the users it names.
pub(super) fn secret_refs_local(render: &Render, tables: &Tables, report: &mut Report) {
    let mut consumers: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let refer = |object: &Object, name: &str, keys: &[String], report: &mut Report| {
        let Some(row) = tables.secret(&render.overlay, object.namespace(), name) else {
            report.object(
                object,
                format!("the Secret `{name}` is not in `{}`", object.namespace()),
                "refer to one of deploy/secrets.toml in this namespace and overlay, or add a row",
            );
            return;
        };
        for key in keys.iter().filter(|key| !row.keys.contains(key)) {
            report.object(
                object,
                format!("the Secret `{name}` has no key `{key}`"),
                "use a key of the table",
            );
        }
    };
    for workload in workloads(render) {
        for reference in references(&workload, "Secret") {
            refer(workload.object, &reference.name, &reference.keys, report);
            consumers
                .entry((workload.object.namespace().to_owned(), reference.name))
                .or_default()
                .insert(workload.object.name().to_owned());
        }
    }
    for ingress in render.of_kind("Ingress") {
        for tls in list(&ingress.0, "/spec/tls") {
            let name = text(tls, "/secretName");
            refer(ingress, name, &["tls.crt".to_owned()], report);
            consumers
                .entry((ingress.namespace().to_owned(), name.to_owned()))
                .or_default()
                .insert(ingress.name().to_owned());
        }
    }
    for gateway in render.of_kind("Gateway") {
        for certificate in list(&gateway.0, "/spec/listeners")
            .iter()
            .flat_map(|listener| list(listener, "/tls/certificateRefs"))
        {
            let name = text(certificate, "/name");
            if certificate.get("namespace").is_some() {
                report.object(
                    gateway,
                    format!("the Secret `{name}` is of another namespace"),
                    "keep it in this one",
                );
            }
            refer(gateway, name, &["tls.crt".to_owned()], report);
            consumers
                .entry((gateway.namespace().to_owned(), name.to_owned()))
                .or_default()
                .insert(gateway.name().to_owned());
        }
    }
    table_is_used(render, tables, &consumers, report);
}

/// The other way round: rows that nobody uses, users that a row does not name.
fn table_is_used(
    render: &Render,
    tables: &Tables,
    consumers: &BTreeMap<(String, String), BTreeSet<String>>,
    report: &mut Report,
) {
    for row in tables
        .secrets
        .iter()
        .filter(|row| row.overlays.contains(&render.overlay))
    {
        let place = format!("deploy/secrets.toml, `{}`", row.name);
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for namespace in row.namespaces() {
            let Some(found) = consumers.get(&(namespace.to_owned(), row.name.clone())) else {
                // A namespace that an overlay leaves without this component needs no Secret there.
                continue;
            };
            used.extend(found.iter().map(String::as_str));
            for consumer in found
                .iter()
                .filter(|consumer| !row.consumers.contains(consumer))
            {
                report.place(
                    &place,
                    format!("`{consumer}` in `{namespace}` uses it too"),
                    "add it to `consumers`",
                );
            }
        }
        if used.is_empty() {
            report.place(
                &place,
                format!("nobody uses it in overlay `{}`", render.overlay),
                "drop the row",
            );
        }
        if row.issued
            && !render
                .of_kind("Certificate")
                .any(|certificate| text(&certificate.0, "/spec/secretName") == row.name)
        {
            report.place(
                &place,
                "no Certificate makes it",
                "add one, or move the row to [[secret]]",
            );
        }
    }
}

/// No Secret brings a value along.
pub(super) fn secrets_have_no_data(render: &Render, _: &Tables, report: &mut Report) {
    for secret in render.of_kind("Secret") {
        if secret.0.get("data").is_some() || secret.0.get("stringData").is_some() {
            report.object(
                secret,
                "a Secret with its values is in the manifests",
                "only name it; deploy/secrets.toml says who makes it",
            );
        }
    }
}

/// `$(NAME)` refers to a variable that was set before; otherwise the text stays as it is.
pub(super) fn env_refers_to_earlier(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render) {
        for container in workload.all_containers() {
            let mut known = BTreeSet::new();
            let mut miss = |texts: &mut dyn Iterator<Item = &str>, known: &BTreeSet<&str>| {
                for name in texts
                    .flat_map(variables)
                    .filter(|name| !known.contains(name))
                {
                    report.object(
                        workload.object,
                        format!(
                            "`$({name})` in `{}` is not set before",
                            text(container, "/name")
                        ),
                        "set it above",
                    );
                }
            };
            for variable in list(container, "/env") {
                miss(&mut std::iter::once(text(variable, "/value")), &known);
                known.insert(text(variable, "/name"));
            }
            if list(container, "/envFrom").is_empty() {
                let words = list(container, "/args")
                    .iter()
                    .chain(list(container, "/command"));
                miss(&mut words.filter_map(Value::as_str), &known);
            }
        }
    }
}

/// Names in `$(...)`, less those written `$$(...)`.
pub(super) fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("$(").filter_map(|(at, _)| {
        let escaped = text[..at].ends_with('$');
        let name = text[at + 2..].split_once(')')?.0;
        let plain = name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
        (!escaped && plain && !name.is_empty()).then_some(name)
    })
}

/// Every `ConfigMap` that is referred to is there with its keys, and every one is used.
pub(super) fn config_refs_exist(render: &Render, tables: &Tables, report: &mut Report) {
    let mut used = BTreeSet::new();
    for workload in workloads(render) {
        let namespace = workload.object.namespace();
        for reference in references(&workload, "ConfigMap") {
            used.insert((namespace.to_owned(), reference.name.clone()));
            let Some(config) = render.find("ConfigMap", namespace, &reference.name) else {
                // Every namespace has this one.
                let given = reference.name == "kube-root-ca.crt";
                let place = format!("{namespace}/{}", reference.name);
                if !given && !tables.made_elsewhere.contains(&place) {
                    report.object(
                        workload.object,
                        format!(
                            "there is no ConfigMap `{}` in `{namespace}`",
                            reference.name
                        ),
                        "add it to the overlay",
                    );
                }
                continue;
            };
            let keys = map(&config.0, "/data");
            for key in reference.keys.iter().filter(|key| !keys.contains_key(*key)) {
                report.object(
                    workload.object,
                    format!("{} has no key `{key}`", config.id()),
                    "add it",
                );
            }
        }
    }
    for config in render.of_kind("ConfigMap") {
        if !used.contains(&(config.namespace().to_owned(), config.name().to_owned())) {
            report.object(config, "no pod uses it", "drop it");
        }
    }
}
