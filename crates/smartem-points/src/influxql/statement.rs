//! Which statements there are.

use regex::Regex;

use super::ast::{Expr, Measurement, Select};

/// What most SHOW statements share.
#[derive(Clone, Debug, Default)]
pub struct ShowClauses {
    /// `ON` which database.
    pub database: Option<String>,
    /// `FROM` or `WITH MEASUREMENT`
    pub sources: Vec<Measurement>,
    /// `WITH KEY`
    pub key: Option<KeyFilter>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `ORDER BY`: whether ascending.
    pub ascending: Option<bool>,
    /// `LIMIT`, 0 for none.
    pub limit: usize,
    /// `OFFSET`
    pub offset: usize,
    /// `SLIMIT`, 0 for none.
    pub slimit: usize,
    /// `SOFFSET`
    pub soffset: usize,
}

/// `WITH KEY ...`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is its sign")]
pub enum KeyFilter {
    Equal(String),
    NotEqual(String),
    In(Vec<String>),
    Matches(Regex),
    MatchesNot(Regex),
}

impl KeyFilter {
    /// Whether this key is meant.
    pub fn accepts(&self, key: &str) -> bool {
        match self {
            Self::Equal(it) => it == key,
            Self::NotEqual(it) => it != key,
            Self::In(list) => list.iter().any(|it| it == key),
            Self::Matches(it) => it.is_match(key),
            Self::MatchesNot(it) => !it.is_match(key),
        }
    }
}

/// What a cardinality is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its name")]
pub enum Cardinality {
    Series,
    Measurements,
    TagKeys,
    TagValues,
    FieldKeys,
}

/// The part of a retention policy that a statement says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long points are kept, ns; 0 for ever.
    pub duration: Option<i64>,
    /// How many copies.
    pub replication: Option<i64>,
    /// How long a shard is, ns.
    pub shard_duration: Option<i64>,
    /// Whether it becomes the default.
    pub default: bool,
}

/// A statement.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the statement of that name")]
pub enum Statement {
    Select(Box<Select>),
    Explain,
    ShowDatabases,
    ShowMeasurements(ShowClauses),
    ShowFieldKeys(ShowClauses),
    ShowTagKeys(ShowClauses),
    ShowTagValues(ShowClauses),
    ShowSeries(ShowClauses),
    ShowCardinality(Cardinality, bool, ShowClauses),
    ShowRetentionPolicies(Option<String>),
    ShowContinuousQueries,
    ShowDiagnostics,
    ShowGrants(String),
    ShowQueries,
    ShowShardGroups,
    ShowShards,
    ShowStats,
    ShowSubscriptions,
    ShowUsers,
    CreateDatabase {
        name: String,
        retention: Option<Retention>,
    },
    DropDatabase(String),
    CreateRetentionPolicy {
        name: String,
        database: String,
        retention: Retention,
    },
    AlterRetentionPolicy {
        name: String,
        database: String,
        retention: Retention,
    },
    DropRetentionPolicy {
        name: String,
        database: String,
    },
    CreateUser {
        name: String,
        admin: bool,
    },
    DropUser(String),
    SetPassword {
        name: String,
    },
    Grant {
        user: String,
        database: Option<String>,
    },
    Revoke {
        user: String,
        database: Option<String>,
    },
    Delete {
        sources: Vec<Measurement>,
        condition: Option<Expr>,
    },
    DropSeries {
        sources: Vec<Measurement>,
        condition: Option<Expr>,
    },
    DropMeasurement(String),
    DropShard(u64),
    CreateContinuousQuery {
        name: String,
        database: String,
    },
    DropContinuousQuery {
        name: String,
        database: String,
    },
    CreateSubscription {
        name: String,
        database: String,
    },
    DropSubscription {
        name: String,
        database: String,
    },
    KillQuery(u64),
}

impl Statement {
    /// Whether it only reads; what does not is for the one who knows who asks.
    pub fn is_read(&self) -> bool {
        match self {
            Self::Select(select) => select.target.is_none(),
            Self::Explain
            | Self::ShowDatabases
            | Self::ShowMeasurements(_)
            | Self::ShowFieldKeys(_)
            | Self::ShowTagKeys(_)
            | Self::ShowTagValues(_)
            | Self::ShowSeries(_)
            | Self::ShowCardinality(..)
            | Self::ShowRetentionPolicies(_)
            | Self::ShowContinuousQueries
            | Self::ShowDiagnostics
            | Self::ShowGrants(_)
            | Self::ShowQueries
            | Self::ShowShardGroups
            | Self::ShowShards
            | Self::ShowStats
            | Self::ShowSubscriptions
            | Self::ShowUsers => true,
            _ => false,
        }
    }
}
