//! Putting configurations on top of each other.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use toml::{Table, Value};

use super::{
    CollectConfig, ConfigError, DEFAULTS, ProcessConfig, RefineConfig, ServeConfig, StoreConfig,
    ViewerConfig,
};

/// Prefix of the environment variables that are settings.
const PREFIX: &str = "SMARTEM_";

/// A configuration file on its own: any part may be missing, nothing may be unknown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "read only for the errors, which name line and column"
)]
struct FileFormat {
    store: Option<StoreConfig>,
    serve: Option<ServeConfig>,
    collect: Option<CollectConfig>,
    viewer: Option<ViewerConfig>,
    refine: Option<RefineConfig>,
    process: Option<std::collections::BTreeMap<String, ProcessConfig>>,
}

pub(super) fn defaults() -> anyhow::Result<Table> {
    DEFAULTS
        .parse()
        .context("reading the built-in configuration")
}

/// Reads a configuration file; faults are told with line and column.
pub(super) fn from_file(path: &Path) -> anyhow::Result<Table> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ConfigError(format!(
            "the configuration {} cannot be read: {error}",
            path.display()
        ))
    })?;
    parse(&text).map_err(|error| {
        anyhow!(ConfigError(format!(
            "the configuration {}: {error}",
            path.display()
        )))
    })
}

fn parse(text: &str) -> Result<Table, toml::de::Error> {
    toml::from_str::<FileFormat>(text)?;
    text.parse()
}

/// Puts `upper` on top: tables are merged, everything else is replaced.
pub(super) fn merge(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => merge(lower, upper),
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}

/// Puts `SMARTEM_SECTION__KEY=value` on top, where `_` also stands for `-` in names.
pub(super) fn merge_environment(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
) -> anyhow::Result<()> {
    for (name, text) in variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let segments: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        let mut layer = Table::new();
        nest(&mut layer, table, &segments, value_of(&text));
        let known = layer.clone().try_into::<FileFormat>();
        known.map_err(|error| {
            anyhow!(ConfigError(format!(
                "the environment variable {name}: {}",
                error.message().trim()
            )))
        })?;
        merge(table, layer);
    }
    Ok(())
}

/// Puts a value at a path, spelling each segment as `known` does.
fn nest(layer: &mut Table, known: &Table, segments: &[String], value: Value) {
    let Some((first, rest)) = segments.split_first() else {
        return;
    };
    let spelling = known.keys().find(|key| key.replace('-', "_") == *first);
    let key = spelling.cloned().unwrap_or_else(|| first.clone());
    if rest.is_empty() {
        layer.insert(key, value);
        return;
    }
    let empty = Table::new();
    let below = known.get(&key).and_then(Value::as_table).unwrap_or(&empty);
    let mut inner = Table::new();
    nest(&mut inner, below, rest, value);
    layer.insert(key, Value::Table(inner));
}

/// A TOML value where the text is one, else the text itself.
fn value_of(text: &str) -> Value {
    let as_toml = format!("value = {text}").parse::<Table>();
    as_toml
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_environment(variables: &[(&str, &str)]) -> anyhow::Result<Table> {
        let mut table = defaults().unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        merge_environment(&mut table, variables)?;
        Ok(table)
    }

    #[test]
    fn the_environment_overrides_by_the_same_path() {
        let table = with_environment(&[
            ("SMARTEM_PROCESS__HARVESTER_WHALE__BUDGET", "10s"),
            ("SMARTEM_SERVE__LISTEN", "0.0.0.0:80"),
            ("SMARTEM_STORE__BACKEND", "postgres"),
            (
                "SMARTEM_STORE__POSTGRES__URL",
                "postgresql://u@db.example/smartem",
            ),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!(table["store"]["backend"].as_str(), Some("postgres"));
        assert_eq!(
            table["store"]["postgres"]["url"].as_str(),
            Some("postgresql://u@db.example/smartem")
        );
        assert_eq!(
            table["process"]["harvester-whale"]["budget"].as_str(),
            Some("10s")
        );
        assert_eq!(
            table["process"]["harvester-whale"]["input"].as_str(),
            Some("whale")
        );
        assert_eq!(table["serve"]["listen"].as_str(), Some("0.0.0.0:80"));
    }

    #[test]
    fn an_unknown_variable_is_refused_by_name() {
        let error = with_environment(&[("SMARTEM_SERVE__LISTN", "x")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("SMARTEM_SERVE__LISTN") && error.contains("listen"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_of_a_file_is_refused_with_its_line() {
        let error = parse("[serve]\nlisten = \"127.0.0.1:1\"\nlisten_on = 5\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 3") && error.contains("listen_on"),
            "{error}"
        );
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let mut table = defaults().unwrap();
        merge(
            &mut table,
            parse("[process.refiner]\nbudget = \"5s\"\n").unwrap(),
        );
        assert_eq!(table["process"]["refiner"]["budget"].as_str(), Some("5s"));
        assert_eq!(
            table["process"]["refiner"]["input"].as_str(),
            Some("store.raw")
        );
    }
}
