//! Station-hours per second, from JSON text to observations; decoding and refining apart.
//!
//! The hour is the recorded one of station 23 where `../shared/samples/whale` is at hand, else one
//! of the same shape (198 samples of 93 keys). The baseline is plain library decoding of the text.

#![expect(clippy::unwrap_used, reason = "a bench stops at the first fault")]

use std::fmt::Write as _;
use std::path::Path;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use serde_json::Value;
use smartem_model::Vocabulary;
use smartem_model::raw::RawRecord;
use smartem_refine::{Definition, ModelSet, StationFacts, refine};

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

#[divan::bench]
fn text_to_observations(bencher: Bencher<'_, '_>) {
    let (text, josene) = (hour_text(), josene());
    let (models, facts) = (ModelSet::default(), StationFacts::default());
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        let record = decode(black_box(&text));
        refine(&record, &josene, &models, &Value::Null, &facts, None)
    });
}

#[divan::bench]
fn decode_only(bencher: Bencher<'_, '_>) {
    let text = hour_text();
    bencher
        .counter(bytes(&text))
        .bench(|| decode(black_box(&text)));
}

#[divan::bench]
fn refine_only(bencher: Bencher<'_, '_>) {
    let (record, josene) = (decode(&hour_text()), josene());
    let (models, facts) = (ModelSet::default(), StationFacts::default());
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        refine(
            black_box(&record),
            &josene,
            &models,
            &Value::Null,
            &facts,
            None,
        )
    });
}

#[divan::bench]
fn baseline_library_decoding(bencher: Bencher<'_, '_>) {
    let text = hour_text();
    bencher
        .counter(bytes(&text))
        .bench(|| serde_json::from_str::<Value>(black_box(&text)).unwrap());
}
