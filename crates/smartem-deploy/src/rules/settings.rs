//! Settings of smartem in manifests.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Report;
use super::references::variables;
use crate::objects::{Render, list, text};
use crate::tables::Tables;
use crate::workloads::workloads;

/// Variables that others read: libraries, the system.
const OTHERS: [&str; 5] = ["AWS_", "AZURE_", "RUST_LOG", "TMPDIR", "HOME"];

/// Tables of `config/smartem.toml` whose keys are names that users choose or that have no default.
const OPEN: [&str; 2] = ["process", "collect"];

/// Every variable and key is a setting, or is used by one: a variable without the prefix would be ignored.
///
/// Whether the program takes all of them, also deep inside a process, is asked of itself by the tests of the binary.
pub(super) fn unknown_settings_rejected(render: &Render, tables: &Tables, report: &mut Report) {
    for workload in workloads(render) {
        for container in workload.all_containers() {
            if !text(container, "/image").starts_with("smartem:") {
                continue;
            }
            let words = list(container, "/args").iter().filter_map(Value::as_str);
            let used: BTreeSet<&str> = list(container, "/env")
                .iter()
                .map(|variable| text(variable, "/value"))
                .chain(words)
                .flat_map(variables)
                .collect();
            for variable in list(container, "/env") {
                let name = text(variable, "/name");
                let fault = match name.strip_prefix("SMARTEM_") {
                    Some(setting) => !is_setting(&tables.settings, setting),
                    None => {
                        !used.contains(name) && !OTHERS.iter().any(|other| name.starts_with(other))
                    }
                };
                if fault {
                    report.object(
                        workload.object,
                        format!("nothing reads `{name}`"),
                        "settings begin with SMARTEM_, as in config/smartem.toml",
                    );
                }
            }
        }
    }
    for config in render.of_kind("ConfigMap") {
        let written = text(&config.0, "/data/smartem.toml");
        match written.parse::<toml::Table>() {
            Err(error) => report.object(
                config,
                format!("smartem.toml: {}", error.message()),
                "mend it",
            ),
            Ok(settings) => {
                for (section, value) in &settings {
                    keys(tables, section, value, &config.id(), report);
                }
            }
        }
    }
}

/// Whether a variable, less its prefix, names a setting: `STORE__POSTGRES__URL`.
fn is_setting(settings: &toml::Table, name: &str) -> bool {
    let path: Vec<String> = name.split("__").map(str::to_lowercase).collect();
    if path.len() < 2 {
        return false;
    }
    let mut at = settings;
    for (depth, part) in path.iter().enumerate() {
        let found = at.get(part).or_else(|| at.get(&part.replace('_', "-")));
        match found {
            Some(toml::Value::Table(inner)) => at = inner,
            Some(_) => return depth + 1 == path.len(),
            // Not every key inside these has a default.
            None => return depth > 0 && OPEN.contains(&path[0].as_str()),
        }
    }
    false
}

fn keys(tables: &Tables, section: &str, value: &toml::Value, place: &str, report: &mut Report) {
    let Some(known) = tables.settings.get(section) else {
        report.place(
            place,
            format!("smartem.toml: there is no [{section}]"),
            "see config/smartem.toml",
        );
        return;
    };
    for key in value.as_table().into_iter().flat_map(toml::Table::keys) {
        if known.get(key).is_none() && !(section == "collect" && key == "database") {
            report.place(
                place,
                format!("smartem.toml: there is no `{key}` in [{section}]"),
                "see config/smartem.toml",
            );
        }
    }
}
