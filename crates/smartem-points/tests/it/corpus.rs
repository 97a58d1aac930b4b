//! The corpus of `influxdata/line-protocol`, where it is there.

use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use serde_json::Value;
use smartem_points::line_protocol::{Dialect, read};
use smartem_points::{FieldValue, PointBatch, Precision};

/// The folders of the corpus, from the one of this crate upwards.
fn files() -> Vec<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = here
        .ancestors()
        .map(|it| it.join("shared/samples/influx-line-protocol"))
        .find(|it| it.is_dir());
    let Some(folder) = folder else {
        let mut all = std::io::stderr();
        writeln!(
            all,
            "skipped: there is no folder shared/samples/influx-line-protocol"
        )
        .unwrap();
        return Vec::new();
    };
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("corpus") && name.ends_with(".json")
        })
        .collect();
    files.sort();
    files
}

fn bytes(text: &Value) -> Vec<u8> {
    match text {
        Value::String(text) => text.as_bytes().to_vec(),
        text => base64::engine::general_purpose::STANDARD
            .decode(text["binary"].as_str().expect("a text or binary"))
            .expect("base64"),
    }
}

fn text(text: &Value) -> String {
    String::from_utf8(bytes(text)).expect("accepted names and strings are UTF-8")
}

/// A point in words that can be compared: series, time and fields.
type Point = (String, i64, Vec<(String, FieldValue<'static>)>);

fn expected(point: &Value) -> Point {
    let list = |name: &str| point[name].as_array().cloned().unwrap_or_default();
    let mut tags: Vec<String> = list("tags")
        .iter()
        .map(|tag| format!("{:?}={:?}", text(&tag["key"]), text(&tag["value"])))
        .collect();
    tags.insert(0, text(&point["name"]));
    let fields = list("fields")
        .iter()
        .map(|field| (text(&field["key"]), value(&field["value"])))
        .collect();
    (
        tags.join(" "),
        point["time"].as_i64().expect("a time"),
        fields,
    )
}

fn value(value: &Value) -> FieldValue<'static> {
    let (kind, value) = value
        .as_object()
        .and_then(|it| it.iter().next())
        .expect("a value");
    match kind.as_str() {
        "float" => FieldValue::Float(value.as_f64().expect("a float")),
        "int" => FieldValue::Integer(value.as_i64().expect("an integer")),
        "uint" => FieldValue::Unsigned(value.as_u64().expect("an unsigned integer")),
        "bool" => FieldValue::Boolean(value.as_bool().expect("a boolean")),
        "string" => FieldValue::String(text(value).into()),
        kind => panic!("unknown kind {kind}"),
    }
}

fn points(batch: &PointBatch) -> Vec<Point> {
    let point = |point: smartem_points::BatchPoint<'_>| {
        let key = &batch.series()[point.series.index()];
        let mut words = vec![key.measurement.to_string()];
        words.extend(
            key.tags
                .iter()
                .map(|(key, value)| format!("{key:?}={value:?}")),
        );
        let fields = point
            .fields()
            .map(|(field, value)| {
                (
                    batch.fields()[field.index()].to_string(),
                    value.into_owned(),
                )
            })
            .collect();
        (words.join(" "), point.time, fields)
    };
    batch.points().map(point).collect()
}

#[test]
fn the_corpus_is_read_as_its_results_say() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    let files = files();
    for file in &files {
        let corpus = std::fs::read(file).expect("a file");
        let corpus: Value = serde_json::from_slice(&corpus).expect("JSON");
        for (key, case) in corpus["decode"].as_object().expect("cases") {
            cases += 1;
            let precision = match case["input"]["precision"].as_str() {
                Some("1ns") => Precision::Nanoseconds,
                Some("1µs" | "1us") => Precision::Microseconds,
                Some("1ms") => Precision::Milliseconds,
                Some("1s") => Precision::Seconds,
                other => panic!("{key}: precision {other:?}"),
            };
            let body = bytes(&case["input"]["text"]);
            let default_time = case["input"]["defaultTime"].as_i64().expect("a time");
            let mut batch = PointBatch::new();
            let errors = read(&body, precision, default_time, Dialect::V2, &mut batch);
            let results = case["output"].get("result");
            let results = results.map(|it| it.as_array().cloned().unwrap_or_default());
            let good = match &results {
                None => !errors.is_empty(),
                Some(results) => {
                    let results: Vec<Point> = results.iter().map(expected).collect();
                    errors.is_empty() && points(&batch) == results
                }
            };
            if !good {
                let body = String::from_utf8_lossy(&body).into_owned();
                wrong.push(format!(
                    "{key}: {body:?} gives {:?} {errors:?}",
                    points(&batch)
                ));
            }
        }
    }
    assert!(files.is_empty() || cases > 0, "files without cases");
    assert!(
        wrong.is_empty(),
        "{} of {cases} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
