//! How good models are: simulated hours, refined as the platform does, against the truth of the simulator.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_refine::{Definition, ModelSet, StationFacts, refine};
use smartem_simulate::city::{City, Station};

/// The gases with models.
pub(crate) const GASES: [&str; 3] = ["co", "no2", "o3"];

/// Hourly means of one gas, estimated and true, ug/m3.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) hours: Vec<(f64, f64)>,
    /// Samples that gave a value.
    pub(crate) accepted: u64,
    /// Samples whose value the refiner refused.
    pub(crate) rejected: u64,
}

impl Judged {
    /// Root mean square error, ug/m3.
    pub(crate) fn rmse(&self) -> f64 {
        let squares: f64 = self.hours.iter().map(|(e, t)| (e - t).powi(2)).sum();
        (squares / self.hours.len() as f64).sqrt()
    }

    /// Part of the variance of the truth that is explained; below 0 where the mean would have been the better guess.
    pub(crate) fn r2(&self) -> f64 {
        let n = self.hours.len() as f64;
        let mean = self.hours.iter().map(|(_, t)| t).sum::<f64>() / n;
        let variance = self
            .hours
            .iter()
            .map(|(_, t)| (t - mean).powi(2))
            .sum::<f64>()
            / n;
        1.0 - self.rmse().powi(2) / variance
    }
}

/// Judges the gases, in the order of [`GASES`], over each `step`-th hour of a day at one station.
pub(crate) fn judge_day(
    (city, station, day): (&City, &Station, Date),
    step: usize,
    definition: &Definition,
    models: &ModelSet,
    judged: &mut [Judged; 3],
) {
    let mut state = Value::Null;
    for hour in (1_i8..=24).step_by(step) {
        // Lost hours are part of a city with flaws.
        let Some(body) = city.hour(station.id, day, hour, Timestamp::MAX) else {
            continue;
        };
        let text = String::from_utf8_lossy(&body);
        let Ok(record) = RawRecord::from_json(&text, &|name| name == &*definition.name) else {
            continue;
        };
        let facts = StationFacts::default();
        let refined = refine(&record, definition, models, &state, &facts, None);
        state = refined.state;
        let truths = true_means(city, station, day, hour);
        for ((gas, truth), judged) in GASES.iter().zip(truths).zip(&mut *judged) {
            let of_gas = |name: Option<&str>| name == Some(*gas);
            let refused = refined
                .rejected
                .iter()
                .filter(|r| of_gas(r.indicator.as_deref()));
            judged.rejected += refused.map(|r| r.count).sum::<u64>();
            for observation in refined
                .observations
                .iter()
                .filter(|o| of_gas(Some(&o.indicator)))
            {
                judged.accepted += observation.accepted_count;
                judged.hours.push((observation.value, truth));
            }
        }
    }
}

/// CO, NO2 and O3 of the truth, over the middles of twelve parts of the hour.
fn true_means(city: &City, station: &Station, day: Date, hour: i8) -> [f64; 3] {
    let mut sums = [0.0; 3];
    let Ok(midnight) = jiff::tz::Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)) else {
        return sums;
    };
    for part in 0..12 {
        let into = SignedDuration::from_secs(i64::from(hour - 1) * 3600 + 150 + 300 * part);
        let truth = city.truth(station, midnight + into);
        for (sum, value) in sums.iter_mut().zip([truth.co, truth.no2, truth.o3]) {
            *sum += value / 12.0;
        }
    }
    sums
}
