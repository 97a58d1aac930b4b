use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Period, Position, StationId};

/// A refined value: one indicator of one instrument over one period (R10.2).
///
/// Values are unrounded, in `unit`; nothing is clamped.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observation {
    /// The station.
    pub station: StationId,
    /// Its type, the name of a definition.
    pub station_type: Arc<str>,
    /// The indicator, a name of the vocabulary.
    pub indicator: Arc<str>,
    /// English label of the indicator.
    pub label: Arc<str>,
    /// UCUM code of the unit of `value`, `min` and `max`.
    pub unit: Arc<str>,
    /// What the value is the average of.
    #[serde(rename = "phenomenonTime")]
    pub phenomenon_time: Period,
    /// Average over the accepted samples (arithmetic; energetic for sound levels).
    pub value: f64,
    /// Smallest accepted sample value.
    pub min: f64,
    /// Largest accepted sample value.
    pub max: f64,
    /// Mean of the primary raw input over the same samples, in `raw_unit`.
    pub raw: Option<f64>,
    /// UCUM code of the unit of `raw`.
    pub raw_unit: Option<Arc<str>>,
    /// Samples that made the value; never zero.
    pub accepted_count: u64,
    /// Samples that were refused for this indicator and instrument.
    pub rejected_count: u64,
    /// How much the value can be trusted.
    pub quality: Quality,
    /// Where it was measured.
    pub location: Position,
    /// The instrument.
    pub sensor: Arc<str>,
    /// The station-type definition that made the value, with its version.
    pub definition: Arc<str>,
    /// The calibration model or parameter set; `None` where none was needed.
    pub model: Option<Arc<str>>,
}

/// Quality of an observation (R10.4, R10.5).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// accepted / (accepted + rejected), 0 to 1.
    pub fraction: f64,
    /// Share of the hour that samples cover, 0 to 1; `None` without a known cadence.
    pub coverage: Option<f64>,
    /// Sorted by name.
    pub flags: Vec<Flag>,
}

/// A remark on an observation (R10.5). The order is that of the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// A gas concentration below 2 ug/m3.
    BelowDetection,
    /// The value was computed elsewhere and imported.
    Imported,
    /// Samples cover less than 75 % of the hour.
    LowCoverage,
    /// The position is the one known of the station, not one measured in this hour.
    StationLocation,
}

impl Flag {
    /// The flag as it is written in outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BelowDetection => "below_detection",
            Self::Imported => "imported",
            Self::LowCoverage => "low_coverage",
            Self::StationLocation => "station_location",
        }
    }

    /// The flag of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::BelowDetection,
            Self::Imported,
            Self::LowCoverage,
            Self::StationLocation,
        ]
        .into_iter()
        .find(|flag| flag.as_str() == name)
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
