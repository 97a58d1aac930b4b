//! Golden cases of the original, and own ones of the same form.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use smartem_etl::extract::{Extract, ExtractSettings};
use smartem_etl::{Batch, Counters, Filter as _, Row};
use smartem_model::raw::RawRecord;
use smartem_model::{Position, Vocabulary};
use smartem_publish::influxdb::{Encoder, geohash};
use smartem_refine::{Catalogue, Definition};
use smartem_store::ReceivedRecord;

use crate::support::root;

/// The attributes that records of the cases have.
const ATTRIBUTES: [&str; 9] = [
    "device_id",
    "device_meta",
    "name",
    "sample_count",
    "unit",
    "value",
    "value_max",
    "value_min",
    "value_raw",
];

#[expect(clippy::print_stdout, reason = "a skipped test says so aloud")]
fn shared() -> Option<PathBuf> {
    let folder = root().join("../shared/golden/lineprotocol");
    if folder.exists() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

/// The cases of a folder by name.
fn cases(folder: &Path) -> Vec<(String, Value)> {
    let mut cases: Vec<(String, Value)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let case = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, case)
        })
        .filter(|(name, _)| name != "geohash-vectors")
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

fn encoder(case: &Value) -> Encoder {
    let options = &case["options"];
    let settings = json!({
        "measurement": options["measurement"],
        "tags": options["tags_map"],
        "fields": options["fields_map"],
        "time_precision": "s",
        "float_digits": 12,
        "geohash_tag": options["geohash_tag"],
        "geohash_tag_name": options["geohash_tag_name"],
        "geohash_tag_precision": options["geohash_tag_precision"],
        "geohash_field": options["geohash_field"],
        "geohash_field_name": options["geohash_field_name"],
        "geohash_field_precision": options["geohash_field_precision"],
        "geohash_skip_zero": true,
    });
    Encoder::new(serde_json::from_value(settings).unwrap()).unwrap()
}

/// The records that pass the sieve, as rows.
fn rows(case: &Value) -> Vec<Row> {
    let sieve = &case["sieve"];
    let passes = |record: &&Value| match sieve["attr_name"].as_str() {
        Some(name) => sieve["attr_values"]
            .as_array()
            .unwrap()
            .contains(&record[name]),
        None => true,
    };
    let records = case["input_records"].as_array().unwrap();
    records.iter().filter(passes).map(row).collect()
}

fn row(record: &Value) -> Row {
    let position = match (&record["lon"], &record["lat"], record["point"].as_str()) {
        (Value::Number(lon), Value::Number(lat), _) => {
            Position::horizontal(lon.as_f64().unwrap(), lat.as_f64().unwrap())
        }
        (_, _, Some(point)) => Position::from_ewkt(point),
        _ => None,
    };
    let attributes = ATTRIBUTES.into_iter();
    Row {
        time: record["time"].as_str().unwrap().parse().unwrap(),
        position,
        attributes: attributes
            .filter_map(|name| Some((name, record.get(name)?.clone())))
            .collect(),
    }
}

/// A line with its tags and fields as sets. The cases have no escaped commas and blanks but `\ `.
fn parts(line: &str) -> (String, BTreeSet<String>, BTreeSet<String>, String) {
    let line = line.replace("\\ ", "\u{a0}");
    let mut words = line.split(' ');
    let (series, fields) = (words.next().unwrap(), words.next().unwrap());
    let time = words.next().unwrap().to_owned();
    assert_eq!(words.next(), None, "{line}");
    let set = |text: &str| text.split(',').map(str::to_owned).collect::<BTreeSet<_>>();
    let (measurement, tags) = series.split_once(',').unwrap_or((series, ""));
    (measurement.to_owned(), set(tags), set(fields), time)
}

fn assert_lines(name: &str, case: &Value, rows: &[Row]) {
    let encoder = encoder(case);
    let lines: Vec<String> = rows
        .iter()
        .map(|row| encoder.point(row).unwrap().line())
        .collect();
    let found: Vec<_> = lines.iter().map(|line| parts(line)).collect();
    let expected = case["expected_lines"].as_array().unwrap().iter();
    let expected: Vec<_> = expected.map(|line| parts(line.as_str().unwrap())).collect();
    assert_eq!(found, expected, "{name}");
    // Nothing stands twice in a line that sets would hide.
    let length: usize = lines.iter().map(|line| line.len() + 1).sum();
    if let Some(bytes) = case["expected_payload_bytes"].as_u64() {
        assert_eq!(length as u64, bytes, "{name}");
    }
}

/// From the raw record to the lines, through the filter.
fn assert_extracted(name: &str, case: &Value, source: &Value) {
    let settings: ExtractSettings = serde_json::from_value(json!({
        "stations": case["extract"]["device_ids"],
        "keys": case["extract"]["sensor_names"],
    }))
    .unwrap();
    let record = RawRecord::from_json(&source.to_string(), &|_| true).unwrap();
    let mut batch = Batch {
        hours: vec![ReceivedRecord::whole(record, "here")],
        ..Batch::default()
    };
    Extract::new(settings, catalogue()).apply(&mut batch, &Counters::default());
    assert_lines(name, case, &batch.rows);
}

fn catalogue() -> Arc<Catalogue> {
    let vocabulary = Vocabulary::from_toml(
        include_str!("../../../../vocabulary/indicators.toml"),
        include_str!("../../../../vocabulary/units.toml"),
    )
    .unwrap();
    let josene = include_str!("../../../../devices/jose.toml");
    let mut catalogue = Catalogue::default();
    catalogue.insert(Definition::from_toml(josene, &vocabulary).unwrap());
    Arc::new(catalogue)
}

#[test]
fn own_cases_give_their_lines() {
    let cases = cases(&root().join("fixtures/lineprotocol"));
    assert_eq!(cases.len(), 2);
    for (name, case) in cases {
        assert_lines(&name, &case, &rows(&case));
        if case["extract"].is_object() {
            assert_extracted(&name, &case, &case["extract"]["input"]);
        }
    }
}

#[test]
fn the_lines_of_the_original_hold() {
    let Some(folder) = shared() else { return };
    let cases = cases(&folder);
    assert_eq!(cases.len(), 15);
    let mut extracted = 0;
    for (name, case) in &cases {
        assert_lines(name, case, &rows(case));
        if case["extract"].is_object() {
            // One case names another's record.
            let mut source = &case["extract"]["input"];
            if let Some(told) = source.as_str() {
                let other = told.strip_prefix("as in case ").unwrap();
                let (_, other) = cases
                    .iter()
                    .find(|(name, _)| *name == format!("extracted-{other}"))
                    .unwrap();
                source = &other["extract"]["input"];
            }
            assert_extracted(name, case, source);
            extracted += 1;
        }
    }
    assert_eq!(extracted, 4);
}

#[test]
fn the_geohashes_of_the_original_hold() {
    let Some(folder) = shared() else { return };
    let text = std::fs::read_to_string(folder.join("geohash-vectors.json")).unwrap();
    let vectors: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(vectors.len(), 122);
    for vector in vectors {
        let number = |name: &str| vector[name].as_f64().unwrap();
        let characters = u8::try_from(vector["precision"].as_u64().unwrap()).unwrap();
        assert_eq!(
            geohash(number("lon"), number("lat"), characters),
            vector["geohash"].as_str().unwrap(),
            "{vector}"
        );
    }
}
