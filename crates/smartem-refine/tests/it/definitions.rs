//! Station types as data: what a definition can say, and how its faults are explained.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use smartem_model::raw::{Cell, RawRecord};
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
fn a_unit_that_is_not_known_is_a_fault_with_the_code_that_was_meant() {
    let fault = |unit: &str| {
        let text = WEATHER_KIT.replace("unit = \"m/s\"", &format!("unit = \"{unit}\""));
        let mut faults = faults(&text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    };
    for (written, meant) in [
        ("°C", "`Cel`"),
        ("C", "`Cel`"),
        ("µg/m³", "`ug/m3`"),
        ("ppb", "`[ppb]`"),
        ("dB(A)", "`dB[SPL]{A}`"),
        ("M/S", "`m/s`"),
    ] {
        let fault = fault(written);
        assert!(
            fault.starts_with("line 26, ") && fault.contains(&format!("did you mean {meant}?")),
            "{fault}"
        );
    }
    let fault = fault("{florp}");
    assert!(fault.contains("[unit.\"{florp}\"]"), "{fault}");
}

#[test]
fn a_definition_may_bring_units_of_its_own() {
    let text = WEATHER_KIT.replace("unit = \"m/s\"", "unit = \"{florp}\"");
    let declared = format!(
        "{text}\n[unit.\"{{florp}}\"]\nsymbol = \"fl\"\nlabel = {{ en = \"florps\", nl = \"florpen\" }}\n"
    );
    let definition = Definition::from_toml(&declared, &vocabulary()).unwrap();
    let (code, unit) = definition.units().next().unwrap();
    assert_eq!((&**code, &*unit.label.nl), ("{florp}", "florpen"));

    let vocabulary = vocabulary().with_units(definition.units());
    assert_eq!(
        &*vocabulary.units().get("{florp}").unwrap().label.en,
        "florps"
    );

    let impossible = declared.replace("[unit.\"{florp}\"]", "[unit.\"flo rp\"]");
    let faults = faults(&impossible);
    assert!(
        faults.iter().any(|fault| fault.contains("unit `flo rp`")),
        "{faults:?}"
    );
}

#[test]
fn every_unit_in_what_is_shipped_is_in_the_list_of_units() {
    fn units_in(value: &toml::Value, found: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    match value {
                        toml::Value::String(unit) if key == "unit" => found.push(unit.clone()),
                        other => units_in(other, found),
                    }
                }
            }
            toml::Value::Array(list) => list.iter().for_each(|value| units_in(value, found)),
            _ => {}
        }
    }
    let vocabulary = vocabulary();
    let mut files = vec![root().join("vocabulary/indicators.toml")];
    let devices = std::fs::read_dir(root().join("devices")).unwrap();
    let devices = devices.map(|entry| entry.unwrap().path());
    files.extend(devices.filter(|path| path.is_file()));
    let mut checked = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut found = Vec::new();
        units_in(&toml::from_str(&text).unwrap(), &mut found);
        for unit in found {
            let known = vocabulary.units().get(&unit);
            assert!(known.is_some(), "{}: {unit}", file.display());
            checked += 1;
        }
    }
    assert!(checked >= 30, "only {checked} units were found");
}

const BOX: &str = r#"
name = "box"
version = "1"
label = { en = "Box", nl = "Kast" }

[stream]
key = "name"
reading = "value"

[location]
longitude = "lon"
latitude = "lat"

[auxiliary]
max_age_s = 600

[indicator.temperature]
sensor = "T1"
input = { key = "T1" }

[indicator.no2]
sensor = "N1"
input = { key = "N1", unit = "mV" }
calibrate = { parameters = "no2", terms = [{ of = "temperature" }, { of = "temperature", power = 2 }] }
"#;

const PARAMETERS: &str = r#"
station_type = "box"
station = "b1"

[[set]]
source = "bench of 2025"
valid_until = "2026-11-01T00:00:00Z"
parameters.no2 = [10, 2, 0.5, 0.25]

[[set]]
source = "bench of 2026"
valid_from = "2026-11-01T00:00:00Z"
parameters.no2 = [10, 4, 0.5, 0.25]
"#;

fn box_catalogue(parameters: &str) -> Result<Catalogue, smartem_refine::DefinitionError> {
    let mut catalogue = Catalogue::default();
    catalogue.insert(Definition::from_toml(BOX, &vocabulary()).unwrap());
    catalogue.add_parameters(parameters)?;
    Ok(catalogue)
}

#[test]
fn parameters_hold_for_their_time_and_are_cited_by_their_content() {
    let catalogue = box_catalogue(PARAMETERS).unwrap();
    let no2 = |day: &str| {
        let request = json!({
            "input": {"device_id": "b1", "device_type": "box", "day": day, "hour": 24, "data": {"timeseries": [
                {"time": format!("{day}T23:00:00Z"), "name": "N1", "value": 70, "lon": 1, "lat": 2},
                {"time": format!("{day}T23:00:00Z"), "name": "T1", "value": 20},
            ]}},
            "indicators": ["no2"],
        });
        answer(&request, std::path::Path::new("."), &catalogue)["observations"][0].clone()
    };
    // (70 - 10 - 0.5·20 - 0.25·20²) / a1 = -50 / a1.
    let (before, after) = (no2("2026-10-31"), no2("2026-11-01"));
    assert_eq!(
        (&before["value"], &after["value"]),
        (&json!(-25.0), &json!(-12.5))
    );
    let id = before["model"].as_str().unwrap();
    assert!(id.starts_with("no2 b1 sha256:"), "{id}");
    assert_ne!(before["model"], after["model"]);
}

#[test]
fn faults_of_parameters_are_explained_at_their_line() {
    for (from, to, line, words) in [
        (
            "\"box\"",
            "\"bax\"",
            2,
            "no definition for station type `bax`",
        ),
        (
            "[10, 4, 0.5, 0.25]",
            "[10, 4, 0.5]",
            13,
            "`no2` needs 4 parameters, not 3",
        ),
        ("[10, 4, 0.5, 0.25]", "[10, 0, 0.5, 0.25]", 13, "a1 divides"),
        (
            "[10, 4, 0.5, 0.25]",
            "[10]",
            13,
            "a0, a1, then one for each term",
        ),
        (
            "no2 = [10, 4",
            "no = [10, 4",
            13,
            "has no parameters `no`; it has: no2",
        ),
        (
            "valid_from = \"2026-11-01",
            "valid_from = \"2026-10-01",
            10,
            "holds at the same time",
        ),
        (
            "valid_from = \"2026-11-01T00:00:00Z\"",
            "valid_from = \"soon\"",
            12,
            "a time must be in the form",
        ),
        ("\"bench of 2025\"", "\" \"", 6, "`source` must say"),
        ("station = \"b1\"", "station = \"\"", 3, "no station id"),
    ] {
        let error = box_catalogue(&PARAMETERS.replace(from, to)).expect_err("should have faults");
        let fault = &error.faults[0];
        assert_eq!(fault.line, line, "{fault}");
        assert!(fault.message.contains(words), "{fault}");
    }
}

#[test]
fn faults_of_calibrations_and_steps_are_explained() {
    for (from, to, words) in [
        (
            "{ of = \"temperature\" }",
            "{ of = \"warmth\" }",
            "`of` names `warmth`",
        ),
        (
            "{ of = \"temperature\" }",
            "{ of = \"no2\" }",
            "needs itself",
        ),
        (
            "[auxiliary]\nmax_age_s = 600\n",
            "",
            "terms need `[auxiliary] max_age_s`",
        ),
        ("max_age_s = 600", "max_age_s = -1", "must not be negative"),
        (
            "reading = \"value\"",
            "reading = \"value\"\ndefault = \"x\"",
            "exactly one of `default`",
        ),
        (
            "calibrate =",
            "convert = [{ ppb_to_ug_m3 = { gas = \"xenon\" } }]\ncalibrate =",
            "molar mass of `xenon`",
        ),
        (
            "calibrate =",
            "convert = [{ ppb_to_ug_m3 = { gas = \"no2\", temperature = 0 } }]\ncalibrate =",
            "must be above 0",
        ),
        (
            "calibrate =",
            "convert = [{ front_end = { v_ref = 1, v_ref_ad = 0, gain = 1, r_load = 1 } }]\ncalibrate =",
            "must be above 0",
        ),
    ] {
        let text = BOX.replacen(from, to, 1);
        assert_ne!(text, BOX, "{from}");
        let faults = faults(&text);
        assert!(
            faults.iter().any(|fault| fault.contains(words)),
            "{words}: {faults:?}"
        );
    }
}

#[test]
fn named_laws_are_steps_of_a_conversion() {
    let text = WEATHER_KIT
        .replace(
            "{ divide = 1024 }, { polynomial = [-40.0, 120.0, 5.0] }",
            "\"fahrenheit_to_celsius\"",
        )
        .replace(
            "convert = [{ multiply = 0.5 }]",
            "convert = [{ ppb_to_ug_m3 = { gas = \"no2\" } }]",
        )
        .replace(
            "convert = [{ multiply = 0.01 }]",
            "convert = [\"kelvin_to_celsius\"]",
        );
    let mut catalogue = Catalogue::default();
    catalogue.insert(Definition::from_toml(&text, &vocabulary()).unwrap());
    let request = json!({"input": {"device_id": "roof", "device_type": "weatherkit", "day": "2026-11-01", "hour": 3, "data": {"timeseries": [
        {"time": "2026-11-01T02:00:00Z", "lng": 5.86, "lat": 51.84, "adc": 68, "p": 773.15, "pulses": 10}]}}});
    let output = answer(&request, std::path::Path::new("."), &catalogue);
    let value = |name: &str| {
        let list = output["observations"].as_array().unwrap();
        list.iter().find(|o| o["indicator"] == name).unwrap()["value"]
            .as_f64()
            .unwrap()
    };
    assert!((value("temperature") - 20.0).abs() < 1e-12);
    assert!((value("pressure") - 500.0).abs() < 1e-12);
    // 10 ppb of NO2 at 20 degrees Celsius and 101325 Pa.
    assert!((value("wind_speed") - 19.125).abs() < 1e-3);
}

#[test]
fn an_explanation_names_inputs_rejections_models_and_versions() {
    let catalogue = box_catalogue(PARAMETERS).unwrap();
    let record = json!({"device_id": "b1", "device_type": "box", "day": "2026-11-01", "hour": 1, "data": {"timeseries": [
        {"time": "2026-11-01T00:00:00Z", "name": "N1", "value": 70, "lon": 1, "lat": 2},
        {"time": "2026-11-01T00:00:00Z", "name": "T1", "value": 20},
        {"time": "2026-11-01T00:10:01Z", "name": "N1", "value": 71},
        {"time": "2026-11-01T00:20:00Z", "name": "T1", "value": 120},
        {"time": "2026-11-01T00:20:00Z", "name": "X", "value": 1},
    ]}});
    let read = |_: &str| Err(String::new());
    let answer = smartem_refine::request::answer(&record.to_string(), &catalogue, &read).unwrap();
    let words = answer.explanation();
    for part in [
        "Station b1, type box, from 2026-11-01T00:00:00Z up to 2026-11-01T01:00:00Z: 5 samples, refined by box-1@",
        "Measured at longitude 1, latitude 2, told by the newest fix",
        "Samples not used at all: 1 times unknown_sensor (first at 2026-11-01T00:20:00Z: name \"X\")",
        "no2 of N1: -12.5 ug/m3 (-12.5 to -12.5), 1 of 2 samples accepted, raw mean 70 mV, calibrated by no2 b1 sha256:",
        "  from N1 in mV, calibrated by the station's parameters `no2` with temperature",
        "  rejected of N1: 1 times missing_auxiliary (first at 2026-11-01T00:10:01Z: temperature)",
        "  rejected of T1: 1 times above_maximum (first at 2026-11-01T00:20:00Z: temperature 120)",
    ] {
        assert!(words.contains(part), "{part}\nis not in\n{words}");
    }
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

fn shipped(station_type: &str) -> Arc<Definition> {
    catalogue().get(station_type).unwrap().clone()
}

#[test]
fn the_bounds_of_an_input_are_the_widest_of_all_who_read_it() {
    let josene = shipped("jose");
    // Read by the indicator up to 100 %, by the gas networks up to 120 %.
    assert_eq!(
        josene.input_bounds("s_humidity"),
        Some((10_000.0, 120_000.0))
    );
    assert_eq!(josene.input_bounds("s_co2"), Some((0.0, 5_000_000.0)));
    assert_eq!(josene.input_bounds("v_audio0"), None);
    assert_eq!(josene.input_bounds("s_rain"), None);
    let airsenseur = shipped("ase");
    let (min, max) = airsenseur.input_bounds("Tempe").unwrap();
    assert!(min.is_infinite() && max.is_infinite());
    assert_eq!(airsenseur.input_bounds("COA4"), Some((0.0, 65_535.0)));
}

#[test]
fn a_sample_tells_its_position_and_readings() {
    let samples = |type_: &str, sample: Value| {
        let record = json!({"device_id": "1", "device_type": type_, "day": 20_261_120, "hour": 1,
            "data": {"timeseries": [sample]}});
        RawRecord::from_json(&record.to_string(), &|_| true)
            .unwrap()
            .samples
    };
    let josene = shipped("jose");
    let fix = samples(
        "jose",
        json!({"s_longitude": 5_914_103, "s_latitude": 53_949_937, "s_co2": 7}),
    );
    let position = josene.position_of(&fix, 0).unwrap();
    assert_eq!((position.lon, position.lat), (5.671_223, 51.472_561));
    assert_eq!(josene.reading_of(&fix, 0, "s_co2"), Cell::Integer(7));
    assert_eq!(josene.reading_of(&fix, 0, "s_co"), Cell::Absent);
    for bogus in [
        json!({"s_longitude": 0x801F_FFFF_u32, "s_latitude": 0x801F_FFFF_u32}),
        json!({"s_longitude": 5_914_103}),
        json!({"s_longitude": "5914103", "s_latitude": 53_949_937}),
    ] {
        assert_eq!(josene.position_of(&samples("jose", bogus), 0), None);
    }
    let airsenseur = shipped("ase");
    let reading = samples(
        "ase",
        json!({"name": "COA4", "sampleEvaluatedVal": 1.5, "longitude": 120.0, "latitude": 14.5}),
    );
    assert!(airsenseur.position_of(&reading, 0).is_some());
    assert_eq!(airsenseur.reading_of(&reading, 0, "COA4"), Cell::Real(1.5));
    assert_eq!(airsenseur.reading_of(&reading, 0, "NOB4"), Cell::Absent);
}
