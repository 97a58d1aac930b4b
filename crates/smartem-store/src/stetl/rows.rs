//! Rows of the original's tables, as they are: nothing is judged here.

use smartem_model::Position;

/// A row of `smartem_raw.timeseries`: an hour of a station.
#[derive(Clone, Debug, PartialEq)]
pub struct StetlRaw {
    /// Its number.
    pub gid: i64,
    /// The station.
    pub device_id: i64,
    /// The day as yyyymmdd, UTC.
    pub day: i32,
    /// The hour, 1 to 24.
    pub hour: i32,
    /// What was received, JSON.
    pub data: Option<String>,
    /// The station type.
    pub device_type: String,
    /// The version of the device.
    pub device_version: String,
}

/// A row of `smartem_refined.timeseries`: the value of an indicator.
#[derive(Clone, Debug, PartialEq)]
pub struct StetlRefined {
    /// Its number.
    pub gid: i64,
    /// The station.
    pub device_id: Option<i64>,
    /// Station type and version.
    pub device_meta: Option<String>,
    /// The sensor.
    pub sensor_meta: Option<String>,
    /// The indicator.
    pub name: Option<String>,
    /// The indicator in words.
    pub label: Option<String>,
    /// The unit, as it was written there.
    pub unit: Option<String>,
    /// The day as yyyymmdd, UTC.
    pub day: i32,
    /// The hour, 1 to 24.
    pub hour: i32,
    /// The least of the samples.
    pub value_min: Option<f64>,
    /// The greatest.
    pub value_max: Option<f64>,
    /// The mean before calibration.
    pub value_raw: Option<f64>,
    /// The hourly mean.
    pub value: Option<f64>,
    /// How many samples.
    pub sample_count: Option<i64>,
    /// Metres; 0 where it was not known.
    pub altitude: Option<f64>,
    /// Longitude, degrees.
    pub lon: Option<f64>,
    /// Latitude, degrees.
    pub lat: Option<f64>,
}

/// What the tables tell of a station.
#[derive(Clone, Debug, PartialEq)]
pub struct StetlStation {
    /// Its number.
    pub device_id: i64,
    /// Type and version of its newest value; of a station that has none, the type of its newest raw record.
    pub device_type: Option<String>,
    /// Its name among the newest values.
    pub name: Option<String>,
    /// Where its newest value was measured, for one that has no refined values.
    pub position: Option<Position>,
}

/// The newest hour that a harvester brought of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StetlHarvested {
    /// The station.
    pub device_id: i64,
    /// The day as yyyymmdd, UTC.
    pub day: i32,
    /// The hour, 1 to 24.
    pub hour: i32,
}

/// How many rows there are of a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StetlCounts {
    /// The station; `None` for rows without one.
    pub device_id: Option<i64>,
    /// Raw records.
    pub raw: u64,
    /// Refined values.
    pub refined: u64,
}
