//! How fast a station-hour is made: `cargo bench -p smartem-simulate`.

#![expect(
    clippy::expect_used,
    reason = "a bench that cannot start has nothing better to do"
)]

use divan::counter::{BytesCount, ItemsCount};
use smartem_simulate::city::{City, CityConfig};

fn main() {
    divan::main();
}

fn city() -> City {
    let since = "2026-01-01T00:00:00Z".parse().expect("a valid time");
    City::new(CityConfig {
        flaws: false,
        ..CityConfig::starting(since)
    })
    .expect("a valid city")
}

#[divan::bench]
fn station_hour(bencher: divan::Bencher) {
    let city = city();
    let now = "2027-01-01T00:00:00Z".parse().expect("a valid time");
    let day = jiff::civil::date(2026, 11, 15);
    let bytes = city.hour(1001, day, 8, now).map_or(0, |body| body.len());
    bencher
        .counter(BytesCount::new(bytes))
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| city.hour(divan::black_box(1001), day, 8, now));
}

#[divan::bench]
fn last(bencher: divan::Bencher) {
    let city = city();
    let now = "2026-11-15T07:31:20Z".parse().expect("a valid time");
    bencher.bench_local(|| city.newest(divan::black_box(1001), now));
}

#[divan::bench]
fn truth(bencher: divan::Bencher) {
    let city = city();
    let at = "2026-11-15T07:31:20Z".parse().expect("a valid time");
    bencher.bench_local(|| city.truth(&city.stations()[0], divan::black_box(at)));
}
