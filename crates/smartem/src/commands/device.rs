//! `smartem device list|show|check|import|stations`.

use std::process::ExitCode;

use anyhow::Context;
use smartem_model::Vocabulary;
use smartem_refine::Definition;

use super::{import, open_store, print_table};
use crate::cli::{Device, Global};
use crate::config::{Config, UsageError};
use crate::{output, platform};

pub(super) async fn run(args: &Device, global: &Global) -> anyhow::Result<ExitCode> {
    match args {
        Device::List => list(global),
        Device::Show { name } => show(name, global),
        Device::Check { file } => check(file),
        Device::Import { files } => import::run(files, global).await,
        Device::Stations => stations(global).await,
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
    let vocabulary = Vocabulary::builtin().clone().with_units(definition.units());
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
    let stations: Vec<[String; _]> = definition
        .parameters()
        .map(|(station, parameters)| {
            let names: Vec<&str> = parameters.names().collect();
            let label = parameters.label.as_deref().unwrap_or("-");
            [station.to_owned(), label.to_owned(), names.join(" ")]
        })
        .collect();
    if !stations.is_empty() {
        output::line(format_args!(""));
        print_table(&["station", "label", "calibration parameters"], &stations);
    }
    Ok(ExitCode::SUCCESS)
}

fn check(file: &std::path::Path) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    match Definition::from_toml(&text, Vocabulary::builtin()) {
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

async fn stations(global: &Global) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    let catalogue = platform::catalogue(config.definitions_dir().as_deref())?;
    let views = open_store(&config).await?.stations().await?;
    let absent = || "-".to_owned();
    let rows: Vec<[String; _]> = views
        .iter()
        .map(|view| {
            let usual = catalogue
                .get(&view.station_type)
                .and_then(|it| it.cadence_s);
            let cadence = match (view.cadence_s, usual) {
                (Some(own), _) => format!("{own} s (own)"),
                (None, Some(usual)) => format!("{usual} s"),
                (None, None) => absent(),
            };
            let newest = view.last.iter().map(|last| last.period.end).max();
            [
                view.id.to_string(),
                view.station_type.to_string(),
                view.project.as_deref().map_or_else(absent, str::to_owned),
                cadence,
                view.location
                    .map_or_else(absent, |it| format!("{:.5} {:.5}", it.lon, it.lat)),
                newest.map_or_else(absent, |time| format!("{time:.0}")),
            ]
        })
        .collect();
    print_table(
        &[
            "station",
            "type",
            "project",
            "cadence",
            "lon lat",
            "newest value",
        ],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}
