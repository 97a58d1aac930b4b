//! How small and how fast the stored form of a raw record is.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

mod hours;

use divan::Bencher;
use divan::counter::ItemsCount;
use serde_json::Value;
use smartem_model::Vocabulary;
use smartem_model::raw::{Cell, Column, RawRecord};
use smartem_refine::{Definition, ModelSet, StationFacts, refine};
use smartem_store::{decode_record, decode_record_for, encode_record};

fn main() {
    for (name, record) in [
        ("hour", hour()),
        ("made-up hour", hours::made_up("2016-01-08", 23, 1)),
    ] {
        let (values, bytes) = (values(&record), encode_record(&record).unwrap().len());
        let each = bytes as f64 / values as f64;
        println!("{name}: {values} values in {bytes} bytes, {each:.3} bytes per value");
    }
    divan::main();
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let record = hour();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| encode_record(&record).unwrap());
}

#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let payload = encode_record(&hour()).unwrap();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| decode_record(&payload).unwrap());
}

/// Only the columns that refining a Josene reads.
#[divan::bench]
fn decode_for_refining(bencher: Bencher<'_, '_>) {
    let (payload, josene) = (encode_record(&hour()).unwrap(), josene());
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| decode_record_for(&payload, &|_, key| josene.reads(key)).unwrap());
}

/// From the stored bytes to observations.
#[divan::bench(threads = [1, 2])]
fn replay(bencher: Bencher<'_, '_>) {
    let (payload, josene) = (encode_record(&hour()).unwrap(), josene());
    let (models, facts) = (ModelSet::default(), StationFacts::default());
    bencher.counter(ItemsCount::new(1_usize)).bench(|| {
        let record = decode_record_for(&payload, &|_, key| josene.reads(key)).unwrap();
        refine(&record, &josene, &models, &Value::Null, &facts, None)
    });
}

/// For comparison: what decoding spares.
#[divan::bench]
fn read_json(bencher: Bencher<'_, '_>) {
    let text = hour().to_json();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| RawRecord::from_json(&text, &|_| true).unwrap());
}

fn josene() -> Definition {
    let vocabulary = include_str!("../../../vocabulary/indicators.toml");
    let units = include_str!("../../../vocabulary/units.toml");
    let vocabulary = Vocabulary::from_toml(vocabulary, units).unwrap();
    Definition::from_toml(include_str!("../../../devices/jose.toml"), &vocabulary).unwrap()
}

/// A real hour where the sample data lies beside the repository, else one made up.
fn hour() -> RawRecord {
    let real = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/samples/whale/timeseries-hour.json"
    );
    match std::fs::read_to_string(real) {
        Ok(text) => hours::read(&text),
        Err(_) => hours::made_up("2016-01-08", 23, 0),
    }
}

/// Cells that are in the record.
fn values(record: &RawRecord) -> usize {
    let columns = record.samples.columns().iter();
    let present = |column: &Column| {
        let cells = (0..column.len()).map(|row| column.cell(row));
        cells.filter(|cell| *cell != Cell::Absent).count()
    };
    columns.map(present).sum()
}
