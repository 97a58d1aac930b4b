//! Sources we pull from.
//!
//! [`http`] is the polite client that all of them share; each other module is one kind of source:
//! its settings, its protocol, what it reads and how far it got.

pub mod csv;
mod hours;
pub mod http;
pub mod influxdb;
pub mod opensensemap;
mod queue;
pub mod rivm;
mod samples;
pub mod sensor_community;
pub mod sensorthings;
pub mod source;
mod walk;
pub mod whale;
