//! What a person brings in by command: station files, files of raw records, a whole InfluxDB, and a database of
//! the original platform.
//!
//! - [`influx`]: measurements of a running InfluxDB, as points
//! - [`stetl`]: a database of the original platform
//! - [`stations`]: a TOML file that lists stations with what their records do not say
//! - [`records`]: JSON files of raw records, read as a harvester reads those of a remote source

pub mod influx;
pub mod records;
pub mod stations;
pub mod stetl;

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, with the value, and how to mend it.
    pub message: String,
}

impl Fault {
    /// A fault at a byte offset of the text.
    fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}
