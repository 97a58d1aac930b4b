//! What is pushed to us, one module for each face.
//!
//! [`influxdb`] takes points as InfluxDB 1.x and 2 take them.

pub mod influxdb;
