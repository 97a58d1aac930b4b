//! Backups of real stores and of a real InfluxDB, in folders and object storages.

mod influx;
mod objects;
mod store;
mod support;
