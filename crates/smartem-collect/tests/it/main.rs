//! Harvesters against servers that behave and servers that do not.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]

mod csv;
mod examples;
mod influxdb;
mod mqtt;
mod network;
mod opensensemap;
mod recorder;
mod remote;
mod sensor_community;
mod sensorthings;
mod stale;
mod timeseries;
mod whale;
