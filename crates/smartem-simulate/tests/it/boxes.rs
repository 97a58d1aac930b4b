//! What the boxes send: shape, bounds, and sameness of bytes.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use serde_json::Value;
use smartem_simulate::city::{City, CityConfig, Quirk};
use smartem_simulate::josene::decode_degrees;

use crate::helpers::{at, city};

/// Later than all hours asked for.
const LATER: &str = "2029-01-01T00:00:00Z";

/// Bounds of the raw values that become indicators: temperature to 85 degC, humidity 10 to 100 %, ...
const BOUNDS: [(&str, i64, i64); 13] = [
    ("s_temperatureambient", 233_150, 358_150),
    ("s_temperatureunit", 233_150, 398_150),
    ("s_humidity", 10_000, 100_000),
    ("s_barometer", 20_000, 110_000),
    ("s_co2", 0, 5_000_000),
    ("s_coresistance", 10_000, 3_000_000),
    ("s_no2resistance", 800, 3_000_000),
    ("s_o3resistance", 1000, 8_000_000),
    ("s_pm10", 0, 999_000),
    ("s_pm2_5", 0, 999_000),
    ("s_pm1", 0, 999_000),
    ("s_lightsensortop", 0, 65_535),
    ("s_altimeter", 0, 4000),
];

/// Third-octave bands of octaves 0 to 9, lowest first.
fn bands(sample: &Value) -> Vec<u8> {
    (0..10)
        .flat_map(|octave| {
            let key = if octave == 0 {
                "v_audio0".into()
            } else {
                format!("v_audioplus{octave}")
            };
            let packed = u32::try_from(sample[key].as_u64().unwrap()).unwrap();
            let [low, middle, high, rest] = packed.to_le_bytes();
            assert_eq!(rest, 0);
            [low, middle, high]
        })
        .collect()
}

fn samples(body: &[u8]) -> Vec<Value> {
    let mut hour: Value = serde_json::from_slice(body).unwrap();
    match hour["timeseries"].take() {
        Value::Array(samples) => samples,
        other => panic!("no list: {other}"),
    }
}

fn time(sample: &Value) -> Timestamp {
    at(sample["time"].as_str().unwrap())
}

fn city_of(seed: u64, cadence_s: u32, flaws: bool) -> City {
    let config = CityConfig::starting(at("2026-01-01T00:00:00Z"));
    City::new(CityConfig {
        seed,
        stations: 12,
        cadence_s,
        flaws,
        ..config
    })
    .unwrap()
}

#[test]
fn an_hour_made_alone_has_the_bytes_of_one_made_in_sequence() {
    let (day, now) = (date(2026, 3, 29), at(LATER));
    let one = city(8);
    let sequence: Vec<_> = (1..=24).map(|h| one.hour(1003, day, h, now)).collect();
    for hour in (1..=24).rev() {
        let alone = city(8).hour(1003, day, hour, now);
        assert_eq!(alone, sequence[usize::try_from(hour).unwrap() - 1]);
    }
}

#[test]
fn stations_do_not_depend_on_how_many_there_are() {
    let (day, now) = (date(2026, 3, 29), at(LATER));
    assert_eq!(
        city(8).hour(1003, day, 5, now),
        city(90).hour(1003, day, 5, now)
    );
}

#[test]
fn other_seeds_and_other_stations_give_other_hours() {
    let hour = |seed, id| {
        city_of(seed, 11, false)
            .hour(id, date(2026, 5, 1), 9, at(LATER))
            .unwrap()
    };
    assert_ne!(hour(1, 1001), hour(2, 1001));
    assert_ne!(hour(1, 1001), hour(1, 1002));
    assert_ne!(
        city_of(1, 11, true).stations(),
        city_of(2, 11, true).stations()
    );
}

#[test]
fn a_full_hour_has_327_or_328_samples_that_resemble_the_recordings() {
    let city = city_of(1, 11, false);
    for hour in 1..=24 {
        let body = city.hour(1001, date(2026, 5, 1), hour, at(LATER)).unwrap();
        let samples = samples(&body);
        assert!((327..=328).contains(&samples.len()), "{}", samples.len());
        assert!((250_000..400_000).contains(&body.len()), "{}", body.len());
        let without_gases = samples
            .iter()
            .filter(|s| s["s_no2resistance"].is_null())
            .count();
        assert!((40..130).contains(&without_gases), "{without_gases}");
        for sample in samples {
            let keys = sample.as_object().unwrap().len();
            assert!((38..=56).contains(&keys), "{keys}");
            assert_eq!(sample["id"], 1001);
            assert_eq!(sample["_id"].as_str().unwrap().len(), 24);
            assert_eq!(sample["s_co"].is_null(), sample["s_coresistance"].is_null());
        }
    }
}

#[test]
fn the_lowest_band_is_zero_at_quiet_places_and_heard_at_loud_ones() {
    let city = city_of(1, 60, false);
    let (mut zero, mut heard) = (0, 0);
    for station in city.stations() {
        let body = city
            .hour(station.id, date(2026, 5, 1), 2, at(LATER))
            .unwrap();
        for sample in samples(&body) {
            let bands = bands(&sample);
            zero += i32::from(bands[0] == 0);
            heard += i32::from(bands[0] > 0);
            assert!(
                bands[16] > 10,
                "1 kHz is never below the floor of the microphone"
            );
        }
    }
    assert!(zero > 50 && heard > 50, "{zero} {heard}");
}

#[test]
fn glitches_are_there_but_rare() {
    let city = city(20);
    let (mut all, mut bad) = (0_u32, 0_u32);
    for station in city.stations() {
        for hour in [3, 8, 14, 20] {
            for day in [date(2026, 1, 20), date(2026, 7, 20)] {
                let Some(body) = city.hour(station.id, day, hour, at(LATER)) else {
                    continue;
                };
                for sample in samples(&body) {
                    all += 1;
                    let outside = BOUNDS.iter().any(|(key, low, high)| {
                        sample[*key]
                            .as_i64()
                            .is_some_and(|v| !(*low..=*high).contains(&v))
                    });
                    if outside || bands(&sample).contains(&255) {
                        bad += 1;
                    }
                }
            }
        }
    }
    let rate = f64::from(bad) / f64::from(all);
    assert!((0.000_3..0.004).contains(&rate), "{bad} of {all}");
}

#[test]
fn boxes_differ_in_sensors_and_lose_some_hours() {
    let city = city(60);
    let now = at(LATER);
    let (mut carbon, mut particles, mut lost, mut short, mut no_fix, mut hours) =
        (0, 0, 0, 0, 0, 0);
    for station in city.stations() {
        let last: Value = serde_json::from_slice(&city.newest(station.id, now).unwrap()).unwrap();
        carbon += i32::from(!last["s_co2"].is_null());
        particles += i32::from(!last["s_pm10"].is_null());
        for day in 1..=8 {
            for hour in [9, 22] {
                hours += 1;
                let Some(body) = city.hour(station.id, date(2026, 9, day), hour, now) else {
                    lost += 1;
                    continue;
                };
                let samples = samples(&body);
                short += i32::from(samples.len() < 320);
                let fix = samples[0]["s_latitude"].as_u64().unwrap_or(0);
                no_fix += i32::from(fix == 0);
            }
        }
    }
    assert!((35..60).contains(&carbon), "{carbon}");
    assert!((20..55).contains(&particles), "{particles}");
    let share = |n: i32| f64::from(n) / f64::from(hours);
    assert!((0.005..0.05).contains(&share(lost)), "{lost} of {hours}");
    assert!((0.005..0.05).contains(&share(short)), "{short} of {hours}");
    assert!((0.02..0.10).contains(&share(no_fix)), "{no_fix} of {hours}");
}

/// Pearson's correlation.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (mx, my) = (
        pairs.iter().map(|p| p.0).sum::<f64>() / n,
        pairs.iter().map(|p| p.1).sum::<f64>() / n,
    );
    let sum = |f: fn(f64, f64) -> f64| pairs.iter().map(|p| f(p.0 - mx, p.1 - my)).sum::<f64>();
    sum(|x, y| x * y) / (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt()
}

/// Temperature, humidity and the other gas blur the relation, as in reality, but do not hide it.
#[test]
fn gas_sensors_follow_their_gases() {
    let city = city_of(4, 60, false);
    for station in city.stations().iter().filter(|s| s.quirk == Quirk::None) {
        let (mut co, mut no2, mut o3) = (Vec::new(), Vec::new(), Vec::new());
        for day in 1..=28 {
            for hour in [2, 8, 14, 18] {
                let body = city
                    .hour(station.id, date(2026, 1, day), hour, at(LATER))
                    .unwrap();
                let sample = samples(&body)
                    .into_iter()
                    .find(|s| !s["s_o3resistance"].is_null())
                    .unwrap();
                let truth = city.truth(station, time(&sample));
                let ohm = |key: &str| sample[key].as_f64().unwrap().ln();
                co.push((truth.co, ohm("s_coresistance")));
                no2.push((truth.no2 + 0.25 * truth.o3, ohm("s_no2resistance")));
                o3.push((truth.o3 + 0.15 * truth.no2, ohm("s_o3resistance")));
            }
        }
        let found = [correlation(&co), correlation(&no2), correlation(&o3)];
        assert!(found[0] < -0.35, "{} {found:?}", station.place);
        assert!(found[1] > 0.5, "{} {found:?}", station.place);
        assert!(found[2] > 0.6, "{} {found:?}", station.place);
    }
}

#[test]
fn the_end_of_the_span_and_the_clock_cut_hours() {
    let config = CityConfig::starting(at("2026-05-01T08:30:00Z"));
    let until = Some(at("2026-05-01T10:15:00Z"));
    let city = City::new(CityConfig {
        stations: 2,
        until,
        flaws: false,
        ..config
    })
    .unwrap();
    let day = date(2026, 5, 1);
    let hour = |h, now| city.hour(1001, day, h, at(now)).map(|body| samples(&body));
    assert!(hour(8, LATER).is_none());
    let first = hour(9, LATER).unwrap();
    assert!(time(&first[0]) >= at("2026-05-01T08:30:00Z"));
    assert!(hour(10, LATER).unwrap().len() >= 327);
    let last = hour(11, LATER).unwrap();
    assert!((80..=83).contains(&last.len()));
    assert!(time(last.last().unwrap()) < at("2026-05-01T10:15:00Z"));
    assert!(hour(12, LATER).is_none());
    assert!(hour(9, "2026-05-01T08:00:00Z").is_none());

    // The hour grows: what was there stays as it was.
    let early = hour(10, "2026-05-01T09:10:00Z").unwrap();
    let late = hour(10, "2026-05-01T09:20:00Z").unwrap();
    assert!(early.len() < late.len());
    assert_eq!(early[..], late[..early.len()]);
    assert!(time(early.last().unwrap()) <= at("2026-05-01T09:10:00Z"));
}

#[test]
fn hours_outside_1_to_24_and_unknown_stations_are_none() {
    let city = city(2);
    for (id, hour) in [
        (1001, 0),
        (1001, 25),
        (1001, -1),
        (1000, 5),
        (1003, 5),
        (0, 5),
    ] {
        assert_eq!(city.hour(id, date(2026, 5, 1), hour, at(LATER)), None);
    }
}

fn days() -> impl Strategy<Value = Date> {
    (0_i64..1000).prop_map(|n| {
        date(2026, 1, 1)
            .checked_add(jiff::Span::new().days(n))
            .unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn without_flaws_every_hour_is_whole_and_sound(
        seed in 0_u64..1000,
        id in 1001_u32..1013,
        day in days(),
        hour in 1_i8..=24,
        cadence in 1_u32..=900,
    ) {
        let city = city_of(seed, cadence.max(5), false);
        let station = &city.stations()[usize::try_from(id - 1001).unwrap()];
        let Some(body) = city.hour(id, day, hour, at(LATER)) else {
            return Err(TestCaseError::fail("an hour is missing"));
        };
        prop_assert!(city.hour(id, day, hour, at(LATER)).as_ref() == Some(&body));
        let whole: Value = serde_json::from_slice(&body).unwrap();
        prop_assert_eq!(&whole["id"], &Value::from(id.to_string()));
        prop_assert_eq!(&whole["date"], &Value::from(day.to_string()));
        prop_assert_eq!(&whole["hour"], &Value::from(hour));

        let start = at(&format!("{day}T{:02}:00:00Z", hour - 1));
        let mut before = None;
        for sample in samples(&body) {
            let moment = time(&sample);
            let into = moment.as_millisecond() - start.as_millisecond();
            prop_assert!((0..3_600_000).contains(&into), "{}", moment);
            prop_assert!(before.is_none_or(|b| b < moment));
            before = Some(moment);

            for (key, low, high) in BOUNDS {
                if let Some(value) = sample[key].as_i64() {
                    prop_assert!((low..=high).contains(&value), "{} {}", key, value);
                }
            }
            prop_assert!(bands(&sample).iter().all(|band| *band <= 195));
            let part = |key: &str| sample[key].as_i64().unwrap_or(0);
            prop_assert!(part("s_pm1") <= part("s_pm10"));

            let degrees = |key: &str| {
                decode_degrees(u32::try_from(sample[key].as_u64().unwrap()).unwrap()).unwrap()
            };
            let north = (degrees("s_latitude") - station.latitude) * 111_270.0;
            let east = (degrees("s_longitude") - station.longitude) * 68_850.0;
            prop_assert!(north.hypot(east) < 15.0, "{} m away", north.hypot(east));

            let truth = city.truth(station, moment);
            let ambient = sample["s_temperatureambient"].as_f64().unwrap() / 1000.0 - 273.15;
            prop_assert!((-2.5..6.0).contains(&(ambient - truth.temperature)));
            let pressure = sample["s_barometer"].as_f64().unwrap();
            prop_assert!((pressure - truth.pressure).abs() < 300.0);
        }
    }
}
