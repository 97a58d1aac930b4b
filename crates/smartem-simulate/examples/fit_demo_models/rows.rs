//! Rows to fit to: the eight inputs as the refiner feeds them, and the true concentrations.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value};
use smartem_simulate::city::{City, CityConfig, Quirk, Station, Truth};

use crate::network::INPUTS;

/// The order of the inputs, also in the models.
pub(crate) const ORDER: [&str; INPUTS] = [
    "s_barometer",
    "s_coresistance",
    "s_humidity",
    "s_lightsensortop",
    "s_no2resistance",
    "s_o3resistance",
    "s_temperatureambient",
    "s_temperatureunit",
];

/// Weight of a new reading in the running mean of a resistance, as in `devices/jose.toml`.
const SMOOTHING: f64 = 0.05;

/// The smoothed inputs and the weight of each, as a model states them.
pub(crate) fn running_mean_weights() -> Value {
    let smoothed = ORDER.iter().filter(|key| key.ends_with("resistance"));
    smoothed
        .map(|key| ((*key).to_owned(), SMOOTHING.into()))
        .collect::<Map<_, Value>>()
        .into()
}

/// Cities to learn from; each has its own weather, sources and boxes.
pub(crate) const SEEDS: std::ops::RangeInclusive<u64> = 101..=140;
/// Stations of each city.
pub(crate) const STATIONS: usize = 60;
/// Hours of each station, spread over the period at random.
pub(crate) const HOURS: usize = 5;
/// The period to learn from, two years: all seasons.
pub(crate) const SINCE: &str = "2024-01-01T00:00:00Z";
pub(crate) const DAYS: u32 = 730;
/// Minutes of an hour at which a row is taken. By the first the running means have forgotten how they began.
pub(crate) const MINUTES: [i8; 2] = [30, 55];

/// Inputs in [`ORDER`], and the truth at the same moment.
pub(crate) struct Row {
    pub(crate) inputs: [f64; INPUTS],
    pub(crate) truth: Truth,
}

/// A sample as far as the networks need it; boxes leave values out now and then.
#[derive(Deserialize)]
struct Sample {
    time: Timestamp,
    s_barometer: f64,
    s_humidity: f64,
    s_lightsensortop: f64,
    s_temperatureambient: f64,
    s_temperatureunit: f64,
    s_coresistance: Option<f64>,
    s_no2resistance: Option<f64>,
    s_o3resistance: Option<f64>,
}

#[derive(Deserialize)]
struct Hour {
    timeseries: Vec<Sample>,
}

/// The rows of all cities. Nobody calibrates on worn sensors, so stations with such are left out.
pub(crate) fn rows() -> Result<Vec<Row>, Box<dyn Error>> {
    let since: Timestamp = SINCE.parse()?;
    let mut rows = Vec::new();
    // The golden ratio spreads the hours evenly over the period, whatever their number.
    let mut place = 0.0_f64;
    for seed in SEEDS {
        let city = City::new(CityConfig {
            seed,
            stations: STATIONS,
            flaws: false,
            ..CityConfig::starting(since)
        })?;
        let sound = |station: &&Station| station.quirk != Quirk::Worn;
        for station in city.stations().iter().filter(sound) {
            for _ in 0..HOURS {
                place = (place + 0.618_033_988_749_895).fract();
                let into = Duration::from_secs_f64(place * f64::from(DAYS) * 86_400.0);
                rows_of_hour(&city, station, since + into, &mut rows)?;
            }
        }
    }
    Ok(rows)
}

fn rows_of_hour(
    city: &City,
    station: &Station,
    at: Timestamp,
    rows: &mut Vec<Row>,
) -> Result<(), Box<dyn Error>> {
    let start = at.to_zoned(TimeZone::UTC).datetime();
    let body = city
        .hour(station.id, start.date(), start.hour() + 1, Timestamp::MAX)
        .ok_or("a city without flaws has every hour")?;
    let hour: Hour = serde_json::from_slice(&body)?;
    let mut means: Option<[f64; 3]> = None;
    let mut minutes = MINUTES.iter().peekable();
    for sample in hour.timeseries {
        let Some(ohms) = sample.resistances() else {
            continue;
        };
        let smooth = |mean: f64, x: f64| (1.0 - SMOOTHING) * mean + SMOOTHING * x;
        let after = means.map_or(ohms, |means| {
            std::array::from_fn(|i| smooth(means[i], ohms[i]))
        });
        means = Some(after);
        let minute = sample.time.to_zoned(TimeZone::UTC).minute();
        if minutes.next_if(|wanted| **wanted <= minute).is_some() {
            rows.push(Row {
                inputs: sample.inputs(after),
                truth: city.truth(station, sample.time),
            });
        }
    }
    Ok(())
}

impl Sample {
    /// CO, NO2 and O3, where the box gave all three.
    fn resistances(&self) -> Option<[f64; 3]> {
        Some([
            self.s_coresistance?,
            self.s_no2resistance?,
            self.s_o3resistance?,
        ])
    }

    /// The inputs in [`ORDER`], with these resistances.
    fn inputs(&self, [co, no2, o3]: [f64; 3]) -> [f64; INPUTS] {
        [
            self.s_barometer,
            co,
            self.s_humidity,
            self.s_lightsensortop,
            no2,
            o3,
            self.s_temperatureambient,
            self.s_temperatureunit,
        ]
    }
}
