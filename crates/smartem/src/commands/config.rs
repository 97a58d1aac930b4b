//! `smartem config show|check`.

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::{self, Global};
use crate::config::Config;
use crate::output;
use crate::platform::Platform;

pub(super) fn run(args: &cli::Config, global: &Global) -> anyhow::Result<ExitCode> {
    match args {
        cli::Config::Show => output::line(Config::show(global)?),
        cli::Config::Check => {
            let platform = Platform::new(Config::load(global)?)?;
            for (name, process) in &platform.config.process {
                platform.process(name)?;
                platform.budget(name)?;
                process
                    .schedule()
                    .with_context(|| format!("the schedule of process `{name}`"))?;
            }
            output::line("the configuration is good");
        }
    }
    Ok(ExitCode::SUCCESS)
}
