//! Backups of real stores and of a real InfluxDB, in folders and object storages.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod influx;
mod objects;
mod store;
mod support;
