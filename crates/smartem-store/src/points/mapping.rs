//! Which series is of which station: what the configuration says of each database.

use std::collections::BTreeMap;

use smartem_model::StationId;
use smartem_points::SeriesKey;

/// Where the name of a station stands in a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFrom {
    /// It is the measurement.
    Measurement,
    /// It is the value of this tag.
    Tag(String),
}

/// Where the type of a station is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeFrom {
    /// All stations of the database have this type.
    Fixed(String),
    /// It is the measurement.
    Measurement,
}

/// Which series of a database are of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StationMapping {
    /// Where the name of the station stands.
    pub station: NameFrom,
    /// The station type, which must have a definition for its hours to be refined.
    pub station_type: TypeFrom,
    /// Station ids by these names; empty: the name is the id. A name that is not listed is of no
    /// station.
    pub stations: BTreeMap<String, String>,
}

/// What is said of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// Its name.
    pub name: String,
    /// The project whose database and stations these are.
    pub project: Option<String>,
    /// The network of its stations.
    pub network: String,
    /// Which series are of a station; `None`: no one is, the points are kept only.
    pub mapping: Option<StationMapping>,
}

/// What is known of a station that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownStation {
    pub(crate) station_type: Box<str>,
    pub(crate) network: Box<str>,
    pub(crate) project: Option<Box<str>>,
}

/// Just now it cannot be told what is known of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untold;

/// Looks a station up; `None` when there is none.
pub(crate) type FindStation =
    Box<dyn Fn(&StationId) -> Result<Option<KnownStation>, Untold> + Send + Sync>;

/// What is said of all databases.
pub(crate) struct Mapping {
    databases: BTreeMap<String, DatabaseSettings>,
    find: FindStation,
}

impl Default for Mapping {
    fn default() -> Self {
        Self::new(&[], Box::new(|_| Ok(None)))
    }
}

/// The station of a series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StationOf {
    pub(crate) station: StationId,
    pub(crate) station_type: Box<str>,
    pub(crate) network: Box<str>,
    pub(crate) project: Option<Box<str>>,
    /// The name of the source: the database.
    pub(crate) source: Box<str>,
}

impl Mapping {
    pub(crate) fn new(databases: &[DatabaseSettings], find: FindStation) -> Self {
        let databases = databases.iter().map(|it| (it.name.clone(), it.clone()));
        Self {
            databases: databases.collect(),
            find,
        }
    }

    /// What is known of a station.
    pub(crate) fn find(&self, station: &StationId) -> Result<Option<KnownStation>, Untold> {
        (self.find)(station)
    }

    pub(crate) fn database(&self, name: &str) -> Option<&DatabaseSettings> {
        self.databases.get(name)
    }

    /// The station of a series; `None` when it is of none.
    pub(crate) fn station_of(
        &self,
        database: &str,
        key: &SeriesKey,
    ) -> Result<Option<StationOf>, Untold> {
        let Some(named) = self.named(database, key) else {
            return Ok(None);
        };
        let is_reached = self.find(&named.station)?.is_none_or(|known| {
            // Who may write to a database of one project may not write to the stations of another.
            let is_foreign = known.project.is_some()
                && named.project.is_some()
                && known.project != named.project;
            // A station of this database gets another type when its mapping says so.
            let is_of_others = known.network != named.network;
            !is_foreign && (!is_of_others || known.station_type == named.station_type)
        });
        Ok(is_reached.then_some(named))
    }

    /// The station that a series names.
    fn named(&self, database: &str, key: &SeriesKey) -> Option<StationOf> {
        let database = self.databases.get(database)?;
        let mapping = database.mapping.as_ref()?;
        let name = match &mapping.station {
            NameFrom::Measurement => &key.measurement,
            NameFrom::Tag(tag) => key.tag(tag)?,
        };
        let id = if mapping.stations.is_empty() {
            name
        } else {
            mapping.stations.get(name)?
        };
        let station_type = match &mapping.station_type {
            TypeFrom::Fixed(name) => name,
            TypeFrom::Measurement => &*key.measurement,
        };
        // Not every database can keep a character of number 0 in a text.
        let station = StationId::new(id).filter(|it| !it.as_str().contains('\0'))?;
        Some(StationOf {
            station,
            station_type: station_type.into(),
            network: database.network.as_str().into(),
            project: database.project.as_deref().map(Into::into),
            source: database.name.as_str().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(station: NameFrom, stations: &[(&str, &str)]) -> Mapping {
        let known = |station: &StationId| {
            let (station_type, network, project) = match station.as_str() {
                "foreign" => ("ase", "airsenseur", "elsewhere"),
                "other-type" => ("jose", "josene", "waalkade"),
                "retyped" => ("jose", "airsenseur", "waalkade"),
                "ours" => ("ase", "josene", "waalkade"),
                "untold" => return Err(Untold),
                _ => return Ok(None),
            };
            Ok(Some(KnownStation {
                station_type: station_type.into(),
                network: network.into(),
                project: Some(project.into()),
            }))
        };
        let pairs = stations
            .iter()
            .map(|(a, b)| (String::from(*a), String::from(*b)));
        let settings = [DatabaseSettings {
            name: "boxes".to_owned(),
            project: Some("waalkade".to_owned()),
            network: "airsenseur".to_owned(),
            mapping: Some(StationMapping {
                station,
                station_type: TypeFrom::Fixed("ase".to_owned()),
                stations: pairs.collect(),
            }),
        }];
        Mapping::new(&settings, Box::new(known))
    }

    fn station(mapping: &Mapping, key: &SeriesKey) -> Option<String> {
        let found = mapping.station_of("boxes", key).unwrap()?;
        Some(found.station.as_str().to_owned())
    }

    #[test]
    fn a_station_is_found_by_measurement_or_tag_and_renamed() {
        let key = SeriesKey::new("ASE_1", [("name", "NO2"), ("box", "7")]);
        let by_measurement = of(NameFrom::Measurement, &[("ASE_1", "11820001")]);
        assert_eq!(station(&by_measurement, &key).as_deref(), Some("11820001"));
        let other = SeriesKey::new("ASE_2", []);
        assert_eq!(station(&by_measurement, &other), None);
        let by_tag = of(NameFrom::Tag("box".to_owned()), &[]);
        assert_eq!(station(&by_tag, &key).as_deref(), Some("7"));
        assert_eq!(station(&by_tag, &other), None);
        assert_eq!(by_tag.station_of("elsewhere", &key), Ok(None));
        let unfit = SeriesKey::new("ASE_1", [("box", "7\0")]);
        assert_eq!(station(&by_tag, &unfit), None);
    }

    #[test]
    fn a_station_of_another_project_or_type_is_not_reached() {
        let mapping = of(NameFrom::Measurement, &[]);
        for (id, is_reached) in [
            ("foreign", false),
            ("other-type", false),
            ("retyped", true),
            ("ours", true),
            ("new", true),
        ] {
            let found = station(&mapping, &SeriesKey::new(id, []));
            assert_eq!(found.is_some(), is_reached, "{id}");
        }
        let untold = mapping.station_of("boxes", &SeriesKey::new("untold", []));
        assert_eq!(untold, Err(Untold));
    }
}
