//! SensorThings over a store that is filled through the service itself.

mod batch;
mod changes;
mod clients;
mod docs;
mod faults;
mod openapi;
mod questions;
mod refined;
mod root;
mod support;
