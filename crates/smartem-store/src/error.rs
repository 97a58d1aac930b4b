use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use smartem_model::StationId;

use crate::CodecError;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no store, or its schema is older than this program needs.
    #[error(
        "opening {}: {}; run `smartem store migrate`",
        path.display(),
        if *found == 0 {
            "there is no store yet".to_owned()
        } else {
            format!("the schema has version {found} and {needed} is needed")
        }
    )]
    NotMigrated {
        /// The database file, or the address of the database.
        path: PathBuf,
        /// Its version; 0 when there is none.
        found: u32,
        /// The version of this program.
        needed: u32,
    },
    /// A newer program wrote it.
    #[error(
        "opening {}: the schema has version {found}, this program knows versions up to {known}; \
         use a newer smartem",
        path.display()
    )]
    NewerSchema {
        /// The database file, or the address of the database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version of this program.
        known: u32,
    },
    /// Other processes held the database too long.
    #[error("{action} in {}: the database is locked by another process", path.display())]
    Locked {
        /// What was tried.
        action: &'static str,
        /// The database file, or the address of the database.
        path: PathBuf,
    },
    /// No space left.
    #[error("{action} in {}: the disk is full", path.display())]
    DiskFull {
        /// What was tried.
        action: &'static str,
        /// The database file, or the address of the database.
        path: PathBuf,
    },
    /// The file cannot be opened at all.
    #[error(
        "{action} in {}: the file cannot be opened; look at the rights of its folder",
        path.display()
    )]
    CannotOpen {
        /// What was tried.
        action: &'static str,
        /// The database file, or the address of the database.
        path: PathBuf,
    },
    /// The file or its folder may not be written.
    #[error("{action} in {}: the file or its folder is not writable", path.display())]
    ReadOnly {
        /// What was tried.
        action: &'static str,
        /// The database file, or the address of the database.
        path: PathBuf,
    },
    /// The file is no database, or damaged.
    #[error("{action} in {}: the file is damaged or no database; restore a backup", path.display())]
    Corrupt {
        /// What was tried.
        action: &'static str,
        /// The database file, or the address of the database.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Any other failure of the database.
    #[error("{action} in {}", path.display())]
    Database {
        /// What was tried.
        action: &'static str,
        /// The database file, or the address of the database.
        path: PathBuf,
        /// What the database says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file or folder beside the database.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A stored record that cannot be read back.
    #[error("reading the raw record of station {station}, {time}")]
    DamagedRecord {
        /// Whose.
        station: StationId,
        /// The hour, or the time of a snapshot.
        time: String,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// A record that cannot be stored.
    #[error("storing the record of station {station} from {place}")]
    UnfitRecord {
        /// Whose.
        station: StationId,
        /// Where it came from.
        place: String,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// Stored points that cannot be read back.
    #[error("reading points of series {series}")]
    DamagedPoints {
        /// The number of the series.
        series: u32,
        /// What is wrong with them.
        #[source]
        source: CodecError,
    },
    /// Points that cannot be stored.
    #[error("packing points")]
    UnfitPoints(#[source] CodecError),
    /// Something of the store that one process at a time can have.
    #[error("{what} in {} are in use by another process; stop it first", path.display())]
    InUse {
        /// What it is.
        what: &'static str,
        /// Its folder.
        path: PathBuf,
    },
    /// A body that cannot be put into quarantine.
    #[error("setting aside the body from {place}")]
    UnfitBody {
        /// Where it came from.
        place: String,
        /// What is wrong with it.
        #[source]
        source: CodecError,
    },
    /// A record without an hour among records of hours.
    #[error(
        "taking in the record of station {station} from {place}: it is not a record of an hour"
    )]
    NotAnHour {
        /// Whose.
        station: StationId,
        /// Where it came from.
        place: String,
    },
    /// An observation of another station, or not within its hour.
    #[error(
        "storing what was refined of station {station}, {time}: \
         the observation of {indicator} is not of it"
    )]
    ForeignObservation {
        /// Whose record.
        station: StationId,
        /// The hour, or the time of a snapshot.
        time: String,
        /// Of what.
        indicator: String,
    },
    /// A value in the database that this program would not have written.
    #[error("{action} in {}: {what} `{value}` is not understood", path.display())]
    UnknownValue {
        /// What was tried.
        action: &'static str,
        /// The database file, or the address of the database.
        path: PathBuf,
        /// Which column.
        what: &'static str,
        /// What it holds.
        value: String,
    },
    /// A station that sends records of another type than is said of it.
    #[error("declaring station {station} as `{declared}`: its records are of type `{stored}`")]
    OtherStationType {
        /// Whose.
        station: StationId,
        /// What was said.
        declared: String,
        /// What its newest record is.
        stored: Arc<str>,
    },
    /// No such station.
    #[error("{action}: there is no station {station}")]
    UnknownStation {
        /// What was tried.
        action: &'static str,
        /// Which.
        station: StationId,
    },
    /// A token of this name that is not revoked.
    #[error(
        "adding a token: there is a token `{name}`; choose another name, or revoke it first with \
         `smartem token revoke {name}`"
    )]
    TokenExists {
        /// Its name.
        name: String,
    },
    /// An address of a database that cannot be used.
    #[error("`store.postgres.url`: {problem}")]
    Address {
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The server of the database cannot be reached.
    #[error(
        "{action} in {}: the database cannot be reached; look whether it runs and whether its address is right",
        path.display()
    )]
    Unreachable {
        /// What was tried.
        action: &'static str,
        /// The address of the database.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server does not allow it.
    #[error(
        "{action} in {}: the database does not allow it: {problem}; look at the user in \
         `store.postgres.url`, its password, and the role it has",
        path.display()
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// The address of the database.
        path: PathBuf,
        /// What the server says.
        problem: String,
    },
    /// The server lacks something that cannot be made by this user.
    #[error("{action} in {}: {problem}", path.display())]
    Unprepared {
        /// What was tried.
        action: &'static str,
        /// The address of the database.
        path: PathBuf,
        /// What is missing, and the remedy.
        problem: String,
    },
    /// Something that this kind of store does not have.
    #[error("{action}: {problem}")]
    NotHere {
        /// What was tried.
        action: &'static str,
        /// Why, and what to do instead.
        problem: &'static str,
    },
    /// A copy into a store that holds something.
    #[error("copying the store into {}: there is a store already; {remedy}", path.display())]
    NotEmpty {
        /// The database file, or the address of the database.
        path: PathBuf,
        /// What to do instead.
        remedy: &'static str,
    },
    /// A copy while points wait in the log beside the database.
    #[error(
        "copying the store: the log of points in {} holds points that are not in the database yet; start \
         `smartem collect` (or `smartem up`) on it and stop it again, which commits them",
        path.display()
    )]
    Uncommitted {
        /// The folder of the log.
        path: PathBuf,
    },
    /// A copy that does not hold what was read.
    #[error("copying the store into {}: {}; nothing was copied", path.display(), problems.join("; "))]
    CopyDiffers {
        /// The database file, or the address of the database.
        path: PathBuf,
        /// What is wrong, by table.
        problems: Vec<String>,
    },
    /// The program is going down.
    #[error("{action} was interrupted")]
    Interrupted {
        /// What was tried.
        action: &'static str,
    },
}
