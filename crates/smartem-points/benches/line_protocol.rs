//! How fast lines are read.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first fault")]

use std::fmt::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use smartem_points::line_protocol::{Dialect, read};
use smartem_points::{PointBatch, Precision};

fn main() {
    divan::main();
}

const LINES: usize = 5_000;

/// Lines of `stations` stations in turn, a minute apart.
fn body(stations: usize, fields: &str) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..LINES {
        let station = number % stations;
        write!(text, "air,station=st{station:05},type=jose ").unwrap();
        for (place, name) in fields.split(' ').enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let value = (number * 7919 + place * 104_729) % 1_000_000;
            let (whole, decimals) = (value / 10_000, value % 10_000);
            write!(text, "{comma}{name}={whole}.{decimals:04}").unwrap();
        }
        let second = 1_700_000_000 + number / stations * 60;
        writeln!(text, " {second}000000000").unwrap();
    }
    text.into_bytes()
}

const EIGHT: &str = "no2 o3 co pm10 pm25 temperature humidity noise";

fn measure(bencher: divan::Bencher<'_, '_>, body: &[u8], dialect: Dialect) {
    bencher
        .counter(BytesCount::new(body.len()))
        .counter(ItemsCount::new(LINES))
        .bench_local(|| {
            let mut batch = PointBatch::new();
            let errors = read(body, Precision::Nanoseconds, 0, dialect, &mut batch);
            assert_eq!((errors.len(), batch.len()), (0, LINES));
            batch
        });
}

#[divan::bench(args = [1, 500, 5_000])]
fn eight_floats(bencher: divan::Bencher<'_, '_>, stations: usize) {
    measure(bencher, &body(stations, EIGHT), Dialect::V1);
}

#[divan::bench]
fn one_float_of_5000_series(bencher: divan::Bencher<'_, '_>) {
    measure(bencher, &body(5_000, "value"), Dialect::V1);
}

#[divan::bench]
fn unusual_lines_v1(bencher: divan::Bencher<'_, '_>) {
    let text = String::from_utf8(body(500, EIGHT)).unwrap();
    measure(
        bencher,
        text.replace("type=", "type\\ of=").as_bytes(),
        Dialect::V1,
    );
}

#[divan::bench]
fn unusual_lines_v2(bencher: divan::Bencher<'_, '_>) {
    let text = String::from_utf8(body(500, EIGHT)).unwrap();
    measure(
        bencher,
        text.replace("type=", "type\\ of=").as_bytes(),
        Dialect::V2,
    );
}
