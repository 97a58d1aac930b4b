//! The Raw Sensor API, served from a store and harvested into another.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartem_collect::harvest::whale::WhaleConfig;
use smartem_collect::receive::json::{self, DATABASE, PushConfig, PushReceiver};
use smartem_collect::receive::whale::{WhaleFaceConfig, part};
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, StationId};
use smartem_simulate::city::{City, CityConfig};
use smartem_store::{Access, Intake, ReceivedRecord, Standing, Store};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tower::ServiceExt;

use super::{Bench, post, router};
use crate::whale::{BOTH, harvest};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn face(bench: &Bench) -> Router {
    let config = WhaleFaceConfig::default();
    router(part(bench.store.clone(), config, bench.clock()))
}

/// Serves on a free port; the base address.
async fn listen(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/sensors/v1")
}

fn source(url: &str) -> WhaleConfig {
    let mut config = WhaleConfig::new("test", url.parse().unwrap());
    config.http.attempts = 1;
    config.http.timeout = SignedDuration::from_secs(10);
    config
}

async fn ask(router: &Router, path: &str, known: Option<&str>) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::get(format!("/sensors/v1{path}"));
    if let Some(tag) = known {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (head.status, head.headers, body)
}

async fn get(router: &Router, path: &str) -> Value {
    let (status, _, body) = ask(router, path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}");
    body
}

/// A record as it is formed from points, or read from a file.
fn record(station: &str, station_type: &str, day: u32, hour: u32, times: &[&str]) -> RawRecord {
    let samples: Vec<Value> = times
        .iter()
        .map(|time| json!({"time": time, "s_co2": 410_000, "s_temperatureambient": 285_000}))
        .collect();
    let document = json!({"device_id": station, "device_type": station_type, "day": day,
        "hour": hour, "data": {"timeseries": samples}});
    RawRecord::from_json(&document.to_string(), &|_| true).unwrap()
}

async fn take_in(bench: &Bench, records: Vec<RawRecord>) {
    let records = records.into_iter();
    let intake = Intake {
        process: "test".to_owned(),
        source: "test".to_owned(),
        network: "test".to_owned(),
        project: None,
        now: *bench.now.lock().unwrap(),
        records: records
            .map(|record| ReceivedRecord::new(record, "here", Standing::Part))
            .collect(),
        quarantined: Vec::new(),
        understood: Vec::new(),
        checkpoints: Vec::new(),
    };
    bench.store.take_in(intake).await.unwrap();
}

async fn stored(store: &Store) -> Vec<(StationId, Hour)> {
    let (from, to) = (
        Hour::from_index(0).unwrap(),
        Hour::from_index(1_000_000).unwrap(),
    );
    let mut all = Vec::new();
    for station in store.stations().await.unwrap() {
        let hours = store.stored_hours(&station.id, from, to).await.unwrap();
        all.extend(hours.into_iter().map(|hour| (station.id.clone(), hour)));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_harvested_from_a_store_is_what_the_store_has() {
    let now = at("2026-11-22T12:30:00Z");
    let city = City::new(CityConfig {
        stations: 3,
        cadence_s: 60,
        ..CityConfig::starting(at("2026-11-21T20:00:00Z"))
    })
    .unwrap();
    let origin = smartem_simulate::whale::router(Arc::new(city), Arc::new(move || now));
    let first = Bench::new().await;
    *first.now.lock().unwrap() = now;
    let report = harvest(&first.store, source(&listen(origin).await), BOTH, now, None).await;
    assert!(report.summary.contains("records_new"), "{}", report.summary);

    let dir = TempDir::new().unwrap();
    let second = Store::open(dir.path(), Access::Create { now });
    let second = second.await.unwrap();
    let report = harvest(
        &second,
        source(&listen(face(&first)).await),
        BOTH,
        now,
        None,
    )
    .await;
    assert!(
        !report.summary.contains("quarantined"),
        "{}",
        report.summary
    );

    let hours = stored(&first.store).await;
    assert!(hours.len() > 30, "{}", hours.len());
    assert_eq!(stored(&second).await, hours);
    for (station, hour) in hours {
        let of_first = first.store.raw_record(&station, hour).await.unwrap();
        let of_second = second.raw_record(&station, hour).await.unwrap();
        assert!(of_first == of_second, "{station} {hour}");
        let newest = first.store.last_sample(&station).await.unwrap();
        assert_eq!(second.last_sample(&station).await.unwrap(), newest);
    }
}

#[tokio::test]
async fn records_of_another_origin_are_served_and_harvested_too() {
    let bench = Bench::new().await;
    let times = ["2026-11-28T09:10:00Z", "2026-11-28T09:20:00Z"];
    take_in(&bench, vec![record("23", "jose", 20_261_128, 10, &times)]).await;
    let router = face(&bench);
    let hour = get(&router, "/devices/23/timeseries/20261128/10").await;
    assert_eq!(
        (&hour["id"], &hour["date"], &hour["hour"]),
        (&json!("23"), &json!("2026-11-28"), &json!(10))
    );
    assert_eq!(hour["timeseries"][1]["time"], times[1]);

    let dir = TempDir::new().unwrap();
    let now = *bench.now.lock().unwrap();
    let other = Store::open(dir.path(), Access::Create { now });
    let other = other.await.unwrap();
    let url = listen(router).await;
    harvest(&other, source(&url), BOTH, now, None).await;
    let hours = stored(&bench.store).await;
    assert_eq!(hours.len(), 1);
    for (station, hour) in hours {
        let ours = bench
            .store
            .raw_record(&station, hour)
            .await
            .unwrap()
            .unwrap();
        let theirs = other.raw_record(&station, hour).await.unwrap().unwrap();
        assert_eq!(ours.samples, theirs.samples);
    }
}

#[tokio::test]
async fn what_was_pushed_is_served_when_it_is_committed() {
    let bench = Bench::new().await;
    bench.station("23", "jose", None).await;
    let secret = bench.token("ada", "write", None).await;
    let types = ["jose".to_owned()].into();
    let databases = bench.disk.clone();
    let config = PushConfig::default();
    let receiver = PushReceiver::new(DATABASE, config, types, &bench.store, databases);
    let push = router(json::part(receiver, bench.guard(), bench.clock()));
    let body = json!({"station": "23", "samples": [
        {"time": "2026-11-28T09:10:00Z", "s_co2": 410_000},
        {"time": "2026-11-28T09:20:00Z", "s_co2": 411_000},
    ]});
    let bearer = format!("Bearer {secret}");
    let headers = [("Authorization", bearer.as_str())];
    let (status, answer) = post(&push, "/api/v1/push", &headers, body.to_string()).await;
    assert_eq!((status, &answer["accepted"]), (StatusCode::OK, &json!(2)));

    bench.commit().await;
    let router = face(&bench);
    let listed = get(&router, "/devices/23/timeseries/20261128").await;
    assert_eq!(listed["hours"], json!([10]));
    let hour = get(&router, "/devices/23/timeseries/20261128/10").await;
    let samples = hour["timeseries"].as_array().unwrap();
    let read: Vec<_> = samples
        .iter()
        .map(|sample| {
            (
                at(sample["time"].as_str().unwrap()),
                sample["s_co2"].as_f64(),
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            (at("2026-11-28T09:10:00Z"), Some(410_000.0)),
            (at("2026-11-28T09:20:00Z"), Some(411_000.0)),
        ]
    );
    let last = get(&router, "/devices/23/last").await;
    assert_eq!(last["s_co2"].as_f64(), Some(411_000.0));
}

#[tokio::test]
async fn an_hour_is_listed_when_it_grows_no_more() {
    let bench = Bench::new().await;
    // It is 13:20: hour 14 is under way.
    take_in(
        &bench,
        vec![
            record("23", "jose", 20_261_127, 24, &["2026-11-27T23:10:00Z"]),
            record("23", "jose", 20_261_128, 1, &["2026-11-28T00:10:00Z"]),
            record("23", "jose", 20_261_128, 14, &["2026-11-28T13:10:00Z"]),
        ],
    )
    .await;
    let router = face(&bench);
    let path = |day| format!("/sensors/v1/devices/23/timeseries/{day}");
    let days = get(&router, "/devices/23/timeseries").await;
    assert_eq!(
        days,
        json!({"id": "23", "days": [path("20261127"), path("20261128")]})
    );
    let of_day = async |day: &str| {
        let document = get(&router, &format!("/devices/23/timeseries/{day}")).await;
        document["hours"].clone()
    };
    assert_eq!(of_day("20261127").await, json!([24]));
    assert_eq!(of_day("20261128").await, json!([1]));
    let last = get(&router, "/devices/23/last").await;
    assert_eq!(
        (&last["id"], &last["time"]),
        (&json!("23"), &json!("2026-11-28T13:10:00Z"))
    );

    // The hour has ended; two minutes later it is listed, and whoever knew the list is told.
    let (_, headers, _) = ask(&router, "/devices/23/timeseries/20261128", None).await;
    let tag = headers[header::ETAG].to_str().unwrap();
    for (now, expected) in [
        ("2026-11-28T14:01:59Z", StatusCode::NOT_MODIFIED),
        ("2026-11-28T14:02:00Z", StatusCode::OK),
    ] {
        *bench.now.lock().unwrap() = at(now);
        let asked = ask(&router, "/devices/23/timeseries/20261128", Some(tag)).await;
        assert_eq!(asked.0, expected, "{now}");
    }
    assert_eq!(of_day("20261128").await, json!([1, 14]));
}

#[tokio::test]
async fn what_did_not_change_is_not_sent_again() {
    let bench = Bench::new().await;
    let times = ["2026-11-28T09:10:00Z"];
    take_in(&bench, vec![record("23", "jose", 20_261_128, 10, &times)]).await;
    let router = face(&bench);
    for path in [
        "/devices",
        "/devices/23",
        "/devices/23/timeseries",
        "/devices/23/timeseries/20261128",
        "/devices/23/timeseries/20261128/10",
        "/devices/23/last",
    ] {
        let (status, headers, _) = ask(&router, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        let tag = headers[header::ETAG].to_str().unwrap();
        let again = ask(&router, path, Some(tag)).await;
        assert_eq!(again.0, StatusCode::NOT_MODIFIED, "{path}");
    }
    let (_, headers, _) = ask(&router, "/devices", None).await;
    take_in(&bench, vec![record("24", "jose", 20_261_128, 10, &times)]).await;
    let tag = headers[header::ETAG].to_str().unwrap();
    let (status, _, body) = ask(&router, "/devices", Some(tag)).await;
    assert_eq!(status, StatusCode::OK);
    let paths = ["/sensors/v1/devices/23", "/sensors/v1/devices/24"];
    assert_eq!(body, json!({ "devices": paths }));
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let bench = Bench::new().await;
    let times = ["2026-11-28T09:10:00Z"];
    take_in(
        &bench,
        vec![
            record("23", "jose", 20_261_128, 10, &times),
            record("kit", "luftdaten", 20_261_128, 10, &times),
            record("a b", "jose", 20_261_128, 10, &times),
        ],
    )
    .await;
    bench.station("new", "jose", None).await;
    let router = face(&bench);
    let listed = get(&router, "/devices").await;
    let paths = ["/sensors/v1/devices/23", "/sensors/v1/devices/new"];
    assert_eq!(listed, json!({ "devices": paths }));
    assert_eq!(
        get(&router, "/devices/new/timeseries").await["days"],
        json!([])
    );
    assert_eq!(get(&router, "/devices/new").await["outputs"], json!([]));
    for path in [
        "/devices/24",
        "/devices/kit",
        "/devices/a%20b",
        "/devices/%ff",
        "/devices/24/timeseries",
        "/devices/24/last",
        "/devices/new/last",
        "/devices/23/timeseries/20261127",
        "/devices/23/timeseries/20261301",
        "/devices/23/timeseries/2026112",
        "/devices/23/timeseries/today",
        "/devices/23/timeseries/20261128/11",
        "/devices/23/timeseries/20261128/0",
        "/devices/23/timeseries/20261128/25",
        "/devices/23/timeseries/20261128/+10",
        "/devices/23/timeseries/20261128/010",
    ] {
        let (status, _, body) = ask(&router, path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(body["status"], 404, "{path}");
    }
}
