//! The InfluxDB harvester against a real InfluxDB, directly and through a proxy that fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartem_collect::harvest::http::basic;
use smartem_collect::harvest::influxdb::{Influxdb, InfluxdbConfig};
use smartem_etl::{Chain, Clock, ExitCode, Run, RunReport, Site, StoreOutputs, run_once};
use smartem_model::{Hour, QuarantineReason, StationId, Vocabulary};
use smartem_refine::{Catalogue, Definition, ModelSet};
use smartem_simulate::influxd::{Influxd, InfluxdError};
use smartem_store::{Access, QuarantineFilter, Selection, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const HISTORY: StoreOutputs = StoreOutputs {
    raw: true,
    last: false,
};
const BOTH: StoreOutputs = StoreOutputs {
    raw: true,
    last: true,
};
const NOW: &str = "2026-11-22T12:30:00Z";

/// A server with the database `airsenseur`, or word that there is none.
#[expect(clippy::print_stdout, reason = "a skipped test says so aloud")]
fn server(started: Result<Influxd, InfluxdError>) -> Option<Influxd> {
    match started {
        Ok(influxd) => {
            influxd.execute("CREATE DATABASE airsenseur").unwrap();
            Some(influxd)
        }
        Err(error @ InfluxdError::Missing) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

struct Bench {
    _dir: TempDir,
    store: Store,
    now: Timestamp,
    budget: Option<Duration>,
    replay: Option<Selection>,
}

impl Bench {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let now = time(NOW);
        let access = Access::Create { now };
        Self {
            store: Store::open(dir.path(), access).await.unwrap(),
            _dir: dir,
            now,
            budget: None,
            replay: None,
        }
    }

    async fn run_with(&self, config: InfluxdbConfig, takes: StoreOutputs) -> RunReport {
        let process = Chain::new(
            "harvester-influxdb",
            vec![Box::new(Influxdb::new(config).unwrap())],
            takes,
            Arc::new(catalogue()),
            Arc::new(ModelSet::default()),
        );
        let now = self.now;
        let clock: Clock = Arc::new(move || now);
        let (store, stop) = (self.store.clone(), CancellationToken::new());
        let run = Run::new("harvester-influxdb", store, clock, self.budget, stop);
        run_once(&process, run.replaying(self.replay.clone())).await
    }

    /// Stored hours of a station, as the numbers of their days and hours: `1121/10`.
    async fn hours(&self, station: &str) -> Vec<String> {
        let (first, end) = (hour("2026-01-01T00:00:00Z"), hour("2027-01-01T00:00:00Z"));
        let stored = self.store.stored_hours(&id(station), first, end).await;
        let stored = stored.unwrap().into_iter();
        stored
            .map(|hour| {
                let day = hour.day();
                format!("{:02}{:02}/{}", day.month(), day.day(), hour.of_day())
            })
            .collect()
    }

    async fn samples(&self, station: &str, at: &str) -> Vec<Value> {
        let record = self.store.raw_record(&id(station), hour(at)).await;
        let record: Value = serde_json::from_str(&record.unwrap().unwrap().to_json()).unwrap();
        record["data"]["timeseries"].as_array().unwrap().clone()
    }

    async fn open_quarantine(&self) -> Vec<(QuarantineReason, String)> {
        let filter = QuarantineFilter {
            open_only: true,
            limit: 100,
        };
        let entries = self.store.quarantine_list(filter).await.unwrap();
        entries
            .into_iter()
            .map(|entry| (entry.reason, entry.place))
            .collect()
    }
}

fn vocabulary() -> Vocabulary {
    Vocabulary::from_toml(
        include_str!("../../../../vocabulary/indicators.toml"),
        include_str!("../../../../vocabulary/units.toml"),
    )
    .unwrap()
}

fn catalogue() -> Catalogue {
    let airsenseur = include_str!("../../../../devices/ase.toml");
    let mut catalogue = Catalogue::default();
    catalogue.insert(Definition::from_toml(airsenseur, &vocabulary()).unwrap());
    catalogue
}

fn config(url: &str) -> InfluxdbConfig {
    let mut config = InfluxdbConfig::new("test", url.parse().unwrap(), "airsenseur");
    config.http.attempts = 2;
    config.http.backoff = SignedDuration::from_millis(5);
    config.http.timeout = SignedDuration::from_secs(10);
    config.late = SignedDuration::from_hours(48);
    config
}

fn id(text: &str) -> StationId {
    StationId::new(text).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn hour(text: &str) -> Hour {
    Hour::containing(time(text)).unwrap()
}

/// One reading of one sensor, as boxes push it.
fn line(measurement: &str, name: &str, at: &str, value: f64) -> String {
    let nanoseconds = time(at).as_nanosecond();
    format!(
        "{measurement},boardTimeStamp=7,name={name} channel=2,latitude=52.203,longitude=5.103,\
         altitude=12.5,sampleEvaluatedVal={value:?} {nanoseconds}"
    )
}

fn write(influxd: &Influxd, lines: &[String]) {
    let answer = influxd.write("airsenseur", &lines.join("\n")).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);
}

/// A reading of every sensor in each of these hours.
fn write_hours(influxd: &Influxd, measurement: &str, hours: &[&str]) {
    let readings = hours.iter().flat_map(|hour| {
        ["Tempe", "Press", "COA4"]
            .map(|name| line(measurement, name, &format!("{hour}:10:00Z"), 12.5))
    });
    write(influxd, &readings.collect::<Vec<_>>());
}

#[tokio::test]
async fn hours_and_newest_values_come_in_with_a_user_who_may_only_read() {
    let Some(influxd) = server(Influxd::start_with_authentication()) else {
        return;
    };
    for statement in [
        "CREATE USER reader WITH PASSWORD 'se:cret'",
        "GRANT READ ON airsenseur TO reader",
    ] {
        influxd.execute(statement).unwrap();
    }
    write(
        &influxd,
        &[
            line("ASE_NL_01", "Tempe", "2026-11-21T09:10:00Z", 12.5),
            line("ASE_NL_01", "Press", "2026-11-21T09:10:00Z", 1013.25),
            line(
                "ASE_NL_01",
                "Tempe",
                "2026-11-21T09:10:00.120000001Z",
                0.1 + 0.2,
            ),
            line("ASE_NL_01", "Tempe", "2026-11-22T12:20:00Z", 7.0),
            line("ASE_NL_01", "Tempe", "2026-11-22T12:25:00Z", 8.0),
            line("ASE_NL_01", "Press", "2026-11-22T12:24:00Z", 1000.0),
            line("other", "Tempe", "2026-11-21T09:10:00Z", 12.5),
        ],
    );
    let bench = Bench::new().await;
    let mut config = config(&influxd.url());
    config.stations = BTreeMap::from([
        ("ASE_NL_01".to_owned(), "11820001".to_owned()),
        ("ASE_NL_09".to_owned(), "11820009".to_owned()),
    ]);
    let refused = bench.run_with(config.clone(), BOTH).await;
    assert_eq!(refused.exit_code, ExitCode::TryAgain, "{}", refused.summary);

    config.authorization = Some(basic("reader", "se:cret"));
    let report = bench.run_with(config, BOTH).await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    for counted in [
        "measurements_unmapped 1",
        "measurements_missing 1",
        "records_new 1",
    ] {
        assert!(report.summary.contains(counted), "{}", report.summary);
    }
    // The hour under way is not taken, its newest values are.
    assert_eq!(bench.hours("11820001").await, ["1121/10"]);
    let samples = bench.samples("11820001", "2026-11-21T09:00:00Z").await;
    let sample = |name: &str, at: &str, value: f64| {
        json!({"altitude": 12.5, "boardTimeStamp": "7", "channel": 2, "latitude": 52.203, "longitude": 5.103,
            "name": name, "sampleEvaluatedVal": value, "time": at})
    };
    let normal = |value: &Value| {
        let mut value = value.clone();
        value["channel"] = json!(value["channel"].as_f64().unwrap());
        value
    };
    let expected = [
        sample("Press", "2026-11-21T09:10:00Z", 1013.25),
        sample("Tempe", "2026-11-21T09:10:00Z", 12.5),
        sample("Tempe", "2026-11-21T09:10:00.120000001Z", 0.1 + 0.2),
    ];
    assert_eq!(
        samples.iter().map(normal).collect::<Vec<_>>(),
        expected.iter().map(normal).collect::<Vec<_>>()
    );
    let station = bench.store.station(&id("11820001")).await.unwrap().unwrap();
    let last: Vec<(&str, f64)> = station
        .last
        .iter()
        .map(|last| (&*last.indicator, last.value))
        .collect();
    assert_eq!(last, [("pressure", 1000.0), ("temperature", 8.0)]);
}

#[tokio::test]
async fn d_035_d_036_gaps_of_any_length_and_whole_seconds_hold_nothing_up() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    // Weeks, months, and one point of a clock that stood at its beginning.
    let hours = [
        "2026-01-05T23",
        "2026-06-01T00",
        "2026-11-01T10",
        "2026-11-22T11",
    ];
    write_hours(
        &influxd,
        "box one,\"1\"".replace([' ', ','], "_").as_str(),
        &hours,
    );
    let measurement = r#"box_one_"1""#;
    write(
        &influxd,
        &[line(measurement, "Tempe", "1970-01-01T00:00:00Z", 1.0)],
    );
    write(
        &influxd,
        &[line(measurement, "Tempe", "2100-01-01T00:00:00Z", 1.0)],
    );
    let bench = Bench::new().await;
    let proxy = Proxy::start(&influxd).await;
    let report = bench.run_with(config(&proxy.url), HISTORY).await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    assert!(
        report.summary.contains("records_new 5"),
        "{}",
        report.summary
    );
    assert_eq!(
        bench.hours(measurement).await,
        ["0105/24", "0601/1", "1101/11", "1122/12"]
    );
    assert!(proxy.asked("") < 25, "{}", proxy.asked(""));
    // Nothing new is few questions, and the fresh hour once more.
    let before = proxy.asked("");
    let report = bench.run_with(config(&proxy.url), HISTORY).await;
    assert!(
        report
            .summary
            .contains("records_read 1, records_unchanged 1"),
        "{}",
        report.summary
    );
    assert!(
        proxy.asked("") - before <= 5,
        "{}",
        proxy.asked("") - before
    );
}

#[tokio::test]
async fn what_grows_comes_late_or_was_kept_for_weeks_is_found() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    write_hours(
        &influxd,
        "a",
        &["2026-11-21T10", "2026-11-22T10", "2026-11-22T12"],
    );
    write_hours(&influxd, "b", &["2026-10-01T10"]);
    let mut bench = Bench::new().await;
    let run = async |bench: &Bench| {
        bench
            .run_with(config(&influxd.url()), HISTORY)
            .await
            .summary
    };
    let first = run(&bench).await;
    assert!(first.contains("records_new 3"), "{first}");
    assert_eq!(bench.hours("a").await, ["1121/11", "1122/11"]);

    // An hour of yesterday grows by the rest that a box had kept, another one appears.
    write(&influxd, &[line("a", "Tempe", "2026-11-21T10:50:00Z", 3.0)]);
    write_hours(&influxd, "a", &["2026-11-21T20"]);
    // A box that was without connection for seven weeks sends what it kept.
    write_hours(&influxd, "b", &["2026-10-01T12", "2026-11-10T00"]);
    let second = run(&bench).await;
    assert!(
        second.contains("records_changed 1, records_new 3"),
        "{second}"
    );
    assert_eq!(bench.hours("a").await, ["1121/11", "1121/21", "1122/11"]);
    assert_eq!(bench.hours("b").await, ["1001/11", "1001/13", "1110/1"]);
    assert_eq!(bench.samples("a", "2026-11-21T10:00:00Z").await.len(), 4);

    // A value that is replaced changes no count; a fresh hour is read again all the same.
    write(&influxd, &[line("a", "Tempe", "2026-11-22T12:10:00Z", 4.0)]);
    bench.now = time("2026-11-22T13:02:00Z");
    run(&bench).await;
    write(&influxd, &[line("a", "Tempe", "2026-11-22T12:10:00Z", 5.0)]);
    let replaced = run(&bench).await;
    assert!(replaced.contains("records_changed 1"), "{replaced}");
    let idle = run(&bench).await;
    assert!(
        !idle.contains("records_changed") && !idle.contains("records_new"),
        "{idle}"
    );

    // Settled hours are left alone, until they are asked for.
    write(&influxd, &[line("a", "Tempe", "2026-11-21T10:51:00Z", 3.0)]);
    bench.now = time("2026-11-25T13:02:00Z");
    write_hours(&influxd, "a", &["2026-11-25T10"]);
    let late = run(&bench).await;
    assert!(
        late.contains("records_changed 1"),
        "not settled when it grew: {late}"
    );
    write(&influxd, &[line("a", "Tempe", "2026-11-21T10:52:00Z", 3.0)]);
    let settled = run(&bench).await;
    assert!(!settled.contains("records_changed"), "{settled}");
    bench.replay = Some(Selection::default());
    let replayed = run(&bench).await;
    assert!(replayed.contains("records_changed 1"), "{replayed}");
    assert_eq!(bench.samples("a", "2026-11-21T10:00:00Z").await.len(), 6);
}

#[tokio::test]
async fn d_037_a_measurement_that_fails_stops_none_of_the_others() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    for measurement in ["a", "b", "c", "d"] {
        write_hours(&influxd, measurement, &["2026-11-20T10", "2026-11-21T10"]);
    }
    let bench = Bench::new().await;
    let proxy = Proxy::start(&influxd).await;
    let shards = r#"{"results":[{"statement_id":0,"error":"shard 3 is disabled"}]}"#;
    proxy.fail("FROM \"a\"", 500, "");
    proxy.fail("SELECT * FROM \"b\"", 200, shards);
    // Half of an answer that came whole.
    let at = time("2026-11-20T10:00:00Z").as_nanosecond();
    proxy.fail(
        &format!("SELECT * FROM \"c\" WHERE time >= {at}"),
        200,
        r#"{"results":[{"#,
    );
    let report = bench.run_with(config(&proxy.url), HISTORY).await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    assert!(
        report.summary.contains("stations_unreachable 2"),
        "{}",
        report.summary
    );
    assert_eq!(bench.hours("d").await, ["1120/11", "1121/11"]);
    assert_eq!(bench.hours("c").await, ["1121/11"]);
    let place = (
        QuarantineReason::MalformedRecord,
        "/c/2026-11-20/11".to_owned(),
    );
    assert_eq!(bench.open_quarantine().await, [place]);

    proxy.heal();
    let report = bench.run_with(config(&proxy.url), HISTORY).await;
    assert!(
        report.summary.contains("quarantine_resolved 1"),
        "{}",
        report.summary
    );
    assert_eq!(bench.open_quarantine().await, []);
    for measurement in ["a", "b", "c", "d"] {
        assert_eq!(bench.hours(measurement).await, ["1120/11", "1121/11"]);
    }
}

#[tokio::test]
async fn a_settled_hour_in_quarantine_stays_wanted() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    write_hours(&influxd, "a", &["2026-03-01T10", "2026-11-21T10"]);
    let bench = Bench::new().await;
    let proxy = Proxy::start(&influxd).await;
    let at = time("2026-03-01T10:00:00Z").as_nanosecond();
    let statement = format!(
        "SELECT * FROM \"a\" WHERE time >= {at} AND time < {}",
        at + 3_600_000_000_000
    );
    proxy.fail(&statement, 200, "no JSON");
    for _ in 0..2 {
        bench.run_with(config(&proxy.url), HISTORY).await;
        assert_eq!(bench.hours("a").await, ["1121/11"]);
    }
    proxy.heal();
    bench.run_with(config(&proxy.url), HISTORY).await;
    assert_eq!(bench.hours("a").await, ["0301/11", "1121/11"]);
    assert_eq!(bench.open_quarantine().await, []);
}

#[tokio::test]
async fn a_source_that_is_away_or_has_no_such_database_is_told() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    let bench = Bench::new().await;
    let away = bench.run_with(config("http://127.0.0.1:9"), BOTH).await;
    assert_eq!(away.exit_code, ExitCode::TryAgain, "{}", away.summary);
    let mut other = config(&influxd.url());
    other.database = "other".to_owned();
    other.stations = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    // Nothing of what was asked for is there: a person has to look, and nothing is settled.
    let none = bench.run_with(other, BOTH).await;
    assert_eq!(none.exit_code, ExitCode::TryAgain, "{}", none.summary);
}

#[tokio::test]
async fn a_spent_budget_ends_in_order_and_many_runs_give_what_one_gives() {
    let Some(influxd) = server(Influxd::start()) else {
        return;
    };
    let days: Vec<String> = (1..=20).map(|day| format!("2026-11-{day:02}")).collect();
    let hours: Vec<String> = days
        .iter()
        .flat_map(|day| (0..24).map(move |hour| format!("{day}T{hour:02}")))
        .collect();
    let hours: Vec<&str> = hours.iter().map(String::as_str).collect();
    for measurement in ["a", "b", "c"] {
        write_hours(&influxd, measurement, &hours);
    }
    let whole = Bench::new().await;
    whole.run_with(config(&influxd.url()), HISTORY).await;
    assert_eq!(whole.hours("a").await.len(), 480);

    let mut bench = Bench::new().await;
    bench.budget = Some(Duration::from_millis(250));
    let mut runs = 0;
    loop {
        let report = bench.run_with(config(&influxd.url()), HISTORY).await;
        assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
        runs += 1;
        if report.summary.contains(": done") {
            break;
        }
        assert!(
            report.summary.contains("budget_spent"),
            "{}",
            report.summary
        );
        assert!(runs < 300, "no progress: {}", report.summary);
    }
    assert!(runs > 1, "one run did it all");
    for station in ["a", "b", "c"] {
        assert_eq!(bench.hours(station).await, whole.hours(station).await);
        let at = "2026-11-07T13:00:00Z";
        assert_eq!(
            bench.samples(station, at).await,
            whole.samples(station, at).await
        );
    }
}

#[tokio::test]
async fn the_example_can_be_built_and_wrong_settings_are_explained() {
    let folder = TempDir::new().unwrap();
    let site = Site {
        process: "harvester-influxdb".to_owned(),
        folder: folder.path().to_owned(),
        catalogue: Arc::new(catalogue()),
        vocabulary: Arc::new(vocabulary()),
    };
    let kind = smartem_collect::harvest::influxdb::kind();
    let example: toml::Table = kind.about.example.parse().unwrap();
    let source = &example["process"]["harvester-influxdb"]["source"][0];
    let good = source.as_table().unwrap().clone();
    kind.build(good.clone(), &site).unwrap();
    for (more, told) in [
        (r#"username = "u""#, "give `username` and `password_file`"),
        (r#"url = "http://u:secret@host""#, "`url`: write the user"),
        (r#"station_type = "asse""#, "no definition of `asse`"),
        (
            r#"stations = { a = "1", b = "1" }"#,
            "two measurements are station `1`",
        ),
        (r#"stations = { a = "" }"#, "must not be empty"),
        (r#"datbase = "d""#, "did you mean `database`?"),
    ] {
        let mut settings = good.clone();
        settings.extend(more.parse::<toml::Table>().unwrap());
        let refused = kind.build(settings, &site).err().unwrap().to_string();
        assert!(refused.contains(told), "{refused}");
        assert!(!refused.contains("secret"), "{refused}");
    }
    for setting in kind.settings() {
        assert!(!setting.text.is_empty(), "`{}` says nothing", setting.name);
    }
}

/// Stands before a server and fails some of its queries.
#[derive(Clone)]
struct Proxy {
    url: String,
    state: Arc<Mutex<ProxyState>>,
}

#[derive(Default)]
struct ProxyState {
    target: String,
    /// Queries with this text have this status and body.
    failing: Vec<(String, u16, String)>,
    asked: Vec<String>,
}

impl Proxy {
    async fn start(influxd: &Influxd) -> Self {
        let state = Arc::new(Mutex::new(ProxyState {
            target: influxd.url(),
            ..ProxyState::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state }
    }

    fn fail(&self, text: &str, status: u16, body: &str) {
        let failure = (text.to_owned(), status, body.to_owned());
        self.state.lock().unwrap().failing.push(failure);
    }

    fn heal(&self) {
        self.state.lock().unwrap().failing.clear();
    }

    /// How many queries had this text.
    fn asked(&self, text: &str) -> usize {
        let state = self.state.lock().unwrap();
        state
            .asked
            .iter()
            .filter(|query| query.contains(text))
            .count()
    }
}

async fn pass_on(State(state): State<Arc<Mutex<ProxyState>>>, request: Request) -> Response<Body> {
    let mut target = String::new();
    let failing = {
        let mut state = state.lock().unwrap();
        write!(target, "{}{}", state.target, request.uri()).unwrap();
        let url: url::Url = target.parse().unwrap();
        let query = url.query_pairs().find(|(name, _)| name == "q").unwrap().1;
        state.asked.push(query.to_string());
        let mut failing = state.failing.iter();
        failing.find(|(text, ..)| query.contains(text)).cloned()
    };
    let (status, body) = if let Some((_, status, body)) = failing {
        (status, body.into_bytes())
    } else {
        let answer = reqwest::get(target).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.bytes().await.unwrap().to_vec())
    };
    Response::builder()
        .status(status)
        .body(Body::from(body))
        .unwrap()
}
