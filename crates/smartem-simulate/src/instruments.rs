//! A small network of stations, each with instruments that deliver series of values.
//!
//! The worlds of [`opensensemap`](crate::opensensemap), [`sensorthings`](crate::sensorthings) and
//! [`timeseries`](crate::timeseries) are such networks. A value is a pure function of seed, station, instrument and
//! time; whether it has arrived is one of the clock's time.

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};

use crate::chance::{Purpose, Stream, whole};

/// A network and what its instruments measure.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    start: Timestamp,
    cadence: i64,
    instruments: &'static [Instrument],
}

/// One kind of instrument; every station has one of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instrument {
    /// What is measured, as its protocol calls it.
    pub title: &'static str,
    pub unit: &'static str,
    pub model: &'static str,
    /// Values lie between these.
    pub range: (f64, f64),
}

/// A station of the network.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub number: u64,
    pub name: &'static str,
    pub longitude: f64,
    pub latitude: f64,
    /// When it has its first value, and is listed.
    pub since: Timestamp,
    /// How long its values are under way, beside some minutes.
    pub late: SignedDuration,
}

/// A value that has arrived.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arrived {
    pub time: Timestamp,
    pub value: f64,
    /// Distinguishes values of one instrument.
    pub number: i64,
}

/// Name, longitude, latitude, hours after the start until it appears, hours that its values are under way.
const SITES: [(&str, f64, f64, i64, i64); 4] = [
    ("Molenveld", 5.8577, 51.8412, 0, 0),
    ("Waalkade", 5.8651, 51.8494, 0, 3),
    ("Hazenkamp", 5.8433, 51.8289, 30, 0),
    ("Lindenholt", 5.7960, 51.8330, 0, 0),
];

/// Values are at most so many minutes under way, beside what a late station takes.
const MINUTES_UNDER_WAY: u64 = 25;

impl World {
    pub(crate) fn of(
        seed: u64,
        start: Timestamp,
        cadence: i64,
        instruments: &'static [Instrument],
    ) -> Self {
        Self {
            seed,
            start,
            cadence,
            instruments,
        }
    }

    pub(crate) fn instruments(&self) -> &'static [Instrument] {
        self.instruments
    }

    /// The stations that are listed at a moment.
    pub(crate) fn sites(&self, now: Timestamp) -> impl Iterator<Item = Site> {
        let all =
            SITES
                .iter()
                .zip(1..)
                .map(
                    |((name, longitude, latitude, appears, late), number)| Site {
                        number,
                        name,
                        longitude: *longitude,
                        latitude: *latitude,
                        since: self.start + SignedDuration::from_hours(*appears),
                        late: SignedDuration::from_hours(*late),
                    },
                );
        all.filter(move |site| site.since <= now)
    }

    fn stream(&self, site: &Site, instrument: usize, purpose: Purpose) -> Stream {
        Stream::new(self.seed, site.number * 100 + instrument as u64, purpose)
    }

    /// The value with this number and its time; the same whenever it is asked for.
    fn value(&self, site: &Site, instrument: usize, number: i64) -> Arrived {
        let (low, high) = self.instruments[instrument].range;
        let share = self.stream(site, instrument, Purpose::Sample).unit(number);
        Arrived {
            // Hundredths, as most instruments tell.
            value: whole((low + (high - low) * share) * 100.0) as f64 / 100.0,
            time: self.time(number),
            number,
        }
    }

    fn time(&self, number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(number * self.cadence)
    }

    fn has_arrived(&self, site: &Site, instrument: usize, number: i64, now: Timestamp) -> bool {
        let minutes =
            self.stream(site, instrument, Purpose::Jitter).bits(number) % MINUTES_UNDER_WAY;
        let under_way = SignedDuration::from_mins(i64::try_from(minutes).unwrap_or_default());
        self.time(number) + under_way + site.late <= now
    }

    /// What has arrived of an instrument with times in this range, in order of time.
    pub(crate) fn arrived(
        &self,
        site: &Site,
        instrument: usize,
        range: RangeInclusive<Timestamp>,
        now: Timestamp,
    ) -> Vec<Arrived> {
        let first = site.since.max(*range.start()).as_second();
        let last = now.min(*range.end());
        let numbers = first.div_euclid(self.cadence)..=last.as_second().div_euclid(self.cadence);
        numbers
            .filter(|number| {
                let time = self.time(*number);
                range.contains(&time) && time >= site.since && time <= now
            })
            .filter(|number| self.has_arrived(site, instrument, *number, now))
            .map(|number| self.value(site, instrument, number))
            .collect()
    }

    /// The first value of an instrument and its newest.
    pub(crate) fn ends(
        &self,
        site: &Site,
        instrument: usize,
        now: Timestamp,
    ) -> Option<(Arrived, Arrived)> {
        let all = self.arrived(site, instrument, site.since..=now, now);
        Some((*all.first()?, *all.last()?))
    }
}

/// A body of JSON.
pub(crate) fn json_body(value: &serde_json::Value) -> axum::response::Response {
    use axum::response::IntoResponse;
    (
        [(axum::http::header::CONTENT_TYPE, "application/json")],
        value.to_string(),
    )
        .into_response()
}
