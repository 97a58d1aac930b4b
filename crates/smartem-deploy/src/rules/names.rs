//! Names, namespaces and types.

use std::collections::BTreeSet;

use super::Report;
use crate::objects::{Render, all_texts, text};
use crate::tables::Tables;
use crate::typed;

/// No two objects of one kind have one name: the second would overwrite the first.
pub(super) fn names_unique(render: &Render, _: &Tables, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for object in &render.objects {
        if !seen.insert(object.id()) {
            report.object(
                object,
                "a second object with this kind and name",
                "name it otherwise",
            );
        }
    }
}

/// The Service of every `StatefulSet` is there, and so is every Service whose address a setting names.
pub(super) fn service_names_resolve(render: &Render, _: &Tables, report: &mut Report) {
    for set in render.of_kind("StatefulSet") {
        let name = text(&set.0, "/spec/serviceName");
        if render.find("Service", set.namespace(), name).is_none() {
            report.object(
                set,
                format!("its Service `{name}` does not exist"),
                "name one that does",
            );
        }
    }
    let namespaces: BTreeSet<_> = render
        .of_kind("Namespace")
        .map(super::super::objects::Object::name)
        .collect();
    for object in &render.objects {
        let mut texts = Vec::new();
        all_texts(&object.0, &mut texts);
        for host in texts.iter().flat_map(|text| hosts(text)) {
            let (name, namespace) = match host.split('.').collect::<Vec<_>>()[..] {
                [name] => (name, object.namespace()),
                [name, namespace] if namespaces.contains(namespace) => (name, namespace),
                [name, namespace, "svc", ..] => (name, namespace),
                _ => continue,
            };
            let elsewhere = !namespaces.contains(namespace);
            if !elsewhere && render.find("Service", namespace, name).is_none() {
                report.object(
                    object,
                    format!(
                        "there is no Service `{name}` in `{namespace}` for the address `{host}`"
                    ),
                    "name one that is in this overlay",
                );
            }
        }
    }
}

/// Hosts in the addresses of a text: what is between `://` and a colon, slash or end.
fn hosts(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split("://").zip(line.split("://").skip(1)))
        // The host of a bucket is no host.
        .filter(|(before, _)| {
            !["s3", "azblob", "file"]
                .iter()
                .any(|scheme| before.ends_with(scheme))
        })
        .filter_map(|(_, rest)| {
            let authority = rest.split(['/', '"', '\'', ' ', '?', ',']).next()?;
            let host = authority.rsplit('@').next()?.split(':').next()?;
            let plain = !host.is_empty()
                && host.chars().all(|letter| {
                    letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter)
                });
            (plain
                && host != "localhost"
                && host.contains(|letter: char| letter.is_ascii_lowercase()))
            .then_some(host)
        })
}

/// Every object is of an API version that exists, and has only fields of its type.
pub(super) fn typed_roundtrip(render: &Render, _: &Tables, report: &mut Report) {
    for object in &render.objects {
        for fault in typed::faults(object) {
            report.object(object, fault, "look the type up in the API reference");
        }
    }
}

/// Every object of a kind that lives in a namespace says in which, and that one is there.
pub(super) fn namespace_set(render: &Render, _: &Tables, report: &mut Report) {
    for object in &render.objects {
        let namespace = object.namespace();
        if !object.is_namespaced() {
            if !namespace.is_empty() {
                report.object(object, "its kind has no namespace", "leave it out");
            }
        } else if namespace.is_empty() {
            report.object(
                object,
                "no namespace: it goes where kubectl points to",
                "set it in the overlay",
            );
        } else if render.find("Namespace", "", namespace).is_none() {
            report.object(
                object,
                format!("there is no Namespace `{namespace}`"),
                "add it to the overlay",
            );
        }
    }
}
