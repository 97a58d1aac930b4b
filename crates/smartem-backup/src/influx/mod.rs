//! Backups of a real InfluxDB 1.x. Its own `influxd backup` and `influxd restore` make and restore the
//! files, in the portable and in the legacy form; what is here notes what is in them, checks them, keeps
//! them, and restores beside before anything is dropped. Tested on InfluxDB 1.6.7.

mod files;
mod legacy;
mod make;
mod measure;
mod offline;
mod program;
mod restore;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use files::{check, fetch, note, send};
pub use make::{BackupSettings, back_up};
pub use measure::{Summary, differences, measure};
pub use offline::{OfflineSettings, Prepared, fetch_offline, prepare_offline};
pub use program::Influxd;
pub use restore::{RestoreSettings, Restored, compare, rehearse, restore};

/// The document that is written beside the files.
pub const MANIFEST: &str = "manifest.json";

/// What a backup of an `InfluxDB` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfluxContents {
    /// The database.
    pub database: String,
    /// The form of the files.
    pub form: Form,
    /// The version of the server, where it was asked.
    pub server: Option<String>,
    /// What was in the database before the files were made; `None` when nobody looked.
    pub before: Option<BTreeMap<String, Summary>>,
    /// The same after they were made: what came meanwhile may be in them.
    pub after: Option<BTreeMap<String, Summary>>,
    /// Users with their rights on the database, which a restore does not bring back.
    pub grants: Vec<(String, String)>,
}

/// The form of the files of `influxd backup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Of `influxd backup -portable`: `<time>.manifest`, `<time>.meta`, `<time>.s<N>.tar.gz`.
    Portable,
    /// Of `influxd backup` without it: `meta.NN`, `<database>.<policy>.NNNNN.NN`.
    Legacy,
}

/// The line of backups of a database.
pub fn line(database: &str) -> String {
    use std::fmt::Write as _;
    let mut line = "influxdb/".to_owned();
    for byte in database.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => line.push(byte.into()),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(line, "={byte:02x}");
            }
        }
    }
    line
}
