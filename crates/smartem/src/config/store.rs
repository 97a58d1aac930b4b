//! Where the store is.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use smartem_store::PostgresSettings;

use super::{Config, ConfigError};

/// What keeps the data.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreBackend {
    /// The embedded store, in `data_dir`.
    #[default]
    Sqlite,
    /// A database of a PostgreSQL server.
    Postgres,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StoreConfig {
    pub data_dir: PathBuf,
    pub backend: StoreBackend,
    pub postgres: PostgresConfig,
}

/// How a PostgreSQL database is reached.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PostgresConfig {
    pub url: String,
    /// Empty: the password is in the address, or none is asked for.
    pub password_file: PathBuf,
    /// Empty: the authorities that the system trusts.
    pub ca_file: PathBuf,
    pub connections: usize,
    pub patience: SignedDuration,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        let usual = PostgresSettings::new("");
        Self {
            url: usual.url,
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            connections: usual.connections,
            patience: SignedDuration::try_from(usual.patience).unwrap_or(SignedDuration::MAX),
        }
    }
}

/// Without the address, which may hold a password.
impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("password_file", &self.password_file)
            .field("ca_file", &self.ca_file)
            .field("connections", &self.connections)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The PostgreSQL database that holds the store; `None` for the embedded store.
    pub(crate) fn postgres(&self) -> anyhow::Result<Option<PostgresSettings>> {
        match self.store.backend {
            StoreBackend::Sqlite => Ok(None),
            StoreBackend::Postgres if self.store.postgres.url.is_empty() => Err(ConfigError(
                "`store.backend` is \"postgres\" and `store.postgres.url` is empty; write there \
                     \"postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full\""
                    .to_owned(),
            )
            .into()),
            StoreBackend::Postgres => Ok(Some(self.postgres_at(&self.store.postgres.url)?)),
        }
    }

    /// A PostgreSQL database at an address, reached as the configuration says.
    pub(crate) fn postgres_at(&self, url: &str) -> anyhow::Result<PostgresSettings> {
        let postgres = &self.store.postgres;
        if postgres.connections == 0 {
            return Err(ConfigError(
                "`store.postgres.connections` is 0; write 1 or more, usually 8".to_owned(),
            )
            .into());
        }
        let patience = Duration::try_from(postgres.patience).map_err(|_| {
            ConfigError(format!(
                "`store.postgres.patience` is {:#}, before now; write for example \"30s\"",
                postgres.patience
            ))
        })?;
        // A password in another address than the configured one is meant for it.
        let is_other = url != postgres.url && super::masked(url).is_some();
        let password_file = self.beside_the_file(&postgres.password_file);
        Ok(PostgresSettings {
            url: url.to_owned(),
            password_file: password_file.filter(|_| !is_other),
            ca_file: self.beside_the_file(&postgres.ca_file),
            connections: postgres.connections,
            patience,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::layers;
    use super::*;

    fn with(store: &str) -> anyhow::Result<Config> {
        let mut table = layers::defaults()?;
        layers::merge(&mut table, store.parse()?);
        Config::from_table(table)
    }

    #[test]
    fn the_embedded_store_needs_no_address() {
        assert!(with("").unwrap().postgres().unwrap().is_none());
    }

    #[test]
    fn a_database_is_reached_as_the_configuration_says() {
        let config = with(
            "[store]\nbackend = \"postgres\"\n[store.postgres]\nurl = \"postgresql://u@db/x\"\n\
             password_file = \"secret\"\npatience = \"5s\"\n",
        );
        let mut config = config.unwrap();
        config.folder = "/etc/smartem".into();
        let settings = config.postgres().unwrap().unwrap();
        assert_eq!(settings.url, "postgresql://u@db/x");
        assert_eq!(
            settings.password_file.as_deref(),
            Some("/etc/smartem/secret".as_ref())
        );
        assert_eq!(settings.ca_file, None);
        assert_eq!(settings.connections, 8);
        assert_eq!(settings.patience, Duration::from_secs(5));
    }

    #[test]
    fn what_is_wrong_is_told_by_the_name_of_the_setting() {
        let problem = |store: &str| {
            let told = with(store).and_then(|config| config.postgres().map(|_| ()));
            format!("{:#}", told.unwrap_err())
        };
        let told = problem("[store]\nbackend = \"postgres\"");
        assert!(told.contains("store.postgres.url"), "{told}");
        let told = problem("[store]\nbackend = \"oracle\"");
        assert!(
            told.contains("oracle") && told.contains("postgres"),
            "{told}"
        );
        let at =
            "[store]\nbackend = \"postgres\"\n[store.postgres]\nurl = \"postgresql://u@db/x\"\n";
        let told = problem(&format!("{at}connections = 0"));
        assert!(told.contains("store.postgres.connections"), "{told}");
        let told = problem(&format!("{at}patience = \"-1s\""));
        assert!(told.contains("store.postgres.patience"), "{told}");
    }

    #[test]
    fn an_address_is_not_in_debug_output() {
        let config = with("[store.postgres]\nurl = \"postgresql://u:secret@db/x\"").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
