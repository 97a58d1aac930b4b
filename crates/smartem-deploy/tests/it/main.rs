//! The manifests held against the rules, and the rules against broken manifests.

mod mutations;
mod overlays;
mod tools;
