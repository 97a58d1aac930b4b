//! The shape of a definition file, before it is checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use smartem_model::{Text, Unit};
use toml::Spanned;

use super::{CoordinateEncoding, DefinitionError, Fault};
use crate::laws::{EU_REFERENCE_PRESSURE, EU_REFERENCE_TEMPERATURE, FrontEnd};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefinitionFormat {
    pub name: Spanned<String>,
    pub label: Text,
    pub version: Spanned<String>,
    pub cadence_s: Option<Spanned<f64>>,
    #[serde(default)]
    pub untimed_samples: UntimedSamples,
    pub stream: Option<StreamFormat>,
    pub location: LocationFormat,
    pub network: Option<NetworkFormat>,
    pub auxiliary: Option<AuxiliaryFormat>,
    #[serde(default)]
    pub unit: BTreeMap<String, Spanned<Unit>>,
    #[serde(default)]
    pub indicator: BTreeMap<String, Spanned<IndicatorFormat>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UntimedSamples {
    #[default]
    Rejected,
    WholeHour,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamFormat {
    pub key: Spanned<String>,
    pub default: Option<String>,
    pub reading: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuxiliaryFormat {
    pub max_age_s: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocationFormat {
    pub longitude: Spanned<String>,
    pub latitude: Spanned<String>,
    #[serde(default = "degrees")]
    pub encoding: CoordinateEncoding,
    pub altitude: Option<Spanned<String>>,
}

fn degrees() -> CoordinateEncoding {
    CoordinateEncoding::Degrees
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkFormat {
    pub smoothing_restart_s: Spanned<f64>,
    pub input: Vec<NetworkInputFormat>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkInputFormat {
    pub key: Spanned<String>,
    pub unit: Spanned<String>,
    pub min: Option<Spanned<f64>>,
    pub max: Option<Spanned<f64>>,
    pub smoothing: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndicatorFormat {
    pub label: Option<Text>,
    pub unit: Option<Spanned<String>>,
    pub sensor: Option<Spanned<String>>,
    pub min: Option<Spanned<f64>>,
    pub max: Option<Spanned<f64>>,
    pub input: Option<Spanned<InputFormat>>,
    #[serde(default)]
    pub convert: Vec<Spanned<StepFormat>>,
    pub calibrate: Option<Spanned<CalibrateFormat>>,
    pub noise: Option<NoiseFormat>,
    pub class_of: Option<Spanned<String>>,
    pub network: Option<NetworkUse>,
}

/// A step of a conversion as it is written.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StepFormat {
    Add(f64),
    Multiply(f64),
    Divide(f64),
    Polynomial(Vec<f64>),
    KelvinToCelsius,
    FahrenheitToCelsius,
    PpbToUgM3(GasState),
    FrontEnd(FrontEnd),
}

/// Which gas, and at which temperature (K) and pressure (Pa) its volume is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GasState {
    pub gas: String,
    #[serde(default = "reference_temperature")]
    pub temperature: f64,
    #[serde(default = "reference_pressure")]
    pub pressure: f64,
}

fn reference_temperature() -> f64 {
    EU_REFERENCE_TEMPERATURE
}

fn reference_pressure() -> f64 {
    EU_REFERENCE_PRESSURE
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalibrateFormat {
    pub parameters: Spanned<String>,
    pub terms: Spanned<Vec<TermFormat>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TermFormat {
    pub of: Spanned<String>,
    #[serde(default = "one")]
    pub power: u32,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputFormat {
    pub key: Spanned<String>,
    pub unit: Option<Spanned<String>>,
    pub min: Option<Spanned<f64>>,
    pub max: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoiseFormat {
    pub octaves: Spanned<Vec<OctaveFormat>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OctaveFormat {
    pub key: Spanned<String>,
    #[serde(default = "all_bands")]
    pub bands: Spanned<Vec<u8>>,
}

fn all_bands() -> Spanned<Vec<u8>> {
    Spanned::new(0..0, vec![0, 1, 2])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkUse {
    pub model: Spanned<String>,
    pub primary: Spanned<String>,
}

/// Reads a file of any shape; what does not fit is a fault with its place.
pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, DefinitionError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let message = error.message().trim().replace('\n', "; ");
        DefinitionError {
            faults: vec![Fault::at(text, at, message)],
        }
    })
}

impl Fault {
    /// A fault at a byte offset of the text.
    pub(super) fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Self {
            line,
            column,
            message: message.into(),
        }
    }
}
