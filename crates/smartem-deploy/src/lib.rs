//! What is in `deploy/`, read and judged; used by tests only.

pub mod pod;
