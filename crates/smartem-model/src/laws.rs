//! Laws between units that need more than a factor, each with its source.

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
    fn water_freezes_and_boils_where_it_should() {
        for (kelvin, fahrenheit, celsius) in [(273.15, 32.0, 0.0), (373.15, 212.0, 100.0)] {
            assert!((kelvin_to_celsius(kelvin) - celsius).abs() < 1e-12);
            assert!((fahrenheit_to_celsius(fahrenheit) - celsius).abs() < 1e-12);
        }
    }
}
