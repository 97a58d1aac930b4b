//! Tests of the refiner over its public face.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first fault"
)]

mod cited;
mod defects;
mod defects_ase;
mod definitions;
mod golden;
mod properties;
mod support;
