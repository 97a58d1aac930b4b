use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::support::World;

#[tokio::test]
async fn stations_have_the_shape_of_the_contract() {
    let world = World::filled().await;
    let answer = world.get("/api/v1/stations").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["time"], "2026-11-15T13:10:30Z");
    assert_eq!(body["stale_after_s"], 7200);
    let stations = body["stations"].as_array().unwrap();
    assert_eq!(stations.len(), 2);
    let temperature = json!({
        "indicator": "temperature", "sensor": "temp-S12", "label": "TEMPERATURE", "unit": "Cel",
        "phenomenonTime": {"start": "2026-11-15T12:00:00Z", "end": "2026-11-15T13:00:00Z"},
        "value": 12.34, "flags": ["low_coverage"], "stale": false
    });
    let mut station = stations[0].clone();
    let last = station["last"].take();
    assert_eq!(
        station,
        json!({"id": "1001", "name": "1001", "network": "whale", "project": "nijmegen",
            "station_type": "jose", "location": {"lon": 5.86, "lat": 51.84, "alt": 12.0},
            "last": null})
    );
    assert!(last.as_array().unwrap().contains(&temperature), "{last}");
    assert_eq!(stations[1]["id"], "a/b c");
    assert_eq!(stations[1]["project"], Value::Null);
}

#[tokio::test]
async fn one_station_also_tells_the_extent_of_its_observations() {
    let world = World::filled().await;
    let station = world.get("/api/v1/stations/1001").await.json();
    assert_eq!(station["first_time"], "2026-11-15T10:00:00Z");
    assert_eq!(station["last_time"], "2026-11-15T13:00:00Z");
    assert_eq!(station["cadence_s"], Value::Null);
    let pushed = world.get("/api/v1/stations/a%2Fb%20c").await.json();
    assert_eq!(pushed["id"], "a/b c");
    assert_eq!(pushed["first_time"], Value::Null);
    assert_eq!(pushed["last"][0]["value"], 12.34);
}

#[tokio::test]
async fn an_unknown_station_is_named() {
    let world = World::filled().await;
    let answer = world.get("/api/v1/stations/nowhere").await;
    assert_eq!(
        answer.detail(404),
        "There is no station `nowhere`; /api/v1/stations lists them."
    );
    world.get("/api/v1/stations/%ff").await.detail(400);
}

#[tokio::test]
async fn d_057_a_value_goes_stale_with_the_clock() {
    let world = World::filled().await;
    let stale = async || -> Vec<bool> {
        let body = world.get("/api/v1/stations").await.json();
        let one = world.get("/api/v1/stations/1001").await.json();
        let of = |station: &Value| station["last"][0]["stale"].as_bool().unwrap();
        vec![of(&body["stations"][0]), of(&one), of(&body["stations"][1])]
    };
    assert_eq!(stale().await, [false, false, false]);
    world.set_clock("2026-11-15T15:00:00Z");
    assert_eq!(stale().await, [false, false, false]);
    world.set_clock("2026-11-15T15:01:00Z");
    assert_eq!(stale().await, [true, true, false]);
}

#[tokio::test]
async fn d_058_a_change_of_clocks_makes_nothing_stale_or_new() {
    let world = World::empty().await;
    let stale = async || world.get("/api/v1/stations/1").await.json()["last"][0]["stale"].clone();
    // Clocks in Amsterdam go back at 01:00 UTC: 02:30 in summer time, two hours later 03:30 in
    // winter time. The original reckoned with local times, which are one hour apart.
    world.newest("1", "no2", "2026-10-25T00:30:00Z").await;
    world.set_clock("2026-10-25T02:30:00Z");
    assert_eq!(stale().await, false);
    world.set_clock("2026-10-25T02:31:00Z");
    assert_eq!(stale().await, true);
    // In spring they go forward at 01:00 UTC: from 01:30 to 04:30 on the clock are two hours.
    world.newest("1", "no2", "2027-03-28T00:30:00Z").await;
    world.set_clock("2027-03-28T02:30:00Z");
    assert_eq!(stale().await, false);
    world.set_clock("2027-03-28T02:31:00Z");
    assert_eq!(stale().await, true);
}

#[tokio::test]
async fn unchanged_stations_are_not_sent_again() {
    let world = World::filled().await;
    for path in [
        "/api/v1/stations",
        "/api/v1/stations/1001",
        "/api/v1/stations?bbox=5,51,6,52",
    ] {
        world.set_clock("2026-11-15T13:20:00Z");
        let first = world.get(path).await;
        let tag = first.header("etag").to_owned();
        assert_eq!(first.header("cache-control"), "no-cache");
        let again = world.ask("GET", path, &[("if-none-match", &tag)]).await;
        assert_eq!(
            (again.status.as_u16(), again.body.len()),
            (304, 0),
            "{path}"
        );
        assert_eq!(again.header("etag"), tag);

        world.set_clock("2026-11-15T13:21:00Z");
        let later = world.ask("GET", path, &[("if-none-match", &tag)]).await;
        assert_eq!(later.status.as_u16(), 200, "the minute has passed");
    }
    let tag = world
        .get("/api/v1/stations")
        .await
        .header("etag")
        .to_owned();
    world.newest("2002", "no2", "2026-11-15T13:20:30Z").await;
    let after = world
        .ask("GET", "/api/v1/stations", &[("if-none-match", &tag)])
        .await;
    assert_eq!(after.json()["stations"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn stations_are_sent_compressed_to_those_who_take_it() {
    let world = World::filled().await;
    let plain = world.get("/api/v1/stations").await;
    assert_eq!(plain.header("content-encoding"), "");
    let packed = world
        .ask("GET", "/api/v1/stations", &[("accept-encoding", "gzip")])
        .await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("vary"), "accept-encoding");
    let mut text = Vec::new();
    GzDecoder::new(&*packed.body)
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, plain.body);
}

#[tokio::test]
async fn stations_are_chosen_by_indicator_and_place() {
    let world = World::filled().await;
    let ids = async |query: &str| -> Vec<String> {
        let body = world.get(&format!("/api/v1/stations?{query}")).await.json();
        let stations = body["stations"].as_array().unwrap();
        let id = |station: &Value| station["id"].as_str().unwrap().to_owned();
        stations.iter().map(id).collect()
    };
    assert_eq!(ids("indicator=temperature").await, ["1001"]);
    assert_eq!(ids("indicator=no2").await, ["a/b c"]);
    assert_eq!(ids("indicator=pm10").await, [""; 0]);
    assert!(
        ids("bbox=5.8,51.8,5.9,51.9")
            .await
            .contains(&"1001".to_owned())
    );
    assert_eq!(ids("bbox=6,51.8,7,51.9").await, [""; 0]);
    let only = world
        .get("/api/v1/stations?indicator=temperature")
        .await
        .json();
    assert_eq!(only["stations"][0]["last"].as_array().unwrap().len(), 1);

    let detail = world
        .get("/api/v1/stations?indicator=temprature")
        .await
        .detail(400);
    assert!(
        detail.starts_with(
            "`indicator` is `temprature`, which is not known; did you mean `temperature`?"
        ),
        "{detail}"
    );
    let detail = world.get("/api/v1/stations?bbox=1,2,3").await.detail(400);
    assert!(detail.contains("`bbox` is `1,2,3`"), "{detail}");
    let detail = world
        .get("/api/v1/stations?indicater=no2")
        .await
        .detail(400);
    assert!(detail.contains("did you mean `indicator`?"), "{detail}");
}

#[tokio::test]
async fn indicators_and_viewer_have_the_shape_of_the_contract() {
    let world = World::empty().await;
    let answer = world.get("/api/v1/indicators").await;
    let body = answer.json();
    let names: Vec<&str> = body["indicators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|indicator| indicator["name"].as_str().unwrap())
        .collect();
    let expected = world.state.vocabulary.indicators();
    assert!(
        names.iter().eq(expected
            .iter()
            .map(|it| &*it.name)
            .collect::<Vec<_>>()
            .iter())
    );
    // The scales are those of the vocabulary, field by field.
    for (sent, known) in body["indicators"].as_array().unwrap().iter().zip(expected) {
        assert_eq!(sent["scale"], serde_json::to_value(&known.scale).unwrap());
        assert_eq!(
            sent["average"],
            serde_json::to_value(known.average).unwrap()
        );
        assert_eq!(sent["on_map"], known.on_map);
        let unit = world.state.vocabulary.units().get(&known.unit).unwrap();
        assert_eq!(
            sent["unit_label"],
            json!({"en": unit.label.en, "nl": unit.label.nl})
        );
    }
    let tag = answer.header("etag");
    let again = world
        .ask("GET", "/api/v1/indicators", &[("if-none-match", tag)])
        .await;
    assert_eq!(again.status.as_u16(), 304);

    assert_eq!(
        world.get("/api/v1/viewer").await.json(),
        json!({"tile_url": null, "tile_attribution": "", "demo": false, "version": "0.1.0",
            "start_view": {"lon": 5.85, "lat": 51.84, "zoom": 12.0}})
    );
}

#[tokio::test]
async fn units_are_told_with_their_symbols_and_names() {
    let world = World::filled().await;
    let answer = world.get("/api/v1/units").await;
    let body = answer.json();
    let units = body["units"].as_array().unwrap();
    assert_eq!(units.len(), world.state.vocabulary.units().iter().count());
    let dust = units.iter().find(|unit| unit["code"] == "ug/m3").unwrap();
    assert_eq!(
        dust,
        &json!({"code": "ug/m3", "symbol": "µg/m³", "quantity": "mass concentration", "label": {
            "en": "micrograms per cubic metre", "nl": "microgram per kubieke meter"}})
    );
    let tag = answer.header("etag");
    let again = world
        .ask("GET", "/api/v1/units", &[("if-none-match", tag)])
        .await;
    assert_eq!(again.status.as_u16(), 304);
}

#[tokio::test]
async fn everything_is_only_read_and_open_to_other_pages() {
    let world = World::filled().await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = world.ask(method, "/api/v1/stations", &[]).await;
        answer.detail(405);
        assert_eq!(answer.header("allow"), "GET,HEAD");
    }
    let head = world.ask("HEAD", "/api/v1/stations", &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));

    let origin = ("origin", "https://example.org");
    let answer = world.ask("GET", "/api/v1/stations", &[origin]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let method = ("access-control-request-method", "GET");
    let preflight = world
        .ask("OPTIONS", "/api/v1/stations", &[origin, method])
        .await;
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        // The collector beside it takes samples from pages too, and SensorThings all changes, with a token.
        "GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS"
    );
}

#[tokio::test]
async fn an_empty_store_has_no_stations_and_no_problem() {
    let world = World::empty().await;
    let body = world.get("/api/v1/stations").await.json();
    assert_eq!(body["stations"], json!([]));
}
