//! `smartem`: the whole platform in one program. See `smartem --help`.

mod backup;
mod chains;
mod cli;
mod clock;
mod collector;
mod commands;
mod config;
mod housekeeping;
mod output;
mod parts;
mod platform;
mod services;
mod signals;
mod version;

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

/// Gives memory back after a backlog, which the allocator of the C library does not.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; everything else is wrong usage (EX_USAGE).
            let is_error = error.use_stderr();
            // Nothing can be done when not even the terminal takes the text.
            let _ = error.print();
            return if is_error {
                ExitCode::from(commands::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            ExitCode::from(commands::exit_code_of(&error))
        }
    }
}
