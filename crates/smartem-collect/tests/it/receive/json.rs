//! Samples pushed as JSON.

use std::collections::BTreeSet;

use axum::Router;
use axum::http::StatusCode;
use serde_json::{Value, json};
use smartem_collect::receive::json::{DATABASE, PushConfig, PushReceiver, part};
use smartem_model::{QuarantineReason, StationId};

use super::{Bench, NOW, post, router};

const PATH: &str = "/api/v1/push";

fn receiver(bench: &Bench, config: PushConfig) -> Router {
    let types = BTreeSet::from(["vanilla".to_owned(), "jose".to_owned()]);
    let databases = bench.disk.clone();
    let receiver = PushReceiver::new(DATABASE, config, types, &bench.store, databases);
    router(part(receiver, bench.guard(), bench.clock()))
}

fn auto() -> PushConfig {
    PushConfig {
        auto_register: true,
        ..PushConfig::default()
    }
}

async fn push(router: &Router, secret: &str, body: &Value) -> (StatusCode, Value) {
    let bearer = format!("Bearer {secret}");
    post(
        router,
        PATH,
        &[("Authorization", &bearer)],
        body.to_string(),
    )
    .await
}

#[tokio::test]
async fn good_samples_are_stored_and_bad_ones_told_and_set_aside() {
    let bench = Bench::new().await;
    bench.station("roof-1", "vanilla", Some("nijmegen")).await;
    let secret = bench.token("ada", "write", Some("nijmegen")).await;
    let router = receiver(&bench, PushConfig::default());
    let body = json!({"station": "roof-1", "samples": [
        {"time": "2026-11-28T13:00:00Z", "no2": 12.3, "meta_id": "a"},
        {"time": "2026-11-28T13:01:00Z", "no2": "12"},
        {"time": "2026-11-30T13:01:00Z", "no2": 1},
        {"no2": 13},
        {"no2": 14},
        {"no2": 15, "meta_id": "a"},
    ]});
    // The same once more changes nothing.
    for _ in 0..2 {
        let (status, answer) = push(&router, &secret, &body).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(answer["accepted"], 3);
        assert_eq!(answer["refused"], 3);
        let places: Vec<&str> = answer["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["place"].as_str().unwrap())
            .collect();
        assert_eq!(
            places,
            ["samples[1].no2", "samples[2].time", "samples[4].time"]
        );
        assert_eq!(answer["faults"][0]["value"], "\"12\"");
        let points = bench.points(DATABASE).await;
        let shown: Vec<String> = points
            .iter()
            .map(|(series, time, fields)| format!("{series} {time} {}", fields["no2"]))
            .collect();
        assert_eq!(
            shown,
            [
                "vanilla,meta_id=a,station=roof-1 2026-11-28T13:00:00Z 12.3".to_owned(),
                format!("vanilla,meta_id=a,station=roof-1 {NOW} 15"),
                format!("vanilla,station=roof-1 {NOW} 13"),
            ]
        );
    }
    let [entry] = &bench.quarantine().await[..] else {
        panic!("one entry");
    };
    assert_eq!(entry.reason, QuarantineReason::MalformedRecord);
    assert_eq!(entry.place, "roof-1");
    let kept: Value = serde_json::from_slice(entry.body.as_deref().unwrap()).unwrap();
    assert_eq!(
        kept,
        json!([body["samples"][1], body["samples"][2], body["samples"][4]])
    );

    let good = json!([{"station": "roof-1", "samples": [{"no2": 1}]}]);
    push(&router, &secret, &good).await;
    assert!(
        bench.quarantine().await.is_empty(),
        "a good push resolves it"
    );
}

#[tokio::test]
async fn who_may_not_write_stores_nothing() {
    let bench = Bench::new().await;
    bench.station("ours", "vanilla", Some("nijmegen")).await;
    bench.station("theirs", "vanilla", Some("arnhem")).await;
    let secret = bench.token("ada", "write", Some("nijmegen")).await;
    let router = receiver(&bench, auto());
    let both = json!([
        {"station": "new", "samples": [{"no2": 1}]},
        {"station": "ours", "samples": [{"no2": 1}]},
        {"station": "theirs", "samples": [{"no2": 1}]},
    ]);
    let (status, answer) = push(&router, &secret, &both).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(answer["detail"].as_str().unwrap().contains("`arnhem`"));
    assert!(bench.points(DATABASE).await.is_empty());
    let new = StationId::new("new").unwrap();
    assert!(bench.store.station(&new).await.unwrap().is_none());

    let (status, _) = post(&router, PATH, &[], both.to_string()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(bench.quarantine().await.is_empty());
}

#[tokio::test]
async fn an_unknown_station_is_set_aside_or_made_known() {
    let bench = Bench::new().await;
    let secret = bench.token("ada", "write", Some("nijmegen")).await;
    let body = json!({"station": "roof-2", "samples": [{"no2": 1}, {"no2": 2, "meta_id": "b"}]});
    let closed = receiver(&bench, PushConfig::default());
    let (status, answer) = push(&closed, &secret, &body).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer["accepted"], 0);
    assert_eq!(answer["faults"][0]["place"], "station");
    let [entry] = &bench.quarantine().await[..] else {
        panic!("one entry");
    };
    assert_eq!(entry.reason, QuarantineReason::UnknownStation);
    let kept: Value = serde_json::from_slice(entry.body.as_deref().unwrap()).unwrap();
    assert_eq!(kept, body["samples"]);

    let open = receiver(&bench, auto());
    let mut typed = body.clone();
    typed["station_type"] = json!("balloon");
    let (status, answer) = push(&open, &secret, &typed).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = answer["faults"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("known are `jose`, `vanilla`"), "{problem}");

    let (status, _) = push(&open, &secret, &body).await;
    assert_eq!(status, StatusCode::OK);
    let id = StationId::new("roof-2").unwrap();
    let station = bench.store.station(&id).await.unwrap().unwrap();
    assert_eq!(&*station.station_type, "vanilla");
    assert_eq!(station.project.as_deref(), Some("nijmegen"));
    assert!(bench.quarantine().await.is_empty());

    typed["station_type"] = json!("jose");
    let (status, answer) = push(&open, &secret, &typed).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = answer["faults"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("is of type `vanilla`"), "{problem}");
}

#[tokio::test]
async fn a_field_keeps_its_type() {
    let bench = Bench::new().await;
    bench.station("roof-1", "vanilla", None).await;
    let secret = bench.token("ada", "write", None).await;
    let router = receiver(&bench, PushConfig::default());
    let first = json!({"station": "roof-1", "samples": [{"no2": 1}]});
    push(&router, &secret, &first).await;
    let body = json!({"station": "roof-1", "samples": [
        {"time": "2026-11-28T13:00:00Z", "no2": 2},
        {"time": "2026-11-28T13:01:00Z", "no2": true},
    ]});
    let (status, answer) = push(&router, &secret, &body).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&answer["accepted"], &answer["refused"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(answer["faults"][0]["place"], "samples[1].no2");
    assert_eq!(bench.points(DATABASE).await.len(), 2);
}

#[tokio::test]
async fn what_is_no_push_or_cannot_be_kept_is_told() {
    let bench = Bench::new().await;
    bench.station("roof-1", "vanilla", None).await;
    let secret = bench.token("ada", "write", None).await;
    let router = receiver(&bench, PushConfig::default());
    let bearer = format!("Bearer {secret}");
    let headers = [("Authorization", bearer.as_str())];
    let (status, answer) = post(&router, PATH, &headers, "{\"station\": ").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["detail"].as_str().unwrap().contains("line 1"));
    assert_eq!(bench.quarantine().await.len(), 1);
    let (status, _) = post(&router, PATH, &headers, " ".repeat(5 << 20)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);

    let body = json!({"station": "roof-1", "samples": [{"no2": 1}]});
    bench.fill_disk(true);
    let (status, _) = push(&router, &secret, &body).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    bench.fill_disk(false);
    let (status, _) = push(&router, &secret, &body).await;
    assert_eq!(status, StatusCode::OK);
    let (status, answer) = push(&router, &secret, &json!([])).await;
    assert_eq!((status, &answer["refused"]), (StatusCode::OK, &json!(0)));
}
