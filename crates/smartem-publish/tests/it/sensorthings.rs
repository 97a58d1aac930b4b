//! Writing to a SensorThings server of somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartem_etl::{OutputError, Row};
use smartem_model::Position;
use smartem_publish::sensorthings::{Credentials, SensorThings, SensorThingsSettings};

use crate::django::Django;
use crate::support::Bench;

fn output(url: &str) -> SensorThings {
    // This server takes no intervals.
    let settings = json!({
        "url": url, "backoff": "5ms", "timeout": "10s", "attempts": 2, "phenomenon_time": "start",
    });
    let settings: SensorThingsSettings = serde_json::from_value(settings).unwrap();
    SensorThings::new(&settings, Credentials::None).unwrap()
}

/// An observation of the n-th hour.
fn row(station: &str, indicator: &str, n: i64, value: f64) -> Row {
    let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
    let start = start + SignedDuration::from_hours(n);
    let attributes = [
        ("station", json!(station)),
        ("indicator", json!(indicator)),
        ("label", json!("Nitrogen dioxide")),
        ("sensor", json!("it's a sensor")),
        ("unit", json!("ug/m3")),
        ("start", json!(start.to_string())),
        ("value", json!(value)),
        ("min", json!(1.5)),
        ("max", json!(99.0)),
        ("raw", Value::Null),
        ("accepted_count", json!(30)),
        ("rejected_count", json!(10)),
        ("coverage", json!(0.5)),
        ("flags", json!("low_coverage")),
        ("definition", json!("jose 1")),
        ("model", Value::Null),
    ];
    Row {
        time: start + SignedDuration::from_hours(1),
        position: Some(Position {
            lon: 5.8,
            lat: 51.8,
            alt: None,
        }),
        attributes: attributes.into(),
    }
}

/// The datastreams of each thing, by its name.
async fn by_thing(server: &Django) -> BTreeMap<String, Vec<Value>> {
    let mut all = BTreeMap::new();
    for thing in server.list("Things").await {
        let id = thing["@iot.id"].as_str().unwrap();
        let path = format!("Things('{id}')/Datastreams?$expand=Sensor");
        let name = thing["name"].as_str().unwrap().to_owned();
        all.insert(name, server.list(&path).await);
    }
    all
}

/// Start and result of every observation of a datastream, in order of time.
async fn observations(server: &Django, datastream: &Value) -> Vec<(String, f64)> {
    let id = datastream["@iot.id"].as_str().unwrap();
    let found = server
        .list(&format!("Datastreams('{id}')/Observations?$top=100"))
        .await;
    let mut found: Vec<(String, f64)> = found
        .iter()
        .map(|it| {
            let time = it["phenomenonTime"].as_str().unwrap();
            let start: Timestamp = time.split('/').next().unwrap().parse().unwrap();
            (start.to_string(), it["result"].as_f64().unwrap())
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn expected(rows: &[Row]) -> Vec<(String, f64)> {
    rows.iter()
        .map(|row| {
            let start = row.attributes["start"].as_str().unwrap().to_owned();
            (start, row.attributes["value"].as_f64().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn entities_are_made_once_and_writing_again_leaves_the_same() {
    let Some(server) = Django::start() else {
        return;
    };
    let bench = Bench::new(None).await;
    let mut rows: Vec<Row> = (0..50)
        .map(|n| row("23", "no2", n, 0.1 + n as f64))
        .collect();
    rows.extend((0..3).map(|n| row("23", "o3", n, 40.0)));
    rows.extend((0..3).map(|n| row("it's 24", "no2", n, 50.0)));
    for _ in 0..2 {
        // A new output knows nothing of what the one before did.
        let aside = bench.write(&output(server.root()), rows.clone()).await;
        assert_eq!(aside.unwrap(), []);
    }
    for (set, count) in [
        ("Things", 2),
        ("Sensors", 1),
        ("ObservedProperties", 2),
        ("Datastreams", 3),
    ] {
        assert_eq!(server.list(set).await.len(), count, "{set}");
    }
    let things = by_thing(&server).await;
    let named = |thing: &str| -> BTreeSet<String> {
        let of = |it: &Value| format!("{} by {}", it["name"], it["Sensor"]["name"]);
        things[thing].iter().map(of).collect()
    };
    let by = |name: &str| format!("\"{name}\" by \"it's a sensor\"");
    assert_eq!(named("23"), [by("no2"), by("o3")].into());
    assert_eq!(named("it's 24"), [by("no2")].into());
    let no2 = things["23"].iter().find(|it| it["name"] == "no2").unwrap();
    assert_eq!(
        no2["unitOfMeasurement"]["definition"],
        "urn:ogc:def:uom:UCUM::ug/m3"
    );
    assert_eq!(observations(&server, no2).await, expected(&rows[..50]));
    assert_eq!(
        bench.counted(),
        "entities_made 10, observations_there 56, observations_written 56"
    );
}

#[tokio::test]
async fn an_hour_that_changed_is_changed_there_and_a_late_one_is_added() {
    let Some(server) = Django::start() else {
        return;
    };
    let bench = Bench::new(None).await;
    let out = output(server.root());
    let first: Vec<Row> = [0, 1, 3, 4].map(|n| row("23", "no2", n, 10.0)).into();
    bench.write(&out, first).await.unwrap();
    let then = vec![
        row("23", "no2", 1, 11.5),
        row("23", "no2", 2, 12.0),
        row("23", "no2", 5, 15.0),
    ];
    bench.write(&out, then).await.unwrap();
    let datastreams = server.list("Datastreams").await;
    let found: Vec<f64> = observations(&server, &datastreams[0])
        .await
        .into_iter()
        .map(|(_, result)| result)
        .collect();
    assert_eq!(found, [10.0, 11.5, 12.0, 10.0, 10.0, 15.0]);
}

#[tokio::test]
async fn what_is_there_twice_is_there_once_when_its_hour_is_looked_at_again() {
    let Some(server) = Django::start() else {
        return;
    };
    let bench = Bench::new(None).await;
    let rows: Vec<Row> = (0..3).map(|n| row("23", "no2", n, 10.0)).collect();
    bench
        .write(&output(server.root()), rows.clone())
        .await
        .unwrap();
    let datastream = server.list("Datastreams").await.remove(0);
    let double = json!({
        "phenomenonTime": rows[1].attributes["start"], "result": 10.0,
        "Datastream": {"@iot.id": datastream["@iot.id"]},
        "FeatureOfInterest": {"@iot.id": server.list("FeaturesOfInterest").await[0]["@iot.id"]},
    });
    let made = reqwest::Client::new()
        .post(format!("{}/Observations", server.root()))
        .header("content-type", "application/json")
        .body(double.to_string())
        .send()
        .await
        .unwrap();
    assert!(made.status().is_success(), "{}", made.status());
    assert_eq!(observations(&server, &datastream).await.len(), 4);
    bench
        .write(&output(server.root()), rows.clone())
        .await
        .unwrap();
    assert_eq!(observations(&server, &datastream).await, expected(&rows));
    assert!(
        bench.counted().contains("doubles_removed 1"),
        "{}",
        bench.counted()
    );
}

#[tokio::test]
async fn quality_and_provenance_go_with_an_observation() {
    let Some(server) = Django::start() else {
        return;
    };
    let bench = Bench::new(None).await;
    bench
        .write(
            &output(server.root()),
            vec![row("23", "no2", 0, 10.0), row("23", "no2", 1, 11.0)],
        )
        .await
        .unwrap();
    for found in server.list("Observations").await {
        assert_eq!(found["parameters"]["acceptedCount"], 30);
        assert_eq!(found["parameters"]["definition"], "jose 1");
        let quality = found["resultQuality"].to_string();
        assert!(
            quality.contains("0.75") && quality.contains("low_coverage"),
            "{quality}"
        );
    }
}

#[tokio::test]
async fn a_write_that_breaks_off_anywhere_is_made_good_by_the_next() {
    let Some(server) = Django::start() else {
        return;
    };
    let bench = Bench::new(None).await;
    let rows: Vec<Row> = (0..40)
        .map(|n| row(if n % 2 == 0 { "23" } else { "24" }, "no2", n, n as f64))
        .collect();
    for milliseconds in [5, 20, 40, 60, 80, 100, 130, 160] {
        let out = output(server.root());
        let write = bench.write(&out, rows.clone());
        let _ = tokio::time::timeout(Duration::from_millis(milliseconds), write).await;
    }
    // What the server still had in hand.
    tokio::time::sleep(Duration::from_millis(300)).await;
    bench
        .write(&output(server.root()), rows.clone())
        .await
        .unwrap();
    assert_eq!(server.list("Things").await.len(), 2);
    for (station, datastreams) in by_thing(&server).await {
        assert_eq!(datastreams.len(), 1, "{station}");
        let own: Vec<Row> = rows
            .iter()
            .filter(|row| row.attributes["station"] == *station)
            .cloned()
            .collect();
        assert_eq!(observations(&server, &datastreams[0]).await, expected(&own));
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_says_what_to_do() {
    let bench = Bench::new(None).await;
    let rows = vec![row("23", "no2", 0, 10.0)];
    let error = bench
        .write(&output("http://127.0.0.1:1/v1.1"), rows.clone())
        .await;
    assert!(
        matches!(error, Err(OutputError::Unreachable { .. })),
        "{error:?}"
    );
    let Some(server) = Django::start() else {
        return;
    };
    let wrong = server.root().replace("/v1.1", "/v9");
    let error = bench
        .write(&output(&wrong), rows)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("with its version"), "{error}");
}
