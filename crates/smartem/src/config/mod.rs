//! The configuration: built-in defaults, then a file, then the environment, then flags.
//!
//! `config/smartem.toml` is the default, compiled in. An unknown key is refused with its line.

mod collect;
mod layers;
mod mqtt;
mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use smartem_etl::{Schedule, ScheduleError};
use toml::Table;

pub(crate) use collect::CollectConfig;
pub(crate) use store::{StoreBackend, StoreConfig};

use crate::cli::Global;

/// The built-in defaults; also the reference of all settings.
pub(crate) const DEFAULTS: &str = include_str!("../../../../config/smartem.toml");

/// The file that is read when none is named.
const USUAL_FILE: &str = "smartem.toml";

/// Names of processes in the original platform that are not those of here, with `-` for `_`.
const ORIGINAL_NAMES: [(&str, &str); 4] = [
    ("harvester-luftdaten", "harvester-sensor-community"),
    ("harvester-influx", "harvester-influxdb"),
    ("stapublisher", "publisher-sensorthings"),
    ("sospublisher", "publisher-sos"),
];

/// All settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub store: StoreConfig,
    pub serve: ServeConfig,
    pub collect: CollectConfig,
    pub viewer: ViewerConfig,
    pub refine: RefineConfig,
    pub process: BTreeMap<String, ProcessConfig>,
    /// The folder of the configuration file.
    #[serde(skip)]
    folder: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ServeConfig {
    pub listen: SocketAddr,
    /// Where what is not for everybody answers; else it is at `listen`.
    #[serde(deserialize_with = "address_or_none")]
    pub internal_listen: Option<SocketAddr>,
    pub stale_after: SignedDuration,
    /// Empty: as each request calls the server.
    #[serde(deserialize_with = "web_address_or_none")]
    pub public_url: Option<String>,
    pub sensorthings: SensorThingsConfig,
}

/// The SensorThings service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SensorThingsConfig {
    /// Whether everybody may write.
    pub open_writing: bool,
    /// Whether the root lists the sets of version 1.0 only.
    pub core_only: bool,
    /// The most entities of a page.
    pub top_max: u64,
    /// What the root tells of MQTT.
    pub mqtt_endpoints: Vec<String>,
}

impl Default for SensorThingsConfig {
    fn default() -> Self {
        let usual = smartem_serve::SensorThingsSettings::default();
        Self {
            open_writing: usual.open_writing,
            core_only: usual.core_only,
            top_max: usual.top_max,
            mqtt_endpoints: usual.mqtt,
        }
    }
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            internal_listen: None,
            stale_after: SignedDuration::from_hours(2),
            public_url: None,
            sensorthings: SensorThingsConfig::default(),
        }
    }
}

/// An address of the web without a slash at its end; empty: none.
fn web_address_or_none<'de, D: Deserializer<'de>>(text: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = url::Url::parse(&text).ok();
    let is_usable = parsed.is_some_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    });
    if !is_usable {
        return Err(D::Error::custom(format!(
            "`{text}` is no address of the web; write one such as \"https://data.example.org\", or leave it \
             empty"
        )));
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

/// An address; empty: none.
fn address_or_none<'de, D: Deserializer<'de>>(text: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(text)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        D::Error::custom(format!(
            "`{text}` is no address; write an address and a port such as \"0.0.0.0:8081\", or leave it \
             empty"
        ))
    })
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ViewerConfig {
    /// Empty: the map is drawn from the land and water that the viewer brings along.
    pub tile_url: String,
    pub tile_attribution: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RefineConfig {
    /// Folder with further station-type definitions; empty: none.
    pub definitions_dir: PathBuf,
    /// Folder with calibration models; empty: none.
    pub models_dir: PathBuf,
    pub move_m: f64,
    /// Stations refined at the same time; 0: as many as there are cores.
    pub parallel: usize,
}

impl Default for RefineConfig {
    fn default() -> Self {
        Self {
            definitions_dir: PathBuf::new(),
            models_dir: PathBuf::new(),
            move_m: smartem_store::DEFAULT_MOVE_M,
            parallel: 0,
        }
    }
}

/// One process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ProcessConfig {
    /// The type of its input.
    pub input: String,
    /// The types of its filters, in the order in which they are applied.
    pub filter: Vec<String>,
    /// The types of its outputs.
    pub output: Vec<String>,
    /// Cron expression; empty: only when asked for.
    pub schedule: String,
    /// The time zone of the schedule, by its IANA name.
    pub time_zone: String,
    pub budget: Option<SignedDuration>,
    /// For `last`: the processes whose sources are read.
    pub sources_of: Vec<String>,
    /// The settings of each source of the input.
    pub source: Vec<Table>,
    /// The settings of filters and outputs, and of an input without sources, by their type.
    #[serde(flatten)]
    pub parts: BTreeMap<String, toml::Value>,
}

impl ProcessConfig {
    /// When it runs; `None` when only asked for.
    pub(crate) fn schedule(&self) -> Result<Option<Schedule>, ScheduleError> {
        let schedule =
            (!self.schedule.is_empty()).then(|| Schedule::new(&self.schedule, &self.time_zone));
        schedule.transpose()
    }

    /// The settings of a part: `[process.<name>.<part>]`, a dot in its type written as `_`.
    pub(crate) fn settings_of(&self, part: &str) -> anyhow::Result<Table> {
        match self.parts.get(&part.replace('.', "_")) {
            None => Ok(Table::new()),
            Some(toml::Value::Table(table)) => Ok(table.clone()),
            Some(other) => Err(anyhow!(ConfigError(format!(
                "`{part}` is {other}; the settings of a part are a table"
            )))),
        }
    }

    /// Names among `parts` that are no part of the chain.
    pub(crate) fn strays(&self) -> impl Iterator<Item = &str> {
        let is_part = |name: &str| {
            let others = self.filter.iter().chain(&self.output);
            let mut parts = others.chain([&self.input]);
            parts.any(|part| part.replace('.', "_") == name)
        };
        let names = self.parts.keys().map(String::as_str);
        names.filter(move |name| !is_part(name))
    }
}

impl Config {
    /// The configuration as defaults, file, environment and flags make it.
    pub(crate) fn load(global: &Global) -> anyhow::Result<Self> {
        let mut config = Self::from_table(layered(global)?)?;
        file(global)
            .and_then(Path::parent)
            .unwrap_or(Path::new(""))
            .clone_into(&mut config.folder);
        Ok(config)
    }

    /// Folder of further station-type definitions; `None` when there is none.
    ///
    /// Relative paths of settings count from the folder of the configuration file.
    pub(crate) fn definitions_dir(&self) -> Option<PathBuf> {
        self.beside_the_file(&self.refine.definitions_dir)
    }

    /// Folder of calibration models; `None` when there is none.
    pub(crate) fn models_dir(&self) -> Option<PathBuf> {
        self.beside_the_file(&self.refine.models_dir)
    }

    fn beside_the_file(&self, dir: &Path) -> Option<PathBuf> {
        (!dir.as_os_str().is_empty()).then(|| self.folder.join(dir))
    }

    /// Every setting as it holds, as TOML. Secrets are files, so none is shown.
    pub(crate) fn show(global: &Global) -> anyhow::Result<String> {
        let table = layered(global)?;
        Self::from_table(table.clone())?;
        let mut table = toml::Value::Table(table);
        mask(&mut table);
        toml::to_string_pretty(&table).context("writing the configuration")
    }

    fn from_table(table: Table) -> anyhow::Result<Self> {
        table.try_into().context("the configuration cannot be used")
    }

    /// The folder of the configuration file, from which relative paths of settings count.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A process by its name, or by its name in the original platform (`harvester_whale`).
    pub(crate) fn process(&self, name: &str) -> anyhow::Result<(&str, &ProcessConfig)> {
        let usual = name.replace('_', "-");
        let mut originals = ORIGINAL_NAMES.iter();
        let original = originals.find(|(original, _)| *original == usual);
        self.process
            .get_key_value(&usual)
            .or_else(|| self.process.get_key_value(original?.1))
            .map(|(name, process)| (name.as_str(), process))
            .ok_or_else(|| {
                let known: Vec<&str> = self.process.keys().map(String::as_str).collect();
                anyhow!(UsageError(format!(
                    "there is no process `{name}`; there are: {}",
                    known.join(", ")
                )))
            })
    }
}

/// What the environment says about object storages.
pub(crate) fn storage_credentials() -> smartem_backup::Credentials {
    let texts = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    smartem_backup::Credentials::among(texts)
}

/// Hides passwords that stand in addresses.
fn mask(value: &mut toml::Value) {
    match value {
        toml::Value::String(text) => {
            if let Some(masked) = masked(text) {
                *text = masked;
            }
        }
        toml::Value::Array(list) => list.iter_mut().for_each(mask),
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, value)| mask(value)),
        _ => {}
    }
}

/// An address without its password; `None` when it has none.
fn masked(text: &str) -> Option<String> {
    let mut url = url::Url::parse(text).ok()?;
    let mut found = url.password().is_some() && url.set_password(Some("hidden")).is_ok();
    // PostgreSQL also takes them behind the question mark.
    let is_secret = |name: &str| ["password", "sslpassword"].contains(&name);
    if url.query_pairs().any(|(name, _)| is_secret(&name)) {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let shown = pairs.iter().map(|(name, value)| {
            let value = if is_secret(name) { "hidden" } else { value };
            (name.as_str(), value)
        });
        url.query_pairs_mut().clear().extend_pairs(shown);
        found = true;
    }
    found.then(|| url.to_string())
}

/// The settings of a part of a process as they are built in.
pub(crate) fn built_in_settings(process: &str, part: &str) -> anyhow::Result<Table> {
    let config = Config::from_table(layers::defaults()?)?;
    match config.process.get(process) {
        Some(process) => process.settings_of(part),
        None => Ok(Table::new()),
    }
}

/// The file that was named, or the usual one where it exists.
fn file(global: &Global) -> Option<&Path> {
    let usual = Path::new(USUAL_FILE);
    global
        .config
        .as_deref()
        .or_else(|| usual.exists().then_some(usual))
}

/// Defaults, file, environment and flags on top of each other.
fn layered(global: &Global) -> anyhow::Result<Table> {
    let mut table = layers::defaults()?;
    if let Some(file) = file(global) {
        layers::merge(&mut table, layers::from_file(file)?);
    }
    layers::merge_environment(&mut table, std::env::vars())?;
    let mut flags = Table::new();
    if let Some(data_dir) = &global.data_dir {
        let data_dir = data_dir.to_string_lossy().into_owned();
        flags.insert(
            "store".to_owned(),
            Table::from_iter([("data_dir".to_owned(), data_dir.into())]).into(),
        );
    }
    if let Some(listen) = global.listen {
        let listen = listen.to_string();
        flags.insert(
            "serve".to_owned(),
            Table::from_iter([("listen".to_owned(), listen.into())]).into(),
        );
    }
    layers::merge(&mut table, flags);
    Ok(table)
}

/// Wrong usage of the command line (`EX_USAGE`).
#[derive(Debug)]
pub(crate) struct UsageError(pub String);

impl std::fmt::Display for UsageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// A configuration that cannot be used (`EX_CONFIG`).
#[derive(Debug)]
pub(crate) struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_and_the_defaults_in_code_agree() {
        let config = Config::from_table(layers::defaults().unwrap()).unwrap();
        let (serve, refine) = (ServeConfig::default(), RefineConfig::default());
        assert_eq!(config.serve.listen, serve.listen);
        assert_eq!(config.serve.stale_after, serve.stale_after);
        assert_eq!(config.serve.internal_listen, serve.internal_listen);
        let collect = CollectConfig::default();
        assert_eq!(config.collect.internal_listen, collect.internal_listen);
        assert!((config.refine.move_m - refine.move_m).abs() < f64::EPSILON);
        for (name, process) in &config.process {
            assert!(!process.input.is_empty(), "{name}");
            if !process.schedule.is_empty() {
                assert!(process.schedule().is_ok(), "{name}");
            }
        }
    }

    #[test]
    fn an_internal_address_may_be_given() {
        let serve = |text: &str| toml::from_str::<ServeConfig>(text);
        let given = serve("internal_listen = \"0.0.0.0:8081\"").unwrap();
        assert_eq!(given.internal_listen, Some(([0, 0, 0, 0], 8081).into()));
        assert_eq!(
            serve("internal_listen = \"\"").unwrap().internal_listen,
            None
        );
        let error = serve("internal_listen = \"8081\"").unwrap_err().to_string();
        assert!(
            error.contains("`8081`") && error.contains("0.0.0.0:8081"),
            "{error}"
        );
    }

    #[test]
    fn a_password_in_an_address_is_hidden() {
        let shown = |text: &str| masked(text).unwrap_or_else(|| text.to_owned());
        assert_eq!(
            shown("postgresql://u:secret@db.example/smartem?sslmode=require"),
            "postgresql://u:hidden@db.example/smartem?sslmode=require"
        );
        let behind = shown("postgresql:///smartem?host=db.example&password=secret&user=u");
        assert_eq!(
            behind,
            "postgresql:///smartem?host=db.example&password=hidden&user=u"
        );
        for other in ["postgresql:///smartem?host=%2Frun", "smartem-data", "30s"] {
            assert_eq!(shown(other), other);
        }
    }

    #[test]
    fn names_of_the_original_are_accepted() {
        let config = Config::from_table(layers::defaults().unwrap()).unwrap();
        assert_eq!(
            config.process("harvester_whale").unwrap().0,
            "harvester-whale"
        );
        assert_eq!(
            config.process("harvester_luftdaten").unwrap().0,
            "harvester-sensor-community"
        );
        let error = config.process("harvester").unwrap_err().to_string();
        assert!(error.contains("harvester-whale"), "{error}");
    }
}
