//! Properties that hold for every hour of a Josene.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{answer, catalogue, differences};

const START_S: i64 = 1_497_427_200; // 2017-06-14T08:00:00Z

fn time(offset_ms: i64) -> String {
    let nanoseconds = (i128::from(START_S) * 1000 + i128::from(offset_ms)) * 1_000_000;
    jiff::Timestamp::from_nanosecond(nanoseconds)
        .unwrap()
        .to_string()
}

fn reading(low: i64, high: i64) -> impl Strategy<Value = Value> {
    prop_oneof![
        12 => (low..=high).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!("21.5")),
        1 => Just(json!(-1)),
        1 => Just(json!(99_999_999_999_i64)),
        1 => Just(json!(true)),
    ]
}

prop_compose! {
    fn any_sample()(
        at in -60_000_i64..3_660_000,
        temperature in reading(233_150, 358_150),
        humidity in reading(10_000, 100_000),
        pressure in reading(90_000, 110_000),
        o3 in reading(1000, 800_000),
        co2 in proptest::option::of(reading(300_000, 900_000)),
        bands in proptest::collection::vec(proptest::option::weighted(0.98, 0_u32..0x00FF_FFFF), 9),
        east in 5_000_000_u32..5_999_999,
        id in 0_u32..40,
    ) -> Value {
        let mut sample = json!({
            "_id": format!("x{id}"), "time": time(at), "s_temperatureambient": temperature, "s_humidity": humidity,
            "s_barometer": pressure, "s_o3resistance": o3, "s_longitude": east, "s_latitude": 53_949_937,
        });
        if let Some(co2) = co2 {
            sample["s_co2"] = co2;
        }
        for (octave, band) in bands.iter().enumerate() {
            let key = if octave == 0 { "v_audio0".to_owned() } else { format!("v_audioplus{octave}") };
            if let Some(word) = band {
                sample[key] = json!(word);
            }
        }
        sample
    }
}

fn refine(samples: &[Value]) -> Value {
    let request = json!({"input": {
        "device_id": 23, "device_type": "jose", "day": 20_170_614, "hour": 9, "data": {"timeseries": samples},
    }});
    answer(&request, std::path::Path::new("."), &catalogue())
}

fn observation<'a>(output: &'a Value, indicator: &str) -> Option<&'a Value> {
    output["observations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|o| o["indicator"] == indicator)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_permutation_of_the_samples_changes_nothing(
        (samples, shuffled) in proptest::collection::vec(any_sample(), 0..40)
            .prop_flat_map(|samples| (Just(samples.clone()), Just(samples).prop_shuffle()))
    ) {
        let found = differences(&refine(&shuffled), &refine(&samples));
        prop_assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn every_result_lies_between_its_extremes(samples in proptest::collection::vec(any_sample(), 0..40)) {
        for observation in refine(&samples)["observations"].as_array().unwrap() {
            let number = |name: &str| observation[name].as_f64().unwrap();
            let slack = 1e-9 * number("value").abs().max(1.0);
            prop_assert!(number("min") - slack <= number("value"), "{observation}");
            prop_assert!(number("value") <= number("max") + slack, "{observation}");
            let accepted = number("accepted_count");
            let fraction = observation["quality"]["fraction"].as_f64().unwrap();
            prop_assert!(accepted >= 1.0);
            prop_assert!((fraction - accepted / (accepted + number("rejected_count"))).abs() < 1e-12);
        }
    }

    #[test]
    fn a_rejected_sample_changes_nothing_but_the_rejected_count(
        samples in proptest::collection::vec(any_sample(), 1..30),
        bad in prop_oneof![Just(json!(999_999)), Just(json!(-5)), Just(json!("warm")), Just(json!([1]))],
    ) {
        // A time and an id of its own, so that it is no duplicate of another sample.
        let mut with_bad = samples.clone();
        with_bad.push(json!({"_id": "bad", "time": time(1_800_000) .replace('Z', ".000000007Z"), "s_temperatureambient": bad}));
        let (before, after) = (refine(&samples), refine(&with_bad));
        let Some(was) = observation(&before, "temperature") else { return Ok(()) };
        let mut expected = was.clone();
        let rejected = was["rejected_count"].as_u64().unwrap() + 1;
        let accepted = was["accepted_count"].as_f64().unwrap();
        expected["rejected_count"] = json!(rejected);
        expected["quality"]["fraction"] = json!(accepted / (accepted + f64::from(u32::try_from(rejected).unwrap())));
        prop_assert_eq!(observation(&after, "temperature"), Some(&expected));
        for indicator in ["humidity", "pressure", "noiseavg", "noiselevelavg", "o3raw", "co2"] {
            prop_assert_eq!(observation(&after, indicator), observation(&before, indicator));
        }
        prop_assert_eq!(&after["state"], &before["state"]);
    }

    #[test]
    fn no_document_makes_the_refiner_panic(text in "\\PC{0,60}", value in -1e300..1e300_f64, hour in -1_i64..27) {
        let request = json!({"input": {
            "device_id": 23, "device_type": "jose", "day": 20_170_614, "hour": hour,
            "data": {"timeseries": [text, {"time": text, "s_barometer": value}, {"time": time(5), "s_co2": value, "v_audio0": value}]},
        }, "state": {"smoothing": {"s_o3resistance": text}}, "station": {"cadence_s": value}});
        let output = answer(&request, std::path::Path::new("."), &catalogue());
        prop_assert!(output["quarantine"].is_null() || output["observations"].as_array().unwrap().is_empty());
    }
}

#[test]
fn two_half_hours_combine_to_the_hour() {
    let sample = |at: i64, mk: i64| json!({"time": time(at * 1000), "s_temperatureambient": mk, "s_longitude": 5_914_103, "s_latitude": 53_949_937});
    let all: Vec<Value> = (0..20)
        .map(|i| sample(i * 180, 280_000 + i * 137 % 5000))
        .collect();
    let value = |samples: &[Value]| {
        let output = refine(samples);
        let o = observation(&output, "temperature").unwrap();
        (
            o["value"].as_f64().unwrap(),
            o["accepted_count"].as_f64().unwrap(),
        )
    };
    let ((first, n1), (second, n2), (whole, n)) =
        (value(&all[..10]), value(&all[10..]), value(&all));
    assert!((whole - (first * n1 + second * n2) / n).abs() < 1e-9);
}
