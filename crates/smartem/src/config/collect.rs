//! What the collector takes, and whose stations it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::SignedDuration;
use serde::Deserialize;
use smartem_store::{DatabaseSettings, NameFrom, StationMapping, TypeFrom};

use super::ConfigError;
use super::mqtt::MqttConfig;

/// The databases of receivers that know their stations themselves: measurement is the station type,
/// the tag `station` the station.
pub(crate) const OWN_DATABASES: [&str; 3] = ["push", "sensor-community", "mqtt"];

/// The collector.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CollectConfig {
    /// Where `smartem collect` listens; in `up` and `demo` it is part of the services.
    pub listen: SocketAddr,
    /// Where what is not for everybody answers; else it is at `listen`.
    #[serde(deserialize_with = "super::address_or_none")]
    pub internal_listen: Option<SocketAddr>,
    /// MiB of points in memory before they are committed.
    pub memory_mib: usize,
    pub commit_every: SignedDuration,
    /// MiB of a body, also after decompression.
    pub max_body_mib: usize,
    /// Whether firmware that can send no token may push for registered sensors.
    pub allow_unauthenticated: bool,
    /// Whether stations that nobody named are taken.
    pub auto_register: bool,
    pub database: Vec<DatabaseConfig>,
    pub sensor_community: SensorCommunityConfig,
    pub mqtt: MqttConfig,
}

impl Default for CollectConfig {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8086).into(),
            internal_listen: None,
            memory_mib: 64,
            commit_every: SignedDuration::from_mins(5),
            max_body_mib: 25,
            allow_unauthenticated: false,
            auto_register: false,
            database: Vec::new(),
            sensor_community: SensorCommunityConfig::default(),
            mqtt: MqttConfig::default(),
        }
    }
}

/// A database that stations write to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseConfig {
    pub name: String,
    /// The project whose stations write to it.
    pub project: Option<String>,
    /// The network of its stations; the name of the database where it is not said.
    pub network: Option<String>,
    /// Where the name of a station stands: `measurement`, or `tag:<key>`; without it no point is of
    /// a station.
    pub station: Option<String>,
    /// The station type, or `measurement`: it is named there.
    pub station_type: Option<String>,
    /// Station ids by these names; empty: the name is the id.
    #[serde(default)]
    pub stations: BTreeMap<String, String>,
}

/// Kits with the firmware of Sensor.Community.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SensorCommunityConfig {
    pub station_type: String,
    /// Station ids by `X-Sensor`.
    pub sensors: BTreeMap<String, String>,
}

impl Default for SensorCommunityConfig {
    fn default() -> Self {
        Self {
            station_type: "luftdaten".to_owned(),
            sensors: BTreeMap::new(),
        }
    }
}

impl CollectConfig {
    /// All databases that are there from the start.
    ///
    /// # Errors
    /// When a mapping cannot be understood, or two databases have one name.
    pub(crate) fn databases(
        &self,
        knows_type: impl Fn(&str) -> bool,
    ) -> Result<Vec<DatabaseSettings>, ConfigError> {
        let mut all: Vec<DatabaseSettings> = OWN_DATABASES.map(own_database).into();
        for database in &self.database {
            let refused = |problem: String| {
                ConfigError(format!("`collect.database` `{}`: {problem}", database.name))
            };
            if all.iter().any(|known| known.name == database.name) {
                return Err(refused(
                    "there are two of this name, or it is one of the collector's own".to_owned(),
                ));
            }
            let mapping = database.mapping(&knows_type).map_err(refused)?;
            let network = database.network.clone();
            all.push(DatabaseSettings {
                name: database.name.clone(),
                project: database.project.clone(),
                network: network.unwrap_or_else(|| database.name.clone()),
                mapping,
            });
        }
        Ok(all)
    }
}

impl DatabaseConfig {
    fn mapping(
        &self,
        knows_type: &impl Fn(&str) -> bool,
    ) -> Result<Option<StationMapping>, String> {
        let (station, station_type) = match (&self.station, &self.station_type) {
            (None, None) if self.stations.is_empty() => return Ok(None),
            (Some(station), Some(station_type)) => (station, station_type),
            _ => {
                return Err(
                    "give both `station` and `station_type`, or neither: then its points are kept and \
                     not refined"
                        .to_owned(),
                );
            }
        };
        let station = match station.split_once(':') {
            None if station == "measurement" => NameFrom::Measurement,
            Some(("tag", key)) if !key.is_empty() => NameFrom::Tag(key.to_owned()),
            _ => {
                return Err(format!(
                    "`station` is `{station}`; write `measurement`, or `tag:` and the key of a tag"
                ));
            }
        };
        let station_type = if station_type == "measurement" {
            TypeFrom::Measurement
        } else if knows_type(station_type) {
            TypeFrom::Fixed(station_type.clone())
        } else {
            return Err(format!(
                "`station_type`: there is no definition of `{station_type}`; \
                 `smartem device list` shows them"
            ));
        };
        Ok(Some(StationMapping {
            station,
            station_type,
            stations: self.stations.clone(),
        }))
    }
}

fn own_database(name: &str) -> DatabaseSettings {
    DatabaseSettings {
        name: name.to_owned(),
        project: None,
        network: name.to_owned(),
        mapping: Some(StationMapping {
            station: NameFrom::Tag("station".to_owned()),
            station_type: TypeFrom::Measurement,
            stations: BTreeMap::new(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases(text: &str) -> Result<Vec<DatabaseSettings>, String> {
        let config: CollectConfig = toml::from_str(text).unwrap();
        let knows = |name: &str| name == "ase";
        config.databases(knows).map_err(|error| error.to_string())
    }

    #[test]
    fn a_database_says_which_of_its_series_are_stations() {
        let found = databases(
            "[[database]]\nname = \"boxes\"\nstation = \"tag:box\"\nstation_type = \"ase\"\n",
        );
        let found = found.unwrap().pop().unwrap();
        assert_eq!((&*found.name, &*found.network), ("boxes", "boxes"));
        let mapping = found.mapping.unwrap();
        assert_eq!(mapping.station, NameFrom::Tag("box".to_owned()));
        assert_eq!(mapping.station_type, TypeFrom::Fixed("ase".to_owned()));
    }

    #[test]
    fn a_mapping_that_cannot_be_meant_is_refused_with_the_remedy() {
        let database = "[[database]]\nname = \"boxes\"\n";
        for (rest, word) in [
            ("station = \"measurement\"\n", "both"),
            ("station = \"tag:\"\nstation_type = \"ase\"\n", "`tag:`"),
            (
                "station = \"measurement\"\nstation_type = \"nix\"\n",
                "`nix`",
            ),
            ("[[database]]\nname = \"boxes\"\n", "two"),
            ("[[database]]\nname = \"push\"\n", "own"),
        ] {
            let problem = databases(&format!("{database}{rest}")).unwrap_err();
            assert!(problem.contains(word), "{problem}");
        }
        assert_eq!(databases(database).unwrap().len(), OWN_DATABASES.len() + 1);
    }
}
