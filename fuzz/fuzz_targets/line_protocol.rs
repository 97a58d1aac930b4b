//! No bytes make the readers of line protocol panic, and what they give can be read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use smartem_points::line_protocol::{Dialect, read, take_reserved};
use smartem_points::{FieldValue, PointBatch, Precision};

fuzz_target!(|text: &[u8]| {
    for dialect in [Dialect::V1, Dialect::V2] {
        for precision in [Precision::Nanoseconds, Precision::Hours] {
            let mut batch = PointBatch::new();
            let errors = read(text, precision, 1_700_000_000, dialect, &mut batch);
            for error in &errors {
                assert!(error.place.end <= text.len());
                let _ = error.to_string();
            }
            let lines = text.split(|byte| *byte == b'\n').count();
            assert!(errors.total() + batch.len() as u64 <= lines as u64);
            let taken = take_reserved(&mut batch).len();
            assert!(taken <= lines);
            for point in batch.points() {
                assert!(!batch.series()[point.series.index()].measurement.is_empty());
                assert!(point.fields().len() > 0);
                for (_, value) in point.fields() {
                    if let FieldValue::Float(value) = value {
                        assert!(value.is_finite());
                    }
                }
            }
        }
    }
});
