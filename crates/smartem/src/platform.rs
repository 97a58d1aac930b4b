//! Wiring: from the configuration to definitions, processes and services.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use smartem_collect::harvest::whale::Whale;
use smartem_etl::{Clock, Harvest, Input, Intent, Process, Refiner, RefinerSettings};
use smartem_http::{Limits, Readiness};
use smartem_model::Vocabulary;
use smartem_refine::{Catalogue, Definition, DefinitionError, ModelSet};
use smartem_serve::{ServeState, ViewerSettings};
use smartem_store::Store;

use crate::config::{self, Config, ConfigError, ProcessConfig};

/// The indicators, compiled in.
const VOCABULARY: &str = include_str!("../../../vocabulary/indicators.toml");

/// The units, compiled in.
const UNITS: &str = include_str!("../../../vocabulary/units.toml");

/// The station types that come with the program.
const DEFINITIONS: [(&str, &str); 6] = [
    ("ase.toml", include_str!("../../../devices/ase.toml")),
    ("jose.toml", include_str!("../../../devices/jose.toml")),
    (
        "luftdaten.toml",
        include_str!("../../../devices/luftdaten.toml"),
    ),
    (
        "sds011-bme280.toml",
        include_str!("../../../devices/sds011-bme280.toml"),
    ),
    (
        "sensebox.toml",
        include_str!("../../../devices/sensebox.toml"),
    ),
    (
        "vanilla.toml",
        include_str!("../../../devices/vanilla.toml"),
    ),
];

/// The calibration parameters of single stations that come with the program.
const PARAMETERS: [(&str, &str); 5] = [
    (
        "ase/11820001.toml",
        include_str!("../../../devices/ase/11820001.toml"),
    ),
    (
        "ase/11820002.toml",
        include_str!("../../../devices/ase/11820002.toml"),
    ),
    (
        "ase/11820003.toml",
        include_str!("../../../devices/ase/11820003.toml"),
    ),
    (
        "ase/11820004.toml",
        include_str!("../../../devices/ase/11820004.toml"),
    ),
    (
        "ase/11820005.toml",
        include_str!("../../../devices/ase/11820005.toml"),
    ),
];

/// The vocabulary that comes with the program.
pub(crate) fn vocabulary() -> anyhow::Result<Vocabulary> {
    Vocabulary::from_toml(VOCABULARY, UNITS).context("reading the built-in vocabulary")
}

/// The built-in station types with their parameters, and those of a folder, which may replace them.
///
/// The folder holds definitions (`<type>.toml`); folders in it hold calibration parameters of
/// single stations (`<type>/<station>.toml`).
pub(crate) fn catalogue(further: Option<&Path>) -> anyhow::Result<Catalogue> {
    let vocabulary = vocabulary()?;
    let mut catalogue = Catalogue::default();
    for (name, text) in DEFINITIONS {
        let definition = Definition::from_toml(text, &vocabulary)
            .with_context(|| format!("reading the built-in station type {name}"))?;
        catalogue.insert(definition);
    }
    for (name, text) in PARAMETERS {
        catalogue
            .add_parameters(text)
            .with_context(|| format!("reading the built-in parameters {name}"))?;
    }
    let Some(folder) = further else {
        return Ok(catalogue);
    };
    let faulty = |file: &Path, error: DefinitionError| {
        anyhow!(ConfigError(format!("{}: {error}", file.display())))
    };
    let (definitions, folders) = toml_files_and_folders(folder)?;
    for file in definitions {
        let definition = Definition::from_toml(&read(&file)?, &vocabulary)
            .map_err(|error| faulty(&file, error))?;
        catalogue.insert(definition);
    }
    for folder in folders {
        for file in toml_files_and_folders(&folder)?.0 {
            catalogue
                .add_parameters(&read(&file)?)
                .map_err(|error| faulty(&file, error))?;
        }
    }
    Ok(catalogue)
}

/// The files of a folder that end in `.toml`, and the folders in it, each in order of name.
fn toml_files_and_folders(folder: &Path) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let unreadable = |error: std::io::Error| {
        ConfigError(format!(
            "the folder of definitions {} cannot be read: {error}",
            folder.display()
        ))
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    paths.sort();
    let (folders, mut files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    Ok((files, folders))
}

fn read(file: &Path) -> anyhow::Result<String> {
    let unreadable = |error| ConfigError(format!("{} cannot be read: {error}", file.display()));
    Ok(std::fs::read_to_string(file).map_err(unreadable)?)
}

/// What every process is built from.
pub(crate) struct Platform {
    pub config: Config,
    pub catalogue: Arc<Catalogue>,
    pub models: Arc<ModelSet>,
}

impl Platform {
    pub(crate) fn new(config: Config) -> anyhow::Result<Self> {
        let catalogue = Arc::new(catalogue(config.definitions_dir().as_deref())?);
        Ok(Self {
            config,
            catalogue,
            models: Arc::new(ModelSet::default()),
        })
    }

    /// Builds a process of the configuration.
    pub(crate) fn process(&self, name: &str) -> anyhow::Result<Box<dyn Process>> {
        let (name, process) = self.config.process(name)?;
        let refused = |problem: &str| anyhow!(ConfigError(format!("process `{name}`: {problem}")));
        match (process.input, process.output.as_slice()) {
            (config::Input::Whale, [config::Output::Raw]) => {
                self.harvest(name, &[process], Intent::History)
            }
            (
                config::Input::Whale,
                [config::Output::Raw, config::Output::Last]
                | [config::Output::Last, config::Output::Raw],
            ) => self.harvest(name, &[process], Intent::HistoryAndLast),
            (config::Input::Last, [config::Output::Last]) => {
                let others = process
                    .sources_of
                    .iter()
                    .map(|other| self.config.process(other));
                let others: Vec<(&str, &ProcessConfig)> = others.collect::<Result<_, _>>()?;
                let sources: Vec<&ProcessConfig> = others.into_iter().map(|(_, p)| p).collect();
                self.harvest(name, &sources, Intent::Last)
            }
            (config::Input::Raw, [config::Output::Observations]) => {
                let settings = RefinerSettings {
                    move_m: self.config.refine.move_m,
                    ..RefinerSettings::default()
                };
                let (catalogue, models) = (self.catalogue.clone(), self.models.clone());
                Ok(Box::new(Refiner::new(catalogue, models, settings)))
            }
            (config::Input::Unset, _) => Err(refused(
                "no `input`; it can be \"whale\", \"last\" or \"store.raw\"",
            )),
            (config::Input::Whale, _) => Err(refused(
                "`output` must be [\"store.raw\"] or [\"store.raw\", \"store.last\"]",
            )),
            (config::Input::Last, _) => Err(refused("`output` must be [\"store.last\"]")),
            (config::Input::Raw, _) => Err(refused("`output` must be [\"store.observations\"]")),
        }
    }

    fn harvest(
        &self,
        name: &str,
        processes: &[&ProcessConfig],
        intent: Intent,
    ) -> anyhow::Result<Box<dyn Process>> {
        let mut inputs: Vec<Box<dyn Input>> = Vec::new();
        for source in processes.iter().flat_map(|process| &process.source) {
            let input = Whale::new(self.config.with_secrets(source)?)
                .with_context(|| format!("making the client of source `{}`", source.name))?;
            inputs.push(Box::new(input));
        }
        let (catalogue, models) = (self.catalogue.clone(), self.models.clone());
        Ok(Box::new(Harvest::new(
            name, inputs, intent, catalogue, models,
        )))
    }

    /// The time one run of a process may take.
    pub(crate) fn budget(&self, name: &str) -> anyhow::Result<Option<Duration>> {
        let (_, process) = self.config.process(name)?;
        Ok(process
            .budget
            .and_then(|budget| Duration::try_from(budget).ok()))
    }

    /// What the services need.
    pub(crate) fn serve_state(
        &self,
        store: Store,
        clock: Clock,
        is_demo: bool,
    ) -> anyhow::Result<ServeState> {
        let viewer = &self.config.viewer;
        let settings = ViewerSettings {
            tile_url: (!viewer.tile_url.is_empty()).then(|| viewer.tile_url.clone()),
            tile_attribution: viewer.tile_attribution.clone(),
            start_view: None,
            demo: is_demo,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let stale_after = Duration::try_from(self.config.serve.stale_after).map_err(|_| {
            anyhow!(ConfigError(
                "`serve.stale_after` must not be negative".to_owned()
            ))
        })?;
        Ok(ServeState {
            store,
            vocabulary: Arc::new(
                vocabulary()?.with_units(self.catalogue.iter().flat_map(|d| d.units())),
            ),
            viewer: settings,
            stale_after,
            clock,
            readiness: Readiness::default(),
            limits: Limits::default(),
        })
    }
}
