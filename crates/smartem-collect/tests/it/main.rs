//! Harvesters against servers that behave and servers that do not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod remote;
mod whale;
