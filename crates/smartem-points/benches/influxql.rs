//! How fast queries are answered from memory; what a store costs is not in it.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first fault")]

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use smartem_points::influxql::{self, Answer, Format, Limits, Query};
use smartem_points::{
    Cells, Chunk, FieldType, FieldValue, Newest, Order, PointSource, SeriesId, SeriesInfo,
    SeriesKey, SourceError,
};

fn main() {
    divan::main();
}

const MINUTE: i64 = 60_000_000_000;

/// Stations that send a value a minute for a day, each in one chunk.
struct Stations(Vec<SeriesInfo>, Chunk);

impl Stations {
    fn new(count: u32) -> Self {
        let series = (0..count).map(|number| SeriesInfo {
            id: SeriesId(number),
            key: Arc::new(SeriesKey::new(
                "air",
                [("station", format!("s{number:05}").as_str())],
            )),
        });
        let times: Vec<i64> = (0..1440).map(|minute| minute * MINUTE).collect();
        let values = times
            .iter()
            .map(|it| Some((it / MINUTE % 97) as f64 * 0.25));
        let columns = vec![Cells::Floats(values.collect())];
        Self(series.collect(), Chunk { times, columns })
    }
}

impl PointSource for Stations {
    fn databases(&self) -> Vec<String> {
        vec!["db".to_owned()]
    }
    fn measurements(&self, _: &str) -> Vec<String> {
        vec!["air".to_owned()]
    }
    fn fields(&self, _: &str, _: &str) -> Vec<(String, FieldType)> {
        vec![("no2".to_owned(), FieldType::Float)]
    }
    fn series(&self, _: &str, _: &str) -> Vec<SeriesInfo> {
        self.0.clone()
    }
    fn scan(
        &self,
        _: SeriesId,
        _: &[&str],
        range: RangeInclusive<i64>,
        _: Order,
        take: &mut dyn FnMut(&Chunk) -> ControlFlow<()>,
    ) -> Result<(), SourceError> {
        if *range.start() <= 0 {
            let _ = take(&self.1);
        }
        Ok(())
    }
    fn newest(&self, _: SeriesId, _: &str) -> Result<Option<Newest>, SourceError> {
        Ok(Some((1439 * MINUTE, FieldValue::Float(20.25))))
    }
}

fn measure(bencher: divan::Bencher<'_, '_>, stations: u32, text: &str) {
    let source = Stations::new(stations);
    let (limits, cancel) = (Limits::default(), AtomicBool::new(false));
    bencher.bench_local(|| {
        let query = Query {
            source: &source,
            database: Some("db"),
            now: 1440 * MINUTE,
            limits: &limits,
            cancel: &cancel,
        };
        let mut answer = Answer::new(Format::Json, None, 0);
        for statement in influxql::parse(text).unwrap() {
            answer.statement(&statement, &query).unwrap();
        }
        answer.end();
        answer.take()
    });
}

#[divan::bench]
fn a_day_of_a_station_by_the_hour(bencher: divan::Bencher<'_, '_>) {
    let text = "SELECT mean(no2) FROM air WHERE station = 's00007' AND time >= 0 AND time < 1d GROUP BY time(1h)";
    measure(bencher, 10, text);
}

#[divan::bench]
fn a_day_of_a_station_by_the_hour_of_11_000(bencher: divan::Bencher<'_, '_>) {
    let text = "SELECT mean(no2) FROM air WHERE station = 's00007' AND time >= 0 AND time < 1d GROUP BY time(1h)";
    measure(bencher, 11_000, text);
}

#[divan::bench]
fn a_day_of_a_station_raw(bencher: divan::Bencher<'_, '_>) {
    measure(
        bencher,
        1,
        "SELECT no2 FROM air WHERE time >= 0 AND time < 1d",
    );
}

#[divan::bench]
fn median_of_a_day_by_the_hour(bencher: divan::Bencher<'_, '_>) {
    measure(
        bencher,
        1,
        "SELECT median(no2) FROM air WHERE time >= 0 AND time < 1d GROUP BY time(1h)",
    );
}

#[divan::bench]
fn the_latest_of_11_000_stations(bencher: divan::Bencher<'_, '_>) {
    measure(
        bencher,
        11_000,
        "SELECT last(no2) FROM air GROUP BY station",
    );
}

#[divan::bench]
fn mean_of_1000_station_days(bencher: divan::Bencher<'_, '_>) {
    measure(
        bencher,
        1_000,
        "SELECT mean(no2) FROM air WHERE time >= 0 AND time < 1d GROUP BY time(1h)",
    );
}
