//! Processes: chains of `input | filter | output`, run once or on a schedule.
//!
//! - [`Process`]: what `smartem etl run <name>` runs; [`run_once`] gives it its rules: one run at a
//!   time, a time budget, a record of the run in the store, an exit code
//! - [`Input`] and [`Harvest`]: raw records from a source into the store, with their checkpoints
//! - [`Refiner`]: raw records from the store into observations
//! - [`Scheduler`]: processes on cron schedules inside one program
//!
//! This crate knows no particular source and no service. Data and checkpoint are committed in one
//! transaction, so a process can be killed at any point and goes on where the last commit was.

mod harvest;
mod process;
mod refiner;
mod schedule;

pub use harvest::{Harvest, Harvested, Input, InputError, Intent, Origin, Sink};
pub use process::{
    Clock, Counters, ExitCode, Outcome, Process, ProcessError, Run, RunReport, run_once,
};
pub use refiner::{Refiner, RefinerSettings};
pub use schedule::{Schedule, ScheduleError, Scheduler};
