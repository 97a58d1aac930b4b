//! Harvesters against servers that behave and servers that do not.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]

mod influxdb;
mod network;
mod opensensemap;
mod remote;
mod sensorthings;
mod timeseries;
mod whale;
