//! Dependencies point one way: a room knows only rooms above it.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The rooms from the top down, each with those it may know.
const ROOMS: [(&str, &[&str]); 17] = [
    ("smartem-model", &[]),
    ("smartem-refine", &["smartem-model"]),
    ("smartem-points", &[]),
    ("smartem-sta", &["smartem-model"]),
    (
        "smartem-store",
        &["smartem-model", "smartem-points", "smartem-sta"],
    ),
    (
        "smartem-etl",
        &["smartem-model", "smartem-refine", "smartem-store"],
    ),
    ("smartem-influxdb", &["smartem-points"]),
    (
        "smartem-backup",
        &["smartem-points", "smartem-store", "smartem-influxdb"],
    ),
    ("smartem-http", &["smartem-model"]),
    ("smartem-mqtt", &[]),
    // Plays the outside world, so it knows nothing of the platform.
    ("smartem-simulate", &[]),
    // Tries servers of any maker, so it knows none.
    ("sta-conformance", &[]),
    // Reads `deploy/`, for tests.
    ("smartem-deploy", &[]),
    (
        "smartem-collect",
        &[
            "smartem-model",
            "smartem-points",
            "smartem-refine",
            "smartem-sta",
            "smartem-store",
            "smartem-etl",
            "smartem-http",
            "smartem-mqtt",
            "smartem-influxdb",
        ],
    ),
    (
        "smartem-publish",
        &[
            "smartem-model",
            "smartem-store",
            "smartem-etl",
            "smartem-http",
        ],
    ),
    (
        "smartem-serve",
        &[
            "smartem-model",
            "smartem-sta",
            "smartem-store",
            "smartem-http",
        ],
    ),
    (
        "smartem",
        &[
            "smartem-model",
            "smartem-points",
            "smartem-refine",
            "smartem-sta",
            "smartem-store",
            "smartem-etl",
            "smartem-influxdb",
            "smartem-backup",
            "smartem-http",
            "smartem-mqtt",
            "smartem-simulate",
            "smartem-collect",
            "smartem-publish",
            "smartem-serve",
        ],
    ),
];

/// What each room knows of the workspace, outside its tests.
fn known() -> BTreeMap<String, Vec<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(crate::support::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    metadata
        .packages
        .iter()
        .map(|package| {
            let ours = package
                .dependencies
                .iter()
                .filter(|dependency| {
                    dependency.kind == DependencyKind::Normal && dependency.path.is_some()
                })
                .map(|dependency| dependency.name.clone())
                .collect();
            (package.name.to_string(), ours)
        })
        .collect()
}

#[test]
fn every_room_knows_only_rooms_above_it() {
    let known = known();
    assert_eq!(
        known.len(),
        ROOMS.len(),
        "a room is missing in this table: {:?}",
        known.keys()
    );
    for (room, allowed) in ROOMS {
        for other in &known[room] {
            assert!(
                allowed.contains(&other.as_str()),
                "{room} must not know {other}"
            );
        }
    }
}

#[test]
fn pure_rooms_have_no_runtime_and_only_the_store_knows_sql() {
    let metadata = MetadataCommand::new()
        .manifest_path(crate::support::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .unwrap();
    for package in &metadata.packages {
        let name = package.name.to_string();
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal)
        {
            let dependency = dependency.name.as_str();
            if name == "smartem-model" || name == "smartem-refine" {
                let io = ["tokio", "reqwest", "axum", "rusqlite", "rand"];
                assert!(
                    !io.contains(&dependency),
                    "{name} is pure and must not use {dependency}"
                );
            }
            assert!(
                dependency != "rusqlite" || name == "smartem-store",
                "{name} must not know SQL"
            );
        }
    }
}
