//! What a client begins with.

use serde_json::{Value, json};
use smartem_serve::SensorThingsSettings;

use super::support::Place;

fn sets(document: &Value) -> Vec<(&str, &str)> {
    let sets = document["value"].as_array().unwrap().iter();
    sets.map(|set| (set["name"].as_str().unwrap(), set["url"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn every_face_lists_its_sets_below_its_own_address() {
    let place = Place::empty().await;
    for face in ["/sta/v1.1", "/sta/v1.0", "/gost/v1.0", "/sta/v2.0"] {
        let document = place.json(face).await;
        let sets = sets(&document);
        assert_eq!(
            sets[0],
            ("Things", &*format!("http://sta.example.org{face}/Things"))
        );
        for (name, url) in &sets {
            assert_eq!(*url, format!("http://sta.example.org{face}/{name}"));
            let path = url.strip_prefix("http://sta.example.org").unwrap();
            assert_eq!(place.json(path).await["value"], json!([]), "{url}");
        }
        assert_eq!(place.json(&format!("{face}/")).await, document);
    }
}

#[tokio::test]
async fn the_document_of_1_0_has_the_sets_of_the_standard_and_nothing_else() {
    let place = Place::with(SensorThingsSettings {
        core_only: true,
        ..SensorThingsSettings::default()
    })
    .await;
    let document = place.json("/sta/v1.0").await;
    let mut names: Vec<&str> = sets(&document).iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Datastreams",
            "FeaturesOfInterest",
            "HistoricalLocations",
            "Locations",
            "Observations",
            "ObservedProperties",
            "Sensors",
            "Things",
        ]
    );
    assert_eq!(document.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn the_document_of_1_1_says_what_the_service_can_do() {
    let place = Place::with(SensorThingsSettings {
        top_max: 500,
        mqtt: vec!["mqtt://sta.example.org:1883".into()],
        public_url: Some("https://air.example.org".into()),
        ..SensorThingsSettings::default()
    })
    .await;
    let document = place.json("/sta/v1.1").await;
    assert_eq!(
        document["value"][0]["url"],
        "https://air.example.org/sta/v1.1/Things"
    );
    let settings = &document["serverSettings"];
    let classes = settings["conformance"].as_array().unwrap();
    for class in [
        "http://www.opengis.net/spec/iot_sensing/1.1/req/request-data",
        "http://www.opengis.net/spec/iot_sensing/1.1/req/batch-request/batch-request",
        "urn:smartem:sta:json-batch",
    ] {
        assert!(classes.contains(&json!(class)), "{class}");
    }
    let mqtt =
        "http://www.opengis.net/spec/iot_sensing/1.1/req/receive-updates-via-mqtt/receive-updates";
    assert!(classes.contains(&json!(mqtt)));
    assert_eq!(
        settings[mqtt]["endpoints"],
        json!(["mqtt://sta.example.org:1883"])
    );
    assert_eq!(settings["limits"]["topMax"], 500);
    let functions = settings["functions"].as_array().unwrap();
    assert!(functions.contains(&json!("geo.intersects")));

    let without = Place::empty().await.json("/sta/v1.1").await;
    let classes = without["serverSettings"]["conformance"].as_array().unwrap();
    assert!(!classes.contains(&json!(mqtt)));
}

#[tokio::test]
async fn every_function_that_is_told_is_known() {
    let place = Place::empty().await;
    let document = place.json("/sta/v1.1").await;
    for function in document["serverSettings"]["functions"].as_array().unwrap() {
        let function = function.as_str().unwrap();
        let message = place.get(&format!("Things?$filter={function}()")).await;
        let text = message.text();
        assert!(!text.contains("there is no function"), "{function}: {text}");
    }
}
