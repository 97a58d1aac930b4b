//! Well-known laws that conversions are built from, each with its source.
//!
//! A definition names them in `convert` (see [`crate::definition`]); other rooms call them where a
//! source delivers another unit.

pub use smartem_model::laws::{
    EU_REFERENCE_PRESSURE, EU_REFERENCE_TEMPERATURE, MOLAR_GAS_CONSTANT, fahrenheit_to_celsius,
    gases, kelvin_to_celsius, molar_mass, ug_m3_per_ppb,
};

/// The energy of a level in dB, in units of the reference energy: 10^(L/10).
///
/// Energies of simultaneous sounds add up; levels do not. Source: ISO 1996-1:2016, 3.1.
pub fn energy(level: f64) -> f64 {
    10_f64.powf(level / 10.0)
}

/// The level in dB of an energy: 10·log10(E), the inverse of [`energy`].
pub fn level(energy: f64) -> f64 {
    10.0 * energy.log10()
}

/// The analogue front end of an electrochemical sensor: from the digits of its converter to the
/// current of its electrode.
///
/// Source: the AirSensEUR shield (EU JRC), as in R8.2.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontEnd {
    /// Reference voltage of the cell, in V.
    pub v_ref: f64,
    /// Reference voltage of the converter, in V.
    pub v_ref_ad: f64,
    /// Gain of the amplifier.
    pub gain: f64,
    /// Load resistor, in Ω.
    pub r_load: f64,
}

impl FrontEnd {
    /// The current in nA for `digits` of a 16-bit converter.
    pub fn current(&self, digits: f64) -> f64 {
        let voltage = (self.v_ref - self.v_ref_ad) + (digits + 1.0) / 65536.0 * 2.0 * self.v_ref_ad;
        1e9 * voltage / (self.gain * self.r_load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currents_are_those_that_the_original_gives() {
        let front_end = |v_ref| FrontEnd {
            v_ref,
            v_ref_ad: 0.500_610_5,
            gain: 7001.0,
            r_load: 50.0,
        };
        for (v_ref, digits, expected) in [
            (1.200_244, 9450.0, 2_411.142_399_186_765_5),
            (1.700_855, 61860.0, 6_128.613_001_966_864),
            (1.500_611, 38000.0, 4_515.234_221_082_605),
        ] {
            let current = front_end(v_ref).current(digits);
            assert!((current - expected).abs() < 1e-9 * expected, "{current}");
        }
    }

    #[test]
    fn two_equal_sounds_are_three_decibels_louder_than_one() {
        let sum = level(energy(60.0) + energy(60.0));
        assert!((sum - 63.010_299_956_639_81).abs() < 1e-12, "{sum}");
    }
}
