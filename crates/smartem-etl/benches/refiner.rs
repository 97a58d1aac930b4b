//! From the store into the store: how many station-hours a second the refiner does, with commits.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use jiff::civil::Date;
use smartem_etl::{ExitCode, Refiner, RefinerSettings, Run, run_once};
use smartem_model::raw::RawRecord;
use smartem_model::{StationId, Vocabulary};
use smartem_refine::{Catalogue, Definition, ModelSet};
use smartem_store::{Access, Intake, ReceivedRecord, Store};
use tokio_util::sync::CancellationToken;

const STATIONS: usize = 12;
const DAYS: usize = 7;
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn main() {
    divan::main();
}

/// The recorded hour, where the sample data lies beside the repository, else one of its shape.
fn hour_text() -> String {
    let recorded = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/samples/whale/timeseries-hour.json"
    );
    std::fs::read_to_string(recorded).unwrap_or_else(|_| made_up())
}

fn made_up() -> String {
    let mut text =
        String::from(r#"{"id": "23", "date": "2016-01-08", "hour": 23, "timeseries": ["#);
    for sample in 0..198 {
        let comma = if sample == 0 { "" } else { "," };
        let (minute, second) = (sample * 18 / 60, sample * 18 % 60);
        let _ = write!(
            text,
            r#"{comma}{{"_id":"569031661b1580258c{sample:06}","time":"2016-01-08T22:{minute:02}:{second:02}.757Z",
             "s_longitude":5914078,"s_latitude":53949969,"s_temperatureambient":29{sample:04},
             "s_humidity":45{sample:03},"s_barometer":100{sample:03},"s_co2":410{sample:03}"#,
        );
        for n in 0..80 {
            let _ = write!(text, r#","p_{n}":17{sample:05}"#);
        }
        text.push('}');
    }
    text.push_str("]}");
    text
}

/// The same hour as if another station had sent it at another time.
fn record(text: &str, station: usize, day: Date, hour: usize) -> RawRecord {
    let text = text
        .replace("2016-01-08T22:", &format!("{day}T{hour:02}:"))
        .replacen("2016-01-08", &day.to_string(), 1)
        .replacen(r#""id": "23""#, &format!(r#""id": "{station}""#), 1)
        .replacen(r#""hour": 23"#, &format!(r#""hour": {}"#, hour + 1), 1);
    RawRecord::from_json(&text, &|_| true).unwrap()
}

struct Bench {
    runtime: tokio::runtime::Runtime,
    store: Store,
    stations: Vec<StationId>,
    catalogue: Arc<Catalogue>,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let open = Store::open(dir.path(), Access::Create { now: NOW });
        let store = runtime.block_on(open).unwrap();
        let text = hour_text();
        let mut stations = Vec::new();
        for station in 1..=STATIONS {
            let records: Vec<ReceivedRecord> = Date::constant(2016, 1, 1)
                .series(jiff::Span::new().days(1))
                .take(DAYS)
                .flat_map(|day| (0..24).map(move |hour| (day, hour)))
                .map(|(day, hour)| ReceivedRecord {
                    standing: smartem_store::Standing::Whole,
                    place: format!("https://example.org/{station}/{day}/{hour}"),
                    record: record(&text, station, day, hour),
                })
                .collect();
            stations.push(records[0].record.station.clone());
            let intake = Intake {
                process: "harvester-whale".into(),
                source: "intemo".into(),
                network: "josene".into(),
                project: None,
                now: NOW,
                records,
                quarantined: Vec::new(),
                understood: Vec::new(),
                checkpoints: Vec::new(),
            };
            let report = runtime.block_on(store.take_in(intake)).unwrap();
            assert_eq!(report.new, (DAYS * 24) as u64);
        }
        let vocabulary = include_str!("../../../vocabulary/indicators.toml");
        let units = include_str!("../../../vocabulary/units.toml");
        let vocabulary = Vocabulary::from_toml(vocabulary, units).unwrap();
        let josene = include_str!("../../../devices/jose.toml");
        let mut catalogue = Catalogue::default();
        catalogue.insert(Definition::from_toml(josene, &vocabulary).unwrap());
        Self {
            runtime,
            store,
            stations,
            catalogue: Arc::new(catalogue),
            _dir: dir,
        }
    }

    /// Makes all hours work again: their coverage depends on the cadence.
    fn mark(&self, cadence: f64) {
        for station in &self.stations {
            let describe = self.store.describe_station(station, None, Some(cadence));
            self.runtime.block_on(describe).unwrap();
        }
    }

    fn refine(&self, settings: RefinerSettings) {
        let models = Arc::new(ModelSet::default());
        let refiner = Refiner::new(self.catalogue.clone(), models, settings);
        let run = Run::new(
            "refiner",
            self.store.clone(),
            Arc::new(|| NOW),
            None,
            CancellationToken::new(),
        );
        let report = self.runtime.block_on(run_once(&refiner, run));
        assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    }
}

/// Stations at the same time, hours in a transaction.
#[divan::bench(
    args = [(1, 24), (2, 24), (3, 24), (3, 168)],
    sample_count = 5,
    sample_size = 1
)]
fn refine_again(bencher: Bencher<'_, '_>, (parallel, batch_hours): (usize, usize)) {
    let bench = Bench::new();
    let settings = RefinerSettings {
        parallel: NonZeroUsize::new(parallel).unwrap(),
        batch_hours: NonZeroUsize::new(batch_hours).unwrap(),
        ..RefinerSettings::default()
    };
    bench.refine(settings);
    let mut cadence = 11.0;
    bencher
        .counter(ItemsCount::new(STATIONS * DAYS * 24))
        .with_inputs(|| {
            cadence += 1.0;
            bench.mark(cadence);
        })
        .bench_local_values(|()| bench.refine(settings));
}
