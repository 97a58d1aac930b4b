use proptest::prelude::*;

use super::*;
use crate::{FieldValue, SeriesKey};

/// Points in words, and errors by line.
type Outcome = (Vec<String>, Vec<(u32, String)>);

fn outcome(batch: &PointBatch, errors: &LineErrors) -> Outcome {
    let word = |value: FieldValue<'_>| match value {
        FieldValue::Float(value) => format!("{value:?}"),
        FieldValue::Integer(value) => format!("{value}i"),
        FieldValue::Unsigned(value) => format!("{value}u"),
        FieldValue::Boolean(value) => value.to_string(),
        FieldValue::String(text) => format!("{text:?}"),
    };
    let points = batch.points().map(|point| {
        let key = &batch.series()[point.series.index()];
        let tags = key.tags.iter().map(|(k, v)| format!(",{k}={v}"));
        let tags: String = tags.collect();
        let fields: Vec<String> = point
            .fields()
            .map(|(field, value)| format!("{}={}", batch.fields()[field.index()], word(value)))
            .collect();
        let (line, time) = (point.line, point.time);
        format!(
            "{line}: {}{tags} {} {time}",
            key.measurement,
            fields.join(",")
        )
    });
    let errors = errors.iter().map(|it| (it.line, it.reason.to_string()));
    (points.collect(), errors.collect())
}

fn read_bytes(text: &[u8], precision: Precision, dialect: Dialect) -> Outcome {
    let mut batch = PointBatch::new();
    let errors = read(text, precision, 77, dialect, &mut batch);
    outcome(&batch, &errors)
}

/// Without the short way for usual lines.
fn read_slowly(text: &[u8], precision: Precision, dialect: Dialect) -> Outcome {
    let mut batch = PointBatch::new();
    let mut errors = LineErrors::default();
    let clock = Clock::new(precision, 77);
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let read = match dialect {
            Dialect::V1 => v1::line(text, at, line, &clock, &mut batch),
            Dialect::V2 => v2::line(text, at, line, &clock, &mut batch),
        };
        if let Err((place, reason)) = read.result {
            batch.cancel_point();
            errors.add(text, line, place, reason);
        }
        assert!(read.next > at, "each line has an end");
        line += breaks(&text[at..read.next]);
        at = read.next;
    }
    outcome(&batch, &errors)
}

/// The only point or error of a text.
fn one(text: &str, dialect: Dialect) -> String {
    let (points, errors) = read_bytes(text.as_bytes(), Precision::Nanoseconds, dialect);
    match (points.as_slice(), errors.as_slice()) {
        ([point], []) => point.trim_start_matches("1: ").to_owned(),
        ([], [(1, error)]) => format!("! {error}"),
        ([], []) => String::new(),
        _ => panic!("{text:?}: {points:?} {errors:?}"),
    }
}

#[test]
fn lines_are_read_as_influxdb_reads_them() {
    // What InfluxDB 1.6 and 2 make of a line; one text where they agree.
    #[rustfmt::skip]
    let cases = [
        ("m v=1", "m v=1.0 77", ""),
        ("m,b=2,a=1 v=1 5", "m,a=1,b=2 v=1.0 5", ""),
        ("m v=1,w=-2.5,x=3i,y=t,z=\"a b\" -5", "m v=1.0,w=-2.5,x=3i,y=true,z=\"a b\" -5", ""),
        ("  m v=1  5  ", "m v=1.0 5", ""),
        ("\tm v=1", "m v=1.0 77", "! invalid character '\\t'"),
        ("m v=1\t5", "! invalid number", "! invalid float"),
        ("", "", ""), ("  \n", "", ""), ("# a comment", "", ""), (" # a comment", "", ""),
        ("#\tcomment", "", "! invalid character '\\t'"),
        ("m v=1\r\n", "! invalid number", "m v=1.0 77"),
        ("m v=1 5\r\n", "! bad timestamp", "m v=1.0 5"),
        ("\r\n", "! missing fields", ""),
        ("m v=\"a\"\r\n", "m v=\"a\\\"\" 77", "m v=\"a\" 77"),
        // Names
        ("a\\ b,c\\,d=e\\=f g\\ h=1", "a b,c,d=e=f g h=1.0 77", ""),
        ("a\\\"b v\\\"=1", "a\"b v\"=1.0 77", "a\\\"b v\\\"=1.0 77"),
        ("a\\=b v=1", "a=b v=1.0 77", "a\\=b v=1.0 77"),
        ("a=b v=1", "a=b v=1.0 77", ""),
        ("a\\b,c\\d=e\\f g\\h=1", "a\\b,c\\d=e\\f g\\h=1.0 77", ""),
        ("a\\\\,b=c v=1", "a\\,b=c v=1.0 77", ""),
        ("\"m\",\"t\"=\"x\" \"v\"=1", "\"m\",\"t\"=\"x\" \"v\"=1.0 77", ""),
        ("m\u{1}n v=1", "m\u{1}n v=1.0 77", "! invalid character '\\u{1}'"),
        ("température,lieu=Nîmes été=1", "température,lieu=Nîmes été=1.0 77", ""),
        // Keys that are not there
        (",a=1 v=1", "! missing measurement", ""), ("m", "! missing fields", ""),
        ("m,a=1", "! missing fields", ""), ("m ", "! invalid field format", "! missing field key"),
        ("m, v=1", "! missing tag key", ""), ("m,=1 v=1", "! missing tag key", ""),
        ("m,a v=1", "! missing tag value", ""), ("m,a= v=1", "! missing tag value", ""),
        ("m,a=1, v=1", "! missing tag key", ""), ("m,a=b=c v=1", "! invalid tag format", ""),
        ("m,a=1,a=2 v=1", "! duplicate tags", ""), ("m,a=1,b=2,a=3 v=1", "! duplicate tags", ""),
        ("m =1", "! missing field key", ""), ("m v=1,=2", "! missing field key", ""),
        ("m v=", "! missing field value", ""), ("m v=,w=1", "! missing field value", ""),
        ("m v", "! invalid field format", ""), ("m v=1,w", "! invalid field format", ""),
        ("m v=1,", "! invalid field format", "! missing field key"),
        ("m v=1,v=2", "m v=1.0,v=2.0 77", ""),
        // Numbers
        ("m v=1.", "m v=1.0 77", ""), ("m v=.5", "m v=0.5 77", ""), ("m v=-.5", "m v=-0.5 77", ""),
        ("m v=-0", "m v=-0.0 77", ""), ("m v=007", "m v=7.0 77", ""),
        ("m v=1e3", "m v=1000.0 77", ""), ("m v=1E-3", "m v=0.001 77", ""),
        ("m v=1e+3", "m v=1000.0 77", ""),
        ("m v=9007199254740993", "m v=9007199254740992.0 77", ""),
        ("m v=0.1", "m v=0.1 77", ""), ("m v=123456789012345678901234567890", "m v=1.2345678901234568e29 77", ""),
        ("m v=5e-324", "m v=5e-324 77", ""), ("m v=1e-400", "m v=0.0 77", ""),
        ("m v=1e400", "! invalid float", ""), ("m v=1e", "! invalid float", ""),
        ("m v=1.1.1", "! invalid number", "! invalid float"),
        ("m v=+1", "! invalid boolean", "! missing field value"),
        ("m v=-", "! invalid number", "! invalid float"), ("m v=.", "! invalid number", "! invalid float"),
        ("m v=nan", "! invalid number", "! missing field value"),
        ("m v=NaN", "! invalid number", "! missing field value"),
        ("m v=inf", "! invalid boolean", "! missing field value"),
        ("m v=-inf", "! invalid number", "! invalid float"),
        ("m v=0x1p4", "! invalid number", "! invalid float"),
        ("m v=1_000", "! invalid number", "! invalid float"),
        ("m v=9223372036854775807i", "m v=9223372036854775807i 77", ""),
        ("m v=-9223372036854775808i", "m v=-9223372036854775808i 77", ""),
        ("m v=9223372036854775808i",
            "! unable to parse integer 9223372036854775808: strconv.ParseInt: parsing \
            \"9223372036854775808\": value out of range", ""),
        ("m v=1.5i", "! invalid number", ""), ("m v=1e3i", "! invalid number", ""),
        ("m v=i", "! invalid boolean", "! missing field value"), ("m v=-i", "! invalid number", ""),
        ("m v=1i2", "! invalid number", "! invalid float"),
        ("m v=5u", "! invalid number", "m v=5u 77"), ("m v=-5u", "! invalid number", ""),
        ("m v=18446744073709551615u", "! invalid number", "m v=18446744073709551615u 77"),
        // True and false
        ("m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE",
            "m a=true,b=true,c=true,d=true,e=true,f=false,g=false,h=false,i=false,j=false 77", ""),
        ("m v=tRue", "! invalid boolean", ""), ("m v=truer", "! invalid boolean", ""),
        // Strings
        ("m v=\"\"", "m v=\"\" 77", ""), ("m v=\"a\\\"b\\\\c\"", "m v=\"a\\\"b\\\\c\" 77", ""),
        ("m v=\"a,b=c d\"", "m v=\"a,b=c d\" 77", ""), ("m v=\"a\nb\" 5", "m v=\"a\\nb\" 5", ""),
        ("m v=\"a\\nb\"", "m v=\"a\\\\nb\" 77", "m v=\"a\\nb\" 77"),
        ("m v=\"a", "! unbalanced quotes", ""), ("m v=\"a\"b", "m v=\"a\\\"\" 77", "! invalid character 'b'"),
        ("m v=\"\0\"", "m v=\"\\0\" 77", ""),
        // Times
        ("m v=1 -9223372036854775806", "m v=1.0 -9223372036854775806", ""),
        ("m v=1 9223372036854775807",
            "! time 9223372036 is outside the range [-9223372036854775806, 9223372036854775806]",
            "m v=1.0 9223372036854775807"),
        ("m v=1 9223372036854775808",
            "! strconv.ParseInt: parsing \"9223372036854775808\": value out of range", ""),
        ("m v=1 -", "! strconv.ParseInt: parsing \"-\": invalid syntax", ""),
        ("m v=1 5 6", "! point is invalid", ""), ("m v=1 1.5", "! bad timestamp", ""),
        ("m v=1 x", "! bad timestamp", ""), ("m v=1 5\t", "! bad timestamp", ""),
    ];
    for (line, v1, v2) in cases {
        assert_eq!(one(line, Dialect::V1), v1, "1.x {line:?}");
        let v2 = if v2.is_empty() && !v1.is_empty() && !line.starts_with('\r') {
            v1
        } else {
            v2
        };
        assert_eq!(one(line, Dialect::V2), v2, "2.x {line:?}");
    }
}

#[test]
fn times_are_in_the_unit_asked_for() {
    use Precision::{Hours, Microseconds, Milliseconds, Minutes, Nanoseconds, Seconds};
    for dialect in [Dialect::V1, Dialect::V2] {
        for (precision, time) in [
            (Nanoseconds, "3"),
            (Microseconds, "3000"),
            (Milliseconds, "3000000"),
            (Seconds, "3000000000"),
            (Minutes, "180000000000"),
            (Hours, "10800000000000"),
        ] {
            for line in ["m v=1 3", " m v=1 3"] {
                let (points, _) = read_bytes(line.as_bytes(), precision, dialect);
                assert_eq!(points, [format!("1: m v=1.0 {time}")]);
            }
        }
        let far = b"m v=1 9223372037\nm v=1 9223372036";
        let (points, errors) = read_bytes(far, Seconds, dialect);
        assert_eq!(points, ["2: m v=1.0 9223372036000000000"]);
        assert_eq!(errors[0].0, 1);
        let range = "time 9223372037 is outside the range [-9223372036, 9223372036]";
        assert_eq!(errors[0].1, range);
    }
}

#[test]
fn a_line_without_time_gets_the_default_cut_to_the_unit() {
    for (default, cut) in [
        (5_999_999_999, 5_000_000_000),
        (-1, -1_000_000_000),
        (i64::MIN, i64::MIN),
    ] {
        let mut batch = PointBatch::new();
        let errors = read(
            b"m v=1",
            Precision::Seconds,
            default,
            Dialect::V1,
            &mut batch,
        );
        assert!(errors.is_empty());
        assert_eq!(batch.points().next().map(|point| point.time), Some(cut));
    }
}

#[test]
fn faulty_lines_are_reported_by_their_number_and_the_rest_is_read() {
    let text = b"m v=1\nm v=\"two\nlines\" 2\nbad\n\n# comment\nm v=3,w=x 3\nm v=\xFF4\nm v=5 5";
    for dialect in [Dialect::V1, Dialect::V2] {
        let mut batch = PointBatch::new();
        let errors = read(text, Precision::Nanoseconds, 0, dialect, &mut batch);
        let lines: Vec<u32> = errors.iter().map(|error| error.line).collect();
        assert_eq!(lines, [4, 7, 8]);
        let lines: Vec<u32> = batch.points().map(|point| point.line).collect();
        assert_eq!(lines, [1, 2, 9]);
        assert_eq!(batch.values(), 3);
        assert_eq!(&*errors[1].text, "m v=3,w=x 3");
        assert_eq!(&text[errors[1].place.clone()], b"m v=3,w=x 3");
        assert!(errors[0].to_string().starts_with("line 4: "));
    }
}

#[test]
fn many_errors_are_counted_and_long_lines_shortened() {
    let mut text = "x\n".repeat(5_000);
    text.insert_str(0, &format!("{}\n", "é".repeat(10_000)));
    for dialect in [Dialect::V1, Dialect::V2] {
        let mut batch = PointBatch::new();
        let errors = read(
            text.as_bytes(),
            Precision::Nanoseconds,
            0,
            dialect,
            &mut batch,
        );
        assert_eq!((errors.total(), errors.len()), (5_001, 1_000));
        assert_eq!(&*errors[0].text, format!("{}…", "é".repeat(200)));
        assert_eq!(errors[0].place, 0..20_000);
    }
}

#[test]
fn names_that_are_not_utf8_are_refused() {
    for line in [
        &b"m\xFF v=1"[..],
        b"m,a\xFF=1 v=1",
        b"m,a=\xFF v=1",
        b"m v\xFF=1",
        b"m v=\"\xFF\"",
        b"m v=\"\\\"\xFF\"",
    ] {
        for dialect in [Dialect::V1, Dialect::V2] {
            let (points, errors) = read_bytes(line, Precision::Nanoseconds, dialect);
            assert_eq!(points, [""; 0]);
            assert_eq!(errors, [(1, "invalid UTF-8".to_owned())]);
        }
    }
}

#[test]
fn keys_may_be_as_long_as_influxdb_takes_them() {
    let of = |measurement: usize, field: usize| {
        let (measurement, field) = ("m".repeat(measurement), "f".repeat(field));
        let (points, errors) = read_bytes(
            format!("{measurement} {field}=1").as_bytes(),
            Precision::Nanoseconds,
            Dialect::V1,
        );
        (
            points.len(),
            errors.into_iter().next().map(|(_, error)| error),
        )
    };
    let too_long = |length: usize| {
        (
            0,
            Some(format!("max key length exceeded: {length} > 65535")),
        )
    };
    assert_eq!(of(65_530, 1), (1, None));
    assert_eq!(of(1, 65_530), (1, None));
    assert_eq!(of(65_530, 2), too_long(65_536));
    assert_eq!(of(65_536, 1), too_long(65_536));
    assert_eq!(of(20_000, 45_532), too_long(65_536));
    assert_eq!(of(29_000, 29_000), (1, None));
}

#[test]
fn what_influxdb_does_not_keep_is_taken_out() {
    let text =
        b"m v=1,time=5 10\nm time=5 11\nm,time=x v=1 12\nm v=2 13\nn v=3 9223372036854775807";
    let mut batch = PointBatch::new();
    let errors = read(text, Precision::Nanoseconds, 0, Dialect::V2, &mut batch);
    assert!(errors.is_empty());
    let taken = take_reserved(&mut batch);
    let measurement = || Box::from("m");
    assert_eq!(
        taken,
        [
            Reserved::Field {
                line: 2,
                measurement: measurement()
            },
            Reserved::Tag {
                line: 3,
                measurement: measurement()
            },
            Reserved::Time {
                line: 5,
                time: i64::MAX
            },
        ]
    );
    let (points, _) = outcome(&batch, &errors);
    assert_eq!(points, ["1: m v=1.0 10", "4: m v=2.0 13"]);
    assert_eq!(take_reserved(&mut batch), []);
}

/// Pieces of lines, good and bad.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(&[
            "m", "v", ",", "=", " ", "\n", "\\", "\"", "1", "-", ".", "i", "u", "e5", "t", "\r", "\t",
            "\0", "#", "time", "true", "é", "9223372036854775807", "0000000000000000000001",
        ][..]).prop_map(|it| it.as_bytes().to_vec()),
        4 => prop::sample::select(&[
            "m v=1\n", "m,a=b v=1 1\n", ",a=b", " v=1.5", ",w=2i", ",s=\"x\"", " 1700000000", "\\ ",
            "\\,", "\\=", "\\\"", "\\\\", "\r\n", "\"\n\"",
        ][..]).prop_map(|it| it.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|it| vec![it]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_short_way_reads_as_the_long_one(text in pieces(), seconds in any::<bool>()) {
        let precision = if seconds { Precision::Seconds } else { Precision::Nanoseconds };
        for dialect in [Dialect::V1, Dialect::V2] {
            let fast = read_bytes(&text, precision, dialect);
            prop_assert_eq!(fast, read_slowly(&text, precision, dialect), "{:?}", dialect);
        }
    }

    #[test]
    fn floats_are_read_to_the_last_bit(value in any::<f64>(), places in 0_usize..25) {
        prop_assume!(value.is_finite());
        for written in [format!("{value}"), format!("{value:e}"), format!("{value:.places$}")] {
            let expected: f64 = written.parse().unwrap();
            let (points, _) = read_bytes(
                format!("m v={written}").as_bytes(), Precision::Nanoseconds, Dialect::V1);
            prop_assert_eq!(points, [format!("1: m v={expected:?} 77")]);
        }
    }

    #[test]
    fn short_decimals_are_read_to_the_last_bit(digits in any::<u64>(), places in 0_usize..20) {
        let mut written = format!("{:0width$}", digits >> (digits % 64), width = places + 1);
        written.insert(written.len() - places, '.');
        let written = written.trim_end_matches('.');
        let expected: f64 = written.parse().unwrap();
        let (points, _) = read_bytes(
            format!("m v={written}").as_bytes(), Precision::Nanoseconds, Dialect::V1);
        prop_assert_eq!(points, [format!("1: m v={expected:?} 77")]);
    }
}

#[test]
fn a_series_is_one_however_it_is_written() {
    let mut batch = PointBatch::new();
    let text = b"m,a=1,b=2 v=1 1\nm,b=2,a=1 v=1 2\nm,a=1,b=2 v=1 3\n m,a=1,b=2 v=1 4";
    read(text, Precision::Nanoseconds, 0, Dialect::V1, &mut batch);
    assert_eq!(
        batch.series(),
        [SeriesKey::new("m", [("a", "1"), ("b", "2")])]
    );
    assert_eq!(batch.len(), 4);
}
