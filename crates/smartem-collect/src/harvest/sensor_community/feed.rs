//! What is asked of the API, and what of the answers is wanted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smartem_model::StationId;

use super::config::{SensorCommunityConfig, SensorSetting};
use super::item::{self, BadItem, Item};
use crate::harvest::http::Validators;
use crate::harvest::samples::{Hours, Newest, Sample};

/// All measurements of the last five minutes; below `v2` it would be the average of each sensor.
pub(super) const FIVE_MINUTES: &str = "/static/v1/data.json";
/// The same where a server has no `v1`: averages of five minutes are better than none.
pub(super) const FIVE_MINUTES_AVERAGED: &str = "/static/v2/data.json";
/// Of each sensor the average of the last hour.
pub(super) const LAST_HOUR: &str = "/static/v2/data.1h.json";

/// The places that together hold what is wanted of the last five minutes.
pub(super) fn places(config: &SensorCommunityConfig) -> Vec<String> {
    let mut places = Vec::new();
    for [lat_min, lon_min, lat_max, lon_max] in &config.boxes {
        places.push(format!(
            "/airrohr/v1/filter/box={lat_min},{lon_min},{lat_max},{lon_max}"
        ));
    }
    if !config.countries.is_empty() {
        let countries = config.countries.join(",").to_uppercase();
        places.push(format!("/airrohr/v1/filter/country={countries}"));
    }
    let sensors: BTreeSet<u64> = config.sensors.iter().map(SensorSetting::id).collect();
    places.extend(sensors.iter().map(|id| format!("/airrohr/v1/sensor/{id}/")));
    if places.is_empty() {
        places.push(FIVE_MINUTES.to_owned());
    }
    places
}

/// How far the feed was read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct FeedProgress {
    /// The last poll in which every request had success.
    pub polled: Option<Timestamp>,
    /// Whether a poll was missed and the averages that stand for it are still to be read.
    pub owes_averages: bool,
    /// The place with which a poll ended that came to no end; the next one begins behind it.
    pub after: Option<String>,
    /// Versions of the answers, by place.
    pub validators: BTreeMap<String, Validators>,
}

/// What an answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The server has chosen by box, country or sensor.
    Chosen,
    /// The answer holds the world.
    World,
}

/// What was found in answers.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub hours: Hours,
    pub newest: Newest,
    pub bad: Vec<BadItem>,
    /// Sensors of which a good item came, with their types.
    pub sensors: BTreeMap<u64, String>,
    /// How often samples, items and values were left out, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Value types that no table knows, and how often they came.
    pub unknown: BTreeMap<String, u64>,
}

impl Found {
    /// Takes the items of an answer.
    pub(super) fn take(
        &mut self,
        config: &SensorCommunityConfig,
        scope: Scope,
        items: Vec<Result<Item, BadItem>>,
    ) {
        for item in items {
            match item {
                Ok(item) => self.take_item(config, scope, item),
                Err(bad) => self.bad.push(bad),
            }
        }
    }

    fn take_item(&mut self, config: &SensorCommunityConfig, scope: Scope, item: Item) {
        if !is_wanted(config, scope, &item) {
            return;
        }
        if item.is_indoor && !config.indoor {
            *self.skipped.entry("indoor").or_default() += 1;
            return;
        }
        for reason in item.skipped {
            *self.skipped.entry(reason).or_default() += 1;
        }
        for kind in item.unknown {
            *self.unknown.entry(kind).or_default() += 1;
        }
        self.sensors.insert(item.sensor, item.sensor_type);
        let Some(sample) = item.sample else { return };
        self.newest.add(item.station.clone(), sample.clone());
        if !self.hours.add(item.station, sample) {
            *self.skipped.entry("no_hour").or_default() += 1;
        }
    }
}

fn is_wanted(config: &SensorCommunityConfig, scope: Scope, item: &Item) -> bool {
    if !config.stations.is_empty() && !config.stations.contains(&item.location) {
        return false;
    }
    let takes_all =
        config.boxes.is_empty() && config.countries.is_empty() && config.sensors.is_empty();
    if scope == Scope::Chosen || takes_all {
        return true;
    }
    let mut countries = config.countries.iter();
    is_in_a_box(config, item.position)
        || countries.any(|country| country.eq_ignore_ascii_case(&item.country))
        || is_named(config, item.sensor)
}

/// Whether a sample of the archive is wanted. It does not tell its country: where countries are
/// chosen, that of the feed counts, in which the sensor was seen.
pub(super) fn is_wanted_of_archive(
    config: &SensorCommunityConfig,
    sensor: u64,
    station: &StationId,
    sample: &Sample,
) -> bool {
    let location = item::location_of(station);
    if !config.stations.is_empty() && !location.is_some_and(|id| config.stations.contains(&id)) {
        return false;
    }
    config.boxes.is_empty()
        || !config.countries.is_empty()
        || is_named(config, sensor)
        || is_in_a_box(config, sample.position())
}

fn is_in_a_box(config: &SensorCommunityConfig, position: Option<(f64, f64)>) -> bool {
    let holds = |[lat_min, lon_min, lat_max, lon_max]: &[f64; 4]| {
        position.is_some_and(|(lat, lon)| {
            (*lat_min..=*lat_max).contains(&lat) && (*lon_min..=*lon_max).contains(&lon)
        })
    };
    config.boxes.iter().any(holds)
}

fn is_named(config: &SensorCommunityConfig, sensor: u64) -> bool {
    config.sensors.iter().any(|named| named.id() == sensor)
}

/// Whether the whole world is taken.
pub(super) fn takes_world(config: &SensorCommunityConfig) -> bool {
    config.boxes.is_empty()
        && config.countries.is_empty()
        && config.sensors.is_empty()
        && config.stations.is_empty()
}
