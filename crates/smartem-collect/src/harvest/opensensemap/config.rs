use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::harvest::http::Politeness;
use crate::harvest::source::Names;

/// Settings of one source, `[[process.harvester-opensensemap.source]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct OpenSenseMapConfig {
    /// The names of the source; the network is `opensensemap` when it is not given.
    #[serde(flatten)]
    pub names: Names,
    /// Base address of the API.
    #[serde(default = "url")]
    #[schemars(with = "String")]
    pub url: Url,
    /// Ids of the boxes to read. Empty: those that the settings below choose.
    #[serde(default)]
    pub boxes: Vec<String>,
    /// West, south, east and north in degrees.
    #[serde(default)]
    pub bbox: Option<[f64; 4]>,
    /// Only boxes with this tag.
    #[serde(default)]
    pub grouptag: Option<String>,
    /// Only boxes of these exposures: `outdoor`, `indoor`, `mobile`, `unknown`.
    #[serde(default = "exposure")]
    pub exposure: Vec<String>,
    /// Hours asked for with one request.
    #[serde(default = "request_hours")]
    pub request_hours: u16,
    /// Values before this are not read.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// How the source is asked.
    #[serde(flatten)]
    pub http: Politeness,
    /// After its end, before an hour counts as complete.
    #[serde(default = "grace")]
    #[schemars(with = "String")]
    pub grace: SignedDuration,
    /// Hours that ended less than this ago are read again, since values may come late.
    #[serde(default = "late")]
    #[schemars(with = "String")]
    pub late: SignedDuration,
}

#[expect(clippy::expect_used, reason = "the address is a constant")]
fn url() -> Url {
    "https://api.opensensemap.org"
        .parse()
        .expect("a valid address")
}

fn exposure() -> Vec<String> {
    vec!["outdoor".to_owned()]
}

fn request_hours() -> u16 {
    72
}

fn grace() -> SignedDuration {
    SignedDuration::from_mins(5)
}

fn late() -> SignedDuration {
    SignedDuration::from_hours(6)
}

impl OpenSenseMapConfig {
    /// A source of this name and address, everything else as by default.
    pub fn new(name: &str, url: Url) -> Self {
        Self {
            names: Names {
                name: name.to_owned(),
                ..Names::default()
            },
            url,
            boxes: Vec::new(),
            bbox: None,
            grouptag: None,
            exposure: exposure(),
            request_hours: request_hours(),
            since: None,
            http: Politeness::default(),
            grace: grace(),
            late: late(),
        }
    }
}
