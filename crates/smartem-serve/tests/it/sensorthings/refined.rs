//! Refined observations appear without being written, and the pipeline keeps what they need.

use serde_json::json;
use smartem_serve::SensorThingsSettings;

use super::support::Place;
use crate::support::World;

#[tokio::test]
async fn a_station_is_a_thing_with_its_refined_values() {
    let world = World::filled().await;
    let settings = SensorThingsSettings {
        open_writing: true,
        ..SensorThingsSettings::default()
    };
    let place = Place::of(world, settings);
    let uri = "Things?$filter=name eq '1001'&$expand=Locations,Datastreams($filter=name eq 'temperature';\
               $expand=Sensor,ObservedProperty,Observations($orderby=phenomenonTime desc;$top=1;$count=true))";
    let body = place.json(uri).await;
    let thing = &body["value"][0];
    assert_eq!(thing["properties"]["network"], "whale");
    assert_eq!(thing["Locations"][0]["location"]["type"], "Point");
    let stream = &thing["Datastreams"][0];
    assert_eq!(stream["Sensor"]["name"], "temp-S12");
    assert_eq!(
        stream["ObservedProperty"]["definition"],
        "urn:smartem:indicator:temperature"
    );
    assert_eq!(stream["Observations@iot.count"], 3);
    let observation = &stream["Observations"][0];
    assert_eq!(
        observation["phenomenonTime"],
        "2026-11-15T12:00:00Z/2026-11-15T13:00:00Z"
    );
    assert_eq!(observation["result"], 12.34);
    assert_eq!(
        observation["resultQuality"]["flags"],
        json!(["low_coverage"])
    );
    assert_eq!(observation["parameters"]["acceptedCount"], 59);
    assert_eq!(observation["parameters"]["definition"], "jose/1");

    let id = thing["@iot.id"].as_i64().unwrap();
    let kept = place
        .write("PATCH", &format!("Things({id})"), &json!({"name": "mine"}))
        .await;
    assert_eq!(kept.status, 409, "{}", kept.text());
    let kept = place
        .send("DELETE", &format!("Things({id})"), &[], "")
        .await;
    assert_eq!(kept.status, 409, "{}", kept.text());
    let observation = observation["@iot.id"].as_i64().unwrap();
    let one = place
        .json(&format!("Observations({observation})/Datastream/Thing"))
        .await;
    assert_eq!(one["name"], "1001");
}
