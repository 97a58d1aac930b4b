use std::fmt;
use std::ops::{Deref, Range};

use super::TIMES;

/// So many errors of one text are kept; the rest are counted.
const KEPT: usize = 1_000;

/// So many characters of a faulty line are shown.
const SHOWN: usize = 200;

/// A line that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The line, counted from 1; of one with breaks in its strings, where it begins.
    pub line: u32,
    /// Where it stands in the text.
    pub place: Range<usize>,
    /// How it begins, at most 200 characters.
    pub text: Box<str>,
    /// What is wrong with it.
    pub reason: Reason,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} in `{}`", self.line, self.reason, self.text)
    }
}

/// The lines of a text that were left out: the first 1,000, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineErrors {
    first: Vec<LineError>,
    total: u64,
}

impl LineErrors {
    /// How many lines were left out.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn add(&mut self, text: &[u8], line: u32, place: Range<usize>, reason: Reason) {
        self.total += 1;
        if self.first.len() < KEPT {
            let shown = shortened(&text[place.clone()]);
            self.first.push(LineError {
                line,
                place,
                text: shown,
                reason,
            });
        }
    }
}

impl Deref for LineErrors {
    type Target = [LineError];

    fn deref(&self) -> &[LineError] {
        &self.first
    }
}

impl IntoIterator for LineErrors {
    type Item = LineError;
    type IntoIter = std::vec::IntoIter<LineError>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter()
    }
}

impl<'a> IntoIterator for &'a LineErrors {
    type Item = &'a LineError;
    type IntoIter = std::slice::Iter<'a, LineError>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.iter()
    }
}

fn shortened(line: &[u8]) -> Box<str> {
    // A character has at most four bytes.
    let line = &line[..line.len().min(SHOWN * 4 + 4)];
    let line = String::from_utf8_lossy(line);
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]).into(),
        None => line.into(),
    }
}

/// What is wrong with a line. The words are InfluxDB's where it has words for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It begins with a comma.
    #[error("missing measurement")]
    MissingMeasurement,
    /// It ends after measurement and tags.
    #[error("missing fields")]
    MissingFields,
    /// A comma is followed by no tag.
    #[error("missing tag key")]
    MissingTagKey,
    /// A tag has no value.
    #[error("missing tag value")]
    MissingTagValue,
    /// A tag has a second, unescaped `=`.
    #[error("invalid tag format")]
    InvalidTag,
    /// A tag is there twice.
    #[error("duplicate tags")]
    DuplicateTags,
    /// `=` without a name before it.
    #[error("missing field key")]
    MissingFieldKey,
    /// `=` without a value after it.
    #[error("missing field value")]
    MissingFieldValue,
    /// A name after which nothing is left, where quotes and backslashes are out of step.
    #[error("invalid value: field-key={0}")]
    InvalidValue(Box<str>),
    /// Neither float nor integer.
    #[error("invalid number")]
    InvalidNumber,
    /// A float that does not fit or has a wrong exponent.
    #[error("invalid float")]
    InvalidFloat,
    /// An integer that does not fit into 64 bits.
    #[error("unable to parse integer {0}: strconv.ParseInt: parsing \"{0}\": value out of range")]
    IntegerRange(Box<str>),
    /// Neither true nor false.
    #[error("invalid boolean")]
    InvalidBoolean,
    /// A string does not end.
    #[error("unbalanced quotes")]
    UnbalancedQuotes,
    /// Names and values are not in pairs.
    #[error("invalid field format")]
    InvalidFields,
    /// Not a whole number.
    #[error("bad timestamp")]
    BadTime,
    /// Only a sign.
    #[error("strconv.ParseInt: parsing \"{0}\": invalid syntax")]
    TimeSyntax(Box<str>),
    /// A time of more than 64 bits.
    #[error("strconv.ParseInt: parsing \"{0}\": value out of range")]
    TimeDigits(Box<str>),
    /// A time before 1677 or after 2262.
    #[error("time outside range {} - {}", TIMES.start(), TIMES.end())]
    TimeRange,
    /// Something follows the time.
    #[error("point is invalid")]
    Trailing,
    /// Measurement, tags and the name of a field are too long together.
    #[error("max key length exceeded: {0} > 65535")]
    KeyLength(usize),
    /// A name or string is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// A byte that may not stand where it stands.
    #[error("invalid character {:?}", char::from(*.0))]
    InvalidCharacter(u8),
}
