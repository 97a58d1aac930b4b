//! Refined observations into another smartem's SensorThings, over a bad line and killed at random moments: in
//! the end that holds each of them once, as after an undisturbed run.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::faults::Fault;
use smartem_simulate::whale;

use super::seeds;
use super::stage::Served;
use crate::support::{Place, Service, first_difference, text};

const CHAIN: &str = "publisher-sensorthings";
const ROOT: &str = "/sta/v1.1";

fn start() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

/// A store that is filled in steps, and a service that its observations go to.
struct Stage {
    place: Place,
    line: Served,
    remote: Service,
    _far: Place,
    _stations: Served,
}

impl Stage {
    fn new(seed: u64, percent: u64) -> Self {
        let city = City::new(CityConfig {
            stations: 2,
            cadence_s: 300,
            ..CityConfig::starting(start())
        });
        let end = start() + SignedDuration::from_hours(6);
        let stations = Served::new(whale::router(
            Arc::new(city.unwrap()),
            Arc::new(move || end),
        ));
        let far = Place::new();
        far.write(
            "smartem.toml",
            "[serve.sensorthings]\nopen_writing = true\n",
        );
        assert!(far.run(&["store", "migrate"]).status.success());
        let remote = Service::start(far.command(&["serve", "--listen", "127.0.0.1:0"]));
        let faults = [
            Fault::Timeout,
            Fault::TooManyRequests,
            Fault::ServerError,
            Fault::Unavailable,
            Fault::Reset,
        ];
        let line = Served::to(remote.url.trim_end_matches('/'), seed, percent, &faults);
        let place = Place::new();
        place.write(
            "smartem.toml",
            format!(
                "[[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{}{}\"\nrecheck = \"0s\"\n\
                 [process.{CHAIN}.sensorthings]\nurl = \"{}{ROOT}\"\ntimeout = \"2s\"\nbackoff = \"2ms\"\n\
                 attempts = 3\nbatch_observations = 20\n[process.{CHAIN}.store_observations]\nbatch_hours = 2\n",
                stations.url,
                whale::PREFIX,
                line.url
            ),
        );
        assert!(place.run(&["store", "migrate"]).status.success());
        Self {
            place,
            line,
            remote,
            _far: far,
            _stations: stations,
        }
    }

    fn run(&self, process: &str, now: Timestamp) {
        let now = now.to_string();
        let output = self.place.run(&["etl", "run", process, "--now", &now]);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{process}: {said}");
        assert!(said.contains(": done"), "{process}: {said}");
    }

    /// A run that is killed after so many milliseconds, unless it has ended by then.
    fn run_badly(&self, now: Timestamp, patience: u64) {
        let now = now.to_string();
        let mut command = self.place.command(&["etl", "run", CHAIN, "--now", &now]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(patience));
        run.kill().unwrap();
        run.wait().unwrap();
    }

    /// All observations of the service, each as a line without ids.
    fn observations(&self) -> String {
        let asked = "Observations?$expand=Datastream($expand=Thing,Sensor,ObservedProperty),FeatureOfInterest\
            &$top=10000&$count=true";
        let page = self.remote.json(&format!("{ROOT}/{asked}"));
        assert!(page.get("@iot.nextLink").is_none());
        let line = |it: &Value| {
            let datastream = &it["Datastream"];
            format!(
                "{} {} {} {} {} {} {} {} {}\n",
                datastream["Thing"]["name"],
                datastream["name"],
                datastream["Sensor"]["name"],
                datastream["ObservedProperty"]["name"],
                datastream["unitOfMeasurement"]["symbol"],
                it["FeatureOfInterest"]["feature"],
                it["phenomenonTime"],
                it["result"],
                it["parameters"],
            )
        };
        let found = page["value"].as_array().unwrap();
        assert_eq!(page["@iot.count"].as_u64(), Some(found.len() as u64));
        let mut lines: Vec<String> = found.iter().map(line).collect();
        lines.sort();
        lines.concat()
    }

    fn count(&self, set: &str) -> u64 {
        let page = self
            .remote
            .json(&format!("{ROOT}/{set}?$count=true&$top=0"));
        page["@iot.count"].as_u64().unwrap()
    }

    /// How many entities there are of those that are found by name.
    fn entities(&self) -> [u64; 5] {
        [
            "Things",
            "Locations",
            "Sensors",
            "ObservedProperties",
            "Datastreams",
        ]
        .map(|set| self.count(set))
    }
}

#[test]
fn another_smartem_holds_the_same_after_failures_and_kills() {
    let steps = [2, 5].map(|hours| start() + SignedDuration::from_hours(hours));
    let undisturbed = Stage::new(0, 0);
    for step in steps {
        for process in ["harvester-whale", "refiner", CHAIN] {
            undisturbed.run(process, step);
        }
    }
    let expected = undisturbed.observations();
    assert!(
        expected.lines().count() > 50,
        "too little to compare: {expected}"
    );
    for seed in 0..seeds() {
        let mut random = StdRng::seed_from_u64(seed);
        let stage = Stage::new(seed, 20);
        for step in steps {
            stage.run("harvester-whale", step);
            stage.run("refiner", step);
            stage.line.line.set_bad(true);
            for _ in 0..3 {
                stage.run_badly(step, random.random_range(50..900));
            }
            stage.line.line.set_bad(false);
            stage.run(CHAIN, step);
        }
        let found = stage.observations();
        assert_eq!(first_difference(&expected, &found), None, "seed {seed}");
        assert_eq!(stage.entities(), undisturbed.entities(), "seed {seed}");
        println!("seed {seed}: {} faults", stage.line.line.injected());
    }
    // Everything once more: nothing twice.
    let replay = undisturbed.place.run(&["etl", "run", CHAIN, "--replay"]);
    assert!(replay.status.success(), "{}", text(&replay.stderr));
    assert_eq!(
        first_difference(&expected, &undisturbed.observations()),
        None
    );
}
