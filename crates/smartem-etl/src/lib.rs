//! Processes: chains of `input | filter | output`, run once or on a schedule.
//!
//! - [`Process`]: what `smartem etl run <name>` runs; [`run_once`] gives it its rules: one run at a
//!   time, a time budget, a record of the run in the store, an exit code
//! - [`Chain`]: `input | filters | outputs`; [`Input`], [`Filter`] and [`Output`] are its parts, a
//!   [`Batch`] what goes through them, with the checkpoints that cover it
//! - [`Registry`]: the kinds of parts by name, each with its settings and its documentation
//! - [`extract`]: a filter that makes rows of raw values
//! - [`Refiner`]: raw records from the store into observations
//! - [`Scheduler`]: processes on cron schedules inside one program
//!
//! This crate knows no particular source and no service. Data and checkpoint are committed in one
//! transaction, so a process can be killed at any point and goes on where the last commit was.

mod batch;
mod chain;
mod component;
pub mod extract;
mod newest;
mod process;
mod progress;
mod refiner;
mod schedule;
pub mod select;
pub mod stored;

pub use batch::{Batch, Row};
pub use chain::{
    Chain, Filter, Input, InputError, Intent, Origin, Output, OutputError, Sink, StoreOutputs,
};
pub use component::{About, Kind, Registry, Setting, SettingsError, Site};
pub use newest::NewestValues;
pub use process::{
    Clock, Counters, ExitCode, Outcome, Process, ProcessError, Run, RunReport, run_once,
};
pub use progress::{Progress, terminal};
pub use refiner::{Refiner, RefinerSettings, growing};
pub use schedule::{Schedule, ScheduleError, Scheduler};
