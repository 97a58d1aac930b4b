//! Text to statements.

mod expr;
mod manage;
mod select;
mod show;

use std::collections::BTreeMap;

use regex::Regex;

use super::ast::Statement;
use super::lex::{Lexer, Regular, Token};

/// So deep may parentheses, calls and subqueries stand in each other.
const MAX_DEPTH: usize = 48;
/// So many operators may one expression have.
const MAX_OPERATORS: usize = 500;

/// A text that is no InfluxQL, in InfluxDB's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing query: {0}")]
pub struct ParseError(String);

/// A value for `$name` in a text.
#[derive(Clone, Debug)]
pub enum Parameter {
    /// A text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// `true` or `false`
    Boolean(bool),
    /// `{"regex": "..."}`
    Regex(String),
    /// `{"identifier": "..."}`
    Identifier(String),
    /// `{"duration": "..."}`
    Duration(String),
}

/// The statements of a text.
///
/// # Errors
/// The first that is wrong, in InfluxDB's words.
pub fn parse(text: &str) -> Result<Vec<Statement>, ParseError> {
    parse_with(text, &BTreeMap::new())
}

/// The statements of a text with parameters.
///
/// # Errors
/// The first that is wrong, in InfluxDB's words.
pub fn parse_with(
    text: &str,
    parameters: &BTreeMap<String, Parameter>,
) -> Result<Vec<Statement>, ParseError> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        parameters,
        depth: 0,
        operators: 0,
    };
    let mut statements = Vec::new();
    let mut separated = true;
    loop {
        let (at, token) = parser.next();
        match token {
            Token::End => return Ok(statements),
            Token::Sign(";") => separated = true,
            token if !separated => return Err(parser.unexpected(at, &token, &[";"])),
            _ => {
                parser.lexer.go(at);
                statements.push(parser.statement()?);
                separated = false;
            }
        }
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    parameters: &'a BTreeMap<String, Parameter>,
    depth: usize,
    operators: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl Parser<'_> {
    /// The next token, spaces too, with parameters in their place.
    fn next_raw(&mut self) -> (usize, Token) {
        let (at, token) = self.lexer.next();
        let Token::Parameter(name) = &token else {
            return (at, token);
        };
        let token = match self.parameters.get(&name[1..]) {
            Some(Parameter::String(text)) => Token::String(text.clone()),
            Some(Parameter::Integer(value)) => Token::Integer(value.to_string()),
            Some(Parameter::Number(value)) => Token::Number(format!("{value:?}")),
            Some(Parameter::Boolean(true)) => Token::Word("TRUE"),
            Some(Parameter::Boolean(false)) => Token::Word("FALSE"),
            Some(Parameter::Identifier(name)) => Token::Name(name.clone()),
            Some(Parameter::Duration(text)) => Token::Duration(text.clone()),
            Some(Parameter::Regex(_)) | None => token,
        };
        (at, token)
    }

    /// The next token that is no space.
    fn next(&mut self) -> (usize, Token) {
        loop {
            let (at, token) = self.next_raw();
            if token != Token::Space {
                return (at, token);
            }
        }
    }

    /// Takes this word, if it is next.
    fn word(&mut self, word: &str) -> bool {
        let mark = self.lexer.at();
        let found = matches!(self.next().1, Token::Word(it) if it == word);
        if !found {
            self.lexer.go(mark);
        }
        found
    }

    /// Takes this sign, if it is next.
    fn sign(&mut self, sign: &str) -> bool {
        let mark = self.lexer.at();
        let found = matches!(self.next().1, Token::Sign(it) if it == sign);
        if !found {
            self.lexer.go(mark);
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        let (at, token) = self.next();
        match token {
            Token::Word(it) if it == word => Ok(()),
            token => Err(self.unexpected(at, &token, &[word])),
        }
    }

    fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        let (at, token) = self.next();
        match token {
            Token::Sign(it) if it == sign => Ok(()),
            token => Err(self.unexpected(at, &token, &[sign])),
        }
    }

    fn name(&mut self) -> Parsed<String> {
        let (at, token) = self.next();
        match token {
            Token::Name(name) => Ok(name),
            token => Err(self.unexpected(at, &token, &["identifier"])),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let (at, token) = self.next();
        match token {
            Token::String(text) => Ok(text),
            token => Err(self.unexpected(at, &token, &["string"])),
        }
    }

    /// `LIMIT 5` and the like; 0 where it is not there.
    fn optional_number(&mut self, word: &str) -> Parsed<usize> {
        if !self.word(word) {
            return Ok(0);
        }
        let (at, token) = self.next();
        match token {
            // InfluxDB takes the greatest where a number is too great.
            Token::Integer(digits) => Ok(digits.parse().unwrap_or(usize::MAX)),
            token => Err(self.unexpected(at, &token, &["integer"])),
        }
    }

    fn unexpected(&self, at: usize, found: &Token, expected: &[&str]) -> ParseError {
        let found = match found {
            Token::End => "EOF".to_owned(),
            Token::Space => "WS".to_owned(),
            Token::Word(word) => (*word).to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Illegal(character) => character.to_string(),
            Token::Name(text)
            | Token::String(text)
            | Token::Number(text)
            | Token::Integer(text)
            | Token::Duration(text)
            | Token::Parameter(text)
            | Token::BadString(text)
            | Token::BadEscape(text) => text.clone(),
        };
        self.problem(
            at,
            &format!("found {found}, expected {}", expected.join(", ")),
        )
    }

    fn problem(&self, at: usize, problem: &str) -> ParseError {
        let (line, mut character) = self.lexer.position(at);
        // InfluxDB counts the end one further, and a text in quotes from before its quote.
        match self.lexer.at_place(at) {
            None => character += 1,
            Some('"' | '\'') => character -= 1,
            Some(_) => {}
        }
        ParseError(format!("{problem} at line {line}, char {character}"))
    }

    /// Goes one level deeper while `parse` runs.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            let problem = format!("nested too deeply; the limit is {MAX_DEPTH} levels");
            return Err(self.problem(self.lexer.at(), &problem));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// A regular expression, if one is next.
    fn regex(&mut self) -> Parsed<Option<Regex>> {
        let mark = self.lexer.at();
        if matches!(self.lexer.peek(), Some(' ' | '\t' | '\n')) {
            self.lexer.next();
        }
        let (at, text) = match self.lexer.peek() {
            Some('$') => {
                let (at, token) = self.lexer.next();
                let parameter = match &token {
                    Token::Parameter(name) => self.parameters.get(&name[1..]),
                    _ => None,
                };
                let Some(Parameter::Regex(text)) = parameter else {
                    self.lexer.go(mark);
                    return Ok(None);
                };
                (at, text.clone())
            }
            Some('/') => match self.lexer.regular() {
                (at, Regular::Good(text)) => (at, text),
                (at, Regular::Bad(text)) => {
                    return Err(self.problem(at, &format!("bad regex: {text}")));
                }
            },
            _ => {
                self.lexer.go(mark);
                return Ok(None);
            }
        };
        match regex::RegexBuilder::new(&text).size_limit(1 << 20).build() {
            Ok(regex) => Ok(Some(regex)),
            Err(error) => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                Err(self.problem(at, &format!("error parsing regexp: {reason}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_place_and_what_was_expected() {
        for (text, error) in [
            (
                "SELECT",
                "found EOF, expected identifier, string, number, bool at line 1, char 8",
            ),
            ("SHOW DATABASES x", "found x, expected ; at line 1, char 16"),
            (
                "SELECT a\nFROM 1",
                "found 1, expected identifier at line 2, char 6",
            ),
        ] {
            let found = parse(text).unwrap_err().to_string();
            assert_eq!(found, format!("error parsing query: {error}"), "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let deep = format!("SELECT {}a{} FROM m", "(".repeat(1000), ")".repeat(1000));
        assert!(parse(&deep).unwrap_err().to_string().contains("too deeply"));
        let long = format!("SELECT a FROM m WHERE {}", ["a = 1"; 1000].join(" OR "));
        assert!(parse(&long).unwrap_err().to_string().contains("operators"));
    }

    #[test]
    fn parameters_are_put_in_their_place() {
        let parameters = BTreeMap::from([
            ("v".to_owned(), Parameter::Number(1.0)),
            ("r".to_owned(), Parameter::Regex("^a".to_owned())),
        ]);
        let text = "SELECT a FROM m WHERE a > $v AND t =~ $r";
        let statements = parse_with(text, &parameters).unwrap();
        let Statement::Select(select) = &statements[0] else {
            panic!("{statements:?}")
        };
        let condition = select.condition.as_ref().unwrap().to_string();
        assert_eq!(condition, "a > 1.000 AND t =~ /^a/");
        let missing = parse(text).unwrap_err().to_string();
        assert_eq!(missing, "error parsing query: missing parameter: v");
    }
}
