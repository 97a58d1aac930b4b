//! Chains over the store into a real InfluxDB, over a bad line and killed at random moments: in the
//! end the database holds what it holds after an undisturbed run.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::faults::Fault;
use smartem_simulate::influxd::{Influxd, InfluxdError};
use smartem_simulate::whale;

use super::seeds;
use super::stage::Served;
use crate::support::{Place, first_difference, text};

const CHAINS: [&str; 2] = ["extractor", "publisher-influxdb"];

/// When the stations began.
fn start() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

/// A store that is filled in steps, and a database that its chains write to.
struct Stage {
    place: Place,
    line: Served,
    influxd: Influxd,
    _remote: Served,
}

impl Stage {
    fn new(seed: u64, percent: u64) -> Self {
        let city = City::new(CityConfig {
            stations: 3,
            cadence_s: 120,
            ..CityConfig::starting(start())
        });
        let end = start() + SignedDuration::from_hours(12);
        let remote = Served::new(whale::router(
            Arc::new(city.unwrap()),
            Arc::new(move || end),
        ));
        let influxd = Influxd::start().unwrap();
        influxd.execute("CREATE DATABASE smartemission").unwrap();
        let faults = [
            Fault::Timeout,
            Fault::TooManyRequests,
            Fault::ServerError,
            Fault::Unavailable,
        ];
        let line = Served::to(&influxd.url(), seed, percent, &faults);
        let place = Place::new();
        let output = |chain: &str| {
            format!(
                "[process.{chain}.influxdb]\nurl = \"{}\"\ndatabase = \"smartemission\"\n\
                 timeout = \"400ms\"\nbackoff = \"2ms\"\nattempts = 2\nbatch_points = 500\n",
                line.url
            )
        };
        place.write(
            "smartem.toml",
            format!(
                "[[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{}{}\"\nrecheck = \"0s\"\n\
                 {}{}[process.extractor.store_raw]\nbatch_hours = 4\n\
                 [process.publisher-influxdb.store_observations]\nbatch_hours = 4\n",
                remote.url,
                whale::PREFIX,
                output(CHAINS[0]),
                output(CHAINS[1])
            ),
        );
        assert!(place.run(&["store", "migrate"]).status.success());
        Self {
            place,
            line,
            influxd,
            _remote: remote,
        }
    }

    /// Brings what the stations have until this time into the store, refined.
    fn fill(&self, now: Timestamp) {
        for process in ["harvester-whale", "refiner"] {
            self.run(process, now);
        }
    }

    fn run(&self, process: &str, now: Timestamp) {
        let now = now.to_string();
        let output = self.place.run(&["etl", "run", process, "--now", &now]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{process}: {said}");
    }

    /// A run that is killed after so many milliseconds, unless it has ended by then.
    fn run_badly(&self, process: &str, now: Timestamp, patience: u64) {
        let now = now.to_string();
        let mut command = self.place.command(&["etl", "run", process, "--now", &now]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(patience));
        run.kill().unwrap();
        run.wait().unwrap();
    }

    /// All points of the database.
    fn points(&self) -> String {
        ["joseextract", "joserefined"]
            .map(|measurement| {
                let statement = format!("SELECT * FROM \"smartemission\"..\"{measurement}\"");
                let answer = self.influxd.execute(&statement).unwrap();
                answer.replace("],[", "],\n[")
            })
            .join("\n")
    }
}

#[test]
fn influxdb_holds_the_same_after_failures_and_kills() {
    if let Err(error @ InfluxdError::Missing) = Influxd::start() {
        println!("skipped: {error}");
        return;
    }
    let steps = [2, 5, 9].map(|hours| start() + SignedDuration::from_hours(hours));
    let undisturbed = Stage::new(0, 0);
    for step in steps {
        undisturbed.fill(step);
        for chain in CHAINS {
            undisturbed.run(chain, step);
        }
    }
    let expected = undisturbed.points();
    assert!(expected.lines().count() > 1000, "too little to compare");
    assert!(expected.contains("geohash"), "{}", &expected[..400]);
    for seed in 0..seeds() {
        let mut random = StdRng::seed_from_u64(seed);
        let stage = Stage::new(seed, 30);
        for step in steps {
            stage.fill(step);
            for chain in CHAINS {
                stage.line.line.set_bad(true);
                for _ in 0..2 {
                    stage.run_badly(chain, step, random.random_range(20..300));
                }
                stage.line.line.set_bad(false);
                stage.run(chain, step);
            }
        }
        let found = stage.points();
        assert_eq!(first_difference(&expected, &found), None, "seed {seed}");
        println!("seed {seed}: {} faults", stage.line.line.injected());
    }
    // Everything once more: the same points.
    let replay = undisturbed
        .place
        .run(&["etl", "run", CHAINS[0], "--replay"]);
    assert!(replay.status.success());
    assert_eq!(first_difference(&expected, &undisturbed.points()), None);
}
