use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_collect::harvest::whale::{Whale, WhaleConfig};
use smartem_etl::{Chain, Clock, ExitCode, Run, RunReport, StoreOutputs, run_once};
use smartem_model::{Hour, QuarantineReason, StationId, Vocabulary};
use smartem_refine::{Catalogue, Definition, ModelSet};
use smartem_store::{Access, QuarantineFilter, Store};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::remote::{Remote, Reply};

const HISTORY: StoreOutputs = StoreOutputs {
    raw: true,
    last: false,
};
const LAST: StoreOutputs = StoreOutputs {
    raw: false,
    last: true,
};
pub(crate) const BOTH: StoreOutputs = StoreOutputs {
    raw: true,
    last: true,
};
const NOW: &str = "2026-11-22T12:30:00Z";

/// Runs the harvester once.
pub(crate) async fn harvest(
    store: &Store,
    config: WhaleConfig,
    takes: StoreOutputs,
    now: Timestamp,
    budget: Option<Duration>,
) -> RunReport {
    let vocabulary = Vocabulary::from_toml(
        include_str!("../../../../vocabulary/indicators.toml"),
        include_str!("../../../../vocabulary/units.toml"),
    )
    .unwrap();
    let josene = include_str!("../../../../devices/jose.toml");
    let mut catalogue = Catalogue::default();
    catalogue.insert(Definition::from_toml(josene, &vocabulary).unwrap());
    let input = Whale::new(config).unwrap();
    let process = Chain::new(
        "harvester-whale",
        vec![Box::new(input)],
        takes,
        Arc::new(catalogue),
        Arc::new(ModelSet::default()),
    );
    let clock: Clock = Arc::new(move || now);
    let stop = CancellationToken::new();
    let run = Run::new("harvester-whale", store.clone(), clock, budget, stop);
    run_once(&process, run).await
}

/// A station with its days and their hours.
type Listed<'a> = (&'a str, &'a [(&'a str, &'a [i64])]);

struct Bench {
    _dir: TempDir,
    store: Store,
    remote: Remote,
    now: Timestamp,
    budget: Option<Duration>,
}

impl Bench {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let now = NOW.parse().unwrap();
        let store = Store::open(dir.path(), Access::Create { now })
            .await
            .unwrap();
        Self {
            _dir: dir,
            store,
            remote: Remote::start().await,
            now,
            budget: None,
        }
    }

    fn config(&self) -> WhaleConfig {
        let mut config = WhaleConfig::new("test", self.remote.url.clone());
        config.http.attempts = 2;
        config.http.timeout = jiff::SignedDuration::from_secs(5);
        config
    }

    async fn run_with(&self, config: WhaleConfig, takes: StoreOutputs) -> RunReport {
        harvest(&self.store, config, takes, self.now, self.budget).await
    }

    async fn run(&self) -> RunReport {
        self.run_with(self.config(), BOTH).await
    }

    /// Hours of a station's day that are stored.
    async fn hours(&self, station: &str, day: &str) -> Vec<i64> {
        let day: jiff::civil::Date = day.parse().unwrap();
        let (first, last) = (Hour::new(day, 1).unwrap(), Hour::new(day, 24).unwrap());
        // The end of the range is not part of it.
        let end = Hour::from_index(last.index() + 1).unwrap();
        let stored = self
            .store
            .stored_hours(&id(station), first, end)
            .await
            .unwrap();
        stored.into_iter().map(Hour::of_day).collect()
    }

    /// Reasons and places of open quarantine entries.
    async fn open_quarantine(&self) -> Vec<(QuarantineReason, String)> {
        let filter = QuarantineFilter {
            open_only: true,
            limit: 100,
        };
        let entries = self.store.quarantine_list(filter).await.unwrap();
        let mut found: Vec<(QuarantineReason, String)> = entries
            .into_iter()
            .map(|entry| {
                (
                    entry.reason,
                    entry.place.rsplit('/').next().unwrap().to_owned(),
                )
            })
            .collect();
        found.sort();
        found
    }

    /// Lists devices, their days and the hours of each.
    fn list(&self, stations: &[Listed<'_>]) {
        let devices: Vec<String> = stations
            .iter()
            .map(|(id, _)| format!("/sensors/v1/devices/{id}"))
            .collect();
        self.remote.json("/devices", &json!({ "devices": devices }));
        for (id, days) in stations {
            let paths: Vec<String> = days
                .iter()
                .map(|(day, _)| format!("/sensors/v1/devices/{id}/timeseries/{day}"))
                .collect();
            self.remote.json(
                &format!("/devices/{id}/timeseries"),
                &json!({"id": id, "days": paths}),
            );
            for (day, hours) in *days {
                let path = format!("/devices/{id}/timeseries/{day}");
                self.remote.json(&path, &json!({"id": id, "hours": hours}));
                for hour in *hours {
                    self.remote.json(
                        &format!("{path}/{hour}"),
                        &hour_body(id, day, *hour, 20_000),
                    );
                }
            }
        }
    }
}

fn id(text: &str) -> StationId {
    StationId::new(text).unwrap()
}

fn hour_body(station: &str, day: &str, hour: i64, co2: i64) -> Value {
    let date = format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]);
    let time = format!("{date}T{:02}:10:00Z", (hour - 1).rem_euclid(24));
    json!({"id": station, "date": date, "hour": hour, "timeseries": [
        {"_id": "a", "id": 1, "time": time, "s_co2": co2, "s_longitude": 5_914_103, "s_latitude": 53_949_937}]})
}

#[tokio::test]
async fn d_033_malformed_hours_are_quarantined_and_their_neighbours_taken() {
    let bench = Bench::new().await;
    bench.list(&[("23", &[("20261120", &[1, 2, 3, 4, 5, 6, 7, 25])])]);
    let path = "/devices/23/timeseries/20261120";
    let whole = hour_body("23", "20261120", 2, 1).to_string();
    bench
        .remote
        .json(&format!("{path}/2"), &whole[..whole.len() - 20]);
    bench.remote.json(
        &format!("{path}/3"),
        &json!({"id": "23", "date": "2026-11-20", "hour": 3, "timeseries": "none"}),
    );
    bench
        .remote
        .json(&format!("{path}/4"), &hour_body("23", "20261120", 5, 1));
    bench.remote.json(
        &format!("{path}/6"),
        &json!({"id": ["23"], "date": 5, "hour": {}, "timeseries": []}),
    );
    bench.remote.set(&format!("{path}/7"), [Reply::Status(404)]);
    let report = bench.run().await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    assert!(
        report
            .summary
            .contains("quarantined 6 (invalid_hour 1, malformed_record 5)"),
        "{}",
        report.summary
    );
    assert_eq!(bench.hours("23", "2026-11-20").await, [1, 5]);
    let expected = [
        ("2", false),
        ("3", false),
        ("4", false),
        ("6", false),
        ("7", false),
        ("25", true),
    ];
    let expected = expected.map(|(place, is_hour)| {
        let reason = if is_hour {
            QuarantineReason::InvalidHour
        } else {
            QuarantineReason::MalformedRecord
        };
        (reason, place.to_owned())
    });
    assert_eq!(bench.open_quarantine().await, expected);
    let total = bench.store.counters().await.unwrap();
    let counted: u64 = total
        .iter()
        .filter(|c| c.name == "quarantined")
        .map(|c| c.value)
        .sum();
    assert_eq!(counted, 6);
}

#[tokio::test]
async fn a_body_cut_short_on_the_wire_is_asked_for_again_and_never_quarantined() {
    let bench = Bench::new().await;
    bench.list(&[("23", &[("20261120", &[1, 2])])]);
    let path = "/devices/23/timeseries/20261120/2";
    let whole = hour_body("23", "20261120", 2, 1).to_string();
    bench.remote.set(
        path,
        [Reply::CutShort(whole.clone()), Reply::Json(whole.clone())],
    );
    assert_eq!(bench.run().await.exit_code, ExitCode::Ok);
    assert_eq!(bench.hours("23", "2026-11-20").await, [1, 2]);
    assert_eq!(bench.remote.asked(path), 2);

    // Cut short for good: the hour stays wanted, without a quarantine entry.
    let bench = Bench::new().await;
    bench.list(&[
        ("23", &[("20261120", &[1, 2])]),
        ("24", &[("20261120", &[1])]),
    ]);
    bench.remote.set(path, [Reply::CutShort(whole.clone())]);
    assert_eq!(bench.run().await.exit_code, ExitCode::Ok);
    assert_eq!(bench.hours("23", "2026-11-20").await, [1]);
    assert_eq!(bench.open_quarantine().await, []);
    bench.remote.set(path, [Reply::Json(whole)]);
    bench.run().await;
    assert_eq!(bench.hours("23", "2026-11-20").await, [1, 2]);
}

#[tokio::test]
async fn a_quarantined_hour_stays_wanted_until_a_good_one_comes() {
    let bench = Bench::new().await;
    bench.list(&[("23", &[("20250101", &[1, 2]), ("20261121", &[1])])]);
    bench
        .remote
        .json("/devices/23/timeseries/20250101/2", &"{\"id\": ");
    bench.run().await;
    bench.run().await;
    assert_eq!(
        bench.remote.asked("/devices/23/timeseries/20250101"),
        1,
        "the day is settled"
    );
    assert_eq!(
        bench.remote.asked("/devices/23/timeseries/20250101/2"),
        2,
        "its bad hour is not"
    );
    assert_eq!(
        bench.open_quarantine().await.len(),
        1,
        "the same fault twice is one entry"
    );
    bench.remote.json(
        "/devices/23/timeseries/20250101/2",
        &hour_body("23", "20250101", 2, 5),
    );
    let report = bench.run().await;
    assert!(
        report.summary.contains("quarantine_resolved 1"),
        "{}",
        report.summary
    );
    assert_eq!(bench.open_quarantine().await, []);
    assert_eq!(bench.hours("23", "2025-01-01").await, [1, 2]);
}

#[tokio::test]
async fn settled_days_are_not_listed_again_and_stored_hours_not_fetched_again() {
    let bench = Bench::new().await;
    bench.list(&[(
        "23",
        &[
            ("20261101", &[1, 2]),
            ("20261121", &[5, 24]),
            ("20261122", &[9]),
        ],
    )]);
    bench.run().await;
    let second = bench.run().await;
    assert!(
        !second.summary.contains("records_read"),
        "{}",
        second.summary
    );
    assert_eq!(bench.remote.asked("/devices/23/timeseries/20261101"), 1);
    assert_eq!(bench.remote.asked("/devices/23/timeseries/20261121"), 2);
    assert_eq!(bench.remote.asked("/devices/23/timeseries/20261121/5"), 1);
    assert_eq!(bench.remote.asked("/devices/23/timeseries/20261121/24"), 1);
}

#[tokio::test]
async fn an_hour_that_comes_late_is_taken_and_one_that_grew_replaced() {
    let bench = Bench::new().await;
    bench.list(&[("23", &[("20261121", &[5]), ("20261122", &[12])])]);
    bench.run().await;
    bench.list(&[("23", &[("20261121", &[3, 5]), ("20261122", &[12])])]);
    bench.remote.json(
        "/devices/23/timeseries/20261122/12",
        &hour_body("23", "20261122", 12, 777),
    );
    let report = bench.run().await;
    assert_eq!(bench.hours("23", "2026-11-21").await, [3, 5]);
    assert!(
        report.summary.contains("records_changed 1"),
        "{}",
        report.summary
    );
    assert!(
        report.summary.contains("records_new 1"),
        "{}",
        report.summary
    );
}

#[tokio::test]
async fn an_hour_is_left_alone_until_it_is_over() {
    let mut bench = Bench::new().await;
    // 12:30: hour 12 is over, hour 13 is under way, hour 14 lies in the future.
    bench.list(&[("23", &[("20261122", &[12, 13, 14])])]);
    bench.run().await;
    assert_eq!(bench.hours("23", "2026-11-22").await, [12]);
    bench.now = "2026-11-22T13:01:00Z".parse().unwrap();
    bench.run().await;
    assert_eq!(
        bench.hours("23", "2026-11-22").await,
        [12],
        "two minutes of grace"
    );
    bench.now = "2026-11-22T13:02:00Z".parse().unwrap();
    bench.run().await;
    assert_eq!(bench.hours("23", "2026-11-22").await, [12, 13]);
}

#[tokio::test]
async fn a_failing_station_stops_none_of_the_others() {
    let bench = Bench::new().await;
    bench.list(&[
        ("1", &[("20261120", &[1])]),
        ("2", &[("20261120", &[1])]),
        ("3", &[("20261120", &[1])]),
    ]);
    bench
        .remote
        .set("/devices/2/timeseries/20261120", [Reply::Status(500)]);
    let path = "/devices/3/timeseries/20261120/1";
    bench.remote.set(
        path,
        [
            Reply::ComeBack,
            Reply::Json(hour_body("3", "20261120", 1, 5).to_string()),
        ],
    );
    bench.remote.json(
        "/devices/1/timeseries/20261120",
        &json!({"hours": [1, "two"]}),
    );
    let report = bench.run().await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    assert_eq!(bench.hours("3", "2026-11-20").await, [1]);
    assert_eq!(bench.hours("2", "2026-11-20").await, [0; 0]);
    assert_eq!(
        bench.open_quarantine().await,
        [(QuarantineReason::MalformedRecord, "20261120".to_owned())]
    );
}

#[tokio::test]
async fn broken_stations_that_come_first_do_not_keep_the_others_from_their_turn() {
    let bench = Bench::new().await;
    let day: &[(&str, &[i64])] = &[("20261120", &[1])];
    let stations = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
    bench.list(&stations.map(|station| (station, day)));
    for broken in &stations[..8] {
        let path = format!("/devices/{broken}/timeseries");
        bench.remote.set(&path, [Reply::Status(500)]);
    }
    let mut config = bench.config();
    config.http.attempts = 1;
    config.http.parallel = 1;
    let report = bench.run_with(config.clone(), HISTORY).await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    assert!(
        report.summary.contains("stations_unreachable 8"),
        "{}",
        report.summary
    );
    assert_eq!(bench.hours("9", "2026-11-20").await, [1]);

    // A source that is gone in the middle of a run is left alone soon.
    bench
        .remote
        .set("/devices/9/timeseries", [Reply::Status(500)]);
    let devices = json!({"devices": stations.map(|id| format!("/devices/{id}"))}).to_string();
    bench
        .remote
        .set("/devices", [Reply::Json(devices), Reply::Status(503)]);
    let report = bench.run_with(config, HISTORY).await;
    assert_eq!(report.exit_code, ExitCode::TryAgain, "{}", report.summary);
    assert_eq!(
        bench.remote.asked("/devices/4/timeseries"),
        1,
        "given up after three"
    );
}

#[tokio::test]
async fn a_source_out_of_reach_asks_to_be_tried_again() {
    let bench = Bench::new().await;
    let mut config = bench.config();
    config.url = "http://127.0.0.1:9/sensors/v1".parse().unwrap();
    let report = bench.run_with(config, BOTH).await;
    assert_eq!(report.exit_code, ExitCode::TryAgain);
    assert!(report.summary.contains("unreachable"), "{}", report.summary);
    bench.remote.set("/devices", [Reply::Status(401)]);
    assert_eq!(bench.run().await.exit_code, ExitCode::TryAgain);
}

#[tokio::test]
async fn newest_values_are_refined_as_snapshots() {
    let bench = Bench::new().await;
    bench.list(&[("23", &[]), ("24", &[])]);
    bench.remote.json(
        "/devices/23/last",
        &json!({
        "id": "23", "time": "2026-11-22T12:29:31.3585417Z", "s_temperatureambient": 283_150,
        "s_longitude": 5_914_103, "s_latitude": 53_949_937}),
    );
    bench.remote.json("/devices/24/last", &"[1, 2]");
    let report = bench.run_with(bench.config(), LAST).await;
    assert_eq!(report.exit_code, ExitCode::Ok);
    assert_eq!(bench.remote.asked("/devices/23/timeseries"), 0);
    let station = bench.store.station(&id("23")).await.unwrap().unwrap();
    let last = &station.last[0];
    assert_eq!(
        (&*last.indicator, last.from_snapshot),
        ("temperature", true)
    );
    assert!((last.value - 10.0).abs() < 1e-9);
    assert_eq!(
        last.period.end,
        "2026-11-22T12:29:31.3585417Z".parse().unwrap()
    );
    assert_eq!(
        bench.open_quarantine().await,
        [(QuarantineReason::MalformedRecord, "last".to_owned())]
    );
}

#[tokio::test]
async fn the_token_is_sent_stations_are_skipped_and_requests_are_few_at_a_time() {
    let bench = Bench::new().await;
    let stations: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
    let days: &[(&str, &[i64])] = &[("20261119", &[1, 2]), ("20261120", &[1])];
    let listed: Vec<Listed<'_>> = stations.iter().map(|s| (s.as_str(), days)).collect();
    bench.list(&listed);
    bench.remote.delay(Duration::from_millis(3));
    let mut config = bench.config();
    config.token = smartem_collect::harvest::http::bearer("secret\n");
    config.skip = vec![7];
    config.http.parallel = 3;
    bench.run_with(config, BOTH).await;
    assert!(
        bench
            .remote
            .tokens()
            .iter()
            .all(|token| token.as_deref() == Some("Bearer secret"))
    );
    assert_eq!(bench.hours("7", "2026-11-19").await, [0; 0]);
    assert_eq!(bench.hours("8", "2026-11-19").await, [1, 2]);
    assert!(
        (2..=3).contains(&bench.remote.most_under_way()),
        "{}",
        bench.remote.most_under_way()
    );
}

#[tokio::test]
async fn a_spent_budget_ends_in_order_and_the_next_run_goes_on() {
    let mut bench = Bench::new().await;
    let hours: Vec<i64> = (1..=24).collect();
    let days: &[(&str, &[i64])] = &[
        ("20261117", &hours),
        ("20261118", &hours),
        ("20261119", &hours),
    ];
    bench.list(&[
        ("1", days),
        ("2", days),
        ("3", days),
        ("4", days),
        ("5", days),
    ]);
    bench.remote.delay(Duration::from_millis(2));
    bench.budget = Some(Duration::from_millis(60));
    let mut runs = 0;
    let report = loop {
        let report = bench.run().await;
        assert_eq!(report.exit_code, ExitCode::Ok);
        runs += 1;
        if report.summary.contains(": done") {
            break report;
        }
        assert!(
            report.summary.contains("budget_spent"),
            "{}",
            report.summary
        );
        assert!(runs < 200, "no progress: {}", report.summary);
    };
    assert!(runs > 1, "{}", report.summary);
    for station in ["1", "2", "3", "4", "5"] {
        assert_eq!(bench.hours(station, "2026-11-18").await, hours);
    }
    let backlog = bench.store.backlog().await.unwrap();
    assert_eq!(backlog.raw_records, 5 * 3 * 24);
}

#[tokio::test]
async fn a_day_whose_list_of_hours_is_broken_stays_wanted_after_it_is_settled() {
    for reply in [
        Reply::Json("<html>moved</html>".to_owned()),
        Reply::Status(404),
        Reply::Json(r#"{"hours":[5,null]}"#.to_owned()),
    ] {
        let bench = Bench::new().await;
        let days: &[(&str, &[i64])] = &[
            ("20261101", &[5]),
            ("20261102", &[5, 6]),
            ("20261103", &[5]),
        ];
        bench.list(&[("23", days)]);
        let path = "/devices/23/timeseries/20261102";
        bench.remote.set(path, [reply]);
        bench.run().await;
        assert_eq!(bench.hours("23", "2026-11-03").await, [5], "its neighbours");
        assert_eq!(bench.open_quarantine().await.len(), 1);
        bench
            .remote
            .json(path, &json!({"id": "23", "hours": [5, 6]}));
        bench.run().await;
        assert_eq!(bench.hours("23", "2026-11-02").await, [5, 6]);
        assert_eq!(bench.open_quarantine().await, []);
    }
}

#[tokio::test]
async fn listings_are_read_as_collectors_write_them_and_an_odd_entry_stops_no_other() {
    let bench = Bench::new().await;
    bench.list(&[
        ("23", &[("20261120", &[1, 2])]),
        ("24", &[("20261120", &[1])]),
    ]);
    bench.remote.json(
        "/devices",
        r#"{"devices":["/sensors/v1/devices/23/", 24, null]}"#,
    );
    bench
        .remote
        .json("/devices/23/timeseries", r#"{"days":[20261120, {}]}"#);
    bench
        .remote
        .json("/devices/23/timeseries/20261120", r#"{"hours":["1", 2]}"#);
    bench.run().await;
    assert_eq!(bench.hours("23", "2026-11-20").await, [1, 2]);
    assert_eq!(bench.hours("24", "2026-11-20").await, [1]);
    let places: Vec<String> = bench
        .open_quarantine()
        .await
        .into_iter()
        .map(|(_, place)| place)
        .collect();
    assert_eq!(places, ["devices", "timeseries"], "what was odd is told");
}

#[tokio::test]
async fn a_newest_sample_of_another_station_or_of_a_time_to_come_is_not_taken() {
    let bench = Bench::new().await;
    bench.list(&[("23", &[]), ("24", &[])]);
    let sample = |id: &str, time: &str| {
        json!({"id": id, "time": time, "s_co2": 400_000, "s_longitude": 5_914_103,
            "s_latitude": 53_949_937})
    };
    bench
        .remote
        .json("/devices/23/last", &sample("99", "2026-11-21T10:00:00Z"));
    bench
        .remote
        .json("/devices/24/last", &sample("24", "2027-11-21T10:00:00Z"));
    let report = bench.run_with(bench.config(), LAST).await;
    assert!(
        !report.summary.contains("last_stored"),
        "{}",
        report.summary
    );
    assert!(
        report.summary.contains("last_ahead_of_time 1")
            && report.summary.contains("malformed_record 1"),
        "{}",
        report.summary
    );
}
