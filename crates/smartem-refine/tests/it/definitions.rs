//! Station types as data: what a definition can say, and how its faults are explained.

use serde_json::{Map, Value, json};
use smartem_refine::{Catalogue, Definition};

use crate::support::{answer, catalogue, root, vocabulary};

const WEATHER_KIT: &str = r#"
name = "weatherkit"
version = "3"
label = { en = "Weather kit", nl = "Weerkastje" }
cadence_s = 60

[location]
longitude = "lng"
latitude = "lat"

[indicator.temperature]
sensor = "ntc"
input = { key = "adc", unit = "1", min = 0, max = 1023 }
convert = [{ divide = 1024 }, { polynomial = [-40.0, 120.0, 5.0] }]
min = -30
max = 60

[indicator.pressure]
sensor = "bmp"
input = { key = "p", unit = "Pa" }
convert = [{ multiply = 0.01 }]

[indicator.wind_speed]
sensor = "cup"
label = { en = "Wind speed", nl = "Windsnelheid" }
unit = "m/s"
input = { key = "pulses", unit = "1", min = 0 }
convert = [{ multiply = 0.5 }]
"#;

fn faults(text: &str) -> Vec<String> {
    let error = Definition::from_toml(text, &vocabulary()).expect_err("should have faults");
    error.faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_new_station_type_needs_no_rust() {
    let mut catalogue = Catalogue::default();
    catalogue.insert(Definition::from_toml(WEATHER_KIT, &vocabulary()).unwrap());
    let request = json!({
        "input": {"device_id": "roof", "device_type": "weatherkit", "day": "2026-11-01", "hour": 3, "data": {"timeseries": [
            {"time": "2026-11-01T02:00:00Z", "lng": 5.86, "lat": 51.84, "adc": 512, "p": 101_300, "pulses": 4},
            {"time": "2026-11-01T02:01:00Z", "adc": 1000, "p": 120_000, "pulses": 6},
        ]}},
        "station": {"cadence_s": 60},
    });
    let output = answer(&request, std::path::Path::new("."), &catalogue);
    let find = |name: &str| {
        output["observations"]
            .as_array()
            .unwrap()
            .iter()
            .find(|o| o["indicator"] == name)
            .unwrap()
            .clone()
    };
    // 512/1024 = 0.5: -40 + 60 + 1.25 = 21.25; 1000/1024 gives 81.96, above the maximum of 60.
    let temperature = find("temperature");
    assert_eq!(temperature["value"], 21.25);
    assert_eq!(
        (
            &temperature["accepted_count"],
            &temperature["rejected_count"]
        ),
        (&json!(1), &json!(1))
    );
    // 1200 hPa is above the vocabulary's range for pressure.
    assert_eq!(find("pressure")["value"], 1013.0);
    assert_eq!(find("pressure")["rejected_count"], 1);
    let wind = find("wind_speed");
    assert_eq!(
        (&wind["value"], &wind["unit"], &wind["label"]),
        (&json!(2.5), &json!("m/s"), &json!("Wind speed"))
    );
    assert_eq!(wind["quality"]["coverage"], 2.0 * 60.0 / 3600.0);
}

#[test]
fn a_misspelt_key_is_explained_at_its_line() {
    let text = WEATHER_KIT.replace("cadence_s = 60", "cadance_s = 60");
    let faults = faults(&text);
    assert!(
        faults[0].starts_with("line 5, column 1: unknown field `cadance_s`"),
        "{faults:?}"
    );
}

#[test]
fn broken_toml_is_explained_at_its_line() {
    let faults = faults(&WEATHER_KIT.replace("version = \"3\"", "version = \"3"));
    assert!(faults[0].starts_with("line 3, "), "{faults:?}");
}

#[test]
fn all_faults_of_a_file_are_found_at_once() {
    let text = WEATHER_KIT
        .replace("{ divide = 1024 }", "{ divide = 0 }")
        .replace("min = -30", "min = 70")
        .replace("[indicator.pressure]", "[indicator.presure]")
        .replace("unit = \"m/s\"", "unit = \"m per s\"");
    let faults = faults(&text);
    let expected = [
        ("line 14, ", "divided by 0"),
        ("line 15, ", "`min` 70 is above `max` 60"),
        ("line 18, ", "did you mean `pressure`?"),
        ("line 26, ", "UCUM code without blanks"),
    ];
    assert_eq!(faults.len(), expected.len(), "{faults:?}");
    for (fault, (place, words)) in faults.iter().zip(expected) {
        assert!(fault.starts_with(place) && fault.contains(words), "{fault}");
    }
}

#[test]
fn an_indicator_needs_exactly_one_rule_and_a_sensor() {
    let text = WEATHER_KIT.replace("sensor = \"cup\"\n", "class_of = \"temperature\"\n");
    let faults = faults(&text);
    assert!(
        faults.iter().any(|fault| fault.contains("exactly one of")),
        "{faults:?}"
    );
    let text = WEATHER_KIT.replace("sensor = \"cup\"\n", "");
    let faults = self::faults(&text);
    assert!(faults[0].contains("needs `sensor`"), "{faults:?}");
}

#[test]
fn the_same_text_has_the_same_id_and_another_text_another() {
    let id = |text: &str| Definition::from_toml(text, &vocabulary()).unwrap().id;
    assert_eq!(id(WEATHER_KIT), id(WEATHER_KIT));
    assert_ne!(id(WEATHER_KIT), id(&WEATHER_KIT.replace("1024", "1023")));
    assert!(id(WEATHER_KIT).starts_with("weatherkit-3@"));
}

#[test]
fn an_hour_of_only_the_keys_that_are_read_is_refined_the_same() {
    let catalogue = catalogue();
    let mut compared = 0;
    for folder in std::fs::read_dir(root().join("fixtures/refine")).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(text) = std::fs::read_to_string(folder.join("request.json")) else {
            continue;
        };
        let mut whole: Value = serde_json::from_str(&text).unwrap();
        let station_type = whole["input"]["device_type"].as_str().unwrap_or("jose");
        let definition = catalogue.get(station_type).unwrap().clone();
        let path = match whole["input"]["data"] {
            Value::Null => "/input/timeseries",
            _ => "/input/data/timeseries",
        };
        let samples = |request: &mut Value, change: &dyn Fn(&mut Map<String, Value>)| {
            let list = request.pointer_mut(path).and_then(Value::as_array_mut);
            let samples = list.into_iter().flatten().filter_map(Value::as_object_mut);
            samples.map(change).count()
        };
        compared += samples(&mut whole, &|sample| {
            sample.insert("not read".into(), json!(7));
        });
        let mut read = whole.clone();
        samples(&mut read, &|sample| {
            sample.retain(|key, _| definition.reads(key));
            assert!(!sample.contains_key("not read"));
        });
        let [whole, read] = [whole, read].map(|request| answer(&request, &folder, &catalogue));
        assert_eq!(whole, read, "{}", folder.display());
    }
    assert!(compared > 20, "only {compared} samples were compared");
}
