//! Sources we pull from.
//!
//! [`http`] is the polite client that all of them share; each other module is one kind of source:
//! its settings, its protocol, what it reads and how far it got.

mod hours;
pub mod http;
pub mod influxdb;
pub mod opensensemap;
mod queue;
pub mod rivm;
pub mod sensorthings;
pub mod source;
pub mod whale;
