//! Well-known laws that conversions are built from, each with its source.
//!
//! A definition names them in `convert` (see [`crate::definition`]); other rooms call them where a
//! source delivers another unit.

/// The molar gas constant in J/(mol·K). CODATA 2018, exact since the SI of 2019.
pub const MOLAR_GAS_CONSTANT: f64 = 8.314_462_618;

/// Temperature of the EU reference state for gases, in K (20 °C). Directive 2008/50/EC, annex VI C.
pub const EU_REFERENCE_TEMPERATURE: f64 = 293.15;

/// Pressure of the EU reference state, in Pa. Directive 2008/50/EC, annex VI C.
pub const EU_REFERENCE_PRESSURE: f64 = 101_325.0;

/// Molar masses in g/mol, by gas (R12.1; standard atomic weights of IUPAC).
const MOLAR_MASSES: [(&str, f64); 7] = [
    ("benzene", 78.114),
    ("co", 28.010),
    ("co2", 44.010),
    ("no", 30.006),
    ("no2", 46.0055),
    ("o3", 47.998),
    ("so2", 64.066),
];

/// The molar mass of a gas in g/mol, by its name as an indicator.
pub fn molar_mass(gas: &str) -> Option<f64> {
    MOLAR_MASSES
        .iter()
        .find(|(name, _)| *name == gas)
        .map(|(_, mass)| *mass)
}

/// The gases of [`molar_mass`].
pub fn gases() -> impl Iterator<Item = &'static str> {
    MOLAR_MASSES.iter().map(|(name, _)| *name)
}

/// From a mixing ratio to a mass concentration: µg/m³ for each ppb (nmol/mol).
///
/// `molar_mass` in g/mol, `temperature` in K, `pressure` in Pa. For 1 ppm of the same gas it gives
/// mg/m³.
///
/// Source: the ideal gas law, M·P / (1000·R·T) (R12.1).
pub fn ug_m3_per_ppb(molar_mass: f64, temperature: f64, pressure: f64) -> f64 {
    molar_mass * pressure / (1000.0 * MOLAR_GAS_CONSTANT * temperature)
}

/// From K to °C. Source: the definition of the degree Celsius (SI Brochure, 9th edition, 2.3.1).
pub fn kelvin_to_celsius(kelvin: f64) -> f64 {
    kelvin - 273.15
}

/// From °F to °C. Source: NIST Special Publication 811, B.9.
pub fn fahrenheit_to_celsius(fahrenheit: f64) -> f64 {
    (fahrenheit - 32.0) / 1.8
}

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
    fn the_factors_from_ppb_are_those_of_the_eu_reference_state() {
        for (gas, expected) in [
            ("o3", 1.9953),
            ("no2", 1.9125),
            ("no", 1.2474),
            ("co", 1.1644),
            ("so2", 2.6633),
            ("benzene", 3.2473),
            ("co2", 1.8295),
        ] {
            let mass = molar_mass(gas).unwrap();
            let factor = ug_m3_per_ppb(mass, EU_REFERENCE_TEMPERATURE, EU_REFERENCE_PRESSURE);
            assert!((factor - expected).abs() < 5e-5, "{gas}: {factor}");
        }
        assert_eq!(molar_mass("radon"), None);
    }

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

    #[test]
    fn water_freezes_and_boils_where_it_should() {
        for (kelvin, fahrenheit, celsius) in [(273.15, 32.0, 0.0), (373.15, 212.0, 100.0)] {
            assert!((kelvin_to_celsius(kelvin) - celsius).abs() < 1e-12);
            assert!((fahrenheit_to_celsius(fahrenheit) - celsius).abs() < 1e-12);
        }
    }
}
