//! What was computed elsewhere and is taken over: hours of observations, and models.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use smartem_model::{Flag, Hour, Observation, Position, PositionSource, StationId};

use crate::{Quarantined, RefinedHour, StoreError};

/// The state of an hour that nothing is known of but its values.
const NO_STATE: &str = "null";

/// Observations that another platform computed, with the checkpoint that covers them; taken in whole or not at
/// all.
#[derive(Clone)]
pub struct ImportedHours {
    /// The process that brings them.
    pub process: String,
    /// The source that they came from.
    pub source: String,
    /// The network of stations seen for the first time.
    pub network: String,
    /// When they arrived.
    pub now: Timestamp,
    /// How far in metres a station must be from its location to have moved; see
    /// [`DEFAULT_MOVE_M`](crate::DEFAULT_MOVE_M).
    pub move_m: f64,
    /// Each station once.
    pub stations: Vec<ImportedStation>,
    /// What could not be understood.
    pub quarantined: Vec<Quarantined>,
    /// The partition of the checkpoint.
    pub partition: String,
    /// How far the process got, given what became of the hours.
    pub position: Arc<dyn Fn(&ImportReport) -> Value + Send + Sync>,
}

/// Imported hours of one station.
#[derive(Clone, Debug)]
pub struct ImportedStation {
    /// Which.
    pub id: StationId,
    /// Its type, where it has no records yet.
    pub station_type: String,
    /// In order of time, each hour once.
    pub hours: Vec<ImportedHour>,
}

/// Imported observations of one hour; all or some of those that there are.
#[derive(Clone, Debug)]
pub struct ImportedHour {
    /// Which.
    pub hour: Hour,
    /// Where the station was.
    pub position: Position,
    /// Each of the station, for the whole hour, and with the flag [`Flag::Imported`].
    pub observations: Vec<Observation>,
}

/// What became of [`ImportedHours`], by station in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// One for each station.
    pub stations: Vec<ImportedCounts>,
    /// Quarantine entries opened.
    pub quarantined_new: u64,
}

/// What became of the observations of a station.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportedCounts {
    /// Written.
    pub written: u64,
    /// Left out: there is one of the same hour, indicator, sensor and unit, from an earlier row or import.
    pub present: u64,
    /// Left out: the platform refined the hour itself.
    pub own: u64,
}

/// A calibration model of another platform, kept as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedModel {
    /// The database that it came from.
    pub source: String,
    /// The number that it has there.
    pub id: i64,
    /// The weights of running means by input, as JSON.
    pub parameters: Option<String>,
    /// The model itself, a Python pickle. Nothing here reads it: a pickle is a program.
    pub model: Vec<u8>,
    /// Its inputs in their order, as JSON.
    pub input_order: Option<String>,
    /// The gas that it predicts, such as `carbon_monoxide__air_`.
    pub predicts: String,
    /// How well it did (R²).
    pub score: Option<f64>,
    /// With how many samples.
    pub n: Option<i64>,
    /// Whether it was set aside there.
    pub invalid: bool,
    /// When it was made.
    pub made_at: Option<Timestamp>,
}

impl ImportedHours {
    /// Each observation must be of its station and of its whole hour, and say that it is imported.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for station in &self.stations {
            for hour in &station.hours {
                let fits = |it: &&Observation| {
                    it.station == station.id
                        && it.phenomenon_time == hour.hour.period()
                        && it.quality.flags.contains(&Flag::Imported)
                };
                if let Some(foreign) = hour.observations.iter().find(|it| !fits(it)) {
                    return Err(StoreError::ForeignObservation {
                        station: station.id.clone(),
                        time: hour.hour.to_string(),
                        indicator: foreign.indicator.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn positions(&self, report: &ImportReport) -> [(String, String); 1] {
        [(self.partition.clone(), (self.position)(report).to_string())]
    }
}

/// Indicator, sensor, unit.
pub(crate) type Identity = (Arc<str>, Arc<str>, Arc<str>);

/// What is stored of hours of a station.
#[derive(Default)]
pub(crate) struct StoredHours {
    /// Those that have a result, refined here or imported.
    pub(crate) refined: HashSet<Hour>,
    /// Imported observations.
    pub(crate) imported: HashMap<Hour, HashSet<Identity>>,
}

/// What is to be written of a station.
pub(crate) struct Plan<'a> {
    pub(crate) observations: Vec<&'a Observation>,
    /// Without their observations.
    pub(crate) hours: Vec<RefinedHour>,
    pub(crate) counts: ImportedCounts,
}

impl ImportedStation {
    pub(crate) fn plan(&self, mut stored: StoredHours) -> Plan<'_> {
        let mut plan = Plan {
            observations: Vec::new(),
            hours: Vec::new(),
            counts: ImportedCounts::default(),
        };
        for hour in &self.hours {
            let is_imported = stored.imported.contains_key(&hour.hour);
            if stored.refined.contains(&hour.hour) && !is_imported {
                plan.counts.own += hour.observations.len() as u64;
                continue;
            }
            let there = stored.imported.entry(hour.hour).or_default();
            let before = plan.observations.len();
            for observation in &hour.observations {
                let identity = (
                    Arc::clone(&observation.indicator),
                    Arc::clone(&observation.sensor),
                    Arc::clone(&observation.unit),
                );
                if there.insert(identity) {
                    plan.observations.push(observation);
                } else {
                    plan.counts.present += 1;
                }
            }
            if plan.observations.len() > before {
                plan.hours.push(hour.result());
            }
        }
        plan.counts.written = plan.observations.len() as u64;
        plan
    }
}

impl ImportedHour {
    fn result(&self) -> RefinedHour {
        RefinedHour {
            hour: self.hour,
            revision: 0,
            observations: Vec::new(),
            rejections: Vec::new(),
            state: NO_STATE.to_owned(),
            position: Some((self.position, PositionSource::Point)),
            station_altitude: false,
            quarantine: None,
        }
    }
}
