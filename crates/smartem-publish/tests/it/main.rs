//! Publishers: golden lines, a real server, and servers that misbehave.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]

mod django;
mod golden;
mod influxdb;
mod influxdb_troubled;
mod sensorthings;
mod support;
