//! Wiring: from the configuration to definitions, processes and services.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use smartem_collect::import::Fault;
use smartem_collect::import::records::Records;
use smartem_collect::receive::authority::StoreAuthority;
use smartem_etl::{Chain, Clock, Input, Process, Refiner, RefinerSettings, StoreOutputs};
use smartem_http::auth::{Guard, GuardSettings};
use smartem_http::{Limits, Readiness};
use smartem_model::Vocabulary;
use smartem_refine::{Catalogue, Definition, DefinitionError, Model, ModelSet};
use smartem_serve::{SensorThingsSettings, ServeState, ViewerSettings};
use smartem_store::Store;

use crate::chains;
use crate::config::{Config, ConfigError};
use crate::version;

/// The station types that come with the program.
const DEFINITIONS: [(&str, &str); 7] = [
    ("ase.toml", include_str!("../../../devices/ase.toml")),
    ("jose.toml", include_str!("../../../devices/jose.toml")),
    (
        "luftdaten.toml",
        include_str!("../../../devices/luftdaten.toml"),
    ),
    (
        "reference.toml",
        include_str!("../../../devices/reference.toml"),
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

/// The built-in station types with their parameters, and those of a folder, which may replace them.
///
/// The folder holds definitions (`<type>.toml`); folders in it hold calibration parameters of
/// single stations (`<type>/<station>.toml`).
pub(crate) fn catalogue(further: Option<&Path>) -> anyhow::Result<Catalogue> {
    let vocabulary = Vocabulary::builtin();
    let mut catalogue = Catalogue::default();
    for (name, text) in DEFINITIONS {
        let definition = Definition::from_toml(text, vocabulary)
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
        let definition = Definition::from_toml(&read(&file)?, vocabulary)
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
    let paths = paths_in(folder, "definitions", "refine.definitions_dir")?;
    let (folders, mut files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    Ok((files, folders))
}

/// What is in a folder that a setting names, in order of name.
fn paths_in(folder: &Path, of: &str, setting: &str) -> anyhow::Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| {
        refused(format!(
            "the folder of {of} {} cannot be read: {error}; mend `{setting}`",
            folder.display()
        ))
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|it| it.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let unreadable = |error| ConfigError(format!("{} cannot be read: {error}", file.display()));
    Ok(std::fs::read_to_string(file).map_err(unreadable)?)
}

/// The models of a folder: each `*.json` one model, of a gas that no other is for.
///
/// A model of the demo is refused: its values mean nothing at a real station.
fn models(folder: &Path, catalogue: &Catalogue) -> anyhow::Result<ModelSet> {
    let mut files = paths_in(folder, "models", "refine.models_dir")?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    let mut models = ModelSet::default();
    let mut taken: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(&file)
            .map_err(|error| refused(format!("the model {name} cannot be read: {error}")))?;
        let model =
            model(&text, catalogue).map_err(|problem| refused(format!("{name}: {problem}")))?;
        if model.is_demo() {
            return Err(refused(format!(
                "{name}: this is a demo model; demo models only serve `smartem demo`, \
                 because they were never compared with an instrument; take it out of the folder"
            )));
        }
        if let Some(other) = taken.get(&model.gas) {
            return Err(refused(format!(
                "{name}: {} is a model for `{}` too; leave one of them in the folder",
                other.display(),
                model.gas
            )));
        }
        taken.insert(model.gas.clone(), file);
        models.insert(model);
    }
    Ok(models)
}

fn refused(problem: String) -> anyhow::Error {
    anyhow!(ConfigError(problem))
}

/// Reads the model of whatever gas it says that it is for.
fn model(text: &str, catalogue: &Catalogue) -> Result<Model, String> {
    #[derive(serde::Deserialize)]
    struct Head {
        gas: String,
    }
    const REMEDY: &str = "a model document has `gas`, `input_order`, `running_mean_weights`, \
        `scaler` and `mlp`";
    let Head { gas } = serde_json::from_str(text)
        .map_err(|error| format!("this is no model: {error}; {REMEDY}"))?;
    let definition = catalogue.iter().find(|it| it.calibrates(&gas));
    let definition = definition.ok_or_else(|| {
        format!(
            "`gas` is `{gas}`, for which no station type has a network; \
             `smartem device list` shows the types"
        )
    })?;
    Model::from_json(text, &gas, definition).map_err(|error| format!("{error}; {REMEDY}"))
}

/// The models that come with the program for the simulated city, each with its name.
pub(crate) const DEMO_MODELS: &[(&str, &str)] = &[
    ("demo/co.json", include_str!("../../../models/demo/co.json")),
    (
        "demo/no2.json",
        include_str!("../../../models/demo/no2.json"),
    ),
    ("demo/o3.json", include_str!("../../../models/demo/o3.json")),
];

/// The models of `smartem demo`, each of which must say that it is one; nothing else may use them.
pub(crate) fn demo_models(
    catalogue: &Catalogue,
    texts: &[(&str, &str)],
) -> anyhow::Result<ModelSet> {
    let mut models = ModelSet::default();
    for (name, text) in texts {
        let model = model(text, catalogue).map_err(|problem| anyhow!("{name}: {problem}"))?;
        anyhow::ensure!(
            model.is_demo(),
            "{name}: a model of the demo must say `\"demo\": true`"
        );
        models.insert(model);
    }
    Ok(models)
}

/// What every process is built from.
pub(crate) struct Platform {
    pub config: Config,
    pub catalogue: Arc<Catalogue>,
    pub models: Arc<ModelSet>,
}

impl Platform {
    /// With the definitions and models that the configuration names.
    pub(crate) fn new(config: Config) -> anyhow::Result<Self> {
        let catalogue = catalogue(config.definitions_dir().as_deref())?;
        let models = match config.models_dir() {
            Some(folder) => models(&folder, &catalogue)?,
            None => ModelSet::default(),
        };
        Ok(Self::from_parts(config, catalogue, models))
    }

    /// With these models instead of those of the configuration.
    pub(crate) fn with_models(config: Config, models: ModelSet) -> anyhow::Result<Self> {
        let catalogue = catalogue(config.definitions_dir().as_deref())?;
        Ok(Self::from_parts(config, catalogue, models))
    }

    fn from_parts(config: Config, catalogue: Catalogue, models: ModelSet) -> Self {
        Self {
            config,
            catalogue: Arc::new(catalogue),
            models: Arc::new(models),
        }
    }

    /// Builds a process of the configuration.
    pub(crate) fn process(&self, name: &str) -> anyhow::Result<Box<dyn Process>> {
        let (name, process) = self.config.process(name)?;
        chains::build(self, name, process)
            .map_err(|error| error.context(format!("process `{name}`")))
    }

    /// The process that refines the hours of the store.
    pub(crate) fn refiner(&self) -> Refiner {
        let refine = &self.config.refine;
        let usual = RefinerSettings::default();
        let settings = RefinerSettings {
            parallel: NonZeroUsize::new(refine.parallel).unwrap_or(usual.parallel),
            move_m: refine.move_m,
            ..usual
        };
        Refiner::new(self.catalogue.clone(), self.models.clone(), settings)
    }

    /// The process that takes in files of raw records; `refused` is told what is set aside.
    pub(crate) fn import(
        &self,
        files: Vec<PathBuf>,
        refused: impl Fn(&Path, Fault) + Send + Sync + 'static,
    ) -> Chain {
        let types = self.catalogue.iter().map(|it| it.name.to_string());
        let input: Box<dyn Input> = Box::new(Records::new(files, types.collect(), refused));
        let (catalogue, models) = (self.catalogue.clone(), self.models.clone());
        let both = StoreOutputs {
            raw: true,
            last: true,
        };
        Chain::new("import", vec![input], both, catalogue, models)
    }

    /// The time one run of a process may take.
    pub(crate) fn budget(&self, name: &str) -> anyhow::Result<Option<Duration>> {
        let (_, process) = self.config.process(name)?;
        let Some(budget) = process.budget else {
            return Ok(None);
        };
        if !budget.is_positive() {
            return Err(refused(format!(
                "process `{name}`: `budget` is {budget:#}; write how long a run may take, such as \
                 \"280s\", or leave it out"
            )));
        }
        Ok(Duration::try_from(budget).ok())
    }

    fn sensorthings(&self, store: &Store, clock: &Clock) -> SensorThingsSettings {
        let serve = &self.config.serve;
        let authority = StoreAuthority::new(store.clone(), clock.clone());
        let guard = Guard::new(Arc::new(authority), GuardSettings::default());
        SensorThingsSettings {
            public_url: serve.public_url.clone(),
            guard: Some(guard),
            open_writing: serve.sensorthings.open_writing,
            core_only: serve.sensorthings.core_only,
            top_max: serve.sensorthings.top_max.max(1),
            mqtt: serve.sensorthings.mqtt_endpoints.clone(),
        }
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
            sensorthings: self.sensorthings(&store, &clock),
            store,
            vocabulary: Arc::new(
                Vocabulary::builtin()
                    .clone()
                    .with_units(self.catalogue.iter().flat_map(|d| d.units())),
            ),
            viewer: settings,
            commit: version::COMMIT.map(ToOwned::to_owned),
            stale_after,
            planned: Some(Arc::new(chains::planned(&self.config, clock()))),
            clock,
            readiness: Readiness::default(),
            limits: Limits::default(),
            metrics: Vec::new(),
            has_internal: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_the_demo_must_say_that_it_is_one() {
        let text = include_str!("../tests/it/constant-model.json");
        let catalogue = catalogue(None).unwrap();
        let error = demo_models(&catalogue, &[("no2.json", text)]).unwrap_err();
        assert!(error.to_string().contains("no2.json"), "{error}");
        let marked = text.replacen('{', "{\"demo\": true, ", 1);
        assert!(demo_models(&catalogue, &[("no2.json", &marked)]).is_ok());
    }
}
