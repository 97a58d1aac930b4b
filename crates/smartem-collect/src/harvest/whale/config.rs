use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::harvest::http::Politeness;

/// Settings of one source, `[[process.harvester-whale.source]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhaleConfig {
    /// Names the source in checkpoints, logs and metrics.
    pub name: String,
    /// Base address of the API, up to and including `/sensors/v1`.
    pub url: Url,
    /// File that holds the bearer token, if the source wants one.
    #[serde(default)]
    pub token_file: Option<std::path::PathBuf>,
    /// The token itself; filled in from `token_file`, never written in a configuration file.
    #[serde(skip)]
    pub token: Option<HeaderValue>,
    /// Network of the stations; the name of the source when absent.
    #[serde(default)]
    pub network: Option<String>,
    /// Project the stations belong to.
    #[serde(default)]
    pub project: Option<String>,
    /// Ids of stations to leave out.
    #[serde(default)]
    pub skip: Vec<u64>,
    /// Requests under way at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// For one request, body included.
    #[serde(default = "timeout")]
    pub timeout: SignedDuration,
    /// Attempts for one request.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// After its end, before an hour counts as complete.
    #[serde(default = "grace")]
    pub grace: SignedDuration,
    /// Hours that ended less than this ago are read again, since they may have grown.
    #[serde(default = "recheck")]
    pub recheck: SignedDuration,
    /// Days back from today in which hours may still come late.
    #[serde(default = "late_days")]
    pub late_days: u32,
}

fn parallel() -> usize {
    4
}

fn timeout() -> SignedDuration {
    SignedDuration::from_secs(30)
}

fn attempts() -> u32 {
    3
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
            name: name.to_owned(),
            url,
            token_file: None,
            token: None,
            network: None,
            project: None,
            skip: Vec::new(),
            parallel: parallel(),
            timeout: timeout(),
            attempts: attempts(),
            grace: grace(),
            recheck: recheck(),
            late_days: late_days(),
        }
    }

    /// The header value for a bearer token; `None` when it holds what no header can.
    pub fn bearer(token: &str) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    pub(super) fn headers(&self) -> HeaderMap {
        self.token
            .iter()
            .map(|token| (AUTHORIZATION, token.clone()))
            .collect()
    }

    pub(super) fn politeness(&self) -> Politeness {
        Politeness {
            parallel: self.parallel,
            timeout: Duration::try_from(self.timeout).unwrap_or_default(),
            attempts: self.attempts,
            ..Politeness::default()
        }
    }
}
