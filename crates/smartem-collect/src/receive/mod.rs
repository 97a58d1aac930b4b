//! What is pushed to us, one module for each face.
//!
//! [`authority`] knows who may write. [`influxdb`] takes points and answers queries as InfluxDB does.
//! [`sensor_community`], [`json`] and [`mqtt`] take samples of single stations and make points of
//! them. [`newest`] makes newest values of what arrives, [`overview`] tells what there is, and
//! [`whale`] serves the raw records that the store has to other harvesters.

mod aside;
pub mod authority;
mod first_token;
pub mod influxdb;
pub mod json;
pub mod newest;
pub mod overview;
pub mod sensor_community;
mod sink;
mod stations;
pub mod whale;

pub use first_token::{FirstTokenError, first_admin_token};
pub use sink::PointSink;
