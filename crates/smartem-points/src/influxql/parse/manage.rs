//! Statements that change something, and which statement it is.

use super::{Parsed, Parser};
use crate::influxql::ast::{Measurement, Retention, Statement};
use crate::influxql::lex::Token;
use crate::influxql::time::parse_duration;

const FIRST: [&str; 11] = [
    "SELECT", "DELETE", "SHOW", "CREATE", "DROP", "EXPLAIN", "GRANT", "REVOKE", "ALTER", "SET",
    "KILL",
];
const AFTER_CREATE: [&str; 5] = [
    "CONTINUOUS",
    "DATABASE",
    "USER",
    "RETENTION",
    "SUBSCRIPTION",
];
const AFTER_DROP: [&str; 8] = [
    "CONTINUOUS",
    "DATABASE",
    "MEASUREMENT",
    "RETENTION",
    "SERIES",
    "SHARD",
    "SUBSCRIPTION",
    "USER",
];

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        let (at, token) = self.next();
        match token {
            Token::Word("SELECT") => Ok(Statement::Select(Box::new(self.select()?))),
            Token::Word("EXPLAIN") => {
                self.word("ANALYZE");
                self.expect_word("SELECT")?;
                self.select().map(|_| Statement::Explain)
            }
            Token::Word("SHOW") => self.show(),
            Token::Word("CREATE") => self.create(),
            Token::Word("DROP") => self.drop_statement(),
            Token::Word("ALTER") => {
                self.expect_word("RETENTION")?;
                self.expect_word("POLICY")?;
                self.alter_retention_policy()
            }
            Token::Word("DELETE") => {
                let (sources, condition) = self.sources_and_condition(true)?;
                Ok(Statement::Delete { sources, condition })
            }
            Token::Word("GRANT") => {
                let (user, database) = self.privilege("TO")?;
                Ok(Statement::Grant { user, database })
            }
            Token::Word("REVOKE") => {
                let (user, database) = self.privilege("FROM")?;
                Ok(Statement::Revoke { user, database })
            }
            Token::Word("SET") => {
                self.expect_word("PASSWORD")?;
                self.expect_word("FOR")?;
                let name = self.name()?;
                self.expect_sign("=")?;
                self.string()?;
                Ok(Statement::SetPassword { name })
            }
            Token::Word("KILL") => {
                self.expect_word("QUERY")?;
                let query = self.number(0, u64::MAX)?;
                if self.word("ON") {
                    self.name()?;
                }
                Ok(Statement::KillQuery(query))
            }
            token => Err(self.unexpected(at, &token, &FIRST)),
        }
    }

    fn create(&mut self) -> Parsed<Statement> {
        let (at, token) = self.next();
        match token {
            Token::Word("DATABASE") => self.create_database(),
            Token::Word("RETENTION") => {
                self.expect_word("POLICY")?;
                let name = self.name()?;
                self.expect_word("ON")?;
                let database = self.name()?;
                self.expect_word("DURATION")?;
                let duration = Some(self.duration()?);
                self.expect_word("REPLICATION")?;
                let replication = Some(self.replication()?);
                let shard_duration = self.shard_duration()?;
                let default = self.word("DEFAULT");
                let retention = Retention {
                    duration,
                    replication,
                    shard_duration,
                    default,
                };
                Ok(Statement::CreateRetentionPolicy {
                    name,
                    database,
                    retention,
                })
            }
            Token::Word("USER") => {
                let name = self.name()?;
                self.expect_word("WITH")?;
                self.expect_word("PASSWORD")?;
                self.string()?;
                let admin = self.word("WITH");
                if admin {
                    self.expect_word("ALL")?;
                    self.expect_word("PRIVILEGES")?;
                }
                Ok(Statement::CreateUser { name, admin })
            }
            Token::Word("CONTINUOUS") => self.create_continuous_query(),
            Token::Word("SUBSCRIPTION") => {
                let (name, database) = self.subscription()?;
                self.expect_word("DESTINATIONS")?;
                if !self.word("ALL") && !self.word("ANY") {
                    let (at, token) = self.next();
                    return Err(self.unexpected(at, &token, &["ALL", "ANY"]));
                }
                self.string()?;
                while self.sign(",") {
                    self.string()?;
                }
                Ok(Statement::CreateSubscription { name, database })
            }
            token => Err(self.unexpected(at, &token, &AFTER_CREATE)),
        }
    }

    fn create_database(&mut self) -> Parsed<Statement> {
        let name = self.name()?;
        if !self.word("WITH") {
            return Ok(Statement::CreateDatabase {
                name,
                retention: None,
            });
        }
        let (at, token) = self.next();
        if !matches!(
            token,
            Token::Word("DURATION" | "NAME" | "REPLICATION" | "SHARD")
        ) {
            let expected = ["DURATION", "NAME", "REPLICATION", "SHARD"];
            return Err(self.unexpected(at, &token, &expected));
        }
        self.lexer.go(at);
        let mut retention = Retention::default();
        if self.word("DURATION") {
            retention.duration = Some(self.duration()?);
        }
        if self.word("REPLICATION") {
            retention.replication = Some(self.replication()?);
        }
        retention.shard_duration = self.shard_duration()?;
        if self.word("NAME") {
            self.name()?;
        }
        Ok(Statement::CreateDatabase {
            name,
            retention: Some(retention),
        })
    }

    fn create_continuous_query(&mut self) -> Parsed<Statement> {
        self.expect_word("QUERY")?;
        let name = self.name()?;
        self.expect_word("ON")?;
        let database = self.name()?;
        if self.word("RESAMPLE") {
            let mut any = false;
            for word in ["EVERY", "FOR"] {
                if self.word(word) {
                    self.duration()?;
                    any = true;
                }
            }
            if !any {
                let (at, token) = self.next();
                return Err(self.unexpected(at, &token, &["EVERY", "FOR"]));
            }
        }
        self.expect_word("BEGIN")?;
        self.expect_word("SELECT")?;
        self.select()?;
        self.expect_word("END")?;
        Ok(Statement::CreateContinuousQuery { name, database })
    }

    fn drop_statement(&mut self) -> Parsed<Statement> {
        let (at, token) = self.next();
        match token {
            Token::Word("CONTINUOUS") => {
                self.expect_word("QUERY")?;
                let name = self.name()?;
                self.expect_word("ON")?;
                let database = self.name()?;
                Ok(Statement::DropContinuousQuery { name, database })
            }
            Token::Word("DATABASE") => self.name().map(Statement::DropDatabase),
            Token::Word("MEASUREMENT") => self.name().map(Statement::DropMeasurement),
            Token::Word("RETENTION") => {
                self.expect_word("POLICY")?;
                let name = self.name()?;
                self.expect_word("ON")?;
                let database = self.name()?;
                Ok(Statement::DropRetentionPolicy { name, database })
            }
            Token::Word("SERIES") => {
                let (sources, condition) = self.sources_and_condition(false)?;
                Ok(Statement::DropSeries { sources, condition })
            }
            Token::Word("SHARD") => self.number(0, u64::MAX).map(Statement::DropShard),
            Token::Word("SUBSCRIPTION") => {
                let (name, database) = self.subscription()?;
                Ok(Statement::DropSubscription { name, database })
            }
            Token::Word("USER") => self.name().map(Statement::DropUser),
            token => Err(self.unexpected(at, &token, &AFTER_DROP)),
        }
    }

    /// `name ON database.policy`
    fn subscription(&mut self) -> Parsed<(String, String)> {
        let name = self.name()?;
        self.expect_word("ON")?;
        let database = self.name()?;
        self.expect_sign(".")?;
        self.name()?;
        Ok((name, database))
    }

    fn alter_retention_policy(&mut self) -> Parsed<Statement> {
        let (at, token) = self.next();
        let name = match token {
            Token::Word("DEFAULT") => "default".to_owned(),
            Token::Name(name) => name,
            token => return Err(self.unexpected(at, &token, &["identifier"])),
        };
        self.expect_word("ON")?;
        let database = self.name()?;
        let mut retention = Retention::default();
        loop {
            let mark = self.lexer.at();
            let (at, token) = self.next();
            let twice = match token {
                Token::Word("DURATION") => retention.duration.replace(self.duration()?).is_some(),
                Token::Word("REPLICATION") => {
                    retention.replication.replace(self.replication()?).is_some()
                }
                Token::Word("SHARD") => {
                    self.lexer.go(mark);
                    let duration = self.shard_duration()?;
                    std::mem::replace(&mut retention.shard_duration, duration).is_some()
                }
                Token::Word("DEFAULT") => std::mem::replace(&mut retention.default, true),
                token if retention == Retention::default() => {
                    let expected = ["DURATION", "REPLICATION", "SHARD", "DEFAULT"];
                    return Err(self.unexpected(at, &token, &expected));
                }
                _ => {
                    self.lexer.go(mark);
                    return Ok(Statement::AlterRetentionPolicy {
                        name,
                        database,
                        retention,
                    });
                }
            };
            if twice && let Token::Word(word) = token {
                return Err(self.problem(at, &format!("found duplicate {word} option")));
            }
        }
    }

    /// `FROM measurements WHERE condition`, at least one of both.
    fn sources_and_condition(
        &mut self,
        policy: bool,
    ) -> Parsed<(Vec<Measurement>, Option<crate::influxql::ast::Expr>)> {
        let (at, token) = self.next();
        self.lexer.go(at);
        let mut sources = Vec::new();
        if self.word("FROM") {
            sources = self.measurements()?;
            if sources.iter().any(|it| it.database.is_some()) {
                return Err(super::ParseError(
                    "database not supported at line 1, char 1".to_owned(),
                ));
            }
            if !policy && sources.iter().any(|it| it.retention_policy.is_some()) {
                let problem = "retention policy not supported at line 1, char 1";
                return Err(super::ParseError(problem.to_owned()));
            }
        }
        let condition = self.condition()?;
        if sources.is_empty() && condition.is_none() {
            return Err(self.unexpected(at, &token, &["FROM", "WHERE"]));
        }
        Ok((sources, condition))
    }

    /// `READ ON database TO user`
    fn privilege(&mut self, before_user: &str) -> Parsed<(String, Option<String>)> {
        let (at, token) = self.next();
        let all = match token {
            Token::Word("READ" | "WRITE") => false,
            Token::Word("ALL") => {
                self.word("PRIVILEGES");
                true
            }
            token => {
                let expected = ["READ", "WRITE", "ALL [PRIVILEGES]"];
                return Err(self.unexpected(at, &token, &expected));
            }
        };
        let (at, token) = self.next();
        match token {
            Token::Word("ON") => {
                let database = self.name()?;
                self.expect_word(before_user)?;
                Ok((self.name()?, Some(database)))
            }
            Token::Word(word) if word == before_user && all => Ok((self.name()?, None)),
            token if all && !matches!(token, Token::Word(it) if it == before_user) => {
                Err(self.unexpected(at, &token, &["ON", before_user]))
            }
            token => Err(self.unexpected(at, &token, &["ON"])),
        }
    }

    fn number(&mut self, least: u64, most: u64) -> Parsed<u64> {
        let (at, token) = self.next();
        let Token::Integer(text) = token else {
            return Err(self.unexpected(at, &token, &["integer"]));
        };
        match text.parse() {
            Ok(value) if (least..=most).contains(&value) => Ok(value),
            _ => {
                let problem = format!("invalid value {text}: must be {least} <= n <= {most}");
                Err(self.problem(at, &problem))
            }
        }
    }

    fn replication(&mut self) -> Parsed<i64> {
        let value = self.number(1, 2_147_483_647)?;
        Ok(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn duration(&mut self) -> Parsed<i64> {
        let (at, token) = self.next();
        match token {
            Token::Word("INF") => Ok(0),
            Token::Duration(text) => {
                parse_duration(&text).map_err(|problem| self.problem(at, &problem))
            }
            token => Err(self.unexpected(at, &token, &["duration"])),
        }
    }

    /// `SHARD DURATION 1d`
    fn shard_duration(&mut self) -> Parsed<Option<i64>> {
        if !self.word("SHARD") {
            return Ok(None);
        }
        self.expect_word("DURATION")?;
        let (at, token) = self.next();
        if token == Token::Word("INF") {
            return Err(self.problem(at, "invalid duration INF for shard duration"));
        }
        self.lexer.go(at);
        self.duration().map(Some)
    }
}
