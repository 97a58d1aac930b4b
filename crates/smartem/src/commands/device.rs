//! `smartem device list|show|check`.

use std::process::ExitCode;

use anyhow::Context;
use smartem_refine::Definition;

use super::print_table;
use crate::cli::{Device, Global};
use crate::config::{Config, UsageError};
use crate::{output, platform};

pub(super) fn run(args: &Device, global: &Global) -> anyhow::Result<ExitCode> {
    match args {
        Device::List => list(global),
        Device::Show { name } => show(name, global),
        Device::Check { file } => check(file),
    }
}

fn list(global: &Global) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    let catalogue = platform::catalogue(config.definitions_dir().as_deref())?;
    let rows: Vec<[String; _]> = catalogue
        .iter()
        .map(|definition| {
            let names: Vec<&str> = definition.outputs().map(|(name, ..)| name).collect();
            [
                definition.name.to_string(),
                definition.label.en.to_string(),
                definition
                    .cadence_s
                    .map_or_else(|| "-".to_owned(), |s| format!("{s} s")),
                names.join(" "),
            ]
        })
        .collect();
    print_table(&["type", "label", "cadence", "indicators"], &rows);
    Ok(ExitCode::SUCCESS)
}

fn show(name: &str, global: &Global) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    let catalogue = platform::catalogue(config.definitions_dir().as_deref())?;
    let Some(definition) = catalogue.get(name) else {
        let known: Vec<&str> = catalogue
            .iter()
            .map(|definition| definition.name.as_ref())
            .collect();
        return Err(UsageError(format!(
            "there is no station type `{name}`; there are: {}",
            known.join(", ")
        ))
        .into());
    };
    output::line(format_args!(
        "{} ({}), definition {}",
        definition.name, definition.label.en, definition.id
    ));
    let vocabulary = platform::vocabulary()?.with_units(definition.units());
    let rows: Vec<[String; _]> = definition
        .outputs()
        .map(|(indicator, unit, sensor)| {
            let label = vocabulary.units().get(unit).map(|unit| &unit.label.en);
            [
                indicator.to_owned(),
                unit.to_owned(),
                label.map(ToString::to_string).unwrap_or_default(),
                sensor.unwrap_or("the instrument's own").to_owned(),
            ]
        })
        .collect();
    print_table(&["indicator", "unit", "unit label", "sensor"], &rows);
    Ok(ExitCode::SUCCESS)
}

fn check(file: &std::path::Path) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    match Definition::from_toml(&text, &platform::vocabulary()?) {
        Ok(definition) => {
            let count = definition.outputs().count();
            output::line(format_args!(
                "{}: good; station type `{}` with {count} indicators, definition {}",
                file.display(),
                definition.name,
                definition.id
            ));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            for fault in &error.faults {
                output::line(format_args!(
                    "{}:{}:{}: {}",
                    file.display(),
                    fault.line,
                    fault.column,
                    fault.message
                ));
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
