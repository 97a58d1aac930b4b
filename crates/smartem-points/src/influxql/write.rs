//! Values as Go writes them.

use std::fmt::Write as _;

use super::answer::Epoch;
use super::eval::Value;
use super::time::Rfc3339;

/// A value as JSON; a number that is none is `null`.
pub(super) fn write_json_value(
    text: &mut String,
    value: &Value,
    epoch: Epoch,
    zone: Option<super::Zone>,
) {
    let _ = match value {
        Value::Null => text.write_str("null"),
        Value::Float(value) => write_float(text, *value),
        Value::Integer(value) => write!(text, "{value}"),
        Value::Unsigned(value) => write!(text, "{value}"),
        Value::Boolean(value) => write!(text, "{value}"),
        Value::String(string) => {
            write_json_string(text, string);
            Ok(())
        }
        Value::Time(time) => match epoch {
            Some(unit) => write!(text, "{}", time / unit.nanoseconds()),
            None => write!(text, "\"{}\"", Rfc3339(*time, zone)),
        },
    };
}

/// The shortest digits that read back the same; with an exponent below 1e-6 and from 1e21 on, as Go's
/// `encoding/json` writes numbers.
fn write_float(text: &mut String, value: f64) -> std::fmt::Result {
    if !value.is_finite() {
        return text.write_str("null");
    }
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return write!(text, "{value}");
    }
    let written = format!("{value:e}");
    match written.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            write!(text, "{digits}e+{exponent}")
        }
        _ => text.write_str(&written),
    }
}

/// With the characters escaped that Go's `encoding/json` escapes.
pub(super) fn write_json_string(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        let _ = match character {
            '"' => text.write_str("\\\""),
            '\\' => text.write_str("\\\\"),
            '\n' => text.write_str("\\n"),
            '\r' => text.write_str("\\r"),
            '\t' => text.write_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                write!(text, "\\u{:04x}", u32::from(character))
            }
            other => text.write_char(other),
        };
    }
    text.push('"');
}

/// A cell, in quotes where it needs them.
pub(super) fn write_csv_cell(text: &mut String, cell: &str) {
    if cell.contains([',', '"', '\n', '\r']) || cell.starts_with(' ') {
        let _ = write!(text, "\"{}\"", cell.replace('"', "\"\""));
    } else {
        text.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, written) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (-0.000_001, "-0.000001"),
            (f64::INFINITY, "null"),
        ] {
            let mut text = String::new();
            write_float(&mut text, value).unwrap();
            assert_eq!(text, written);
        }
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let mut text = String::new();
        write_json_string(&mut text, "a\"<\u{1}ä\n");
        assert_eq!(text, r#""a\"\u003c\u0001ä\n""#);
    }
}
