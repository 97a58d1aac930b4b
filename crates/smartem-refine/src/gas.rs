//! R7: gases by neural network, and the running means that their inputs pass through.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use smartem_model::RejectReason;

use crate::definition::{Bounds, Definition, NetworkInput};
use crate::hash::short_sha256;
use crate::network::{Activation, Network};
use crate::noise::outside;
use crate::prepare::{Prepared, Reading, Readings, Said};
use crate::state::{State, TimedValue};
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
    /// Input keys, in the order of the network.
    input_order: Vec<String>,
    network: Network,
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
        let network = format.network().map_err(refused)?;
        let kind = if format.demo { "demo " } else { "" };
        Ok(Self {
            id: format!("{kind}{gas} sha256:{}", short_sha256(text, 6)).into(),
            is_demo: format.demo,
            gas: format.gas,
            input_order: format.input_order,
            network,
        })
    }

    /// Whether it was made for simulated stations; it must not serve real ones.
    pub fn is_demo(&self) -> bool {
        self.is_demo
    }

    /// Where each network input of a definition stands in the order of the network.
    fn places(&self, definition: &Definition) -> Vec<usize> {
        let place = |input: &NetworkInput| {
            let key = definition.keys[input.input.slot].as_ref();
            // Checked when the model was loaded: the order is a permutation of the inputs.
            let place = self.input_order.iter().position(|name| name == key);
            place.unwrap_or_default()
        };
        definition.network_inputs.iter().map(place).collect()
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

    fn network(&self) -> Result<Network, String> {
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
        let unit_by_unit = (0..units).flat_map(|unit| input_layer.iter().map(move |row| row[unit]));
        Ok(Network {
            activation: self.mlp.activation,
            mean: self.scaler.mean.clone(),
            scale: self.scaler.scale.clone(),
            weights: unit_by_unit.collect(),
            biases: biases.clone(),
            output_weights: output_layer.iter().map(|row| row[0]).collect(),
            output_bias: output_bias[0],
        })
    }
}

/// What the networks of a station type see of a record, whichever gas they estimate.
pub(crate) struct NetworkSamples {
    /// For each sample the first fault among its inputs, in their order of testing (R4.4, R7.1).
    faults: Vec<Option<Fault>>,
    /// For each network input its values in the samples without a fault.
    inputs: Vec<Vec<f64>>,
}

type Fault = (RejectReason, Cause);

impl NetworkSamples {
    /// Takes the samples apart; `means` are those of [`running_means`].
    pub(crate) fn new(
        definition: &Definition,
        readings: &Readings,
        means: &[Option<Vec<f64>>],
    ) -> Self {
        let inputs = &definition.network_inputs;
        let faults: Vec<Option<Fault>> = (0..readings.samples())
            .map(|sample| {
                inputs
                    .iter()
                    .find_map(|input| fault(input, readings, sample))
            })
            .collect();
        let usable: Vec<usize> = (0..faults.len())
            .filter(|at| faults[*at].is_none())
            .collect();
        let values = inputs.iter().zip(means).map(|(input, means)| {
            if let Some(means) = means {
                return usable.iter().map(|at| means[*at]).collect();
            }
            let readings = readings.of(input.input.slot);
            usable.iter().map(|at| readings[*at].number()).collect()
        });
        Self {
            inputs: values.collect(),
            faults,
        }
    }
}

/// The running means after each sample, for each network input that is smoothed; moves those of
/// `state` on (R7.2).
pub(crate) fn running_means(
    definition: &Definition,
    prepared: &Prepared<'_>,
    readings: &Readings,
    state: &mut State,
) -> Vec<Option<Vec<f64>>> {
    let inputs = definition.network_inputs.iter();
    let means = inputs.map(|input| {
        let weight = (input.smoothing?, definition.smoothing_restart_s);
        let key = &definition.keys[input.input.slot];
        let means = state.smoothing.get_or_insert_default();
        let mut mean = means.get(key.as_ref()).copied();
        let column = readings.of(input.input.slot);
        let after = running_mean(prepared, column, input, weight, &mut mean);
        if let Some(mean) = mean {
            means.insert(key.to_string(), mean);
        }
        Some(after)
    });
    means.collect()
}

/// What makes an input unusable in a sample.
#[inline]
fn fault(input: &NetworkInput, readings: &Readings, sample: usize) -> Option<Fault> {
    let reading = readings.of(input.input.slot)[sample];
    let number = reading.number();
    if number >= input.input.bounds.min && number <= input.input.bounds.max {
        return None;
    }
    let reason = match reading.said() {
        Said::Absent => RejectReason::MissingInput,
        Said::Conflicting => RejectReason::Conflicting,
        Said::NotANumber => RejectReason::NotANumber,
        Said::Number(x) => outside(x, input.input.bounds)?,
    };
    Some((reason, Cause::Reading(input.input.slot)))
}

/// The running mean after each sample, moved on by the valid readings (R7.2).
fn running_mean(
    prepared: &Prepared<'_>,
    readings: &[Reading],
    input: &NetworkInput,
    (weight, restart_s): (f64, f64),
    mean: &mut Option<TimedValue>,
) -> Vec<f64> {
    let mut after = Vec::with_capacity(readings.len());
    for (sample, reading) in prepared.samples.iter().zip(readings) {
        if let (Some(time), Said::Number(x)) = (sample.time, reading.said())
            && outside(x, input.input.bounds).is_none()
        {
            let continued = mean.filter(|mean| {
                let gap = time.duration_since(mean.time).as_secs_f64();
                gap > 0.0 && gap <= restart_s
            });
            let value = continued.map_or(x, |mean| (1.0 - weight) * mean.value + weight * x);
            *mean = Some(TimedValue { time, value });
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
    readings: &Readings,
    samples: &NetworkSamples,
) -> Tally {
    let values = model.map(|model| {
        let places = model.places(definition);
        let mut inputs: Vec<&[f64]> = vec![&[]; places.len()];
        for (place, values) in places.iter().zip(&samples.inputs) {
            inputs[*place] = values;
        }
        model.network.evaluate(&inputs)
    });
    let mut values = values.map(Vec::into_iter);
    let mut tally = Tally::default();
    let primary = readings.of(definition.network_inputs[primary].input.slot);
    for (sample, (raw, fault)) in primary.iter().zip(&samples.faults).enumerate() {
        // The value of a usable sample is taken also when it is not used, to stay in step.
        let value = match (fault, &mut values) {
            (None, Some(values)) => values.next(),
            _ => None,
        };
        if raw.is_absent() {
            continue;
        }
        match (fault, value) {
            (Some((reason, cause)), _) => tally.refuse(sample, *reason, *cause),
            (None, None) => tally.refuse(sample, RejectReason::NoCalibration, Cause::Nothing),
            (None, Some(value)) => match outside(value, result) {
                None => tally.accept(sample, value, value, raw.number()),
                Some(reason) => tally.refuse(sample, reason, Cause::Result(value)),
            },
        }
    }
    tally
}
