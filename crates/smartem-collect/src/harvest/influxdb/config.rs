use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::SignedDuration;
use reqwest::header::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::harvest::http::Politeness;
use crate::harvest::source::Names;

/// Settings of one source, `[[process.harvester-influxdb.source]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct InfluxdbConfig {
    /// The names of the source.
    #[serde(flatten)]
    pub names: Names,
    /// Base address of the server, such as `https://collector.example:8086`.
    #[schemars(with = "String")]
    pub url: Url,
    /// The database.
    pub database: String,
    /// A user who may read the database; together with `password_file`.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// The header made of both, filled in from the file.
    #[serde(skip)]
    pub authorization: Option<HeaderValue>,
    /// Which station each measurement is, by the name of the measurement; others are left out.
    /// Empty: each measurement is the station of its name.
    #[serde(default)]
    pub stations: BTreeMap<String, String>,
    /// The type of the stations.
    #[serde(default = "station_type")]
    pub station_type: String,
    /// How the source is asked.
    #[serde(flatten)]
    pub http: Politeness,
    /// After its end, before an hour counts as complete.
    #[serde(default = "grace")]
    #[schemars(with = "String")]
    pub grace: SignedDuration,
    /// Hours that ended less than this ago are read again, since values may have been replaced.
    #[serde(default = "recheck")]
    #[schemars(with = "String")]
    pub recheck: SignedDuration,
    /// So long after their end hours may still appear or grow.
    #[serde(default = "late")]
    #[schemars(with = "String")]
    pub late: SignedDuration,
    /// The newest values are looked for so far back.
    #[serde(default = "since")]
    #[schemars(with = "String")]
    pub since: SignedDuration,
    /// Rows read for the newest values of one station.
    #[serde(default = "limit")]
    pub limit: u32,
}

fn station_type() -> String {
    "ase".to_owned()
}

fn grace() -> SignedDuration {
    SignedDuration::from_mins(2)
}

fn recheck() -> SignedDuration {
    SignedDuration::from_hours(2)
}

fn late() -> SignedDuration {
    SignedDuration::from_hours(14 * 24)
}

fn since() -> SignedDuration {
    SignedDuration::from_hours(2)
}

fn limit() -> u32 {
    110
}

impl InfluxdbConfig {
    /// A source of this name, address and database, everything else as by default.
    pub fn new(name: &str, url: Url, database: &str) -> Self {
        Self {
            names: Names {
                name: name.to_owned(),
                ..Names::default()
            },
            url,
            database: database.to_owned(),
            username: None,
            password_file: None,
            authorization: None,
            stations: BTreeMap::new(),
            station_type: station_type(),
            http: Politeness::default(),
            grace: grace(),
            recheck: recheck(),
            late: late(),
            since: since(),
            limit: limit(),
        }
    }
}
