//! Sources we pull from.
//!
//! [`http`] is the polite client that all of them share; each other module is one kind of source:
//! its settings, its protocol, what it reads and how far it got.

pub mod http;
pub mod influxdb;
mod queue;
pub mod source;
pub mod whale;
