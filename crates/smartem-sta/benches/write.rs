//! How long it takes to write a page of a thousand observations.

use divan::Bencher;
use divan::counter::BytesCount;
use jiff::{SignedDuration, Timestamp};
use smartem_model::Period;
use smartem_sta::write::{Frame, answer};
use smartem_sta::{
    Answer, Entity, EntityType, Observation, Page, Provenance, Query, Record, ResourcePath,
    ResultFormat, ResultValue, TimeValue, Version,
};

fn main() {
    divan::main();
}

fn observations(is_refined: bool) -> Answer {
    let provenance = || Provenance {
        min: 11.25,
        max: 13.5,
        raw: Some(285_490.123),
        raw_unit: Some("mK".into()),
        accepted: 59,
        rejected: 1,
        coverage: Some(0.983),
        flags: vec!["low_coverage"],
        definition: "jose/1".into(),
        model: None,
    };
    let entity = |n: i64| {
        let start = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(500_000 + n);
        let end = start + SignedDuration::from_hours(1);
        Entity {
            id: (17 << 32) | (500_000 + n),
            record: Record::Observation(Box::new(Observation {
                phenomenon_time: TimeValue::Interval(Period { start, end }),
                result_time: Some(end),
                result: ResultValue::Number(12.0 + n as f64 / 7.0),
                result_quality: None,
                valid_time: None,
                parameters: None,
                provenance: is_refined.then(|| Box::new(provenance())),
                datastream: 17,
                is_multi: false,
            })),
            expanded: Vec::new(),
        }
    };
    Answer::Many(Page {
        entities: (0..1000).map(entity).collect(),
        count: Some(1000),
        next: None,
    })
}

fn bench(bencher: Bencher<'_, '_>, is_refined: bool, result_format: ResultFormat) {
    let observations = observations(is_refined);
    let query = Query {
        result_format,
        ..Query::default()
    };
    let frame = Frame {
        version: Version::V1_1,
        root: "https://data.example.org/sta/v1.1",
        path: &ResourcePath::set(EntityType::Observation),
        path_text: "Observations",
        query: &query,
    };
    let write = || answer(&observations, &frame).map_or(0, |body| body.bytes.len());
    bencher.counter(BytesCount::new(write())).bench(write);
}

#[divan::bench]
fn thousand_observations(bencher: Bencher<'_, '_>) {
    bench(bencher, false, ResultFormat::Json);
}

#[divan::bench]
fn thousand_refined_observations(bencher: Bencher<'_, '_>) {
    bench(bencher, true, ResultFormat::Json);
}

#[divan::bench]
fn thousand_refined_observations_as_data_array(bencher: Bencher<'_, '_>) {
    bench(bencher, true, ResultFormat::DataArray);
}

#[divan::bench]
fn thousand_refined_observations_as_csv(bencher: Bencher<'_, '_>) {
    bench(bencher, true, ResultFormat::Csv);
}
