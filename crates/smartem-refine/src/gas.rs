//! R7: gases by neural network, and the running means that their inputs pass through.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use smartem_model::RejectReason;

use crate::definition::{Bounds, Definition, NetworkInput};
use crate::hash::short_sha256;
use crate::noise::outside;
use crate::prepare::{Prepared, Reading};
use crate::state::{Smoothed, State};
use crate::tally::{Cause, Tally};

/// The gases that have models, and the models in use, by gas.
#[derive(Clone, Debug, Default)]
pub struct ModelSet(BTreeMap<String, Arc<Model>>);

impl ModelSet {
    /// Adds a model under its gas.
    pub fn insert(&mut self, model: Model) {
        self.0.insert(model.gas.clone(), Arc::new(model));
    }

    pub(crate) fn get(&self, gas: &str) -> Option<&Model> {
        self.0.get(gas).map(Arc::as_ref)
    }
}

/// A network with one hidden layer: standard scaler, activation, linear output.
#[derive(Clone, Debug)]
pub struct Model {
    /// The gas it estimates: `co`, `no2` or `o3`.
    pub gas: String,
    /// How observations cite it: gas and content hash; a model of the demo says so first.
    pub id: Arc<str>,
    is_demo: bool,
    activation: Activation,
    /// Input keys, in the order of the network.
    input_order: Vec<String>,
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// Hidden unit by hidden unit: its weights in `input_order`, its bias, its output weight.
    hidden: Vec<HiddenUnit>,
    output_bias: f64,
}

#[derive(Clone, Debug)]
struct HiddenUnit {
    weights: Vec<f64>,
    bias: f64,
    output_weight: f64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Activation {
    Logistic,
    Tanh,
    Relu,
}

impl Activation {
    fn apply(self, a: f64) -> f64 {
        match self {
            Self::Logistic => 1.0 / (1.0 + (-a).exp()),
            Self::Tanh => a.tanh(),
            Self::Relu => a.max(0.0),
        }
    }
}

/// A model that is refused (R1.3).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not JSON, or not of the expected shape.
    #[error("the model for `{gas}` cannot be read: {source}")]
    Syntax {
        /// The gas it was given for.
        gas: String,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// Readable, but not a model for this gas and its inputs.
    #[error("the model for `{gas}` is refused: {problem}")]
    Refused {
        /// The gas it was given for.
        gas: String,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
struct ModelFormat {
    gas: String,
    /// Made for simulated stations, not from measurements.
    #[serde(default)]
    demo: bool,
    input_order: Vec<String>,
    running_mean_weights: BTreeMap<String, f64>,
    scaler: ScalerFormat,
    mlp: NetworkFormat,
}

#[derive(Deserialize)]
struct ScalerFormat {
    mean: Vec<f64>,
    scale: Vec<f64>,
}

#[derive(Deserialize)]
struct NetworkFormat {
    activation: Activation,
    #[serde(default)]
    out_activation: Option<String>,
    /// Layer by layer: a row for each unit that feeds, a column for each that is fed.
    coefs: Vec<Vec<Vec<f64>>>,
    intercepts: Vec<Vec<f64>>,
}

impl Model {
    /// Reads a model given for `gas`, and checks that it fits the networks of `definition`.
    pub fn from_json(text: &str, gas: &str, definition: &Definition) -> Result<Self, ModelError> {
        let format: ModelFormat =
            serde_json::from_str(text).map_err(|source| ModelError::Syntax {
                gas: gas.to_owned(),
                source,
            })?;
        let refused = |problem: String| ModelError::Refused {
            gas: gas.to_owned(),
            problem,
        };
        if format.gas != gas {
            return Err(refused(format!("it says that it is for `{}`", format.gas)));
        }
        format.check_inputs(definition).map_err(refused)?;
        let (hidden, output_bias) = format.layers().map_err(refused)?;
        let kind = if format.demo { "demo " } else { "" };
        Ok(Self {
            id: format!("{kind}{gas} sha256:{}", short_sha256(text, 6)).into(),
            is_demo: format.demo,
            gas: format.gas,
            activation: format.mlp.activation,
            input_order: format.input_order,
            mean: format.scaler.mean,
            scale: format.scaler.scale,
            hidden,
            output_bias,
        })
    }

    /// Whether it was made for simulated stations; it must not serve real ones.
    pub fn is_demo(&self) -> bool {
        self.is_demo
    }

    /// The output for inputs given in the order of the network, in ug/m3 (R7.4).
    fn evaluate(&self, inputs: &[f64]) -> f64 {
        let mut output = self.output_bias;
        let scaled: Vec<f64> = inputs
            .iter()
            .zip(self.mean.iter().zip(&self.scale))
            .map(|(x, (mean, scale))| (x - mean) / scale)
            .collect();
        for unit in &self.hidden {
            let sum: f64 = scaled.iter().zip(&unit.weights).map(|(z, w)| z * w).sum();
            output += self.activation.apply(sum + unit.bias) * unit.output_weight;
        }
        output
    }
}

impl ModelFormat {
    fn check_inputs(&self, definition: &Definition) -> Result<(), String> {
        let key = |input: &NetworkInput| definition.keys[input.input.slot].to_string();
        let mut expected: Vec<String> = definition.network_inputs.iter().map(key).collect();
        let mut given = self.input_order.clone();
        expected.sort();
        given.sort();
        if given != expected {
            return Err(format!(
                "`input_order` must be a permutation of {}",
                expected.join(", ")
            ));
        }
        let weights: BTreeMap<String, f64> = definition
            .network_inputs
            .iter()
            .filter_map(|input| Some((key(input), input.smoothing?)))
            .collect();
        if self.running_mean_weights != weights {
            return Err(format!("`running_mean_weights` must be {weights:?}"));
        }
        Ok(())
    }

    fn layers(&self) -> Result<(Vec<HiddenUnit>, f64), String> {
        let inputs = self.input_order.len();
        let shape_error =
            || format!("the network must have {inputs} inputs, one hidden layer and one output");
        if self
            .mlp
            .out_activation
            .as_deref()
            .is_some_and(|name| name != "identity")
        {
            return Err("`out_activation` must be `identity`".to_owned());
        }
        let ([input_layer, output_layer], [biases, output_bias]) =
            (self.mlp.coefs.as_slice(), self.mlp.intercepts.as_slice())
        else {
            return Err(shape_error());
        };
        let units = biases.len();
        let is_shaped = self.scaler.mean.len() == inputs
            && self.scaler.scale.len() == inputs
            && input_layer.len() == inputs
            && input_layer.iter().all(|row| row.len() == units)
            && output_layer.len() == units
            && output_layer.iter().all(|row| row.len() == 1)
            && output_bias.len() == 1;
        if !is_shaped {
            return Err(shape_error());
        }
        if self.scaler.scale.contains(&0.0) {
            return Err("a `scale` of 0 divides by zero".to_owned());
        }
        let hidden = (0..units)
            .map(|unit| HiddenUnit {
                weights: input_layer.iter().map(|row| row[unit]).collect(),
                bias: biases[unit],
                output_weight: output_layer[unit][0],
            })
            .collect();
        Ok((hidden, output_bias[0]))
    }
}

/// The running means of the smoothed inputs, after each sample's update (R7.2).
pub(crate) struct Smoothing {
    /// For each network input: the mean at each sample, where it is smoothed and has one.
    means: Vec<Option<Vec<f64>>>,
    /// What the record hands on.
    pub state: State,
}

impl Smoothing {
    pub(crate) fn new(
        definition: &Definition,
        prepared: &Prepared<'_>,
        readings: &[Vec<Reading>],
        given: &State,
    ) -> Self {
        let mut state = given.clone();
        let mut means = Vec::with_capacity(definition.network_inputs.len());
        for network_input in &definition.network_inputs {
            means.push(network_input.smoothing.map(|weight| {
                let key = definition.keys[network_input.input.slot].as_ref();
                let entries = state.smoothing.get_or_insert_default();
                let mut mean = entries.get(key).copied();
                let after = running_mean(
                    prepared,
                    &readings[network_input.input.slot],
                    network_input,
                    (weight, definition.smoothing_restart_s),
                    &mut mean,
                );
                if let Some(mean) = mean {
                    entries.insert(key.to_owned(), mean);
                }
                after
            }));
        }
        Self { means, state }
    }
}

fn running_mean(
    prepared: &Prepared<'_>,
    readings: &[Reading],
    input: &NetworkInput,
    (weight, restart_s): (f64, f64),
    mean: &mut Option<Smoothed>,
) -> Vec<f64> {
    let mut after = Vec::with_capacity(readings.len());
    for (sample, reading) in prepared.samples.iter().zip(readings) {
        if let (Some(time), Reading::Number(x)) = (sample.time, *reading)
            && outside(x, input.input.bounds).is_none()
        {
            let continued = mean.filter(|mean| {
                let gap = time.duration_since(mean.time).as_secs_f64();
                gap > 0.0 && gap <= restart_s
            });
            let value = continued.map_or(x, |mean| (1.0 - weight) * mean.value + weight * x);
            *mean = Some(Smoothed { time, value });
        }
        after.push(mean.map_or(f64::NAN, |mean| mean.value));
    }
    after
}

/// Judges and averages one gas over all samples.
pub(crate) fn tally(
    definition: &Definition,
    model: Option<&Model>,
    primary: usize,
    result: Bounds,
    readings: &[Vec<Reading>],
    smoothing: &Smoothing,
) -> Tally {
    let mut tally = Tally::default();
    let inputs = &definition.network_inputs;
    // Position in the model's order of each network input.
    let order: Option<Vec<usize>> = model.map(|model| {
        let place = |input: &NetworkInput| {
            let key = definition.keys[input.input.slot].as_ref();
            // Checked when the model was loaded: the order is a permutation of the inputs.
            model
                .input_order
                .iter()
                .position(|name| name == key)
                .unwrap_or_default()
        };
        inputs.iter().map(place).collect()
    });
    let mut vector = vec![0.0; inputs.len()];
    let primary_readings = &readings[inputs[primary].input.slot];
    for (sample, primary_reading) in primary_readings.iter().enumerate() {
        if *primary_reading == Reading::Absent {
            continue;
        }
        if let Some((reason, cause)) = unusable(inputs, readings, sample) {
            tally.refuse(sample, reason, cause);
            continue;
        }
        let (Some(model), Some(order)) = (model, &order) else {
            tally.refuse(sample, RejectReason::NoCalibration, Cause::Nothing);
            continue;
        };
        for ((input, place), means) in inputs.iter().zip(order).zip(&smoothing.means) {
            vector[*place] = match (means, readings[input.input.slot][sample]) {
                (Some(means), _) => means[sample],
                (None, Reading::Number(x)) => x,
                (None, _) => f64::NAN,
            };
        }
        let value = model.evaluate(&vector);
        match (outside(value, result), primary_reading) {
            (None, Reading::Number(raw)) => tally.accept(sample, value, value, *raw),
            (reason, _) => {
                tally.refuse(
                    sample,
                    reason.unwrap_or(RejectReason::NotANumber),
                    Cause::Result(value),
                );
            }
        }
    }
    tally
}

/// The first fault among the inputs of a sample, in their order of testing (R4.4, R7.1).
fn unusable(
    inputs: &[NetworkInput],
    readings: &[Vec<Reading>],
    sample: usize,
) -> Option<(RejectReason, Cause)> {
    inputs.iter().find_map(|input| {
        let reason = match readings[input.input.slot][sample] {
            Reading::Absent => Some(RejectReason::MissingInput),
            Reading::Conflicting => Some(RejectReason::Conflicting),
            Reading::NotANumber => Some(RejectReason::NotANumber),
            Reading::Number(x) => outside(x, input.input.bounds),
        };
        reason.map(|reason| (reason, Cause::Reading(input.input.slot)))
    })
}
