//! The push object, read.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use smartem_model::{Hour, StationId, parse_timestamp};

/// Samples in a push at most.
pub const MOST_SAMPLES: usize = 10_000;
/// Keys of a sample at most.
const MOST_KEYS: usize = 200;
/// Bytes of a key at most.
const LONGEST_KEY: usize = 64;
/// Bytes of an id at most.
const LONGEST_ID: usize = 128;

/// Samples of stations, as they were pushed.
#[derive(Debug, Default)]
pub struct Push {
    /// What was understood.
    pub stations: Vec<StationSamples>,
    /// What was not.
    pub faults: Vec<Fault>,
}

/// Samples of one station.
#[derive(Debug)]
pub struct StationSamples {
    /// Where it stands in the push: `[2]` in a list, else empty.
    pub place: String,
    /// The id.
    pub station: StationId,
    /// The type that the push says it has.
    pub station_type: Option<String>,
    /// Its good samples.
    pub samples: Vec<Sample>,
}

/// A sample: the values of one moment.
#[derive(Debug, PartialEq)]
pub struct Sample {
    /// Where it stands in the push, for example `[2].samples[0]`.
    pub place: String,
    /// Its time; `None`: that of arrival.
    pub time: Option<Timestamp>,
    /// The instrument.
    pub meta_id: Option<String>,
    /// At least one, by key.
    pub values: Vec<(String, SampleValue)>,
    /// The JSON of the sample, as it came.
    pub text: String,
}

/// A value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SampleValue {
    /// Always finite.
    Number(f64),
    /// `true` or `false`.
    Truth(bool),
}

/// Something in a push that cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Where it stands, for example `[2].samples[0].no2`; empty for the whole.
    pub place: String,
    /// The value that stands there, shortened.
    pub value: String,
    /// What is wrong with it and what helps.
    pub problem: String,
    /// The station, where it is known.
    pub station: Option<StationId>,
    /// The JSON of the sample, or of what is wrong, as it came.
    pub text: String,
}

impl Fault {
    pub(super) fn new(place: impl Into<String>, value: &str, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            value: smartem_http::shorten(value).into_owned(),
            problem: problem.into(),
            station: None,
            text: value.to_owned(),
        }
    }

    /// The fault of a part, in a sample of this text.
    fn within(mut self, station: &StationId, text: &str) -> Self {
        self.station = Some(station.clone());
        text.clone_into(&mut self.text);
        self
    }
}

/// Reads a push: an object, or a list of such.
///
/// A sample with a fault is left out and its fault is told; the others go on.
///
/// # Errors
/// When the whole is no push.
pub fn parse(body: &[u8]) -> Result<Push, Fault> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let shown = String::from_utf8_lossy(body);
        Fault::new("", &shown, format!("{error}; send JSON in UTF-8"))
    })?;
    let not_json = |error: serde_json::Error| {
        let remedy = "send a JSON object with `station` and `samples`, or a list of such";
        Fault::new("", text, format!("{error}; {remedy}"))
    };
    let mut push = Push::default();
    let mut count = 0;
    if text.trim_start().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
        for (index, item) in items.iter().enumerate() {
            push.take(format!("[{index}]"), item.get(), &mut count)?;
        }
    } else {
        let item: &RawValue = serde_json::from_str(text).map_err(not_json)?;
        push.take(String::new(), item.get(), &mut count)?;
    }
    Ok(push)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    station: Value,
    #[serde(default)]
    station_type: Option<String>,
    #[serde(borrow)]
    samples: Vec<&'a RawValue>,
}

impl Push {
    /// Takes the samples of one station; `count` is that of all samples so far.
    fn take(&mut self, place: String, text: &str, count: &mut usize) -> Result<(), Fault> {
        let item: Item<'_> = match serde_json::from_str(text) {
            Ok(item) => item,
            Err(error) => {
                let problem = format!(
                    "{error}; write an object with `station`, `samples` and, if need be, \
                     `station_type`"
                );
                self.faults.push(Fault::new(place, text, problem));
                return Ok(());
            }
        };
        *count += item.samples.len();
        if *count > MOST_SAMPLES {
            let problem =
                format!("the push has more than {MOST_SAMPLES} samples; send them in several");
            return Err(Fault::new("", text, problem));
        }
        let Some(station) = station_of(&item.station) else {
            let problem = format!(
                "no id of a station; write a text of 1 to {LONGEST_ID} bytes without control \
                 characters"
            );
            let value = item.station.to_string();
            let mut fault = Fault::new(below(&place, "station"), &value, problem);
            text.clone_into(&mut fault.text);
            self.faults.push(fault);
            return Ok(());
        };
        let mut samples = Vec::with_capacity(item.samples.len());
        for (index, raw) in item.samples.iter().enumerate() {
            let place = below(&place, &format!("samples[{index}]"));
            match sample(place, raw.get()) {
                Ok(sample) => samples.push(sample),
                Err(fault) => self.faults.push(fault.within(&station, raw.get())),
            }
        }
        self.stations.push(StationSamples {
            place,
            station,
            station_type: item.station_type,
            samples,
        });
        Ok(())
    }
}

/// A place below another.
pub(super) fn below(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

fn sample(place: String, text: &str) -> Result<Sample, Fault> {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        let problem = "not an object; write for example {\"no2\": 12.3}";
        return Err(Fault::new(place, text, problem));
    };
    if members.len() > MOST_KEYS {
        let problem = format!("more than {MOST_KEYS} keys; send fewer in one sample");
        return Err(Fault::new(place, text, problem));
    }
    let mut sample = Sample {
        place,
        time: None,
        meta_id: None,
        values: Vec::with_capacity(members.len()),
        text: text.to_owned(),
    };
    for (key, value) in members {
        sample.take(key, &value).map_err(|problem| {
            // The key is in the last place of the fault, shortened like the value.
            let place = below(&sample.place, &smartem_http::shorten(&problem.0));
            Fault::new(place, &value.to_string(), problem.1)
        })?;
    }
    if sample.values.is_empty() {
        let problem = "no value; write for example {\"no2\": 12.3}";
        return Err(Fault::new(sample.place, text, problem));
    }
    Ok(sample)
}

impl Sample {
    /// Takes a member; else its key and what is wrong with it.
    fn take(&mut self, key: String, value: &Value) -> Result<(), (String, &'static str)> {
        match (key.as_str(), value) {
            (_, Value::Null) => Ok(()),
            ("time", Value::String(text)) => match parse_timestamp(text).filter(is_stored_time) {
                Some(time) => {
                    self.time = Some(time);
                    Ok(())
                }
                None => Err((key, NO_TIME)),
            },
            ("time", _) => Err((key, NO_TIME)),
            ("meta_id", Value::String(text)) if is_id(text) => {
                self.meta_id = Some(text.clone());
                Ok(())
            }
            ("meta_id", _) => Err((key, "not a name of an instrument; write a short text")),
            ("station", _) => Err((key, "the station stands beside `samples`, not in a sample")),
            _ if !is_key(&key) => Err((
                key,
                "not a key; a key has 1 to 64 bytes and no control characters",
            )),
            (_, Value::Number(number)) => match number.as_f64().filter(|it| it.is_finite()) {
                Some(number) => {
                    self.values.push((key, SampleValue::Number(number)));
                    Ok(())
                }
                None => Err((key, "too large for a number of 64 bits")),
            },
            (_, Value::Bool(truth)) => {
                self.values.push((key, SampleValue::Truth(*truth)));
                Ok(())
            }
            (_, Value::String(_)) => Err((key, "a text; write numbers without quotation marks")),
            _ => Err((key, "not a number; a sample has one value for each key")),
        }
    }
}

const NO_TIME: &str = "not a time from 1970 to 2261; write RFC 3339, for example 2026-11-28T13:20:00Z, or leave it \
     out for the time of arrival";

/// Whether it is within the calendar and within nanoseconds of 64 bits.
fn is_stored_time(time: &Timestamp) -> bool {
    Hour::containing(*time).is_some() && i64::try_from(time.as_nanosecond()).is_ok()
}

/// A text, or digits: many networks number their stations.
fn station_of(value: &Value) -> Option<StationId> {
    match value {
        Value::String(text) if is_id(text) => StationId::new(text),
        Value::Number(number) => StationId::new(&number.as_u64()?.to_string()),
        _ => None,
    }
}

fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn is_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn faults(body: &Value) -> Vec<(String, String)> {
        let push = parse(body.to_string().as_bytes()).unwrap();
        let faults = push.faults.into_iter();
        faults.map(|fault| (fault.place, fault.problem)).collect()
    }

    #[test]
    fn an_object_and_a_list_are_read() {
        let one = json!({"station": 23, "station_type": "vanilla", "samples": [
            {"time": "2026-11-28T13:20:00+01:00", "meta_id": "a", "no2": 12.3, "on": true, "x": null},
            {"no2": 12},
        ]});
        let push = parse(one.to_string().as_bytes()).unwrap();
        let [of] = &push.stations[..] else {
            panic!("one station");
        };
        assert_eq!(
            (of.station.as_str(), of.station_type.as_deref()),
            ("23", Some("vanilla"))
        );
        let first = &of.samples[0];
        assert_eq!(first.time, Some("2026-11-28T12:20:00Z".parse().unwrap()));
        assert_eq!(first.meta_id.as_deref(), Some("a"));
        let values = [
            ("no2".to_owned(), SampleValue::Number(12.3)),
            ("on".to_owned(), SampleValue::Truth(true)),
        ];
        assert_eq!(first.values, values);
        assert_eq!(of.samples[1].time, None);
        assert_eq!(of.samples[1].text, "{\"no2\":12}");

        let push = parse(json!([one, one]).to_string().as_bytes()).unwrap();
        assert_eq!(push.stations[1].samples[1].place, "[1].samples[1]");
        assert!(parse(b"[]").unwrap().stations.is_empty());
    }

    #[test]
    fn a_bad_sample_is_told_with_its_place_and_the_others_go_on() {
        let long = "k".repeat(65);
        for (sample, place, word) in [
            (json!(5), "samples[1]", "object"),
            (json!({}), "samples[1]", "no value"),
            (json!({"no2": null}), "samples[1]", "no value"),
            (json!({"no2": "12.3"}), "samples[1].no2", "quotation marks"),
            (json!({"no2": [1]}), "samples[1].no2", "one value"),
            (
                json!({"no2": 1, "time": "soon"}),
                "samples[1].time",
                "RFC 3339",
            ),
            (
                json!({"no2": 1, "time": 1_795_000_000}),
                "samples[1].time",
                "RFC 3339",
            ),
            (
                json!({"no2": 1, "time": "1969-12-31T23:59:59Z"}),
                "samples[1].time",
                "1970",
            ),
            (
                json!({"no2": 1, "time": "2500-01-01T00:00:00Z"}),
                "samples[1].time",
                "2261",
            ),
            (
                json!({"no2": 1, "meta_id": 5}),
                "samples[1].meta_id",
                "instrument",
            ),
            (
                json!({"no2": 1, "station": "x"}),
                "samples[1].station",
                "beside",
            ),
            (json!({"": 1}), "samples[1].", "64 bytes"),
            (json!({"a\nb": 1}), "samples[1].a\nb", "control"),
            (
                json!({long: 1}),
                &format!("samples[1].{}…", "k".repeat(60)),
                "64 bytes",
            ),
        ] {
            let body = json!({"station": "s", "samples": [{"a": 1}, sample, {"b": 2}]});
            let found = faults(&body);
            assert_eq!(found.len(), 1, "{body}");
            assert_eq!(found[0].0, place, "{body}");
            assert!(found[0].1.contains(word), "{}", found[0].1);
            let push = parse(body.to_string().as_bytes()).unwrap();
            assert_eq!(push.stations[0].samples.len(), 2, "{body}");
        }
    }

    #[test]
    fn a_bad_station_does_not_hold_up_the_others() {
        let good = json!({"station": "s", "samples": [{"a": 1}]});
        for (bad, place, word) in [
            (json!(1), "[0]", "write an object"),
            (json!({"samples": []}), "[0]", "station"),
            (json!({"station": "s"}), "[0]", "samples"),
            (
                json!({"station": "", "samples": []}),
                "[0].station",
                "no id",
            ),
            (
                json!({"station": 1.5, "samples": []}),
                "[0].station",
                "no id",
            ),
            (json!({"station": "s", "sample": []}), "[0]", "sample"),
        ] {
            let body = json!([bad, good]);
            let found = faults(&body);
            assert_eq!(found[0].0, place, "{body}");
            assert!(found[0].1.contains(word), "{}", found[0].1);
            let push = parse(body.to_string().as_bytes()).unwrap();
            assert_eq!(push.stations.len(), 1, "{body}");
        }
    }

    #[test]
    fn what_is_no_push_is_refused_as_a_whole() {
        for body in [
            &b""[..],
            b"{",
            b"nothing",
            b"\xff",
            b"[1,",
            b"{\"station\":1e999}x",
        ] {
            let fault = parse(body).unwrap_err();
            assert_eq!(fault.place, "", "{fault:?}");
            assert!(fault.problem.contains("JSON"), "{fault:?}");
        }
        let samples = vec![json!({"a": 1}); MOST_SAMPLES + 1];
        let body = json!({"station": "s", "samples": samples}).to_string();
        let fault = parse(body.as_bytes()).unwrap_err();
        assert!(fault.problem.contains("10000 samples"), "{fault:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in ".{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(body.as_bytes());
            let _ = parse(&bytes);
            let _ = parse(format!(r#"{{"station":"s","samples":[{body}]}}"#).as_bytes());
        }
    }
}
