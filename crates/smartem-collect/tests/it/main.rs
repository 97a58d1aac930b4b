//! Harvesters against servers that behave and servers that do not.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]

mod influxdb;
mod remote;
mod whale;
