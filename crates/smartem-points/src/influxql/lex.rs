//! Text to tokens.

/// A piece of the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// The end of the text.
    End,
    /// Space or a comment; where it matters that there is none, it is seen.
    Space,
    /// A word of the language, in capitals.
    Word(&'static str),
    /// A sign.
    Sign(&'static str),
    /// A name, bare or in double quotes.
    Name(String),
    /// A text in single quotes.
    String(String),
    /// Digits with a fraction.
    Number(String),
    /// Digits.
    Integer(String),
    /// Digits with units.
    Duration(String),
    /// `$name`, with the sign.
    Parameter(String),
    /// A character that means nothing.
    Illegal(char),
    /// A text that does not end.
    BadString(String),
    /// A text with an escape that there is not.
    BadEscape(String),
}

const WORDS: [&str; 80] = [
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BEGIN",
    "BY",
    "CARDINALITY",
    "CONTINUOUS",
    "CREATE",
    "DATABASE",
    "DATABASES",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DESTINATIONS",
    "DIAGNOSTICS",
    "DISTINCT",
    "DROP",
    "DURATION",
    "END",
    "EVERY",
    "EXACT",
    "EXPLAIN",
    "FALSE",
    "FIELD",
    "FOR",
    "FROM",
    "GRANT",
    "GRANTS",
    "GROUP",
    "GROUPS",
    "IN",
    "INF",
    "INSERT",
    "INTO",
    "KEY",
    "KEYS",
    "KILL",
    "LIMIT",
    "MEASUREMENT",
    "MEASUREMENTS",
    "NAME",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "PASSWORD",
    "POLICIES",
    "POLICY",
    "PRIVILEGES",
    "QUERIES",
    "QUERY",
    "READ",
    "REPLICATION",
    "RESAMPLE",
    "RETENTION",
    "REVOKE",
    "SELECT",
    "SERIES",
    "SET",
    "SHARD",
    "SHARDS",
    "SHOW",
    "SLIMIT",
    "SOFFSET",
    "STATS",
    "SUBSCRIPTION",
    "SUBSCRIPTIONS",
    "TAG",
    "TO",
    "TRUE",
    "USER",
    "USERS",
    "VALUES",
    "WHERE",
    "WITH",
    "WRITE",
];

/// The word of the language that this is, in capitals.
pub(crate) fn keyword(text: &str) -> Option<&'static str> {
    let found = WORDS.iter().find(|word| word.eq_ignore_ascii_case(text));
    found.copied()
}

/// Reads tokens from any place of a text.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

/// A regular expression between slashes.
pub(crate) enum Regular {
    Good(String),
    /// Does not end.
    Bad(String),
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where the next token begins, in bytes.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Goes (back) to a place.
    pub(crate) fn go(&mut self, at: usize) {
        self.at = at;
    }

    /// The character at a place.
    pub(crate) fn at_place(&self, at: usize) -> Option<char> {
        self.text[at..].chars().next()
    }

    /// The next character.
    pub(crate) fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn second(&self) -> Option<char> {
        self.text[self.at..].chars().nth(1)
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|it| !accept(it)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Line and character of a place, both from 1.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line = before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |it| it + 1);
        (line + 1, before[start..].chars().count() + 1)
    }

    /// The next token and where it begins.
    pub(crate) fn next(&mut self) -> (usize, Token) {
        let start = self.at;
        let Some(first) = self.peek() else {
            return (start, Token::End);
        };
        let token = match first {
            ' ' | '\t' | '\n' => {
                self.take_while(|it| matches!(it, ' ' | '\t' | '\n'));
                Token::Space
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let text = self.take_while(|it| it.is_ascii_alphanumeric() || it == '_');
                keyword(text).map_or_else(|| Token::Name(text.to_owned()), Token::Word)
            }
            '0'..='9' => self.number(),
            '.' if self.second().is_some_and(|it| it.is_ascii_digit()) => self.number(),
            '"' => match self.quoted('"') {
                Token::String(text) => Token::Name(text),
                other => other,
            },
            '\'' => self.quoted('\''),
            '$' => {
                self.at += 1;
                let name = if self.peek() == Some('"') {
                    match self.quoted('"') {
                        Token::String(text) => text,
                        other => return (start, other),
                    }
                } else {
                    let name = self.take_while(|it| it.is_ascii_alphanumeric() || it == '_');
                    name.to_owned()
                };
                Token::Parameter(format!("${name}"))
            }
            _ => self.sign(first),
        };
        (start, token)
    }

    fn sign(&mut self, first: char) -> Token {
        let second = self.second();
        if first == '-' && second == Some('-') {
            self.take_while(|it| it != '\n');
            return Token::Space;
        }
        if first == '/' && second == Some('*') {
            let rest = &self.text[self.at + 2..];
            return if let Some(end) = rest.find("*/") {
                self.at += end + 4;
                Token::Space
            } else {
                self.at = self.text.len();
                Token::Illegal('/')
            };
        }
        let pair = match (first, second) {
            ('!', Some('=')) | ('<', Some('>')) => "!=",
            ('!', Some('~')) => "!~",
            ('=', Some('~')) => "=~",
            ('<', Some('=')) => "<=",
            ('>', Some('=')) => ">=",
            (':', Some(':')) => "::",
            _ => "",
        };
        if !pair.is_empty() {
            self.at += 2;
            return Token::Sign(pair);
        }
        self.at += first.len_utf8();
        let sign = match first {
            '+' => "+",
            '-' => "-",
            '*' => "*",
            '/' => "/",
            '%' => "%",
            '&' => "&",
            '|' => "|",
            '^' => "^",
            '=' => "=",
            '<' => "<",
            '>' => ">",
            '(' => "(",
            ')' => ")",
            ',' => ",",
            ';' => ";",
            ':' => ":",
            '.' => ".",
            other => return Token::Illegal(other),
        };
        Token::Sign(sign)
    }

    fn number(&mut self) -> Token {
        let start = self.at;
        self.take_while(|it| it.is_ascii_digit());
        let mut whole = true;
        if self.peek() == Some('.') {
            let digits = self.second().is_some_and(|it| it.is_ascii_digit());
            if digits || start < self.at {
                whole = false;
                self.at += 1;
                self.take_while(|it| it.is_ascii_digit());
            }
        }
        let unit = |it: char| it.is_ascii_alphabetic() || it == 'µ';
        if whole && self.peek().is_some_and(unit) {
            self.take_while(|it| it.is_ascii_digit() || unit(it));
            return Token::Duration(self.text[start..self.at].to_owned());
        }
        let text = self.text[start..self.at].to_owned();
        if whole {
            Token::Integer(text)
        } else {
            Token::Number(text)
        }
    }

    /// A text in quotes, with its escapes undone.
    fn quoted(&mut self, quote: char) -> Token {
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(character) = self.peek() else {
                return Token::BadString(text);
            };
            self.at += character.len_utf8();
            match character {
                '\n' => return Token::BadString(text),
                '\\' => {
                    let escaped = self.peek();
                    self.at += escaped.map_or(0, char::len_utf8);
                    match escaped {
                        Some('n') => text.push('\n'),
                        Some(it @ ('\\' | '"' | '\'')) => text.push(it),
                        other => {
                            let shown = other.map_or(String::new(), String::from);
                            return Token::BadEscape(format!("\\{shown}"));
                        }
                    }
                }
                it if it == quote => return Token::String(text),
                it => text.push(it),
            }
        }
    }

    /// A regular expression; the next character is `/`.
    pub(crate) fn regular(&mut self) -> (usize, Regular) {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(character) = self.peek() else {
                return (start, Regular::Bad(text));
            };
            self.at += character.len_utf8();
            match character {
                '\n' => return (start, Regular::Bad(text)),
                '/' => return (start, Regular::Good(text)),
                '\\' if self.peek() == Some('/') => {
                    self.at += 1;
                    text.push('/');
                }
                it => text.push(it),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let mut lexer = Lexer::new(text);
        let mut all = Vec::new();
        loop {
            match lexer.next().1 {
                Token::End => return all,
                Token::Space => {}
                token => all.push(token),
            }
        }
    }

    #[test]
    fn names_numbers_and_durations() {
        use Token::{Duration, Integer, Name, Number, Sign, String, Word};
        assert_eq!(
            tokens(r#"select "a \"b\"" 'it\'s' 1.5 .5 10 1h30m != <> a.b -- note"#),
            [
                Word("SELECT"),
                Name("a \"b\"".into()),
                String("it's".into()),
                Number("1.5".into()),
                Number(".5".into()),
                Integer("10".into()),
                Duration("1h30m".into()),
                Sign("!="),
                Sign("!="),
                Name("a".into()),
                Sign("."),
                Name("b".into()),
            ]
        );
    }
}
