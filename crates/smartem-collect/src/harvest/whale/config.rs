use std::path::PathBuf;

use jiff::SignedDuration;
use reqwest::header::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::harvest::http::Politeness;
use crate::harvest::source::Names;

/// Settings of one source, `[[process.harvester-whale.source]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct WhaleConfig {
    /// The names of the source.
    #[serde(flatten)]
    pub names: Names,
    /// Base address of the API, up to and including `/sensors/v1`.
    #[schemars(with = "String")]
    pub url: Url,
    /// File that holds the bearer token, if the source wants one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The token itself, filled in from `token_file`.
    #[serde(skip)]
    pub token: Option<HeaderValue>,
    /// Ids of stations to leave out.
    #[serde(default)]
    pub skip: Vec<u64>,
    /// How the source is asked.
    #[serde(flatten)]
    pub http: Politeness,
    /// After its end, before an hour counts as complete.
    #[serde(default = "grace")]
    #[schemars(with = "String")]
    pub grace: SignedDuration,
    /// Hours that ended less than this ago are read again, since they may have grown.
    #[serde(default = "recheck")]
    #[schemars(with = "String")]
    pub recheck: SignedDuration,
    /// Days back from today in which hours may still come late.
    #[serde(default = "late_days")]
    pub late_days: u32,
}

fn grace() -> SignedDuration {
    SignedDuration::from_mins(2)
}

fn recheck() -> SignedDuration {
    SignedDuration::from_hours(2)
}

fn late_days() -> u32 {
    2
}

impl WhaleConfig {
    /// A source of this name and address, everything else as by default.
    pub fn new(name: &str, url: Url) -> Self {
        Self {
            names: Names {
                name: name.to_owned(),
                ..Names::default()
            },
            url,
            token_file: None,
            token: None,
            skip: Vec::new(),
            http: Politeness::default(),
            grace: grace(),
            recheck: recheck(),
            late_days: late_days(),
        }
    }
}
