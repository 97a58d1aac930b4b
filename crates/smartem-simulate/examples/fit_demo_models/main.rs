//! Fits the networks with which `smartem demo` shows CO, NO2 and O3: `make demo-models`.
//!
//! The published models belong to real boxes and know nothing of simulated ones, so the demo has models of its own,
//! fitted to what the simulator knows to be true. The steps, in the files beside this one:
//!
//! 1. `rows.rs`: some ten thousand moments at a few thousand simulated boxes of several cities, over two years; of each
//!    the eight inputs as the refiner feeds them (raw units, resistances as running means) and the true concentrations.
//! 2. `network.rs`: inputs and target are standardised and a network is fitted for each gas.
//! 3. `scores.rs`: the models refine whole days of cities, boxes and dates that they have not seen, and hourly means
//!    are compared with the truth.
//! 4. This file writes `models/demo/{co,no2,o3}.json`, scores included.
//!
//! Nothing here is random but by fixed numbers: a second run writes the same bytes.

mod network;
mod rows;
mod scores;

use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use smartem_model::Vocabulary;
use smartem_refine::{Definition, Model, ModelSet};
use smartem_simulate::city::{City, CityConfig, Quirk, Truth};

use network::INPUTS;
use rows::Row;
use scores::{GASES, Judged};

/// Hidden units of each network.
const UNITS: usize = 24;
/// Steps of the fit; after these the error hardly changes.
const STEPS: u32 = 60;

/// Cities of the test; the first is the one that `smartem demo` shows unless told otherwise.
const TEST_SEEDS: [u64; 4] = [1, 2, 3, 4];
/// Stations of each.
const TEST_STATIONS: usize = 60;
/// Each station is judged on one of these days, all of them after the period that was learnt from.
const TEST_DAYS: [&str; 4] = ["2026-02-11", "2026-05-13", "2026-08-12", "2026-11-14"];
/// Each third hour of a day.
const TEST_STEP: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read_to_string(root.join(path));
    let (indicators, units) = (
        read("vocabulary/indicators.toml")?,
        read("vocabulary/units.toml")?,
    );
    let vocabulary = Vocabulary::from_toml(&indicators, &units)?;
    let definition = Definition::from_toml(&read("devices/jose.toml")?, &vocabulary)?;

    let rows = rows::rows()?;
    writeln!(out, "fitting to {} rows", rows.len())?;
    let scaler = Scaler::of(&rows);
    let inputs: Vec<[f64; INPUTS]> = rows.iter().map(|row| scaler.apply(&row.inputs)).collect();
    let mut models = ModelSet::default();
    let mut documents = Vec::new();
    for (gas, truth) in GASES.into_iter().zip([co, no2, o3]) {
        let targets: Vec<f64> = rows.iter().map(|row| truth(&row.truth)).collect();
        let document = fit(gas, &inputs, &targets, &scaler);
        models.insert(Model::from_json(&document.to_string(), gas, &definition)?);
        documents.push(document);
    }

    let [sound, worn] = judge(&definition, &models)?;
    for (i, (gas, mut document)) in GASES.into_iter().zip(documents).enumerate() {
        let training = &mut document["training"];
        training["test"] = json!({
            "seeds": TEST_SEEDS,
            "stations_per_seed": TEST_STATIONS,
            "days": TEST_DAYS,
            "hourly_means_of_sound_stations": hourly_score(&sound[i]),
            "hourly_means_of_worn_stations": hourly_score(&worn[i]),
            "hourly_means_of_all_stations": hourly_score(&both(&sound[i], &worn[i])),
        });
        writeln!(out, "{gas}: {training:#}")?;
        let text = format!("{document:#}\n");
        std::fs::write(root.join(format!("models/demo/{gas}.json")), text)?;
    }
    Ok(())
}

fn co(truth: &Truth) -> f64 {
    truth.co
}

fn no2(truth: &Truth) -> f64 {
    truth.no2
}

fn o3(truth: &Truth) -> f64 {
    truth.o3
}

/// Fits the network of one gas; the model document without the scores of the test.
fn fit(gas: &str, inputs: &[[f64; INPUTS]], targets: &[f64], scaler: &Scaler) -> Value {
    let (mean, deviation) = moments(targets.iter().copied());
    let scaled: Vec<f64> = targets.iter().map(|t| (t - mean) / deviation).collect();
    let network = network::fit(inputs, &scaled, UNITS, STEPS);
    let error = network.mean_square_error;

    let hidden = &network.hidden;
    let column = |i: usize| hidden.iter().map(|unit| unit.weights[i]).collect();
    let input_layer: Vec<Vec<f64>> = (0..INPUTS).map(column).collect();
    let biases: Vec<f64> = hidden.iter().map(|unit| unit.bias).collect();
    // The output layer also undoes the scaling of the target.
    let output_layer: Vec<[f64; 1]> = hidden.iter().map(|u| [u.output * deviation]).collect();
    let output_bias = network.output_bias * deviation + mean;
    json!({
        "format": "se-golden-ann-model/1",
        "gas": gas,
        "demo": true,
        "provenance": "fitted to the simulated city of smartem; meaningless for real boxes",
        "input_order": rows::ORDER,
        "running_mean_weights": rows::running_mean_weights(),
        "scaler": {"mean": scaler.mean, "scale": scaler.scale},
        "mlp": {
            "activation": "tanh",
            "out_activation": "identity",
            "coefs": [json!(input_layer), json!(output_layer)],
            "intercepts": [json!(biases), json!([output_bias])],
        },
        "training": {
            "command": "make demo-models",
            "seeds": {"first": rows::SEEDS.start(), "last": rows::SEEDS.end()},
            "stations_per_seed": rows::STATIONS,
            "hours_per_station": rows::HOURS,
            "since": rows::SINCE,
            "days": rows::DAYS,
            "rows": targets.len(),
            "hidden_units": UNITS,
            "activation": "tanh",
            "steps": STEPS,
            "train": {"rmse": rounded(error.sqrt() * deviation), "r2": rounded(1.0 - error)},
        },
    })
}

/// Judges the models on the cities of the test: stations with sound sensors, and worn ones.
fn judge(definition: &Definition, models: &ModelSet) -> Result<[[Judged; 3]; 2], Box<dyn Error>> {
    let mut judged: [[Judged; 3]; 2] = Default::default();
    for seed in TEST_SEEDS {
        let city = City::new(CityConfig {
            seed,
            stations: TEST_STATIONS,
            ..CityConfig::starting("2026-01-01T00:00:00Z".parse()?)
        })?;
        for (station, day) in city.stations().iter().zip(TEST_DAYS.iter().cycle()) {
            let group = &mut judged[usize::from(station.quirk == Quirk::Worn)];
            let day = (&city, station, day.parse()?);
            scores::judge_day(day, TEST_STEP, definition, models, group);
        }
    }
    Ok(judged)
}

fn both(a: &Judged, b: &Judged) -> Judged {
    Judged {
        hours: [a.hours.as_slice(), &b.hours].concat(),
        accepted: a.accepted + b.accepted,
        rejected: a.rejected + b.rejected,
    }
}

fn hourly_score(judged: &Judged) -> Value {
    json!({
        "rmse": rounded(judged.rmse()),
        "r2": rounded(judged.r2()),
        "hours": judged.hours.len(),
        "samples_accepted": judged.accepted,
        "samples_rejected": judged.rejected,
    })
}

/// To three decimals, as scores are read.
fn rounded(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

/// Mean and standard deviation of each input.
struct Scaler {
    mean: [f64; INPUTS],
    scale: [f64; INPUTS],
}

impl Scaler {
    fn of(rows: &[Row]) -> Self {
        let of: [(f64, f64); INPUTS] =
            std::array::from_fn(|i| moments(rows.iter().map(|row| row.inputs[i])));
        Self {
            mean: of.map(|(mean, _)| mean),
            scale: of.map(|(_, deviation)| deviation),
        }
    }

    fn apply(&self, row: &[f64; INPUTS]) -> [f64; INPUTS] {
        std::array::from_fn(|i| (row[i] - self.mean[i]) / self.scale[i])
    }
}

/// Mean and standard deviation.
fn moments(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}
