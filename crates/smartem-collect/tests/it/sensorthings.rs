use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use smartem_collect::harvest::sensorthings::{SensorThings, SensorThingsConfig};
use smartem_etl::{ExitCode, Outcome};
use smartem_simulate::sensorthings::{Flavour, World, router};

use crate::network::{Fault, HOURS, LAST, Network, assert_same, at, station, vocabulary};

const START: &str = "2026-11-20T00:00:00Z";
const NOW: &str = "2026-11-22T12:40:00Z";
const MOLENVELD: &str = "test:NMG-Molenveld";

async fn network(flavour: Flavour, now: &str) -> Network {
    let world = Arc::new(World::new(7, at(START), flavour));
    let below = match flavour {
        Flavour::V1_0 => "/v1.0",
        Flavour::V1_1 => "/v1.1/",
    };
    Network::start("harvester-sensorthings", now, below, |clock| {
        router(world, clock)
    })
    .await
}

fn config(network: &Network) -> SensorThingsConfig {
    let mut config = SensorThingsConfig::new("test", network.url.clone());
    config.http.attempts = 1;
    config
}

fn input(config: SensorThingsConfig) -> SensorThings {
    SensorThings::new(config, &vocabulary()).unwrap()
}

#[tokio::test]
async fn observations_of_both_versions_become_the_hours_that_they_were_made_in() {
    for (flavour, count) in [(Flavour::V1_0, 6), (Flavour::V1_1, 6)] {
        let network = network(flavour, NOW).await;
        let report = network.run(input(config(&network)), HOURS).await;
        assert_eq!(report.outcome, Some(Outcome::Done), "{}", report.summary);
        assert!(
            report
                .summary
                .contains("series_skipped 4 (Soil moisture 4)"),
            "{}",
            report.summary
        );
        let hour = "2026-11-21T09:00:00Z";
        let samples = network.samples(MOLENVELD, hour).await;
        assert_eq!(samples.len(), 3 * count, "{samples:?}");
        let observations = network.refined(MOLENVELD, hour).await;
        let found: Vec<_> = observations
            .iter()
            .map(|o| (&*o.indicator, o.accepted_count))
            .collect();
        assert_eq!(found, [("no2", 6), ("pm2_5", 6), ("temperature", 6)]);
        // Nitrogen dioxide comes in ppb.
        let no2 = samples
            .iter()
            .find(|sample| sample.get("no2").is_some())
            .unwrap();
        let ratio = no2["no2"].as_f64().unwrap() / no2["source_value"].as_f64().unwrap();
        assert!((ratio - 1.9125).abs() < 5e-5, "{ratio}");
        assert_eq!(no2["source_unit"], "ppb");
        if flavour == Flavour::V1_1 {
            assert!(
                samples
                    .iter()
                    .any(|sample| sample["time"] == json!("2026-11-21T09:50:00Z"))
            );
        }
    }
}

#[tokio::test]
async fn what_is_stored_does_not_depend_on_when_and_how_often_it_was_read() {
    for flavour in [Flavour::V1_0, Flavour::V1_1] {
        let (from, to) = (START, "2026-11-21T12:00:00Z");
        let mut network = network(flavour, NOW).await;
        network.run(input(config(&network)), HOURS).await;
        let at_once = network.hours(from, to).await;
        // The first interval ends where the first instant is.
        let intervals = usize::from(flavour == Flavour::V1_1);
        assert_eq!(at_once.len(), 3 * 36 + 6 + intervals);
        network.forget().await;
        network.set("2026-11-20T00:10:00Z");
        let mut stopped = 0;
        for turn in 0..50 {
            let mut config = config(&network);
            config.request_hours = 5;
            config.page = 11;
            let report = network.run_until(9 + turn % 13, input(config), HOURS).await;
            stopped += usize::from(report.outcome == Some(Outcome::Stopped));
            network.pass_time(50);
        }
        assert!(stopped > 5, "{stopped}");
        network.run(input(config(&network)), HOURS).await;
        assert_same(&network.hours(from, to).await, &at_once);
    }
}

#[tokio::test]
async fn a_run_goes_on_where_the_last_one_was() {
    let network = network(Flavour::V1_0, NOW).await;
    network.run(input(config(&network)), HOURS).await;
    network.tap.asked();
    network.pass_time(15);
    let report = network.run(input(config(&network)), HOURS).await;
    let asked = network.tap.asked();
    assert!(
        asked
            .iter()
            .all(|path| !path.contains("$top=1&") && !path.ends_with("$top=1"))
    );
    assert!(asked.len() < 40, "{asked:?}");
    assert!(
        report.summary.contains("records_unchanged"),
        "{}",
        report.summary
    );
}

#[tokio::test]
async fn the_newest_observation_of_each_datastream_is_the_last_value() {
    for flavour in [Flavour::V1_0, Flavour::V1_1] {
        let network = network(flavour, NOW).await;
        let report = network.run(input(config(&network)), LAST).await;
        assert!(
            report.summary.contains("last_stored 4"),
            "{}",
            report.summary
        );
        let (time, _) = network
            .store
            .last_sample(&station(MOLENVELD))
            .await
            .unwrap()
            .unwrap();
        assert!(time > at("2026-11-22T12:00:00Z"), "{time}");
        // A service that cannot expand so deep is asked for each.
        network.pass_time(60);
        network
            .tap
            .fail("Observations($orderby", Fault::Status(400));
        network
            .tap
            .fail("Observations%28%24orderby", Fault::Status(400));
        network.run(input(config(&network)), LAST).await;
        let (later, _) = network
            .store
            .last_sample(&station(MOLENVELD))
            .await
            .unwrap()
            .unwrap();
        assert!(later > time, "{later}");
    }
}

#[tokio::test]
async fn a_broken_datastream_stops_no_other_and_is_read_when_it_is_mended() {
    let network = network(Flavour::V1_0, NOW).await;
    network
        .tap
        .fail("Datastreams(11)", Fault::Body("{\"value\": 3}"));
    network.tap.fail("Datastreams(20)", Fault::Status(500));
    let report = network.run(input(config(&network)), HOURS).await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    let hour = "2026-11-20T09:00:00Z";
    assert_eq!(network.samples(MOLENVELD, hour).await.len(), 12);
    network.tap.mend();
    network.run(input(config(&network)), HOURS).await;
    assert_eq!(network.samples(MOLENVELD, hour).await.len(), 18);
    assert_eq!(network.samples("test:NMG-Waalkade", hour).await.len(), 18);
    assert_eq!(network.set_aside().await, []);
}

#[tokio::test]
async fn things_are_chosen_by_id_and_a_thing_that_is_gone_stops_no_other() {
    let network = network(Flavour::V1_1, NOW).await;
    let mut config = config(&network);
    config.things = ["e-1", "e-9"].map(str::to_owned).to_vec();
    let report = network.run(input(config), HOURS).await;
    assert_eq!(report.outcome, Some(Outcome::Done), "{}", report.summary);
    let known = network.store.stations().await.unwrap();
    let names: Vec<_> = known.iter().map(|station| station.id.as_str()).collect();
    assert_eq!(names, [MOLENVELD]);
}

#[tokio::test]
async fn links_that_lead_away_or_in_a_circle_are_set_aside() {
    for link in [
        "https://elsewhere.example/v1.0/Things",
        "/v1.0/Things?$skip=0",
    ] {
        let network = network(Flavour::V1_0, NOW).await;
        let body = json!({"value": [], "@iot.nextLink": link}).to_string();
        network.tap.fail("/Things", Fault::Body(body.leak()));
        network.run(input(config(&network)), HOURS).await;
        let aside = network.set_aside().await;
        assert_eq!(aside.len(), 1);
        let problem = &aside[0].1;
        assert!(
            problem.contains("another host") || problem.contains("circle"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_strange_datastream_is_set_aside_alone() {
    let network = network(Flavour::V1_0, NOW).await;
    let all = "/v1.0/Things?$expand=Locations,Datastreams($expand=ObservedProperty,Sensor)";
    let mut things: Value = {
        let answer = reqwest::get(network.url.join(all).unwrap()).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    things.as_object_mut().unwrap().remove("@iot.nextLink");
    let molenveld = &mut things["value"][0];
    molenveld["Datastreams"][0]["@iot.id"] = json!(null);
    let place = format!("/Things({})#0", molenveld["@iot.id"]);
    network
        .tap
        .fail("/Things?", Fault::Body(things.to_string().leak()));
    network.run(input(config(&network)), HOURS).await;
    let aside = network.set_aside().await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(aside[0].0, place);
    let hour = "2026-11-20T09:00:00Z";
    assert_eq!(network.samples(MOLENVELD, hour).await.len(), 12);
    network.tap.mend();
    network.run(input(config(&network)), HOURS).await;
    assert_eq!(network.set_aside().await, []);
    assert_eq!(network.samples(MOLENVELD, hour).await.len(), 18);
}

/// A service with one Datastream that knows neither `$orderby` nor `$filter`.
fn without_order(times: &'static [&'static str]) -> Router {
    let things = json!({"value": [{"@iot.id": 1, "name": "Square",
        "Locations": [{"location": {"type": "Point", "coordinates": [5.87, 51.84]}}], "Datastreams": [{
        "@iot.id": 2, "name": "x", "unitOfMeasurement": {"symbol": "ug/m3"},
        "ObservedProperty": {"name": "PM10"},
    }]}]});
    let observations = async |Query(query): Query<BTreeMap<String, String>>| {
        let number = |name: &str| query.get(name).and_then(|text| text.parse().ok());
        let (top, skip) = (number("$top").unwrap_or(9), number("$skip").unwrap_or(0));
        let page = times.iter().skip(skip).take(top);
        let page: Vec<Value> = page
            .map(|time| json!({"phenomenonTime": time, "result": 4.5}))
            .collect();
        Json(json!({"value": page}))
    };
    Router::new()
        .route("/v1.0/Things", get(async move || Json(things)))
        .route("/v1.0/Datastreams(2)/Observations", get(observations))
}

#[tokio::test]
async fn a_service_that_knows_no_order_hides_no_first_and_no_newest_observation() {
    const MIXED: [&str; 3] = [
        "2026-11-22T12:10:00Z",
        "2026-11-20T03:10:00Z",
        "2026-11-21T09:10:00Z",
    ];
    // The first page seems to be in order, and it is not.
    const LATER_PAGE: [&str; 12] = [
        "2026-11-21T00:10:00Z",
        "2026-11-21T01:10:00Z",
        "2026-11-21T02:10:00Z",
        "2026-11-21T03:10:00Z",
        "2026-11-21T04:10:00Z",
        "2026-11-21T05:10:00Z",
        "2026-11-21T06:10:00Z",
        "2026-11-21T07:10:00Z",
        "2026-11-21T08:10:00Z",
        "2026-11-21T09:10:00Z",
        "2026-11-22T12:10:00Z",
        "2026-11-20T03:10:00Z",
    ];
    for times in [&MIXED[..], &LATER_PAGE[..]] {
        let network = Network::start("harvester-sensorthings", NOW, "/v1.0", |_| {
            without_order(times)
        })
        .await;
        network.run(input(config(&network)), LAST).await;
        let square = station("test:Square");
        let (time, _) = network.store.last_sample(&square).await.unwrap().unwrap();
        assert_eq!(time, at("2026-11-22T12:10:00Z"));
        network.run(input(config(&network)), HOURS).await;
        let hour = "2026-11-20T03:00:00Z";
        assert_eq!(network.samples("test:Square", hour).await.len(), 1);
    }
}
