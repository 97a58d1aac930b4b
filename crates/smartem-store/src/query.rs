//! What services read.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::StationHour;
use crate::columns::micros;
use jiff::Timestamp;
use smartem_model::{Flag, Hour, Observation, Period, Position, StationId};

/// A station with its newest values.
#[derive(Clone, Debug, PartialEq)]
pub struct StationView {
    /// The id.
    pub id: StationId,
    /// A name for readers.
    pub name: Option<Arc<str>>,
    /// The network it belongs to.
    pub network: Arc<str>,
    /// The project whose station it is.
    pub project: Option<Arc<str>>,
    /// The type of its newest record.
    pub station_type: Arc<str>,
    /// Seconds between samples, where the station differs from its type.
    pub cadence_s: Option<f64>,
    /// Its newest location, else the declared one, else that of its newest snapshot.
    pub location: Option<Position>,
    /// The newest value of each series, by indicator, sensor and unit.
    pub last: Vec<LastValue>,
    /// How many observations it has.
    pub observations: u64,
    /// Start of the first observation.
    pub first_time: Option<Timestamp>,
    /// End of the last observation.
    pub last_time: Option<Timestamp>,
}

/// All that is known of one station-hour, as of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct HourView {
    /// The source that brought its raw record.
    pub source: Arc<str>,
    /// When its raw record, as it is now, arrived.
    pub received_at: Timestamp,
    /// Whether it is to be refined, for the first time or again.
    pub is_waiting: bool,
    /// What refining it gave beside its observations; `None` before the first time.
    pub refined: Option<StationHour>,
    /// Its observations, by indicator, sensor and unit.
    pub observations: Vec<Observation>,
}

/// A location of a station and the hour from which it holds (`HistoricalLocation`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StationLocation {
    /// It holds from the start of this hour until the next location begins.
    pub from: Hour,
    /// Where.
    pub position: Position,
}

/// The newest value of a series, from an hour or from a snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct LastValue {
    /// The indicator.
    pub indicator: Arc<str>,
    /// The instrument.
    pub sensor: Arc<str>,
    /// English label of the indicator.
    pub label: Arc<str>,
    /// UCUM code of the unit of `value`.
    pub unit: Arc<str>,
    /// What the value is the average of.
    pub period: Period,
    /// In `unit`.
    pub value: f64,
    /// Sorted by name.
    pub flags: Vec<Flag>,
    /// Whether it comes from a snapshot, so that it is not among the observations.
    pub from_snapshot: bool,
}

/// Which observations of a station.
///
/// Without `from`, `to` and `after` the newest are chosen, as with `newest_first`.
#[derive(Clone, Debug)]
pub struct ObservationQuery {
    /// Whose.
    pub station: StationId,
    /// Only of this indicator.
    pub indicator: Option<String>,
    /// Only those that do not end before or at this time.
    pub from: Option<Timestamp>,
    /// Only those that start before this time.
    pub to: Option<Timestamp>,
    /// At most so many.
    pub limit: usize,
    /// Go on where a page ended; it also knows the direction, so that `newest_first` is not asked.
    pub after: Option<Cursor>,
    /// Choose the newest, and page towards the older ones; a page is ascending all the same.
    pub newest_first: bool,
}

impl ObservationQuery {
    /// All observations of a station-hour: a station has a few dozen series.
    pub fn hour(station: StationId, hour: Hour) -> Self {
        let period = hour.period();
        Self {
            from: Some(period.start),
            to: Some(period.end),
            newest_first: false,
            ..Self::newest(station, usize::MAX)
        }
    }

    /// The newest observations of a station, at most `limit`.
    pub fn newest(station: StationId, limit: usize) -> Self {
        Self {
            station,
            indicator: None,
            from: None,
            to: None,
            limit,
            after: None,
            newest_first: true,
        }
    }
}

/// No observation is longer than an hour.
pub(crate) const LONGEST: i64 = 3_600_000_000;

impl ObservationQuery {
    /// Whether the page is filled from its end.
    pub(crate) fn is_backward(&self) -> bool {
        match &self.after {
            Some(cursor) => cursor.backward,
            None => self.newest_first || (self.from.is_none() && self.to.is_none()),
        }
    }

    /// Between which starts, `[first, last)` in microseconds, the observations of a series are wanted.
    pub(crate) fn bounds(
        &self,
        indicator: &Arc<str>,
        sensor: &Arc<str>,
        unit: &Arc<str>,
    ) -> (i64, i64) {
        let from = |from: Timestamp| micros(from).saturating_sub(LONGEST);
        let first = self.from.map_or(i64::MIN, from);
        let last = self.to.map_or(i64::MAX, ceil_micros);
        match &self.after {
            Some(cursor) => {
                let (after, before) = cursor.bounds(indicator, sensor, unit);
                (first.max(after), last.min(before))
            }
            None => (first, last),
        }
    }
}

/// The first whole microsecond at or after a time.
fn ceil_micros(time: Timestamp) -> i64 {
    let cut = micros(time);
    let is_whole = time.as_nanosecond() == i128::from(cut) * 1000;
    if is_whole { cut } else { cut.saturating_add(1) }
}

/// Some of the observations that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Ascending by start, indicator, sensor and unit.
    pub observations: Vec<Observation>,
    /// Where to go on; `None` when there are no more.
    pub next: Option<Cursor>,
}

impl Page {
    /// Whether there are more observations than these.
    pub fn more(&self) -> bool {
        self.next.is_some()
    }
}

/// A place between two observations of a station; a text in URLs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Towards older observations.
    pub(crate) backward: bool,
    pub(crate) key: OrderKey,
}

impl Cursor {
    /// Between which starts, `[first, last)` in microseconds, the observations of a series are that come
    /// after this place in the direction of reading.
    pub(crate) fn bounds(
        &self,
        indicator: &Arc<str>,
        sensor: &Arc<str>,
        unit: &Arc<str>,
    ) -> (i64, i64) {
        let key = &self.key;
        let this = (indicator, sensor, unit);
        let that = (&key.indicator, &key.sensor, &key.unit);
        if self.backward {
            let last = key.start.saturating_add(i64::from(this < that));
            (i64::MIN, last)
        } else {
            let first = key.start.saturating_add(i64::from(this <= that));
            (first, i64::MAX)
        }
    }
}

/// What observations of a station are ordered by; the start in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OrderKey {
    pub(crate) start: i64,
    pub(crate) indicator: Arc<str>,
    pub(crate) sensor: Arc<str>,
    pub(crate) unit: Arc<str>,
}

/// A text that is no cursor.
#[derive(Debug, thiserror::Error)]
#[error("reading the cursor of a page: not one that was given out")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let parts = serde_json::json!([
            self.backward,
            key.start,
            *key.indicator,
            *key.sensor,
            *key.unit
        ]);
        parts.fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (backward, start, indicator, sensor, unit): (bool, i64, String, String, String) =
            serde_json::from_str(text).map_err(|_| InvalidCursor)?;
        Ok(Self {
            backward,
            key: OrderKey {
                start,
                indicator: indicator.into(),
                sensor: sensor.into(),
                unit: unit.into(),
            },
        })
    }
}
