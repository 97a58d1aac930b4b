//! The query language of InfluxDB 1.x over a [`PointSource`], as InfluxDB 1.6.7 answers it.
//!
//! - [`parse`]: a text to [`Statement`]s
//! - [`run`]: answers a statement that only reads, row by row, into a [`Sink`]
//! - [`Answer`]: a sink that writes JSON or CSV as InfluxDB does, whole or in chunks
//!
//! What changes something ([`Statement::is_read`]) is not done here: who calls knows who asks.

mod answer;
mod ast;
mod condition;
mod eval;
mod functions;
mod lex;
mod parse;
mod plan;
mod print;
mod run;
mod schema;
mod show;
mod statement;
mod time;
mod write;

use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use crate::{PointSource, SourceError};

pub use answer::{Answer, Epoch, Format};
pub use ast::{
    Cardinality, DataType, Expr, Field, Fill, KeyFilter, Measurement, Operator, Retention, Select,
    ShowClauses, Source, Statement,
};
pub use eval::Value;
pub use parse::{Parameter, ParseError, parse, parse_with};
pub use time::Zone;

/// How much a query may take; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Rows of stored points that are read (`max-select-point`).
    pub max_points: u64,
    /// Series (`max-select-series`).
    pub max_series: usize,
    /// Windows of time of one series (`max-select-buckets`).
    pub max_buckets: u64,
}

/// With what a statement is answered.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// What there is.
    pub source: &'a dyn PointSource,
    /// The database of statements that name none.
    pub database: Option<&'a str>,
    /// The time that `now()` is, ns since 1970.
    pub now: i64,
    /// How much it may take.
    pub limits: &'a Limits,
    /// Becomes true when nobody waits any more; looked at between chunks.
    pub cancel: &'a AtomicBool,
}

/// Why a statement has no (whole) answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It cannot be answered, in InfluxDB's words.
    #[error("{0}")]
    Statement(String),
    /// Nobody waits any more.
    #[error("query interrupted")]
    Interrupted,
    /// It would change something.
    #[error("the statement changes something; it is not answered by reading")]
    NotARead,
    /// The points could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// A series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Its name, mostly the measurement.
    pub name: Option<String>,
    /// The tags that are grouped by, by key.
    pub tags: Vec<(String, String)>,
    /// The columns.
    pub columns: Vec<String>,
    /// In which zone times are written.
    pub zone: Option<Zone>,
}

impl Header {
    pub(crate) fn plain(name: Option<&str>, columns: &[&str]) -> Self {
        Self {
            name: name.map(str::to_owned),
            tags: Vec::new(),
            columns: columns.iter().map(|it| (*it).to_owned()).collect(),
            zone: None,
        }
    }
}

/// Takes an answer as it is found.
pub trait Sink {
    /// A series begins.
    ///
    /// # Errors
    /// When the answer cannot be taken.
    fn series(&mut self, header: &Header) -> Result<(), QueryError>;

    /// A row of the series that began last; a break ends the answer.
    ///
    /// # Errors
    /// When the answer cannot be taken.
    fn row(&mut self, values: &[Value]) -> Result<ControlFlow<()>, QueryError>;
}

/// Answers a statement that only reads.
///
/// # Errors
/// [`QueryError`]; what the sink has by then stays.
pub fn run(
    statement: &Statement,
    query: &Query<'_>,
    sink: &mut dyn Sink,
) -> Result<(), QueryError> {
    match statement {
        Statement::Select(select) => run::select(select, query, sink),
        statement if statement.is_read() => show::show(statement, query, sink),
        _ => Err(QueryError::NotARead),
    }
}
