//! Black-box tests: the real binary, real connections, a store in a folder of its own.
#![expect(clippy::unwrap_used, reason = "a test stops at the first fault")]

mod backlog;
mod backup;
mod collect;
mod commands;
mod deploy;
mod doctor;
mod faults;
mod harvest;
mod import;
mod import_stetl;
mod influx_offline;
mod kill;
mod lifecycle;
mod metrics;
mod models;
mod monitoring;
mod reference;
mod replay;
mod rooms;
mod runs;
mod sensorthings;
mod services;
mod sharing;
mod support;
mod tokens;
mod tutorial;
