//! How fast queries and bodies are read: `cargo bench -p smartem-sta`.

use std::fmt::Write as _;

use divan::{Bencher, black_box, counter::ItemsCount};
use smartem_sta::{EntityType, Query, ResourcePath, Version, body};

fn main() {
    divan::main();
}

#[divan::bench]
fn path() {
    let path = black_box("Things(1)/Datastreams(2)/Observations");
    divan::black_box_drop(ResourcePath::parse(path, Version::V1_1));
}

#[divan::bench(args = [
    "$top=100&$filter=phenomenonTime+ge+2020-01-01T00:00:00Z+and+result+gt+5",
    "$top=1000&$expand=Datastreams($filter=name%20eq%20'no2';$expand=Observations($top=1;$orderby=phenomenonTime%20desc))",
])]
fn query(raw: &str) {
    let of = if raw.contains("Datastreams") {
        EntityType::Thing
    } else {
        EntityType::Observation
    };
    divan::black_box_drop(Query::parse(black_box(raw), of, Version::V1_1, false));
}

const OBSERVATION: &[u8] = br#"{"phenomenonTime":"2020-01-01T00:00:00.000Z","resultTime":"2020-01-01T00:00:00.000Z","result":12.5,"Datastream":{"@iot.id":1234}}"#;

#[divan::bench]
fn observation_short_way() {
    divan::black_box_drop(body::observation(black_box(OBSERVATION), None));
}

#[divan::bench]
fn observation_as_any_entity() {
    let value = body::json(black_box(OBSERVATION));
    divan::black_box_drop(value.and_then(|value| {
        body::draft(
            EntityType::Observation,
            Version::V1_1,
            &value,
            body::NO_BATCH,
        )
    }));
}

#[divan::bench(args = [1_000, 100_000])]
fn data_array(bencher: Bencher<'_, '_>, rows: usize) {
    let body = rows_of(rows);
    bencher
        .counter(ItemsCount::new(rows))
        .bench(|| body::data_array(black_box(body.as_bytes())));
}

fn rows_of(rows: usize) -> String {
    let mut body = String::from(
        r#"[{"Datastream":{"@iot.id":1},"components":["phenomenonTime","resultTime","result"],"dataArray":["#,
    );
    for row in 0..rows {
        let separator = if row == 0 { "" } else { "," };
        let (hour, minute) = (row / 60 % 24, row % 60);
        let written = write!(
            body,
            r#"{separator}["2020-01-01T{hour:02}:{minute:02}:00Z","2020-01-01T{hour:02}:{minute:02}:01Z",{row}.25]"#
        );
        debug_assert!(written.is_ok());
    }
    body.push_str("]}]");
    body
}
