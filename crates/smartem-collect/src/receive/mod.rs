//! What is pushed to us, one module for each face.
//!
//! [`authority`] knows who may write. [`influxdb`] takes points as InfluxDB 1.x and 2 take them;
//! [`sensor_community`] and [`json`] take samples of single stations and make points of them. [`whale`]
//! serves the raw records that the store has to other harvesters.

mod aside;
pub mod authority;
mod first_token;
pub mod influxdb;
pub mod json;
mod points;
pub mod sensor_community;
mod stations;
pub mod whale;

pub use first_token::{FirstTokenError, first_admin_token};
