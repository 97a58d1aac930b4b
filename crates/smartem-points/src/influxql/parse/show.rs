//! SHOW.

use super::{Parsed, Parser};
use crate::influxql::ast::{Cardinality, KeyFilter, ShowClauses, Statement};
use crate::influxql::lex::Token;

const AFTER_SHOW: [&str; 16] = [
    "CONTINUOUS",
    "DATABASES",
    "DIAGNOSTICS",
    "FIELD",
    "GRANTS",
    "MEASUREMENT",
    "MEASUREMENTS",
    "QUERIES",
    "RETENTION",
    "SERIES",
    "SHARD",
    "SHARDS",
    "STATS",
    "SUBSCRIPTIONS",
    "TAG",
    "USERS",
];

impl Parser<'_> {
    /// What follows `SHOW`.
    pub(super) fn show(&mut self) -> Parsed<Statement> {
        let (at, token) = self.next();
        let Token::Word(word) = token else {
            return Err(self.unexpected(at, &token, &AFTER_SHOW));
        };
        match word {
            "CONTINUOUS" => self
                .expect_word("QUERIES")
                .map(|()| Statement::ShowContinuousQueries),
            "DATABASES" => Ok(Statement::ShowDatabases),
            "DIAGNOSTICS" => self.module().map(|()| Statement::ShowDiagnostics),
            "FIELD" => self.field_or_tag_keys(true),
            "GRANTS" => {
                self.expect_word("FOR")?;
                self.name().map(Statement::ShowGrants)
            }
            "MEASUREMENT" => {
                let exact = self.word("EXACT");
                self.expect_word("CARDINALITY")?;
                self.cardinality(Cardinality::Measurements, exact)
            }
            "MEASUREMENTS" => self.show_measurements(),
            "QUERIES" => Ok(Statement::ShowQueries),
            "RETENTION" => {
                self.expect_word("POLICIES")?;
                let database = if self.word("ON") {
                    Some(self.name()?)
                } else {
                    None
                };
                Ok(Statement::ShowRetentionPolicies(database))
            }
            "SERIES" => {
                let exact = self.word("EXACT");
                if self.word("CARDINALITY") {
                    return self.cardinality(Cardinality::Series, exact);
                }
                let mut clauses = self.on_from()?;
                self.end_of_show(&mut clauses, false)?;
                Ok(Statement::ShowSeries(clauses))
            }
            "SHARD" => self
                .expect_word("GROUPS")
                .map(|()| Statement::ShowShardGroups),
            "SHARDS" => Ok(Statement::ShowShards),
            "STATS" => self.module().map(|()| Statement::ShowStats),
            "SUBSCRIPTIONS" => Ok(Statement::ShowSubscriptions),
            "TAG" => self.field_or_tag_keys(false),
            "USERS" => Ok(Statement::ShowUsers),
            word => Err(self.unexpected(at, &Token::Word(word), &AFTER_SHOW)),
        }
    }

    /// `FOR 'module'`
    fn module(&mut self) -> Parsed<()> {
        if self.word("FOR") {
            self.string()?;
        }
        Ok(())
    }

    fn field_or_tag_keys(&mut self, field: bool) -> Parsed<Statement> {
        let (at, token) = self.next();
        match token {
            Token::Word("KEY") => {
                let exact = self.word("EXACT");
                self.expect_word("CARDINALITY")?;
                let of = if field {
                    Cardinality::FieldKeys
                } else {
                    Cardinality::TagKeys
                };
                self.cardinality(of, exact)
            }
            Token::Word("KEYS") if field => {
                let mut clauses = self.on_from()?;
                clauses.ascending = self.order_by()?;
                clauses.limit = self.optional_number("LIMIT")?;
                clauses.offset = self.optional_number("OFFSET")?;
                Ok(Statement::ShowFieldKeys(clauses))
            }
            Token::Word("KEYS") => {
                let mut clauses = self.on_from()?;
                let mark = self.lexer.at();
                if self.word("WITH") {
                    self.lexer.go(mark);
                    clauses.key = Some(self.key_filter()?);
                }
                self.end_of_show(&mut clauses, true)?;
                Ok(Statement::ShowTagKeys(clauses))
            }
            Token::Word("VALUES") if !field => {
                let exact = self.word("EXACT");
                if exact {
                    self.expect_word("CARDINALITY")?;
                }
                if exact || self.word("CARDINALITY") {
                    return self.cardinality(Cardinality::TagValues, exact);
                }
                let mut clauses = self.on_from()?;
                clauses.key = Some(self.key_filter()?);
                self.end_of_show(&mut clauses, false)?;
                Ok(Statement::ShowTagValues(clauses))
            }
            token if field => Err(self.unexpected(at, &token, &["KEY", "KEYS"])),
            token => Err(self.unexpected(at, &token, &["KEY", "KEYS", "VALUES"])),
        }
    }

    fn cardinality(&mut self, of: Cardinality, exact: bool) -> Parsed<Statement> {
        let mut clauses = self.on_from()?;
        if of == Cardinality::TagValues {
            clauses.key = Some(self.key_filter()?);
        }
        clauses.condition = self.condition()?;
        self.dimensions()?;
        clauses.limit = self.optional_number("LIMIT")?;
        clauses.offset = self.optional_number("OFFSET")?;
        Ok(Statement::ShowCardinality(of, exact, clauses))
    }

    fn show_measurements(&mut self) -> Parsed<Statement> {
        let mut clauses = ShowClauses::default();
        if self.word("ON") {
            clauses.database = Some(self.name()?);
        }
        if self.word("WITH") {
            self.expect_word("MEASUREMENT")?;
            let (at, token) = self.next();
            if !matches!(token, Token::Sign("=" | "=~")) {
                return Err(self.unexpected(at, &token, &["=", "=~"]));
            }
            clauses.sources = self.measurements()?;
        }
        self.end_of_show(&mut clauses, false)?;
        Ok(Statement::ShowMeasurements(clauses))
    }

    /// `ON database FROM measurements`
    fn on_from(&mut self) -> Parsed<ShowClauses> {
        let mut clauses = ShowClauses::default();
        if self.word("ON") {
            clauses.database = Some(self.name()?);
        }
        if self.word("FROM") {
            clauses.sources = self.measurements()?;
        }
        Ok(clauses)
    }

    /// `WHERE ORDER BY LIMIT OFFSET`, and `SLIMIT SOFFSET` where there may be these.
    fn end_of_show(&mut self, clauses: &mut ShowClauses, series: bool) -> Parsed<()> {
        clauses.condition = self.condition()?;
        clauses.ascending = self.order_by()?;
        clauses.limit = self.optional_number("LIMIT")?;
        clauses.offset = self.optional_number("OFFSET")?;
        if series {
            clauses.slimit = self.optional_number("SLIMIT")?;
            clauses.soffset = self.optional_number("SOFFSET")?;
        }
        Ok(())
    }

    /// `WITH KEY ...`
    fn key_filter(&mut self) -> Parsed<KeyFilter> {
        self.expect_word("WITH")?;
        self.expect_word("KEY")?;
        let (at, token) = self.next();
        match token {
            Token::Word("IN") => {
                self.expect_sign("(")?;
                let mut names = vec![self.name()?];
                while self.sign(",") {
                    names.push(self.name()?);
                }
                self.expect_sign(")")?;
                Ok(KeyFilter::In(names))
            }
            Token::Sign("=") => self.name().map(KeyFilter::Equal),
            Token::Sign("!=") => self.name().map(KeyFilter::NotEqual),
            Token::Sign(sign @ ("=~" | "!~")) => {
                let Some(regex) = self.regex()? else {
                    let (at, token) = self.next();
                    return Err(self.unexpected(at, &token, &["regex"]));
                };
                Ok(match sign {
                    "=~" => KeyFilter::Matches(regex),
                    _ => KeyFilter::MatchesNot(regex),
                })
            }
            token => Err(self.unexpected(at, &token, &["IN", "=", "=~"])),
        }
    }
}
