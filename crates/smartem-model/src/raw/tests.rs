use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Cell, RawRecord, RecordTime};
use crate::QuarantineReason;

fn read(text: &str) -> Result<RawRecord, crate::Quarantine> {
    RawRecord::from_json(text, &|name| name == "jose")
}

fn reason(text: &str) -> QuarantineReason {
    read(text).expect_err("should be quarantined").reason
}

fn record(timeseries: &Value) -> Value {
    json!({"device_id": 23, "device_type": "jose", "day": 20_160_108, "hour": 23, "gid": 7,
           "data": {"id": "23", "timeseries": timeseries, "extra": {"a": [1, null]}}})
}

#[test]
fn a_whale_hour_is_a_record_of_a_josene() {
    let text = r#"{"id":"23","date":"2016-01-08","hour":23,"timeseries":[{"a":1},{"b":2.5}]}"#;
    let record = read(text).unwrap();
    assert_eq!(record.station.as_str(), "23");
    assert_eq!(&*record.station_type, "jose");
    let RecordTime::Hour(hour) = record.time else {
        panic!("an hour was expected")
    };
    assert_eq!(hour.to_string(), "2016-01-08 hour 23");
    assert_eq!(record.samples.len(), 2);
    assert_eq!(record.samples.column("b").unwrap().cell(0), Cell::Absent);
    assert_eq!(record.samples.column("b").unwrap().cell(1), Cell::Real(2.5));
}

#[test]
fn faults_are_found_in_the_order_of_the_rules() {
    use QuarantineReason::{InvalidHour, MalformedRecord, UnknownDeviceType};
    for (text, expected) in [
        ("[1]", MalformedRecord),
        ("{\"device_id\":23,", MalformedRecord),
        (
            r#"{"device_type":"x","data":{"timeseries":[]},"hour":25}"#,
            MalformedRecord,
        ),
        (
            r#"{"device_id":true,"device_type":"x","data":{"timeseries":[]}}"#,
            MalformedRecord,
        ),
        (
            r#"{"device_id":2.5,"device_type":"x","data":{"timeseries":[]}}"#,
            MalformedRecord,
        ),
        (
            r#"{"device_id":"","device_type":"x","data":{"timeseries":[]}}"#,
            MalformedRecord,
        ),
        (
            r#"{"device_id":23,"device_type":"jose","data":{"timeseries":{}}}"#,
            MalformedRecord,
        ),
        (
            r#"{"device_id":23,"device_type":"x","data":{"timeseries":[]},"hour":25}"#,
            UnknownDeviceType,
        ),
        (
            r#"{"device_id":23,"data":{"timeseries":[]},"hour":25}"#,
            UnknownDeviceType,
        ),
        (
            r#"{"device_id":23,"device_type":"jose","data":{"timeseries":[]},"hour":25}"#,
            InvalidHour,
        ),
        (
            r#"{"id":"23","date":"2016-01-08","hour":25,"timeseries":[]}"#,
            InvalidHour,
        ),
        (
            r#"{"id":"23","date":"2016-02-30","hour":5,"timeseries":[]}"#,
            InvalidHour,
        ),
        (
            r#"{"id":"23","date":"2016-02-28","hour":5.5,"timeseries":[]}"#,
            InvalidHour,
        ),
        (
            r#"{"id":"23","date":"2016-02-28","timeseries":[]}"#,
            InvalidHour,
        ),
    ] {
        assert_eq!(reason(text), expected, "{text}");
    }
}

#[test]
fn days_hours_and_ids_are_read_as_numbers_or_digits() {
    for (day, hour) in [
        (json!(20_160_108), json!(23)),
        (json!("20160108"), json!("23")),
        (json!("2016-01-08"), json!(23.0)),
        (json!(20_160_108.0), json!("023")),
    ] {
        let text = json!({"device_id": 23.0, "device_type": "jose", "day": day, "hour": hour,
                          "data": {"timeseries": []}})
        .to_string();
        let record = read(&text).unwrap();
        assert_eq!(record.station.as_str(), "23");
        let RecordTime::Hour(hour) = record.time else {
            panic!("an hour was expected")
        };
        assert_eq!(hour.to_string(), "2016-01-08 hour 23");
    }
}

#[test]
fn without_day_and_hour_a_record_is_a_snapshot() {
    let text = r#"{"device_id":"23","device_type":"jose","day":null,"time":"2016-01-08T22:00:00Z","data":{"timeseries":[]}}"#;
    assert!(matches!(
        read(text).unwrap().time,
        RecordTime::Snapshot(Some(_))
    ));
}

#[test]
fn numbers_that_no_f64_or_i64_holds_are_kept_as_they_are_written() {
    let series = r#"[{"a":1e999,"b":123456789012345678901234567890,"c":-0,"d":"\ud800"}]"#;
    let text = record(&json!(null))
        .to_string()
        .replace("\"timeseries\":null", &format!("\"timeseries\":{series}"));
    let record = read(&text).unwrap();
    let number = |name: &str| record.samples.column(name).unwrap().cell(0).number();
    assert_eq!(number("a"), None);
    assert_eq!(number("b"), Some(1.234_567_890_123_456_8e29));
    assert_eq!(number("c").map(f64::to_bits), Some((-0.0_f64).to_bits()));
    assert!(record.to_json().contains(series), "{}", record.to_json());
}

#[test]
fn samples_elsewhere_are_not_those_of_the_record() {
    for text in [
        r#"{"device_id":1,"device_type":"jose","timeseries":[{"a":1}],"data":{"timeseries":[{"a":2}]}}"#,
        r#"{"device_id":1,"device_type":"jose","x":{"timeseries":[{"a":1}]},"data":{"timeseries":[{"a":2}]}}"#,
        r#"{"device_id":1,"device_type":"jose","x":"\"timeseries\":[{\"a\":1}]","data":{"timeseries":[{"a":2}]}}"#,
        r#"{"device_id":1,"device_type":"jose","data":{"timeseries":[{"a":1}],"timeseries":[{"a":2}]}}"#,
        r#"{"device_id":1,"device_type":"jose","data":{"timeseries":[{"a":1}]},"data":{"timeseries":[{"a":2}]}}"#,
        r#"{"device_id":1,"device_type":"jose","data":7,"timeseries":[{"a":1}]}"#,
        r#"{"id":1,"device_type":"jose","data":null,"timeseries":[{"a":2}]}"#,
    ] {
        let general = RawRecord::from_json_of_any_form(text, &|_| true);
        assert_eq!(read(text), general, "{text}");
        if let Ok(record) = general {
            assert_eq!(
                record.samples.column("a").unwrap().cell(0),
                Cell::Integer(2),
                "{text}"
            );
        }
    }
}

#[test]
fn of_a_key_given_twice_the_last_one_holds() {
    let text = record(&json!(null)).to_string().replace(
        "\"timeseries\":null",
        r#""timeseries":[{"a":1,"b":2,"a":"x"}]"#,
    );
    let record = read(&text).unwrap();
    assert_eq!(record.samples.column("a").unwrap().cell(0), Cell::Text("x"));
    assert_eq!(record.samples.column("a").unwrap().len(), 1);
}

#[test]
fn a_member_named_timeseries_beside_data_is_no_sample() {
    let text =
        r#"{"device_id":1,"device_type":"jose","timeseries":null,"data":{"timeseries":[{"a":1}]}}"#;
    let record = read(text).unwrap();
    let given: Value = serde_json::from_str(&record.to_json()).unwrap();
    assert_eq!(given, serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn equal_by_value_is_equal_whatever_the_type() {
    assert!(Cell::Integer(3).same_reading(Cell::Real(3.0)));
    assert!(Cell::Json("[1, 2]").same_reading(Cell::Json("[1,2]")));
    assert!(!Cell::Integer(3).same_reading(Cell::Text("3")));
    assert!(!Cell::Json("true").same_reading(Cell::Integer(1)));
    assert!(Cell::Json("[1, {\"a\": 2}]").same_reading(Cell::Json("[1.0,{\"a\":2.0}]")));
    let time = "2016-01-08T22:00:06Z";
    let canonical = Cell::Time(time.parse().unwrap(), 0);
    assert!(canonical.same_reading(Cell::Text(time)) && Cell::Text(time).same_reading(canonical));
}

#[test]
fn equality_of_large_integers_is_exact_whatever_they_are_written_as() {
    let (a, b) = (
        Cell::Integer(9_007_199_254_740_993),
        Cell::Integer(9_007_199_254_740_992),
    );
    let real = Cell::Real(9_007_199_254_740_992.0);
    assert!(!a.same_reading(b) && !a.same_reading(real) && b.same_reading(real));
    let beyond = Cell::Json("100000000000000000000");
    assert!(beyond.same_reading(Cell::Real(1e20)) && !beyond.same_reading(Cell::Integer(1)));
    assert!(
        Cell::Json("-0").same_reading(Cell::Integer(0))
            && Cell::Real(-0.0).same_reading(Cell::Integer(0))
    );
}

#[test]
fn samples_of_ever_new_keys_are_refused_before_they_fill_the_memory() {
    let samples: Vec<Value> = (0..4000).map(|n| json!({ format!("key{n}"): n })).collect();
    let quarantine = read(&record(&json!(samples)).to_string()).expect_err("too wide");
    assert!(
        quarantine.detail.contains("more than 10000000 cells"),
        "{quarantine}"
    );
    let narrow: Vec<Value> = (0..4000).map(|n| json!({ "key": n })).collect();
    assert!(read(&record(&json!(narrow)).to_string()).is_ok());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e12..1e12).prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(Value::from),
        "[ -~é€\\\\\"\n]{0,12}".prop_map(Value::from),
        Just(json!("2016-01-08T22:00:06.757Z")),
        Just(json!("2016-01-08T22:00:06Z")),
        Just(json!("2016-01-08T22:00:06.7500000Z")),
        Just(json!("0001-01-01T00:00:00Z")),
        Just(json!("9999-12-31T23:59:59Z")),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_samples() -> impl Strategy<Value = Value> {
    let sample = proptest::collection::btree_map("[a-e]|time|é\"", any_json(), 0..6)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    proptest::collection::vec(prop_oneof![9 => sample, 1 => any_json()], 0..12)
        .prop_map(Value::from)
}

proptest! {
    #[test]
    fn a_record_gives_back_a_document_equal_to_the_one_read(samples in any_samples()) {
        let document = record(&samples);
        let read_once = read(&document.to_string()).unwrap();
        let given: Value = serde_json::from_str(&read_once.to_json()).unwrap();
        prop_assert_eq!(&given, &document);
        let again = RawRecord::from_parts(read_once.envelope(), read_once.samples.clone(), &|_| true);
        prop_assert_eq!(again.unwrap(), read_once);
    }

    #[test]
    fn both_ways_of_reading_give_the_same(
        samples in any_samples(), pretty in any::<bool>(), cut in any::<prop::sample::Index>(), is_whale in any::<bool>(),
    ) {
        let document = if is_whale {
            json!({"id": "23", "date": "2016-01-08", "hour": 23, "timeseries": samples, "z": 1})
        } else {
            record(&samples)
        };
        let text = if pretty {
            serde_json::to_string_pretty(&document).unwrap()
        } else {
            document.to_string()
        };
        let cut = cut.index(text.len() + 1);
        for text in [&text, text.get(..cut).unwrap_or_default()] {
            let general = RawRecord::from_json_of_any_form(text, &|name| name == "jose");
            prop_assert_eq!(read(text), general);
        }
    }

    #[test]
    fn texts_of_numbers_give_the_same_both_ways(rows in proptest::collection::vec("([-]?[0-9]{1,19}([.][0-9]{0,3})?([eE][-+]?[0-9]{0,2})?|[ ]?0[0-9]?|null|true|\"a\"){1}", 1..6)) {
        let rows: Vec<String> = rows.iter().map(|value| format!("{{\"a\": {value}, \"b\":{value}}}")).collect();
        let text = format!("{{\"id\":1,\"date\":\"2016-01-08\",\"hour\":1,\"timeseries\":[{}]}}", rows.join(","));
        let general = RawRecord::from_json_of_any_form(&text, &|_| true);
        prop_assert_eq!(read(&text), general);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,80}|[\\[\\]{}\",:0-9a-z ]{0,80}") {
        let _ = read(&text);
    }
}
