//! Expressions.

use super::{MAX_OPERATORS, ParseError, Parsed, Parser};
use crate::influxql::ast::{DataType, Expr, Operator};
use crate::influxql::lex::Token;
use crate::influxql::print::Name;
use crate::influxql::time::parse_duration;

impl Parser<'_> {
    /// An expression with operators of any strength.
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| parser.expr_above(0))
    }

    /// An expression whose operators bind stronger than `least`.
    fn expr_above(&mut self, least: u8) -> Parsed<Expr> {
        let mut left = self.unary()?;
        loop {
            let mark = self.lexer.at();
            let (at, token) = self.next();
            let operator = operator(&token).filter(|it| it.precedence() > least);
            let Some(operator) = operator else {
                self.lexer.go(mark);
                return Ok(left);
            };
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                let problem = format!("an expression has more than {MAX_OPERATORS} operators");
                return Err(self.problem(at, &problem));
            }
            let right = if matches!(operator, Operator::EqRegex | Operator::NeqRegex) {
                if let Some(regex) = self.regex()? {
                    Expr::Regex(regex)
                } else {
                    let (at, token) = self.next();
                    return Err(self.unexpected(at, &token, &["regex"]));
                }
            } else {
                self.expr_above(operator.precedence())?
            };
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let (at, token) = self.next();
        match token {
            Token::Sign("(") => {
                let inner = self.expr()?;
                self.expect_sign(")")?;
                Ok(Expr::Paren(Box::new(inner)))
            }
            Token::Name(name) => {
                let mark = self.lexer.at();
                if self.next_raw().1 == Token::Sign("(") {
                    return self.deeper(|parser| parser.call(&name));
                }
                self.lexer.go(mark);
                self.variable(at)
            }
            Token::Word("DISTINCT") => self.distinct(),
            Token::String(text) => Ok(Expr::String(text)),
            Token::Number(text) => text
                .parse()
                .map(Expr::Number)
                .map_err(|_| self.problem(at, "unable to parse number")),
            Token::Integer(text) => {
                let integer = text.parse().map(Expr::Integer);
                let number = integer.or_else(|_| text.parse().map(Expr::Unsigned));
                number.map_err(|_| self.problem(at, "unable to parse integer"))
            }
            Token::Word("TRUE") => Ok(Expr::Boolean(true)),
            Token::Word("FALSE") => Ok(Expr::Boolean(false)),
            Token::Duration(text) => parse_duration(&text)
                .map(Expr::Duration)
                .map_err(ParseError),
            Token::Sign("*") => {
                let mark = self.lexer.at();
                if self.next_raw().1 != Token::Sign("::") {
                    self.lexer.go(mark);
                    return Ok(Expr::Wildcard(DataType::Unknown));
                }
                let (at, token) = self.next_raw();
                match token {
                    Token::Word("FIELD") => Ok(Expr::Wildcard(DataType::AnyField)),
                    Token::Word("TAG") => Ok(Expr::Wildcard(DataType::Tag)),
                    token => Err(self.unexpected(at, &token, &["field", "tag"])),
                }
            }
            Token::Sign(sign @ ("+" | "-")) => self.signed(sign == "-"),
            Token::Parameter(name) => Err(ParseError(match &name[1..] {
                "" => "empty bound parameter".to_owned(),
                name if self.parameters.contains_key(name) => {
                    format!("parameter {name} cannot stand here")
                }
                name => format!("missing parameter: {name}"),
            })),
            token => {
                let expected = ["identifier", "string", "number", "bool"];
                Err(self.unexpected(at, &token, &expected))
            }
        }
    }

    /// What follows a sign.
    fn signed(&mut self, negative: bool) -> Parsed<Expr> {
        let mark = self.lexer.at();
        let (at, token) = self.next();
        let good = matches!(
            token,
            Token::Number(_)
                | Token::Integer(_)
                | Token::Duration(_)
                | Token::Name(_)
                | Token::Sign("(")
        );
        if !good {
            let expected = ["identifier", "number", "duration", "("];
            return Err(self.unexpected(at, &token, &expected));
        }
        self.lexer.go(mark);
        let expr = self.unary()?;
        Ok(match expr {
            expr if !negative && expr.is_literal() => expr,
            Expr::Number(value) => Expr::Number(-value),
            Expr::Integer(value) => Expr::Integer(-value),
            Expr::Duration(value) => Expr::Duration(-value),
            Expr::Unsigned(value) if value == 1 << 63 => Expr::Integer(i64::MIN),
            Expr::Unsigned(value) => {
                return Err(ParseError(format!("constant -{value} underflows int64")));
            }
            expr => {
                let factor = Expr::Integer(if negative { -1 } else { 1 });
                Expr::Binary(Operator::Mul, Box::new(factor), Box::new(expr))
            }
        })
    }

    fn distinct(&mut self) -> Parsed<Expr> {
        let (at, token) = self.next_raw();
        match token {
            Token::Sign("(") => self.deeper(|parser| parser.call("distinct")),
            Token::Space => Ok(Expr::Distinct(self.name()?)),
            token => Err(self.unexpected(at, &token, &["(", "identifier"])),
        }
    }

    /// A variable that begins at this place.
    fn variable(&mut self, at: usize) -> Parsed<Expr> {
        self.lexer.go(at);
        let name = self.segments()?.join(".");
        let mark = self.lexer.at();
        if self.next_raw().1 != Token::Sign("::") {
            self.lexer.go(mark);
            return Ok(Expr::var(&name, DataType::Unknown));
        }
        let (at, token) = self.next_raw();
        let data_type = match &token {
            Token::Name(name) => match name.to_ascii_lowercase().as_str() {
                "float" => DataType::Float,
                "integer" => DataType::Integer,
                "unsigned" => DataType::Unsigned,
                "string" => DataType::String,
                "boolean" => DataType::Boolean,
                _ => DataType::Unknown,
            },
            Token::Word("FIELD") => DataType::AnyField,
            Token::Word("TAG") => DataType::Tag,
            _ => DataType::Unknown,
        };
        if data_type == DataType::Unknown {
            let mut expected = vec!["float", "integer", "string", "boolean", "field", "tag"];
            if matches!(token, Token::Name(_)) {
                expected.insert(2, "unsigned");
            }
            return Err(self.unexpected(at, &token, &expected));
        }
        Ok(Expr::var(&name, data_type))
    }

    /// Names with dots between.
    pub(super) fn segments(&mut self) -> Parsed<Vec<String>> {
        let mut segments = vec![self.name()?];
        loop {
            let mark = self.lexer.at();
            if self.next_raw().1 != Token::Sign(".") {
                self.lexer.go(mark);
                break;
            }
            match self.lexer.peek() {
                Some('/' | ':') => break,
                Some('.') => segments.push(String::new()),
                _ => segments.push(self.name()?),
            }
        }
        if segments.len() > 3 {
            let last = segments.pop().unwrap_or_default();
            let mut names: Vec<String> = segments.iter().map(|it| format!("\"{it}\"")).collect();
            names.push(Name(&last).to_string());
            let problem = format!("too many segments in {}", names.join("."));
            return Err(ParseError(format!("{problem} at line 1, char 1")));
        }
        Ok(segments)
    }

    /// The arguments of a function whose parenthesis is open.
    fn call(&mut self, name: &str) -> Parsed<Expr> {
        let name = name.to_ascii_lowercase();
        let mut args = Vec::new();
        loop {
            if let Some(regex) = self.regex()? {
                args.push(Expr::Regex(regex));
            } else {
                let mark = self.lexer.at();
                if args.is_empty() && self.next_raw().1 == Token::Sign(")") {
                    return Ok(Expr::Call { name, args });
                }
                self.lexer.go(mark);
                args.push(self.expr()?);
            }
            if !self.sign(",") {
                break;
            }
        }
        self.expect_sign(")")?;
        Ok(Expr::Call { name, args })
    }
}

fn operator(token: &Token) -> Option<Operator> {
    Some(match token {
        Token::Word("AND") => Operator::And,
        Token::Word("OR") => Operator::Or,
        Token::Sign(sign) => match *sign {
            "+" => Operator::Add,
            "-" => Operator::Sub,
            "*" => Operator::Mul,
            "/" => Operator::Div,
            "%" => Operator::Mod,
            "&" => Operator::BitAnd,
            "|" => Operator::BitOr,
            "^" => Operator::BitXor,
            "=" => Operator::Eq,
            "!=" => Operator::Neq,
            "=~" => Operator::EqRegex,
            "!~" => Operator::NeqRegex,
            "<" => Operator::Lt,
            "<=" => Operator::Lte,
            ">" => Operator::Gt,
            ">=" => Operator::Gte,
            _ => return None,
        },
        _ => return None,
    })
}
