//! The quick way through a list of samples in its usual form.
//!
//! A station writes sample after sample in the same way: what stands between two values, the next
//! key with all its punctuation, is nearly always what stood there in the sample before. So it is
//! compared as a whole instead of being read. Whatever is not of the usual form (nested values,
//! escapes, samples that are no objects, faults) ends the quick way, and the text is read from its
//! beginning in the general way of [`super::decode`], which gives the same samples.

use std::ops::Range;

use super::samples::{Cell, Samples, SamplesBuilder, cell_of};

/// The samples of the list that begins at `start` of the text, and the place behind the list.
///
/// `None` when the list is not of the usual form or no JSON at all.
pub(super) fn samples(text: &str, start: usize) -> Option<(Samples, usize)> {
    let mut scanner = Scanner {
        text,
        at: start,
        builder: SamplesBuilder::default(),
        expected: Vec::new(),
    };
    scanner.list()?;
    Some((scanner.builder.finish(), scanner.at))
}

struct Scanner<'a> {
    text: &'a str,
    /// The next byte to read.
    at: usize,
    builder: SamplesBuilder,
    /// What is expected behind the value of each column; at 0 behind the beginning of a sample.
    expected: Vec<Expected>,
}

/// A key with the punctuation around it, as it stood there last time.
#[derive(Clone, Debug)]
struct Expected {
    /// Where in the text; empty when nothing is known.
    lead: Range<usize>,
    column: usize,
}

/// What follows in a sample.
enum Next {
    /// A value of this column.
    ValueOf(usize),
    End,
}

const NOTHING: Expected = Expected {
    lead: 0..0,
    column: 0,
};

impl Scanner<'_> {
    fn list(&mut self) -> Option<()> {
        self.take(b'[')?;
        let rest = &self.text[self.at..];
        // All samples are about as long as the first.
        let length = rest.find('}').unwrap_or(rest.len()) + 1;
        self.builder.expect_rows(rest.len() / length + 1);
        self.skip_blanks();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.take(b'{')?;
            self.sample()?;
            self.builder.finish_row();
            if self.builder.is_too_wide() {
                return None;
            }
            self.skip_blanks();
            match self.next()? {
                b',' => self.skip_blanks(),
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads the members of a sample and its closing brace.
    fn sample(&mut self) -> Option<()> {
        // 0 before the first member, else the column of the last one and 1.
        let mut before = 0;
        loop {
            let column = match self.expected_column(before) {
                Some(column) => column,
                None => match self.column(before)? {
                    Next::ValueOf(column) => column,
                    Next::End => return Some(()),
                },
            };
            self.value(column)?;
            before = column + 1;
        }
    }

    /// The column that follows, when it is the one that followed last time.
    #[inline]
    fn expected_column(&mut self, before: usize) -> Option<usize> {
        let expected = self.expected.get(before)?;
        let lead = &self.text.as_bytes()[expected.lead.clone()];
        let end = self.at + lead.len();
        let here = self.text.as_bytes().get(self.at..end)?;
        if lead.is_empty() || !same(here, lead) {
            return None;
        }
        self.at = end;
        Some(expected.column)
    }

    /// Reads up to the next value, or the end of the sample.
    fn column(&mut self, before: usize) -> Option<Next> {
        let start = self.at;
        self.skip_blanks();
        match self.peek()? {
            b'}' => {
                self.at += 1;
                return Some(Next::End);
            }
            b',' if before > 0 => {
                self.at += 1;
                self.skip_blanks();
            }
            _ if before > 0 => return None,
            _ => {}
        }
        let key = self.plain_string()?;
        self.skip_blanks();
        self.take(b':')?;
        self.skip_blanks();
        let column = self.builder.column_of(&self.text[key]);
        if self.expected.len() <= before {
            self.expected.resize(before + 1, NOTHING);
        }
        self.expected[before] = Expected {
            lead: start..self.at,
            column,
        };
        Some(Next::ValueOf(column))
    }

    /// Reads a value into a column.
    #[inline]
    fn value(&mut self, column: usize) -> Option<()> {
        if let Some(integer) = self.short_integer() {
            self.builder.push_integer(column, integer);
            return Some(());
        }
        self.other_value(column)
    }

    /// A whole number from 0 to eight digits long; the place stays before anything else.
    #[inline]
    fn short_integer(&mut self) -> Option<i64> {
        let chunk = self.text.as_bytes().get(self.at..)?.first_chunk::<9>()?;
        let (digits, _) = chunk.split_first_chunk::<8>()?;
        let digits = u64::from_le_bytes(*digits);
        let count = leading_digits(digits);
        let is_plain = match chunk.get(count) {
            Some(b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t') => {
                count == 1 || (count > 1 && chunk[0] != b'0')
            }
            _ => false,
        };
        if !is_plain {
            return None;
        }
        self.at += count;
        Some(number_of(digits, count))
    }

    fn other_value(&mut self, column: usize) -> Option<()> {
        self.skip_blanks();
        let start = self.at;
        match self.peek()? {
            b'"' => {
                self.plain_string()?;
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b'n' => self.word("null")?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            _ => return None,
        }
        let mut unused = String::new();
        let cell: Cell<'_> = cell_of(&self.text[start..self.at], &mut unused);
        self.builder.push_at(column, cell);
        Some(())
    }

    /// Reads a string without escapes; gives what stands between the quotes.
    fn plain_string(&mut self) -> Option<Range<usize>> {
        self.take(b'"')?;
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1F);
        let length = rest.iter().position(is_special)?;
        if rest[length] != b'"' {
            return None;
        }
        self.at = start + length + 1;
        Some(start..start + length)
    }

    /// Reads a number by the grammar of JSON (RFC 8259, section 6).
    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        if self.peek()? == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek()? == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek()?, b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek()?, b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// Reads at least one digit.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek()?.is_ascii_digit() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let is_here = self.text.get(self.at..)?.starts_with(word);
        self.at += word.len();
        is_here.then_some(())
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Whether two texts of one length are the same; without a call or a loop for the usual lengths.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let half = |bytes: &[u8; 16]| u128::from_le_bytes(*bytes);
    // Both ends, which overlap.
    let ends = |bytes: &[u8]| {
        let first = bytes.first_chunk().map(half);
        first.zip(bytes.last_chunk().map(half))
    };
    match (a.len(), ends(a), ends(b)) {
        (16..=32, Some(a), Some(b)) => (a.0 ^ b.0) | (a.1 ^ b.1) == 0,
        _ => a == b,
    }
}

/// How many of eight characters, the first in the lowest byte, are digits before any other.
#[inline]
fn leading_digits(characters: u64) -> usize {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const HIGH_NIBBLES: u64 = 0xF0F0_F0F0_F0F0_F0F0;
    const SIX: u64 = 0x0606_0606_0606_0606;
    // A digit is 0x30 to 0x39: its high nibble is 3, also after 6 is added.
    let not_3 = (characters & HIGH_NIBBLES) ^ ZEROS;
    let beyond_9 = (characters.wrapping_add(SIX) & HIGH_NIBBLES) ^ ZEROS;
    // A carry out of a byte can only disturb later ones, behind the first that is no digit.
    (not_3 | beyond_9).trailing_zeros() as usize / 8
}

/// The number that the first `count` (1 to 8) of eight digits make.
#[inline]
fn number_of(digits: u64, count: usize) -> i64 {
    // Shifted so that leading zeros fill up; then pairs, fours and eights are put together.
    let digits = (digits << (64 - 8 * count)) & 0x0F0F_0F0F_0F0F_0F0F;
    let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    let eights = (fours.wrapping_mul(10_000) + (fours >> 32)) & 0xFFFF_FFFF;
    eights.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_up_to_eight_digits_are_read_at_once() {
        for text in [
            "0,      ",
            "7}123456",
            "42 99999",
            "1234567\n",
            "87654321",
            "00000100",
        ] {
            let digits = u64::from_le_bytes(text.as_bytes().try_into().unwrap());
            let count = leading_digits(digits);
            let expected = text.bytes().take_while(u8::is_ascii_digit).count();
            assert_eq!(count, expected, "{text}");
            assert_eq!(
                number_of(digits, count).to_string(),
                text[..count].parse::<i64>().unwrap().to_string()
            );
        }
        for other in [
            "/       ",
            ":       ",
            "\u{ff}\u{ff}\u{ff}\u{ff}",
            "-1      ",
        ] {
            let characters = u64::from_le_bytes(other.as_bytes().try_into().unwrap());
            assert_eq!(leading_digits(characters), 0, "{other}");
        }
    }

    #[test]
    fn what_is_not_of_the_usual_form_is_left_to_the_general_way() {
        for text in [
            "",
            "[",
            "[1]",
            "[{]",
            r#"[{"a":{}}]"#,
            r#"[{"a":"\n"}]"#,
            r#"[{"a":01}]"#,
            r#"[{"a":1.}]"#,
            r#"[{"a":-}]"#,
            r#"[{"a":1,}]"#,
            r#"[{,"a":1}]"#,
            r#"[{"a":1 "b":2}]"#,
            r#"[{"a" 1}]"#,
            r#"[{"a":1},]"#,
            r#"[{"a":tru}]"#,
            r#"[{"a":1}"#,
            "[{\"a\":\"\t\"}]",
            r#"[{"a":1e}]"#,
        ] {
            assert!(samples(text, 0).is_none(), "{text}");
        }
    }
}
