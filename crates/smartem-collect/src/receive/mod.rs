//! What is pushed to us, one module for each face.

pub mod mqtt;
