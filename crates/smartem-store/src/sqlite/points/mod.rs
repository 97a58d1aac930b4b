//! Points in the database: what is defined, and blocks of rows.

mod commit;
mod read;
mod record;
mod tidy;

use std::collections::{BTreeMap, BTreeSet};

use smartem_model::StationId;

pub(crate) use record::snapshot_of_points;
pub(super) use record::{PointsOfStation, raw_record};

use crate::points::StationOf;
use crate::points::catalogue::{Definition, SeriesNo};

/// What the database has of points.
pub(crate) struct StoredPoints {
    /// Segments of the log before this one are committed.
    pub(crate) segment: u64,
    /// In order: each database before its measurements, those before their fields and series.
    pub(crate) definitions: Vec<Definition>,
    /// Station and type by series.
    pub(crate) stations: BTreeMap<SeriesNo, (String, String)>,
}

/// A station whose hours got points, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StationHourKey {
    pub(crate) station: StationId,
    pub(crate) station_type: Box<str>,
    pub(crate) network: Box<str>,
    pub(crate) project: Option<Box<str>>,
    pub(crate) source: Box<str>,
}

impl StationHourKey {
    pub(crate) fn of(station: &StationOf) -> Self {
        Self {
            station: station.station.clone(),
            station_type: station.station_type.clone(),
            network: station.network.clone(),
            project: station.project.clone(),
            source: station.source.clone(),
        }
    }
}

/// The tags of a series, by key.
pub(super) type Tags = Box<[(Box<str>, Box<str>)]>;

/// A series with newest values by name of field.
pub(crate) type NewestOfSeries = (
    std::sync::Arc<smartem_points::SeriesKey>,
    Vec<(Box<str>, smartem_points::Newest)>,
);

/// Hours by station.
pub(crate) type HoursByStation = BTreeMap<StationHourKey, BTreeSet<smartem_model::Hour>>;
