//! Answers as InfluxDB writes them.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::write::{write_csv_cell, write_json_string, write_json_value};
use super::{Header, Query, QueryError, Sink, Statement, Value, run};
use crate::Precision;

/// How times are written: as RFC 3339, or as numbers of a unit.
pub type Epoch = Option<Precision>;

/// In what form an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON document.
    #[default]
    Json,
    /// The same, indented.
    PrettyJson,
    /// One JSON document a line, each with so many rows at most.
    Chunks(usize),
    /// Comma-separated values.
    Csv,
}

/// Writes the answers of the statements of a query.
///
/// What is written so far can be taken out at any time with [`Answer::take`], so that a large answer
/// never is in memory as a whole.
pub struct Answer {
    format: Format,
    epoch: Epoch,
    /// So many rows at most for each statement; 0 is no limit. Chunks have none.
    max_rows: usize,
    text: String,
    statement: usize,
    /// Whether anything of this statement is written.
    begun: bool,
    header: Option<Header>,
    rows_in_series: usize,
    rows: usize,
    partial: bool,
    failed: bool,
    csv_columns: Option<Vec<String>>,
    full: Option<Box<dyn FnMut(String) -> bool + Send>>,
}

/// So much is written before it is handed on, bytes.
const FULL: usize = 64 * 1024;

impl Answer {
    /// An empty answer.
    pub fn new(format: Format, epoch: Epoch, max_rows: usize) -> Self {
        Self {
            format,
            epoch,
            max_rows,
            text: String::new(),
            statement: 0,
            begun: false,
            header: None,
            rows_in_series: 0,
            rows: 0,
            partial: false,
            failed: false,
            csv_columns: None,
            full: None,
        }
    }

    /// Hands on what is written, as soon as it is enough; `take` says whether anybody still wants it.
    #[must_use]
    pub fn handing_on(mut self, take: impl FnMut(String) -> bool + Send + 'static) -> Self {
        self.full = Some(Box::new(take));
        self
    }

    /// What is written since the last time.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// After the last statement.
    pub fn end(&mut self) {
        match self.format {
            Format::Json | Format::PrettyJson if self.statement == 0 => self.text.push_str("{}\n"),
            Format::Json => self.text.push_str("]}\n"),
            Format::PrettyJson => self.text.push_str("\n    ]\n}\n"),
            Format::Chunks(_) | Format::Csv => {}
        }
    }

    /// The whole answer where nothing can be carried out.
    pub fn refusal(format: Format, error: &str) -> String {
        let mut text = String::new();
        match format {
            Format::Csv => {
                text.push_str("error\n");
                write_csv_cell(&mut text, error);
                text.push('\n');
            }
            Format::PrettyJson => {
                text.push_str("{\n    \"error\": ");
                write_json_string(&mut text, error);
                text.push_str("\n}\n");
            }
            Format::Json | Format::Chunks(_) => {
                text.push_str("{\"error\":");
                write_json_string(&mut text, error);
                text.push_str("}\n");
            }
        }
        text
    }

    /// Answers a statement; the text of an error stands in its answer.
    ///
    /// # Errors
    /// [`QueryError::Interrupted`] when nobody wants more.
    pub fn statement(
        &mut self,
        statement: &Statement,
        query: &Query<'_>,
    ) -> Result<(), QueryError> {
        if self.failed {
            self.other(None);
            return self.hand_on(false);
        }
        let result = run(statement, query, self);
        if matches!(result, Err(QueryError::Interrupted)) {
            return result;
        }
        self.finish(result.err().map(|it| it.to_string()).as_deref());
        self.hand_on(false)
    }

    /// Whether a statement failed; those after it are not to be carried out.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// The answer of a statement that somebody else handled: nothing, or an error.
    pub fn other(&mut self, error: Option<&str>) {
        let error = if self.failed {
            Some("not executed")
        } else {
            error
        };
        self.finish(error);
    }

    fn hand_on(&mut self, full_only: bool) -> Result<(), QueryError> {
        let Some(take) = &mut self.full else {
            return Ok(());
        };
        if self.text.is_empty() || (full_only && self.text.len() < FULL) {
            return Ok(());
        }
        if take(std::mem::take(&mut self.text)) {
            Ok(())
        } else {
            Err(QueryError::Interrupted)
        }
    }

    /// A line break and indentation, where the form has any.
    fn line(&mut self, depth: usize) {
        if self.format == Format::PrettyJson {
            self.text.push('\n');
            for _ in 0..depth {
                self.text.push_str("    ");
            }
        }
    }

    fn key(&mut self, key: &str) {
        write_json_string(&mut self.text, key);
        self.text.push_str(if self.format == Format::PrettyJson {
            ": "
        } else {
            ":"
        });
    }

    fn begin_result(&mut self) {
        if let Format::Chunks(_) = self.format {
            self.text.push_str("{\"results\":[");
        } else if self.statement > 0 {
            self.text.push(',');
        } else {
            self.text.push('{');
            self.line(1);
            self.key("results");
            self.text.push('[');
        }
        self.line(2);
        self.text.push('{');
        self.line(3);
        self.key("statement_id");
        let _ = write!(self.text, "{}", self.statement);
    }

    fn finish(&mut self, error: Option<&str>) {
        if self.format == Format::Csv {
            self.finish_csv(error);
        } else {
            self.end_series(false);
            if !self.begun {
                self.begin_result();
            } else if !matches!(self.format, Format::Chunks(_)) {
                self.line(3);
                self.text.push(']');
            }
            let chunk_done = self.begun && matches!(self.format, Format::Chunks(_));
            if chunk_done && error.is_some() {
                self.begin_result();
            }
            if self.partial && !chunk_done {
                self.text.push(',');
                self.line(3);
                self.key("partial");
                self.text.push_str("true");
            }
            if let Some(error) = error {
                self.text.push(',');
                self.line(3);
                self.key("error");
                write_json_string(&mut self.text, error);
            }
            if !chunk_done || error.is_some() {
                self.line(2);
                self.text.push('}');
                if matches!(self.format, Format::Chunks(_)) {
                    self.text.push_str("]}\n");
                }
            }
        }
        self.statement += 1;
        // InfluxDB goes no further after the first that fails.
        self.failed |= error.is_some();
        (self.begun, self.partial, self.rows, self.rows_in_series) = (false, false, 0, 0);
    }

    /// Ends the series at hand; `more` says whether more of the statement follows.
    fn end_series(&mut self, more: bool) {
        let Some(header) = self.header.take() else {
            return;
        };
        if self.rows_in_series > 0 {
            self.line(5);
            self.text.push(']');
        }
        if self.partial && !more {
            self.text.push(',');
            self.line(5);
            self.key("partial");
            self.text.push_str("true");
        }
        self.line(4);
        self.text.push('}');
        if matches!(self.format, Format::Chunks(_)) {
            self.text.push_str(if more {
                "],\"partial\":true}]}\n"
            } else {
                "]}]}\n"
            });
        }
        drop(header);
    }

    fn begin_series(&mut self, header: &Header) {
        let chunks = matches!(self.format, Format::Chunks(_));
        if !self.begun || chunks {
            self.begin_result();
            self.text.push(',');
            self.line(3);
            self.key("series");
            self.text.push('[');
        } else {
            self.text.push(',');
        }
        self.begun = true;
        self.rows_in_series = 0;
        self.line(4);
        self.text.push('{');
        if let Some(name) = header.name.as_ref().filter(|it| !it.is_empty()) {
            self.line(5);
            self.key("name");
            write_json_string(&mut self.text, name);
            self.text.push(',');
        }
        if !header.tags.is_empty() {
            self.line(5);
            self.key("tags");
            self.text.push('{');
            for (index, (key, value)) in header.tags.iter().enumerate() {
                if index > 0 {
                    self.text.push(',');
                }
                self.line(6);
                self.key(key);
                write_json_string(&mut self.text, value);
            }
            self.line(5);
            self.text.push_str("},");
        }
        self.line(5);
        self.key("columns");
        self.text.push('[');
        for (index, column) in header.columns.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.line(6);
            write_json_string(&mut self.text, column);
        }
        self.line(5);
        self.text.push(']');
        self.header = Some(header.clone());
    }

    fn json_row(&mut self, values: &[Value]) {
        if self.rows_in_series == 0 {
            self.text.push(',');
            self.line(5);
            self.key("values");
            self.text.push('[');
        } else {
            self.text.push(',');
        }
        self.line(6);
        self.text.push('[');
        let zone = self.header.as_ref().and_then(|it| it.zone);
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.line(7);
            write_json_value(&mut self.text, value, self.epoch, zone);
        }
        self.line(6);
        self.text.push(']');
        self.rows_in_series += 1;
    }

    fn finish_csv(&mut self, error: Option<&str>) {
        if let Some(error) = error {
            self.text.push_str("error\n");
            write_csv_cell(&mut self.text, error);
            self.text.push('\n');
        }
        self.header = None;
        self.csv_columns = None;
    }

    fn csv_row(&mut self, values: &[Value]) {
        let Some(header) = self.header.clone() else {
            return;
        };
        if self.csv_columns.as_ref() != Some(&header.columns) {
            if self.csv_columns.is_some() || self.statement > 0 {
                self.text.push('\n');
            }
            self.text.push_str("name,tags");
            for column in &header.columns {
                self.text.push(',');
                write_csv_cell(&mut self.text, column);
            }
            self.text.push('\n');
            self.csv_columns = Some(header.columns.clone());
        }
        write_csv_cell(&mut self.text, header.name.as_deref().unwrap_or_default());
        self.text.push(',');
        let tags: Vec<String> = header
            .tags
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        write_csv_cell(&mut self.text, &tags.join(","));
        for value in values {
            self.text.push(',');
            match value {
                Value::Null => {}
                Value::String(text) => write_csv_cell(&mut self.text, text),
                Value::Time(time) => {
                    let unit = self.epoch.unwrap_or_default().nanoseconds();
                    let _ = write!(self.text, "{}", time / unit);
                }
                // Without an exponent, other than in JSON.
                Value::Float(value) => {
                    let _ = write!(self.text, "{value}");
                }
                other => write_json_value(&mut self.text, other, None, None),
            }
        }
        self.text.push('\n');
    }
}

impl Sink for Answer {
    fn series(&mut self, header: &Header) -> Result<(), QueryError> {
        if self.format == Format::Csv {
            self.header = Some(header.clone());
            return Ok(());
        }
        self.end_series(true);
        self.begin_series(header);
        Ok(())
    }

    fn row(&mut self, values: &[Value]) -> Result<ControlFlow<()>, QueryError> {
        match self.format {
            Format::Csv => self.csv_row(values),
            Format::Chunks(size) => {
                if size > 0
                    && self.rows_in_series == size
                    && let Some(header) = self.header.clone()
                {
                    // The series goes on in the next document.
                    self.text.push_str("],\"partial\":true");
                    self.rows_in_series = 0;
                    self.end_series(true);
                    self.begin_series(&header);
                }
                self.json_row(values);
            }
            Format::Json | Format::PrettyJson => {
                if self.max_rows > 0 && self.rows == self.max_rows {
                    self.partial = true;
                    return Ok(ControlFlow::Break(()));
                }
                self.json_row(values);
            }
        }
        self.rows += 1;
        self.hand_on(true)?;
        Ok(ControlFlow::Continue(()))
    }
}
