//! Tests of the common layers and of the server.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]

mod auth;
mod layers;
mod serving;
