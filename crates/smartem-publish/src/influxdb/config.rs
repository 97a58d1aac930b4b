use std::path::PathBuf;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use smartem_etl::{SettingsError, Site};
use url::Url;

use super::line_protocol::LineSettings;
use crate::remote::{Credentials, Named, attempts, backoff, timeout};

/// Settings of the output, `[process.<name>.influxdb]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct InfluxdbSettings {
    /// Base address of the server, such as `http://influxdb:8086`.
    #[schemars(with = "String")]
    pub url: Url,
    /// The database; it must be there.
    pub database: String,
    /// The retention policy; without it the database's default.
    #[serde(default)]
    pub retention_policy: Option<String>,
    /// The user; together with `password_file`.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// File that holds a token, for servers of version 2 that take writes as version 1 does; in
    /// place of `username` and `password_file`.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// What of a row is written, and how.
    #[serde(flatten)]
    pub line: LineSettings,
    /// Points in one request, at least 1.
    #[serde(default = "batch_points")]
    pub batch_points: usize,
    /// Whether requests are compressed.
    #[serde(default)]
    pub gzip: bool,
    /// For one request.
    #[serde(default = "timeout")]
    #[schemars(with = "String")]
    pub timeout: SignedDuration,
    /// Attempts for one request, at least 1.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// Wait before the second attempt; doubled for each further one, with jitter.
    #[serde(default = "backoff")]
    #[schemars(with = "String")]
    pub backoff: SignedDuration,
}

fn batch_points() -> usize {
    5000
}

impl InfluxdbSettings {
    /// Reads what the files of the settings hold.
    pub(super) fn credentials(&self, site: &Site) -> Result<Credentials, SettingsError> {
        let named = Named {
            username: self.username.as_deref(),
            password_file: self.password_file.as_deref(),
            token_file: self.token_file.as_deref(),
        };
        named.credentials(&self.url, site)
    }
}
