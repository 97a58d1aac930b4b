//! What other people's checkers say of the files. Where one is not installed, its test says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::overlays::{OVERLAYS, root};

/// A program of `scripts/deploy-tools.sh`, or of the system.
fn tool(name: &str) -> Option<Command> {
    let own = root().join("target/test-tools/deploy/bin").join(name);
    let found = own.exists().then_some(own).or_else(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "where programs of the system are"
        )]
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|place| place.exists())
    });
    if found.is_none() {
        eprintln!(
            "SKIPPED: {name} is not installed; see scripts/deploy-tools.sh and scripts/need.sh"
        );
    }
    let mut command = Command::new(found?);
    command.current_dir(root());
    Some(command)
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Files below a folder with one of these endings.
fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if endings
            .iter()
            .any(|ending| path.to_string_lossy().ends_with(ending))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn rendered() -> Vec<PathBuf> {
    OVERLAYS
        .iter()
        .map(|overlay| root().join(format!("deploy/kubernetes/rendered/{overlay}.yaml")))
        .collect()
}

/// A good file and a broken one in a folder of their own.
fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join(name);
    std::fs::write(&place, text).unwrap();
    (folder, place)
}

/// Whether a checker that is there takes a file.
fn takes(name: &str, arguments: &[&str], file: &Path) -> bool {
    let mut checker = tool(name).unwrap();
    checker.args(arguments).arg(file);
    checker.output().unwrap().status.success()
}

#[test]
fn what_is_rendered_is_what_the_overlays_give() {
    let Some(kubectl) = tool("kubectl") else {
        return;
    };
    let check = |folder: &Path| {
        Command::new("bash")
            .args(["scripts/render.sh", "--check"])
            .env("KUBECTL", kubectl.get_program())
            .current_dir(folder)
            .output()
            .unwrap()
    };
    let output = check(&root());
    assert!(output.status.success(), "{}", said(&output));

    // A manifest that changed, and a render that did not.
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .args(["--recursive", "--parents", "deploy", "scripts/render.sh"])
        .arg(copy.path())
        .current_dir(root())
        .status()
        .unwrap();
    assert!(copied.success());
    let manifest = copy
        .path()
        .join("deploy/kubernetes/base/smartemission/etl/refiner.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("1-59/5", "2-59/5")).unwrap();
    let output = check(copy.path());
    assert!(!output.status.success());
    assert!(said(&output).contains("2-59/5"), "{}", said(&output));
}

/// Kinds without a schema in the checker: our own types look at these.
const CUSTOM: [&str; 4] = [
    "cert-manager.io",
    "gateway.networking.k8s.io",
    "monitoring.coreos.com",
    "external-secrets.io",
];

/// Complaints of kubernetes-validate: it ends with 0 also where it knows nothing of a kind, so warnings count.
fn complaints(version: &str, paths: &[PathBuf]) -> Option<Vec<String>> {
    let output = tool("kubernetes-validate")?
        .args(["--strict", "-k", version])
        .args(paths)
        .output()
        .unwrap();
    let text = said(&output);
    let mut found: Vec<String> = text
        .lines()
        .filter(|line| {
            line.starts_with("WARN") || line.starts_with("ERROR") || line.contains("Traceback")
        })
        .filter(|line| !CUSTOM.iter().any(|group| line.contains(group)))
        .map(str::to_owned)
        .collect();
    if !output.status.success() && found.is_empty() {
        found.push(text);
    }
    Some(found)
}

/// All objects once: overlays share most of theirs.
fn distinct_objects() -> (tempfile::TempDir, PathBuf) {
    let mut documents = std::collections::BTreeSet::new();
    for path in rendered() {
        let text = std::fs::read_to_string(path).unwrap();
        documents.extend(
            text.split("\n---\n")
                .map(|document| document.trim().to_owned()),
        );
    }
    let documents: Vec<String> = documents.into_iter().collect();
    written("objects.yaml", &documents.join("\n---\n"))
}

#[test]
fn four_versions_of_kubernetes_take_the_objects() {
    let (_folder, objects) = distinct_objects();
    for version in ["1.34.0", "1.35.0", "1.36.0", "1.37.0"] {
        let Some(found) = complaints(version, std::slice::from_ref(&objects)) else {
            return;
        };
        assert!(found.is_empty(), "{version}: {}", found.join("\n"));
    }
}

#[test]
fn kubernetes_validate_sees_a_misspelt_field_and_an_old_version() {
    for text in [
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {port: []}\n",
        "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: a}\nspec: {}\n",
    ] {
        let (_folder, place) = written("broken.yaml", text);
        let Some(found) = complaints("1.37.0", &[place]) else {
            return;
        };
        assert!(!found.is_empty(), "{text}");
    }
}

#[test]
fn yamllint_finds_nothing() {
    let Some(mut yamllint) = tool("yamllint") else {
        return;
    };
    let output = yamllint
        .args(["--strict", "-c", ".yamllint", "deploy"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let (_folder, broken) = written("a.yaml", "a: 1\na: 2\n");
    let (_other, good) = written("b.yaml", "a: 1\nb: 2\n");
    assert!(takes("yamllint", &["-c", ".yamllint"], &good));
    assert!(
        !takes("yamllint", &["-c", ".yamllint"], &broken),
        "a key that comes twice is not found"
    );
}

#[test]
fn compose_files_are_sound() {
    let paths = files(&root().join("deploy/compose"), &["compose.yaml"]);
    for name in ["compose-lint", "dclint"] {
        let Some(mut linter) = tool(name) else {
            continue;
        };
        if paths.is_empty() {
            eprintln!("SKIPPED: {name}: there is no deploy/compose/compose.yaml");
            continue;
        }
        let output = linter.args(&paths).output().unwrap();
        assert!(output.status.success(), "{name}: {}", said(&output));
        let (_folder, broken) = written(
            "compose.yaml",
            "services:\n  a:\n    image: a\n    privileged: true\n",
        );
        let output = tool(name).unwrap().arg(broken).output().unwrap();
        assert!(
            !output.status.success(),
            "{name} takes a privileged service"
        );
    }
}

#[test]
fn hadolint_finds_nothing() {
    let Some(mut hadolint) = tool("hadolint") else {
        return;
    };
    let paths = files(&root().join("deploy"), &["Dockerfile", "Containerfile"]);
    if paths.is_empty() {
        eprintln!("SKIPPED: hadolint: there is no Dockerfile below deploy");
    } else {
        let output = hadolint.args(&paths).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let (_folder, broken) = written("Dockerfile", "FROM debian:latest\nRUN cd /a\n");
    let output = tool("hadolint").unwrap().arg(broken).output().unwrap();
    assert!(!output.status.success(), "`latest` is not found");
}

#[test]
fn rules_of_prometheus_are_sound_and_keep_their_tests() {
    let folder = root().join("deploy/prometheus");
    let Some(mut promtool) = tool("promtool") else {
        return;
    };
    let rules = files(&folder, &[".rules.yml"]);
    assert!(
        !rules.is_empty(),
        "there are no rules in {}",
        folder.display()
    );
    let output = promtool
        .args(["check", "rules"])
        .args(&rules)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let tests = files(&folder, &[".test.yml", "_test.yml", ".tests.yml"]);
    assert!(
        !tests.is_empty(),
        "there are no tests of rules in {}",
        folder.display()
    );
    let output = tool("promtool")
        .unwrap()
        .args(["test", "rules"])
        .args(&tests)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let (_folder, broken) = written(
        "a.rules.yml",
        "groups: [{name: a, rules: [{alert: A, expr: 'sum('}]}]\n",
    );
    let (_other, good) = written(
        "b.rules.yml",
        "groups: [{name: a, rules: [{alert: A, expr: 'sum(a)'}]}]\n",
    );
    assert!(takes("promtool", &["check", "rules"], &good));
    assert!(
        !takes("promtool", &["check", "rules"], &broken),
        "an expression that ends in the middle is not found"
    );
}

#[test]
fn alertmanager_takes_its_configurations() {
    let Some(mut amtool) = tool("amtool") else {
        return;
    };
    let paths = files(&root().join("deploy"), &["alertmanager.yml"]);
    if paths.is_empty() {
        eprintln!("SKIPPED: amtool: there is no alertmanager.yml below deploy");
    } else {
        let output = amtool.arg("check-config").args(&paths).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    let (_folder, broken) = written("alertmanager.yml", "route: {receiver: nobody}\n");
    let output = tool("amtool")
        .unwrap()
        .arg("check-config")
        .arg(broken)
        .output()
        .unwrap();
    assert!(
        !output.status.success(),
        "a receiver that is not there is not found"
    );
}

#[test]
fn checkov_finds_nothing() {
    let Some(mut checkov) = tool("checkov") else {
        return;
    };
    for path in rendered() {
        checkov.arg("-f").arg(path);
    }
    let output = checkov
        .args([
            "--config-file",
            ".checkov.yaml",
            "--framework",
            "kubernetes",
            "--skip-download",
            "--compact",
            "--quiet",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let (_folder, broken) = written(
        "pod.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\nspec: {containers: [{name: a, image: a, securityContext: {privileged: true}}]}\n",
    );
    let output = tool("checkov")
        .unwrap()
        .arg("-f")
        .arg(broken)
        .args([
            "--config-file",
            ".checkov.yaml",
            "--framework",
            "kubernetes",
            "--skip-download",
            "--compact",
            "--quiet",
        ])
        .output()
        .unwrap();
    assert!(!output.status.success(), "a privileged pod is not found");
}
