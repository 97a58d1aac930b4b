use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::de::DeserializeOwned;
use serde_json::Value;
use smartem_model::Vocabulary;
use smartem_refine::Catalogue;
use toml::Table;

use crate::chain::{Filter, Input, Output};

/// What a component says of itself; its page in the reference is made of this and its settings.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name by which a process names it: `whale`.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// What it reads, does or writes: paragraphs in Markdown.
    pub text: &'static str,
    /// What it keeps as checkpoint, and so where a killed run goes on; for a filter or output what
    /// becomes of a batch that is met again.
    pub checkpoint: &'static str,
    /// A piece of `smartem.toml` that uses it, complete enough to be built.
    pub example: &'static str,
}

/// What a component is built with, beside its settings.
#[derive(Clone)]
pub struct Site {
    /// The process that it becomes part of.
    pub process: String,
    /// Relative paths in settings count from here: the folder of the configuration file.
    pub folder: PathBuf,
    /// The station types.
    pub catalogue: Arc<Catalogue>,
    /// The indicators and units.
    pub vocabulary: Arc<Vocabulary>,
}

impl Site {
    /// A path of the settings.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// A secret from the file that a setting names, without the blanks around it.
    ///
    /// # Errors
    /// When the file cannot be read or holds nothing.
    pub fn secret(&self, setting: &str, file: &Path) -> Result<String, SettingsError> {
        let path = self.path(file);
        let refused = |problem: String| {
            SettingsError(format!(
                "`{setting}`: the file {} {problem}",
                path.display()
            ))
        };
        let text = std::fs::read_to_string(&path)
            .map_err(|error| refused(format!("cannot be read: {error}")))?;
        match text.trim() {
            "" => Err(refused("is empty".to_owned())),
            secret => Ok(secret.to_owned()),
        }
    }
}

/// Settings that cannot be used; tells which and what to write instead.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

/// A kind of component: its description, its settings and how it is built.
pub struct Kind<Made> {
    /// What it says of itself.
    pub about: About,
    /// For an input: whether there is one for each `source` of the process; else there is one, with
    /// settings under its own name.
    pub has_sources: bool,
    schema: fn() -> Schema,
    build: Box<Build<Made>>,
}

type Build<Made> = dyn Fn(Table, &Site) -> Result<Made, SettingsError> + Send + Sync;

impl<Made: 'static> Kind<Made> {
    /// A kind whose settings are those of `Settings`; their doc comments and defaults are its
    /// documentation.
    pub fn new<Settings: DeserializeOwned + JsonSchema + 'static>(
        about: About,
        build: fn(Settings, &Site) -> Result<Made, SettingsError>,
    ) -> Self {
        Self {
            about,
            has_sources: true,
            schema: || generator().into_root_schema_for::<Settings>(),
            build: Box::new(move |table, site| build(read(table)?, site)),
        }
    }

    /// An input that has no sources.
    #[must_use]
    pub fn without_sources(self) -> Self {
        Self {
            has_sources: false,
            ..self
        }
    }

    /// Its settings, by name.
    pub fn settings(&self) -> Vec<Setting> {
        Setting::of(&(self.schema)())
    }

    /// Whether settings are missing that it must have.
    pub fn lacks_settings(&self, settings: &Table) -> bool {
        let given = |setting: &Setting| settings.contains_key(&setting.name);
        let known = self.settings();
        known
            .iter()
            .any(|setting| setting.default.is_none() && !given(setting))
    }

    /// A component with these settings.
    ///
    /// # Errors
    /// When a setting is unknown, missing or of the wrong form.
    pub fn build(&self, settings: Table, site: &Site) -> Result<Made, SettingsError> {
        let known = self.settings();
        for name in settings.keys() {
            if known.iter().all(|setting| setting.name != *name) {
                let names = || known.iter().map(|setting| setting.name.as_str());
                let guess = smartem_model::nearest(name, names()).map_or_else(
                    || format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(SettingsError(format!(
                    "`{}` has no setting `{name}`; {guess}",
                    self.about.name
                )));
            }
        }
        (self.build)(settings, site)
    }
}

/// Reads settings; the error names the setting.
fn read<T: DeserializeOwned>(table: Table) -> Result<T, SettingsError> {
    table
        .try_into()
        .map_err(|error: toml::de::Error| SettingsError(error.message().to_owned()))
}

fn generator() -> SchemaGenerator {
    SchemaSettings::default()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
}

/// A setting of a component, as its documentation lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key.
    pub name: String,
    /// What it means.
    pub text: String,
    /// What holds when it is not given; `None` when it must be given.
    pub default: Option<Value>,
}

impl Setting {
    /// The default as it would be written in the configuration; `None` when there is none.
    pub fn default_text(&self) -> Option<String> {
        match self.default.as_ref()? {
            Value::Null => None,
            Value::String(text) => Some(match duration(text) {
                Some(duration) => format!("\"{duration:#}\""),
                None => format!("{text:?}"),
            }),
            other => Some(other.to_string()),
        }
    }

    fn of(schema: &Schema) -> Vec<Self> {
        let member = |name: &str| schema.get(name);
        let required: Vec<&str> = member("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = member("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flatten()
            .map(|(name, property)| {
                let text = property.get("description").and_then(Value::as_str);
                let default = property.get("default").cloned();
                Self {
                    name: name.clone(),
                    text: text.unwrap_or_default().to_owned(),
                    default: (!required.contains(&name.as_str()))
                        .then(|| default.unwrap_or(Value::Null)),
                }
            })
            .collect()
    }
}

/// Durations are written as in ISO 8601 by the library; people write `30s`.
fn duration(text: &str) -> Option<SignedDuration> {
    text.starts_with("PT").then(|| text.parse().ok()).flatten()
}

/// All kinds of components, found by name.
#[derive(Default)]
pub struct Registry {
    /// Inputs.
    pub inputs: BTreeMap<&'static str, Kind<Box<dyn Input>>>,
    /// Filters.
    pub filters: BTreeMap<&'static str, Kind<Box<dyn Filter>>>,
    /// Outputs outside the store.
    pub outputs: BTreeMap<&'static str, Kind<Box<dyn Output>>>,
}

impl Registry {
    /// Adds an input.
    #[must_use]
    pub fn input(mut self, kind: Kind<Box<dyn Input>>) -> Self {
        self.inputs.insert(kind.about.name, kind);
        self
    }

    /// Adds a filter.
    #[must_use]
    pub fn filter(mut self, kind: Kind<Box<dyn Filter>>) -> Self {
        self.filters.insert(kind.about.name, kind);
        self
    }

    /// Adds an output.
    #[must_use]
    pub fn output(mut self, kind: Kind<Box<dyn Output>>) -> Self {
        self.outputs.insert(kind.about.name, kind);
        self
    }
}
