//! Properties of the reading of line protocol, from outside.

use proptest::prelude::*;
use smartem_points::line_protocol::{Dialect, read};
use smartem_points::{FieldValue, PointBatch, Precision, SeriesKey};

fn name() -> impl Strategy<Value = String> {
    // A backslash at the end of a name, or before what it would escape, cannot be written.
    "[a-zA-Z0-9é,= \"#._/-]{1,12}".prop_filter("nothing that is cut off or a comment", |it| {
        !it.starts_with([' ', '#'])
    })
}

fn value() -> impl Strategy<Value = FieldValue<'static>> {
    prop_oneof![
        any::<f64>()
            .prop_filter("finite", |it| it.is_finite())
            .prop_map(FieldValue::Float),
        any::<i64>().prop_map(FieldValue::Integer),
        any::<u64>().prop_map(FieldValue::Unsigned),
        any::<bool>().prop_map(FieldValue::Boolean),
        any::<String>().prop_map(|it| FieldValue::String(it.into())),
    ]
}

fn escaped(name: &str) -> String {
    name.replace(',', "\\,")
        .replace('=', "\\=")
        .replace(' ', "\\ ")
}

fn written(value: &FieldValue<'_>) -> String {
    match value {
        FieldValue::Float(value) => format!("{value:?}"),
        FieldValue::Integer(value) => format!("{value}i"),
        FieldValue::Unsigned(value) => format!("{value}u"),
        FieldValue::Boolean(value) => value.to_string(),
        FieldValue::String(text) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }
}

proptest! {
    #[test]
    fn points_that_are_written_are_read_again(
        measurement in name(),
        tags in prop::collection::btree_map(name(), name(), 0..4),
        fields in prop::collection::vec((name(), value()), 1..6),
        time in i64::MIN + 2..i64::MAX,
    ) {
        let mut line = measurement.replace(',', "\\,").replace(' ', "\\ ");
        for (key, value) in &tags {
            line.extend([",", &escaped(key), "=", &escaped(value)]);
        }
        let words: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", escaped(name), written(value)))
            .collect();
        line.extend([" ", &words.join(","), &format!(" {time}\n")]);
        let mut batch = PointBatch::new();
        let errors = read(line.as_bytes(), Precision::Nanoseconds, 0, Dialect::V2, &mut batch);
        prop_assert!(errors.is_empty(), "{line:?}: {errors:?}");
        let point = batch.points().next().expect("one point");
        let tags = tags.iter().map(|(key, value)| (&**key, &**value));
        prop_assert_eq!(&batch.series()[0], &SeriesKey::new(&measurement, tags));
        prop_assert_eq!(point.time, time);
        let read: Vec<_> = point
            .fields()
            .map(|(field, value)| (batch.fields()[field.index()].to_string(), value.into_owned()))
            .collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        for dialect in [Dialect::V1, Dialect::V2] {
            for precision in [Precision::Nanoseconds, Precision::Hours] {
                let mut batch = PointBatch::new();
                let errors = read(&text, precision, i64::MIN, dialect, &mut batch);
                let lines = text.split(|byte| *byte == b'\n').count();
                prop_assert!(errors.total() + batch.len() as u64 <= lines as u64);
            }
        }
    }
}
