use std::borrow::Cow;
use std::fmt;

/// The type of a field; one field of a measurement has one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldType {
    /// 64-bit floating point, always finite.
    Float,
    /// 64-bit signed.
    Integer,
    /// 64-bit unsigned; only InfluxDB 2 writes it.
    Unsigned,
    /// `true` or `false`.
    Boolean,
    /// UTF-8 text.
    String,
}

impl FieldType {
    /// The name in InfluxDB's answers and errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::Boolean => "boolean",
            Self::String => "string",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// Always finite.
    Float(f64),
    /// Signed.
    Integer(i64),
    /// Unsigned.
    Unsigned(u64),
    /// `true` or `false`.
    Boolean(bool),
    /// Text, without quotes and escapes.
    String(Cow<'a, str>),
}

impl FieldValue<'_> {
    /// Its type.
    pub fn field_type(&self) -> FieldType {
        match self {
            Self::Float(_) => FieldType::Float,
            Self::Integer(_) => FieldType::Integer,
            Self::Unsigned(_) => FieldType::Unsigned,
            Self::Boolean(_) => FieldType::Boolean,
            Self::String(_) => FieldType::String,
        }
    }

    /// The same, borrowing nothing.
    pub fn into_owned(self) -> FieldValue<'static> {
        match self {
            Self::Float(value) => FieldValue::Float(value),
            Self::Integer(value) => FieldValue::Integer(value),
            Self::Unsigned(value) => FieldValue::Unsigned(value),
            Self::Boolean(value) => FieldValue::Boolean(value),
            Self::String(text) => FieldValue::String(Cow::Owned(text.into_owned())),
        }
    }
}

/// The values of one field over some rows; `None` where the row has no such field.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Of a float field.
    Floats(Vec<Option<f64>>),
    /// Of an integer field.
    Integers(Vec<Option<i64>>),
    /// Of an unsigned field.
    Unsigned(Vec<Option<u64>>),
    /// Of a boolean field.
    Booleans(Vec<Option<bool>>),
    /// Of a string field.
    Strings(Vec<Option<Box<str>>>),
    /// No row of this chunk has the field.
    Absent,
}

/// The unit in which times are written or asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `n` or `ns`
    #[default]
    Nanoseconds,
    /// `u` or `µ` or `us`
    Microseconds,
    /// `ms`
    Milliseconds,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
}

impl Precision {
    /// Nanoseconds in one unit.
    pub fn nanoseconds(self) -> i64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => 1_000_000_000,
            Self::Minutes => 60_000_000_000,
            Self::Hours => 3_600_000_000_000,
        }
    }
}
