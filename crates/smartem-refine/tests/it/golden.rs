//! Golden cases: our own in `fixtures/refine`, and the shared ones where they are at hand.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{answer, catalogue, differences, root};

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The request of a shared golden case, as its README puts it together.
fn request_of(case: &Value) -> Value {
    json!({
        "input": case["input"],
        "indicators": case["sensor_names"],
        "models": case["models"],
        "state": case["corrected"]["request"]["state"],
        "station": case["corrected"]["request"]["station"],
    })
}

fn shuffled(request: &Value) -> Value {
    let mut request = request.clone();
    let samples = if request["input"]["data"].is_object() {
        &mut request["input"]["data"]["timeseries"]
    } else {
        &mut request["input"]["timeseries"]
    };
    if let Some(list) = samples.as_array_mut() {
        list.reverse();
        let middle = list.len() / 3;
        list.rotate_left(middle);
    }
    request
}

#[test]
fn our_own_cases_give_their_expected_output() {
    let folder = root().join("fixtures/refine");
    let catalogue = catalogue();
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let (request, expected) = (
            read(&folder.join("request.json")),
            read(&folder.join("expected.json")),
        );
        let actual = answer(&request, &folder, &catalogue);
        assert_eq!(
            differences(&actual, &expected),
            [""; 0],
            "{}",
            folder.display()
        );
        cases += 1;
    }
    assert!(
        cases >= 6,
        "only {cases} cases were found in {}",
        folder.display()
    );
}

#[test]
fn shared_golden_cases_of_the_shipped_station_types_pass() {
    let folder = root().join("../shared/golden/refine");
    let catalogue = catalogue();
    let (mut passed, mut failures) = (0, Vec::new());
    for file in json_files(&folder) {
        let case = read(&file);
        let models = folder.parent().unwrap();
        let request = request_of(&case);
        for request in [&request, &shuffled(&request)] {
            let found = differences(
                &answer(request, models, &catalogue),
                &case["corrected"]["expected"],
            );
            failures.extend(
                found
                    .into_iter()
                    .map(|d| format!("{}: {d}", file.display())),
            );
        }
        passed += 1;
    }
    assert_eq!(failures, [""; 0]);
    if passed == 0 {
        println!("skipped: no shared golden cases beside the project");
    } else {
        println!("{passed} shared golden cases passed");
    }
}

#[test]
fn shared_model_vectors_are_reproduced_through_the_refiner() {
    let folder = root().join("../shared/golden");
    let file = folder.join("models/vectors.json");
    if !file.exists() {
        println!("skipped: no shared model vectors beside the project");
        return;
    }
    let catalogue = catalogue();
    let mut compared = 0;
    for vector in read(&file).as_array().unwrap() {
        let model = read(&folder.join(vector["model"].as_str().unwrap()));
        let gas = model["gas"].as_str().unwrap();
        let mut sample = json!({"time": "2017-06-14T08:00:00Z", "s_longitude": 5_914_103, "s_latitude": 53_949_937});
        for (name, x) in model["input_order"]
            .as_array()
            .unwrap()
            .iter()
            .zip(vector["inputs"].as_array().unwrap())
        {
            sample[name.as_str().unwrap()] = x.clone();
        }
        let request = json!({
            "input": {"device_id": 1, "device_type": "jose", "day": 20_170_614, "hour": 9, "data": {"timeseries": [sample]}},
            "indicators": [gas], "models": {gas: vector["model"]},
        });
        let output = answer(&request, &folder, &catalogue);
        let prediction = vector["prediction"].as_f64().unwrap();
        if let Some(value) = output["observations"][0]["value"].as_f64() {
            assert!(
                (value - prediction).abs() <= 1e-9 * prediction.abs().max(1.0),
                "{vector}: {value}"
            );
            compared += 1;
        } else {
            // Some vectors lie outside the bounds of inputs or result, which the refiner enforces.
            let reason = output["rejected"][0]["reason"].as_str().unwrap_or_default();
            assert!(
                matches!(reason, "below_minimum" | "above_maximum"),
                "{vector}: {output}"
            );
        }
    }
    assert!(compared >= 12, "only {compared} vectors could be compared");
}
