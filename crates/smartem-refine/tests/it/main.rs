//! Tests of the refiner over its public face.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod definitions;
mod golden;
mod properties;
mod support;
