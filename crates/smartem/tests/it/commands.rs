//! Commands, their exit statuses and what they say.

use serde_json::{Value, json};

use crate::support::{Place, root, text};

#[test]
fn refine_answers_with_the_exit_status_of_the_rules() {
    let place = Place::new();
    let case = root().join("fixtures/refine/jose-meteo");
    let output = place.run(&["refine", case.join("request.json").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["observations"].as_array().unwrap().len(), 4);
    assert_eq!(answer["quarantine"], Value::Null);

    let bad = place.write(
        "hour25.json",
        json!({"id": "1", "date": "2026-03-01", "hour": 25, "timeseries": []}).to_string(),
    );
    let output = place.run(&["refine", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["quarantine"]["reason"], "invalid_hour");

    let cut = place.write("cut.json", "{\"id\": \"1\", ");
    for (file, words) in [
        (cut.to_str().unwrap(), "line 1"),
        ("no-such-file.json", "no-such-file.json cannot be read"),
    ] {
        let output = place.run(&["refine", file]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(words),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn refine_refuses_a_model_that_does_not_fit_and_says_why() {
    let place = Place::new();
    let record = json!({"device_id": 1, "device_type": "jose", "day": 20_260_301, "hour": 1, "data": {"timeseries": []}});
    for (models, words) in [
        (json!({"co": {"gas": "no2"}}), "the model for `co`"),
        (json!({"co": "missing.json"}), "missing.json"),
        (json!({"co": 5}), "the model for `co`"),
        (json!({"benzene": {}}), "no station type has a network"),
        (json!([]), "`models` of the request must be"),
    ] {
        let file = place.write(
            "request.json",
            json!({"input": record, "models": models}).to_string(),
        );
        let output = place.run(&["refine", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{models}");
        assert!(
            text(&output.stderr).contains(words),
            "{models}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn refine_uses_a_definition_that_is_only_a_file() {
    let place = Place::new();
    place.write("kit/kit.toml", "name = \"kit\"\nversion = \"1\"\nlabel = { en = \"Kit\", nl = \"Kit\" }\n\n[location]\nlongitude = \"x\"\nlatitude = \"y\"\n\n[indicator.temperature]\nsensor = \"t\"\ninput = { key = \"t\" }\nconvert = [{ multiply = 2 }]\n");
    let file = place.write("r.json", json!({"device_id": 1, "device_type": "kit", "day": 20_260_301, "hour": 1, "data": {"timeseries": [{"time": "2026-03-01T00:10:00Z", "t": 4, "x": 5, "y": 52}]}}).to_string());
    let output = place.run(&["refine", file.to_str().unwrap(), "--devices", "kit"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["observations"][0]["value"], 8.0, "{answer}");
}

#[test]
fn device_check_explains_faults_by_line() {
    let place = Place::new();
    let good = root().join("devices/jose.toml");
    let output = place.run(&["device", "check", good.to_str().unwrap()]);
    assert!(output.status.success() && text(&output.stdout).contains("station type `jose`"));
    let broken = std::fs::read_to_string(good)
        .unwrap()
        .replace("divide = 100 }", "divide = 0 }")
        .replace("[indicator.pm10]", "[indicator.pm_10]");
    let file = place.write("broken.toml", broken);
    let output = place.run(&["device", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.contains("broken.toml:25:") && said.contains("divided by 0"),
        "{said}"
    );
    assert!(
        said.contains("`pm_10` is not in the vocabulary (did you mean `pm10`?)"),
        "{said}"
    );
    let listed = text(&place.run(&["device", "list"]).stdout);
    assert!(
        listed.contains("jose") && listed.contains("luftdaten"),
        "{listed}"
    );
    let boxes = text(&place.run(&["device", "show", "ase"]).stdout);
    let line = |station: &str| boxes.lines().find(|line| line.starts_with(station));
    assert!(
        line("11820001").is_some_and(|line| line.contains("ASE_NL_01")),
        "{boxes}"
    );
    // The CO sensor of this box is out of order.
    assert!(
        line("11820003").is_some_and(|line| line.ends_with("no no2 o3")),
        "{boxes}"
    );
    let shown = text(&place.run(&["device", "show", "jose"]).stdout);
    let temperature = shown.lines().find(|line| line.starts_with("temperature"));
    let cells: Vec<&str> = temperature.unwrap().split_whitespace().collect();
    assert_eq!(
        cells,
        ["temperature", "Cel", "degrees", "Celsius", "temp-S12"]
    );
}

#[test]
fn exit_statuses_tell_who_has_to_act() {
    let place = Place::new();
    let status = |args: &[&str]| {
        let output = place.run(args);
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let (code, said) = status(&["etl", "run", "refiner"]);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("smartem store migrate"), "{said}");
    assert_eq!(status(&["store", "migrate"]).0, 0);
    let (code, said) = status(&["etl", "run", "nonsense"]);
    assert!(
        code == 64 && said.contains("harvester-whale"),
        "{code} {said}"
    );
    assert_eq!(status(&["etl", "walk"]).0, 64);
    assert_eq!(status(&["etl", "run", "refiner"]).0, 0);
    place.write("smartem.toml", "[[process.harvester-whale.source]]\nname = \"gone\"\nurl = \"http://127.0.0.1:9/sensors/v1\"\nattempts = 1\n");
    assert_eq!(status(&["etl", "run", "harvester-whale"]).0, 75);
    place.write(
        "smartem.toml",
        "[serve]\nlisten = \"127.0.0.1:80\"\nlissen = 5\n",
    );
    let (code, said) = status(&["etl", "run", "refiner"]);
    assert!(
        code == 78 && said.contains("line 3") && said.contains("lissen"),
        "{code} {said}"
    );
    place.write(
        "smartem.toml",
        "[process.refiner]\nschedule = \"every day\"\n",
    );
    let (code, said) = status(&["config", "check"]);
    assert!(code == 78 && said.contains("`every day`"), "{code} {said}");
}

#[test]
fn help_teaches_with_examples() {
    let place = Place::new();
    assert!(text(&place.run(&["--help"]).stdout).contains("smartem demo"));
    assert!(text(&place.run(&["etl", "run", "--help"]).stdout).contains("Exit status"));
    assert!(
        text(&place.run(&["simulate", "whale", "--help"]).stdout).contains("--from recordings/")
    );
}

#[test]
fn the_configuration_is_shown_as_it_holds() {
    let place = Place::new();
    place.write("smartem.toml", "[serve]\nstale_after = \"1h\"\n");
    let output = place
        .command(&["config", "show"])
        .env("SMARTEM_REFINE__MOVE_M", "50")
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(
        shown.contains("stale_after = \"1h\"") && shown.contains("move_m = 50"),
        "{shown}"
    );
    assert!(place.run(&["config", "check"]).status.success());
}
