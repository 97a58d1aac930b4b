//! From raw records to observations: validate, convert, calibrate, aggregate.
//!
//! [`refine`] is a pure function: a raw record, the [`Definition`] of its station type, models and
//! the state of the hour before go in; observations, rejections and the state for the next hour
//! come out. It reads no clock and no store, so the same input gives the same output on any
//! machine, and any hour can be refined again.
//!
//! Station types are data: a [`Definition`] is read from TOML ([`definition`]). A type that needs
//! only conversions, polynomials and range checks needs no Rust.
//!
//! [`request`] reads and answers the documents of `smartem refine`.

mod auxiliary;
pub mod definition;
mod explain;
mod gas;
mod hash;
pub mod laws;
mod location;
mod network;
mod noise;
mod prepare;
mod refine;
pub mod request;
mod state;
mod tally;

pub use definition::{Catalogue, Definition, DefinitionError};
pub use gas::{Model, ModelError, ModelSet};
pub use refine::{Located, Refined, StationFacts, refine};
pub use state::{State, TimedValue};
