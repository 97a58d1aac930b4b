//! Every overlay keeps every rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use smartem_deploy::budget::memory;
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

/// The table between two marks of the documentation; `BLESS=1` writes it.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "who blesses says so in the environment"
)]
fn the_documented_memory_is_that_of_the_manifests() {
    const BEGIN: &str = "<!-- memory: begin -->\n";
    const END: &str = "<!-- memory: end -->";
    let rows = memory(&render("generic"));
    let mut table = "| workload | pods | MiB requested |\n|---|---|---|\n".to_owned();
    for row in &rows {
        writeln!(
            table,
            "| `{}` | {} | {} |",
            row.who, row.pods, row.mebibytes
        )
        .unwrap();
    }
    let sum: i128 = rows.iter().map(|row| row.mebibytes).sum();
    writeln!(table, "| together | | {sum} |").unwrap();
    assert!(sum < 512, "{table}");

    let page = root().join("docs/operations/kubernetes.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect(BEGIN);
    let (written, after) = rest.split_once(END).expect(END);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(written, table, "`BLESS=1` writes the table anew");
    }
}
