//! SensorThings of the real binary, asked by clients of others.

use std::path::Path;
use std::process::Command;

use crate::support::{Place, Service, root, text};

/// A service that lets anybody write, on a store of its own.
fn service(place: &Place) -> Service {
    place.write(
        "smartem.toml",
        "[serve.sensorthings]\nopen_writing = true\n",
    );
    assert!(place.run(&["store", "migrate"]).status.success());
    Service::start(place.command(&["serve", "--listen", "127.0.0.1:0"]))
}

#[test]
fn frost_sta_client_makes_asks_changes_and_removes() {
    let python = root().join("target/test-tools/sta/bin/python");
    if !python.exists() {
        println!("SKIPPED: no frost_sta_client (scripts/sta-tools.sh installs it)");
        return;
    }
    for place in [Place::new(), Place::on_postgres()] {
        let service = service(&place);
        let output = Command::new(&python)
            .arg(root().join("fixtures/sensorthings-clients/frost.py"))
            .arg(format!("{}/sta/v1.1", service.url.trim_end_matches('/')))
            .output()
            .unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", service.log());
        assert!(text(&output.stdout).ends_with("ok\n"), "{said}");
    }
}

#[test]
fn the_conformance_suite_passes_on_both_stores() {
    let suite = Path::new(env!("CARGO_BIN_EXE_smartem")).with_file_name("sta-conformance");
    if !suite.exists() {
        println!("SKIPPED: the conformance suite is not built (cargo build -p sta-conformance)");
        return;
    }
    for place in [Place::new(), Place::on_postgres()] {
        let service = service(&place);
        for version in ["v1.0", "v1.1"] {
            let url = format!("{}/sta/{version}", service.url.trim_end_matches('/'));
            let output = Command::new(&suite).arg(&url).output().unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{url}: {said}");
        }
    }
}
