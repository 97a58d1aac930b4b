//! How small and how fast the stored form of a raw record is.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

mod hours;

use divan::Bencher;
use divan::counter::ItemsCount;
use smartem_model::raw::{Cell, Column, RawRecord};
use smartem_store::{decode_record, encode_record};

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

/// For comparison: what decoding spares.
#[divan::bench]
fn read_json(bencher: Bencher<'_, '_>) {
    let text = hour().to_json();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| RawRecord::from_json(&text, &|_| true).unwrap());
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
