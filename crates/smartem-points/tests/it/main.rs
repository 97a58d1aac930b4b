//! Queries: against the real InfluxDB, against answers recorded from it, and against nonsense.

mod data;
mod differential;
mod random;
mod server;
