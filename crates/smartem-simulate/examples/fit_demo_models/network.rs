//! A network with one hidden layer of tanh units and one linear output, fitted by Levenberg-Marquardt.
//!
//! The least-squares problem is small (a few hundred parameters), so each step solves its normal equations exactly;
//! some tens of steps do what gradient methods need thousands for. Sums run in one order on one thread: the same
//! rows give the same network.

/// What the refiner feeds to a network.
pub(crate) const INPUTS: usize = 8;

/// Weight decay relative to the number of rows: keeps weights small where the rows say nothing.
const DECAY: f64 = 2e-6;

/// A network over standardised inputs.
pub(crate) struct Network {
    /// Hidden unit by hidden unit: weights of the inputs, bias, weight of the unit in the output.
    pub(crate) hidden: Vec<Hidden>,
    pub(crate) output_bias: f64,
    /// Over the rows of the fit.
    pub(crate) mean_square_error: f64,
}

/// One hidden unit.
pub(crate) struct Hidden {
    pub(crate) weights: [f64; INPUTS],
    pub(crate) bias: f64,
    pub(crate) output: f64,
}

/// Parameters of a hidden unit: its weights, its bias and its output weight.
const PER_UNIT: usize = INPUTS + 2;

/// Fits a network of `units` hidden units to standardised inputs and targets in `steps` steps.
pub(crate) fn fit(inputs: &[[f64; INPUTS]], targets: &[f64], units: usize, steps: u32) -> Network {
    let mut parameters = start(units);
    let mut damping = 1e-2;
    let mut cost = cost(&parameters, inputs, targets);
    for _ in 0..steps {
        let (normal, gradient) = normal_equations(&parameters, inputs, targets);
        // A step that makes it worse is taken back and tried again, shorter.
        for _ in 0..12 {
            let Some(step) = solve(&normal, &gradient, damping) else {
                damping *= 4.0;
                continue;
            };
            let tried: Vec<f64> = parameters.iter().zip(&step).map(|(p, d)| p + d).collect();
            let tried_cost = self::cost(&tried, inputs, targets);
            if tried_cost < cost {
                (parameters, cost) = (tried, tried_cost);
                damping = (damping / 3.0_f64).max(1e-9);
                break;
            }
            damping *= 4.0;
        }
    }
    let error = square_errors(&parameters, inputs, targets) / targets.len() as f64;
    Network::new(&parameters, error)
}

impl Network {
    fn new(parameters: &[f64], mean_square_error: f64) -> Self {
        let (units, bias) = parameters.as_chunks::<PER_UNIT>();
        let hidden = units.iter().map(|unit| {
            let [weights @ .., bias, output] = *unit;
            Hidden {
                weights,
                bias,
                output,
            }
        });
        Self {
            hidden: hidden.collect(),
            output_bias: bias[0],
            mean_square_error,
        }
    }
}

/// Small random weights, by `SplitMix64`, so that the units start in different places.
fn start(units: usize) -> Vec<f64> {
    let mut state = 0_u64;
    let mut draw = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    (0..=units * PER_UNIT).map(|_| 0.5 * draw()).collect()
}

/// The output, and the activations of the hidden units into `active`.
fn evaluate(parameters: &[f64], row: &[f64; INPUTS], active: &mut [f64]) -> f64 {
    let (units, bias) = parameters.as_chunks::<PER_UNIT>();
    let mut output = bias[0];
    for (unit, active) in units.iter().zip(active) {
        let sum: f64 = row.iter().zip(unit).map(|(x, w)| x * w).sum();
        *active = (sum + unit[INPUTS]).tanh();
        output += *active * unit[INPUTS + 1];
    }
    output
}

/// Half the squared errors and the decay.
fn cost(parameters: &[f64], inputs: &[[f64; INPUTS]], targets: &[f64]) -> f64 {
    let decay = DECAY * inputs.len() as f64;
    let size = parameters.iter().map(|p| p * p).sum::<f64>();
    0.5 * (square_errors(parameters, inputs, targets) + decay * size)
}

fn square_errors(parameters: &[f64], inputs: &[[f64; INPUTS]], targets: &[f64]) -> f64 {
    let mut active = vec![0.0; parameters.len() / PER_UNIT];
    let rows = inputs.iter().zip(targets);
    rows.map(|(row, target)| (target - evaluate(parameters, row, &mut active)).powi(2))
        .sum()
}

/// The lower triangle of the normal matrix, row by row, and the descent direction.
fn normal_equations(
    parameters: &[f64],
    inputs: &[[f64; INPUTS]],
    targets: &[f64],
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let count = parameters.len();
    let decay = DECAY * inputs.len() as f64;
    let mut normal: Vec<Vec<f64>> = (0..count).map(|i| vec![0.0; i + 1]).collect();
    let mut gradient: Vec<f64> = parameters.iter().map(|p| -decay * p).collect();
    for (i, line) in normal.iter_mut().enumerate() {
        line[i] = decay;
    }
    let (units, _) = parameters.as_chunks::<PER_UNIT>();
    let mut active = vec![0.0; units.len()];
    let mut slopes = vec![1.0; count];
    for (row, target) in inputs.iter().zip(targets) {
        let error = target - evaluate(parameters, row, &mut active);
        let (of_units, _) = slopes.as_chunks_mut::<PER_UNIT>();
        for ((slope, unit), active) in of_units.iter_mut().zip(units).zip(&active) {
            let back = unit[INPUTS + 1] * (1.0 - active * active);
            for (slope, x) in slope.iter_mut().zip(row) {
                *slope = back * x;
            }
            slope[INPUTS] = back;
            slope[INPUTS + 1] = *active;
        }
        for ((line, gradient), slope) in normal.iter_mut().zip(&mut gradient).zip(&slopes) {
            *gradient += slope * error;
            for (sum, other) in line.iter_mut().zip(&slopes) {
                *sum += slope * other;
            }
        }
    }
    (normal, gradient)
}

/// Solves (normal + damping · its diagonal) x = gradient by Cholesky; none if rounding spoilt the matrix.
fn solve(normal: &[Vec<f64>], gradient: &[f64], damping: f64) -> Option<Vec<f64>> {
    let mut factor = normal.to_vec();
    let mut x = gradient.to_vec();
    for i in 0..x.len() {
        let (above, rest) = factor.split_at_mut(i);
        let line = &mut rest[0];
        line[i] *= 1.0 + damping;
        for (j, other) in above.iter().enumerate() {
            line[j] = (line[j] - dot(&line[..j], &other[..j])) / other[j];
        }
        let pivot = line[i] - dot(&line[..i], &line[..i]);
        if pivot <= 0.0 || !pivot.is_finite() {
            return None;
        }
        line[i] = pivot.sqrt();
        x[i] = (x[i] - dot(&line[..i], &x[..i])) / line[i];
    }
    for i in (0..x.len()).rev() {
        x[i] /= factor[i][i];
        let (before, value) = (&factor[i][..i], x[i]);
        for (x, entry) in x.iter_mut().zip(before) {
            *x -= entry * value;
        }
    }
    Some(x)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
