use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::nearest;
use crate::vocabulary::Text;

/// The units that smartem knows, by UCUM code, read from `vocabulary/units.toml`.
///
/// A code says what a number means; [`Unit`] says how it is written and called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units {
    units: BTreeMap<Arc<str>, Unit>,
}

/// A unit as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// How it is written behind a number: `µg/m³`. Empty where nothing is written.
    pub symbol: Arc<str>,
    /// What it is called: micrograms per cubic metre.
    pub label: Text,
    /// What is measured in it: mass concentration. Empty where that was not told.
    #[serde(default)]
    pub quantity: Arc<str>,
}

/// Units that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnitsError {
    /// Not TOML, or not of the expected shape.
    #[error("the units cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A code that is none of UCUM.
    #[error("unit `{code}`: {problem}")]
    Code {
        /// As written.
        code: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitsFormat {
    unit: BTreeMap<Arc<str>, Unit>,
}

/// What people write, and the code that they mean.
///
/// Some of the left are codes of another unit: `C` is the coulomb, `F` the farad.
const USUAL_MISTAKES: [(&str, &str); 20] = [
    ("C", "Cel"),
    ("degC", "Cel"),
    ("celsius", "Cel"),
    ("F", "[degF]"),
    ("degF", "[degF]"),
    ("fahrenheit", "[degF]"),
    ("kelvin", "K"),
    ("hectopascal", "hPa"),
    ("pct", "%"),
    ("%RH", "%"),
    ("m%RH", "10*-3.%"),
    ("dBA", "dB[SPL]{A}"),
    ("dB(A)", "dB[SPL]{A}"),
    ("dB(C)", "dB[SPL]{C}"),
    ("lux", "lx"),
    ("milliKelvin", "mK"),
    ("nanoAmpere", "nA"),
    ("mcg/m3", "ug/m3"),
    ("m/sec", "m/s"),
    ("kph", "km/h"),
];

impl Units {
    /// Reads and checks units from TOML text.
    ///
    /// # Errors
    /// [`UnitsError`] when the text is not of the expected shape, or a code is none of UCUM.
    pub fn from_toml(text: &str) -> Result<Self, UnitsError> {
        let format: UnitsFormat = toml::from_str(text)?;
        for code in format.unit.keys() {
            check_unit_code(code).map_err(|problem| UnitsError::Code {
                code: code.to_string(),
                problem,
            })?;
        }
        Ok(Self { units: format.unit })
    }

    /// The unit of this code; case matters.
    pub fn get(&self, code: &str) -> Option<&Unit> {
        self.units.get(code)
    }

    /// All units, by code.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Unit)> {
        self.units.iter()
    }

    /// Adds a unit unless its code is known already.
    pub fn add(&mut self, code: Arc<str>, unit: Unit) {
        self.units.entry(code).or_insert(unit);
    }

    /// The known code that was probably meant by a text that is none: `Cel` for `°C`.
    pub fn suggest(&self, text: &str) -> Option<&str> {
        let plain = without_typography(text);
        let known = |code: &str| {
            self.units
                .get_key_value(code)
                .map(|(code, _)| code.as_ref())
        };
        let mistake = USUAL_MISTAKES
            .iter()
            .find(|(wrong, _)| *wrong == text || wrong.eq_ignore_ascii_case(&plain))
            .and_then(|(_, right)| known(right));
        let bracketed = format!("[{plain}]");
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        mistake
            .or_else(|| known(&plain))
            .or_else(|| self.find(|code, _| same(code, &plain) || same(code, &bracketed)))
            .or_else(|| self.find(|_, unit| !text.is_empty() && *unit.symbol == *text))
            .or_else(|| {
                self.find(|_, unit| same(&unit.label.en, text) || same(&unit.label.nl, text))
            })
            .or_else(|| {
                // Every short text is a slip away from some short code.
                let codes = self.units.keys().map(AsRef::as_ref);
                (plain.len() > 2).then(|| nearest(&plain, codes)).flatten()
            })
    }

    fn find(&self, is_it: impl Fn(&str, &Unit) -> bool) -> Option<&str> {
        self.units
            .iter()
            .find(|(code, unit)| is_it(code, unit))
            .map(|(code, _)| code.as_ref())
    }
}

/// Whether a text can be a UCUM code; if not, why.
///
/// This looks at the grammar (The Unified Code for Units of Measure, version 2.2, section 2), not
/// at the names of units: `florps/m3` passes.
pub fn check_unit_code(code: &str) -> Result<(), &'static str> {
    if code.is_empty() {
        return Err("it is empty; a number without unit has the code `1`");
    }
    if code.contains(char::is_whitespace) {
        return Err("it must be a UCUM code without blanks, such as `ug/m3`, `Cel` or `1`");
    }
    if !code.is_ascii() {
        return Err(
            "a UCUM code has only ASCII characters: `u` for `µ`, `3` for `³`, `Ohm` for `Ω`",
        );
    }
    let mut parts = Vec::new();
    let mut open = Vec::new();
    let mut part = String::new();
    for c in code.chars() {
        match (c, open.last()) {
            ('}', Some('{')) | (']', Some('[')) => {
                open.pop();
                part.push(c);
            }
            ('{' | '[', Some('{' | '[')) => return Err("its brackets are nested"),
            (_, Some('{')) => {}
            ('{' | '[', _) => {
                open.push(c);
                part.push(c);
            }
            (c, Some('[')) if c.is_ascii_graphic() => part.push(c),
            ('(', _) => open.push(c),
            (')', Some('(')) => {
                open.pop();
            }
            ('.' | '/', _) => parts.push(std::mem::take(&mut part)),
            (c, _) if c.is_ascii_alphanumeric() || "%*^'_+-".contains(c) => part.push(c),
            ('}' | ']' | ')', _) => return Err("a bracket closes that was not opened"),
            _ => return Err("it has a character that no UCUM code has"),
        }
    }
    parts.push(part);
    if !open.is_empty() {
        return Err("a bracket is not closed");
    }
    // Only a leading `/` has nothing before it: `/m3`.
    let skipped = usize::from(code.starts_with('/') && parts.len() > 1);
    if parts.iter().skip(skipped).any(String::is_empty) {
        return Err("something is missing beside a `.` or `/`");
    }
    Ok(())
}

/// A unit as typed on a page, in the letters that codes are made of.
fn without_typography(text: &str) -> String {
    let mut plain = String::new();
    for c in text.trim().chars() {
        match c {
            // The micro sign and the Greek letter look alike; so do ohm sign and omega.
            '\u{b5}' | '\u{3bc}' => plain.push('u'),
            '\u{2126}' | '\u{3a9}' => plain.push_str("Ohm"),
            '\u{b0}' => plain.push_str("deg"),
            '²' => plain.push('2'),
            '³' => plain.push('3'),
            '·' | '⋅' => plain.push('.'),
            '^' | ' ' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Units {
        Units::from_toml(include_str!("../../../vocabulary/units.toml")).unwrap()
    }

    #[test]
    fn a_unit_has_a_symbol_and_a_name_in_both_languages() {
        let units = shipped();
        let unit = units.get("ug/m3").unwrap();
        assert_eq!(&*unit.symbol, "µg/m³");
        assert_eq!(&*unit.label.en, "micrograms per cubic metre");
        assert_eq!(&*unit.label.nl, "microgram per kubieke meter");
        assert_eq!(&*unit.quantity, "mass concentration");
        assert_eq!(units.get("UG/M3"), None);
        for (code, unit) in units.iter() {
            assert!(!unit.quantity.is_empty(), "{code} has no quantity");
            assert!(
                !unit.label.en.is_empty() && !unit.label.nl.is_empty(),
                "{code}"
            );
        }
    }

    #[test]
    fn what_people_write_leads_to_the_code() {
        let units = shipped();
        for (written, code) in [
            ("°C", "Cel"),
            ("C", "Cel"),
            ("Celsius", "Cel"),
            ("°F", "[degF]"),
            ("µg/m³", "ug/m3"),
            ("μg/m3", "ug/m3"),
            ("ug/m^3", "ug/m3"),
            ("ppb", "[ppb]"),
            ("PPM", "[ppm]"),
            ("dB(A)", "dB[SPL]{A}"),
            ("dBA", "dB[SPL]{A}"),
            ("hpa", "hPa"),
            ("HectoPascal", "hPa"),
            ("Procent", "%"),
            ("kΩ", "kOhm"),
            ("kOhms", "kOhm"),
            ("lux", "lx"),
            ("W/m²", "W/m2"),
            ("°", "deg"),
            ("mph", "[mi_i]/h"),
        ] {
            assert_eq!(units.suggest(written), Some(code), "{written}");
        }
        assert_eq!(units.suggest("furlong per fortnight"), None);
        assert_eq!(units.suggest("X"), None);
    }

    #[test]
    fn codes_are_told_from_what_can_be_none() {
        for code in [
            "1",
            "%",
            "10*-3.%",
            "dB[SPL]{A}",
            "/m3",
            "[in_i'Hg]",
            "umol/m2/s",
            "{UV-index}",
            "{of 10}",
            "(m/s)/m",
            "florps/m3",
        ] {
            // A blank is no code even within an annotation.
            assert_eq!(check_unit_code(code).is_ok(), !code.contains(' '), "{code}");
        }
        for (code, words) in [
            ("", "empty"),
            ("m per s", "without blanks"),
            ("µg/m³", "ASCII"),
            ("dB[SPL", "not closed"),
            ("dB]", "not opened"),
            ("m//s", "missing beside"),
            ("m/", "missing beside"),
            (".m", "missing beside"),
            ("[[m]]", "nested"),
            ("m?", "no UCUM code has"),
            ("m(s", "not closed"),
        ] {
            let problem = check_unit_code(code).unwrap_err();
            assert!(problem.contains(words), "{code}: {problem}");
        }
    }

    #[test]
    fn a_file_with_an_impossible_code_is_refused() {
        let text = "[unit]\n\"µm\" = { symbol = \"µm\", quantity = \"length\", label = { en = \"a\", nl = \"b\" } }";
        let error = Units::from_toml(text).unwrap_err().to_string();
        assert!(error.contains("`µm`") && error.contains("ASCII"), "{error}");
        assert!(Units::from_toml("[unit]\nm = 1").is_err());
    }

    #[test]
    fn a_known_unit_is_never_replaced() {
        let mut units = shipped();
        let other = Unit {
            symbol: "florp".into(),
            label: Text {
                en: "florps".into(),
                nl: "florpen".into(),
            },
            quantity: "".into(),
        };
        units.add("Cel".into(), other.clone());
        units.add("{florp}".into(), other.clone());
        assert_eq!(&*units.get("Cel").unwrap().symbol, "°C");
        assert_eq!(units.get("{florp}"), Some(&other));
    }
}
