//! Where a value comes from: the station-hour and its raw record.

use serde_json::{Value, json};
use smartem_model::raw::RawRecord;
use smartem_model::{
    Example, Hour, PositionSource, Quarantine, QuarantineReason, RejectReason, Rejection,
};
use smartem_store::{CommitRefined, DEFAULT_MOVE_M, Intake, ReceivedRecord, RefinedHour};

use crate::support::{START, World, at, id, observation, place};

/// A record with all that JSON can hold.
fn record(station: &str) -> Value {
    json!({"device_id": station, "device_type": "jose", "day": 20_261_115, "hour": 11, "extra": {"é": [1, null]},
        "data": {"timeseries": [{"a": 0.1, "b": 9_007_199_254_740_993_u64, "c": "x\"", "d": null}, {"a": -0.0, "e": [true]}]}})
}

fn rejection(indicator: Option<&str>, reason: RejectReason, count: u64) -> Rejection {
    Rejection {
        indicator: indicator.map(Into::into),
        sensor: indicator.map(|_| "temp-S12".into()),
        reason,
        count,
        example: Example {
            time: Some("2026-11-15T10:00:01Z".into()),
            input: Some("a".into()),
            value: Some("5".into()),
        },
    }
}

/// A world where the hour of station `a/b c` was received but not refined.
async fn received() -> World {
    let world = World::filled().await;
    let document = record("a/b c").to_string();
    let intake = Intake {
        process: "harvester-whale".into(),
        source: "test".into(),
        network: "whale".into(),
        project: None,
        now: at(START),
        records: vec![ReceivedRecord {
            standing: smartem_store::Standing::Whole,
            record: RawRecord::from_json(&document, &|_| true).unwrap(),
            place: "x".into(),
        }],
        quarantined: Vec::new(),
        understood: Vec::new(),
        checkpoints: Vec::new(),
    };
    world.store.take_in(intake).await.unwrap();
    world
}

async fn refine(world: &World, quarantine: Option<Quarantine>) {
    let hour = Hour::containing(at(START)).unwrap();
    let work = world
        .store
        .work(
            &id("a/b c"),
            1,
            smartem_store::Columns::All,
            smartem_store::Growing::No,
        )
        .await
        .unwrap()
        .unwrap();
    let mut made = observation("a/b c", "temperature", "temp-S12", hour.period());
    made.model = Some("no2 sha256:12".into());
    let is_published = quarantine.is_none();
    let commit = CommitRefined {
        process: "refiner".into(),
        now: at(START),
        station: id("a/b c"),
        move_m: DEFAULT_MOVE_M,
        hours: vec![RefinedHour {
            hour,
            revision: work.hours[0].revision,
            observations: is_published.then_some(made).into_iter().collect(),
            rejections: vec![
                rejection(None, RejectReason::Duplicate, 2),
                rejection(Some("temperature"), RejectReason::BelowMinimum, 3),
                rejection(Some("temperature"), RejectReason::NotANumber, 4),
                rejection(Some("co2"), RejectReason::AboveMaximum, 1),
            ],
            state: "{}".into(),
            position: is_published.then_some((place(), PositionSource::Point)),
            station_altitude: false,
            quarantine,
        }],
    };
    world.store.commit_refined(commit).await.unwrap();
}

const PATH: &str = "/api/v1/stations/a%2Fb%20c/hours/2026-11-15T10";

#[tokio::test]
async fn an_observation_leads_to_its_raw_record_and_to_all_that_made_it() {
    let world = received().await;
    refine(&world, None).await;
    let page = world
        .get("/api/v1/stations/a%2Fb%20c/observations")
        .await
        .json();
    let found = &page["observations"][0]["raw_record"];
    assert_eq!(found["station"], "a/b c");
    assert_eq!(found["hour"], START);
    let href = found["href"].as_str().unwrap();
    let hour = world.get(href).await.json();
    assert_eq!(hour, world.get(PATH).await.json());
    assert_eq!(hour["observations"], page["observations"]);
    assert_eq!(hour["phenomenonTime"]["start"], START);
    assert_eq!(
        (&hour["waiting"], &hour["source"]),
        (&json!(false), &json!("test"))
    );
    assert_eq!(hour["position_source"], "point");
    assert_eq!(hour["position"]["lat"], place().lat);
    assert_eq!(hour["definitions"], json!(["jose/1"]));
    assert_eq!(hour["models"], json!(["no2 sha256:12"]));
    assert_eq!(hour["quarantine"], Value::Null);
    let example = json!({"time": "2026-11-15T10:00:01Z", "input": "a", "value": 5});
    let reason = |reason, count| json!({"reason": reason, "count": count, "example": example});
    assert_eq!(
        hour["rejections"],
        json!([
            {"indicator": null, "sensor": null, "accepted_count": null, "rejected_count": 2,
             "reasons": [reason("duplicate", 2)]},
            {"indicator": "temperature", "sensor": "temp-S12", "accepted_count": 59, "rejected_count": 7,
             "reasons": [reason("below_minimum", 3), reason("not_a_number", 4)]},
            {"indicator": "co2", "sensor": "temp-S12", "accepted_count": 0, "rejected_count": 1,
             "reasons": [reason("above_maximum", 1)]},
        ])
    );
    let raw = world.get(hour["raw"].as_str().unwrap()).await;
    assert_eq!(raw.header("content-type"), "application/json");
    assert_eq!(raw.json(), record("a/b c"));
    assert!(raw.text().contains("9007199254740993") && raw.text().contains("-0.0"));
}

#[tokio::test]
async fn an_hour_that_waits_or_is_quarantined_says_so() {
    let world = received().await;
    let hour = world.get(PATH).await.json();
    assert_eq!(hour["waiting"], true);
    assert_eq!(hour["observations"], json!([]));
    assert_eq!(hour["position"], Value::Null);
    let quarantine = Quarantine::new(QuarantineReason::NoLocation, "no position");
    refine(&world, Some(quarantine)).await;
    let hour = world.get(PATH).await.json();
    assert_eq!(hour["waiting"], false);
    let told = json!({"reason": "no_location", "detail": "no position"});
    assert_eq!(hour["quarantine"], told);
}

#[tokio::test]
async fn an_hour_is_named_by_its_start() {
    let world = received().await;
    for hour in [
        "2026-11-15T10:00:00Z",
        "2026-11-15T11:00:00%2B01:00",
        "2026-11-15T10:00:00.000Z",
    ] {
        let path = format!("/api/v1/stations/1001/hours/{hour}");
        assert_eq!(world.get(&path).await.status.as_u16(), 200, "{hour}");
    }
    for (path, status, words) in [
        (
            "1001/hours/2026-11-15T10:30:00Z",
            400,
            "the hour around it starts at 2026-11-15T10:00:00Z",
        ),
        ("1001/hours/2026-11-15", 400, "which is no time"),
        ("1001/hours/1850-01-01T10/raw", 400, "before 1970"),
        (
            "1001/hours/2026-11-15T23",
            404,
            "Nothing was received of station `1001`",
        ),
        (
            "1001/hours/2026-11-15T23/raw",
            404,
            "Nothing was received of station `1001`",
        ),
        (
            "nowhere/hours/2026-11-15T10",
            404,
            "There is no station `nowhere`",
        ),
    ] {
        let answer = world.get(&format!("/api/v1/stations/{path}")).await;
        let detail = answer.detail(status);
        assert!(detail.contains(words), "{path}: {detail}");
    }
}

#[tokio::test]
async fn an_unchanged_hour_is_not_sent_again() {
    let world = received().await;
    for path in [PATH.to_owned(), format!("{PATH}/raw")] {
        let tag = world.get(&path).await.header("etag").to_owned();
        let again = world.ask("GET", &path, &[("if-none-match", &tag)]).await;
        assert_eq!(again.status.as_u16(), 304, "{path}");
    }
    let tag = world.get(PATH).await.header("etag").to_owned();
    refine(&world, None).await;
    let again = world.ask("GET", PATH, &[("if-none-match", &tag)]).await;
    assert_eq!(again.status.as_u16(), 200);
}
