use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::harvest::http::Politeness;
use crate::harvest::source::Names;

/// Settings of one source, `[[process.harvester-rivm.source]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct TimeseriesConfig {
    /// The names of the source.
    #[serde(flatten)]
    pub names: Names,
    /// Base address of the API, up to `/api/v1` or to `/api/v1/timeseries`.
    #[schemars(with = "String")]
    pub url: Url,
    /// Ids of the series to read. Empty: all that the source lists.
    #[serde(default)]
    pub series: Vec<String>,
    /// West, south, east and north in degrees: only series of stations within, where `series` is
    /// empty.
    #[serde(default)]
    pub bbox: Option<[f64; 4]>,
    /// Only series of these phenomena, as in `components`, where `series` is empty.
    #[serde(default)]
    pub phenomena: Vec<String>,
    /// Which indicator a phenomenon is, beside those that are known (`carbon_monoxide__air_`,
    /// `no2`, `pm10`, ...). A phenomenon is named by its label in lower case, with `_` for all that is
    /// neither letter nor digit; a series of another phenomenon is left out.
    #[serde(default)]
    pub components: BTreeMap<String, String>,
    /// Hours asked for with one request.
    #[serde(default = "request_hours")]
    pub request_hours: u16,
    /// What the time of a value tells: `end`: the mean of the time before, so that a value of 10:00
    /// belongs to the hour from 9 to 10; `start`: the mean of the time after; `instant`: a reading.
    #[serde(default)]
    pub stamp: Stamp,
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
    /// Hours that ended less than this ago are read again: values come late and are corrected.
    #[serde(default = "late")]
    #[schemars(with = "String")]
    pub late: SignedDuration,
}

/// What the time of a value tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stamp {
    /// The end of the time that a mean is of.
    #[default]
    End,
    /// The start of the time that a mean is of.
    Start,
    /// When it was read.
    Instant,
}

fn request_hours() -> u16 {
    240
}

fn grace() -> SignedDuration {
    SignedDuration::from_mins(5)
}

fn late() -> SignedDuration {
    SignedDuration::from_hours(72)
}

impl TimeseriesConfig {
    /// A source of this name and address, everything else as by default.
    pub fn new(name: &str, url: Url) -> Self {
        Self {
            names: Names {
                name: name.to_owned(),
                ..Names::default()
            },
            url,
            series: Vec::new(),
            bbox: None,
            phenomena: Vec::new(),
            components: BTreeMap::new(),
            request_hours: request_hours(),
            stamp: Stamp::default(),
            since: None,
            http: Politeness::default(),
            grace: grace(),
            late: late(),
        }
    }
}
