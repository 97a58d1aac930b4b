use std::sync::Arc;

use serde_json::{Value, json};
use smartem_collect::harvest::opensensemap::{OpenSenseMap, OpenSenseMapConfig};
use smartem_etl::{ExitCode, Outcome};
use smartem_simulate::opensensemap::{World, router};

use crate::network::{Fault, HOURS, LAST, Network, assert_same, at, station};

const START: &str = "2026-11-20T00:00:00Z";
const NOW: &str = "2026-11-22T12:40:00Z";

async fn network(now: &str) -> Network {
    let world = Arc::new(World::new(7, at(START)));
    Network::start("harvester-opensensemap", now, "/", |clock| {
        router(world, clock)
    })
    .await
}

fn id(number: u64) -> String {
    format!("{:08x}{number:016x}", at(START).as_second())
}

fn config(network: &Network) -> OpenSenseMapConfig {
    let mut config = OpenSenseMapConfig::new("test", network.url.clone());
    config.http.attempts = 1;
    config.bbox = Some([5.0, 51.0, 6.0, 52.0]);
    config
}

fn input(config: OpenSenseMapConfig) -> OpenSenseMap {
    OpenSenseMap::new(config).unwrap()
}

#[tokio::test]
async fn values_arrive_under_the_keys_and_in_the_units_of_the_station_type() {
    let network = network(NOW).await;
    let report = network.run(input(config(&network)), HOURS).await;
    assert_eq!(report.outcome, Some(Outcome::Done), "{}", report.summary);
    assert!(
        report.summary.contains("sensors_not_understood 3"),
        "{}",
        report.summary
    );
    let molenveld = format!("opensensemap:{}", id(1));
    let hour = "2026-11-21T09:00:00Z";
    let observations = network.refined(&molenveld, hour).await;
    let found: Vec<_> = observations.iter().map(|o| &*o.indicator).collect();
    assert_eq!(found, ["pm2_5", "pressure", "temperature"]);
    // 120 half minutes of each, but those that are none.
    assert!(
        observations
            .iter()
            .all(|o| (118..=120).contains(&o.accepted_count))
    );
    let pressure = observations
        .iter()
        .find(|o| &*o.indicator == "pressure")
        .unwrap();
    assert!(
        (980.0..=1040.0).contains(&pressure.value),
        "{}",
        pressure.value
    );
    let samples = network.samples(&molenveld, hour).await;
    assert!(
        samples
            .iter()
            .any(|sample| sample.get("Zonnestroom").is_some())
    );
    // A box indoors was not asked for.
    assert_eq!(
        network
            .samples(&format!("opensensemap:{}", id(4)), hour)
            .await
            .len(),
        0
    );
}

#[tokio::test]
async fn what_is_stored_does_not_depend_on_when_and_how_often_it_was_read() {
    let (from, to) = (START, "2026-11-20T18:00:00Z");
    let mut network = network("2026-11-21T12:40:00Z").await;
    network.run(input(config(&network)), HOURS).await;
    let at_once = network.hours(from, to).await;
    assert_eq!(at_once.len(), 2 * 18);
    network.forget().await;
    network.set("2026-11-20T00:10:00Z");
    let mut stopped = 0;
    for turn in 0..26 {
        let mut config = config(&network);
        config.request_hours = 5;
        let report = network.run_until(3 + turn % 11, input(config), HOURS).await;
        stopped += usize::from(report.outcome == Some(Outcome::Stopped));
        network.pass_time(60);
    }
    assert!(stopped > 5, "{stopped}");
    network.run(input(config(&network)), HOURS).await;
    assert_same(&network.hours(from, to).await, &at_once);
}

#[tokio::test]
async fn more_values_than_one_answer_holds_are_asked_for_in_parts() {
    let network = network("2026-11-25T12:40:00Z").await;
    let mut whole = config(&network);
    // Four days of half minutes are 11,520 values.
    whole.request_hours = 96;
    whole.boxes = vec![id(1)];
    network.run(input(whole), HOURS).await;
    let asked = network.tap.asked();
    assert!(
        asked.iter().filter(|path| path.contains("/data/")).count() > 8,
        "{asked:?}"
    );
    let molenveld = format!("opensensemap:{}", id(1));
    for hour in [
        "2026-11-20T00:00:00Z",
        "2026-11-22T00:00:00Z",
        "2026-11-23T23:00:00Z",
    ] {
        // The first moment is the same for all; duplicates are gone.
        let samples = network.samples(&molenveld, hour).await;
        assert!(
            (472..=480).contains(&samples.len()),
            "{hour}: {}",
            samples.len()
        );
    }
}

#[tokio::test]
async fn newest_values_of_all_boxes_come_with_one_request() {
    let network = network(NOW).await;
    let report = network.run(input(config(&network)), LAST).await;
    assert!(
        report.summary.contains("last_stored 3"),
        "{}",
        report.summary
    );
    assert_eq!(network.tap.asked().len(), 1);
    let (time, _) = network
        .store
        .last_sample(&station(&format!("opensensemap:{}", id(1))))
        .await
        .unwrap()
        .unwrap();
    assert!(time > at("2026-11-22T12:10:00Z"), "{time}");
}

#[tokio::test]
async fn a_broken_sensor_stops_no_other_and_a_dead_box_neither() {
    let network = network("2026-11-20T12:40:00Z").await;
    let sensor = id(16 + 256);
    network
        .tap
        .fail(&sensor, Fault::Body("{\"code\": \"Broken\"}"));
    network
        .tap
        .fail(&format!("/boxes/{}/", id(2)), Fault::Status(500));
    let report = network.run(input(config(&network)), HOURS).await;
    assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
    let molenveld = format!("opensensemap:{}", id(1));
    let before = network
        .samples(&molenveld, "2026-11-20T03:00:00Z")
        .await
        .len();
    assert_eq!(network.set_aside().await.len(), 1);
    network.tap.mend();
    network.run(input(config(&network)), HOURS).await;
    assert_eq!(network.set_aside().await, []);
    let after = network
        .samples(&molenveld, "2026-11-20T03:00:00Z")
        .await
        .len();
    assert!(before > 300 && after > before + 100, "{before}, {after}");
    let waalkade = format!("opensensemap:{}", id(2));
    assert!(
        network
            .samples(&waalkade, "2026-11-20T03:00:00Z")
            .await
            .len()
            > 400
    );
}

#[tokio::test]
async fn a_strange_sensor_or_value_is_set_aside_alone() {
    let network = network("2026-11-20T12:40:00Z").await;
    let all = network.url.join("boxes?format=json&full=true").unwrap();
    let mut boxes: Value = {
        let answer = reqwest::get(all).await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    for one in boxes.as_array_mut().unwrap() {
        if one["_id"] == json!(id(1)) {
            one["sensors"][0].as_object_mut().unwrap().remove("_id");
        }
    }
    let listing: &'static str = boxes.to_string().leak();
    network.tap.fail("/boxes?", Fault::Body(listing));
    let values = r#"[{"value": "3", "createdAt": "2026-11-20T09:00:10Z"}, {"value": "4"}]"#;
    network.tap.fail(&id(17 + 256), Fault::Body(values));
    network.run(input(config(&network)), HOURS).await;
    let molenveld = format!("opensensemap:{}", id(1));
    let hour = "2026-11-20T09:00:00Z";
    let samples = network.samples(&molenveld, hour).await;
    assert!(samples.len() > 120, "{}", samples.len());
    let found = samples
        .iter()
        .filter(|s| s["time"] == "2026-11-20T09:00:10Z");
    assert_eq!(found.count(), 1);
    let aside: Vec<String> = network.set_aside().await.into_iter().map(|a| a.0).collect();
    let value = format!(
        "/boxes/{}/data/{}#2026-11-20T09:00:10Z",
        id(1),
        id(17 + 256)
    );
    assert_eq!(aside, [format!("/boxes/{}#0", id(1)), value]);
    network.tap.mend();
    network.run(input(config(&network)), HOURS).await;
    assert_eq!(network.set_aside().await, []);
}
