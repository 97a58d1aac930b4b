//! What the tests share: the shipped vocabulary and definitions, and comparing outputs.

use std::path::{Path, PathBuf};

use serde_json::Value;
use smartem_model::Vocabulary;
use smartem_refine::{Catalogue, Definition};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary::from_toml(
        include_str!("../../../../vocabulary/indicators.toml"),
        include_str!("../../../../vocabulary/units.toml"),
    )
    .unwrap()
}

pub(crate) fn catalogue() -> Catalogue {
    let vocabulary = vocabulary();
    let mut catalogue = Catalogue::default();
    let (folders, files): (Vec<_>, Vec<_>) = paths_in(&root().join("devices"))
        .into_iter()
        .partition(|path| path.is_dir());
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        catalogue.insert(Definition::from_toml(&text, &vocabulary).unwrap());
    }
    for file in folders.iter().flat_map(|folder| paths_in(folder)) {
        catalogue
            .add_parameters(&std::fs::read_to_string(file).unwrap())
            .unwrap();
    }
    catalogue
}

fn paths_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Answers a request that names its models by path below `folder`.
pub(crate) fn answer(request: &Value, folder: &Path, catalogue: &Catalogue) -> Value {
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).map_err(|e| e.to_string());
    let answer = smartem_refine::request::answer(&request.to_string(), catalogue, &read).unwrap();
    serde_json::to_value(&answer.refined).unwrap()
}

/// The differences between an output and what was expected, as the golden files ask to compare:
/// numbers within 1e-9 relative (absolute below 1), times as instants, lists without order;
/// examples, details and the wording of definition and model aside.
pub(crate) fn differences(actual: &Value, expected: &Value) -> Vec<String> {
    let mut out = Vec::new();
    let key = |o: &Value| format!("{}|{}|{}", o["indicator"], o["sensor"], o["reason"]);
    for list in ["observations", "rejected"] {
        let sorted = |value: &Value| {
            let mut items = value[list].as_array().cloned().unwrap_or_default();
            items.sort_by_key(key);
            items
        };
        let (actual, expected) = (sorted(actual), sorted(expected));
        let keys = |items: &[Value]| items.iter().map(key).collect::<Vec<_>>();
        if keys(&actual) != keys(&expected) {
            out.push(format!(
                "{list}: {:?} instead of {:?}",
                keys(&actual),
                keys(&expected)
            ));
            continue;
        }
        for (a, e) in actual.iter().zip(&expected) {
            compare(a, e, &format!("{list} {}", key(e)), &mut out);
        }
    }
    compare(&actual["state"], &expected["state"], "state", &mut out);
    if actual["quarantine"]["reason"] != expected["quarantine"]["reason"] {
        out.push(format!(
            "quarantine: {} instead of {}",
            actual["quarantine"], expected["quarantine"]
        ));
    }
    out
}

fn compare(actual: &Value, expected: &Value, place: &str, out: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Object(a), Value::Object(e)) => {
            for name in a
                .keys()
                .chain(e.keys().filter(|name| !a.contains_key(*name)))
            {
                let place = format!("{place}.{name}");
                match (a.get(name), e.get(name)) {
                    _ if name == "example" => {}
                    (Some(a), Some(e)) if name == "definition" || name == "model" => {
                        if a.is_null() != e.is_null() {
                            out.push(format!("{place}: {a} instead of {e}"));
                        }
                    }
                    (Some(a), Some(e)) => compare(a, e, &place, out),
                    (a, e) => out.push(format!("{place}: {a:?} instead of {e:?}")),
                }
            }
        }
        (Value::Number(a), Value::Number(e)) => {
            let (a, e) = (a.as_f64().unwrap(), e.as_f64().unwrap());
            if (a - e).abs() > 1e-9 * e.abs().max(1.0) {
                out.push(format!("{place}: {a} instead of {e}"));
            }
        }
        (Value::String(a), Value::String(e)) => {
            let instant = |text: &str| text.parse::<jiff::Timestamp>().ok();
            if a != e && (instant(a).is_none() || instant(a) != instant(e)) {
                out.push(format!("{place}: {a} instead of {e}"));
            }
        }
        (a, e) if a == e => {}
        (a, e) => out.push(format!("{place}: {a} instead of {e}")),
    }
}
