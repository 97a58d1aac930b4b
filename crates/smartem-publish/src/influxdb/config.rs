use std::path::PathBuf;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use smartem_etl::{SettingsError, Site};
use url::Url;

use super::line_protocol::LineSettings;

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

fn timeout() -> SignedDuration {
    SignedDuration::from_secs(30)
}

fn attempts() -> u32 {
    5
}

fn backoff() -> SignedDuration {
    SignedDuration::from_millis(500)
}

/// Who writes. Never shown.
#[derive(Clone)]
pub enum Credentials {
    /// A server without authentication.
    None,
    /// User and password.
    Password(String, String),
    /// A token.
    Token(String),
}

impl InfluxdbSettings {
    /// Reads what the files of the settings hold.
    pub(super) fn credentials(&self, site: &Site) -> Result<Credentials, SettingsError> {
        let is_in_url = !self.url.username().is_empty() || self.url.password().is_some();
        if is_in_url {
            return Err(SettingsError(
                "`url`: write the user to `username` and the password to a file that \
                 `password_file` names, not into the address"
                    .to_owned(),
            ));
        }
        match (&self.username, &self.password_file, &self.token_file) {
            (None, None, None) => Ok(Credentials::None),
            (Some(user), Some(file), None) => {
                let password = site.secret("password_file", file)?;
                Ok(Credentials::Password(user.clone(), password))
            }
            (None, None, Some(file)) => Ok(Credentials::Token(site.secret("token_file", file)?)),
            _ => Err(SettingsError(
                "give `username` and `password_file`, or `token_file` alone, or none of them"
                    .to_owned(),
            )),
        }
    }
}
