//! Percent-encoding.

use super::SyntaxError;

/// The options of a query string, decoded: `+` is a blank, and a `%` that begins no byte stands for itself.
pub(super) fn options(raw: &str) -> Result<Vec<(String, String)>, SyntaxError> {
    raw.strip_prefix('?')
        .unwrap_or(raw)
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name, true).ok_or_else(|| not_utf8(None))?;
            let value = decode(value, true).ok_or_else(|| not_utf8(Some(name.trim())))?;
            Ok((name.trim().to_owned(), value))
        })
        .collect()
}

/// A text with its `%` bytes; `None` if it is no UTF-8. `+` stands for itself unless `plus_is_blank`.
pub(super) fn decode(raw: &str, plus_is_blank: bool) -> Option<String> {
    let bytes = raw.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex_byte(&bytes[at + 1..])) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) if plus_is_blank => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok()
}

/// A text as it stands in a query string.
pub(super) fn encode_into(target: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => target.push(byte.into()),
            // These have no meaning of their own there, and links stay readable.
            b'-' | b'_' | b'.' | b'~' | b'$' | b'(' | b')' | b',' | b'/' | b':' | b'@' | b'*'
            | b'\'' => {
                target.push(byte.into());
            }
            _ => {
                target.push('%');
                target.push(HEX[usize::from(byte >> 4)].into());
                target.push(HEX[usize::from(byte & 15)].into());
            }
        }
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn not_utf8(option: Option<&str>) -> SyntaxError {
    SyntaxError {
        option: option.map(str::to_owned),
        at: None,
        message: "the percent-encoded bytes are no UTF-8".to_owned(),
    }
}
