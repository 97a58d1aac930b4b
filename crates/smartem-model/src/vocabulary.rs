use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use crate::units::{Unit, Units, UnitsError};

/// The indicators of `vocabulary/indicators.toml`, compiled in.
const INDICATORS: &str = include_str!("../../../vocabulary/indicators.toml");

/// The units of `vocabulary/units.toml`, compiled in.
const UNITS: &str = include_str!("../../../vocabulary/units.toml");

/// The indicators that smartem knows, and the units in which they are given, read from
/// `vocabulary/indicators.toml` and `vocabulary/units.toml`.
///
/// One text serves the refiner (labels, units, ranges), the map and its legend (colours).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// In the order in which they are offered to a reader.
    #[serde(rename(deserialize = "indicator", serialize = "indicators"))]
    indicators: Vec<Indicator>,
    /// From a text of its own.
    #[serde(skip)]
    units: Units,
}

/// One indicator: what is measured, in which unit, and how it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indicator {
    /// The name in URLs, tables and definitions: `pm2_5`.
    pub name: Arc<str>,
    /// Short label in both languages.
    pub label: Text,
    /// One plain sentence for a reader of the map.
    pub description: Text,
    /// UCUM code of the usual unit; a station type may have another.
    pub unit: Arc<str>,
    /// How the unit is written on a page.
    pub symbol: Arc<str>,
    /// Digits after the point on a page. Stored values are never rounded.
    pub decimals: u8,
    /// How values of this indicator are averaged.
    pub average: Averaging,
    /// Smallest and largest value accepted (R5.1), in `unit`; absent: no bound.
    #[serde(default)]
    pub min: Option<f64>,
    /// See `min`.
    #[serde(default)]
    pub max: Option<f64>,
    /// Values below this are flagged `below_detection` (R10.5), in `unit`.
    #[serde(default)]
    pub detection_limit: Option<f64>,
    /// Whether the map offers it.
    #[serde(default)]
    pub on_map: bool,
    /// Colours on map and legend.
    pub scale: ColourScale,
}

/// A text in the languages of the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// English.
    pub en: Arc<str>,
    /// Dutch.
    pub nl: Arc<str>,
}

/// How an average over samples, hours or stations is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// The sum over the count.
    Arithmetic,
    /// 10·log10 of the mean of 10^(L/10): for sound levels.
    Energetic,
    /// The class of an energetic average (R6.5).
    Class,
}

/// From value to colour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ColourScale {
    /// Linear between stops, clamped at the ends.
    Ramp {
        /// In increasing order of value; at least two.
        stops: Vec<ColourStop>,
    },
    /// One colour for each class.
    Classes {
        /// Which end of a class belongs to it.
        closed: Closed,
        /// Without gaps, the first open below, the last open above.
        classes: Vec<ColourClass>,
    },
}

/// Which bound of a class interval belongs to the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// `from <= v < to`
    Lower,
    /// `from < v <= to`
    Upper,
}

/// A point of a ramp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColourStop {
    /// In the indicator's unit.
    pub value: f64,
    /// `#rrggbb`
    pub colour: Arc<str>,
}

/// A class of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColourClass {
    /// In the indicator's unit; `None`: open below.
    #[serde(default)]
    pub from: Option<f64>,
    /// `None`: open above.
    #[serde(default)]
    pub to: Option<f64>,
    /// `#rrggbb`
    pub colour: Arc<str>,
    /// Colour of a text on it, `#rrggbb`.
    pub text: Arc<str>,
    /// What the class is called.
    pub label: Text,
}

/// A vocabulary that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// Not TOML, or not of the expected shape.
    #[error("the vocabulary cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// The units are at fault.
    #[error(transparent)]
    Units(#[from] UnitsError),
    /// Readable but contradictory.
    #[error("indicator `{indicator}` of the vocabulary: {problem}")]
    Invalid {
        /// Which.
        indicator: String,
        /// What is wrong.
        problem: String,
    },
}

impl Vocabulary {
    /// The vocabulary that comes with the program; it is read once.
    #[expect(
        clippy::expect_used,
        reason = "the texts are compiled in, and a test reads them"
    )]
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Vocabulary> = LazyLock::new(|| {
            Vocabulary::from_toml(INDICATORS, UNITS).expect("the built-in vocabulary is valid")
        });
        &BUILTIN
    }

    /// Reads and checks a vocabulary from two TOML texts: its indicators, and the units that they
    /// and the station types may use.
    pub fn from_toml(indicators: &str, units: &str) -> Result<Self, VocabularyError> {
        let mut vocabulary: Self = toml::from_str(indicators)?;
        vocabulary.units = Units::from_toml(units)?;
        let mut names = HashSet::new();
        for indicator in &vocabulary.indicators {
            let invalid = |problem: &str| VocabularyError::Invalid {
                indicator: indicator.name.to_string(),
                problem: problem.to_owned(),
            };
            if !names.insert(&indicator.name) {
                return Err(invalid("the name is used twice"));
            }
            indicator.scale.check().map_err(invalid)?;
            match vocabulary.units.get(&indicator.unit) {
                None => return Err(invalid("its unit is not among the units")),
                Some(unit) if unit.symbol != indicator.symbol => {
                    return Err(invalid("its symbol is not that of its unit"));
                }
                Some(_) => {}
            }
        }
        Ok(vocabulary)
    }

    /// The units that are known.
    pub fn units(&self) -> &Units {
        &self.units
    }

    /// The same with further units, as station types declare them; known ones stay as they are.
    #[must_use]
    pub fn with_units<'a>(
        mut self,
        further: impl IntoIterator<Item = (&'a Arc<str>, &'a Unit)>,
    ) -> Self {
        for (code, unit) in further {
            self.units.add(code.clone(), unit.clone());
        }
        self
    }

    /// All indicators, in the order in which they are offered to a reader.
    pub fn indicators(&self) -> &[Indicator] {
        &self.indicators
    }

    /// The indicator of this name.
    pub fn get(&self, name: &str) -> Option<&Indicator> {
        self.indicators
            .iter()
            .find(|indicator| indicator.name.as_ref() == name)
    }
}

impl ColourScale {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Ramp { stops } => {
                if stops.len() < 2 || stops.windows(2).any(|pair| pair[0].value >= pair[1].value) {
                    return Err("a ramp needs at least two stops of increasing value");
                }
            }
            Self::Classes { classes, .. } => {
                let open_below = classes.first().is_some_and(|class| class.from.is_none());
                let open_above = classes.last().is_some_and(|class| class.to.is_none());
                if !open_below || !open_above {
                    return Err("the first class must be open below and the last open above");
                }
                let joined =
                    |pair: &[ColourClass]| pair[0].to.is_some() && pair[0].to == pair[1].from;
                if !classes.windows(2).all(joined) {
                    return Err("each class must begin where the one before ends");
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_vocabulary_has_the_ranges_of_r5_1() {
        let vocabulary = Vocabulary::builtin();
        for (name, min, max) in [
            ("temperature", Some(-40.0), Some(85.0)),
            ("pressure", Some(200.0), Some(1100.0)),
            ("humidity", Some(10.0), Some(100.0)),
            ("noiseavg", Some(0.0), Some(195.0)),
            ("noiselevelavg", None, None),
            ("co2", Some(0.0), Some(5000.0)),
            ("co", Some(-200.0), Some(100_000.0)),
            ("no", Some(-50.0), Some(2000.0)),
            ("no2", Some(-50.0), Some(2000.0)),
            ("o3", Some(-50.0), Some(1000.0)),
            ("pm10", Some(0.0), Some(999.0)),
            ("pm2_5", Some(0.0), Some(999.0)),
            ("pm1", Some(0.0), Some(999.0)),
            ("coraw", None, None),
        ] {
            let indicator = vocabulary
                .get(name)
                .unwrap_or_else(|| panic!("{name} is missing"));
            assert_eq!((indicator.min, indicator.max), (min, max), "{name}");
        }
    }

    #[test]
    fn a_gap_between_classes_is_refused() {
        let gap = r##"
            [[indicator]]
            name = "x"
            label = { en = "X", nl = "X" }
            description = { en = "X", nl = "X" }
            unit = "1"
            symbol = ""
            decimals = 0
            average = "arithmetic"
            [indicator.scale]
            type = "classes"
            closed = "lower"
            classes = [
              { to = 1.0, colour = "#000000", text = "#FFFFFF", label = { en = "a", nl = "a" } },
              { from = 2.0, colour = "#000000", text = "#FFFFFF", label = { en = "b", nl = "b" } },
            ]"##;
        let error = Vocabulary::from_toml(gap, UNITS).unwrap_err().to_string();
        assert!(error.contains("each class must begin"), "{error}");
    }

    #[test]
    fn an_indicator_has_a_known_unit_and_its_symbol() {
        let text = INDICATORS;
        let fault = |text: String| Vocabulary::from_toml(&text, UNITS).unwrap_err().to_string();
        let unknown = fault(text.replace("unit = \"hPa\"", "unit = \"florp\""));
        assert!(
            unknown.contains("`pressure`") && unknown.contains("not among the units"),
            "{unknown}"
        );
        let other = fault(text.replace("symbol = \"hPa\"", "symbol = \"mbar\""));
        assert!(other.contains("not that of its unit"), "{other}");
    }
}
