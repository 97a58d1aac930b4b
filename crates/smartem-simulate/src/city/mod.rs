//! A simulated city: stations around Nijmegen, the truth at each of them, and its boxes' answers.
//!
//! Laws and their sources stand at the head of the files that hold them: weather (one sky for all), air (traffic,
//! photochemistry, particles), noise, site (positions and local sources). Truth is computed at whole minutes and
//! joined by straight lines, except for noise events of seconds. A heated room is the only place where the weather
//! does not reach.

mod air;
mod noise;
mod site;
mod truth;
mod weather;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::calendar::{DAY, HOUR, Local, utc};
use crate::chance::{Purpose, Stream};
use crate::josene::{self, Josene};
use crate::whale::World;
use air::Background;
use site::Sources;
use weather::Climate;

pub(crate) use air::rain_count;
pub(crate) use noise::{Event, add_event, decibel, energy};
pub(crate) use site::{METRES_PER_LATITUDE, METRES_PER_LONGITUDE};

pub use noise::{BANDS, Levels};
pub use site::{Quirk, SiteClass, Station};
pub use truth::Truth;

/// Ticks of 100 ns, the resolution of times in `last` answers, in a second.
pub(crate) const TICKS: i64 = 10_000_000;

/// What city to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct CityConfig {
    /// Everything random follows from this number.
    pub seed: u64,
    /// Number of stations, 1 to 1,000,000; ids run from 1001 on.
    pub stations: usize,
    /// Seconds between two samples of a station, 1 to 900.
    pub cadence_s: u32,
    /// The first moment for which there are samples.
    pub since: Timestamp,
    /// The moment at which samples end (not included); none: they go on with the clock.
    pub until: Option<Timestamp>,
    /// Whether hours are lost, GPS fails and values glitch, as in reality. Noise, drift and sparse samples stay.
    pub flaws: bool,
}

impl CityConfig {
    /// The usual city: seed 1, 60 stations, a sample each 11 s, no end, with flaws.
    pub fn starting(since: Timestamp) -> Self {
        Self {
            seed: 1,
            stations: 60,
            cadence_s: 11,
            since,
            until: None,
            flaws: true,
        }
    }
}

/// A configuration that makes no city.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CityError {
    /// See [`CityConfig::stations`].
    #[error("cannot simulate {0} stations: give a number from 1 to 1000000")]
    Stations(usize),
    /// See [`CityConfig::cadence_s`].
    #[error("cannot simulate a sample every {0} s: give a cadence from 1 to 900 s")]
    Cadence(u32),
    /// The span is empty.
    #[error("cannot simulate from {since} until {until}: the end must come after the beginning")]
    Span {
        /// Beginning of the span.
        since: Timestamp,
        /// End of the span.
        until: Timestamp,
    },
}

/// A simulated city.
#[derive(Debug)]
pub struct City {
    config: CityConfig,
    climate: Climate,
    background: Background,
    stations: Vec<Station>,
    sources: Vec<Sources>,
    boxes: Vec<Josene>,
}

impl City {
    /// Lays the city out; nothing is simulated before it is asked for.
    ///
    /// # Errors
    /// [`CityError`] for an impossible number of stations, cadence or span.
    pub fn new(config: CityConfig) -> Result<Self, CityError> {
        if !(1..=1_000_000).contains(&config.stations) {
            return Err(CityError::Stations(config.stations));
        }
        if !(1..=900).contains(&config.cadence_s) {
            return Err(CityError::Cadence(config.cadence_s));
        }
        if let Some(until) = config.until.filter(|until| *until <= config.since) {
            return Err(CityError::Span {
                since: config.since,
                until,
            });
        }
        let stations = site::stations(config.seed, config.stations);
        Ok(Self {
            climate: Climate::new(config.seed),
            background: Background::new(config.seed),
            sources: stations
                .iter()
                .map(|s| Sources::new(config.seed, s))
                .collect(),
            boxes: stations.iter().map(|s| Josene::new(&config, s)).collect(),
            stations,
            config,
        })
    }

    /// What was asked for.
    pub fn config(&self) -> &CityConfig {
        &self.config
    }

    /// All stations, by id.
    pub fn stations(&self) -> &[Station] {
        &self.stations
    }

    /// The true surroundings of a station at any moment, inside the span or not.
    pub fn truth(&self, station: &Station, at: Timestamp) -> Truth {
        let sources = Sources::new(self.config.seed, station);
        let second = at.as_second();
        let minute = second.div_euclid(60) * 60;
        let f = (at.as_nanosecond() - i128::from(minute) * 1_000_000_000) as f64 / 60e9;
        let before = self.at_minute(station, &sources, minute);
        let mut truth = before.toward(&self.at_minute(station, &sources, minute + 60), f);
        let events = Events::new(self.config.seed, station, &sources);
        if let Some(event) = events.at(second) {
            add_event(&mut truth.noise, event);
        }
        truth
    }

    /// The body of an hour as the Raw Sensor API gives it, with the samples up to and including `now`.
    ///
    /// `hour` is 1 to 24. None when there is no such station, when the hour was lost, or when it has no sample yet.
    pub fn hour(&self, id: u32, day: Date, hour: i8, now: Timestamp) -> Option<Vec<u8>> {
        let index = self.index(id)?;
        let start = hour_start(day, hour)?;
        let (from, to) = self.boxes[index].recorded(start, self.span(now))?;
        let truths = self.minutes(index, start, start + HOUR);
        Some(self.boxes[index].hour(&josene::Hour {
            start,
            from,
            to,
            day,
            number: hour,
            truths: &truths,
            events: self.events(index),
        }))
    }

    /// The newest sample at `now` as the Raw Sensor API gives it. None when there is no station or sample.
    ///
    /// As on the real server, which keeps the last value of each key, `last` is not sparse: it has gases and CO2
    /// also when the hour's sample has not.
    pub fn newest(&self, id: u32, now: Timestamp) -> Option<Vec<u8>> {
        let index = self.index(id)?;
        let span = self.span(now);
        let mut start = (span.1 - 1).div_euclid(HOUR * TICKS) * HOUR;
        while (start + HOUR) * TICKS > span.0 {
            if let Some((slot, tick)) = self.boxes[index].newest(start, span) {
                let minute = tick.div_euclid(60 * TICKS) * 60;
                let truths = self.minutes(index, minute, minute + 60);
                let events = self.events(index);
                return Some(self.boxes[index].last(slot, tick, minute, &truths, events));
            }
            start -= HOUR;
        }
        None
    }

    /// Hours (1 to 24) of the day that have samples.
    fn hours_of(&self, index: usize, day: Date, now: Timestamp) -> Vec<i64> {
        let span = self.span(now);
        (1_i8..=24)
            .filter(|hour| {
                hour_start(day, *hour)
                    .is_some_and(|start| self.boxes[index].recorded(start, span).is_some())
            })
            .map(i64::from)
            .collect()
    }

    /// First tick with samples and first without, given the clock.
    fn span(&self, now: Timestamp) -> (i64, i64) {
        let until = self.config.until.map_or(i64::MAX, ticks);
        (
            ticks(self.config.since),
            until.min(ticks(now).saturating_add(1)),
        )
    }

    fn index(&self, id: u32) -> Option<usize> {
        let index = usize::try_from(id.checked_sub(1001)?).ok()?;
        (index < self.stations.len()).then_some(index)
    }

    fn named(&self, id: &str) -> Option<usize> {
        let number: u32 = id.parse().ok()?;
        // One device has one address: "01001" and "+1001" are not it.
        self.index(number).filter(|_| number.to_string() == id)
    }

    fn events(&self, index: usize) -> Events<'_> {
        Events::new(
            self.config.seed,
            &self.stations[index],
            &self.sources[index],
        )
    }

    /// Truth at all whole minutes from `from` to `to`, both included (Unix s).
    fn minutes(&self, index: usize, from: i64, to: i64) -> Vec<Truth> {
        let (station, sources) = (&self.stations[index], &self.sources[index]);
        (from / 60..=to / 60)
            .map(|m| self.at_minute(station, sources, m * 60))
            .collect()
    }

    fn at_minute(&self, station: &Station, sources: &Sources, second: i64) -> Truth {
        let t = second as f64;
        let local = Local::at(second);
        let weather = self.climate.at(t);
        let stream = |purpose| Stream::new(self.config.seed, u64::from(station.id), purpose);
        let turbulence = stream(Purpose::Turbulence);
        let air = self
            .background
            .air(t, &local, &weather, sources, turbulence);
        let bustle = air::bustle(&local) * (0.5 + 0.5 * weather.summer);
        // Fireworks are loud as well.
        let bustle = bustle + 60.0 * air::fireworks(&local) * sources.fireworks;

        // Streets keep their warmth in calm nights (urban heat island); height costs 6.5 K/km.
        let heat_island = 1.6 * sources.urban * weather.inversion;
        let temperature = weather.temperature + heat_island - 0.0065 * (station.altitude - 10.0);
        // Barometric formula near the ground, scale height R T / (M g).
        let scale = 29.27 * (temperature + 273.15);
        // Lamps give streets 8 lux at night.
        let lamps = 8.0 * sources.urban * weather.inversion.max(0.3) / (1.0 + weather.light);
        let mut truth = Truth {
            temperature,
            relative_humidity: weather::relative_humidity(
                temperature,
                weather.dew_point.min(temperature - 0.1),
            ),
            pressure: weather.pressure * (-station.altitude / scale).exp(),
            light: weather.light * sources.sky + lamps,
            rain: weather.rain,
            co2: air.co2,
            co: air.co,
            no2: air.no2,
            no: air.no,
            o3: air.o3,
            pm10: air.pm10,
            pm2_5: air.pm2_5,
            pm1: air.pm1,
            noise: noise::levels(sources, &weather, air::flow(&local), bustle),
        };
        if station.quirk == Quirk::Indoor {
            indoors(&mut truth, &weather, &local, stream(Purpose::Occupancy), t);
        }
        truth
    }
}

/// Turns the outside of a house into a heated room with an open grille: mass balances at steady state, half the
/// particles, a third of the ozone (it reacts at walls), 18 dB less sound, people by day.
fn indoors(truth: &mut Truth, weather: &weather::Weather, local: &Local, room: Stream, t: f64) {
    let people = (0.25 + air::bustle(local) + 0.25 * room.smooth(t, 2700.0)).max(0.0);
    let warm = 20.5 + 1.2 * people + 0.12 * (truth.temperature - 10.0).max(0.0);
    truth.temperature = warm.max(truth.temperature - 2.0);
    truth.relative_humidity =
        weather::relative_humidity(truth.temperature, weather.dew_point + 1.5 * people);
    truth.light = truth.light * 0.02 + 180.0 * people.min(1.0);
    truth.rain = 0.0;
    truth.co2 += 420.0 * people;
    truth.no *= 0.8;
    truth.no2 *= 0.65;
    truth.o3 *= 0.3;
    for particles in [&mut truth.pm10, &mut truth.pm2_5, &mut truth.pm1] {
        *particles *= 0.55;
    }
    for level in &mut truth.noise {
        *level += 10.0 * people.min(1.0) - 18.0;
    }
}

/// The noise events of one station.
#[derive(Clone, Copy)]
pub(crate) struct Events<'a> {
    stream: Stream,
    sources: &'a Sources,
    heard: bool,
}

impl<'a> Events<'a> {
    fn new(seed: u64, station: &Station, sources: &'a Sources) -> Self {
        let stream = Stream::new(seed, u64::from(station.id), Purpose::Event);
        Self {
            stream,
            sources,
            heard: station.quirk != Quirk::Indoor,
        }
    }

    /// The event at this Unix second, if any.
    pub(crate) fn at(self, second: i64) -> Option<Event> {
        if !self.heard {
            return None;
        }
        let hour = second.div_euclid(HOUR);
        // How busy an hour is needs no finer clock here, and no calendar: about local hour.
        let bustle = if (5..21).contains(&(hour + 1).rem_euclid(24)) {
            0.8
        } else {
            0.1
        };
        noise::event(self.stream, self.sources, second, bustle)
    }
}

impl World for City {
    fn devices(&self, _: Timestamp) -> Vec<String> {
        self.stations
            .iter()
            .map(|station| station.id.to_string())
            .collect()
    }

    fn device(&self, id: &str, _: Timestamp) -> Option<Bytes> {
        self.named(id).map(|_| josene::device(id).into())
    }

    fn days(&self, id: &str, now: Timestamp) -> Option<Vec<String>> {
        let index = self.named(id)?;
        let (from, to) = self.span(now);
        if to <= from {
            return Some(Vec::new());
        }
        let first = from.div_euclid(DAY * TICKS);
        let last = (to - 1).div_euclid(DAY * TICKS);
        let days = (first..=last)
            .map(|day| utc(day * DAY).date())
            .filter(|day| !self.hours_of(index, *day, now).is_empty())
            .map(|day| format!("{:04}{:02}{:02}", day.year(), day.month(), day.day()))
            .collect();
        Some(days)
    }

    fn hours(&self, id: &str, day: &str, now: Timestamp) -> Option<Vec<i64>> {
        let index = self.named(id)?;
        let hours = self.hours_of(index, parse_day(day)?, now);
        (!hours.is_empty()).then_some(hours)
    }

    fn hour(&self, id: &str, day: &str, hour: i64, now: Timestamp) -> Option<Bytes> {
        let station = &self.stations[self.named(id)?];
        let hour = i8::try_from(hour).ok()?;
        Self::hour(self, station.id, parse_day(day)?, hour, now).map(Bytes::from)
    }

    fn last(&self, id: &str, now: Timestamp) -> Option<Bytes> {
        let station = &self.stations[self.named(id)?];
        self.newest(station.id, now).map(Bytes::from)
    }
}

/// The Unix time (s) at which an hour begins; None unless `hour` is 1 to 24.
fn hour_start(day: Date, hour: i8) -> Option<i64> {
    if !(1..=24).contains(&hour) {
        return None;
    }
    let midnight = jiff::tz::Offset::UTC
        .to_timestamp(day.at(0, 0, 0, 0))
        .ok()?;
    Some(midnight.as_second() + i64::from(hour - 1) * HOUR)
}

/// A day of eight digits.
fn parse_day(day: &str) -> Option<Date> {
    if day.len() != 8 || !day.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Date::new(
        day[..4].parse().ok()?,
        day[4..6].parse().ok()?,
        day[6..].parse().ok()?,
    )
    .ok()
}

/// Ticks since 1970.
fn ticks(at: Timestamp) -> i64 {
    // All of jiff's range fits: 2.5e11 s are 2.5e18 ticks.
    at.as_second() * TICKS + i64::from(at.subsec_nanosecond()) / 100
}
