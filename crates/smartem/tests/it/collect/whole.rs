//! From a station's push to the map, and on to whoever harvests us.

use std::fmt::Write as _;

use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use smartem_model::{Hour, StationId};
use smartem_store::{Access, Store};

use super::Collector;
use crate::support::{Place, Service, block_on, wait_until};

const CONFIG: &str = "[collect]\ncommit_every = \"300ms\"\nauto_register = true\n\
    [collect.mqtt]\nenabled = false\n\
    [[collect.database]]\nname = \"boxes\"\nproject = \"waalkade\"\nstation = \"measurement\"\n\
    station_type = \"luftdaten\"\nstations = { BOX_1 = \"4711\" }\n";

fn lines(measurement: &str, from: Timestamp, minutes: i64) -> String {
    let mut text = String::new();
    for minute in 0..minutes {
        let time = from + minute.minutes();
        let _ = writeln!(
            text,
            "{measurement},meta_id=sds011 pm10={}.5,pm2_5={}.25,latitude=51.84,longitude=5.86 {}",
            10 + minute % 7,
            5 + minute % 3,
            time.as_second(),
        );
    }
    text
}

fn last_values(service: &Service, station: &str) -> Vec<Value> {
    let all = service.json("/api/v1/stations");
    let found = all["stations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["id"] == station);
    let values = found.map(|it| it["last"].as_array().cloned().unwrap_or_default());
    values.unwrap_or_default()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the program has the clock of the machine too"
)]
fn what_a_station_pushes_is_on_the_map_answers_queries_and_can_be_harvested() {
    let place = Place::new();
    place.write("smartem.toml", CONFIG);
    let up = Collector::start(&place, "up");
    let now = Timestamp::now();
    let hours_ago = now - 3.hours();
    let body = lines("BOX_1", hours_ago, 178) + &lines("STRAY", hours_ago, 2);
    let (status, answer) = up
        .connect()
        .post("/write?db=boxes&precision=s", &body)
        .unwrap();
    assert_eq!(status, 204, "{answer}");

    // At once in queries, also what is of no station; that is listed.
    let count = up.query("boxes", "SELECT count(pm10) FROM BOX_1, STRAY");
    assert_eq!(count["results"][0]["series"][0]["values"][0][1], 178);
    assert_eq!(count["results"][0]["series"][1]["values"][0][1], 2);
    let stray = up.service.json("/api/v1/collector/series?mapped=false");
    assert_eq!(stray["series"][0]["measurement"], "STRAY");

    // On the map, and its hours are refined.
    wait_until("the newest values are shown", || {
        !last_values(&up.service, "4711").is_empty()
    });
    let observations = "/api/v1/stations/4711/observations";
    let later = (now + 2.hours()).to_string();
    wait_until("its hours are refined", || {
        let refined = place.run(&["etl", "run", "refiner", "--now", &later]);
        assert!(refined.status.success());
        let (status, body) = up.service.get(observations);
        status == 200 && body.contains("pm10")
    });

    // The platform's own harvester, as it is, reads it from here as from InfluxDB.
    let other = Place::new();
    other.write(
        "smartem.toml",
        format!(
            "[[process.harvester-influxdb.source]]\nname = \"collector\"\nurl = \"{}\"\n\
             database = \"boxes\"\nstation_type = \"luftdaten\"\n\
             stations = {{ BOX_1 = \"4711\" }}\n",
            up.service.url.trim_end_matches('/')
        ),
    );
    assert!(other.run(&["store", "migrate"]).status.success());
    // Later, when all of its hours are over.
    let read = other.run(&["etl", "run", "harvester-influxdb", "--now", &later]);
    assert!(read.status.success());
    let station = StationId::new("4711").unwrap();
    let harvested = block_on(async {
        let store = Store::open(&other.data(), Access::Existing).await.unwrap();
        let hours = [hours_ago, now + 1.hour()].map(|time| Hour::containing(time).unwrap());
        let mut samples = 0;
        for hour in store
            .stored_hours(&station, hours[0], hours[1])
            .await
            .unwrap()
        {
            let record = store.raw_record(&station, hour).await.unwrap().unwrap();
            samples += record.samples.len();
        }
        samples
    });
    assert_eq!(harvested, 178);
}

#[test]
fn a_json_push_needs_a_token_and_answers_queries() {
    let place = Place::new();
    place.write("smartem.toml", CONFIG);
    let up = Collector::start(&place, "up");
    let push = r#"{"station": "kid-1", "station_type": "vanilla", "samples": [{"no2": 21.5}]}"#;
    let stranger = super::Connection::open(&up.service.url, "nobody");
    let (status, answer) = stranger.post("/api/v1/push", push).unwrap();
    assert_eq!(status, 401, "{answer}");
    let (status, answer) = up.connect().post("/api/v1/push", push).unwrap();
    assert_eq!(status, 200, "{answer}");
    let found = up.query("push", "SELECT no2 FROM vanilla WHERE station = 'kid-1'");
    assert_eq!(found["results"][0]["series"][0]["values"][0][1], 21.5);
}
