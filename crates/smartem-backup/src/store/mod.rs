//! Backups of the embedded store: made while everything writes, and put back.

mod make;
mod restore;

pub use make::{Made, MakeSettings, back_up};
pub use restore::{RestoreSettings, Restored, restore, verify};

/// The line of backups of the store.
pub const LINE: &str = "store";

/// The folder with the log of points, in the folder of the store.
const POINTS: &str = "points";
