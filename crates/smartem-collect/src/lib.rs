//! What comes in.
//!
//! [`harvest`]: sources we pull from, one module for each kind. [`import`]: files that a person
//! brings in. This crate knows nothing of refining and of services; it hands raw records to the
//! chain that called it.

pub mod harvest;
pub mod import;
pub mod receive;
