//! Documentation and alerts.

use std::collections::BTreeSet;

use super::Report;
use crate::objects::Render;
use crate::tables::Tables;

/// Folders of the project that texts name files in.
const FOLDERS: [&str; 9] = [
    "deploy/",
    "docs/",
    "scripts/",
    "config/",
    "devices/",
    "crates/",
    "vocabulary/",
    "fixtures/",
    "bench/",
];

/// What readers make themselves, and what kubectl calls the Deployment `serve`.
const NO_PATHS: [&str; 2] = ["deploy/kubernetes/overlays/city", "deploy/serve"];

/// Files and folders that texts name in code marks, and links between texts, are there.
pub(super) fn docs_paths_exist(_: &Render, tables: &Tables, report: &mut Report) {
    for (place, text) in &tables.documents {
        let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = code_spans(text)
            .filter(|path| FOLDERS.iter().any(|folder| path.starts_with(folder)))
            .map(str::to_owned);
        let linked = links(text).map(|link| resolve(folder, link));
        for path in named.chain(linked) {
            let path = path.trim_end_matches(['/', '.', ':', ',']);
            let pattern = path.contains(['*', '<', '{', '$', '…', ' '])
                || path.contains("NAME")
                || path.contains("...");
            let other = NO_PATHS.iter().any(|other| path.starts_with(other));
            if !pattern && !other && !path.is_empty() && !tables.paths.contains(path) {
                report.place(
                    place,
                    format!("`{path}` does not exist"),
                    "name what is there",
                );
            }
        }
    }
}

/// Texts between back quotes, also words of blocks of code.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().flat_map(move |line| {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            return Vec::new();
        }
        if in_block {
            return line.split_whitespace().collect();
        }
        line.split('`')
            .skip(1)
            .step_by(2)
            .filter(|span| !span.contains(' '))
            .collect()
    })
}

/// Targets of links to other files, without the part after `#`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split('#').next()?;
        let local = !target.is_empty()
            && !target.contains("://")
            && !target.starts_with("mailto:")
            && !target.starts_with('/');
        local.then_some(target)
    })
}

fn resolve(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Every alert is expected to fire by a unit test of the rules; and there are some.
pub(super) fn alerts_have_unit_tests(_: &Render, tables: &Tables, report: &mut Report) {
    let tested: BTreeSet<&str> = tables
        .prometheus
        .iter()
        .filter(|(path, _)| is_test(path))
        .flat_map(|(_, text)| values(text, "alertname:").chain(values(text, "- alertname:")))
        .collect();
    let mut any = false;
    for (path, text) in tables.prometheus.iter().filter(|(path, _)| !is_test(path)) {
        for alert in values(text, "- alert:") {
            any = true;
            if !tested.contains(alert) {
                report.place(
                    path,
                    format!("no unit test is about the alert `{alert}`"),
                    "add one beside the rules",
                );
            }
        }
    }
    if !any {
        report.place("deploy/prometheus", "there are no alerts", "add rules");
    }
}

fn is_test(path: &str) -> bool {
    path.contains("test")
}

/// What stands after a key of YAML.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.trim_start().strip_prefix(key))
        .map(|rest| rest.trim().trim_matches(['"', '\'']))
}
