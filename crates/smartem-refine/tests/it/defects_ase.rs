//! Defects of the original's AirSensEUR chain, as `defects.rs`.
//!
//! Constants: reference voltages 1.500611 V (COA4), 1.200244 V (NOB4), 1.700855 V (NO2B43F and
//! `OX_A431`), 0.5006105 V of the converter, gain 7001, load 50 Ohm; station 11820001 has
//! CO 3106.838, 0.2112824, 0.2448138; NO2 6141.5933846, -0.1479105, -0.1959212;
//! O3 6134.694, -0.2636486, -0.2597192, 0.1249437.

use serde_json::{Value, json};

use crate::defects::{assert_near, at, find, hour, observation, reason, refine, value};

fn reading(seconds: u32, name: &str, value: f64) -> Value {
    json!({"time": at(seconds), "name": name, "sampleEvaluatedVal": value,
        "longitude": 5.86, "latitude": 51.84})
}

/// An hour of one of the five stations whose parameters are known.
fn station(id: u32, readings: &[Value]) -> Value {
    let mut record = hour("ase", readings);
    record["device_id"] = json!(id);
    record
}

fn refine_station(id: u32, readings: &[Value]) -> Value {
    refine(&json!({"input": station(id, readings)}))
}

#[test]
fn d_014_digits_beyond_16_bits_are_rejected() {
    let readings = [
        reading(0, "Humid", 60.0),
        reading(0, "COA4", 99_999.0),
        reading(60, "COA4", 38_000.0),
    ];
    let output = refine_station(11_820_001, &readings);
    // The original took 99 999 for a reading; its list of inputs never rejected anything.
    for indicator in ["coraw", "co"] {
        assert_eq!(reason(&output, indicator), Some("above_maximum"));
        assert_eq!(observation(&output, indicator)["accepted_count"], 1);
    }
    // I = 1e9 · (1.0000005 + 38 001 / 65 536 · 1.001221) / 350 050 = 4515.234 nA.
    assert_near(value(&output, "coraw"), 4_515.234_221_082_605);
}

#[test]
fn d_015_order_in_the_file_means_nothing_and_old_auxiliaries_serve_nobody() {
    let tempe = reading(0, "Tempe", 20.1);
    let ozone = reading(0, "OX_A431", 61_500.0);
    let no2 = reading(0, "NO2B43F", 61_860.0);
    // NO2 = (6128.613 - 6141.5933846 + 0.1959212 · 20.1) / -0.1479105 = 61.134, then
    // O3 = (6112.901 - 6134.694 + 0.2597192 · 61.134 - 0.1249437 · 20.1) / -0.2636486 = 31.961.
    // With O3 before NO2, or both before the temperature, the original had no value.
    for readings in [
        [ozone.clone(), no2.clone(), tempe.clone()],
        [tempe.clone(), no2.clone(), ozone.clone()],
        [no2, tempe, ozone],
    ] {
        let output = refine_station(11_820_001, &readings);
        assert_near(value(&output, "no2"), 61.134_040_606_551_78);
        assert_near(value(&output, "o3"), 31.960_554_764_081_426);
    }

    // A humidity of 07:59:00 serves until 08:59:00; the original took one of any age.
    let state = json!({"auxiliary": {"humidity": {"time": "2017-06-14T07:59:00Z", "value": 60.0}}});
    let carried = |seconds: u32| {
        let readings = [reading(seconds, "COA4", 38_000.0)];
        refine(&json!({"input": station(11_820_001, &readings), "state": state}))
    };
    // CO = (4515.234 - 3106.838 - 0.2448138 · 60) / 0.2112824 = 6596.420.
    assert_near(value(&carried(59 * 60), "co"), 6_596.419_735_304_996);
    let late = carried(59 * 60 + 1);
    assert_eq!(reason(&late, "co"), Some("missing_auxiliary"));
    assert!(find(&late, "co").is_none() && find(&late, "coraw").is_some());
}

#[test]
fn d_017_a_digital_reading_of_zero_is_a_reading() {
    let output = refine_station(11_820_001, &[reading(0, "COA4", 0.0)]);
    // I = 1e9 · (1.0000005 + 1 / 65 536 · 1.001221) / 350 050 = 2856.780 nA; nothing in the original.
    assert_near(value(&output, "coraw"), 2_856.779_824_082_399_5);
}

#[test]
fn d_020_parameters_are_data_of_a_station() {
    let readings = [reading(0, "Humid", 60.0), reading(0, "COA4", 38_000.0)];
    let output = refine_station(11_820_001, &readings);
    let co = observation(&output, "co");
    assert_near(value(&output, "co"), 6_596.419_735_304_996);
    assert!(co["model"].as_str().is_some_and(|model| !model.is_empty()));
    // Station 4 has lines of its own: (4515.234 - 3115.324 - 0.2002 · 60) / 0.2221114 = 6248.671.
    let four = refine_station(11_820_004, &readings);
    let by_hand = (4_515.234_221_082_605 - 3_115.324 - 0.200_152_2 * 60.0) / 0.222_111_4;
    assert_near(value(&four, "co"), by_hand);
    // The CO sensor of station 3 is out of order, and station 9 is not known: no CO, but its current.
    for id in [11_820_003, 11_820_009] {
        let output = refine_station(id, &readings);
        assert_eq!(reason(&output, "co"), Some("no_calibration"), "{id}");
        assert_near(value(&output, "coraw"), 4_515.234_221_082_605);
    }
}

#[test]
fn d_021_low_results_of_clean_air_stay_in_the_mean() {
    let readings = [
        reading(0, "Tempe", 20.1),
        reading(0, "NO2B43F", 61_860.0),
        reading(60, "NO2B43F", 62_100.0),
    ];
    let output = refine_station(11_820_001, &readings);
    // 61.134 and -9.682 make 25.726; the original dropped all below 2 and gave 61.
    assert_near(value(&output, "no2"), 25.725_976_868_140_75);
    assert_eq!(observation(&output, "no2")["accepted_count"], 2);
}
