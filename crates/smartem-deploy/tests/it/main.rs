//! The manifests held against the rules, and the rules against broken manifests.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops at the first fault, and says aloud what it skipped"
)]

mod mutations;
mod overlays;
mod tools;
