//! Points in the database: what is defined, and blocks of rows.

mod commit;
mod read;
mod record;
mod tidy;

pub(super) use record::{PointsOfStation, raw_record};
