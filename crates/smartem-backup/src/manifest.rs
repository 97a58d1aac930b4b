//! What a backup consists of. A backup without a manifest does not exist.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use smartem_store::StoreContents;

use crate::BackupError;
use crate::influx::InfluxContents;

/// The newest form of manifests.
pub(crate) const FORMAT: u32 = 1;

/// A backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of this document.
    pub format: u32,
    /// When the backup began; everything acknowledged before is in it.
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub program: String,
    /// Its files.
    pub files: Vec<FileEntry>,
    /// What is in them.
    pub contents: Contents,
}

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// The embedded store.
    Store(StoreContents),
    /// An InfluxDB.
    Influxdb(InfluxContents),
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its place, with `/` between folders.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Of the whole file, in hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of each piece, by which it is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chunks: Vec<String>,
    /// Bytes of each piece as it lies there, compressed; none where an older program wrote this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<u64>,
}

impl FileEntry {
    /// The pieces with the bytes that each must have, where these were noted.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (&str, Option<u64>)> {
        let sizes = self.sizes.iter().copied().map(Some);
        let sizes = sizes.chain(std::iter::repeat(None));
        self.chunks.iter().map(String::as_str).zip(sizes)
    }

    /// Whether the path stays within a folder.
    pub(crate) fn is_within(&self) -> bool {
        let fine = |part: &str| !part.is_empty() && part != "." && part != "..";
        !self.path.contains(['\\', '\0']) && self.path.split('/').all(fine)
    }
}

/// The document with its sum, so that a changed digit is noticed too.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    sha256: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// What a manifest of any form has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Manifest {
    /// The id of the store that it is a backup of, where it is one and an id was noted.
    pub fn store(&self) -> Option<&str> {
        match &self.contents {
            Contents::Store(contents) => contents.store.as_deref(),
            Contents::Influxdb(_) => None,
        }
    }

    /// The document.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let manifest = serde_json::value::to_raw_value(self)?;
        let sealed = Sealed {
            sha256: hex(&Sha256::digest(manifest.get())),
            manifest: &manifest,
        };
        serde_json::to_vec(&sealed)
    }

    /// Reads a document from `object` in `place`.
    pub(crate) fn from_bytes(bytes: &[u8], object: &str, place: &str) -> Result<Self, BackupError> {
        let damaged = |problem: String| BackupError::Damaged {
            object: object.to_owned(),
            place: place.to_owned(),
            problem,
            remedy: "take another backup (`--as-of`)",
        };
        let sealed: Sealed<'_> = serde_json::from_slice(bytes)
            .map_err(|error| damaged(format!("it is no manifest: {error}")))?;
        if hex(&Sha256::digest(sealed.manifest.get())) != sealed.sha256 {
            return Err(damaged("its content is not what was written".to_owned()));
        }
        let unreadable = |error: serde_json::Error| damaged(format!("it is no manifest: {error}"));
        let head: Head = serde_json::from_str(sealed.manifest.get()).map_err(unreadable)?;
        if head.format > FORMAT {
            return Err(BackupError::Newer {
                id: object.to_owned(),
                what: "the form",
                found: head.format,
                known: FORMAT,
            });
        }
        let manifest: Self = serde_json::from_str(sealed.manifest.get()).map_err(unreadable)?;
        match manifest.files.iter().find(|file| !file.is_within()) {
            Some(file) => Err(damaged(format!("it names the file `{}`", file.path))),
            None => Ok(manifest),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The form of names of backups, which sort by time.
const ID: &str = "%Y%m%dT%H%M%S%.3fZ";

/// The name of a backup that began at this time.
pub(crate) fn id_of(time: Timestamp) -> String {
    time.strftime(ID).to_string()
}

/// When the backup of this name began.
pub(crate) fn time_of(id: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime(ID, id).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_times() {
        let time: Timestamp = "2026-11-28T02:17:00.042Z".parse().unwrap();
        assert_eq!(id_of(time), "20261128T021700.042Z");
        assert_eq!(time_of("20261128T021700.042Z"), Some(time));
        assert_eq!(time_of("20261128"), None);
    }

    #[test]
    fn every_changed_byte_of_a_manifest_is_noticed() {
        let manifest = Manifest {
            format: FORMAT,
            made_at: Timestamp::UNIX_EPOCH,
            program: "0".to_owned(),
            files: vec![FileEntry {
                path: "a/b".to_owned(),
                bytes: 1,
                sha256: hex(&[1, 0xab]),
                chunks: vec!["01".to_owned()],
                sizes: vec![1],
            }],
            contents: Contents::Store(StoreContents::default()),
        };
        let bytes = manifest.to_bytes().unwrap();
        assert_eq!(Manifest::from_bytes(&bytes, "m", "p").unwrap(), manifest);
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Manifest::from_bytes(&bytes, "m", "p").is_err(), "byte {at}");
        }
    }

    #[test]
    fn paths_stay_within_the_folder() {
        for (path, within) in [
            ("a", true),
            ("points/00.log", true),
            ("/etc/passwd", false),
            ("../a", false),
            ("a/../../b", false),
            ("", false),
        ] {
            let entry = FileEntry {
                path: path.to_owned(),
                bytes: 0,
                sha256: String::new(),
                chunks: Vec::new(),
                sizes: Vec::new(),
            };
            assert_eq!(entry.is_within(), within, "{path}");
        }
    }
}
