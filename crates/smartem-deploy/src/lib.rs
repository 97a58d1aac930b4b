//! What is in `deploy/`, read and judged; used by tests only.
//!
//! A [`Render`] is what one overlay of `deploy/kubernetes` gives, [`Tables`] what is written beside the manifests:
//! images, routes, secrets, who talks to whom, budgets, processes. [`rules::RULES`] holds one against the other.
//! [`pod`] runs pod templates with podman.

pub mod budget;
pub mod cron;
mod custom;
pub mod network;
mod objects;
pub mod pod;
pub mod quantity;
pub mod rules;
mod tables;
mod typed;
mod workloads;

pub use objects::{Object, ReadError, Render};
pub use rules::{Finding, check};
pub use tables::{LoadError, PathKind, SecretRow, Tables};
pub use workloads::{Workload, workloads};
