//! How to talk to a running InfluxDB 1.x: statements, what is in it, and its points in pieces.
//!
//! - [`Server`]: where it is and who asks
//! - [`Measurement`]: a measurement of a database and retention policy, with the types of its fields
//! - [`Rows`]: its points in a range of time, a [`PointBatch`](smartem_points::PointBatch) at a time
//!
//! Tested on InfluxDB 1.6.7.

mod error;
mod rows;
mod schema;
mod server;

pub use error::InfluxError;
pub use rows::Rows;
pub use schema::{Measurement, RetentionPolicy};
pub use server::{Login, Server};
