//! Where we push to.
//!
//! Each module is one kind of server: its settings, its protocol, and what makes writing the same
//! again harmless. This crate knows nothing of collecting and of services.

pub mod influxdb;
mod remote;
pub mod sensorthings;
