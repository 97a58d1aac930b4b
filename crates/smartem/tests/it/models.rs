//! Calibration models: loaded at the start, told by every value they made.

use serde_json::{Value, json};

use crate::support::{Place, Service, text};

/// A model for NO2 that always answers 25 ug/m3.
const MODEL: &str = include_str!("constant-model.json");

fn demo_model() -> String {
    MODEL.replacen('{', "{\"demo\": true, ", 1)
}

/// A raw record of one sample that has every input of the networks.
fn record() -> Value {
    json!({"device_id": 7, "device_type": "jose", "day": 20_260_301, "hour": 1, "data": {"timeseries": [
        {"_id": "1", "time": "2026-03-01T00:05:00Z", "s_barometer": 101_300, "s_coresistance": 100_000,
         "s_humidity": 60_000, "s_lightsensortop": 10, "s_no2resistance": 100_000, "s_o3resistance": 100_000,
         "s_temperatureambient": 283_150, "s_temperatureunit": 283_150,
         "s_longitude": 5_914_103, "s_latitude": 53_949_937}]}})
}

/// Value and model of NO2, as the API tells them.
fn no2(place: &Place) -> (f64, String) {
    let api = Service::start(place.command(&["serve", "--listen", "127.0.0.1:0"]));
    let answer = api.json("/api/v1/stations/7/observations?indicator=no2");
    let observation = &answer["observations"][0];
    (
        observation["value"].as_f64().unwrap(),
        observation["model"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn a_model_serves_new_hours_at_once_and_stored_ones_after_a_replay() {
    let place = Place::new();
    let hour = json!({"id": "7", "date": "2026-03-01", "hour": 1, "timeseries": record()["data"]["timeseries"]});
    place.write("rec/1.json", hour.to_string());
    place.write("models/no2.json", MODEL);
    place.write("models/README.md", "not a model");
    let folder = place.path().join("rec");
    let remote = Service::whale(&place, &["--from", folder.to_str().unwrap()]);
    place.with_source(&remote.url);
    let file = place.path().join("smartem.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    place.write(
        "smartem.toml",
        format!("[refine]\nmodels_dir = \"models\"\n{config}"),
    );
    place.etl("harvester-whale");
    place.etl("refiner");
    let (value, first) = no2(&place);
    assert!(
        (value - 25.0).abs() < 1e-9 && first.starts_with("no2 sha256:"),
        "{value} {first}"
    );

    place.write("models/no2.json", MODEL.replace("[25]", "[30]"));
    assert!(place.etl("refiner").contains("nothing to do"));
    assert_eq!(no2(&place), (25.0, first.clone()));
    let replayed = place.run(&["etl", "run", "refiner", "--replay"]);
    assert!(replayed.status.success());
    let (value, second) = no2(&place);
    assert!(
        (value - 30.0).abs() < 1e-9 && second != first,
        "{value} {second}"
    );
}

#[test]
fn a_model_that_cannot_serve_is_a_fault_of_the_configuration() {
    let inputs = MODEL.replace("s_barometer", "s_pressure");
    let benzene = MODEL.replace("\"no2\"", "\"benzene\"");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (
            &[("a.json", &demo_model())],
            "demo models only serve `smartem demo`",
        ),
        (
            &[("a.json", MODEL), ("b.json", MODEL)],
            "leave one of them in the folder",
        ),
        (&[("a.json", "{\"gas\": ")], "line 1"),
        (&[("a.json", "{}")], "missing field `gas`"),
        (
            &[("a.json", &inputs)],
            "`input_order` must be a permutation",
        ),
        (&[("a.json", &benzene)], "`gas` is `benzene`"),
    ];
    for (files, words) in cases {
        let place = Place::new();
        place.write("smartem.toml", "[refine]\nmodels_dir = \"models\"\n");
        for (name, model) in files {
            place.write(&format!("models/{name}"), model);
        }
        let last = files.last().unwrap().0;
        for command in [
            &["config", "check"][..],
            &["etl", "run", "refiner"],
            &["serve"],
        ] {
            let output = place.run(command);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{command:?}: {said}");
            assert!(
                said.contains(words) && said.contains(last),
                "{words}: {said}"
            );
        }
    }
    let place = Place::new();
    place.write("smartem.toml", "[refine]\nmodels_dir = \"nowhere\"\n");
    let output = place.run(&["config", "check"]);
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(78) && said.contains("refine.models_dir"),
        "{said}"
    );
}

#[test]
fn a_model_of_the_demo_marks_what_it_makes() {
    let place = Place::new();
    let model: Value = serde_json::from_str(&demo_model()).unwrap();
    let request = json!({"input": record(), "indicators": ["no2"], "models": {"no2": model}});
    let file = place.write("request.json", request.to_string());
    let output = place.run(&["refine", file.to_str().unwrap()]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let made_by = answer["observations"][0]["model"].as_str().unwrap();
    assert!(made_by.starts_with("demo no2 sha256:"), "{made_by}");
}
