//! Gases and particles at a station.
//!
//! | quantity | law |
//! |---|---|
//! | traffic | counted flows per hour of weekday, Saturday and Sunday in local time, relative to the daily mean |
//! | `NOx` | regional background + city + local traffic, all times the stagnation of the weather |
//! | NO, NO2, O3 | photostationary state (Leighton): J \[NO2\] = k \[NO\] \[O3\], with `NOx` and total oxidant conserved; k = 3.0e-12 exp(-1500 / T) cm3/s (JPL 19-5); 18 % of traffic `NOx` is primary NO2 |
//! | O3 background | 31 ppb, spring maximum ± 6 ppb, plus photochemistry on hot sunny days, less deposition below night inversions |
//! | CO | 125 ppb + 40 ppb in winter, 4.5 ppb per ppb of traffic `NOx`, wood smoke |
//! | CO2 | 371 ppm in 2000 and 2.2 ppm a year, season ± 6 ppm, plants and stagnation at night, traffic and city |
//! | PM2.5 | log-normal episodes of days about 7 ug/m3, higher in stagnant winter air, exhaust, wood stoves on winter evenings |
//! | PM10 | PM2.5 plus coarse dust: background, works, traffic on dry roads, fast wind |
//! | New Year | fireworks from 18:00, strongest in the half hour after midnight, then falling with 1.2 h |
//!
//! Mixing ratios become ug/m3 at 20 degC and 101.325 kPa, as EU directive 2008/50/EC prescribes for gases.

use std::f64::consts::TAU;

use super::site::Sources;
use super::weather::Weather;
use crate::calendar::{DayKind, Local};
use crate::chance::{Purpose, Stream, nearest, whole};

/// ug/m3 of one ppb at 20 degC and 101.325 kPa: molar mass (g/mol) over 24.055 L/mol.
const NO: f64 = 30.006 / 24.055;
const NO2: f64 = 46.0055 / 24.055;
const O3: f64 = 47.998 / 24.055;
const CO: f64 = 28.010 / 24.055;

/// Part of traffic `NOx` that leaves the exhaust as NO2.
const PRIMARY_NO2: f64 = 0.18;

const DAY: f64 = 86_400.0;

/// Gases (ug/m3; CO2 ppm) and particles (ug/m3).
pub(super) struct Air {
    pub(super) co2: f64,
    pub(super) co: f64,
    pub(super) no2: f64,
    pub(super) no: f64,
    pub(super) o3: f64,
    pub(super) pm10: f64,
    pub(super) pm2_5: f64,
    pub(super) pm1: f64,
}

/// Random curves of the air over the whole region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Background {
    nitrogen: Stream,
    particles: Stream,
    particles_fast: Stream,
}

impl Background {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            nitrogen: Stream::new(seed, 0, Purpose::NitrogenBackground),
            particles: Stream::new(seed, 0, Purpose::ParticleBackground),
            particles_fast: Stream::new(seed, 0, Purpose::ParticleFast),
        }
    }

    /// The air at a station. `t` is Unix time (s), `turbulence` the station's random stream.
    pub(super) fn air(
        &self,
        t: f64,
        local: &Local,
        weather: &Weather,
        sources: &Sources,
        turbulence: Stream,
    ) -> Air {
        let w = weather;
        let winter = 1.0 - w.summer;
        let gust = (0.16 * turbulence.smooth(t, 420.0) + 0.22 * turbulence.smooth(t, 5400.0)).exp();
        let local_mixing = w.stagnation * gust;

        // Nitrogen oxides, ppb.
        let regional = 4.0
            * (0.8 + 0.5 * winter)
            * w.stagnation.sqrt()
            * (0.28 * self.nitrogen.smooth(t, 1.5 * DAY)).exp();
        let flow = flow(local);
        let city = 3.6 * sources.urban * (0.4 + 0.6 * flow) * w.stagnation;
        let traffic = sources.traffic * flow * local_mixing;

        // Ozone of the background, ppb; the ground takes it up below an inversion.
        let sunny = (w.radiation / 700.0).min(1.2);
        let spring = (TAU * (w.years - 0.33)).cos();
        let ozone =
            ((31.0 + 6.0 * spring + 1.9 * (w.temperature - 17.0).max(0.0) * (0.35 + sunny))
                * (1.0 - 0.42 * w.inversion))
                .max(4.0);

        let nox = regional + city + traffic;
        // What comes from afar is mostly NO2 already, and counts as oxidant.
        let oxidant = ozone + 0.75 * regional + PRIMARY_NO2 * (city + traffic);
        let no2 = photostationary(nox, oxidant, w.photolysis, w.temperature, w.pressure);
        // At night one of them is used up, but for rounding.
        let no = (nox - no2).max(0.0);
        let o3 = (oxidant - no2).max(0.0);

        // Particles, ug/m3.
        let washout = 1.0 / (1.0 + 0.35 * w.rain);
        let dry = if w.rain > 0.1 { 0.3 } else { 1.0 };
        let episode = (0.45 * self.particles.smooth(t, 4.0 * DAY)
            + 0.2 * self.particles_fast.smooth(t, 0.8 * DAY))
        .exp();
        let fine = 6.2 * (0.75 + 0.6 * winter) * episode * w.stagnation.powf(0.45) * washout;
        let exhaust = 0.055 * traffic + 0.08 * city;
        let wood = sources.wood * burning(local, w.temperature) * local_mixing;
        let smoke = 330.0 * sources.fireworks * fireworks(local) * local_mixing.clamp(0.5, 1.8);
        let coarse = washout
            * (4.5
                + sources.dust * workday(local) * dry * gust
                + 0.09 * traffic * dry
                + 1.2 * (w.wind / 5.0).powi(2) * dry);
        let pm2_5 = (fine + exhaust + wood + 0.8 * smoke).min(780.0);
        let pm10 = (pm2_5 + coarse + 0.2 * smoke).min(880.0);
        let pm1 = 0.72 * fine + 0.95 * exhaust + 0.93 * wood + 0.62 * smoke;

        let co = 125.0 + 40.0 * winter + 4.5 * (traffic + city) + 11.0 * wood + 1.5 * smoke;

        let growing = w.summer * (0.3 + 0.7 * w.summer);
        let co2 = 371.0
            + 2.2 * w.years
            + 6.0 * (TAU * (w.years - 0.15)).cos()
            + 34.0 * w.inversion * (0.35 + 0.65 * growing)
            - 7.0 * growing * sunny
            + 0.45 * traffic
            + 7.0 * sources.urban * w.stagnation;

        Air {
            co2,
            co: co * CO,
            no2: no2 * NO2,
            no: no * NO,
            o3: o3 * O3,
            pm10,
            pm2_5,
            pm1: pm1.min(0.97 * pm2_5),
        }
    }
}

/// NO2 (ppb) in the photostationary state of NO, NO2 and O3.
///
/// `nox` and `oxidant` (O3 + NO2) are the conserved sums in ppb, `photolysis` is J(NO2) in 1/s, `temperature` in degC,
/// `pressure` in Pa. With x = NO2: k (nox - x)(oxidant - x) = J x, the smaller root; without light the scarcer of
/// the two is used up.
fn photostationary(
    nox: f64,
    oxidant: f64,
    photolysis: f64,
    temperature: f64,
    pressure: f64,
) -> f64 {
    let kelvin = temperature + 273.15;
    let molecules_per_ppb = 1e-9 * pressure / (1.380_649e-23 * kelvin) * 1e-6;
    let k = 3.0e-12 * (-1500.0 / kelvin).exp() * molecules_per_ppb;
    let b = nox + oxidant + photolysis / k;
    let root = (b * b - 4.0 * nox * oxidant).max(0.0).sqrt();
    // The form without cancellation: b is much larger than x in bright light.
    2.0 * nox * oxidant / (b + root)
}

/// Traffic flow relative to its daily mean.
pub(super) fn flow(local: &Local) -> f64 {
    interpolate(local, |kind| match kind {
        DayKind::Weekday => &WEEKDAY,
        DayKind::Saturday => &SATURDAY,
        DayKind::Sunday => &SUNDAY,
    })
}

/// How busy people are out of doors, 0 to 1.
pub(super) fn bustle(local: &Local) -> f64 {
    interpolate(local, |kind| match kind {
        DayKind::Weekday => &BUSTLE,
        DayKind::Saturday | DayKind::Sunday => &BUSTLE_WEEKEND,
    })
}

/// Values of the hours stand for their middle and are joined by straight lines, across midnight too.
fn interpolate(local: &Local, profile: impl Fn(DayKind) -> &'static [f64; 24]) -> f64 {
    let x = local.hour - 0.5;
    let hour = whole(x.floor());
    let f = x - x.floor();
    let value = |hour: i64| {
        let kind = match hour {
            ..0 => local.yesterday,
            0..24 => local.today,
            _ => local.tomorrow,
        };
        usize::try_from(hour.rem_euclid(24)).map_or(0.0, |i| profile(kind)[i])
    };
    value(hour) * (1.0 - f) + value(hour + 1) * f
}

/// Stoves in use, 0 to 1: cold evenings, more of them at weekends.
fn burning(local: &Local, temperature: f64) -> f64 {
    let evening = bell(local.hour, 20.5, 2.2) + bell(local.hour, -3.5, 2.2);
    let cold = ((13.0 - temperature) / 12.0).clamp(0.0, 1.0);
    let weekend = if local.today == DayKind::Weekday {
        0.75
    } else {
        1.1
    };
    evening * cold * weekend
}

/// Works in operation, 0.15 to 1.
fn workday(local: &Local) -> f64 {
    let open = bell(local.hour, 12.0, 4.0);
    match local.today {
        DayKind::Weekday => 0.15 + 0.85 * open,
        DayKind::Saturday => 0.15 + 0.25 * open,
        DayKind::Sunday => 0.15,
    }
}

/// Smoke of fireworks relative to its peak in the first hour of the year.
pub(super) fn fireworks(local: &Local) -> f64 {
    match local.hours_into_new_year() {
        Some(h) if (-6.0..0.0).contains(&h) => 0.02 + 0.06 * (h + 6.0) / 6.0,
        Some(h) if (0.0..0.5).contains(&h) => 0.08 + 0.92 * h / 0.5,
        Some(h) if (0.5..14.0).contains(&h) => (-(h - 0.5) / 1.2).exp(),
        _ => 0.0,
    }
}

fn bell(x: f64, centre: f64, width: f64) -> f64 {
    (-0.5 * ((x - centre) / width).powi(2)).exp()
}

/// Rain as the box counts it: 0 to 15.
pub(crate) fn rain_count(rain: f64) -> i64 {
    nearest((rain * 2.0).clamp(0.0, 15.0))
}

const WEEKDAY: [f64; 24] = [
    0.16, 0.10, 0.07, 0.07, 0.12, 0.38, 1.05, 1.85, 1.75, 1.25, 1.12, 1.15, 1.20, 1.22, 1.30, 1.50,
    1.85, 1.90, 1.35, 0.95, 0.72, 0.60, 0.48, 0.30,
];
const SATURDAY: [f64; 24] = [
    0.30, 0.20, 0.13, 0.10, 0.09, 0.14, 0.28, 0.50, 0.80, 1.10, 1.30, 1.40, 1.42, 1.40, 1.35, 1.30,
    1.20, 1.05, 0.90, 0.75, 0.62, 0.55, 0.52, 0.45,
];
const SUNDAY: [f64; 24] = [
    0.35, 0.25, 0.17, 0.12, 0.09, 0.10, 0.16, 0.25, 0.40, 0.65, 0.95, 1.10, 1.20, 1.25, 1.30, 1.30,
    1.25, 1.15, 1.00, 0.85, 0.68, 0.52, 0.40, 0.25,
];
const BUSTLE: [f64; 24] = [
    0.04, 0.02, 0.01, 0.01, 0.04, 0.15, 0.35, 0.60, 0.80, 0.75, 0.75, 0.80, 0.85, 0.80, 0.80, 0.90,
    1.00, 0.95, 0.85, 0.75, 0.60, 0.40, 0.22, 0.10,
];
const BUSTLE_WEEKEND: [f64; 24] = [
    0.15, 0.10, 0.05, 0.03, 0.04, 0.10, 0.15, 0.25, 0.40, 0.60, 0.80, 0.90, 0.95, 1.00, 1.00, 1.00,
    0.95, 0.90, 0.85, 0.75, 0.65, 0.50, 0.40, 0.28,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_photostationary_state_balances() {
        let (nox, oxidant, j) = (40.0, 45.0, 8e-3);
        let no2 = photostationary(nox, oxidant, j, 20.0, 101_325.0);
        // k at 20 degC is 4.5e-4 1/(ppb s), worked by hand from the JPL expression.
        let balance = 4.497e-4 * (nox - no2) * (oxidant - no2);
        assert!(
            (balance / (j * no2) - 1.0).abs() < 0.01,
            "{balance} {}",
            j * no2
        );
    }

    #[test]
    fn without_light_the_scarcer_partner_is_used_up() {
        assert!((photostationary(20.0, 50.0, 0.0, 5.0, 1e5) - 20.0).abs() < 1e-9);
        assert!((photostationary(50.0, 20.0, 0.0, 5.0, 1e5) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn a_weekday_has_its_rush_hours_on_local_clocks() {
        let at = |text: &str| {
            flow(&Local::at(
                text.parse::<jiff::Timestamp>().unwrap().as_second(),
            ))
        };
        // 07:45 and 17:15 local time, in winter and in summer.
        for rush in [
            "2026-01-14T06:45:00Z",
            "2026-07-15T05:45:00Z",
            "2026-07-15T15:15:00Z",
        ] {
            assert!(at(rush) > 1.75, "{rush} {}", at(rush));
        }
        assert!(at("2026-07-15T01:00:00Z") < 0.1);
        assert!(at("2026-07-19T05:45:00Z") < 0.3, "Sunday");
    }
}
