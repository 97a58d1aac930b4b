//! JSON as Go writes it, and the headers of InfluxDB.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

/// The version whose behaviour the faces have; clients choose by it what they ask.
pub(super) const VERSION: &str = "1.6.7";

const BUILD: &str = concat!("smartem-", env!("CARGO_PKG_VERSION"));

const X_BUILD: HeaderName = HeaderName::from_static("x-influxdb-build");
const X_VERSION: HeaderName = HeaderName::from_static("x-influxdb-version");

/// An answer with the headers that all answers have.
pub(super) fn answer(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(X_BUILD, HeaderValue::from_static(BUILD));
    headers.insert(X_VERSION, HeaderValue::from_static(VERSION));
    response
}

/// A message that a header can hold: on one line, and short enough for every client.
pub(super) fn header_text(message: &str) -> Option<HeaderValue> {
    const LONGEST: usize = 4_096;
    let line: String = message
        .char_indices()
        .take_while(|(start, character)| start + character.len_utf8() <= LONGEST)
        .map(|(_, character)| match character {
            '\n' | '\r' => ' ',
            other => other,
        })
        .filter(|character| !character.is_ascii_control())
        .collect();
    HeaderValue::from_bytes(line.as_bytes()).ok()
}

/// A JSON string as Go's `encoding/json` writes it, with its quotes.
pub(super) fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\0'..'\u{20}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string never fails.
                let _ = write!(json, "\\u{:04x}", u32::from(character));
            }
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

/// A name in quotes, as Go's `%q` writes it.
pub(super) fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for character in name.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\0'..'\u{20}' | '\u{7F}' => {
                let _ = write!(text, "\\x{:02x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_go_writes_them() {
        let text = "a\"b\\c<&>\n\t\u{1}\u{8}é\u{2028}";
        let json = json_string(text);
        assert_eq!(
            json,
            r#""a\"b\\c\u003c\u0026\u003e\n\t\u0001\u0008é\u2028""#
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(quoted("a\"b\\c\n\u{1}é"), r#""a\"b\\c\n\x01é""#);
    }

    #[test]
    fn headers_are_one_short_line() {
        let value = header_text("one\ntwo\r\u{1}\u{7F}é").unwrap();
        assert_eq!(value.as_bytes(), "one two é".as_bytes());
        assert_eq!(header_text(&"é".repeat(9_000)).unwrap().len(), 4_096);
    }
}
