use std::borrow::Cow;

use super::Reason;

/// Takes the backslash from before each of `special`; elsewhere it stands for itself.
pub(super) fn unescaped<'a>(text: &'a [u8], special: &[u8]) -> Result<Cow<'a, str>, Reason> {
    unescaped_by(text, |byte| special.contains(&byte).then_some(byte))
}

/// Puts what `special` gives for a byte in the place of a backslash and that byte.
pub(super) fn unescaped_by(
    text: &[u8],
    special: impl Fn(u8) -> Option<u8>,
) -> Result<Cow<'_, str>, Reason> {
    if memchr::memchr(b'\\', text).is_none() {
        let text = std::str::from_utf8(text).map_err(|_| Reason::InvalidUtf8)?;
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..place]);
        if let Some(byte) = rest.get(place + 1).and_then(|next| special(*next)) {
            out.push(byte);
            rest = &rest[place + 2..];
        } else {
            out.push(b'\\');
            rest = &rest[place + 1..];
        }
    }
    out.extend_from_slice(rest);
    let out = String::from_utf8(out).map_err(|_| Reason::InvalidUtf8)?;
    Ok(Cow::Owned(out))
}
