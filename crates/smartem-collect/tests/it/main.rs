//! Harvesters against servers that behave and servers that do not.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]

mod csv;
mod examples;
mod influxdb;
mod influxdb_lines;
mod influxdb_query;
mod influxdb_write;
mod mqtt;
mod mqtt_sta;
mod mqtt_sta_store;
mod mqtt_websocket;
mod network;
mod opensensemap;
mod receive;
mod recorder;
mod remote;
mod sensor_community;
mod sensorthings;
mod stale;
mod stetl;
mod timeseries;
mod whale;
