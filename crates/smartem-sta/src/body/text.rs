//! Texts within JSON that no store holds, and JSON for messages.

use serde_json::Value;

use super::DEPTH_MAX;
use super::error::below;

/// A problem within a value: the pointer to it from there, and the message.
pub(super) type Problem = (String, String);

/// Fails for JSON that is too deep, or has U+0000 in a text: PostgreSQL holds no such text.
pub(super) fn check_json(value: &Value) -> Result<(), Problem> {
    check(value, DEPTH_MAX)
}

fn check(value: &Value, depth: usize) -> Result<(), Problem> {
    if depth == 0 {
        return Err((
            String::new(),
            format!("JSON more than {DEPTH_MAX} levels deep"),
        ));
    }
    let within = |step: String| move |(rest, message): Problem| (step + &rest, message);
    match value {
        Value::String(text) => check_text(text).map_err(|message| (String::new(), message)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| check(item, depth - 1).map_err(within(below("", index)))),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            check_text(name).map_err(|message| (String::new(), message))?;
            check(member, depth - 1).map_err(within(below("", name)))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Fails for a text with U+0000.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("a text cannot contain the character U+0000; leave it out".to_owned());
    }
    Ok(())
}

/// A value, short enough for a message.
pub(super) fn show(value: &Value) -> String {
    const MAX: usize = 40;
    let kind = match value {
        Value::Array(_) => return "an array".to_owned(),
        Value::Object(_) => return "an object".to_owned(),
        scalar => scalar.to_string(),
    };
    match kind.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &kind[..end]),
        None => kind,
    }
}
