//! Station-hours per second, from JSON text and from samples at hand to observations.
//!
//! The hour is the recorded one of station 23 where `../shared/samples/whale` is at hand, else one
//! of the same shape (198 samples of 93 keys). For the networks every sample gets the eight inputs
//! that they need; the networks have the size of the published ones (8-133-1, one of each
//! activation). The baseline is plain library decoding of the same text.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first fault")]

use std::fmt::Write as _;
use std::path::Path;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::{Value, json};
use smartem_model::Vocabulary;
use smartem_model::raw::RawRecord;
use smartem_refine::{Definition, Model, ModelSet, Refined, StationFacts, refine};

fn main() {
    divan::main();
}

fn hour_text() -> String {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/samples/whale/timeseries-hour.json");
    std::fs::read_to_string(recorded).unwrap_or_else(|_| made_hour())
}

/// An hour of the shape of the recorded one.
fn made_hour() -> String {
    let mut out =
        String::from(r#"{ "id": "23", "date": "2016-01-08", "hour": 23, "timeseries": ["#);
    for sample in 0..198 {
        let comma = if sample == 0 { "" } else { "," };
        let (minute, second) = (sample * 18 / 60, sample * 18 % 60);
        let _ = write!(
            out,
            r#"{comma} {{ "_id": "569031661b1580258c{sample:06}", "time": "2016-01-08T22:{minute:02}:{second:02}.757Z",
             "s_longitude": 5914078, "s_latitude": 53949969, "s_temperatureambient": 29{sample:04}, "s_humidity": 45{sample:03},
             "s_barometer": 100{sample:03}, "s_co2": 410{sample:03}, "s_coresistance": 311{sample:03}, "s_no2resistance": 33{sample:03},
             "s_o3resistance": 6{sample:03}, "s_temperatureunit": 305{sample:03}, "s_lightsensortop": 26"#,
        );
        for octave in 0..10 {
            let key = if octave == 0 {
                "audio0".to_owned()
            } else {
                format!("audioplus{octave}")
            };
            for kind in ["v", "u", "t", "s"] {
                let _ = write!(out, r#", "{kind}_{key}": 17{sample:05}"#);
            }
        }
        for other in 0..40 {
            let _ = write!(out, r#", "p_parameter_{other}": {sample}"#);
        }
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// The hour with the inputs of the networks in every sample, in the layout of the original.
fn gas_hour_text() -> String {
    let mut hour: Value = serde_json::from_str(&hour_text()).unwrap();
    for (at, sample) in (0..).zip(hour["timeseries"].as_array_mut().unwrap()) {
        for (key, start) in [
            ("s_barometer", 100_000),
            ("s_coresistance", 310_000),
            ("s_humidity", 45_000),
            ("s_lightsensortop", 26),
            ("s_no2resistance", 33_000),
            ("s_o3resistance", 60_000),
            ("s_temperatureambient", 294_000),
            ("s_temperatureunit", 304_000),
        ] {
            sample[key] = (start + 7 * at).into();
        }
    }
    serde_json::to_string_pretty(&hour).unwrap()
}

fn models(josene: &Definition) -> ModelSet {
    let row = |count: u32, step: f64| -> Vec<f64> {
        (0..count)
            .map(|n| (f64::from(n + 1) * step).sin())
            .collect()
    };
    let mut models = ModelSet::default();
    for (gas, activation, out) in [
        ("co", "tanh", 90.0),
        ("no2", "logistic", 6.0),
        ("o3", "relu", 6.0),
    ] {
        let input: Vec<Vec<f64>> = (0..8).map(|n| row(133, 0.1 + f64::from(n) / 7.0)).collect();
        let output: Vec<Vec<f64>> = row(133, 0.3)
            .iter()
            .map(|w| vec![w * out / 133.0])
            .collect();
        let model = json!({
            "gas": gas,
            "input_order": ["s_barometer", "s_coresistance", "s_humidity", "s_lightsensortop",
                "s_no2resistance", "s_o3resistance", "s_temperatureambient", "s_temperatureunit"],
            "running_mean_weights": {"s_coresistance": 0.05, "s_no2resistance": 0.05, "s_o3resistance": 0.05},
            "scaler": {"mean": [100e3, 310e3, 45e3, 26, 33e3, 60e3, 294e3, 304e3],
                "scale": [700.0, 160e3, 12e3, 1e4, 15e4, 2e4, 5e3, 6e3]},
            "mlp": {"activation": activation, "coefs": [input, output], "intercepts": [row(133, 0.7), [out]]},
        });
        models.insert(Model::from_json(&model.to_string(), gas, josene).unwrap());
    }
    models
}

/// Weather and noise, as the original's bench had them.
fn weather_and_noise() -> Vec<String> {
    [
        "temperature",
        "humidity",
        "pressure",
        "noiseavg",
        "noiselevelavg",
    ]
    .map(str::to_owned)
    .into()
}

fn josene() -> Definition {
    let vocabulary = Vocabulary::from_toml(
        include_str!("../../../vocabulary/indicators.toml"),
        include_str!("../../../vocabulary/units.toml"),
    )
    .unwrap();
    Definition::from_toml(include_str!("../../../devices/jose.toml"), &vocabulary).unwrap()
}

fn decode(text: &str) -> RawRecord {
    RawRecord::from_json(text, &|_| true).unwrap()
}

fn bytes(text: &str) -> BytesCount {
    BytesCount::of_str(text)
}

/// One hour, from text to observations.
fn answer(text: &str, bench: &Bench) -> Refined {
    bench.refine(&decode(text))
}

/// What a bench refines with.
struct Bench {
    josene: Definition,
    models: ModelSet,
    indicators: Option<Vec<String>>,
}

impl Bench {
    fn of_weather_and_noise() -> Self {
        Self {
            josene: josene(),
            models: ModelSet::default(),
            indicators: Some(weather_and_noise()),
        }
    }

    fn of_everything_but_gases() -> Self {
        Self {
            indicators: None,
            ..Self::of_weather_and_noise()
        }
    }

    fn of_everything() -> Self {
        let josene = josene();
        Self {
            models: models(&josene),
            josene,
            indicators: None,
        }
    }

    fn refine(&self, record: &RawRecord) -> Refined {
        let facts = StationFacts::default();
        let indicators = self.indicators.as_deref();
        refine(
            black_box(record),
            &self.josene,
            &self.models,
            &Value::Null,
            &facts,
            indicators,
        )
    }
}

#[divan::bench(threads = [1, 2])]
fn text_weather_and_noise(bencher: Bencher<'_, '_>) {
    let (text, bench) = (hour_text(), Bench::of_weather_and_noise());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| answer(black_box(&text), &bench));
}

#[divan::bench]
fn text_everything_but_gases(bencher: Bencher<'_, '_>) {
    let (text, bench) = (hour_text(), Bench::of_everything_but_gases());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| answer(black_box(&text), &bench));
}

#[divan::bench(threads = [1, 2])]
fn text_with_three_networks(bencher: Bencher<'_, '_>) {
    let (text, bench) = (gas_hour_text(), Bench::of_everything());
    assert!(
        answer(&text, &bench)
            .observations
            .iter()
            .filter(|o| o.model.is_some())
            .count()
            == 3
    );
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| answer(black_box(&text), &bench));
}

#[divan::bench]
fn decode_only(bencher: Bencher<'_, '_>) {
    let text = hour_text();
    bencher
        .counter(bytes(&text))
        .bench(|| decode(black_box(&text)));
}

#[divan::bench]
fn refine_weather_and_noise(bencher: Bencher<'_, '_>) {
    let (record, bench) = (decode(&hour_text()), Bench::of_weather_and_noise());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| bench.refine(&record));
}

#[divan::bench]
fn refine_everything_but_gases(bencher: Bencher<'_, '_>) {
    let (record, bench) = (decode(&hour_text()), Bench::of_everything_but_gases());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| bench.refine(&record));
}

#[divan::bench]
fn refine_with_three_networks(bencher: Bencher<'_, '_>) {
    let (record, bench) = (decode(&gas_hour_text()), Bench::of_everything());
    bencher
        .counter(ItemsCount::new(1_u32))
        .bench(|| bench.refine(&record));
}

#[divan::bench]
fn baseline_library_decoding(bencher: Bencher<'_, '_>) {
    let text = hour_text();
    bencher
        .counter(bytes(&text))
        .bench(|| serde_json::from_str::<Value>(black_box(&text)).unwrap());
}
