//! Statements, their parameters and rows, for both backends.

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use super::error::Fault;

/// The two languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Tables `sta_thing`; times are integers, JSON is text; functions of our own where it lacks them.
    Sqlite,
    /// Tables `smartem_sta.thing`; timestamptz, jsonb, PostGIS.
    Postgres,
}

impl Dialect {
    /// A table of this module: `thing`.
    pub(crate) fn table(self, name: &str) -> String {
        match self {
            Self::Sqlite => format!("sta_{name}"),
            Self::Postgres => format!("smartem_sta.{name}"),
        }
    }

    /// A table that is not of this module, by its schema on PostgreSQL: `smartem_refined`, `series`.
    pub(crate) fn other_table(self, schema: &str, name: &str) -> String {
        match self {
            Self::Sqlite => name.to_owned(),
            Self::Postgres => format!("{schema}.{name}"),
        }
    }

    /// Whether a value is among those of a parameter [`Param::Ints`].
    pub(crate) fn among(self, place: &str) -> String {
        match self {
            Self::Sqlite => format!("IN (SELECT value FROM json_each({place}))"),
            Self::Postgres => format!("= ANY({place})"),
        }
    }

    /// Whether a text is among those of a parameter that is a JSON array of texts.
    pub(crate) fn among_texts(self, place: &str) -> String {
        match self {
            Self::Sqlite => format!("IN (SELECT value FROM json_each({place}))"),
            Self::Postgres => format!("IN (SELECT jsonb_array_elements_text({place}))"),
        }
    }

    /// What is put after a question that locks its rows against changes until the transaction ends; the
    /// embedded store has one writer anyway.
    pub(crate) fn for_change(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR NO KEY UPDATE",
        }
    }

    /// Likewise against being removed.
    pub(crate) fn for_reference(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR KEY SHARE",
        }
    }

    /// Likewise so that nothing can come to refer to them.
    pub(crate) fn for_removal(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// The place of parameter `number`, counted from 1.
    pub(crate) fn place(self, number: usize) -> String {
        match self {
            Self::Sqlite => format!("?{number}"),
            Self::Postgres => format!("${number}"),
        }
    }
}

/// A parameter with its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Param {
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bool(bool),
    /// Microseconds since 1970.
    Time(Option<i64>),
    /// JSON text.
    Json(Option<String>),
    /// On PostgreSQL an array, `= ANY($1)`; on SQLite a JSON array, `IN (SELECT value FROM json_each(?1))`.
    Ints(Vec<i64>),
}

impl Param {
    pub(crate) fn int(value: i64) -> Self {
        Self::Int(Some(value))
    }

    pub(crate) fn text(value: impl Into<String>) -> Self {
        Self::Text(Some(value.into()))
    }

    pub(crate) fn time(value: Timestamp) -> Self {
        Self::Time(Some(value.as_microsecond()))
    }

    pub(crate) fn optional_time(value: Option<Timestamp>) -> Self {
        Self::Time(value.map(Timestamp::as_microsecond))
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::Json(Some(value.to_string()))
    }

    pub(crate) fn optional_json(value: Option<&Value>) -> Self {
        Self::Json(value.map(Value::to_string))
    }
}

/// A statement that grows, with its parameters.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) dialect: Dialect,
    pub(crate) text: String,
    pub(crate) params: Vec<Param>,
}

impl Statement {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            text: String::new(),
            params: Vec::new(),
        }
    }

    /// Adds a parameter; returns its place.
    pub(crate) fn param(&mut self, param: Param) -> String {
        self.params.push(param);
        self.dialect.place(self.params.len())
    }
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    /// Also booleans and, on SQLite, times.
    Int(i64),
    Real(f64),
    /// Also JSON.
    Text(String),
}

/// A row. Times are microseconds since 1970 on both backends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Cell>);

impl Row {
    fn cell(&self, at: usize) -> &Cell {
        self.0.get(at).unwrap_or(&Cell::Null)
    }

    pub(crate) fn int(&self, at: usize) -> Result<i64, Fault> {
        self.optional_int(at)?
            .ok_or_else(|| Fault::unknown("a number", "NULL"))
    }

    pub(crate) fn optional_int(&self, at: usize) -> Result<Option<i64>, Fault> {
        match self.cell(at) {
            Cell::Null => Ok(None),
            Cell::Int(value) => Ok(Some(*value)),
            other => Err(Fault::unknown("a whole number", &format!("{other:?}"))),
        }
    }

    pub(crate) fn bool(&self, at: usize) -> Result<bool, Fault> {
        Ok(self.int(at)? != 0)
    }

    pub(crate) fn real(&self, at: usize) -> Result<f64, Fault> {
        self.optional_real(at)?
            .ok_or_else(|| Fault::unknown("a number", "NULL"))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "SQLite gives whole numbers of computed columns as integers"
    )]
    pub(crate) fn optional_real(&self, at: usize) -> Result<Option<f64>, Fault> {
        match self.cell(at) {
            Cell::Null => Ok(None),
            Cell::Real(value) => Ok(Some(*value)),
            Cell::Int(value) => Ok(Some(*value as f64)),
            Cell::Text(text) => Err(Fault::unknown("a number", text)),
        }
    }

    pub(crate) fn text(&self, at: usize) -> Result<String, Fault> {
        self.optional_text(at)?
            .ok_or_else(|| Fault::unknown("a text", "NULL"))
    }

    pub(crate) fn optional_text(&self, at: usize) -> Result<Option<String>, Fault> {
        match self.cell(at) {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text.clone())),
            other => Err(Fault::unknown("a text", &format!("{other:?}"))),
        }
    }

    pub(crate) fn json(&self, at: usize) -> Result<Value, Fault> {
        self.optional_json(at)?
            .ok_or_else(|| Fault::unknown("JSON", "NULL"))
    }

    pub(crate) fn optional_json(&self, at: usize) -> Result<Option<Value>, Fault> {
        match self.cell(at) {
            Cell::Null => Ok(None),
            Cell::Text(text) => serde_json::from_str(text)
                .map(Some)
                .map_err(|_| Fault::unknown("JSON", text)),
            other => Err(Fault::unknown("JSON", &format!("{other:?}"))),
        }
    }

    pub(crate) fn time(&self, at: usize) -> Result<Timestamp, Fault> {
        self.optional_time(at)?
            .ok_or_else(|| Fault::unknown("a time", "NULL"))
    }

    pub(crate) fn optional_time(&self, at: usize) -> Result<Option<Timestamp>, Fault> {
        let time = |micros: i64| {
            // Not from microseconds: that takes none of the last second that there is.
            let nanoseconds = i128::from(micros) * 1000;
            Timestamp::from_nanosecond(nanoseconds).map_err(|_| Fault::unknown("a time", &micros))
        };
        self.optional_int(at)?.map(time).transpose()
    }
}

/// A transaction of one of the backends.
pub(crate) trait Sql: Send {
    fn dialect(&self) -> Dialect;

    /// The rows of a question.
    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>>;

    /// The rows of a question for each of some keys: a column with the key comes before the others. In the
    /// statement `{key}` stands for it. It must have a LIMIT; rows of a key are in its order. There are no more
    /// than `most` of all keys together, those of the first keys.
    fn query_each<'a>(
        &'a mut self,
        sql: &'a str,
        keys: &'a [i64],
        params: &'a [Param],
        most: u64,
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>>;

    /// Runs a statement; how many rows it changed.
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
    ) -> BoxFuture<'a, Result<u64, Fault>>;

    /// Adds rows: `head` is `INSERT INTO table (columns)`, `tail` what comes after the values; the rows that
    /// `tail` gives back, in any order. All rows have as many values, and those of a column are of one kind.
    fn insert<'a>(
        &'a mut self,
        head: &'a str,
        rows: &'a [Vec<Param>],
        tail: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>>;

    /// Adds many rows quickly to a table whose columns are exactly of the kinds of the parameters.
    fn load<'a>(
        &'a mut self,
        table: &'a str,
        columns: &'a [&'a str],
        rows: &'a [Vec<Param>],
    ) -> BoxFuture<'a, Result<(), Fault>>;
}
