//! What is pushed to us, one module for each face.
//!
//! [`influxdb`] takes points as InfluxDB 1.x and 2 take them. [`newest`] makes newest values of what
//! arrives, [`overview`] tells what there is.

pub mod influxdb;
pub mod newest;
pub mod overview;
mod sink;

pub use sink::PointSink;
