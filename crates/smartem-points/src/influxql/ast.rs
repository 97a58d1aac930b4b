//! What a text of InfluxQL says.

use std::fmt;

use regex::Regex;

pub use super::statement::{Cardinality, KeyFilter, Retention, ShowClauses, Statement};

/// The type of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// Not known (yet), or there is no such field or tag.
    Unknown,
    /// A float field.
    Float,
    /// An integer field.
    Integer,
    /// An unsigned field.
    Unsigned,
    /// A string field.
    String,
    /// A boolean field.
    Boolean,
    /// A tag.
    Tag,
    /// Any field, no tag.
    AnyField,
}

impl DataType {
    /// The name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Tag => "tag",
            Self::AnyField => "field",
        }
    }

    /// Whether `other` goes before this where measurements disagree.
    pub(crate) fn yields_to(self, other: Self) -> bool {
        let rank = |it: Self| match it {
            Self::Unknown => 9,
            Self::Float => 0,
            Self::Integer => 1,
            Self::Unsigned => 2,
            Self::String => 3,
            Self::Boolean => 4,
            Self::Tag => 5,
            Self::AnyField => 6,
        };
        rank(other) < rank(self)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is its sign")]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    And,
    Or,
    Eq,
    Neq,
    EqRegex,
    NeqRegex,
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Operator {
    /// How it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::BitAnd => "&",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::And => "AND",
            Self::Or => "OR",
            Self::Eq => "=",
            Self::Neq => "!=",
            Self::EqRegex => "=~",
            Self::NeqRegex => "!~",
            Self::Lt => "<",
            Self::Lte => "<=",
            Self::Gt => ">",
            Self::Gte => ">=",
        }
    }

    /// The higher binds stronger.
    pub(crate) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Eq
            | Self::Neq
            | Self::EqRegex
            | Self::NeqRegex
            | Self::Lt
            | Self::Lte
            | Self::Gt
            | Self::Gte => 3,
            Self::Add | Self::Sub | Self::BitOr | Self::BitXor => 4,
            Self::Mul | Self::Div | Self::Mod | Self::BitAnd => 5,
        }
    }

    /// Whether it compares or joins comparisons.
    pub(crate) fn is_condition(self) -> bool {
        self.precedence() <= 3
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A field or tag.
    Var {
        /// Its name.
        name: String,
        /// What it was said to be, or found to be.
        data_type: DataType,
    },
    /// A function.
    Call {
        /// Its name, in small letters.
        name: String,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// `DISTINCT field`
    Distinct(String),
    /// Two expressions and what is between them.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// In parentheses.
    Paren(Box<Expr>),
    /// A number with a fraction.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// A whole number above 2^63.
    Unsigned(u64),
    /// `true` or `false`
    Boolean(bool),
    /// A text in single quotes.
    String(String),
    /// A duration, ns.
    Duration(i64),
    /// A time, ns since 1970; nobody writes it, strings become it.
    Time(i64),
    /// `/.../`
    Regex(Regex),
    /// `*`, `*::field` or `*::tag`
    Wildcard(DataType),
}

impl Expr {
    /// Whether it is a constant.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(
            self,
            Self::Number(_)
                | Self::Integer(_)
                | Self::Unsigned(_)
                | Self::Boolean(_)
                | Self::String(_)
                | Self::Duration(_)
                | Self::Time(_)
                | Self::Regex(_)
        )
    }

    pub(crate) fn var(name: &str, data_type: DataType) -> Self {
        Self::Var {
            name: name.to_owned(),
            data_type,
        }
    }

    /// Calls `visit` for it and all below, from the top.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        match self {
            Self::Call { args, .. } => args.iter().for_each(|it| it.walk(visit)),
            Self::Binary(_, left, right) => {
                left.walk(visit);
                right.walk(visit);
            }
            Self::Paren(inner) => inner.walk(visit),
            _ => {}
        }
    }

    /// Calls `change` for it and all below, from the top.
    pub(crate) fn walk_mut(&mut self, change: &mut impl FnMut(&mut Expr)) {
        change(self);
        match self {
            Self::Call { args, .. } => args.iter_mut().for_each(|it| it.walk_mut(change)),
            Self::Binary(_, left, right) => {
                left.walk_mut(change);
                right.walk_mut(change);
            }
            Self::Paren(inner) => inner.walk_mut(change),
            _ => {}
        }
    }
}

/// A column of a SELECT.
#[derive(Clone, Debug)]
pub struct Field {
    /// What is selected.
    pub expr: Expr,
    /// `AS` what.
    pub alias: Option<String>,
}

/// Where from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Measurements.
    Measurement(Measurement),
    /// `(SELECT ...)`
    Subquery(Box<Select>),
}

/// A measurement, or all whose names match.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    /// Its database, where said.
    pub database: Option<String>,
    /// Its retention policy, where said.
    pub retention_policy: Option<String>,
    /// Its name.
    pub name: String,
    /// Instead of a name.
    pub regex: Option<Regex>,
}

/// `fill(...)`
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Fill {
    /// `fill(null)`, the default.
    #[default]
    Null,
    /// `fill(none)`
    None,
    /// `fill(1)`
    Integer(i64),
    /// `fill(1.5)`
    Number(f64),
    /// `fill(previous)`
    Previous,
    /// `fill(linear)`
    Linear,
}

/// `SELECT`
#[derive(Clone, Debug)]
pub struct Select {
    /// The columns.
    pub fields: Vec<Field>,
    /// `INTO` where.
    pub target: Option<Measurement>,
    /// `FROM` where.
    pub sources: Vec<Source>,
    /// `WHERE`
    pub condition: Option<Expr>,
    /// `GROUP BY`
    pub dimensions: Vec<Expr>,
    /// `fill()`
    pub fill: Fill,
    /// `ORDER BY time`: whether ascending.
    pub ascending: Option<bool>,
    /// `LIMIT`, 0 for none.
    pub limit: usize,
    /// `OFFSET`
    pub offset: usize,
    /// `SLIMIT`, 0 for none.
    pub slimit: usize,
    /// `SOFFSET`
    pub soffset: usize,
    /// `tz()`
    pub zone: Option<super::Zone>,
}
