//! SELECT, and the clauses that others share with it.

use super::{ParseError, Parsed, Parser};
use crate::influxql::ast::{Expr, Field, Fill, Measurement, Select, Source};
use crate::influxql::lex::Token;
use crate::influxql::time::Zone;

impl Parser<'_> {
    /// What follows `SELECT`.
    pub(super) fn select(&mut self) -> Parsed<Select> {
        let mut fields = vec![self.field()?];
        while self.sign(",") {
            fields.push(self.field()?);
        }
        let target = if self.word("INTO") {
            Some(self.target()?)
        } else {
            None
        };
        self.expect_word("FROM")?;
        let sources = self.sources(true)?;
        let condition = self.condition()?;
        let dimensions = self.dimensions()?;
        let fill = self.fill()?;
        Ok(Select {
            fields,
            target,
            sources,
            condition,
            dimensions,
            fill,
            ascending: self.order_by()?,
            limit: self.optional_number("LIMIT")?,
            offset: self.optional_number("OFFSET")?,
            slimit: self.optional_number("SLIMIT")?,
            soffset: self.optional_number("SOFFSET")?,
            zone: self.zone()?,
        })
    }

    fn field(&mut self) -> Parsed<Field> {
        let expr = if let Some(regex) = self.regex()? {
            Expr::Regex(regex)
        } else {
            let (at, _) = self.next();
            self.lexer.go(at);
            self.operators = 0;
            let expr = self.expr()?;
            let mut wrong = None;
            expr.walk(&mut |it| {
                if let Expr::Binary(operator, ..) = it
                    && operator.is_condition()
                {
                    wrong.get_or_insert(*operator);
                }
            });
            if let Some(operator) = wrong {
                let problem = format!("invalid operator {} in SELECT clause", operator.sign());
                let ParseError(text) = self.problem(at, &problem);
                return Err(ParseError(format!(
                    "{text}; operator is intended for WHERE clause"
                )));
            }
            expr
        };
        let alias = if self.word("AS") {
            Some(self.name()?)
        } else {
            None
        };
        Ok(Field { expr, alias })
    }

    fn target(&mut self) -> Parsed<Measurement> {
        let mut names = self.segments()?;
        if self.lexer.peek() == Some(':') {
            self.expect_sign(":")?;
            self.expect_word("MEASUREMENT")?;
            names.push(String::new());
        }
        Ok(measurement(names))
    }

    pub(super) fn sources(&mut self, subqueries: bool) -> Parsed<Vec<Source>> {
        let mut sources = vec![self.source(subqueries)?];
        while self.sign(",") {
            sources.push(self.source(subqueries)?);
        }
        Ok(sources)
    }

    /// Measurements, where no subqueries may be.
    pub(super) fn measurements(&mut self) -> Parsed<Vec<Measurement>> {
        let sources = self.sources(false)?;
        let measurements = sources.into_iter().filter_map(|source| match source {
            Source::Measurement(it) => Some(it),
            Source::Subquery(_) => None,
        });
        Ok(measurements.collect())
    }

    fn source(&mut self, subqueries: bool) -> Parsed<Source> {
        if let Some(regex) = self.regex()? {
            return Ok(Source::Measurement(Measurement {
                regex: Some(regex),
                ..Measurement::default()
            }));
        }
        if subqueries && self.sign("(") {
            self.expect_word("SELECT")?;
            let select = self.deeper(Self::select)?;
            self.expect_sign(")")?;
            return Ok(Source::Subquery(Box::new(select)));
        }
        let mut names = self.segments()?;
        if names.len() < 3
            && let Some(regex) = self.regex()?
        {
            names.push(String::new());
            return Ok(Source::Measurement(Measurement {
                regex: Some(regex),
                ..measurement(names)
            }));
        }
        Ok(Source::Measurement(measurement(names)))
    }

    pub(super) fn condition(&mut self) -> Parsed<Option<Expr>> {
        if !self.word("WHERE") {
            return Ok(None);
        }
        self.operators = 0;
        self.expr().map(Some)
    }

    pub(super) fn dimensions(&mut self) -> Parsed<Vec<Expr>> {
        let mut dimensions = Vec::new();
        if !self.word("GROUP") {
            return Ok(dimensions);
        }
        self.expect_word("BY")?;
        loop {
            self.operators = 0;
            dimensions.push(match self.regex()? {
                Some(regex) => Expr::Regex(regex),
                None => self.expr()?,
            });
            if !self.sign(",") {
                return Ok(dimensions);
            }
        }
    }

    /// A call of this function, if it is next.
    fn own_call(&mut self, function: &str) -> Parsed<Option<Expr>> {
        let mark = self.lexer.at();
        let found =
            matches!(self.next().1, Token::Name(name) if name.eq_ignore_ascii_case(function));
        self.lexer.go(mark);
        if found {
            self.expr().map(Some)
        } else {
            Ok(None)
        }
    }

    fn fill(&mut self) -> Parsed<Fill> {
        let problem = |text: &str| Err(ParseError(text.to_owned()));
        let Some(expr) = self.own_call("fill")? else {
            return Ok(Fill::Null);
        };
        let Expr::Call { args, .. } = expr else {
            return problem("fill must be a function call");
        };
        match args.as_slice() {
            [Expr::Integer(value)] => Ok(Fill::Integer(*value)),
            [Expr::Number(value)] => Ok(Fill::Number(*value)),
            [Expr::Var { name, .. }] => match name.as_str() {
                "null" => Ok(Fill::Null),
                "none" => Ok(Fill::None),
                "previous" => Ok(Fill::Previous),
                "linear" => Ok(Fill::Linear),
                _ => problem("expected number argument in fill()"),
            },
            [_] => problem("expected number argument in fill()"),
            _ => problem("fill requires an argument, e.g.: 0, null, none, previous, linear"),
        }
    }

    fn zone(&mut self) -> Parsed<Option<Zone>> {
        let problem = |text: String| Err(ParseError(text));
        let Some(expr) = self.own_call("tz")? else {
            return Ok(None);
        };
        let Expr::Call { args, .. } = expr else {
            return problem("tz must be a function call".to_owned());
        };
        match args.as_slice() {
            [Expr::String(name)] => match Zone::named(name) {
                Some(zone) => Ok(Some(zone)),
                None => problem(format!("unable to find time zone {name}")),
            },
            [_] => problem("expected string argument in tz()".to_owned()),
            _ => problem("tz requires exactly one argument".to_owned()),
        }
    }

    /// `ORDER BY time DESC`: whether ascending.
    pub(super) fn order_by(&mut self) -> Parsed<Option<bool>> {
        if !self.word("ORDER") {
            return Ok(None);
        }
        self.expect_word("BY")?;
        let only_time = || ParseError("only ORDER BY time supported at this time".to_owned());
        let (at, token) = self.next();
        let ascending = match token {
            Token::Word("ASC") => true,
            Token::Word("DESC") => false,
            Token::Name(name) => {
                let ascending = !self.word("DESC");
                if ascending {
                    self.word("ASC");
                }
                if name != "time" {
                    return Err(only_time());
                }
                ascending
            }
            token => {
                let expected = ["identifier", "ASC", "DESC"];
                return Err(self.unexpected(at, &token, &expected));
            }
        };
        if self.sign(",") {
            self.name()?;
            return Err(only_time());
        }
        Ok(Some(ascending))
    }
}

/// From names with dots between; the last is the measurement.
fn measurement(mut names: Vec<String>) -> Measurement {
    let said = |name: String| Some(name).filter(|it| !it.is_empty());
    let name = names.pop().unwrap_or_default();
    let retention_policy = names.pop().and_then(said);
    let database = names.pop().and_then(said);
    Measurement {
        database,
        retention_policy,
        name,
        regex: None,
    }
}
