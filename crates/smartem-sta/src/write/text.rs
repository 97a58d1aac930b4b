//! The text of numbers, times and links.

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::Serialize;
use smartem_model::Period;

use crate::{EntityType, TimeValue, Version};

/// Writes a number as JSON has it: the shortest text that gives the same double again, whole numbers
/// without a fraction, and no exponent from 1e-6 to 1e21. What is no number is `null`.
pub fn number(out: &mut Vec<u8>, value: f64) {
    /// Up to here every whole number is a double of its own.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() {
        out.extend_from_slice(b"null");
        return;
    }
    let size = value.abs();
    let is_whole = value.fract() == 0.0;
    if is_whole && size < WHOLE && value.to_bits() != (-0.0_f64).to_bits() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole and smaller than 2^53"
        )]
        integer(out, value as i64);
    } else if !is_whole && size >= 1e-4 {
        // A fraction is below 2^53, where this writes no exponent.
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if size == 0.0 || (1e-6..1e21).contains(&size) {
        out.extend_from_slice(format!("{value}").as_bytes());
    } else {
        out.extend_from_slice(format!("{value:e}").as_bytes());
    }
}

pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub(super) fn unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes an instant: ISO 8601, UTC, with as many digits of the second as it needs.
pub fn timestamp(out: &mut Vec<u8>, at: Timestamp) {
    let civil = Offset::UTC.to_datetime(at);
    let Ok(year) = u16::try_from(civil.year()) else {
        // Before the year 0 there is a sign.
        out.extend_from_slice(at.to_string().as_bytes());
        return;
    };
    let mut text = *b"0000-00-00T00:00:00";
    let two = |value: i8| {
        let value = value.unsigned_abs();
        [b'0' + value / 10, b'0' + value % 10]
    };
    let century = i8::try_from(year / 100).unwrap_or_default();
    let rest = i8::try_from(year % 100).unwrap_or_default();
    for (place, digits) in [
        (0, two(century)),
        (2, two(rest)),
        (5, two(civil.month())),
        (8, two(civil.day())),
        (11, two(civil.hour())),
        (14, two(civil.minute())),
        (17, two(civil.second())),
    ] {
        text[place..place + 2].copy_from_slice(&digits);
    }
    out.extend_from_slice(&text);
    fraction(out, civil.subsec_nanosecond());
    out.push(b'Z');
}

fn fraction(out: &mut Vec<u8>, nanoseconds: i32) {
    if nanoseconds != 0 {
        let digits = format!(".{nanoseconds:09}");
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
}

pub(super) fn period(out: &mut Vec<u8>, period: Period) {
    timestamp(out, period.start);
    out.push(b'/');
    timestamp(out, period.end);
}

pub(super) fn time(out: &mut Vec<u8>, value: TimeValue) {
    match value {
        TimeValue::Instant(at) => timestamp(out, at),
        TimeValue::Interval(it) => period(out, it),
    }
}

/// Writes JSON of a value that has a JSON form: texts and values of `serde_json`.
pub(super) fn json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    // Memory takes every byte, and keys of these values are texts, so there is no error to tell of.
    let written = serde_json::to_writer(&mut *out, value);
    debug_assert!(written.is_ok());
}

/// A text as it stands between the quotes of JSON.
pub(super) fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    json(&mut out, text);
    let inner = out.get(1..out.len() - 1).unwrap_or_default();
    String::from_utf8_lossy(inner).into_owned()
}

/// Writes the links of one face and the names that its version gives them.
pub(super) struct Links {
    pub(super) version: Version,
    /// The root, as it stands in JSON.
    root: String,
}

impl Links {
    pub(super) fn new(version: Version, root: &str) -> Self {
        Self {
            version,
            root: escaped(root),
        }
    }

    /// The beginning of the links of all entities of a type: `https://example.org/sta/v1.1/Things(`.
    pub(super) fn stem(&self, of: EntityType) -> String {
        format!("{}/{}(", self.root, of.set_name(self.version))
    }

    /// The key of the id.
    pub(super) fn id_key(&self) -> &'static str {
        if self.version.is_1() { "@iot.id" } else { "id" }
    }

    /// The key of an entity's own link.
    pub(super) fn self_key(&self) -> &'static str {
        if self.version.is_1() {
            "@iot.selfLink"
        } else {
            "@id"
        }
    }

    /// What stands before the name of an annotation: `@iot.count`, `@count`.
    pub(super) fn annotation(&self) -> &'static str {
        if self.version.is_1() { "@iot." } else { "@" }
    }
}
