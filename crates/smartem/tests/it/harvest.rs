//! From a station to a value, over the real protocol.

use serde_json::{Value, json};

use crate::support::{Place, Service, root, text};

fn value(api: &Service, station: &str, indicator: &str) -> Value {
    let found = api.json(&format!(
        "/api/v1/stations/{station}/observations?indicator={indicator}"
    ));
    assert_eq!(
        found["observations"].as_array().unwrap().len(),
        1,
        "{indicator}: {found}"
    );
    found["observations"][0].clone()
}

fn serve(place: &Place) -> Service {
    Service::start(place.command(&["serve", "--listen", "127.0.0.1:0"]))
}

#[test]
fn the_recorded_hour_of_station_23_gives_the_corrected_values() {
    let samples = root().join("../shared/samples/whale");
    let golden = root().join("../shared/golden/refine/jose-hour-real-full.json");
    if !samples.exists() || !golden.exists() {
        println!("skipped: the recorded hour is not at hand");
        return;
    }
    let place = Place::new();
    let remote = Service::whale(&place, &["--from", samples.to_str().unwrap()]);
    place.with_source(&remote.url);
    place.etl("harvester-whale");
    place.etl("refiner");
    let api = serve(&place);
    let case: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    for indicator in [
        "temperature",
        "humidity",
        "pressure",
        "noiseavg",
        "noiselevelavg",
    ] {
        let expected = case["corrected"]["expected"]["observations"]
            .as_array()
            .unwrap();
        let expected = expected
            .iter()
            .find(|o| o["indicator"] == indicator)
            .unwrap();
        let found = value(&api, "23", indicator);
        for number in ["value", "min", "max"] {
            let (a, b) = (
                found[number].as_f64().unwrap(),
                expected[number].as_f64().unwrap(),
            );
            assert!(
                (a - b).abs() <= 1e-9 * b.abs().max(1.0),
                "{indicator} {number}: {a}, not {b}"
            );
        }
        assert_eq!(found["accepted_count"], expected["accepted_count"]);
    }
    // The newest recorded `last` answers of sixteen stations are on the map too.
    let stations = api.json("/api/v1/stations");
    assert!(
        stations["stations"].as_array().unwrap().len() >= 10,
        "{stations}"
    );
}

/// An hour of two samples, worked out by hand: 10 and 12 degrees, 400 and 420 ppm.
fn hour(id: &str, hour: i64) -> Value {
    let time = |minute: i64| {
        format!(
            "2026-03-01T{:02}:{minute:02}:00.5Z",
            (hour - 1).rem_euclid(24)
        )
    };
    json!({"id": id, "date": "2026-03-01", "hour": hour, "timeseries": [
        {"_id": "1", "id": 7, "time": time(5), "s_temperatureambient": 283_150, "s_co2": 400_000,
         "s_longitude": 5_914_103, "s_latitude": 53_949_937},
        {"_id": "2", "id": 7, "time": time(6), "s_temperatureambient": 285_150, "s_co2": 420_000}]})
}

#[test]
fn malformed_hours_end_in_quarantine_and_are_told_everywhere() {
    let place = Place::new();
    for (id, number) in [("7", 1), ("7", 2), ("7", 25), ("8", 3)] {
        place.write(
            &format!("rec/{id}-{number}.json"),
            hour(id, number).to_string(),
        );
    }
    let whole = hour("7", 4).to_string();
    place.write(
        "rec/devices/7/timeseries/20260301/4.json",
        &whole[..whole.len() / 2],
    );
    place.write(
        "rec/wrong.json",
        json!({"id": "7", "date": "2026-03-01", "hour": 5, "timeseries": {"a": 1}}).to_string(),
    );
    place.write("rec/last.json", json!({"id": "8", "time": "2026-03-01T02:30:00Z", "s_co2": 500_000, "s_longitude": 5_914_103, "s_latitude": 53_949_937}).to_string());
    let remote = Service::whale(
        &place,
        &["--from", place.path().join("rec").to_str().unwrap()],
    );
    place.with_source(&remote.url);

    let output = place.run(&["etl", "run", "harvester-whale", "--log", "json"]);
    let (summary, log) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{summary}\n{log}");
    assert!(
        summary.contains("quarantined 3 (invalid_hour 1, malformed_record 2)"),
        "{summary}"
    );
    let logged: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["message"] == "quarantined")
        .collect();
    assert_eq!(logged.len(), 3, "{log}");
    assert!(logged.iter().all(|line| {
        line["place"]
            .as_str()
            .unwrap()
            .contains("/devices/7/timeseries/20260301/")
    }));

    let listed = text(&place.run(&["quarantine", "list"]).stdout);
    for words in [
        "invalid_hour",
        "hour 25",
        "timeseries/20260301/4",
        "no list `timeseries`",
    ] {
        assert!(listed.contains(words), "{words} in {listed}");
    }
    let shown = text(&place.run(&["quarantine", "show", "1"]).stdout);
    assert!(shown.contains("timeseries"), "{shown}");

    place.etl("refiner");
    let api = serve(&place);
    let observations = api.json("/api/v1/stations/7/observations?indicator=temperature");
    let values: Vec<f64> = observations["observations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["value"].as_f64().unwrap())
        .collect();
    assert_eq!(values.len(), 2);
    assert!(
        values.iter().all(|value| (value - 11.0).abs() < 1e-9),
        "{values:?}"
    );
    let (_, metrics) = api.get("/metrics");
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("smartem_quarantine_open")
                && line.contains("invalid_hour")
                && line.ends_with(" 1")),
        "{metrics}"
    );
    let last = api.json("/api/v1/stations/8");
    assert_eq!(
        last["last"]
            .as_array()
            .unwrap()
            .iter()
            .find(|l| l["indicator"] == "co2")
            .unwrap()["value"],
        410.0,
        "the hour ended after the last sample"
    );
}

#[test]
fn a_good_body_for_a_bad_hour_resolves_it_even_when_the_source_has_moved() {
    let place = Place::new();
    let folder = place.path().join("rec");
    let whole = hour("7", 4).to_string();
    let address = "rec/devices/7/timeseries/20260301/4.json";
    place.write(address, &whole[..whole.len() / 2]);
    place.write("rec/7-1.json", hour("7", 1).to_string());
    let remote = Service::whale(&place, &["--from", folder.to_str().unwrap()]);
    place.with_source(&remote.url);
    assert!(place.etl("harvester-whale").contains("quarantined 1"));
    drop(remote);
    place.write(address, &whole);
    let moved = Service::whale(&place, &["--from", folder.to_str().unwrap()]);
    place.with_source(&moved.url);
    let summary = place.etl("harvester-whale");
    assert!(
        summary.contains("records_new 1") && summary.contains("quarantine_resolved 1"),
        "{summary}"
    );
}

#[test]
fn a_simulated_city_comes_in_and_every_run_after_it_finds_nothing_new() {
    let place = Place::new();
    let city = [
        "--stations",
        "3",
        "--cadence",
        "60",
        "--since",
        "2026-03-01T00:00:00Z",
        "--until",
        "2026-03-01T06:00:00Z",
        "--now",
        "2026-03-02T00:00:00Z",
    ];
    let remote = Service::whale(&place, &city);
    place.with_source(&remote.url);
    assert!(
        place
            .etl("harvester_whale")
            .contains("harvester-whale: done")
    );
    let refined = place.etl("refiner");
    assert!(refined.contains("records_refined"), "{refined}");
    assert!(place.etl("refiner").contains("nothing to do"));
    assert!(!place.etl("harvester-whale").contains("records_new"));
    assert!(place.etl("last").contains("last_read"));
    let status = text(&place.run(&["etl", "status"]).stdout);
    assert!(
        status.contains("3 stations") && status.contains("(0 to be refined)"),
        "{status}"
    );
}
