use proptest::prelude::*;
use serde_json::{Value, json};
use smartem_model::raw::RawRecord;

use super::{CodecError, decode_record, encode, encode_record};

fn record(samples: &Value) -> RawRecord {
    let document = json!({"device_id": 23, "device_type": "jose", "day": 20_160_108, "hour": 23,
        "data": {"id": "23", "timeseries": samples, "extra": {"a": [1, null]}}});
    RawRecord::from_json(&document.to_string(), &|_| true).unwrap()
}

#[test]
fn a_record_without_samples_is_a_record() {
    for samples in [json!([]), json!([{}, {}]), json!([1, "x", [{}]])] {
        let record = record(&samples);
        assert_eq!(
            decode_record(&encode_record(&record).unwrap()).unwrap(),
            record
        );
    }
}

#[test]
fn decimals_and_hexadecimal_ids_take_little_space_and_are_kept_exactly() {
    let samples: Vec<Value> = (0..360)
        .map(|n| {
            let wave = f64::from(n * 37 % 50);
            json!({"_id": format!("5690{:020x}", n * 7919), "temperature": (2000.0 + wave) / 100.0,
                "zero": -0.0, "tiny": 1e-300, 
                "time": format!("2016-01-08T22:{:02}:{:02}.5Z", n / 6, n % 6 * 10)})
        })
        .collect();
    let record = record(&Value::from(samples));
    let encoded = encode(&record).unwrap();
    assert_eq!(decode_record(&encoded.payload).unwrap(), record);
    let bytes_per_value = encoded.payload.len() as f64 / (5.0 * 360.0);
    assert!(bytes_per_value < 1.0, "{bytes_per_value}");
}

#[test]
fn a_payload_of_another_version_is_refused() {
    assert!(matches!(
        decode_record(&[9, 0]),
        Err(CodecError::UnknownVersion(9))
    ));
    assert!(matches!(decode_record(&[]), Err(CodecError::Truncated)));
}

#[test]
fn a_body_that_announces_more_than_it_holds_takes_no_memory_for_it() {
    // Rows and columns of a small body, far beyond what it holds.
    for (rows, columns) in [
        (1_u64 << 60, 1_u64),
        (1 << 26, 1),
        (1, 1 << 26),
        (1 << 26, 0),
    ] {
        let mut body = Vec::new();
        super::put_text(&mut body, "{}");
        for number in [rows, columns, 0] {
            super::put_varint(&mut body, number);
        }
        assert!(decode_record(&payload(&body)).is_err());
    }
}

/// A payload of any body.
fn payload(body: &[u8]) -> Vec<u8> {
    let mut payload = vec![super::VERSION];
    super::put_varint(&mut payload, body.len() as u64);
    payload.extend(super::compress(body).unwrap());
    payload
}

fn any_value() -> impl Strategy<Value = Value> {
    let near = (-50_i64..50).prop_map(|n| n + 1_644_827);
    let number = prop_oneof![
        near.prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-9999_i32..9999).prop_map(|n| Value::from(f64::from(n) / 100.0)),
        any::<f64>()
            .prop_filter("finite", |x| x.is_finite())
            .prop_map(Value::from),
    ];
    prop_oneof![
        4 => number,
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => "[0-9a-f]{4}|[ -~é€\\\\\"\n]{0,12}".prop_map(Value::from),
        1 => (0_i64..3_600_000).prop_map(|ms| {
            let time = jiff::Timestamp::from_millisecond(1_452_290_400_000 + ms).unwrap();
            Value::from(time.to_string())
        }),
        1 => proptest::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
    ]
}

fn any_samples() -> impl Strategy<Value = Value> {
    let sample = proptest::collection::btree_map("[a-d]|é", any_value(), 0..5)
        .prop_map(|map| Value::Object(map.into_iter().collect()));
    // One kind of value in each column, as instruments have it.
    let even = (any_value(), any_value(), 1_usize..40)
        .prop_map(|(a, b, rows)| Value::from(vec![json!({"a": a, "b": b}); rows]));
    prop_oneof![
        3 => proptest::collection::vec(prop_oneof![9 => sample, 1 => any_value()], 0..30)
            .prop_map(Value::from),
        1 => even,
    ]
}

proptest! {
    #[test]
    fn a_record_comes_back_equal(samples in any_samples()) {
        let record = record(&samples);
        let payload = encode_record(&record).unwrap();
        prop_assert_eq!(decode_record(&payload).unwrap(), record);
    }

    #[test]
    fn a_record_always_has_the_same_bytes(samples in any_samples()) {
        let (first, second) = (record(&samples), record(&samples));
        prop_assert_eq!(encode(&first).unwrap().body, encode(&second).unwrap().body);
    }

    #[test]
    fn random_bytes_give_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode_record(&bytes).is_err());
        prop_assert!(decode_record(&payload(&bytes)).is_err());
    }

    #[test]
    fn a_body_cut_short_gives_an_error(samples in any_samples(), part in 0.0..1.0_f64) {
        let body = encode(&record(&samples)).unwrap().body;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of a length"
        )]
        let length = (body.len() as f64 * part) as usize;
        prop_assert!(decode_record(&payload(&body[..length])).is_err());
    }

    #[test]
    fn a_changed_byte_never_makes_the_reader_panic(
        samples in any_samples(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut body = encode(&record(&samples)).unwrap().body;
        let at = at.index(body.len());
        body[at] = byte;
        let _ = decode_record(&payload(&body));
    }
}
