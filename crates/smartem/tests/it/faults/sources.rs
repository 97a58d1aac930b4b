//! The remotes of the harvesters, each with its process and what it lives through.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::irregular::Irregular;
use smartem_simulate::whale;

/// A kind of source.
pub(crate) struct Source {
    pub(crate) process: &'static str,
    /// The configuration, given the address of the line to the remote.
    pub(crate) settings: Box<dyn Fn(&str) -> String>,
    pub(crate) remote: Box<dyn Fn(whale::Clock) -> axum::Router>,
    /// When the process is run.
    pub(crate) steps: Vec<Timestamp>,
    /// So many lines at least tell of the store in the end.
    pub(crate) least_lines: usize,
}

/// Quick to give up and to try again, as a test wants it.
const QUICK: &str = "timeout = \"400ms\"\nbackoff = \"2ms\"\nattempts = 2\nparallel = 3\n";

/// The beginning of all stories.
fn start() -> Timestamp {
    "2026-03-01T21:00:00Z".parse().unwrap()
}

fn every(minutes: i64, times: i64) -> Vec<Timestamp> {
    let step = |n| start() + SignedDuration::from_mins(7 + n * minutes);
    (1..=times).map(step).collect()
}

/// Josene stations.
pub(crate) fn whale() -> Source {
    let remote = |clock| {
        let city = City::new(CityConfig {
            stations: 4,
            cadence_s: 180,
            ..CityConfig::starting(start() - SignedDuration::from_hours(4))
        });
        let appears = start() + SignedDuration::from_hours(3);
        let world = Irregular::new(Arc::new(city.unwrap()), 7, appears);
        whale::router(Arc::new(world), clock)
    };
    Source {
        process: "harvester-whale",
        settings: Box::new(|url| {
            format!(
                "[[process.harvester-whale.source]]\nname = \"test\"\nurl = \"{url}{}\"\n{QUICK}",
                whale::PREFIX
            )
        }),
        remote: Box::new(remote),
        steps: every(75, 8),
        least_lines: 100,
    }
}
