//! What is written beside the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A table that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not there.
    #[error("{place}: {problem}")]
    Read {
        /// The file.
        place: PathBuf,
        /// What the system says.
        problem: std::io::Error,
    },
    /// The file is not as it must be.
    #[error("{place}: {problem}")]
    Parse {
        /// The file.
        place: PathBuf,
        /// What and where.
        problem: toml::de::Error,
    },
}

/// All tables.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Images by key: `name:tag`.
    pub images: BTreeMap<String, String>,
    /// Digests by key.
    pub digests: BTreeMap<String, String>,
    /// What is reached from outside.
    pub routes: Vec<Route>,
    /// Secrets that somebody must make.
    pub secrets: Vec<SecretRow>,
    /// Who may open connections to whom.
    pub allowed: Vec<Allow>,
    /// Processes of `config/smartem.toml`.
    pub processes: BTreeMap<String, Process>,
    /// All settings with their defaults.
    pub settings: toml::Table,
    /// What each overlay may need at most.
    pub limits: BTreeMap<String, Limits>,
    /// Why the number of pods of a workload does not follow the load.
    pub fixed_replicas: BTreeMap<String, String>,
    /// `ConfigMaps`, as `namespace/name`, that are made beside the overlays.
    pub made_elsewhere: BTreeSet<String>,
    /// Texts by path: documentation, and READMEs below `deploy/`.
    pub documents: BTreeMap<String, String>,
    /// Rules and tests of Prometheus by path.
    pub prometheus: BTreeMap<String, String>,
    /// Files and folders of the project, relative to its root.
    pub paths: BTreeSet<String>,
}

/// A path that is reached from outside.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The path.
    pub path: String,
    /// Whether only this path, or all below it too.
    #[serde(rename = "match")]
    pub kind: PathKind,
    /// Who answers.
    pub service: String,
    /// Whether it is a path of the original platform that has no route of its own.
    pub old: bool,
    /// What comes back.
    pub answer: String,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// Only this path.
    Exact,
    /// This path and what is below it.
    Prefix,
}

/// A Secret.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    namespaces: Vec<String>,
    /// Its keys.
    pub keys: Vec<String>,
    /// Workloads that mount it.
    pub consumers: Vec<String>,
    /// Overlays in which it is.
    pub overlays: Vec<String>,
    /// What it is for.
    #[serde(default)]
    pub what: String,
    /// Whether cert-manager makes it.
    #[serde(skip)]
    pub issued: bool,
}

impl SecretRow {
    /// Namespaces in which it is.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespace
            .iter()
            .chain(&self.namespaces)
            .map(String::as_str)
    }
}

/// One may open connections to another.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Who.
    pub from: String,
    /// To whom.
    pub to: String,
    /// At which ports.
    pub ports: Vec<i64>,
    /// In which overlays.
    pub overlays: Vec<String>,
}

/// A process and when it runs.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    /// A cron expression; empty: when asked for.
    pub schedule: String,
    /// How long a run goes on; empty: without end.
    #[serde(default)]
    pub budget: String,
}

impl Process {
    /// Its budget in seconds.
    pub fn budget_seconds(&self) -> Option<i64> {
        let (number, scale) = match self
            .budget
            .split_at_checked(self.budget.len().checked_sub(1)?)?
        {
            (number, "s") => (number, 1),
            (number, "m") => (number, 60),
            (number, "h") => (number, 3600),
            _ => return None,
        };
        Some(number.parse::<i64>().ok()? * scale)
    }
}

/// What an overlay may need at most.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `max_connections` of the server, less those it keeps for administrators; empty: no server.
    #[serde(default)]
    pub connections: Option<i64>,
    /// Memory that smartem's own pods ask for together.
    pub memory: String,
}

#[derive(Deserialize)]
struct ImagesFile {
    images: BTreeMap<String, String>,
    #[serde(default)]
    digests: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoutesFile {
    route: Vec<Route>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsFile {
    secret: Vec<SecretRow>,
    #[serde(default)]
    issued: Vec<SecretRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    allow: Vec<Allow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    overlay: BTreeMap<String, Limits>,
    #[serde(default)]
    fixed_replicas: BTreeMap<String, String>,
    #[serde(default)]
    made_elsewhere: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ProcessesFile {
    process: BTreeMap<String, Process>,
}

impl Tables {
    /// Reads all tables of the project at `root`.
    pub fn load(root: &Path) -> Result<Self, LoadError> {
        let images: ImagesFile = read(root, "deploy/images.toml")?;
        let routes: RoutesFile = read(root, "deploy/routes.toml")?;
        let secrets: SecretsFile = read(root, "deploy/secrets.toml")?;
        let network: NetworkFile = read(root, "deploy/network.toml")?;
        let limits: LimitsFile = read(root, "deploy/limits.toml")?;
        let processes: ProcessesFile = read(root, "config/smartem.toml")?;
        let issued = secrets.issued.into_iter().map(|row| SecretRow {
            issued: true,
            ..row
        });
        let mut tables = Self {
            images: images.images,
            digests: images.digests,
            routes: routes.route,
            secrets: secrets.secret.into_iter().chain(issued).collect(),
            allowed: network.allow,
            processes: processes.process,
            settings: read(root, "config/smartem.toml")?,
            limits: limits.overlay,
            fixed_replicas: limits.fixed_replicas,
            made_elsewhere: limits.made_elsewhere.into_keys().collect(),
            ..Self::default()
        };
        tables.walk(root, "")?;
        Ok(tables)
    }

    /// Remembers all paths below a folder, and the texts that rules read.
    fn walk(&mut self, root: &Path, folder: &str) -> Result<(), LoadError> {
        let place = root.join(folder);
        let entries = fs::read_dir(&place).map_err(|problem| LoadError::Read { place, problem })?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What is built or installed is no part of the project.
            if matches!(name.as_str(), "target" | "node_modules" | ".git" | "dist") {
                continue;
            }
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            let is_folder = entry.path().is_dir();
            let extension = Path::new(&path)
                .extension()
                .and_then(|ending| ending.to_str());
            let kept = match extension {
                Some("md") if path.starts_with("docs/") || path.starts_with("deploy/") => {
                    Some(&mut self.documents)
                }
                Some("yml" | "yaml") if path.starts_with("deploy/prometheus/") => {
                    Some(&mut self.prometheus)
                }
                _ => None,
            };
            if let Some(kept) = kept {
                kept.insert(path.clone(), read_text(&root.join(&path))?);
            }
            self.paths.insert(path.clone());
            if is_folder {
                self.walk(root, &path)?;
            }
        }
        Ok(())
    }

    /// A row of the table of Secrets.
    pub fn secret(&self, overlay: &str, namespace: &str, name: &str) -> Option<&SecretRow> {
        self.secrets.iter().find(|row| {
            row.name == name
                && row.namespaces().any(|own| own == namespace)
                && row.overlays.iter().any(|own| own == overlay)
        })
    }
}

fn read_text(place: &Path) -> Result<String, LoadError> {
    fs::read_to_string(place).map_err(|problem| LoadError::Read {
        place: place.to_owned(),
        problem,
    })
}

fn read<T: DeserializeOwned>(root: &Path, path: &str) -> Result<T, LoadError> {
    let place = root.join(path);
    toml::from_str(&read_text(&place)?).map_err(|problem| LoadError::Parse { place, problem })
}
