//! Tests of the services over a real store, in process and with a clock of their own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod health;
mod hours;
mod internal;
mod metrics;
mod observations;
mod openapi;
mod properties;
mod sensorthings;
mod stations;
mod support;
