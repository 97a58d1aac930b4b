use std::path::PathBuf;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use smartem_etl::{SettingsError, Site};
use url::Url;

use crate::remote::{Credentials, Named, attempts, backoff, timeout};

/// Settings of the output, `[process.<name>.sensorthings]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct SensorThingsSettings {
    /// The root of a SensorThings service with its version, such as `https://sta.example/v1.1`.
    #[schemars(with = "String")]
    pub url: Url,
    /// The user; together with `password_file`.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// File that holds a bearer token; in place of `username` and `password_file`.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// How the hour of an observation is written.
    #[serde(default)]
    pub phenomenon_time: TimeForm,
    /// Observations in one request, at least 1.
    #[serde(default = "batch_observations")]
    pub batch_observations: usize,
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

/// How the time of an observation is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// The whole hour, `start/end`.
    #[default]
    Interval,
    /// Its start alone, for services that take no intervals.
    Start,
}

fn batch_observations() -> usize {
    1000
}

impl SensorThingsSettings {
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
