//! How fast records are taken in, given out and committed, in batches of one transaction.

#![expect(clippy::unwrap_used, reason = "a bench")]

mod hours;

use std::cell::Cell;

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use jiff::civil::Date;
use smartem_model::raw::RawRecord;
use smartem_model::{Observation, Position, PositionSource, Quality, StationId};
use smartem_store::{
    Access, Columns, CommitRefined, DEFAULT_MOVE_M, Intake, ObservationQuery, ReceivedRecord,
    RefinedHour, StationWork, Store,
};
use tokio::runtime::Runtime;

/// Hours in a transaction.
const BATCH: usize = 100;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn main() {
    divan::main();
}

/// A store in a folder of its own.
struct Bench {
    runtime: Runtime,
    store: Store,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = runtime
            .block_on(Store::open(dir.path(), Access::Create { now: NOW }))
            .unwrap();
        Self {
            runtime,
            store,
            _dir: dir,
        }
    }

    fn take_in(&self, records: Vec<RawRecord>) {
        let records = records.into_iter().map(|record| ReceivedRecord {
            standing: smartem_store::Standing::Whole,
            place: format!(
                "https://example.org/sensors/v1/devices/23/{:?}",
                record.time
            ),
            record,
        });
        let intake = Intake {
            process: "harvester-whale".into(),
            source: "intemo".into(),
            network: "josene".into(),
            project: None,
            now: NOW,
            records: records.collect(),
            quarantined: Vec::new(),
            understood: Vec::new(),
            checkpoints: vec![("23".into(), 1.into())],
        };
        self.runtime.block_on(self.store.take_in(intake)).unwrap();
    }

    fn work(&self) -> StationWork {
        let station = station();
        let work = self
            .store
            .work(&station, BATCH, Columns::All, smartem_store::Growing::No);
        self.runtime.block_on(work).unwrap().unwrap()
    }

    fn commit(&self, commit: CommitRefined) {
        self.runtime
            .block_on(self.store.commit_refined(commit))
            .unwrap();
    }
}

fn station() -> StationId {
    StationId::new("23").unwrap()
}

/// The next hours of the station.
fn batch(next: &Cell<i64>) -> Vec<RawRecord> {
    let first = Date::constant(2016, 1, 1);
    let hours = (0..BATCH).map(|_| {
        let n = next.replace(next.get() + 1);
        let day = first.saturating_add(jiff::Span::new().days(n / 24));
        hours::made_up(&day.to_string(), n % 24 + 1, n)
    });
    hours.collect()
}

fn refined(work: &StationWork) -> CommitRefined {
    let location = Position::horizontal(5.86, 51.84).unwrap();
    let hours = work.hours.iter().map(|hour| {
        let observations = (0..12).map(|n| Observation {
            station: work.station.id.clone(),
            station_type: work.station.station_type.clone(),
            indicator: format!("indicator{n}").into(),
            label: "Label".into(),
            unit: "ug/m3".into(),
            phenomenon_time: hour.hour.period(),
            value: 1.0 / f64::from(n + 3),
            min: 0.1,
            max: 99.9,
            raw: Some(12345.6),
            raw_unit: Some("Ohm".into()),
            accepted_count: 180,
            rejected_count: 2,
            quality: Quality {
                fraction: 180.0 / 182.0,
                coverage: Some(0.97),
                flags: Vec::new(),
            },
            location,
            sensor: "no2-S27".into(),
            definition: "jose/1".into(),
            model: Some("ann-2018".into()),
        });
        RefinedHour {
            hour: hour.hour,
            revision: hour.revision,
            observations: observations.collect(),
            rejections: Vec::new(),
            state: format!(r#"{{"smoothing":{{"time":"{}","value":1.5}}}}"#, hour.hour),
            position: Some((location, PositionSource::Fix)),
            station_altitude: false,
            quarantine: None,
        }
    });
    CommitRefined {
        process: "refiner".into(),
        now: NOW,
        station: work.station.id.clone(),
        move_m: DEFAULT_MOVE_M,
        hours: hours.collect(),
    }
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn take_in(bencher: Bencher<'_, '_>) {
    let (bench, next) = (Bench::new(), Cell::new(0));
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| batch(&next))
        .bench_local_values(|records| bench.take_in(records));
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn take_in_unchanged(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    let records = batch(&Cell::new(0));
    bench.take_in(records.clone());
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| records.clone())
        .bench_local_values(|records| bench.take_in(records));
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn work(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.take_in(batch(&Cell::new(0)));
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| bench.work());
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn commit(bencher: Bencher<'_, '_>) {
    let (bench, next) = (Bench::new(), Cell::new(0));
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| {
            bench.take_in(batch(&next));
            refined(&bench.work())
        })
        .bench_local_values(|refined| bench.commit(refined));
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn commit_again(bencher: Bencher<'_, '_>) {
    let bench = Bench::new();
    bench.take_in(batch(&Cell::new(0)));
    bench.commit(refined(&bench.work()));
    let cadence = Cell::new(1.0);
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| {
            // Another cadence makes all hours work again.
            cadence.set(cadence.get() + 1.0);
            let station = station();
            let describe = bench
                .store
                .describe_station(&station, None, Some(cadence.get()));
            bench.runtime.block_on(describe).unwrap();
            refined(&bench.work())
        })
        .bench_local_values(|refined| bench.commit(refined));
}

#[divan::bench(sample_count = 40, sample_size = 1)]
fn newest_observations(bencher: Bencher<'_, '_>) {
    let (bench, next) = (Bench::new(), Cell::new(0));
    for _ in 0..10 {
        bench.take_in(batch(&next));
        bench.commit(refined(&bench.work()));
    }
    bencher
        .counter(ItemsCount::new(1000_usize))
        .bench_local(|| {
            let query = ObservationQuery::newest(station(), 1000);
            bench
                .runtime
                .block_on(bench.store.observations(query))
                .unwrap()
        });
}
