//! What is really in the air at a station: the values that perfect instruments would show.

use super::noise::{self, Levels};

/// The true surroundings of a station at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    /// degC.
    pub temperature: f64,
    /// %.
    pub relative_humidity: f64,
    /// At the height of the station, Pa.
    pub pressure: f64,
    /// On a level surface at the station, lux.
    pub light: f64,
    /// mm/h.
    pub rain: f64,
    /// ppm.
    pub co2: f64,
    /// Carbon monoxide, ug/m3 at 20 degC and 101.325 kPa, as all gases.
    pub co: f64,
    /// Nitrogen dioxide, ug/m3.
    pub no2: f64,
    /// Nitrogen monoxide, ug/m3.
    pub no: f64,
    /// Ozone, ug/m3.
    pub o3: f64,
    /// Particles below 10 um, ug/m3.
    pub pm10: f64,
    /// Particles below 2.5 um, ug/m3.
    pub pm2_5: f64,
    /// Particles below 1 um, ug/m3.
    pub pm1: f64,
    /// Third-octave bands 25 Hz to 20 kHz, dB(A); quiet low bands are negative.
    pub noise: Levels,
}

impl Truth {
    /// Sum level of all bands, dB(A).
    pub fn noise_level(&self) -> f64 {
        noise::sum(&self.noise)
    }

    /// On the straight line from `self` (`f` = 0) to `other` (`f` = 1).
    pub(super) fn toward(&self, other: &Self, f: f64) -> Self {
        let line = |a: f64, b: f64| a + (b - a) * f;
        Self {
            temperature: line(self.temperature, other.temperature),
            relative_humidity: line(self.relative_humidity, other.relative_humidity),
            pressure: line(self.pressure, other.pressure),
            light: line(self.light, other.light),
            rain: line(self.rain, other.rain),
            co2: line(self.co2, other.co2),
            co: line(self.co, other.co),
            no2: line(self.no2, other.no2),
            no: line(self.no, other.no),
            o3: line(self.o3, other.o3),
            pm10: line(self.pm10, other.pm10),
            pm2_5: line(self.pm2_5, other.pm2_5),
            pm1: line(self.pm1, other.pm1),
            noise: std::array::from_fn(|i| line(self.noise[i], other.noise[i])),
        }
    }
}
