//! What is wrong with a path or query.

use std::fmt;

use smartem_model::nearest;

/// A path or query that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SyntaxError {
    /// The option that it is in: `$filter`; `None`: the path, or the query as a whole.
    pub option: Option<String>,
    /// The character of the decoded value (or path) where it is, from 1.
    pub at: Option<usize>,
    /// What is wrong, and how it would be right.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.option, self.at) {
            (Some(option), Some(at)) => write!(f, "in {option}, character {at}: ")?,
            (Some(option), None) => write!(f, "in {option}: ")?,
            (None, Some(at)) => write!(f, "in the path, character {at}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)
    }
}

/// Something wrong at a byte of a text.
#[derive(Debug)]
pub(super) struct Fault {
    /// Where, in bytes.
    pub(super) at: usize,
    /// What.
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// As it is told to clients; `text` is what it is in.
    pub(super) fn within(self, option: Option<&str>, text: &str) -> SyntaxError {
        let before = text
            .char_indices()
            .take_while(|(at, _)| *at < self.at)
            .count();
        SyntaxError {
            option: option.map(str::to_owned),
            at: Some(before + 1),
            message: self.message,
        }
    }
}

/// `; did you mean "name"?` when a known word is near, else the known words.
pub(super) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; known are {}", known.join(", ")),
    }
}

/// A piece of a client's text, short enough for a message.
pub(super) fn excerpt(text: &str) -> String {
    const MAX: usize = 40;
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
