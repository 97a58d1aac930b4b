//! Networks with one hidden layer, evaluated for many samples at a time (R7.4).
//!
//! Samples go through the network in blocks, one sample in each lane, so that a processor with wide
//! registers works on several at once. Every lane does the same additions and multiplications in
//! the same order on any processor, so the values are the same to the bit.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined is not compiled for the wide registers"
)]

use serde::Deserialize;

/// A network with one hidden layer: standard scaler, activation, linear output.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub activation: Activation,
    /// Mean and scale of each input.
    pub mean: Vec<f64>,
    pub scale: Vec<f64>,
    /// Hidden unit by hidden unit: a weight for each input.
    pub weights: Vec<f64>,
    /// One for each hidden unit.
    pub biases: Vec<f64>,
    pub output_weights: Vec<f64>,
    pub output_bias: f64,
}

/// The activation of the hidden units.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    Logistic,
    Tanh,
    Relu,
}

/// Samples that go through the network together: a register of 512 bits, or two of 256.
const LANES: usize = 8;

type Block = [f64; LANES];

impl Network {
    /// The output for each sample, in the order given.
    ///
    /// `inputs` has a list for each input in the order of the network, all of one length.
    pub(crate) fn evaluate(&self, inputs: &[&[f64]]) -> Vec<f64> {
        // Chooses the widest registers of the processor at hand.
        pulp::Arch::new().dispatch(Evaluation {
            network: self,
            inputs,
        })
    }

    #[inline(always)]
    fn evaluate_with(&self, inputs: &[&[f64]], activation: impl Fn(f64) -> f64) -> Vec<f64> {
        let samples = inputs.first().map_or(0, |input| input.len());
        let mut outputs = Vec::with_capacity(samples + LANES);
        let mut block = vec![[0.0; LANES]; inputs.len()];
        for start in (0..samples).step_by(LANES) {
            let scalers = self.mean.iter().zip(&self.scale);
            for ((lanes, input), (mean, scale)) in block.iter_mut().zip(inputs).zip(scalers) {
                // The last block is filled up with zeros.
                let given = &input[start..samples.min(start + LANES)];
                *lanes = [0.0; LANES];
                lanes[..given.len()].copy_from_slice(given);
                for x in lanes.iter_mut() {
                    *x = (*x - mean) / scale;
                }
            }
            outputs.extend(self.block(&block, &activation));
        }
        outputs.truncate(samples);
        outputs
    }

    #[inline(always)]
    fn block(&self, inputs: &[Block], activation: &impl Fn(f64) -> f64) -> Block {
        let mut output = [self.output_bias; LANES];
        let units = self.weights.chunks_exact(inputs.len());
        let layer = units.zip(&self.biases).zip(&self.output_weights);
        for ((weights, bias), output_weight) in layer {
            let mut sum = [*bias; LANES];
            for (input, weight) in inputs.iter().zip(weights) {
                for lane in 0..LANES {
                    sum[lane] += input[lane] * weight;
                }
            }
            for lane in 0..LANES {
                output[lane] += activation(sum[lane]) * output_weight;
            }
        }
        output
    }
}

/// One evaluation, compiled anew for each width of registers.
struct Evaluation<'a> {
    network: &'a Network,
    inputs: &'a [&'a [f64]],
}

impl pulp::WithSimd for Evaluation<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Vec<f64> {
        let Self { network, inputs } = self;
        match network.activation {
            Activation::Logistic => network.evaluate_with(inputs, logistic),
            Activation::Tanh => network.evaluate_with(inputs, tanh),
            Activation::Relu => network.evaluate_with(inputs, relu),
        }
    }
}

#[inline(always)]
fn logistic(a: f64) -> f64 {
    1.0 / (1.0 + exp(-a))
}

#[inline(always)]
fn tanh(a: f64) -> f64 {
    1.0 - 2.0 / (exp(2.0 * a) + 1.0)
}

#[inline(always)]
fn relu(a: f64) -> f64 {
    if a < 0.0 { 0.0 } else { a }
}

/// e^x within 1e-15 relative, for all x of a network; beyond ±708 that of ±708.
///
/// The one of the standard library is a call for each number; this one is additions and
/// multiplications only. Source: reduction to ±ln(2)/2 in two parts after W. J. Cody and W. Waite,
/// Software Manual for the Elementary Functions (1980), chapter 6, and the Taylor series.
#[inline(always)]
fn exp(x: f64) -> f64 {
    const LIMIT: f64 = 708.0;
    /// 1.5 · 2^52: adding it leaves the rounded number in the lowest bits.
    const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
    /// ln(2) cut to 32 bits, so that its product with a small integer is exact.
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = if x > LIMIT { LIMIT } else { x };
    let x = if x < -LIMIT { -LIMIT } else { x };
    let shifted = x * std::f64::consts::LOG2_E + TO_INTEGER;
    let whole = shifted - TO_INTEGER;
    let r = (x - whole * LN_2_HIGH) - whole * LN_2_LOW;
    // Pairs of terms, so that they need not wait for each other.
    let (r2, r4) = (r * r, r * r * (r * r));
    let low = (1.0 + r) + r2 * (1.0 / 2.0 + r * (1.0 / 6.0));
    let middle = (1.0 / 24.0 + r * (1.0 / 120.0)) + r2 * (1.0 / 720.0 + r * (1.0 / 5040.0));
    let high = (1.0 / 40320.0 + r * (1.0 / 362_880.0))
        + r2 * (1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0))
        + r4 * (1.0 / 479_001_600.0 + r * (1.0 / 6_227_020_800.0));
    let power = low + r4 * (middle + r4 * high);
    // The whole power of two goes into the exponent.
    f64::from_bits(power.to_bits().wrapping_add(shifted.to_bits() << 52))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_the_one_of_the_standard_library() {
        let mut worst = 0.0_f64;
        for step in -708_000..=708_000 {
            let x = f64::from(step) / 1000.0;
            worst = worst.max((exp(x) / x.exp() - 1.0).abs());
        }
        assert!(worst < 1e-15, "{worst}");
        assert!(exp(f64::NAN).is_nan());
        assert!(exp(1e300).is_finite() && exp(f64::NEG_INFINITY) > 0.0);
    }

    #[test]
    fn activations_are_those_of_their_names() {
        for step in -4000..=4000 {
            let a = f64::from(step) / 100.0;
            assert!((tanh(a) - a.tanh()).abs() < 1e-15, "{a}");
            assert!(
                (logistic(a) - 1.0 / (1.0 + (-a).exp())).abs() < 1e-15,
                "{a}"
            );
            assert!((relu(a) - a.max(0.0)).abs() < 1e-15, "{a}");
        }
    }

    #[test]
    fn a_sample_has_the_same_value_to_the_bit_whatever_samples_are_beside_it() {
        let numbers = |count: i32, step: f64| -> Vec<f64> {
            (0..count)
                .map(|n| (f64::from(n) * step).sin() * 2.0)
                .collect()
        };
        for activation in [Activation::Logistic, Activation::Tanh, Activation::Relu] {
            let network = Network {
                activation,
                mean: numbers(3, 0.3),
                scale: vec![0.5, 1.5, 2.5],
                weights: numbers(21, 0.7),
                biases: numbers(7, 1.1),
                output_weights: numbers(7, 1.7),
                output_bias: 0.25,
            };
            let columns = [numbers(37, 0.9), numbers(37, 1.3), numbers(37, 2.1)];
            let together = network.evaluate(&[&columns[0], &columns[1], &columns[2]]);
            assert_eq!(together.len(), 37);
            for (at, value) in together.iter().enumerate() {
                let of = |column: usize| &columns[column][at..=at];
                let alone = network.evaluate(&[of(0), of(1), of(2)]);
                assert_eq!(alone[0].to_bits(), value.to_bits());
            }
        }
    }
}
