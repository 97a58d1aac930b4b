//! Every harvester behind a bad line, killed at random moments: in the end the store holds what it
//! holds after an undisturbed run.
//!
//! A remote lives through a few hours of its own time. At each step the process is run with the
//! time of the remote: in the undisturbed world once, in the disturbed one a few times over a line on
//! which answers go wrong, each run perhaps killed, and then once more over a good line.

mod outputs;
mod publisher;
mod sources;
pub(crate) mod stage;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smartem_simulate::sensorthings::Flavour;

use crate::support::first_difference;
use sources::Source;
use stage::Stage;

/// How many seeds: 3 in `make test`, 20 in `make test-long`, 200 in `make soak`.
fn seeds() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the length of the test is chosen from outside"
    )]
    let seeds = std::env::var("FAULT_TEST_SEEDS");
    seeds.ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

/// Runs over the bad line at each step.
const BAD_RUNS: usize = 2;

/// Of a hundred answers so many go wrong.
const PERCENT: u64 = 25;

fn the_store_is_the_same(source: &Source) {
    let undisturbed = Stage::new(source, 0, 0);
    for step in &source.steps {
        undisturbed.at(*step);
        undisturbed.harvest(*step);
    }
    let expected = undisturbed.settled();
    assert!(
        expected.lines().count() > source.least_lines,
        "too little to compare: {expected}"
    );
    for seed in 0..seeds() {
        let found = disturbed(source, seed);
        assert_eq!(
            first_difference(&expected, &found),
            None,
            "{}, seed {seed}",
            source.process
        );
    }
}

/// What a store holds that was filled over a bad line and with kills.
#[expect(clippy::print_stdout, reason = "tells what the seed was worth")]
fn disturbed(source: &Source, seed: u64) -> String {
    let mut random = StdRng::seed_from_u64(seed);
    let stage = Stage::new(source, seed, PERCENT);
    let mut killed = 0;
    for step in &source.steps {
        stage.at(*step);
        stage.line.set_bad(true);
        for _ in 0..BAD_RUNS {
            let patience = random.random_range(5..250);
            let is_to_be_killed = random.random_bool(0.7);
            killed += usize::from(stage.harvest_badly(*step, is_to_be_killed.then_some(patience)));
            if random.random_bool(0.2) {
                stage.refine(*step);
            }
        }
        stage.line.set_bad(false);
        if random.random_bool(0.3) {
            stage.harvest_twice_at_once(*step);
        }
        stage.harvest(*step);
    }
    println!(
        "{}, seed {seed}: {} faults, {killed} kills",
        source.process,
        stage.line.injected()
    );
    stage.settled()
}

#[test]
fn whale() {
    the_store_is_the_same(&sources::whale());
}

#[test]
fn influxdb() {
    if let Some(source) = sources::influxdb() {
        the_store_is_the_same(&source);
    }
}

#[test]
fn timeseries() {
    the_store_is_the_same(&sources::timeseries());
}

#[test]
fn sensorthings_1_0() {
    the_store_is_the_same(&sources::sensorthings(Flavour::V1_0, "/v1.0"));
}

#[test]
fn sensorthings_1_1() {
    the_store_is_the_same(&sources::sensorthings(Flavour::V1_1, "/v1.1"));
}

#[test]
fn opensensemap() {
    the_store_is_the_same(&sources::opensensemap());
}

#[test]
fn sensor_community() {
    the_store_is_the_same(&sources::sensor_community());
}

#[test]
fn csv() {
    the_store_is_the_same(&sources::csv());
}
