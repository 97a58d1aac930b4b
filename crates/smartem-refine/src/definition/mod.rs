//! Station-type definitions: how the raw values of one type of station become indicators.
//!
//! A definition is a TOML text (`devices/<type>.toml`); [`Definition::from_toml`] reads and checks
//! it and reports every fault with its line. The [`Catalogue`] holds the definitions in use.

mod check;
mod format;
mod parameters;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use smartem_model::raw::{Cell, Samples};
use smartem_model::{Averaging, Position, Text, Unit, Units, Vocabulary};

use crate::hash::short_sha256;
use crate::laws::{self, FrontEnd};
pub(crate) use parameters::Parameters;
pub use parameters::StationParameters;

/// How the raw values of one type of station become indicators.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The station type, as records name it: `jose`.
    pub name: Arc<str>,
    /// What the type is called.
    pub label: Text,
    /// Name, version and content hash, as observations cite it: `jose-1@3f2a9c1d`.
    pub id: Arc<str>,
    /// Expected seconds between two samples; a station may have its own.
    pub cadence_s: Option<f64>,
    /// Whether samples without a time belong to the hour as a whole (R3.3).
    pub(crate) untimed_belong_to_hour: bool,
    /// What tells the instruments of a station apart; `None`: the station is one stream.
    pub(crate) stream: Option<StreamKey>,
    pub(crate) location: LocationKeys,
    /// Every key that an indicator reads, each once; indicators refer to them by position.
    pub(crate) keys: Vec<Arc<str>>,
    /// Units that no vocabulary has.
    pub(crate) units: Units,
    pub(crate) indicators: Vec<IndicatorDefinition>,
    /// Inputs of the gas networks in their order of testing; empty where there are none.
    pub(crate) network_inputs: Vec<NetworkInput>,
    /// A running mean starts anew after a gap longer than this.
    pub(crate) smoothing_restart_s: f64,
    /// Indicators that others need, in order of their first use; terms refer to them by position.
    pub(crate) auxiliaries: Vec<Arc<str>>,
    /// An auxiliary value serves at most so long.
    pub(crate) auxiliary_max_age_s: f64,
    /// Positions in `indicators` such that each comes after the auxiliaries it needs.
    pub(crate) order: Vec<usize>,
    /// Calibration parameters of single stations, by station.
    pub(crate) parameters: BTreeMap<Arc<str>, StationParameters>,
}

#[derive(Clone, Debug)]
pub(crate) struct StreamKey {
    pub key: Arc<str>,
    /// The name where the key gives none.
    pub default: Arc<str>,
    /// The key of the one reading that a sample holds; `None`: a sample holds many, each under a
    /// key of its own. With it, the keys that indicators read are names of streams.
    pub reading: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) struct LocationKeys {
    pub longitude: Arc<str>,
    pub latitude: Arc<str>,
    pub encoding: CoordinateEncoding,
    pub altitude: Option<Arc<str>>,
}

/// How a coordinate is written in a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CoordinateEncoding {
    /// Degrees as a number (R9.1).
    Degrees,
    /// Sign nibble, whole degrees and millionths in one 32-bit word (R9.2).
    Josene,
}

#[derive(Clone, Debug)]
pub(crate) struct IndicatorDefinition {
    pub name: Arc<str>,
    pub label: Arc<str>,
    pub unit: Arc<str>,
    /// `None`: the sensor is the stream.
    pub sensor: Option<Arc<str>>,
    /// Flagged `below_detection` below this.
    pub detection_limit: Option<f64>,
    pub rule: Rule,
}

#[derive(Clone, Debug)]
pub(crate) enum Rule {
    /// One input, converted, and where `calibration` is given calibrated.
    Direct {
        input: Input,
        steps: Vec<Step>,
        calibration: Option<Calibration>,
        result: Bounds,
    },
    /// Sound level from packed third-octave bands (R6); positions of the octaves in `keys`.
    Noise {
        octaves: Vec<Octave>,
        result: Bounds,
    },
    /// The class of the level of another indicator of the same definition (R6.5).
    NoiseClass { of: Arc<str> },
    /// A gas by neural network over `network_inputs` (R7).
    Network {
        model: Arc<str>,
        primary: usize,
        result: Bounds,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// Position in `keys`.
    pub slot: usize,
    pub unit: Arc<str>,
    pub bounds: Bounds,
}

#[derive(Clone, Debug)]
pub(crate) struct Octave {
    pub slot: usize,
    /// The bands (0 to 2) that count.
    pub bands: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct NetworkInput {
    pub input: Input,
    /// Weight of a new reading in the running mean; `None`: not smoothed.
    pub smoothing: Option<f64>,
}

/// Inclusive bounds; infinite where there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub min: f64,
    pub max: f64,
}

impl Bounds {
    pub(crate) const NONE: Self = Self {
        min: f64::NEG_INFINITY,
        max: f64::INFINITY,
    };

    fn new(min: Option<f64>, max: Option<f64>) -> Self {
        Self {
            min: min.unwrap_or(f64::NEG_INFINITY),
            max: max.unwrap_or(f64::INFINITY),
        }
    }
}

/// Parameters of the station solve the equation of a linear sensor for the concentration (R8.2):
/// (I - a0 - a2·t1 - a3·t2 - ...) / a1, with a term t for each power of an auxiliary value.
#[derive(Clone, Debug)]
pub(crate) struct Calibration {
    /// The name of the parameters in the station's file.
    pub parameters: Arc<str>,
    pub terms: Vec<Term>,
}

/// A power of an auxiliary value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    /// Position in `auxiliaries`.
    pub auxiliary: usize,
    pub power: i32,
}

/// One step of a conversion, applied to the value so far.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// x + c
    Add(f64),
    /// x · c
    Multiply(f64),
    /// x / c
    Divide(f64),
    /// c0 + c1·x + c2·x² + …
    Polynomial(Vec<f64>),
    /// See [`laws::kelvin_to_celsius`].
    KelvinToCelsius,
    /// See [`laws::fahrenheit_to_celsius`].
    FahrenheitToCelsius,
    /// See [`laws::FrontEnd`].
    FrontEnd(FrontEnd),
}

impl Step {
    #[inline]
    pub(crate) fn apply(&self, x: f64) -> f64 {
        match self {
            Self::Add(c) => x + c,
            Self::Multiply(c) => x * c,
            Self::Divide(c) => x / c,
            // Horner's scheme.
            Self::Polynomial(coefficients) => {
                coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
            }
            Self::KelvinToCelsius => laws::kelvin_to_celsius(x),
            Self::FahrenheitToCelsius => laws::fahrenheit_to_celsius(x),
            Self::FrontEnd(front_end) => front_end.current(x),
        }
    }
}

/// A fault in a definition, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.message
        )
    }
}

/// A definition that cannot be used; holds at least one fault.
#[derive(Debug, thiserror::Error)]
#[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct DefinitionError {
    /// In order of place.
    pub faults: Vec<Fault>,
}

impl Definition {
    /// Reads and checks a definition.
    ///
    /// Labels, units and ranges that the text does not give come from the vocabulary.
    pub fn from_toml(text: &str, vocabulary: &Vocabulary) -> Result<Self, DefinitionError> {
        let parsed = format::parse(text)?;
        let mut definition = check::check(text, parsed, vocabulary)?;
        definition.id = format!("{}@{}", definition.id, short_sha256(text, 4)).into();
        Ok(definition)
    }

    /// Reads and checks a file of calibration parameters of one station, and adds them.
    ///
    /// Parameters of the same station that were added before are replaced. The id of the
    /// definition stays: observations cite parameters as their model.
    pub fn add_parameters(&mut self, text: &str) -> Result<(), DefinitionError> {
        let (station, parameters) = parameters::read(text, self)?;
        self.parameters.insert(station, parameters);
        Ok(())
    }

    /// Whether a stream of this name is one that an indicator reads; any is, where a sample holds
    /// many readings.
    pub(crate) fn knows_stream(&self, name: &str) -> bool {
        let has_one_reading = self
            .stream
            .as_ref()
            .is_some_and(|stream| stream.reading.is_some());
        !has_one_reading || self.keys.iter().any(|key| key.as_ref() == name)
    }

    /// The calibration parameters of single stations, by station.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &StationParameters)> {
        self.parameters
            .iter()
            .map(|(station, parameters)| (station.as_ref(), parameters))
    }

    /// What the definition makes, for readers: name, unit and sensor of each indicator.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &str, Option<&str>)> {
        self.indicators
            .iter()
            .map(|i| (i.name.as_ref(), i.unit.as_ref(), i.sensor.as_deref()))
    }

    /// The units that the definition declares itself, by code.
    pub fn units(&self) -> impl Iterator<Item = (&Arc<str>, &Unit)> {
        self.units.iter()
    }

    /// Whether the definition has a network that a model for this gas can serve.
    pub fn calibrates(&self, gas: &str) -> bool {
        self.indicators
            .iter()
            .any(|i| matches!(&i.rule, Rule::Network { model, .. } if model.as_ref() == gas))
    }

    /// How values of an indicator are averaged over time or stations.
    pub fn averaging(&self, indicator: &str) -> Option<Averaging> {
        let found = self
            .indicators
            .iter()
            .find(|i| i.name.as_ref() == indicator)?;
        Some(match found.rule {
            Rule::Noise { .. } => Averaging::Energetic,
            Rule::NoiseClass { .. } => Averaging::Class,
            Rule::Direct { .. } | Rule::Network { .. } => Averaging::Arithmetic,
        })
    }

    /// The widest bounds (inclusive, infinite where there is none) within which an input under this
    /// key is accepted; `None` for a key that is no numeric input.
    ///
    /// Where samples hold one reading each, keys are names of streams.
    pub fn input_bounds(&self, key: &str) -> Option<(f64, f64)> {
        let of_networks = self.network_inputs.iter().map(|input| &input.input);
        let of_indicators = self.indicators.iter().filter_map(|i| match &i.rule {
            Rule::Direct { input, .. } => Some(input),
            Rule::Noise { .. } | Rule::NoiseClass { .. } | Rule::Network { .. } => None,
        });
        of_indicators
            .chain(of_networks)
            .filter(|input| *self.keys[input.slot] == *key)
            .map(|input| (input.bounds.min, input.bounds.max))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The position that a sample itself tells (R9.1, R9.2).
    pub fn position_of(&self, samples: &Samples, row: usize) -> Option<Position> {
        crate::location::of_sample(samples, row, &self.location)
    }

    /// The reading that a sample has under a key; where samples hold one reading each, the reading
    /// of the stream of that name. [`Cell::Absent`] when there is none.
    pub fn reading_of<'a>(&self, samples: &'a Samples, row: usize, key: &str) -> Cell<'a> {
        let cell = |name: &str| samples.column(name).map_or(Cell::Absent, |c| c.cell(row));
        let Some(stream) = &self.stream else {
            return cell(key);
        };
        match &stream.reading {
            None => cell(key),
            Some(reading) if cell(&stream.key).text().as_deref() == Some(key) => cell(reading),
            Some(_) => Cell::Absent,
        }
    }

    /// Whether refining looks at this key of the samples; of others nothing depends.
    pub fn reads(&self, key: &str) -> bool {
        let location = &self.location;
        let others = [&location.longitude, &location.latitude];
        let stream = self.stream.iter();
        let stream = stream.flat_map(|stream| stream.reading.iter().chain([&stream.key]));
        let mut keys = self
            .keys
            .iter()
            .chain(others)
            .chain(&location.altitude)
            .chain(stream);
        matches!(key, "time" | "_id") || keys.any(|known| **known == *key)
    }
}

/// The definitions in use, by station type.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    definitions: BTreeMap<Arc<str>, Arc<Definition>>,
}

impl Catalogue {
    /// Adds a definition; gives back the one of the same name that it replaces.
    ///
    /// Calibration parameters belong to the definition that they were added to.
    pub fn insert(&mut self, definition: Definition) -> Option<Arc<Definition>> {
        self.definitions
            .insert(definition.name.clone(), Arc::new(definition))
    }

    /// Reads a file of calibration parameters of one station, and adds them to its definition.
    ///
    /// # Errors
    /// The faults of the file; also when no definition has its `station_type`.
    pub fn add_parameters(&mut self, text: &str) -> Result<(), DefinitionError> {
        let station_type = parameters::station_type(text)?;
        let Some(definition) = self.definitions.get_mut(station_type.get_ref().as_str()) else {
            let message = format!(
                "no definition for station type `{}`",
                station_type.get_ref()
            );
            let faults = vec![Fault::at(text, station_type.span().start, message)];
            return Err(DefinitionError { faults });
        };
        Arc::make_mut(definition).add_parameters(text)
    }

    /// The definition of a station type.
    pub fn get(&self, station_type: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(station_type)
    }

    /// Whether there is a definition for a station type.
    pub fn knows(&self, station_type: &str) -> bool {
        self.definitions.contains_key(station_type)
    }

    /// All definitions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values()
    }
}
