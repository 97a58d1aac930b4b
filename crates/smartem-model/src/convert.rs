use crate::laws::{
    EU_REFERENCE_PRESSURE, EU_REFERENCE_TEMPERATURE, fahrenheit_to_celsius, kelvin_to_celsius,
    molar_mass, ug_m3_per_ppb,
};

/// How a number in one unit becomes one in another. Nothing is rounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitConversion {
    multiply: f64,
    divide: f64,
    after: Offset,
}

/// What is not a factor in a conversion of temperatures.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Offset {
    None,
    FromKelvin,
    FromFahrenheit,
}

/// Units between which there is no conversion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitProblem {
    /// A text that means no unit that is known here.
    #[error("the unit `{written}` is not known")]
    Unknown {
        /// As the source writes it.
        written: String,
    },
    /// Units of different quantities, such as % and µg/m³.
    #[error("`{written}` cannot be converted to `{to}`")]
    Incompatible {
        /// As the source writes it.
        written: String,
        /// The UCUM code wanted.
        to: String,
    },
}

/// What is measured; units of one kind differ by a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mass,
    Mixing,
    Pressure,
    Temperature,
    Ratio,
    Illuminance,
    Irradiance,
    Sound,
}

/// UCUM code, what is measured in it, and its size as a fraction of integers, so that a conversion
/// by a power of ten is exact. The size is in ug/m3, nmol/mol, Pa, mK, %, lx and uW/cm2.
const UNITS: [(&str, Kind, f64, f64); 25] = [
    ("ug/m3", Kind::Mass, 1.0, 1.0),
    ("ng/m3", Kind::Mass, 1.0, 1e3),
    ("mg/m3", Kind::Mass, 1e3, 1.0),
    ("g/m3", Kind::Mass, 1e6, 1.0),
    ("mg/L", Kind::Mass, 1e6, 1.0),
    ("[ppb]", Kind::Mixing, 1.0, 1.0),
    ("nmol/mol", Kind::Mixing, 1.0, 1.0),
    ("[ppm]", Kind::Mixing, 1e3, 1.0),
    ("umol/mol", Kind::Mixing, 1e3, 1.0),
    ("Pa", Kind::Pressure, 1.0, 1.0),
    ("hPa", Kind::Pressure, 100.0, 1.0),
    ("mbar", Kind::Pressure, 100.0, 1.0),
    ("kPa", Kind::Pressure, 1e3, 1.0),
    ("bar", Kind::Pressure, 1e5, 1.0),
    // The conventional millimetre of mercury (NIST SP 811, B.8).
    ("mm[Hg]", Kind::Pressure, 133.322, 1.0),
    ("Cel", Kind::Temperature, 1e3, 1.0),
    ("K", Kind::Temperature, 1e3, 1.0),
    ("mK", Kind::Temperature, 1.0, 1.0),
    ("[degF]", Kind::Temperature, 1e3, 1.0),
    ("%", Kind::Ratio, 1.0, 1.0),
    ("lx", Kind::Illuminance, 1.0, 1.0),
    ("klx", Kind::Illuminance, 1e3, 1.0),
    ("uW/cm2", Kind::Irradiance, 1.0, 1.0),
    ("W/m2", Kind::Irradiance, 100.0, 1.0),
    ("dB[SPL]{A}", Kind::Sound, 1.0, 1.0),
];

/// What sources write, in the form of [`plain`], and the code that it means.
const WRITTEN: [(&str, &str); 51] = [
    ("ug/m3", "ug/m3"),
    ("ugm-3", "ug/m3"),
    ("mcg/m3", "ug/m3"),
    ("microgram/m3", "ug/m3"),
    ("microg/m3", "ug/m3"),
    ("microgramperkubiekemeter", "ug/m3"),
    ("microgramspercubicmetre", "ug/m3"),
    ("microgrampercubicmeter", "ug/m3"),
    ("microgramspercubicmeter", "ug/m3"),
    ("ng/m3", "ng/m3"),
    ("ngm-3", "ng/m3"),
    ("mg/m3", "mg/m3"),
    ("mgm-3", "mg/m3"),
    ("milligram/m3", "mg/m3"),
    ("g/m3", "g/m3"),
    ("gm-3", "g/m3"),
    ("mg/l", "mg/L"),
    ("ppb", "[ppb]"),
    ("[ppb]", "[ppb]"),
    ("nmol/mol", "nmol/mol"),
    ("ppm", "[ppm]"),
    ("[ppm]", "[ppm]"),
    ("umol/mol", "umol/mol"),
    ("pa", "Pa"),
    ("pascal", "Pa"),
    ("hpa", "hPa"),
    ("hectopascal", "hPa"),
    ("mbar", "mbar"),
    ("millibar", "mbar"),
    ("kpa", "kPa"),
    ("bar", "bar"),
    ("mmhg", "mm[Hg]"),
    ("mm[hg]", "mm[Hg]"),
    ("cel", "Cel"),
    ("c", "Cel"),
    ("degc", "Cel"),
    ("celsius", "Cel"),
    ("degcelsius", "Cel"),
    ("degreecelsius", "Cel"),
    ("degreescelsius", "Cel"),
    ("k", "K"),
    ("kelvin", "K"),
    ("mk", "mK"),
    ("degf", "[degF]"),
    ("[degf]", "[degF]"),
    ("%", "%"),
    ("%rh", "%"),
    ("percent", "%"),
    ("procent", "%"),
    ("lx", "lx"),
    ("lux", "lx"),
];

/// The rest of [`WRITTEN`]: light and sound.
const WRITTEN_LIGHT_AND_SOUND: [(&str, &str); 6] = [
    ("klx", "klx"),
    ("uw/cm2", "uW/cm2"),
    ("w/m2", "W/m2"),
    ("dba", "dB[SPL]{A}"),
    ("db[spl]{a}", "dB[SPL]{A}"),
    ("db(a)", "dB[SPL]{A}"),
];

impl UnitConversion {
    /// Leaves numbers as they are.
    pub const NONE: Self = Self::scale(1.0, 1.0);

    const fn scale(multiply: f64, divide: f64) -> Self {
        Self {
            multiply,
            divide,
            after: Offset::None,
        }
    }

    /// From a unit as a source writes it (`mg.m-3`, `µg/m³`, `HectoPascal`) to a UCUM code.
    ///
    /// A mixing ratio becomes a mass concentration by the law of ideal gases at the EU reference
    /// state (R12.1) where `indicator` is a gas of known molar mass, and the other way round.
    pub fn between(written: &str, to: &str, indicator: &str) -> Result<Self, UnitProblem> {
        let unknown = || UnitProblem::Unknown {
            written: written.to_owned(),
        };
        let from = code_of(written).ok_or_else(unknown)?;
        if from == to {
            return Ok(Self::NONE);
        }
        let (Some(source), Some(target)) = (unit(from), unit(to)) else {
            return Err(incompatible(written, to));
        };
        match (source.0, target.0) {
            (Kind::Temperature, Kind::Temperature) => {
                temperature(from, to, source.1, target.1).ok_or_else(|| incompatible(written, to))
            }
            (from, to) if from == to => Ok(ratio(source, target)),
            (Kind::Mixing, Kind::Mass) => {
                let factor = per_ppb(indicator).ok_or_else(|| incompatible(written, to))?;
                let scale = ratio(source, target);
                Ok(Self::scale(factor * scale.multiply, scale.divide))
            }
            (Kind::Mass, Kind::Mixing) => {
                let factor = per_ppb(indicator).ok_or_else(|| incompatible(written, to))?;
                let scale = ratio(source, target);
                Ok(Self::scale(scale.multiply, scale.divide * factor))
            }
            _ => Err(incompatible(written, to)),
        }
    }

    /// The number in the other unit.
    pub fn apply(self, value: f64) -> f64 {
        if self == Self::NONE {
            return value;
        }
        let scaled = match (ten_to(self.multiply), ten_to(self.divide)) {
            (Some(up), Some(down)) => moved(value, up - down),
            _ => value * self.multiply / self.divide,
        };
        match self.after {
            Offset::None => scaled,
            Offset::FromKelvin => kelvin_to_celsius(scaled),
            Offset::FromFahrenheit => fahrenheit_to_celsius(scaled),
        }
    }

    /// Whether both units are the same.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// Which power of ten a number is.
fn ten_to(factor: f64) -> Option<i32> {
    let powers = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    #[expect(clippy::float_cmp, reason = "these are integers, and exact")]
    let found = (0..).zip(powers).find(|(_, power)| *power == factor);
    found.map(|(exponent, _)| exponent)
}

/// A number with its point moved: 1.007 by three places is 1007, which 1.007 × 1000 is not, since
/// 1.007 stands for a binary number beside it.
fn moved(value: f64, places: i32) -> f64 {
    let shifted = value.is_finite().then(|| format!("{value}e{places}"));
    shifted
        .and_then(|text| text.parse().ok())
        .unwrap_or(value * 10f64.powi(places))
}

fn incompatible(written: &str, to: &str) -> UnitProblem {
    UnitProblem::Incompatible {
        written: written.to_owned(),
        to: to.to_owned(),
    }
}

type Size = (Kind, f64, f64);

fn unit(code: &str) -> Option<Size> {
    let found = UNITS.iter().find(|(known, ..)| *known == code)?;
    Some((found.1, found.2, found.3))
}

fn ratio((_, a, b): Size, (_, c, d): Size) -> UnitConversion {
    let (multiply, divide) = (a * d, b * c);
    // 100 / 100 000 is 1 / 1000: the fewer operations, the fewer roundings.
    if multiply >= divide && multiply % divide == 0.0 {
        UnitConversion::scale(multiply / divide, 1.0)
    } else if divide > multiply && divide % multiply == 0.0 {
        UnitConversion::scale(1.0, divide / multiply)
    } else {
        UnitConversion::scale(multiply, divide)
    }
}

fn per_ppb(gas: &str) -> Option<f64> {
    let mass = molar_mass(gas)?;
    Some(ug_m3_per_ppb(
        mass,
        EU_REFERENCE_TEMPERATURE,
        EU_REFERENCE_PRESSURE,
    ))
}

/// Only to degrees Celsius: the platform gives temperatures in no other unit.
fn temperature(from: &str, to: &str, size: f64, wanted: f64) -> Option<UnitConversion> {
    let after = match from {
        "K" | "mK" => Offset::FromKelvin,
        "[degF]" => Offset::FromFahrenheit,
        _ => return None,
    };
    (to == "Cel").then(|| UnitConversion {
        after,
        ..ratio(
            (Kind::Temperature, size, 1.0),
            (Kind::Temperature, wanted, 1.0),
        )
    })
}

/// The UCUM code that a source means.
fn code_of(written: &str) -> Option<&'static str> {
    let plain = plain(written);
    let known = WRITTEN.iter().chain(&WRITTEN_LIGHT_AND_SOUND);
    let found = known.into_iter().find(|(text, _)| *text == plain);
    found.map(|(_, code)| *code)
}

/// Small letters without typography, blanks, dots and signs of powers.
fn plain(written: &str) -> String {
    let mut plain = String::new();
    for c in written.chars() {
        match c {
            // The micro sign and the Greek letters look alike.
            '\u{b5}' | '\u{3bc}' | '\u{39c}' => plain.push('u'),
            '\u{b0}' => plain.push_str("deg"),
            '\u{2103}' => plain.push_str("degc"),
            '²' => plain.push('2'),
            '³' => plain.push('3'),
            '⁻' => plain.push('-'),
            '.' | '·' | '⋅' | '^' | '*' => {}
            c if c.is_whitespace() => {}
            c => plain.extend(c.to_lowercase()),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(value: f64, written: &str, to: &str, indicator: &str) -> f64 {
        UnitConversion::between(written, to, indicator)
            .unwrap()
            .apply(value)
    }

    #[test]
    fn every_code_of_the_tables_is_known_to_the_other() {
        for (text, code) in WRITTEN.iter().chain(&WRITTEN_LIGHT_AND_SOUND) {
            assert!(unit(code).is_some(), "{code}");
            assert_eq!(plain(text), *text, "{text} is not in its plain form");
        }
        for (code, ..) in UNITS {
            assert_eq!(code_of(code), Some(code), "{code} is not understood");
        }
    }

    #[test]
    fn d_027_carbon_monoxide_in_milligrams_becomes_micrograms() {
        assert!((convert(0.46, "mg.m-3", "ug/m3", "co") - 460.0).abs() < 1e-12);
        for same in [
            "ug.m-3",
            "ug/m3",
            "µg/m³",
            "μg/m³",
            "uG/M3",
            "µg m⁻³",
            "microgram/m3",
        ] {
            let conversion = UnitConversion::between(same, "ug/m3", "no2").unwrap();
            assert!(conversion.is_none(), "{same}");
        }
    }

    #[test]
    fn powers_of_ten_are_exact() {
        for (value, written, to, expected) in [
            (101_325.0, "Pa", "hPa", 1013.25_f64),
            (1013.25, "HectoPascal", "Pa", 101_325.0),
            (1013.2, "mBar", "hPa", 1013.2),
            (101.325, "kPa", "hPa", 1013.25),
            (12_345.0, "ng/m3", "ug/m3", 12.345),
            (16.0, "μW/cm²", "W/m2", 0.16),
            (1.007, "mg/m3", "ug/m3", 1007.0),
            (1.021, "mg.m-3", "ug/m3", 1021.0),
            (2.015, "mg/m3", "ug/m3", 2015.0),
            (2.022, "mg/m3", "ug/m3", 2022.0),
            (2.043, "mg/m3", "ug/m3", 2043.0),
            (1e300, "mg/m3", "ug/m3", 1e303),
            (-0.0, "mg/m3", "ug/m3", -0.0),
            (3.5, "microg/m3", "ug/m3", 3.5),
            (21.5, "\u{2103}", "Cel", 21.5),
            (50.5, "%Rh", "%", 50.5),
            (-3.3, "Celsius", "Cel", -3.3),
        ] {
            let found = convert(value, written, to, "");
            assert_eq!(found.to_bits(), expected.to_bits(), "{written}: {found}");
        }
    }

    #[test]
    fn mixing_ratios_of_gases_follow_the_law_of_ideal_gases() {
        let no2 = convert(10.0, "ppb", "ug/m3", "no2");
        assert!((no2 - 19.125).abs() < 5e-4, "{no2}");
        let co = convert(1.0, "ppm", "ug/m3", "co");
        assert!((co - 1164.4).abs() < 0.05, "{co}");
        let back = convert(no2, "ug/m3", "[ppb]", "no2");
        assert!((back - 10.0).abs() < 1e-12, "{back}");
        assert!((convert(400.0, "umol/mol", "[ppm]", "co2") - 400.0).abs() < 1e-12);
    }

    #[test]
    fn temperatures_have_an_offset() {
        assert!((convert(293_150.0, "mK", "Cel", "temperature") - 20.0).abs() < 1e-9);
        assert!((convert(68.0, "°F", "Cel", "temperature") - 20.0).abs() < 1e-9);
        assert!(convert(273.15, "Kelvin", "Cel", "temperature").abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_converted_is_said() {
        let problem = |written, to, indicator| {
            UnitConversion::between(written, to, indicator)
                .unwrap_err()
                .to_string()
        };
        assert!(problem("AirRohr", "ug/m3", "pm10").contains("`AirRohr` is not known"));
        assert!(problem("", "ug/m3", "pm10").contains("not known"));
        // There is no molar mass of dust.
        assert!(problem("ppm", "ug/m3", "pm10").contains("cannot be converted to `ug/m3`"));
        assert!(problem("%", "Cel", "temperature").contains("cannot"));
    }
}
