//! The remotes of the harvesters, each with its process and what it lives through.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use smartem_simulate::city::{City, CityConfig};
use smartem_simulate::faults::{self, Line};
use smartem_simulate::influxd::{Influxd, InfluxdError};
use smartem_simulate::irregular::Irregular;
use smartem_simulate::sensorthings::Flavour;
use smartem_simulate::{opensensemap, sensor_community, sensorthings, timeseries, whale};

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
        settings: settings_of("harvester-whale", whale::PREFIX, ""),
        remote: Box::new(remote),
        steps: every(75, 8),
        least_lines: 100,
    }
}

/// AirSensEUR boxes behind a real InfluxDB; `None`, said aloud, when there is none.
#[expect(clippy::print_stdout, reason = "a skipped test says so aloud")]
pub(crate) fn influxdb() -> Option<Source> {
    if let Err(error @ InfluxdError::Missing) = Influxd::start() {
        println!("skipped: {error}");
        return None;
    }
    let remote = |clock: whale::Clock| {
        let influxd = Influxd::start().unwrap();
        influxd.execute("CREATE DATABASE airsenseur").unwrap();
        let line = Line::new(&influxd.url(), 0, 0, &[]);
        let influxd = Arc::new(influxd);
        let fill = move |request: Request, next: Next| {
            let (influxd, now) = (influxd.clone(), clock());
            async move {
                // The same points again are the same points.
                let written = influxd.write("airsenseur", &readings_until(now)).unwrap();
                assert_eq!(written.status, 204, "{}", written.body);
                next.run(request).await
            }
        };
        faults::router(Arc::new(line)).layer(from_fn(fill))
    };
    let process = "harvester-influxdb";
    Some(Source {
        process,
        settings: settings_of(process, "", "database = \"airsenseur\"\n"),
        remote: Box::new(remote),
        steps: every(75, 8),
        least_lines: 50,
    })
}

/// What three boxes have sent until now: one as it measures, one with what it measured in five hours
/// at a time, one that was off for three weeks and appears in the middle of the story.
fn readings_until(now: Timestamp) -> String {
    let minutes = |n: i64| SignedDuration::from_mins(n);
    let begin = start() - SignedDuration::from_hours(3);
    let mut lines = String::new();
    for n in 0..(now.duration_since(begin).as_mins() / 10) {
        let at = begin + minutes(10 * n);
        let sent = [
            ("steady", at, at + minutes(4)),
            ("patient", at, begin + minutes(300 * (n / 30 + 1))),
            ("back", at, start() + SignedDuration::from_hours(3)),
            ("back", at - SignedDuration::from_hours(21 * 24), start()),
        ];
        for (measurement, at, arrives) in sent {
            if arrives > now {
                continue;
            }
            for (name, value) in [("Tempe", 10 + n % 7), ("Press", 1000 + n % 11)] {
                let nanoseconds = at.as_nanosecond();
                writeln!(
                    lines,
                    "{measurement},name={name} latitude=52.2,longitude=5.1,\
                     sampleEvaluatedVal={value} {nanoseconds}"
                )
                .unwrap();
            }
        }
    }
    lines
}

/// Reference stations behind a Timeseries API, also as rows; here only into the store.
pub(crate) fn timeseries() -> Source {
    let process = "harvester-rivm";
    Source {
        process,
        settings: settings_of(process, &format!("{}/timeseries/", timeseries::PREFIX), ""),
        remote: Box::new(|clock| {
            timeseries::router(Arc::new(timeseries::World::new(7, start())), clock)
        }),
        steps: every(75, 8),
        least_lines: 40,
    }
}

/// Things of a SensorThings service, in both versions of the standard.
pub(crate) fn sensorthings(flavour: Flavour, path: &str) -> Source {
    let process = "harvester-sensorthings";
    Source {
        process,
        settings: settings_of(process, path, ""),
        remote: Box::new(move |clock| {
            let world = sensorthings::World::new(7, start(), flavour);
            sensorthings::router(Arc::new(world), clock)
        }),
        steps: every(75, 8),
        least_lines: 40,
    }
}

/// Boxes of openSenseMap.
pub(crate) fn opensensemap() -> Source {
    let process = "harvester-opensensemap";
    let since = format!(
        "bbox = [-180.0, -90.0, 180.0, 90.0]\nsince = \"{}\"\n",
        start()
    );
    Source {
        process,
        settings: settings_of(process, "", &since),
        remote: Box::new(|clock| {
            opensensemap::router(Arc::new(opensensemap::World::new(7, start())), clock)
        }),
        steps: every(75, 8),
        least_lines: 40,
    }
}

/// Kits of Sensor.Community: two hours of polls, and a day later the archive.
pub(crate) fn sensor_community() -> Source {
    let process = "harvester-sensor-community";
    let day = SignedDuration::from_hours(30);
    let mut steps = every(5, 16);
    steps.extend([1, 2].map(|n| start() + day + SignedDuration::from_mins(5 * n)));
    Source {
        process,
        settings: Box::new(move |url| {
            format!(
                "[[process.{process}.source]]\nname = \"test\"\nurl = \"{url}\"\n\
                 archive_url = \"{url}/archive\"\narchive = true\n\
                 archive_from = \"2026-03-01\"\nboxes = [[-90.0, -180.0, 90.0, 180.0]]\n{QUICK}"
            )
        }),
        remote: Box::new(|clock| {
            let world = Arc::new(sensor_community::World::new(
                7,
                start() - SignedDuration::from_hours(2),
            ));
            sensor_community::router(world, clock)
        }),
        steps,
        least_lines: 40,
    }
}

/// A table that grows, and one that appears later, read by URL.
pub(crate) fn csv() -> Source {
    let process = "harvester-csv";
    let table = |now: Timestamp, since: Timestamp, station: &str| {
        let mut text = "when;station;PM10;temp\n".to_owned();
        for n in 0..(now.duration_since(since).as_mins() / 7) {
            let time = since + SignedDuration::from_mins(7 * n);
            writeln!(text, "{time};{station};{}.5;{}", n % 40, n % 17).unwrap();
        }
        text
    };
    Source {
        process,
        settings: Box::new(move |url| {
            format!(
                "[[process.{process}.source]]\nname = \"test\"\n\
                 urls = [\"{url}/grows.csv\", \"{url}/later.csv\"]\n\
                 station_column = \"station\"\nstation_prefix = \"school:\"\n\
                 time_column = \"when\"\nposition = [5.8, 51.8]\n\
                 columns = {{ pm10 = {{ column = \"PM10\" }}, temperature = {{ column = \"temp\" }} }}\n{QUICK}"
            )
        }),
        remote: Box::new(move |clock| {
            let (of_first, of_second) = (clock.clone(), clock);
            let appears = start() + SignedDuration::from_hours(2);
            let first = get(async move || table(of_first(), start(), "7"));
            let second = get(async move || {
                let now = of_second();
                let is_there = now >= appears;
                is_there
                    .then(|| table(now, appears - SignedDuration::from_hours(1), "9"))
                    .ok_or(axum::http::StatusCode::NOT_FOUND)
            });
            axum::Router::new()
                .route("/grows.csv", first)
                .route("/later.csv", second)
        }),
        steps: every(45, 8),
        least_lines: 20,
    }
}

/// A source at this path of the remote.
fn settings_of(process: &str, path: &str, further: &str) -> Box<dyn Fn(&str) -> String> {
    let (process, path, further) = (process.to_owned(), path.to_owned(), further.to_owned());
    Box::new(move |url| {
        format!(
            "[[process.{process}.source]]\nname = \"test\"\nurl = \"{url}{path}\"\n{further}{QUICK}"
        )
    })
}
