use std::collections::HashMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

use super::tags::{Tag, Tags};
use crate::parse_timestamp;

/// The samples of a record, one row for each element of its `timeseries` list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    rows: usize,
    columns: Vec<Column>,
    /// Rows that are not JSON objects, as JSON text, in order of row.
    oddments: Vec<(u32, Box<str>)>,
}

/// One key of the samples, with a cell for each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    name: Box<str>,
    tags: Tags,
    /// The bits of an i64 or f64, or an offset and length into `texts`.
    bits: Vec<u64>,
    texts: String,
}

/// What a sample holds under a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// The key is not in the sample.
    Absent,
    /// `null`
    Null,
    /// A JSON integer of 64 bits.
    Integer(i64),
    /// A JSON number with fraction or exponent that is finite as f64.
    Real(f64),
    /// A JSON string that is a time in the one canonical form, with its number of fractional digits.
    Time(Timestamp, u8),
    /// Any other JSON string, decoded.
    Text(&'a str),
    /// Anything else, as JSON text: `true`, lists, objects, numbers beyond 64 bits.
    Json(&'a str),
}

/// What a cell is as a number (R4.2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellNumber {
    /// There is no reading: the key is absent or null.
    Absent,
    /// A finite number.
    Number(f64),
    /// A reading that is no finite number.
    NotANumber,
}

impl Samples {
    /// No rows, no columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// All columns, in order of first appearance.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column of this key.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.as_ref() == name)
    }

    /// Rows that are not JSON objects, as JSON text.
    pub fn oddments(&self) -> &[(u32, Box<str>)] {
        &self.oddments
    }

    /// Whether the row is a JSON object.
    pub fn is_object(&self, row: usize) -> bool {
        !self.oddments.iter().any(|(odd, _)| *odd as usize == row)
    }

    /// The `timeseries` list as JSON text.
    pub fn to_json(&self) -> String {
        let mut out = String::from("[");
        let mut oddments = self.oddments.iter().peekable();
        for row in 0..self.rows {
            if row > 0 {
                out.push(',');
            }
            if let Some((_, json)) = oddments.next_if(|(odd, _)| *odd as usize == row) {
                out.push_str(json);
            } else {
                self.write_row(row, &mut out);
            }
        }
        out.push(']');
        out
    }

    fn write_row(&self, row: usize, out: &mut String) {
        out.push('{');
        let mut first = true;
        for column in &self.columns {
            let cell = column.cell(row);
            if cell == Cell::Absent {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            write_string(&column.name, out);
            out.push(':');
            cell.write_json(out);
        }
        out.push('}');
    }

    /// Puts columns together again, for stores. All columns must have `rows` cells.
    pub fn from_columns(
        rows: usize,
        columns: Vec<Column>,
        oddments: Vec<(u32, Box<str>)>,
    ) -> Option<Self> {
        let complete = columns.iter().all(|column| column.tags.len() == rows);
        let inside = oddments.iter().all(|(row, _)| (*row as usize) < rows);
        (complete && inside).then_some(Self {
            rows,
            columns,
            oddments,
        })
    }
}

impl Column {
    /// A column without cells.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            tags: Tags::new(),
            bits: Vec::new(),
            texts: String::new(),
        }
    }

    /// A column without cells that has room for so many.
    pub fn with_capacity(name: &str, rows: usize) -> Self {
        Self {
            name: name.into(),
            tags: Tags::new(),
            bits: Vec::with_capacity(rows),
            texts: String::new(),
        }
    }

    /// The key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.tags.len()
    }

    /// Whether there are no cells.
    pub fn is_empty(&self) -> bool {
        self.tags.len() == 0
    }

    /// The cell of a row; absent beyond the last one.
    pub fn cell(&self, row: usize) -> Cell<'_> {
        match (self.tags.get(row), self.bits.get(row)) {
            (Some(tag), Some(bits)) => self.as_cell(tag, *bits),
            _ => Cell::Absent,
        }
    }

    /// All cells, in order of row.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        let pairs = self.tags.iter().zip(&self.bits);
        pairs.map(|(tag, bits)| self.as_cell(tag, *bits))
    }

    /// The cell of a row as a number; absent beyond the last one.
    #[inline]
    pub fn number(&self, row: usize) -> CellNumber {
        match (self.tags.get(row), self.bits.get(row)) {
            (Some(tag), Some(bits)) => self.as_number(tag, *bits),
            _ => CellNumber::Absent,
        }
    }

    /// All cells as numbers, in order of row.
    pub fn numbers(&self) -> impl Iterator<Item = CellNumber> {
        let pairs = self.tags.iter().zip(&self.bits);
        pairs.map(|(tag, bits)| self.as_number(tag, *bits))
    }

    #[inline]
    fn as_number(&self, tag: Tag, bits: u64) -> CellNumber {
        match tag {
            #[expect(clippy::cast_precision_loss, reason = "numbers are f64 by rule R4.2")]
            Tag::Integer => CellNumber::Number(bits.cast_signed() as f64),
            Tag::Real => CellNumber::Number(f64::from_bits(bits)),
            Tag::Absent | Tag::Null => CellNumber::Absent,
            Tag::Time(_) | Tag::Text => CellNumber::NotANumber,
            Tag::Json => Cell::Json(self.text(bits))
                .number()
                .map_or(CellNumber::NotANumber, CellNumber::Number),
        }
    }

    #[inline]
    fn as_cell(&self, tag: Tag, bits: u64) -> Cell<'_> {
        match tag {
            Tag::Absent => Cell::Absent,
            Tag::Null => Cell::Null,
            Tag::Integer => Cell::Integer(bits.cast_signed()),
            Tag::Real => Cell::Real(f64::from_bits(bits)),
            Tag::Time(digits) => Cell::Time(timestamp(bits.cast_signed()), digits),
            Tag::Text => Cell::Text(self.text(bits)),
            Tag::Json => Cell::Json(self.text(bits)),
        }
    }

    fn text(&self, bits: u64) -> &str {
        let (start, length) = ((bits >> 32) as usize, (bits & 0xFFFF_FFFF) as usize);
        &self.texts[start..start + length]
    }

    /// Appends a cell.
    pub fn push(&mut self, cell: Cell<'_>) {
        let (tag, bits) = match cell {
            Cell::Absent => (Tag::Absent, 0),
            Cell::Null => (Tag::Null, 0),
            Cell::Integer(value) => (Tag::Integer, value.cast_unsigned()),
            Cell::Real(value) => (Tag::Real, value.to_bits()),
            Cell::Time(time, digits) => match i64::try_from(time.as_nanosecond()) {
                Ok(nanoseconds) => (Tag::Time(digits), nanoseconds.cast_unsigned()),
                Err(_) => (Tag::Text, self.keep(&canonical_time(time, digits))),
            },
            Cell::Text(text) => (Tag::Text, self.keep(text)),
            Cell::Json(json) => (Tag::Json, self.keep(json)),
        };
        self.tags.push(tag);
        self.bits.push(bits);
    }

    /// Appends integers, for stores: faster than one by one.
    pub fn extend_integers(&mut self, values: &[i64]) {
        self.tags
            .resize(self.tags.len() + values.len(), Tag::Integer);
        self.bits
            .extend(values.iter().map(|value| value.cast_unsigned()));
    }

    /// Appends reals, for stores.
    pub fn extend_reals(&mut self, values: &[f64]) {
        self.tags.resize(self.tags.len() + values.len(), Tag::Real);
        self.bits.extend(values.iter().map(|value| value.to_bits()));
    }

    /// Appends times in nanoseconds since 1970, all with so many fractional digits, for stores.
    pub fn extend_times(&mut self, nanoseconds: &[i64], digits: u8) {
        let tag = Tag::Time(digits);
        self.tags.resize(self.tags.len() + nanoseconds.len(), tag);
        let bits = nanoseconds.iter().map(|value| value.cast_unsigned());
        self.bits.extend(bits);
    }

    /// Appends texts that stand one behind the other in `texts`, for stores.
    ///
    /// Gives `None`, and appends nothing, when the lengths (in bytes) do not cut it into texts.
    pub fn extend_texts(&mut self, texts: &str, lengths: &[usize]) -> Option<()> {
        let mut end = 0_usize;
        for length in lengths {
            end = end.checked_add(*length)?;
            if !texts.is_char_boundary(end) {
                return None;
            }
        }
        if end != texts.len() {
            return None;
        }
        let mut start = self.texts.len() as u64;
        self.texts.push_str(texts);
        self.bits.extend(lengths.iter().map(|&length| {
            let length = length as u64;
            let bits = (start << 32) | length;
            start += length;
            bits
        }));
        self.tags.resize(self.tags.len() + lengths.len(), Tag::Text);
        Some(())
    }

    /// Appends cells that are not in their samples, for stores.
    pub fn extend_absent(&mut self, count: usize) {
        self.tags.resize(self.tags.len() + count, Tag::Absent);
        self.bits.resize(self.bits.len() + count, 0);
    }

    fn keep(&mut self, text: &str) -> u64 {
        let start = self.texts.len() as u64;
        self.texts.push_str(text);
        (start << 32) | text.len() as u64
    }

    /// Cuts off cells, or fills up with absent ones.
    fn set_length(&mut self, rows: usize) {
        self.tags.resize(rows, Tag::Absent);
        self.bits.resize(rows, 0);
    }
}

impl Cell<'_> {
    /// Whether there is no reading: the key is absent or null.
    pub fn is_absent(self) -> bool {
        matches!(self, Cell::Absent | Cell::Null)
    }

    /// The number, when it is a finite JSON number (R4.2).
    pub fn number(self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "numbers are f64 by rule R4.2")]
            Cell::Integer(value) => Some(value as f64),
            Cell::Real(value) => Some(value),
            // An integer beyond 64 bits is still a number; one beyond f64 is not finite.
            Cell::Json(json) if json.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                json.parse().ok().filter(|value: &f64| value.is_finite())
            }
            _ => None,
        }
    }

    /// The string, decoded; `None` when the cell holds no string.
    pub fn text(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Cell::Text(text) => Some((*text).into()),
            Cell::Time(time, digits) => Some(canonical_time(*time, *digits).into()),
            _ => None,
        }
    }

    /// Equal readings: numbers by value, anything else by JSON equality (R3.6).
    pub fn same_reading(self, other: Self) -> bool {
        if let (Some(a), Some(b)) = (self.whole_number(), other.whole_number()) {
            return a == b;
        }
        match (self, other) {
            (Cell::Json(a), Cell::Json(b)) => a == b || json_equal(a, b),
            (a, b) => match (a.number(), b.number()) {
                #[expect(clippy::float_cmp, reason = "equality by value is what the rule asks")]
                (Some(a), Some(b)) => a == b,
                (None, None) => a == b || a.text().is_some_and(|text| Some(text) == b.text()),
                _ => false,
            },
        }
    }

    /// The digits of an integral number, exact also beyond what an f64 can tell apart.
    fn whole_number(self) -> Option<String> {
        match self {
            Cell::Integer(value) => Some(value.to_string()),
            // Adding zero takes the sign from a negative one.
            Cell::Real(value) if value.fract() == 0.0 => Some(format!("{:.0}", value + 0.0)),
            Cell::Json("-0") => Some("0".to_owned()),
            Cell::Json(json) => {
                let digits = json.strip_prefix('-').unwrap_or(json);
                digits
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
                    .then(|| json.to_owned())
            }
            _ => None,
        }
    }

    /// The cell as JSON text; nothing for an absent one.
    pub fn write_json(self, out: &mut String) {
        match self {
            Cell::Absent => {}
            Cell::Null => out.push_str("null"),
            Cell::Integer(value) => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{value}");
            }
            Cell::Real(value) => {
                let _ = write!(out, "{value:?}");
            }
            Cell::Time(time, digits) => write_string(&canonical_time(time, digits), out),
            Cell::Text(text) => write_string(text, out),
            Cell::Json(json) => out.push_str(json),
        }
    }

    /// The cell as JSON text of its own; `None` when absent.
    pub fn to_json(self) -> Option<String> {
        let mut out = String::new();
        self.write_json(&mut out);
        (!out.is_empty()).then_some(out)
    }
}

fn json_equal(a: &str, b: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    matches!((parse(a), parse(b)), (Some(a), Some(b)) if same_value(&a, &b))
}

/// JSON equality where `1` and `1.0` are the same number.
fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => a == b || x.as_f64() == y.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        _ => a == b,
    }
}

fn write_string(text: &str, out: &mut String) {
    // A string always serialises.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    const IN_A_SECOND: i64 = 1_000_000_000;
    let seconds = nanoseconds.div_euclid(IN_A_SECOND);
    // The remainder is below 10^9, and 64 bits of nanoseconds lie within the years of a timestamp.
    let rest = i32::try_from(nanoseconds.rem_euclid(IN_A_SECOND)).unwrap_or_default();
    Timestamp::new(seconds, rest).unwrap_or_default()
}

/// `2016-01-08T22:00:06.757Z` with the number of fractional digits it came with.
fn canonical_time(time: Timestamp, digits: u8) -> String {
    format!("{time:.*}", usize::from(digits))
}

/// A text that is a time in the canonical form, so that formatting it again gives the same text.
fn as_canonical_time(text: &str) -> Option<Cell<'static>> {
    let bytes = text.as_bytes();
    if !(20..=30).contains(&bytes.len()) || bytes[10] != b'T' || !text.ends_with('Z') {
        return None;
    }
    let digits = match bytes.len() {
        20 => 0,
        21 => return None,
        length => u8::try_from(length - 21).ok()?,
    };
    let time = parse_timestamp(text)?;
    // Outside these years nanoseconds since 1970 do not fit 64 bits.
    let fits = (1678..=2261).contains(&text.get(..4)?.parse::<u16>().ok()?);
    fits.then_some(Cell::Time(time, digits))
}

/// Most cells (rows times keys) that a record may have; a real hour has some 36,000.
pub(super) const MAX_CELLS: usize = 10_000_000;

/// Builds samples row by row.
///
/// Samples of one station carry the same keys in nearly the same order, so the column of the next
/// key is guessed from the one before; a map is only asked when the guess fails.
#[derive(Default)]
pub(super) struct SamplesBuilder {
    samples: Samples,
    index: HashMap<Box<str>, usize>,
    next: usize,
    expected_rows: usize,
}

/// Room is made for no more rows than this before they are there.
const MAX_EXPECTED_ROWS: usize = 4096;

impl SamplesBuilder {
    pub(super) fn push_oddment(&mut self, json: &str) {
        let row = u32::try_from(self.samples.rows).unwrap_or(u32::MAX);
        self.samples.oddments.push((row, json.into()));
        self.finish_row();
    }

    /// Sets a key of the row being built; of a key given twice the last one holds.
    pub(super) fn push_cell(&mut self, key: &str, cell: Cell<'_>) {
        let at = self.column_of(key);
        self.push_at(at, cell);
        self.next = at + 1;
    }

    /// Sets the cell of a column in the row being built.
    pub(super) fn push_at(&mut self, at: usize, cell: Cell<'_>) {
        self.free_cell(at).push(cell);
    }

    /// As [`Self::push_at`], for the most frequent kind of cell.
    #[inline]
    pub(super) fn push_integer(&mut self, at: usize, value: i64) {
        let column = self.free_cell(at);
        column.tags.push(Tag::Integer);
        column.bits.push(value.cast_unsigned());
    }

    /// The column, with just the cells of the rows before.
    #[inline]
    fn free_cell(&mut self, at: usize) -> &mut Column {
        let rows = self.samples.rows;
        let column = &mut self.samples.columns[at];
        if column.tags.len() != rows {
            column.set_length(rows);
        }
        column
    }

    /// Makes room for about so many rows in the columns to come; more or fewer may come.
    pub(super) fn expect_rows(&mut self, rows: usize) {
        self.expected_rows = rows.min(MAX_EXPECTED_ROWS);
    }

    /// The column of a key, made when there is none.
    pub(super) fn column_of(&mut self, key: &str) -> usize {
        if self
            .samples
            .columns
            .get(self.next)
            .is_some_and(|column| column.name() == key)
        {
            return self.next;
        }
        if let Some(at) = self.index.get(key) {
            return *at;
        }
        let at = self.samples.columns.len();
        let column = Column::with_capacity(key, self.expected_rows);
        self.samples.columns.push(column);
        self.index.insert(key.into(), at);
        at
    }

    /// Whether the samples would take more room than any real hour does.
    ///
    /// Every key is a column over all rows, so samples of ever new keys would grow without measure.
    pub(super) fn is_too_wide(&self) -> bool {
        self.samples.rows.saturating_mul(self.samples.columns.len()) > MAX_CELLS
    }

    pub(super) fn finish_row(&mut self) {
        self.samples.rows += 1;
        self.next = 0;
    }

    pub(super) fn finish(mut self) -> Samples {
        let rows = self.samples.rows;
        for column in &mut self.samples.columns {
            column.set_length(rows);
        }
        self.samples
    }
}

/// The cell for a JSON value given as text.
///
/// `scratch` holds decoded strings with escapes.
pub(super) fn cell_of<'a>(json: &'a str, scratch: &'a mut String) -> Cell<'a> {
    match json.as_bytes().first() {
        Some(b'n') => Cell::Null,
        Some(b'"') => {
            let inner = &json[1..json.len() - 1];
            if inner.contains('\\') {
                match serde_json::from_str(json) {
                    Ok(decoded) => *scratch = decoded,
                    // A lone surrogate is legal JSON but no text: kept as it is written.
                    Err(_) => return Cell::Json(json),
                }
                return Cell::Text(scratch);
            }
            as_canonical_time(inner).unwrap_or(Cell::Text(inner))
        }
        Some(b'-' | b'0'..=b'9') => number_cell(json),
        _ => Cell::Json(json),
    }
}

fn number_cell(json: &str) -> Cell<'_> {
    let is_integer = !json.contains(['.', 'e', 'E']);
    if is_integer {
        // -0 is a negative zero, which an integer cannot keep.
        return match json.parse() {
            Ok(value) if json != "-0" => Cell::Integer(value),
            _ => Cell::Json(json),
        };
    }
    match json.parse::<f64>() {
        Ok(value) if value.is_finite() => Cell::Real(value),
        _ => Cell::Json(json),
    }
}
