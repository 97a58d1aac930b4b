use jiff::SignedDuration;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use url::Url;

use crate::harvest::http::Politeness;
use crate::harvest::source::Names;

/// Settings of one source, `[[process.harvester-sensor-community.source]]`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct SensorCommunityConfig {
    /// The names of the source.
    #[serde(flatten)]
    pub names: Names,
    /// Address of the API.
    #[serde(default = "url")]
    #[schemars(with = "String")]
    pub url: Url,
    /// Areas, each as `[lat_min, lon_min, lat_max, lon_max]` in degrees: one request for each.
    #[serde(default)]
    pub boxes: Vec<[f64; 4]>,
    /// Countries, by their two-letter codes: one request for all.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Sensors, as numbers or `{ id = 5331, type = "SDS011" }`: one request for each. The archive finds
    /// files by id and type; without types it reads the list of each day's files.
    #[serde(default)]
    pub sensors: Vec<SensorSetting>,
    /// Numbers of locations: of what is read only these are taken. Without boxes, countries and
    /// sensors the feed of all sensors of the world is read.
    #[serde(default)]
    pub stations: Vec<u64>,
    /// Whether sensors that stand indoors are taken too.
    #[serde(default)]
    pub indoor: bool,
    /// Whether, after a poll was missed, the averages of the last hour are read. They stand in for
    /// hours of which nothing else is stored.
    #[serde(default = "yes")]
    pub hour_feed: bool,
    /// Whether hours of which nothing is stored, not even an average, are filled from the archive, day by day.
    #[serde(default)]
    pub archive: bool,
    /// Address of the archive.
    #[serde(default = "archive_url")]
    #[schemars(with = "String")]
    pub archive_url: Url,
    /// The first day to be filled; the day before the first run when it is not given.
    #[serde(default, deserialize_with = "archive_from")]
    #[schemars(with = "Option<String>")]
    pub archive_from: Option<Date>,
    /// A day is read again until so long after it appeared in the archive.
    #[serde(default = "archive_settle")]
    #[schemars(with = "String")]
    pub archive_settle: SignedDuration,
    /// Between two readings of a day that is not settled.
    #[serde(default = "archive_again")]
    #[schemars(with = "String")]
    pub archive_again: SignedDuration,
    /// How the source is asked.
    #[serde(flatten)]
    pub http: Politeness,
}

/// A sensor to be read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "`sensors` holds what is no sensor; write numbers such as `5331`, or \
                 `{ id = 5331, type = \"SDS011\" }`"
)]
pub enum SensorSetting {
    /// Its number.
    Id(u64),
    /// Its number and type.
    Typed {
        /// The number.
        id: u64,
        /// `SDS011`
        #[serde(rename = "type")]
        kind: String,
    },
}

impl SensorSetting {
    /// The number.
    pub fn id(&self) -> u64 {
        match self {
            Self::Id(id) | Self::Typed { id, .. } => *id,
        }
    }
}

/// An address that is fixed here.
fn fixed(text: &str) -> Url {
    #[expect(clippy::expect_used, reason = "the texts below are addresses")]
    text.parse().expect("an address")
}

fn url() -> Url {
    fixed("https://data.sensor.community")
}

fn archive_url() -> Url {
    fixed("https://archive.sensor.community")
}

fn yes() -> bool {
    true
}

fn archive_from<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Date>, D::Error> {
    let text = Option::<String>::deserialize(value);
    let day = text.ok().and_then(|text| {
        let day = text.map(|text| text.trim().parse::<Date>());
        day.transpose().ok()
    });
    day.ok_or_else(|| {
        D::Error::custom("`archive_from` is no day; write it as text, such as `\"2026-01-31\"`")
    })
}

fn archive_settle() -> SignedDuration {
    SignedDuration::from_hours(48)
}

fn archive_again() -> SignedDuration {
    SignedDuration::from_hours(6)
}

impl SensorCommunityConfig {
    /// A source of this name at this address, everything else as by default.
    pub fn new(name: &str, url: Url) -> Self {
        Self {
            names: Names {
                name: name.to_owned(),
                ..Names::default()
            },
            archive_url: url.clone(),
            url,
            boxes: Vec::new(),
            countries: Vec::new(),
            sensors: Vec::new(),
            stations: Vec::new(),
            indoor: false,
            hour_feed: yes(),
            archive: false,
            archive_from: None,
            archive_settle: archive_settle(),
            archive_again: archive_again(),
            http: Politeness::default(),
        }
    }
}
