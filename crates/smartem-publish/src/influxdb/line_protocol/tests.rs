use serde_json::json;
use smartem_model::Position;

use super::*;

fn settings(more: &Value) -> LineSettings {
    let mut all = json!({
        "measurement": "m",
        "tags": {"station": "station", "component": "name"},
        "fields": {"value": "value"},
    });
    let all_members = all.as_object_mut().unwrap();
    all_members.extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

fn row(attributes: &[(&'static str, Value)]) -> Row {
    Row {
        time: "2026-11-20T10:00:00.123456789Z".parse().unwrap(),
        position: Position::horizontal(5.671_198, 51.472_593),
        attributes: attributes.iter().cloned().collect(),
    }
}

fn line(more: &Value, attributes: &[(&'static str, Value)]) -> String {
    let encoder = Encoder::new(settings(more)).unwrap();
    encoder.point(&row(attributes)).unwrap().line()
}

#[test]
fn a_row_is_a_line_with_tags_in_order_of_their_names() {
    let attributes = [
        ("station", json!("23")),
        ("name", json!("no2")),
        ("value", json!(31)),
    ];
    assert_eq!(
        line(&json!({}), &attributes),
        "m,component=no2,station=23 value=31 1795168800123000000"
    );
    let hashes = json!({"geohash_tag": true, "geohash_field": true, "geohash_tag_name": "area"});
    assert_eq!(
        line(&hashes, &attributes),
        "m,area=u1hhc43,component=no2,station=23 geohash=\"u1hhc439s6z9\",value=31 1795168800123000000"
    );
}

#[test]
fn times_are_cut_towards_the_past_and_written_in_nanoseconds() {
    let attributes = [("value", json!(1))];
    for (precision, time) in [
        ("s", "1795168800000000000"),
        ("ms", "1795168800123000000"),
        ("us", "1795168800123456000"),
        ("ns", "1795168800123456789"),
    ] {
        let line = line(&json!({"time_precision": precision}), &attributes);
        assert_eq!(line, format!("m value=1 {time}"));
    }
    let encoder = Encoder::new(settings(&json!({"time_precision": "s"}))).unwrap();
    let mut before_1970 = row(&attributes);
    before_1970.time = "1969-12-31T23:59:58.5Z".parse().unwrap();
    let point = encoder.point(&before_1970).unwrap();
    assert_eq!(point.line(), "m value=1 -2000000000");
    for beyond in ["1600-01-01T00:00:00Z", "2300-01-01T00:00:00Z"] {
        before_1970.time = beyond.parse().unwrap();
        assert_eq!(encoder.point(&before_1970), Err(NoPoint::BeyondTime));
    }
}

#[test]
fn d_056_what_has_no_value_is_left_out_and_a_row_without_field_is_no_point() {
    let fields = json!({"fields": {"a": "a", "b": "b", "c": "c"}});
    let attributes = [
        ("station", json!("")),
        ("name", Value::Null),
        ("a", json!(1.5)),
        ("b", Value::Null),
    ];
    assert_eq!(line(&fields, &attributes), "m a=1.5 1795168800123000000");
    let encoder = Encoder::new(settings(&json!({"geohash_field": true}))).unwrap();
    for value in [Value::Null, json!([1]), json!({"a": 1})] {
        let row = row(&[("value", value)]);
        assert_eq!(encoder.point(&row), Err(NoPoint::WithoutField));
    }
}

#[test]
fn numbers_truths_and_texts_have_their_forms() {
    for (value, text) in [
        (json!(31), "31"),
        (json!(-7), "-7"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(300.0), "300.0"),
        (json!(0.1 + 0.2), "0.30000000000000004"),
        (json!(true), "true"),
        (json!("ug/m3"), "\"ug/m3\""),
        (json!("a \"b\", c=\\"), "\"a \\\"b\\\", c=\\\\\""),
        (json!("one\ntwo"), "\"one\ntwo\""),
        (json!(""), "\"\""),
    ] {
        assert_eq!(
            line(&json!({}), &[("value", value)]),
            format!("m value={text} 1795168800123000000")
        );
    }
    let rounded = line(
        &json!({"float_digits": 12}),
        &[("value", json!(286.113_944_647_812_3))],
    );
    assert_eq!(rounded, "m value=286.113944648 1795168800123000000");
}

#[test]
fn what_would_end_a_name_or_a_tag_is_escaped() {
    let odd =
        json!({"measurement": "a b,c=d", "tags": {"k =,": "station"}, "fields": {"f =,": "value"}});
    assert_eq!(
        line(
            &odd,
            &[("station", json!("x y,z=\"w\"")), ("value", json!(1))]
        ),
        r#"a\ b\,c=d,k\ \=\,=x\ y\,z\="w" f\ \=\,=1 1795168800123000000"#
    );
    for (text, written) in [
        ("a\\b", "a\\b"),
        ("a\\,b", "a\\\\,b"),
        ("end\\", "end/"),
        ("\\\\", "//"),
        ("two\nlines\r", "two\\nlines\\r"),
    ] {
        let attributes = [("station", json!(text)), ("value", json!(1))];
        let line = line(&json!({}), &attributes);
        assert_eq!(
            line,
            format!("m,station={written} value=1 1795168800123000000")
        );
    }
}

#[test]
fn a_geohash_needs_a_position_and_zeros_can_be_left_out() {
    let attributes = [("value", json!(1))];
    let encoder = |skip: bool| {
        Encoder::new(settings(
            &json!({"geohash_tag": true, "geohash_skip_zero": skip}),
        ))
        .unwrap()
    };
    let mut greenwich = row(&attributes);
    greenwich.position = Position::horizontal(0.0, 51.0);
    let lines = |row: &Row| [true, false].map(|skip| encoder(skip).point(row).unwrap().line());
    assert_eq!(
        lines(&greenwich),
        [
            "m value=1 1795168800123000000",
            "m,geohash_tag=gcpfpur value=1 1795168800123000000"
        ]
    );
    greenwich.position = None;
    assert_eq!(lines(&greenwich), ["m value=1 1795168800123000000"; 2]);
}

#[test]
fn rows_on_one_point_are_united_and_the_later_value_holds() {
    let encoder = Encoder::new(settings(&json!({
        "fields": {"a": "a", "b": "b"}, "time_precision": "s"
    })))
    .unwrap();
    let rows = [
        row(&[("station", json!("1")), ("a", json!(1)), ("b", json!(1))]),
        row(&[("station", json!("2")), ("a", json!(2))]),
        row(&[("station", json!("1")), ("a", json!(3))]),
    ];
    let points = rows.iter().map(|row| encoder.point(row).unwrap()).collect();
    let (points, merged) = united(points);
    assert_eq!(merged, 1);
    let lines: Vec<String> = points.iter().map(Point::line).collect();
    assert_eq!(
        lines,
        [
            "m,station=1 a=3,b=1 1795168800000000000",
            "m,station=2 a=2 1795168800000000000"
        ]
    );
    assert_eq!(points[1].identity(), "m,station=2 1795168800000000000");
}

#[test]
fn settings_that_no_line_can_say_are_refused_by_name() {
    for (more, told) in [
        (
            json!({"measurement": ""}),
            "`measurement`: a name must not be empty",
        ),
        (json!({"measurement": "#m"}), "`measurement`: a line"),
        (
            json!({"measurement": "m\\"}),
            "`measurement`: a name must not end",
        ),
        (json!({"fields": {}}), "`fields`: a point needs"),
        (
            json!({"fields": {"a\nb": "a"}}),
            "`fields`: a name must not hold",
        ),
        (json!({"tags": {"time": "a"}}), "`tags`: `time` is"),
        (json!({"float_digits": 18}), "`float_digits`: 1 to 17"),
        (
            json!({"geohash_tag": true, "geohash_tag_precision": 13}),
            "`geohash_tag_precision`: 1 to 12",
        ),
        (
            json!({"geohash_field": true, "geohash_field_name": "value"}),
            "`geohash_field_name`: `fields` has `value` too",
        ),
    ] {
        let refused = Encoder::new(settings(&more)).unwrap_err();
        assert!(refused.starts_with(told), "{refused}");
    }
}
