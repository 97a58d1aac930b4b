//! The broker and the client against real clients and a real broker.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first fault"
)]

mod bytes_of_anybody;
mod delivery;
mod guests;
mod mosquitto_clients;
mod publisher;
mod remote;
mod subscription;
mod support;
