//! Walking through a text.

use super::error::{Fault, excerpt};

/// A window of a text, and a place in it. Places are bytes of the whole text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    end: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            end: text.len(),
        }
    }

    /// The same text from the place up to `end`.
    pub(super) fn until(self, end: usize) -> Self {
        Self { end, ..self }
    }

    /// Where it is.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What is left of the window.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..self.end]
    }

    /// A piece of the text.
    pub(super) fn slice(&self, from: usize, to: usize) -> &'a str {
        &self.text[from..to]
    }

    /// Goes on by so many bytes, which must end at a character.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.end
    }

    /// The next byte.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    /// Goes over blanks.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|c| c.is_ascii_whitespace());
    }

    /// Takes what satisfies a condition.
    pub(super) fn take_while(&mut self, is_wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !is_wanted(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Takes a text if it is next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Takes a text, with blanks before it.
    pub(super) fn expect(&mut self, text: &str, what: &str) -> Result<(), Fault> {
        self.skip_blanks();
        if self.take(text) {
            return Ok(());
        }
        Err(self.fault(format!("expected `{text}` {what}, {}", self.found())))
    }

    /// Fails unless only blanks are left.
    pub(super) fn expect_end(&mut self) -> Result<(), Fault> {
        self.skip_blanks();
        if self.is_at_end() {
            return Ok(());
        }
        Err(self.fault(format!("expected the end, {}", self.found())))
    }

    /// A name of the model, an operator or a function: `phenomenonTime`, `@iot.id`, `geo.distance`.
    pub(super) fn take_name(&mut self) -> &'a str {
        self.take_while(is_name_char)
    }

    /// The same without taking it.
    pub(super) fn peek_name(&self) -> &'a str {
        let mut ahead = *self;
        ahead.take_name()
    }

    /// `found "x"`, for messages.
    pub(super) fn found(&self) -> String {
        match self.rest() {
            "" => "found the end".to_owned(),
            rest => {
                let word = rest.split_ascii_whitespace().next().unwrap_or(rest);
                format!("found `{}`", excerpt(word))
            }
        }
    }

    /// Something wrong here.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.at, message)
    }

    /// Where the part that begins here ends: before one of `ends` that is in no parentheses and no quotes,
    /// or at the end of the window.
    pub(super) fn end_of_part(&self, ends: &[u8]) -> Result<usize, Fault> {
        let mut open = Vec::new();
        let mut quote = None;
        for (offset, byte) in self.rest().bytes().enumerate() {
            let at = self.at + offset;
            if byte == b'\'' {
                quote = if quote.is_some() { None } else { Some(at) };
                continue;
            }
            if quote.is_some() {
                continue;
            }
            if open.is_empty() && ends.contains(&byte) {
                return Ok(at);
            }
            match byte {
                b'(' => open.push(at),
                b')' if open.pop().is_none() => {
                    return Err(Fault::new(at, "this `)` closes nothing"));
                }
                _ => {}
            }
        }
        if let Some(at) = quote {
            return Err(Fault::new(
                at,
                "the text that begins here has no closing `'`",
            ));
        }
        match open.pop() {
            Some(at) => Err(Fault::new(at, "this `(` is not closed")),
            None => Ok(self.end),
        }
    }
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '@' | '$')
}
