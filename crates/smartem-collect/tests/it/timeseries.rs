use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};
use smartem_collect::harvest::rivm::{Timeseries, TimeseriesConfig};
use smartem_etl::{ExitCode, Outcome};
use smartem_model::Hour;
use smartem_simulate::timeseries::{World, router};
use smartem_store::Selection;

use crate::network::{Fault, HOURS, Network, assert_same, at, station, vocabulary};

const START: &str = "2026-11-01T00:00:00Z";
const NOW: &str = "2026-11-20T12:40:00Z";
const MOLENVELD: &str = "test:nijmegen_molenveld";

async fn network(now: &str) -> Network {
    let world = Arc::new(World::new(7, at(START)));
    Network::start("harvester-rivm", now, "/api/v1/timeseries/", |clock| {
        router(world, clock)
    })
    .await
}

fn config(network: &Network) -> TimeseriesConfig {
    let mut config = TimeseriesConfig::new("test", network.url.clone());
    config.http.attempts = 1;
    config.series = ["10", "11", "12", "20", "21", "22", "40"]
        .map(str::to_owned)
        .to_vec();
    config
}

fn input(config: TimeseriesConfig) -> Timeseries {
    Timeseries::new(config, &vocabulary()).unwrap()
}

#[tokio::test]
async fn d_027_values_arrive_whole_in_the_unit_of_the_platform_and_are_refined_to_themselves() {
    let network = network(NOW).await;
    let report = network.run(input(config(&network)), HOURS).await;
    assert_eq!(report.outcome, Some(Outcome::Done), "{}", report.summary);
    let samples = network.samples(MOLENVELD, "2026-11-19T09:00:00Z").await;
    assert_eq!(samples.len(), 3, "{samples:?}");
    let co = &samples[0];
    assert_eq!(
        (&co["meta_id"], &co["stamp"]),
        (&json!("co-10"), &json!("2026-11-19T10:00:00Z"))
    );
    assert_eq!(co["source_unit"], "mg.m-3");
    let observations = network.refined(MOLENVELD, "2026-11-19T09:00:00Z").await;
    let found: Vec<_> = observations
        .iter()
        .map(|o| (&*o.indicator, o.value, o.accepted_count, o.quality.coverage))
        .collect();
    let milligrams = co["source_value"].as_f64().unwrap();
    let other = |i: usize, key: &str| samples[i][key].as_f64().unwrap();
    assert_eq!(
        found,
        [
            ("co", milligrams * 1000.0, 1, Some(1.0)),
            ("no2", other(1, "no2"), 1, Some(1.0)),
            ("o3", other(2, "o3"), 1, Some(1.0)),
        ]
    );
}

#[tokio::test]
async fn what_is_stored_does_not_depend_on_when_and_how_often_it_was_read() {
    let (from, to) = (START, "2026-11-03T00:00:00Z");
    let mut network = network("2026-11-20T00:00:00Z").await;
    network.run(input(config(&network)), HOURS).await;
    let at_once = network.hours(from, to).await;
    // An hour without any value has no record.
    assert!((130..=144).contains(&at_once.len()), "{}", at_once.len());
    network.forget().await;
    network.set("2026-11-01T00:20:00Z");
    let mut stopped = 0;
    for turn in 0..60 {
        let mut config = config(&network);
        config.request_hours = 7;
        // Killed somewhere in between, nothing is lost.
        let report = network.run_until(8 + turn % 17, input(config), HOURS).await;
        stopped += usize::from(report.outcome == Some(Outcome::Stopped));
        network.pass_time(55);
    }
    assert!(stopped > 10, "{stopped}");
    network.run(input(config(&network)), HOURS).await;
    assert_same(&network.hours(from, to).await, &at_once);
}

#[tokio::test]
async fn d_054_d_055_a_run_goes_on_where_the_last_one_was() {
    let network = network(NOW).await;
    network.run(input(config(&network)), HOURS).await;
    let asked = network.tap.asked();
    assert!(
        asked
            .iter()
            .all(|path| !path.contains("1969") && !path.contains("1970"))
    );
    let first = "/api/v1/timeseries/10/getData?timespan=2026-10-31T23%3A00%3A00Z%2FPT240H";
    assert!(asked.iter().any(|path| path == first), "{asked:?}");
    network.pass_time(15);
    network.run(input(config(&network)), HOURS).await;
    let again = network.tap.asked();
    // A description and one window of the last three days for each series.
    assert_eq!(again.len(), 14, "{again:?}");
    assert!(
        again
            .iter()
            .any(|path| path.contains("10/getData?timespan=2026-11-17T12"))
    );
}

#[tokio::test]
async fn d_055_a_dead_series_stops_no_other_and_what_is_stored_stays() {
    let network = network("2026-11-03T12:40:00Z").await;
    network.tap.fail("/21", Fault::Status(500));
    network
        .tap
        .fail("/22/getData", Fault::Body("<html>busy</html>"));
    let report = network.run(input(config(&network)), HOURS).await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    let waalkade = "test:nijmegen_waalkade";
    let hour = "2026-11-01T05:00:00Z";
    assert_eq!(network.samples(waalkade, hour).await.len(), 1);
    assert_eq!(network.samples(MOLENVELD, hour).await.len(), 3);
    let aside = network.set_aside().await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(aside[0].0, "/timeseries/22/getData");
    network.tap.mend();
    network.run(input(config(&network)), HOURS).await;
    assert_eq!(network.samples(waalkade, hour).await.len(), 3);
    assert_eq!(network.set_aside().await, []);
}

#[tokio::test]
async fn a_series_of_unknown_unit_is_set_aside_and_the_others_go_on() {
    let network = network("2026-11-01T12:40:00Z").await;
    let mut described: Value = {
        let answer = reqwest::get(network.url.join("11").unwrap()).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    described["uom"] = "furlongs".into();
    let text: &'static str = described.to_string().leak();
    network.tap.fail("/timeseries/11", Fault::Body(text));
    network.run(input(config(&network)), HOURS).await;
    let aside = network.set_aside().await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(aside[0].0, "/timeseries/11");
    assert!(
        aside[0].1.contains("`furlongs` is not known"),
        "{}",
        aside[0].1
    );
    assert_eq!(
        network
            .samples(MOLENVELD, "2026-11-01T05:00:00Z")
            .await
            .len(),
        2
    );
    network.tap.mend();
    network.run(input(config(&network)), HOURS).await;
    assert_eq!(network.set_aside().await, []);
    assert_eq!(
        network
            .samples(MOLENVELD, "2026-11-01T05:00:00Z")
            .await
            .len(),
        3
    );
}

#[tokio::test]
async fn all_series_of_the_source_are_read_when_none_is_named() {
    let network = network("2026-11-03T12:40:00Z").await;
    let mut config = config(&network);
    config.series.clear();
    config.bbox = Some([5.84, 51.0, 6.0, 52.0]);
    let report = network.run(input(config), HOURS).await;
    // Ammonia is no indicator.
    assert!(
        report
            .summary
            .contains("series_skipped 3 (ammonia__air_ 3)"),
        "{}",
        report.summary
    );
    let known = network.store.stations().await.unwrap();
    let names: Vec<_> = known.iter().map(|station| station.id.as_str()).collect();
    assert_eq!(
        names,
        [
            "test:nijmegen_hazenkamp",
            MOLENVELD,
            "test:nijmegen_waalkade"
        ]
    );
}

#[tokio::test]
async fn a_replay_reads_the_hours_again_that_are_asked_for() {
    let mut network = network(NOW).await;
    network.run(input(config(&network)), HOURS).await;
    let before = network.hours(START, NOW).await;
    let checkpoints = network
        .store
        .checkpoints("harvester-rivm", "test")
        .await
        .unwrap();
    network.tap.asked();
    let hour = |text: &str| Hour::containing(at(text));
    network.replay = Some(Selection {
        stations: Some(vec![station(MOLENVELD)]),
        from: hour("2026-11-12T00:00:00Z"),
        to: hour("2026-11-12T03:00:00Z"),
    });
    let report = network.run(input(config(&network)), HOURS).await;
    assert!(
        report.summary.contains("records_unchanged 3"),
        "{}",
        report.summary
    );
    let asked = network.tap.asked();
    assert_eq!(
        asked.iter().filter(|path| path.contains("getData")).count(),
        3,
        "{asked:?}"
    );
    assert_same(&network.hours(START, NOW).await, &before);
    assert_eq!(
        network
            .store
            .checkpoints("harvester-rivm", "test")
            .await
            .unwrap(),
        checkpoints
    );
}

#[tokio::test]
async fn values_that_come_late_are_taken_and_a_source_that_is_silent_fails_the_run() {
    let network = network("2026-11-01T04:30:00Z").await;
    network.run(input(config(&network)), HOURS).await;
    let waalkade = "test:nijmegen_waalkade";
    assert_eq!(
        network
            .samples(waalkade, "2026-11-01T02:00:00Z")
            .await
            .len(),
        0
    );
    network.pass_time(180);
    network.run(input(config(&network)), HOURS).await;
    assert_eq!(
        network
            .samples(waalkade, "2026-11-01T02:00:00Z")
            .await
            .len(),
        3
    );
    network.tap.fail("/", Fault::Status(503));
    let mut silent = config(&network);
    silent.http.backoff = SignedDuration::ZERO;
    let report = network.run(input(silent), HOURS).await;
    assert_eq!(report.exit_code, ExitCode::TryAgain, "{}", report.summary);
}

#[tokio::test]
async fn a_strange_series_or_value_is_set_aside_alone() {
    let network = network("2026-11-03T12:40:00Z").await;
    let all = network.url.join("../timeseries?expanded=true").unwrap();
    let mut listing: Value = {
        let answer = reqwest::get(all).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let list = listing.as_array_mut().unwrap();
    list.push(json!({"id": "99"}));
    list.push(json!(7));
    let odd = list.len() - 1;
    let listing: &'static str = listing.to_string().leak();
    network.tap.fail("expanded", Fault::Body(listing));
    let time = at("2026-11-01T06:00:00Z").as_millisecond();
    let values = json!({"values": [{"timestamp": time, "value": 3.5}, {"timestamp": "x"}]});
    network
        .tap
        .fail("/10/getData", Fault::Body(values.to_string().leak()));
    let mut all = config(&network);
    all.series.clear();
    network.run(input(all.clone()), HOURS).await;
    let aside: Vec<String> = network.set_aside().await.into_iter().map(|a| a.0).collect();
    assert_eq!(
        aside,
        [
            "/timeseries#99".to_owned(),
            format!("/timeseries#entry {odd}"),
            "/timeseries/10/getData#2026-11-01T06:00:00Z".to_owned(),
        ]
    );
    let samples = network.samples(MOLENVELD, "2026-11-01T05:00:00Z").await;
    assert_eq!(samples.len(), 3);
    assert_eq!(samples[0]["source_value"], 3.5);
    network.tap.mend();
    network.run(input(all), HOURS).await;
    assert_eq!(network.set_aside().await, []);
}
