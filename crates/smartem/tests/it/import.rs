//! Stations and raw records by command, up to the map.

use serde_json::{Value, json};

use crate::support::{Place, Service, text};

/// An own station type with one indicator.
const AIRKIT: &str = "name = \"airkit\"\nversion = \"1\"\nlabel = { en = \"Kit\", nl = \"Kit\" }\ncadence_s = 600\n\n\
    [location]\nlongitude = \"x\"\nlatitude = \"y\"\n\n[indicator.temperature]\nsensor = \"t\"\ninput = { key = \"t\" }\n";

const STATIONS: &str = "[[station]]\nid = \"roof-1\"\ntype = \"airkit\"\nname = \"Town hall\"\nnetwork = \"citizens\"\n\
    project = \"nijmegen\"\ncadence_s = 1800\nlocation = { lon = 5.86, lat = 51.84, alt = 30 }\n";

/// A place with an own station type and a store.
fn place() -> Place {
    let place = Place::new();
    place.write("types/airkit.toml", AIRKIT);
    place.write("smartem.toml", "[refine]\ndefinitions_dir = \"types\"\n");
    assert!(place.run(&["store", "migrate"]).status.success());
    place
}

/// An hour with two temperatures, and without a position.
fn hour(station: &str, hour: i64) -> Value {
    let time = |minute| format!("2026-03-01T{:02}:{minute:02}:00Z", hour - 1);
    json!({"device_id": station, "device_type": "airkit", "day": 20_260_301, "hour": hour,
        "data": {"timeseries": [{"time": time(10), "t": 4}, {"time": time(20), "t": 6}]}})
}

/// Runs the import; gives back its status and what it said.
fn import(place: &Place, files: &[&str]) -> (i32, String) {
    let output = place.run(&[&["device", "import"], files].concat());
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), said)
}

fn serve(place: &Place) -> Service {
    Service::start(place.command(&["serve", "--listen", "127.0.0.1:0"]))
}

#[test]
fn an_own_station_type_comes_to_the_map_by_commands_alone() {
    let place = place();
    place.write("stations.toml", STATIONS);
    place.write(
        "hours.json",
        json!([hour("roof-1", 1), hour("roof-1", 2)]).to_string(),
    );
    let (status, said) = import(&place, &["hours.json", "stations.toml"]);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("station roof-1: added") && said.contains("records_new 2"),
        "{said}"
    );
    place.etl("refiner");
    {
        let api = serve(&place);
        let list = api.json("/api/v1/stations");
        let station = &list["stations"][0];
        assert_eq!(station["name"], "Town hall");
        assert_eq!(
            (&station["network"], &station["project"]),
            (&json!("citizens"), &json!("nijmegen"))
        );
        assert_eq!(
            station["location"],
            json!({"lon": 5.86, "lat": 51.84, "alt": 30.0})
        );
        assert_eq!(station["last"][0]["value"], 5.0);
        let found = api.json("/api/v1/stations/roof-1/observations");
        let observation = &found["observations"][0];
        // Two samples of half an hour each.
        assert_eq!(
            observation["quality"],
            json!({"fraction": 1.0, "coverage": 1.0, "flags": ["station_location"]})
        );
    }
    let listed = text(&place.run(&["device", "stations"]).stdout);
    for words in [
        "roof-1",
        "airkit",
        "nijmegen",
        "1800 s (own)",
        "5.86000 51.84000",
        "2026-03-01T02:00:00Z",
    ] {
        assert!(listed.contains(words), "{words} in {listed}");
    }

    // Said anew: another cadence and place, for the hours that are there as well.
    place.write(
        "stations.toml",
        STATIONS.replace("1800", "600").replace("51.84", "51.85"),
    );
    let (status, said) = import(&place, &["stations.toml"]);
    assert!(
        status == 0 && said.contains("station roof-1: known, 2 hours to be refined again"),
        "{said}"
    );
    place.etl("refiner");
    let api = serve(&place);
    let found = api.json("/api/v1/stations/roof-1/observations");
    for observation in found["observations"].as_array().unwrap() {
        assert_eq!(observation["location"]["lat"], 51.85);
        let coverage = observation["quality"]["coverage"].as_f64().unwrap();
        assert!((coverage - 1.0 / 3.0).abs() < 1e-12, "{coverage}");
    }
}

#[test]
fn what_is_bad_is_told_by_place_and_what_is_good_goes_in() {
    let place = place();
    place.write(
        "stations.toml",
        format!("{STATIONS}\n[[station]]\nid = \"roof-2\"\ntype = \"airkitt\"\n[[station]]\nid = \"roof-3\"\ntype = \"airkit\"\nlocation = {{ lon = 5, lat = 120 }}\n"),
    );
    let strange = json!({"device_id": 5, "device_type": "drone", "day": 20_260_301, "hour": 1, "data": {"timeseries": []}});
    place.write(
        "hours.json",
        format!(
            "{}\n{strange}\n{{\"device_id\": \n{}\n",
            hour("roof-1", 1),
            hour("roof-1", 25)
        ),
    );
    let (status, said) = import(&place, &["stations.toml", "hours.json"]);
    assert_eq!(status, 1, "{said}");
    for words in [
        "stations.toml:12:8: `type` is `airkitt`, which is no station type that is known; did you mean `airkit`?",
        "stations.toml:16:29: `lat` is `120`",
        "are `lon` and `lat` exchanged?",
        "station roof-1: added",
        "hours.json:2:1: put into quarantine: unknown_device_type: no definition for `drone`",
        "`airkit`, `ase`, `jose`",
        "hours.json:3:1: put into quarantine: malformed_record",
        "hours.json:4:1: put into quarantine: invalid_hour: day 20260301, hour 25",
        "records_new 1",
        "quarantined 3",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let listed = text(&place.run(&["quarantine", "list"]).stdout);
    assert!(
        listed.contains("hours.json#2") && listed.contains("hours.json#3"),
        "{listed}"
    );
    // Mended, the same places are resolved.
    let mended = [
        hour("roof-1", 1),
        hour("roof-1", 2),
        hour("roof-1", 3),
        hour("roof-1", 4),
    ];
    let lines: Vec<String> = mended.iter().map(Value::to_string).collect();
    place.write("hours.json", lines.join("\n"));
    let (status, said) = import(&place, &["hours.json"]);
    assert!(
        status == 0
            && said.contains("quarantine_resolved 3")
            && said.contains("records_unchanged 1"),
        "{said}"
    );
}

#[test]
fn a_type_that_the_records_do_not_have_is_told_with_the_one_they_have() {
    let place = place();
    place.write("hours.json", hour("roof-1", 1).to_string());
    assert_eq!(import(&place, &["hours.json"]).0, 0);
    place.write("stations.toml", STATIONS.replace("airkit", "jose"));
    let (status, said) = import(&place, &["stations.toml"]);
    assert!(
        status == 1
            && said.contains("stations.toml:2:6: `type` is `jose`")
            && said.contains("write type = \"airkit\""),
        "{said}"
    );
}

#[test]
fn what_is_no_file_to_import_is_refused_before_anything_is_taken_in() {
    let place = place();
    place.write("stations.toml", STATIONS);
    place.write("hours.csv", "a,b");
    let (status, said) = import(&place, &["stations.toml", "hours.csv"]);
    assert!(status == 64 && said.contains("hours.csv"), "{said}");
    let (status, said) = import(&place, &["stations.toml", "gone.json"]);
    assert!(
        status == 1 && said.contains("gone.json cannot be read"),
        "{said}"
    );
    assert!(!text(&place.run(&["device", "stations"]).stdout).contains("roof-1"));
}
