//! A simulated remote over a real connection, a store, and a clock that a test sets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_etl::{Chain, Clock, Input, Run, RunReport, StoreOutputs, run_once};
use smartem_model::{Hour, Observation, StationId, Vocabulary};
use smartem_refine::{Catalogue, Definition, ModelSet, StationFacts, refine};
use smartem_store::{Access, QuarantineFilter, Selection, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Hours and newest values, as the process under test takes them.
pub(crate) const HOURS: StoreOutputs = StoreOutputs {
    raw: true,
    last: false,
};
pub(crate) const LAST: StoreOutputs = StoreOutputs {
    raw: false,
    last: true,
};

const DEFINITIONS: [&str; 3] = [
    include_str!("../../../../devices/reference.toml"),
    include_str!("../../../../devices/sensebox.toml"),
    include_str!("../../../../devices/vanilla.toml"),
];

/// How the remote misbehaves.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Status(u16),
    Body(&'static str),
}

#[derive(Default)]
struct Wire {
    /// Path and query of all requests.
    asked: Vec<String>,
    /// Paths that hold this text get that.
    faults: Vec<(String, Fault)>,
    /// Ends the run at this request.
    stop_at: Option<(usize, CancellationToken)>,
}

/// The wire between a harvester and its remote.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<Wire>>);

impl Tap {
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    pub(crate) fn fail(&self, part: &str, fault: Fault) {
        self.0.lock().unwrap().faults.push((part.to_owned(), fault));
    }

    pub(crate) fn mend(&self) {
        self.0.lock().unwrap().faults.clear();
    }

    async fn pass(State(tap): State<Self>, request: Request, next: Next) -> Response<Body> {
        let path = request.uri().to_string();
        let fault = {
            let mut wire = tap.0.lock().unwrap();
            wire.asked.push(path.clone());
            if let Some((at, stop)) = &wire.stop_at
                && wire.asked.len() >= *at
            {
                stop.cancel();
            }
            let mut faults = wire.faults.iter();
            let found = faults.find(|(part, _)| path.contains(part.as_str()));
            found.map(|(_, fault)| fault.clone())
        };
        match fault {
            Some(Fault::Status(code)) => Response::builder()
                .status(StatusCode::from_u16(code).unwrap())
                .body(Body::empty())
                .unwrap(),
            Some(Fault::Body(text)) => Response::new(Body::from(text)),
            None => next.run(request).await,
        }
    }
}

pub(crate) struct Network {
    dir: TempDir,
    pub store: Store,
    pub tap: Tap,
    pub url: Url,
    now: Arc<Mutex<Timestamp>>,
    process: &'static str,
    pub replay: Option<Selection>,
}

pub(crate) fn vocabulary() -> Vocabulary {
    Vocabulary::from_toml(
        include_str!("../../../../vocabulary/indicators.toml"),
        include_str!("../../../../vocabulary/units.toml"),
    )
    .unwrap()
}

pub(crate) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::default();
    for text in DEFINITIONS {
        catalogue.insert(Definition::from_toml(text, &vocabulary()).unwrap());
    }
    catalogue
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn station(text: &str) -> StationId {
    StationId::new(text).unwrap()
}

impl Network {
    /// A remote that is made of a clock, with its base address at `below`.
    pub(crate) async fn start(
        process: &'static str,
        now: &str,
        below: &str,
        make: impl FnOnce(Clock) -> Router,
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let now = Arc::new(Mutex::new(at(now)));
        let moment = *now.lock().unwrap();
        let store = Store::open(dir.path(), Access::Create { now: moment })
            .await
            .unwrap();
        let told = now.clone();
        let clock: Clock = Arc::new(move || *told.lock().unwrap());
        let tap = Tap::default();
        let router = make(clock).layer(from_fn_with_state(tap.clone(), Tap::pass));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}{below}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            dir,
            store,
            tap,
            url: url.parse().unwrap(),
            now,
            process,
            replay: None,
        }
    }

    pub(crate) fn set(&self, now: &str) {
        *self.now.lock().unwrap() = at(now);
    }

    pub(crate) fn pass_time(&self, minutes: i64) {
        let mut now = self.now.lock().unwrap();
        *now += SignedDuration::from_mins(minutes);
    }

    pub(crate) fn time(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    /// An empty store in place of the one that is there.
    pub(crate) async fn forget(&mut self) {
        self.dir = TempDir::new().unwrap();
        let now = self.time();
        self.store = Store::open(self.dir.path(), Access::Create { now })
            .await
            .unwrap();
    }

    pub(crate) async fn run(&self, input: impl Input + 'static, takes: StoreOutputs) -> RunReport {
        self.run_with(input, takes, None, CancellationToken::new())
            .await
    }

    /// A run that is stopped at the so manieth request.
    pub(crate) async fn run_until(
        &self,
        request: usize,
        input: impl Input + 'static,
        takes: StoreOutputs,
    ) -> RunReport {
        let stop = CancellationToken::new();
        self.tap.0.lock().unwrap().asked.clear();
        self.tap.0.lock().unwrap().stop_at = Some((request, stop.clone()));
        let report = self.run_with(input, takes, None, stop).await;
        self.tap.0.lock().unwrap().stop_at = None;
        report
    }

    async fn run_with(
        &self,
        input: impl Input + 'static,
        takes: StoreOutputs,
        budget: Option<Duration>,
        stop: CancellationToken,
    ) -> RunReport {
        let process = Chain::new(
            self.process,
            vec![Box::new(input)],
            takes,
            Arc::new(catalogue()),
            Arc::new(ModelSet::default()),
        );
        let told = self.now.clone();
        let clock: Clock = Arc::new(move || *told.lock().unwrap());
        let run = Run::new(self.process, self.store.clone(), clock, budget, stop)
            .replaying(self.replay.clone());
        run_once(&process, run).await
    }

    /// All hours of all stations in these hours, as text.
    pub(crate) async fn hours(&self, from: &str, to: &str) -> BTreeMap<String, String> {
        let [from, to] = [from, to].map(|text| Hour::containing(at(text)).unwrap());
        let mut all = BTreeMap::new();
        for known in self.store.stations().await.unwrap() {
            for hour in self.store.stored_hours(&known.id, from, to).await.unwrap() {
                let record = self
                    .store
                    .raw_record(&known.id, hour)
                    .await
                    .unwrap()
                    .unwrap();
                all.insert(format!("{} {hour}", known.id), record.to_json());
            }
        }
        all
    }

    /// The samples of an hour that starts then.
    pub(crate) async fn samples(&self, id: &str, start: &str) -> Vec<Value> {
        let hour = Hour::containing(at(start)).unwrap();
        let record = self.store.raw_record(&station(id), hour).await.unwrap();
        let Some(record) = record else {
            return Vec::new();
        };
        let document: Value = serde_json::from_str(&record.to_json()).unwrap();
        document["data"]["timeseries"].as_array().unwrap().clone()
    }

    /// What refining makes of an hour.
    pub(crate) async fn refined(&self, id: &str, start: &str) -> Vec<Observation> {
        let hour = Hour::containing(at(start)).unwrap();
        let record = self
            .store
            .raw_record(&station(id), hour)
            .await
            .unwrap()
            .unwrap();
        let catalogue = catalogue();
        let definition = catalogue.get(&record.station_type).unwrap();
        let facts = StationFacts {
            cadence_s: definition.cadence_s,
            ..StationFacts::default()
        };
        let models = ModelSet::default();
        let refined = refine(&record, definition, &models, &Value::Null, &facts, None);
        assert_eq!(refined.quarantine, None);
        assert!(refined.rejected.is_empty(), "{:?}", refined.rejected);
        refined.observations
    }

    /// Places and details of open quarantine entries.
    pub(crate) async fn set_aside(&self) -> Vec<(String, String)> {
        let filter = QuarantineFilter {
            open_only: true,
            limit: 100,
        };
        let entries = self.store.quarantine_list(filter).await.unwrap();
        let mut all: Vec<_> = entries
            .into_iter()
            .map(|entry| (entry.place, entry.detail))
            .collect();
        all.sort();
        all
    }
}

/// Tells the first difference, not everything.
pub(crate) fn assert_same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>) {
    let missing: Vec<_> = expected
        .keys()
        .filter(|hour| !found.contains_key(*hour))
        .collect();
    let surplus: Vec<_> = found
        .keys()
        .filter(|hour| !expected.contains_key(*hour))
        .collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:?}, surplus {surplus:?}"
    );
    for (hour, text) in expected {
        assert_eq!(&found[hour], text, "{hour}");
    }
}
