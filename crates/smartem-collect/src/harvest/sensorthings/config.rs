use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::harvest::http::Politeness;
use crate::harvest::source::Names;

/// Settings of one source, `[[process.harvester-sensorthings.source]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct SensorThingsConfig {
    /// The names of the source.
    #[serde(flatten)]
    pub names: Names,
    /// Base address of the service, version included: `https://host/v1.0`.
    #[schemars(with = "String")]
    pub url: Url,
    /// File that holds a bearer token, if the service wants one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The token itself, filled in from `token_file`.
    #[serde(skip)]
    pub token: Option<HeaderValue>,
    /// Which Things to read, as `$filter` of SensorThings: `properties/codegemeente eq '268'`.
    #[serde(default)]
    pub filter: Option<String>,
    /// Ids of the Things to read. Empty: all.
    #[serde(default)]
    pub things: Vec<String>,
    /// The station type of the stations.
    #[serde(default = "station_type")]
    pub station_type: String,
    /// Which key of the station type an observed property is, by its name or definition, beside those
    /// that are known (`PM2.5`, `temp`, `RH`, ...). A Datastream of another property is left out.
    #[serde(default)]
    pub observed_properties: BTreeMap<String, String>,
    /// What an instant tells: `instant`: a reading; `start` and `end`: the mean of the time after and
    /// before. An interval tells itself: its value belongs to the hour that holds it.
    #[serde(default)]
    pub stamp: Stamp,
    /// Hours asked for with one request.
    #[serde(default = "request_hours")]
    pub request_hours: u16,
    /// Entities asked for with one page.
    #[serde(default = "page")]
    pub page: u16,
    /// Observations before this are not read.
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
    /// Hours that ended less than this ago are read again, since observations may come late.
    #[serde(default = "late")]
    #[schemars(with = "String")]
    pub late: SignedDuration,
}

/// What the time of an observation tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stamp {
    /// When it was read.
    #[default]
    Instant,
    /// The start of the time that a mean is of.
    Start,
    /// The end of the time that a mean is of.
    End,
}

fn station_type() -> String {
    "vanilla".to_owned()
}

fn request_hours() -> u16 {
    96
}

fn page() -> u16 {
    1000
}

fn grace() -> SignedDuration {
    SignedDuration::from_mins(5)
}

fn late() -> SignedDuration {
    SignedDuration::from_hours(6)
}

impl SensorThingsConfig {
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
            filter: None,
            things: Vec::new(),
            station_type: station_type(),
            observed_properties: BTreeMap::new(),
            stamp: Stamp::default(),
            request_hours: request_hours(),
            page: page(),
            since: None,
            http: Politeness::default(),
            grace: grace(),
            late: late(),
        }
    }
}
