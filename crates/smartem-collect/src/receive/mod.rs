//! What is pushed to us, one module for each face.
//!
//! [`authority`] knows who may write. [`sensor_community`] and [`json`] take samples of single
//! stations and hand them, as points, to a [`PointSink`]; [`whale`] serves the raw records that the
//! store has to other harvesters.

mod aside;
pub mod authority;
mod first_token;
pub mod json;
pub mod sensor_community;
mod sink;
mod stations;
pub mod whale;

pub use first_token::{FirstTokenError, first_admin_token};
pub use sink::{PointSink, Refused, SinkError, Written};
