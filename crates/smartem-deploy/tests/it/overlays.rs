//! Every overlay keeps every rule.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use smartem_deploy::{Render, Tables, check};

/// The overlays.
pub(crate) const OVERLAYS: [&str; 4] = ["local", "generic", "azure", "edge"];

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What an overlay gives, as it is committed.
pub(crate) fn render(overlay: &str) -> Render {
    let place = root().join(format!("deploy/kubernetes/rendered/{overlay}.yaml"));
    let text = std::fs::read_to_string(&place)
        .unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    Render::read(overlay, &text).unwrap()
}

/// The tables of the project.
pub(crate) fn tables() -> Tables {
    Tables::load(&root()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_overlay_keeps_every_rule() {
    let tables = tables();
    // What is about files is found for each overlay.
    let mut findings: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for overlay in OVERLAYS {
        for finding in check(&render(overlay), &tables) {
            findings
                .entry(finding.to_string())
                .or_default()
                .push(overlay);
        }
    }
    let told: Vec<String> = findings
        .iter()
        .map(|(finding, overlays)| format!("{} [{}]", finding, overlays.join(", ")))
        .collect();
    assert!(
        told.is_empty(),
        "{} findings\n{}",
        told.len(),
        told.join("\n")
    );
}
