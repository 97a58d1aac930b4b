//! Millions of observations: how long writing them takes, and how long what readers ask most.
//!
//!     cargo run --release -p smartem-store --example observations_at_scale -- DIR [URL] [OBSERVATIONS]
//!
//! With the address of an empty PostgreSQL database that is measured, else the embedded store in the folder.
//! 1000 stations of ten indicators each, in hours that follow each other; what is there already is not
//! written again, so a second call only reads.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, Observation, Position, PositionSource, Quality, StationId};
use smartem_store::{
    Access, CommitRefined, DEFAULT_MOVE_M, Intake, ObservationQuery, PostgresSettings,
    ReceivedRecord, RefinedHour, Store,
};

const STATIONS: i64 = 1000;
const INDICATORS: i64 = 10;
/// Hours of a station in one transaction.
const BATCH: i64 = 250;
/// 2025-01-01T00:00:00Z.
const FIRST: i64 = 482_136;
const REPEATED: usize = 41;

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("name a folder");
    let (mut url, mut observations) = (None, 10_000_000);
    for argument in arguments {
        match argument.parse::<i64>() {
            Ok(number) => observations = number,
            Err(_) => url = Some(argument),
        }
    }
    let access = Access::Create {
        now: Timestamp::UNIX_EPOCH,
    };
    let store = match url {
        Some(url) => Store::connect(Path::new(&dir), &PostgresSettings::new(url), access).await,
        None => Store::open(Path::new(&dir), access).await,
    };
    let store = store.unwrap();
    let hours = observations / STATIONS / INDICATORS;
    let there = store.backlog().await.unwrap().observations;
    if there == 0 {
        write(&store, hours).await;
    }
    read(&store, hours).await;
}

fn station(number: i64) -> StationId {
    StationId::new(&format!("{}", 20_010_000 + number)).unwrap()
}

async fn write(store: &Store, hours: i64) {
    let (mut taking_in, mut writing) = (Duration::ZERO, Duration::ZERO);
    // Two at a time, as many as there are cores; what is timed is the whole.
    for start in (0..hours).step_by(usize::try_from(BATCH).unwrap()) {
        let range = start..(start + BATCH).min(hours);
        let began = Instant::now();
        for number in 0..STATIONS {
            store.take_in(intake(number, range.clone())).await.unwrap();
        }
        taking_in += began.elapsed();
        let began = Instant::now();
        let halves = [0, STATIONS / 2].map(|from| {
            let (store, range) = (store.clone(), range.clone());
            tokio::spawn(async move {
                for number in from..from + STATIONS / 2 {
                    let report = store.commit_refined(commit(number, range.clone())).await;
                    assert_eq!(report.unwrap().stale, 0);
                }
            })
        });
        for half in halves {
            half.await.unwrap();
        }
        writing += began.elapsed();
    }
    let observations = STATIONS * INDICATORS * hours;
    let (taking_in, seconds) = (taking_in.as_secs_f64(), writing.as_secs_f64());
    println!(
        "taking in {} raw records: {taking_in:.1} s",
        STATIONS * hours
    );
    println!(
        "writing {observations} observations: {seconds:.1} s, {:.0} per second",
        observations as f64 / seconds
    );
}

fn intake(number: i64, hours: std::ops::Range<i64>) -> Intake {
    let station = station(number);
    let records = hours.map(|n| {
        let hour = Hour::from_index(FIRST + n).unwrap();
        let document = json!({"device_id": station.as_str(), "device_type": "jose",
            "day": hour.day().to_string(), "hour": hour.of_day(),
            "data": {"timeseries": [{"a": n}]}});
        let record = RawRecord::from_json(&document.to_string(), &|_| true).unwrap();
        ReceivedRecord::whole(record, format!("{station}/{n}"))
    });
    Intake {
        process: "harvester-whale".into(),
        source: "scale".into(),
        network: "scale".into(),
        project: None,
        now: Timestamp::UNIX_EPOCH,
        records: records.collect(),
        quarantined: Vec::new(),
        understood: Vec::new(),
        checkpoints: Vec::new(),
    }
}

fn commit(number: i64, hours: std::ops::Range<i64>) -> CommitRefined {
    let station = station(number);
    let location = Position::horizontal(5.0 + number as f64 / 1000.0, 51.84).unwrap();
    let hours = hours.map(|n| {
        let hour = Hour::from_index(FIRST + n).unwrap();
        let observations = (0..INDICATORS).map(|indicator| Observation {
            station: station.clone(),
            station_type: "jose".into(),
            indicator: format!("indicator{indicator}").into(),
            label: "Label".into(),
            unit: "ug/m3".into(),
            phenomenon_time: hour.period(),
            value: (n * 7 + indicator) as f64 / 3.0,
            min: 0.1,
            max: 99.9,
            raw: Some(12345.6),
            raw_unit: Some("Ohm".into()),
            accepted_count: 180,
            rejected_count: 3,
            quality: Quality {
                fraction: 0.98,
                coverage: Some(0.55),
                flags: Vec::new(),
            },
            location,
            sensor: "sensor".into(),
            definition: "jose 1".into(),
            model: None,
        });
        RefinedHour {
            hour,
            revision: 1,
            observations: observations.collect(),
            rejections: Vec::new(),
            state: "{}".to_owned(),
            position: Some((location, PositionSource::Fix)),
            station_altitude: false,
            quarantine: None,
        }
    });
    CommitRefined {
        process: "refiner".into(),
        now: Timestamp::UNIX_EPOCH,
        move_m: DEFAULT_MOVE_M,
        hours: hours.collect(),
        station,
    }
}

async fn read(store: &Store, hours: i64) {
    median("the latest value of every datastream", async || {
        let stations = store.stations().await.unwrap();
        stations.iter().map(|station| station.last.len()).sum()
    })
    .await;
    let end = Hour::from_index(FIRST + hours).unwrap().period().start;
    median("a week of one datastream", async || {
        let query = ObservationQuery {
            station: station(517),
            indicator: Some("indicator3".to_owned()),
            from: Some(end - jiff::SignedDuration::from_hours(7 * 24)),
            to: Some(end),
            limit: 1000,
            after: None,
            newest_first: false,
        };
        store.observations(query).await.unwrap().observations.len()
    })
    .await;
    median("the newest 100 observations of a station", async || {
        let query = ObservationQuery {
            station: station(517),
            indicator: None,
            from: None,
            to: None,
            limit: 100,
            after: None,
            newest_first: true,
        };
        store.observations(query).await.unwrap().observations.len()
    })
    .await;
    median("how many observations each station has", async || {
        let stations = store.stations().await.unwrap();
        let counts = stations.iter().map(|station| station.observations);
        usize::try_from(counts.sum::<u64>()).unwrap()
    })
    .await;
}

/// The median of many calls after the first ones.
async fn median(what: &str, mut call: impl AsyncFnMut() -> usize) {
    let mut times = Vec::new();
    let mut found = 0;
    for _ in 0..REPEATED {
        let began = Instant::now();
        found = call().await;
        times.push(began.elapsed());
    }
    times.drain(..3);
    times.sort_unstable();
    let middle = times[times.len() / 2].as_secs_f64() * 1000.0;
    println!("{what}: {middle:.2} ms ({found} found)");
}
