//! Backups: made while everything runs, kept as long as agreed, read back to be sure, and put back.
//!
//! - [`Target`]: a folder or an object storage; [`Repository`]: the backups in it
//! - [`store`]: of the embedded store
//! - [`influx`]: of a real InfluxDB 1.x, whose own program makes and restores the files
//! - [`Keep`]: which backups are kept
//!
//! Files are cut into pieces that are named after their content, so that a piece that is there is not
//! sent again; a backup is a manifest that names pieces, and does not exist before that is written.

mod error;
pub mod influx;

mod manifest;
mod private;
mod repository;
mod retention;
mod space;
pub mod store;
mod target;
mod transfer;

pub use error::BackupError;
pub use manifest::{Contents, FileEntry, Manifest};
pub use repository::{Backup, Pruned, Repository};
pub use retention::Keep;
pub use space::Space;
pub use target::{Credentials, Target};
pub use transfer::{Sent, Watch};
