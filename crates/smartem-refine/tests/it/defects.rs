//! One test for each defect of the original that the rules settle, named after its number.
//!
//! Every number is worked out by hand in a comment; "the original" tells what it published instead.
//! Those of AirSensEUR are in `defects_ase.rs`, those of other rooms beside the tests of that room.

use std::path::Path;

use serde_json::{Value, json};
use smartem_refine::Definition;

use crate::support::{answer, catalogue, vocabulary};

/// An hour of a station near Nijmegen: 2017-06-14 from 08:00 to 09:00 UTC.
pub(crate) fn hour(station_type: &str, samples: &[Value]) -> Value {
    json!({"device_id": 23, "device_type": station_type, "day": 20_170_614, "hour": 9,
        "point": "POINT(5.67 51.47)", "data": {"timeseries": samples}})
}

/// The time so many seconds after the beginning of that hour.
pub(crate) fn at(seconds: u32) -> String {
    format!("2017-06-14T08:{:02}:{:02}Z", seconds / 60, seconds % 60)
}

/// A Josene sample at so many seconds, with these readings.
fn josene(seconds: u32, readings: &Value) -> Value {
    let mut sample = readings.clone();
    sample["time"] = json!(at(seconds));
    sample
}

pub(crate) fn refine(request: &Value) -> Value {
    answer(request, Path::new("."), &catalogue())
}

fn refine_hour(station_type: &str, samples: &[Value]) -> Value {
    refine(&json!({"input": hour(station_type, samples)}))
}

pub(crate) fn find<'a>(output: &'a Value, indicator: &str) -> Option<&'a Value> {
    let observations = output["observations"].as_array().unwrap();
    observations.iter().find(|o| o["indicator"] == indicator)
}

/// The one observation of an indicator.
pub(crate) fn observation<'a>(output: &'a Value, indicator: &str) -> &'a Value {
    find(output, indicator).unwrap_or_else(|| panic!("no {indicator} in {output}"))
}

pub(crate) fn value(output: &Value, indicator: &str) -> f64 {
    observation(output, indicator)["value"].as_f64().unwrap()
}

pub(crate) fn reason<'a>(output: &'a Value, indicator: &str) -> Option<&'a str> {
    let rejected = output["rejected"].as_array().unwrap();
    let found = rejected.iter().find(|r| r["indicator"] == indicator)?;
    found["reason"].as_str()
}

#[track_caller]
pub(crate) fn assert_near(actual: f64, by_hand: f64) {
    let tolerance = 1e-9 * by_hand.abs().max(1.0);
    assert!(
        (actual - by_hand).abs() <= tolerance,
        "{actual} instead of {by_hand}"
    );
}

/// A sample of sound: one band has this level, each of the eight other octaves one band of 0 dB(A),
/// all other bands no reading (255). Its energy is 10^(level/10) + 8.
fn sound(level: u32) -> Value {
    let mut sample = json!({"v_audio0": 0x00FF_00FF});
    for octave in 1..=8 {
        sample[format!("v_audioplus{octave}")] = json!(0x00FF_00FF);
    }
    sample["v_audioplus3"] = json!(0x00FF_FF00 | level);
    sample
}

/// Three bands as a box packs them.
fn word([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}

/// All eight inputs of the gas networks, with this resistance of the CO sensor.
fn gas_inputs(coresistance: f64) -> Value {
    json!({"s_barometer": 101_781, "s_coresistance": coresistance, "s_humidity": 60_000,
        "s_lightsensortop": 100, "s_no2resistance": 500_000, "s_o3resistance": 40_000,
        "s_temperatureambient": 290_000, "s_temperatureunit": 300_000})
}

/// A model whose output is a thousandth of the (smoothed) resistance of the CO sensor.
fn model(gas: &str) -> Value {
    let keys = [
        "s_barometer",
        "s_coresistance",
        "s_humidity",
        "s_lightsensortop",
        "s_no2resistance",
        "s_o3resistance",
        "s_temperatureambient",
        "s_temperatureunit",
    ];
    let weights: Vec<[f64; 1]> = keys
        .iter()
        .map(|key| [f64::from(u8::from(*key == "s_coresistance"))])
        .collect();
    json!({"gas": gas, "input_order": keys,
        "running_mean_weights": {"s_coresistance": 0.05, "s_no2resistance": 0.05, "s_o3resistance": 0.05},
        "scaler": {"mean": [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "scale": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]},
        "mlp": {"activation": "relu", "coefs": [weights, [[0.001]]], "intercepts": [[0.0], [0.0]]}})
}

fn refine_gases(samples: &[Value]) -> Value {
    refine(&json!({"input": hour("jose", samples),
        "models": {"co": model("co"), "no2": model("no2")}}))
}

/// A pre-calibrated sample with a fix.
fn vanilla(seconds: u32, readings: &Value) -> Value {
    let mut sample = josene(seconds, readings);
    sample["meta_id"] = json!("box");
    sample
}

#[test]
fn d_001_hourly_noise_is_the_energetic_mean_of_its_samples() {
    let samples = [51, 49, 58].map(sound);
    let samples: Vec<Value> = (0..).zip(&samples).map(|(i, s)| josene(i, s)).collect();
    let output = refine_hour("jose", &samples);
    // (10^5.1 + 10^4.9 + 10^5.8) / 3 + 8 = (125 892.5 + 79 432.8 + 630 957.3) / 3 + 8 = 278 768.9;
    // 10·log10 of it is 54.452. The original cut each sample down to 50, 40 and 50: 48.
    assert_near(value(&output, "noiseavg"), 54.452_443_261_346_42);
    assert_eq!(observation(&output, "noiseavg")["accepted_count"], 3);
}

#[test]
fn d_002_a_noise_level_has_no_raw_value() {
    let output = refine_hour("jose", &[josene(0, &sound(45)), josene(11, &sound(45))]);
    // The original averaged 45 and 45 to a raw value of 40, and wrote it on the map.
    let level = observation(&output, "noiselevelavg");
    assert_eq!(
        (&level["raw"], &level["raw_unit"]),
        (&Value::Null, &Value::Null)
    );
    assert_near(value(&output, "noiselevelavg"), 2.0);
}

#[test]
fn d_003_rejected_samples_neither_count_nor_weigh() {
    let kelvins = [293_850, 230_150, 303_150];
    let samples: Vec<Value> = (0..)
        .zip(kelvins)
        .map(|(i, mk)| josene(i, &json!({"s_temperatureambient": mk})))
        .collect();
    let output = refine_hour("jose", &samples);
    // 20.7, (-43, below -40) and 30.0 give (20.7 + 30.0) / 2 = 25.35 from two samples.
    // The original counted three and gave 24.
    let temperature = observation(&output, "temperature");
    assert_near(value(&output, "temperature"), 25.35);
    // The raw value too: (293 850 + 303 150) / 2.
    assert_near(temperature["raw"].as_f64().unwrap(), 298_500.0);
    assert_eq!(
        (
            &temperature["accepted_count"],
            &temperature["rejected_count"]
        ),
        (&json!(2), &json!(1))
    );
}

#[test]
fn d_004_the_ice_point_is_273_15_kelvin() {
    let output = refine_hour(
        "jose",
        &[josene(0, &json!({"s_temperatureambient": 293_850}))],
    );
    // 293.85 - 273.15 = 20.70; the original took off 273.1 and had 20.75.
    assert_near(value(&output, "temperature"), 20.7);
}

#[test]
fn d_005_raw_indicators_are_never_smoothed() {
    let samples = [
        josene(0, &gas_inputs(324_569.0)),
        josene(11, &gas_inputs(100_000.0)),
    ];
    let output = refine_gases(&samples);
    // (324.569 + 100) / 2 = 212.2845 kOhm, least 100 kOhm. In the original three gases had smoothed
    // the second reading before: its least was 324.541 kOhm.
    assert_near(value(&output, "coraw"), 212.284_5);
    assert_near(
        observation(&output, "coraw")["min"].as_f64().unwrap(),
        100.0,
    );
    // Both gases see one running mean: 324 569, then 0.95 · 324 569 + 0.05 · 100 000 = 313 340.55.
    // Of the thousandths the mean is 318.954775. In the original each gas smoothed anew.
    assert_near(value(&output, "co"), 318.954_775);
    assert_near(value(&output, "no2"), 318.954_775);
}

#[test]
fn d_006_the_raw_value_of_a_gas_is_its_own_resistance() {
    let samples = [
        josene(0, &gas_inputs(324_569.0)),
        josene(11, &gas_inputs(100_000.0)),
    ];
    let output = refine_gases(&samples);
    // (324 569 + 100 000) / 2 Ohm. The original gave the air pressure, 101 781.
    let co = observation(&output, "co");
    assert_near(co["raw"].as_f64().unwrap(), 212_284.5);
    assert_eq!(co["raw_unit"], "Ohm");
    assert_near(
        observation(&output, "no2")["raw"].as_f64().unwrap(),
        500_000.0,
    );
}

#[test]
fn d_007_noise_has_no_raw_value() {
    let output = refine_hour("jose", &[josene(0, &sound(45))]);
    // The original gave the band at 25 Hz, nearly always 0.
    assert_eq!(observation(&output, "noiseavg")["raw"], Value::Null);
}

#[test]
fn d_008_the_band_of_25_hz_is_left_out() {
    let mut sample = sound(0);
    // Band 0 of the lowest octave (25 Hz) 100 dB(A), band 1 (31.5 Hz) 40 dB(A), band 2 none.
    sample["v_audio0"] = json!(word([100, 40, 255]));
    let output = refine_hour("jose", &[josene(0, &sample)]);
    // 10·log10(10^4 + 8) = 40.0035; with the 25 Hz band it would be 100.
    assert_near(value(&output, "noiseavg"), 40.003_472_966_853_636);
}

#[test]
fn d_009_the_band_of_10_khz_is_left_out_by_the_name_of_its_input() {
    let mut sample = sound(0);
    // Band 0 of the highest octave (6.3 kHz) 50 dB(A), band 1 none, band 2 (10 kHz) 100 dB(A).
    sample["v_audioplus8"] = json!(word([50, 255, 100]));
    let output = refine_hour("jose", &[josene(0, &sample)]);
    // 10·log10(10^5 + 8) = 50.0003. The original compared names by identity, which held only by
    // a habit of its interpreter; without it 10 kHz would count and make 100.
    assert_near(value(&output, "noiseavg"), 50.000_347_421_688_84);
}

#[test]
fn d_010_the_loudest_hours_are_of_class_5() {
    let output = refine_hour("jose", &[josene(0, &sound(96))]);
    // 96 dB(A) was class 6 in the original, above its own limit: no level at all.
    assert_near(value(&output, "noiselevelavg"), 5.0);
    assert_near(value(&output, "noiseavg"), 96.000_000_008_727_18);
}

#[test]
fn d_011_nothing_is_rounded() {
    let readings =
        json!({"s_o3resistance": 5870, "s_pm2_5": 2400, "s_temperatureambient": 293_750});
    let output = refine_hour("jose", &[josene(0, &readings)]);
    // The original stored 6 kOhm, 2 ug/m3 and 21 Cel.
    assert_near(value(&output, "o3raw"), 5.87);
    assert_near(value(&output, "pm2_5"), 2.4);
    assert_near(value(&output, "temperature"), 20.6);
}

#[test]
fn d_012_looking_at_a_reading_again_does_not_smooth_it_again() {
    let state = json!({"smoothing": {"s_coresistance": {"time": "2017-06-14T07:59:00Z", "value": 100_000.0}}});
    let twice = [
        josene(0, &gas_inputs(200_000.0)),
        josene(0, &gas_inputs(200_000.0)),
    ];
    let request = json!({"input": hour("jose", &twice), "state": state});
    let output = refine(&request);
    // 0.95 · 100 000 + 0.05 · 200 000 = 105 000; seen twice it would be 109 750.
    let smoothed = &output["state"]["smoothing"]["s_coresistance"];
    assert_near(smoothed["value"].as_f64().unwrap(), 105_000.0);

    // A last value uses the mean and leaves it as it was; the original's process `last` observed
    // the same sample every three minutes.
    let snapshot = json!({"device_id": 23, "device_type": "jose", "time": at(0), "point": "POINT(5.67 51.47)",
        "data": {"timeseries": [josene(0, &gas_inputs(200_000.0))]}});
    let output = refine(&json!({"input": snapshot, "state": state, "models": {"co": model("co")}}));
    assert_near(value(&output, "co"), 105.0);
    assert_eq!(output["state"], state);

    // After a gap of more than six hours the mean starts anew.
    let old = json!({"smoothing": {"s_coresistance": {"time": "2017-06-14T01:59:59Z", "value": 100_000.0}}});
    let output = refine(&json!({"input": hour("jose", &twice), "state": old}));
    let smoothed = &output["state"]["smoothing"]["s_coresistance"];
    assert_near(smoothed["value"].as_f64().unwrap(), 200_000.0);
}

#[test]
fn d_013_an_absent_result_is_a_rejection_and_nothing_else_suffers() {
    let mut sample = sound(60);
    sample["v_audioplus5"] = Value::Null;
    sample["s_barometer"] = json!(101_300);
    let output = refine_hour("jose", &[josene(0, &sample)]);
    // The original took the sum of the octaves before the missing one for the level, or ended.
    assert!(find(&output, "noiseavg").is_none() && find(&output, "noiselevelavg").is_none());
    assert_eq!(reason(&output, "noiseavg"), Some("missing_input"));
    assert_eq!(reason(&output, "noiselevelavg"), Some("missing_input"));
    assert_near(value(&output, "pressure"), 1013.0);
}

#[test]
fn d_016_longitude_goes_to_180_and_latitude_to_90() {
    let place = |longitude: f64, latitude: f64| {
        let sample = vanilla(
            0,
            &json!({"longitude": longitude, "latitude": latitude, "co": 1.0}),
        );
        let mut record = hour("vanilla", &[sample]);
        record["point"] = Value::Null;
        refine(&json!({"input": record}))
    };
    // The original held longitudes to 90 and latitudes to 180: no data at 120.5° E.
    let output = place(120.5, 15.0);
    let location = &observation(&output, "co")["location"];
    assert_eq!(
        (&location["lon"], &location["lat"]),
        (&json!(120.5), &json!(15.0))
    );
    assert_eq!(place(5.67, 120.5)["quarantine"]["reason"], "no_location");
}

#[test]
fn d_017_zero_is_a_number_and_a_coordinate() {
    let greenwich = vanilla(0, &json!({"longitude": 0, "latitude": 51.48, "no2": 0}));
    let output = refine_hour("vanilla", &[greenwich]);
    // In the original a longitude of 0 was no longitude.
    assert_near(value(&output, "no2"), 0.0);
    let location = &observation(&output, "no2")["location"];
    assert_eq!(
        (&location["lon"], &location["lat"]),
        (&json!(0.0), &json!(51.48))
    );
    // But (0, 0) is what a receiver without a fix says: the point of the record holds.
    let nowhere = vanilla(0, &json!({"longitude": 0, "latitude": 0, "no2": 0}));
    let output = refine_hour("vanilla", &[nowhere]);
    assert_eq!(observation(&output, "no2")["location"]["lon"], 5.67);
}

#[test]
fn d_018_impossible_gps_words_are_no_position() {
    let word = 0x801F_FFFF_u32;
    let readings = json!({"s_longitude": word, "s_latitude": word, "s_barometer": 101_300});
    let mut record = hour("jose", &[josene(0, &readings)]);
    record["point"] = Value::Null;
    let output = refine(&json!({"input": record}));
    // 0xFFFFF = 1 048 575 millionths are more than 999 999. The original read
    // -(1 + 1.048575) = -2.048575 and put the station into the Atlantic.
    assert_eq!(output["quarantine"]["reason"], "no_location");
}

#[test]
fn d_019_all_observations_of_an_hour_have_the_newest_position() {
    let first = vanilla(0, &json!({"longitude": 5.1, "latitude": 51.1, "co": 1.0}));
    let second = vanilla(60, &json!({"longitude": 5.2, "latitude": 51.2, "no2": 1.0}));
    let output = refine_hour("vanilla", &[second, first]);
    // In the original CO was at 5.1 and NO2 at 5.2, both at an altitude of 0.
    let place = json!({"lon": 5.2, "lat": 51.2, "alt": null});
    assert_eq!(observation(&output, "co")["location"], place);
    assert_eq!(observation(&output, "no2")["location"], place);
}

#[test]
fn d_021_values_around_zero_stay_in_the_mean_of_clean_air() {
    let readings = [-3.0, 5.0].map(|no2| json!({"no2": no2}));
    let output = refine_hour(
        "vanilla",
        &[vanilla(0, &readings[0]), vanilla(60, &readings[1])],
    );
    // (-3 + 5) / 2 = 1; the original dropped -3 and gave 5.
    assert_near(value(&output, "no2"), 1.0);
    let no2 = observation(&output, "no2");
    assert_eq!(no2["quality"]["flags"], json!(["below_detection"]));
    // Far below zero is a broken calibration.
    let output = refine_hour("vanilla", &[vanilla(0, &json!({"no2": -50.1}))]);
    assert_eq!(reason(&output, "no2"), Some("below_minimum"));
}

#[test]
fn d_022_a_reading_has_one_range() {
    let output = refine_hour(
        "jose",
        &[
            josene(0, &json!({"s_o3resistance": 1500})),
            josene(11, &json!({"s_o3resistance": 4500})),
        ],
    );
    // The original let 1.5 kOhm pass as input, counted it, and refused it as output (from 3 kOhm).
    assert_near(value(&output, "o3raw"), 3.0);
    assert_eq!(observation(&output, "o3raw")["accepted_count"], 2);
}

#[test]
fn d_023_dry_and_hot_air_is_weather_and_what_is_refused_is_told() {
    let readings = [
        json!({"s_humidity": 15_000, "s_temperatureambient": 338_150}),
        json!({"s_humidity": 5_000}),
    ];
    let output = refine_hour("jose", &[josene(0, &readings[0]), josene(11, &readings[1])]);
    // 15 % and 65 °C were below 20 and above 60: not in the original.
    assert_near(value(&output, "humidity"), 15.0);
    assert_near(value(&output, "temperature"), 65.0);
    let rejected = output["rejected"].as_array().unwrap();
    let humidity = rejected
        .iter()
        .find(|r| r["indicator"] == "humidity")
        .unwrap();
    assert_eq!(humidity["reason"], "below_minimum");
    assert_eq!(humidity["count"], 1);
    assert_eq!(
        humidity["example"],
        json!({"time": at(11), "input": "s_humidity", "value": 5000})
    );
}

#[test]
fn d_024_values_of_sensor_community_are_not_rounded() {
    let output = refine_hour("luftdaten", &[vanilla(0, &json!({"pm2_5": 2.4}))]);
    // The original made 2 of it when it was harvested.
    assert_near(value(&output, "pm2_5"), 2.4);
}

#[test]
fn d_025_the_finest_dust_of_sensor_community_is_an_indicator() {
    let output = refine_hour(
        "luftdaten",
        &[vanilla(0, &json!({"pm1": 1.3, "pm10": 12.0}))],
    );
    // The original never asked for pm1.
    assert_near(value(&output, "pm1"), 1.3);
    assert_near(value(&output, "pm10"), 12.0);
}

#[test]
fn d_026_two_instruments_of_one_station_are_not_averaged_together() {
    let instrument = |name: &str, temperature: f64, humidity: f64| json!({"time": at(0), "meta_id": name, "temperature": temperature, "humidity": humidity});
    let samples = [
        instrument("DHT22-1", 16.0, 48.0),
        instrument("BME280-2", 4.0, 100.0),
    ];
    let output = refine_hour("luftdaten", &samples);
    // The original gave 10 °C and 74 % under the name of the DHT22.
    let mut found: Vec<(&str, &str, f64)> = output["observations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| {
            (
                o["indicator"].as_str().unwrap(),
                o["sensor"].as_str().unwrap(),
                o["value"].as_f64().unwrap(),
            )
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(b.0).then(a.1.cmp(b.1)));
    assert_eq!(
        found,
        [
            ("humidity", "BME280-2", 100.0),
            ("humidity", "DHT22-1", 48.0),
            ("temperature", "BME280-2", 4.0),
            ("temperature", "DHT22-1", 16.0),
        ]
    );
}

/// Refines one sample of a station type of this text.
fn refine_kit(indicators: &str, sample: &Value) -> Value {
    let text = format!(
        "name = \"kit\"\nversion = \"1\"\nlabel = {{ en = \"Kit\", nl = \"Kit\" }}\n\
        [location]\nlongitude = \"lon\"\nlatitude = \"lat\"\n{indicators}"
    );
    let mut catalogue = catalogue();
    catalogue.insert(Definition::from_toml(&text, &vocabulary()).unwrap());
    let request = json!({"input": hour("kit", std::slice::from_ref(sample))});
    answer(&request, Path::new("."), &catalogue)
}

#[test]
fn d_027_the_unit_of_a_reading_is_told_and_not_assumed() {
    let kit = "[indicator.co]\nsensor = \"reference\"\n\
        input = { key = \"co\", unit = \"mg/m3\" }\nconvert = [{ multiply = 1000 }]\n";
    let output = refine_kit(kit, &json!({"time": at(0), "co": 0.4}));
    // 0.4 mg/m3 are 400 ug/m3. The original took the 0.4 for ug/m3, a thousand times too little.
    let co = observation(&output, "co");
    assert_near(value(&output, "co"), 400.0);
    assert_eq!(
        (&co["unit"], &co["raw"], &co["raw_unit"]),
        (&json!("ug/m3"), &json!(0.4), &json!("mg/m3"))
    );
}

#[test]
fn d_028_a_model_trained_with_another_smoothing_is_refused() {
    // Text and code of the original disagreed whether its models were trained with 0.05 or 0.005.
    let mut other = model("co");
    other["running_mean_weights"]["s_coresistance"] = json!(0.005);
    let request = json!({"input": hour("jose", &[]), "models": {"co": other}});
    let refused = refuse(&request);
    assert!(
        refused.contains("`running_mean_weights` must be"),
        "{refused}"
    );
}

/// What is said of a request whose models are refused; a model given by path is a Python pickle.
fn refuse(request: &Value) -> String {
    let pickle = |_: &str| Ok("cos\nsystem\n(S'echo pwned'\ntR.".to_owned());
    smartem_refine::request::answer(&request.to_string(), &catalogue(), &pickle)
        .unwrap_err()
        .to_string()
}

#[test]
fn d_029_ozone_in_ppb_has_a_factor_and_zero_is_converted_too() {
    // Factor M·P / (1000·R·T) = 47.998 · 101 325 / (1000 · 8.314462618 · 293.15) = 1.99534.
    let factor = 47.998 * 101_325.0 / (1000.0 * 8.314_462_618 * 293.15);
    let kit = format!(
        "[indicator.o3]\nsensor = \"ozone\"\n\
        input = {{ key = \"o3\", unit = \"[ppb]\" }}\nconvert = [{{ multiply = {factor} }}]\n"
    );
    let o3 = |ppb: f64| value(&refine_kit(&kit, &json!({"time": at(0), "o3": ppb})), "o3");
    // 50 ppb are 99.767 ug/m3; the helper of the original left 50, and made nothing of 0.
    assert!((o3(50.0) - 99.767).abs() < 0.001, "{}", o3(50.0));
    assert_near(o3(0.0), 0.0);
}

#[test]
fn d_030_a_model_is_plain_numbers_and_never_executed() {
    // The original loaded Python pickles, which run what they hold.
    let request = json!({"input": hour("jose", &[]), "models": {"co": "model.pkl"}});
    let refused = refuse(&request);
    assert!(
        refused.contains("the model for `co` cannot be read"),
        "{refused}"
    );
}

#[test]
fn d_031_without_a_model_everything_else_is_refined() {
    let output = refine_hour("jose", &[josene(0, &gas_inputs(324_569.0))]);
    // The original did not start for Josene stations.
    for gas in ["co", "no2", "o3"] {
        assert!(find(&output, gas).is_none(), "{gas}");
        assert_eq!(reason(&output, gas), Some("no_calibration"), "{gas}");
    }
    assert_near(value(&output, "coraw"), 324.569);
    assert_near(value(&output, "pressure"), 1017.81);
}

#[test]
fn d_032_an_unknown_station_type_is_set_aside() {
    let output = refine_hour("florp", &[vanilla(0, &json!({"co": 1.0}))]);
    // The original ended, and ended again at the same record at every run.
    assert_eq!(output["quarantine"]["reason"], "unknown_device_type");
    assert_eq!(output["observations"], json!([]));
}

#[test]
fn d_050_a_sample_belongs_to_the_hour_of_its_own_time() {
    let mut late = vanilla(0, &json!({"pm10": 20.0}));
    late["time"] = json!("2017-06-14T07:59:59Z");
    let output = refine_hour("luftdaten", &[late, vanilla(0, &json!({"pm10": 10.0}))]);
    // The original averaged whatever the last 60 minutes held, and called it the hour of the run: 15.
    assert_near(value(&output, "pm10"), 10.0);
    assert_eq!(output["rejected"][0]["reason"], "outside_hour");
}

#[test]
fn d_059_an_item_that_was_sent_twice_counts_once() {
    let item = |seconds: u32, id: &str, pm10: f64| {
        let mut sample = vanilla(seconds, &json!({"pm10": pm10}));
        sample["_id"] = json!(id);
        sample
    };
    // Overlapping boxes gave an item twice; a reading was given again under a later time.
    let samples = [
        item(0, "a", 10.0),
        item(0, "a", 10.0),
        item(300, "b", 40.0),
        item(150, "b", 40.0),
    ];
    let output = refine_hour("luftdaten", &samples);
    // (10 + 40) / 2 = 25; each counted twice is 25 as well, but from four samples.
    let pm10 = observation(&output, "pm10");
    assert_near(value(&output, "pm10"), 25.0);
    assert_eq!(pm10["accepted_count"], 2);
    assert_eq!(output["rejected"][0]["reason"], "duplicate");
    assert_eq!(output["rejected"][0]["count"], 2);

    // With the first item alone sent twice the original weighed (10 + 10 + 40) / 3 = 20.
    let output = refine_hour("luftdaten", &samples[..3]);
    assert_near(value(&output, "pm10"), 25.0);
}

#[test]
fn d_063_a_value_says_when_its_hour_begins_and_ends() {
    let output = refine_hour("jose", &[josene(0, &json!({"s_barometer": 101_300}))]);
    // The original told only the end, as an instant: 09:00.
    assert_eq!(
        observation(&output, "pressure")["phenomenonTime"],
        json!({"start": "2017-06-14T08:00:00Z", "end": "2017-06-14T09:00:00Z"})
    );
}

#[test]
fn d_064_an_hour_that_is_not_complete_is_refined_too() {
    let mut record = hour("jose", &[josene(0, &json!({"s_barometer": 101_300}))]);
    record["complete"] = json!(false);
    // The original passed it by for ever.
    assert_near(
        value(&refine(&json!({"input": record})), "pressure"),
        1013.0,
    );
}

#[test]
fn d_067_units_are_codes_and_readings_have_them_too() {
    let readings = json!({"s_barometer": 101_300, "s_humidity": 60_000, "s_pm10": 12_000});
    let output = refine_hour("jose", &[josene(0, &readings)]);
    // "HectoPascal", "Procent" and "ug/m3" in the original, and a barometer in Pa that was called hPa.
    let vocabulary = vocabulary();
    for (indicator, unit, raw_unit, raw) in [
        ("pressure", "hPa", "Pa", 101_300.0),
        ("humidity", "%", "10*-3.%", 60_000.0),
        ("pm10", "ug/m3", "ng/m3", 12_000.0),
    ] {
        let found = observation(&output, indicator);
        assert_eq!(
            (&found["unit"], &found["raw_unit"]),
            (&json!(unit), &json!(raw_unit))
        );
        assert_near(found["raw"].as_f64().unwrap(), raw);
        for code in [unit, raw_unit] {
            assert!(vocabulary.units().get(code).is_some(), "{code}");
        }
    }
}

#[test]
fn d_069_a_known_station_without_a_fix_keeps_its_data() {
    let mut record = hour("jose", &[josene(0, &json!({"s_barometer": 101_300}))]);
    record["point"] = Value::Null;
    let station = json!({"location": {"lon": 5.86, "lat": 51.84, "alt": 12.0}});
    let output = refine(&json!({"input": record, "station": station}));
    // The original dropped the hour.
    let pressure = observation(&output, "pressure");
    assert_eq!(pressure["location"], station["location"]);
    assert_eq!(pressure["quality"]["flags"], json!(["station_location"]));
    // Unknown, it is set aside until its place is known.
    assert_eq!(
        refine(&json!({"input": record}))["quarantine"]["reason"],
        "no_location"
    );
}

#[test]
fn d_101_every_time_is_utc() {
    // 2026-10-25: clocks in Amsterdam go from 03:00 back to 02:00, at 01:00 UTC.
    let sample = |time: &str, pressure: i64| json!({"time": time, "s_barometer": pressure});
    let record = json!({"device_id": 23, "device_type": "jose", "day": 20_261_025, "hour": 2, "point": "POINT(5.67 51.47)",
    "data": {"timeseries": [
        sample("2026-10-25T02:30:00+01:00", 101_300),
        sample("2026-10-25T01:45:00Z", 101_500),
        sample("2026-10-25T02:30:00+02:00", 99_000),
    ]}});
    let output = refine(&json!({"input": record}));
    // 02:30 in winter time is 01:30 UTC, within the hour; in summer time it is 00:30 UTC, outside.
    assert_near(value(&output, "pressure"), 1014.0);
    assert_eq!(output["rejected"][0]["reason"], "outside_hour");
    assert_eq!(
        observation(&output, "pressure")["phenomenonTime"],
        json!({"start": "2026-10-25T01:00:00Z", "end": "2026-10-25T02:00:00Z"})
    );
}

#[test]
fn d_111_an_hour_tells_how_much_of_it_was_measured() {
    let samples: Vec<Value> = (0..30)
        .map(|i| josene(i * 60, &json!({"s_barometer": 101_300})))
        .collect();
    let output = refine(&json!({"input": hour("jose", &samples), "station": {"cadence_s": 60}}));
    // 30 samples, one a minute: 30 · 60 / 3600 = 0.5, below 0.75. The original told nothing.
    let quality = &observation(&output, "pressure")["quality"];
    assert_near(quality["coverage"].as_f64().unwrap(), 0.5);
    assert_eq!(quality["flags"], json!(["low_coverage"]));
}

#[test]
fn d_112_the_level_of_an_hour_is_the_class_of_its_mean() {
    let samples: Vec<Value> = (0..)
        .zip([30, 30, 30, 70])
        .map(|(i, level)| josene(i, &sound(level)))
        .collect();
    let output = refine_hour("jose", &samples);
    // 10·log10((3 · 10^3 + 10^7) / 4 + 8) = 63.98: class 3. The original averaged the classes
    // 1, 1, 1 and 4 to 1.75 and gave 2.
    assert_near(value(&output, "noiseavg"), 63.980_716_668_005_87);
    assert_near(value(&output, "noiselevelavg"), 3.0);
}
