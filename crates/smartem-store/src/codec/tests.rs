use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use smartem_model::raw::RawRecord;

use super::{
    CodecError, Encoded, VERSION, VERSION_1, body_of, compress, decode_record, decode_record_for,
    encode, encode_record, put_text, put_varint,
};

/// What form 1 made of [`of_form_1`].
pub(crate) const FORM_1: &str = "\
    01b60628b52ffd603602fd1000c66073470091361db360fdedffe248f46b028922194c504bb42fd883cd0d8dbc45\
    856dffa8d7bae2d5c4651644ecfff6464309d9a425a3814fe5ef25fc0ccdd043a32b6aecb7b5bda54c0166005a00\
    5600da8852e670b08036ae86e209859a557b3aa950b96a5154b7c6cc5828d9922fc57a3563f0d13e22da67e3aaaa\
    f36ac60282a289ab27fb85f6644dbe5bb30ada2a57bdaf662c2410144d9936e26a17de94ad2a5ced6ee7d52c64c1\
    a671d57ae2fd2ed855157e09dc163733c7b3a9cfc422b9bc6ecdcbab1348ee2e683debd7865abfae7f3639f9460d\
    39e504d9c68f1fc78f0f11913d9b4f5bdad387b2572561d3ddb335fcc3539cc3113cc309dcf309d7dee1110af09c\
    7c3aa5f79524a9a66a16778a40200eb611083133f44d9bbee9fb3765effc7f0cfbb50d044d774fc9a7525ef678fe\
    1f85fa3b1d0a1ac82e79a693127be2b8808ec969ecfc6e3ef365f3b90198be0e44b1ac185e9236b26278e59c72fe\
    6796cd0fffffffe7d30e60191860891889cbb010575e945859b9e9340f6cb87c50b8b8dce31e1b15d65dc0b0af3e\
    428688d5cbc86a751ac770004668c34c28f4193f1123448d89949a9a937c335aef43cd6e181891e8ff5b5a28fdf8\
    f020b342450b17e1d5d7ecf069475a932f2520e002c98d1b355957f082ad6257ae1524d8ca11186beef8a4d05751\
    c57ee5a796acc8cd68b57162881bb83eb93c28a9a89e126e388d17ac600a5eb082174cc10b36050b5b604551603f\
    03b69e0c";

/// The content hash that was stored with it.
pub(crate) const FORM_1_HASH: &str =
    "5a998da82fcfe401b005e8bb85bb42be4591bbb6f1b6c6631ab83eeda1fddeff";

pub(crate) fn bytes_of_hex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// A record with every kind of cell and every way in which form 1 wrote numbers.
pub(crate) fn of_form_1() -> RawRecord {
    let samples = (0..12_u32).map(|n| {
        if n == 7 {
            return json!([1, "x"]);
        }
        let wave = f64::from(n);
        let mixed = [json!(null), json!(1), json!(true), json!([1])];
        let mut row = json!({"_id": format!("569031661b1580258cca{:04x}", 0x9882 + n * 2),
            "time": format!("2016-01-08T22:00:{:02}.{}57Z", n * 5, n % 10),
            "plain": n * 37 % 11, "delta": 1_617_044 + n * n % 7, "second_delta": 900_000 + n * 10,
            "bytewise": 1_644_827 + n % 3 * 65_536 - n % 2 * 256, "t": 21.5 + wave / 4.0,
            "wide": 1e-300 * wave, "text": (["é", "", "NO2B43F"][n as usize % 3]),
            "mixed": (mixed[n as usize % 4])});
        if n % 4 == 1 {
            row.as_object_mut().unwrap().remove("plain");
        }
        row
    });
    let document = json!({"device_id": "ké", "device_type": "jose", "day": 20_160_108, "hour": 23,
        "altitude": 12.5, "data": {"id": "23", "timeseries": samples.collect::<Vec<_>>(),
            "extra": {"a": [1, null]}}});
    RawRecord::from_json(&document.to_string(), &|_| true).unwrap()
}

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
fn a_payload_of_form_1_is_still_read() {
    let payload = bytes_of_hex(FORM_1);
    assert_eq!(decode_record(&payload).unwrap(), of_form_1());
    let hash = Sha256::digest(body_of(&payload).unwrap());
    assert_eq!(hash[..], bytes_of_hex(FORM_1_HASH));
}

#[test]
fn a_single_column_is_read_from_either_form() {
    let whole = of_form_1();
    for payload in [bytes_of_hex(FORM_1), encode_record(&whole).unwrap()] {
        for column in whole.samples.columns() {
            let reads = |station_type: &str, key: &str| {
                assert_eq!(station_type, "jose");
                key == column.name()
            };
            let read = decode_record_for(&payload, &reads).unwrap();
            assert_eq!(read.samples.columns(), std::slice::from_ref(column));
            assert_eq!(read.samples.len(), whole.samples.len());
            assert_eq!(read.samples.oddments(), whole.samples.oddments());
            assert_eq!(read.envelope(), whole.envelope());
        }
        let none = decode_record_for(&payload, &|_, _| false).unwrap();
        assert_eq!((none.samples.len(), none.samples.columns().len()), (12, 0));
    }
}

#[test]
fn texts_that_do_not_repeat_are_compressed_and_hashed_as_they_are() {
    let sentence = |n: i64| format!("the sensor number {} of the street says {}", n * 7, n * n);
    let samples: Vec<Value> = (0..100).map(|n| json!({ "note": sentence(n) })).collect();
    let record = record(&samples.into());
    let encoded = encode(&record).unwrap();
    assert!(encoded.payload.len() < encoded.body.len() / 2);
    assert_eq!(body_of(&encoded.payload).unwrap(), encoded.body);
    assert_eq!(decode_record(&encoded.payload).unwrap(), record);
    assert_eq!(decode_record(&encoded.body).unwrap(), record);
}

#[test]
fn few_different_texts_take_little_space() {
    let names = [
        "NO2B43F", "COA4", "OX_A431", "NOB4", "Tempe", "Press", "Humid",
    ];
    let samples: Vec<Value> = (0..1000).map(|n| json!({ "name": names[n % 7] })).collect();
    let record = record(&samples.into());
    let payload = encode_record(&record).unwrap();
    assert_eq!(decode_record(&payload).unwrap(), record);
    assert!(payload.len() < 600, "{}", payload.len());
}

#[test]
fn a_body_that_announces_more_than_it_holds_takes_no_memory_for_it() {
    // Rows and columns of a small body, far beyond what it holds.
    for (rows, columns) in [
        (1_u64 << 60, 1_u64),
        (1 << 24, 1),
        (1, 1 << 24),
        (1 << 24, 0),
    ] {
        let envelope = record(&json!([])).envelope().to_owned();
        let mut form_1 = Vec::new();
        put_text(&mut form_1, &envelope);
        for number in [rows, columns, 0] {
            put_varint(&mut form_1, number);
        }
        let mut form_2 = vec![VERSION];
        put_varint(&mut form_2, (envelope.len() as u64 + 2) * 2);
        put_text(&mut form_2, &envelope);
        for number in [0, rows, columns, 0, 0] {
            put_varint(&mut form_2, number);
        }
        let is_empty = columns == 0;
        assert_eq!(decode_record(&payload_1(&form_1)).is_ok(), is_empty);
        assert_eq!(decode_record(&form_2).is_ok(), is_empty);
    }
}

/// A payload of form 1 of any body.
fn payload_1(body: &[u8]) -> Vec<u8> {
    let mut payload = vec![VERSION_1];
    put_varint(&mut payload, body.len() as u64);
    payload.extend(compress(body).unwrap());
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
    fn the_columns_that_are_read_are_those_of_the_whole(samples in any_samples(), key in "[a-d]") {
        let whole = record(&samples);
        let payload = encode_record(&whole).unwrap();
        let read = decode_record_for(&payload, &|_, name| name == key).unwrap();
        let wanted: Vec<_> = whole.samples.columns().iter().filter(|it| it.name() == key).collect();
        prop_assert_eq!(read.samples.columns().iter().collect::<Vec<_>>(), wanted);
        prop_assert_eq!(read.samples.len(), whole.samples.len());
    }

    #[test]
    fn numbers_of_any_kind_come_back_equal(numbers in any_numbers()) {
        let samples: Vec<Value> = numbers.iter().map(|number| json!({ "n": number })).collect();
        let record = record(&samples.into());
        prop_assert_eq!(decode_record(&encode_record(&record).unwrap()).unwrap(), record);
    }

    #[test]
    fn random_bytes_give_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut form_2 = vec![VERSION];
        form_2.extend(&bytes);
        prop_assert!(decode_record(&bytes).is_err());
        prop_assert!(decode_record(&form_2).is_err());
        prop_assert!(decode_record(&payload_1(&bytes)).is_err());
    }

    #[test]
    fn a_payload_cut_short_gives_an_error(samples in any_samples(), at in any::<prop::sample::Index>()) {
        let Encoded { payload, body } = encode(&record(&samples)).unwrap();
        prop_assert!(decode_record(&payload[..at.index(payload.len())]).is_err());
        prop_assert!(decode_record(&body[..at.index(body.len())]).is_err());
        let form_1 = body_of(&bytes_of_hex(FORM_1)).unwrap();
        prop_assert!(decode_record(&payload_1(&form_1[..at.index(form_1.len())])).is_err());
    }

    #[test]
    fn changed_bytes_never_make_the_reader_panic(
        samples in any_samples(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let Encoded { payload, body } = encode(&record(&samples)).unwrap();
        let form_1 = body_of(&bytes_of_hex(FORM_1)).unwrap();
        let damaged = |mut bytes: Vec<u8>| {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes
        };
        for bytes in [damaged(payload), damaged(body), payload_1(&damaged(form_1))] {
            let _ = decode_record(&bytes);
            let _ = decode_record_for(&bytes, &|_, key| key == "a" || key == "plain");
            let _ = body_of(&bytes);
        }
    }
}

/// Numbers as instruments give them, and others.
fn any_numbers() -> impl Strategy<Value = Vec<i64>> {
    let near = (any::<i64>(), any::<i64>(), 0_i64..1000).prop_flat_map(|(a, b, c)| {
        let number = prop_oneof![
            20 => (0..=c).prop_map(move |n| a.wrapping_add(n)),
            1 => Just(b),
            1 => any::<i64>(),
        ];
        proptest::collection::vec(number, 1..300)
    });
    let alike = (
        any::<i64>(),
        1_i64..100_000,
        proptest::collection::vec(0_i64..5, 1..300),
    );
    let rising = alike.prop_map(|(first, step, noise)| {
        let noise = noise.into_iter().zip(0_i64..);
        noise
            .map(|(noise, n)| first.wrapping_add(n.wrapping_mul(step)).wrapping_add(noise))
            .collect()
    });
    prop_oneof![near, rising]
}
