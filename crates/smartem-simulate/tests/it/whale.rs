//! The routes over the simulated city.

use axum::http::{Method, StatusCode};
use serde_json::Value;
use smartem_simulate::city::{City, CityConfig};

use crate::helpers::{assert_missing, at, get, get_bytes, send, served};

const NOW: &str = "2026-11-15T13:20:00Z";

fn flawless() -> City {
    let config = CityConfig::starting(at("2026-11-13T21:00:00Z"));
    City::new(CityConfig {
        stations: 3,
        flaws: false,
        ..config
    })
    .unwrap()
}

#[tokio::test]
async fn devices_are_listed_by_their_paths() {
    let api = served(flawless(), NOW);
    let list = get(&api, "/devices").await;
    assert_eq!(
        list,
        serde_json::json!({"devices": [
            "/sensors/v1/devices/1001", "/sensors/v1/devices/1002", "/sensors/v1/devices/1003"
        ]})
    );
}

#[tokio::test]
async fn a_device_names_its_outputs_and_links_that_work() {
    let api = served(flawless(), NOW);
    let device = get(&api, "/devices/1002").await;
    assert_eq!(device["id"], "1002");
    for link in ["timeseries", "last"] {
        let path = device[link].as_str().unwrap();
        assert_eq!(
            send(&api, Method::GET, path).await.0,
            StatusCode::OK,
            "{path}"
        );
    }
    let outputs = device["outputs"].as_array().unwrap();
    let names: Vec<&str> = outputs
        .iter()
        .map(|o| o["name"].as_str().unwrap())
        .collect();
    for name in ["s_no2resistance", "s_pm2_5", "v_audio0", "v_audioplus9"] {
        assert!(names.contains(&name), "{name}");
    }
}

#[tokio::test]
async fn days_and_hours_end_with_the_current_hour() {
    let api = served(flawless(), NOW);
    let days = get(&api, "/devices/1001/timeseries").await;
    let path = |day: &str| Value::from(format!("/sensors/v1/devices/1001/timeseries/{day}"));
    assert_eq!(days["id"], "1001");
    assert_eq!(
        days["days"],
        Value::from(vec![path("20261113"), path("20261114"), path("20261115")])
    );

    let first = get(&api, "/devices/1001/timeseries/20261113").await;
    assert_eq!(
        first,
        serde_json::json!({"id": "1001", "date": "2026-11-13", "hours": [22, 23, 24]})
    );
    let today = get(&api, "/devices/1001/timeseries/20261115").await;
    assert_eq!(today["hours"], Value::from((1..=14).collect::<Vec<_>>()));
    assert_missing(&api, "/devices/1001/timeseries/20261116").await;
    assert_missing(&api, "/devices/1001/timeseries/20261112").await;
}

#[tokio::test]
async fn every_listed_hour_can_be_had_and_no_other() {
    let config = CityConfig::starting(at("2026-11-01T00:00:00Z"));
    let city = City::new(CityConfig {
        stations: 6,
        ..config
    })
    .unwrap();
    let api = served(city, NOW);
    let mut missing = 0;
    for id in 1001..=1006 {
        for day in 20_261_101..=20_261_115 {
            let address = format!("/devices/{id}/timeseries/{day}");
            let (status, body) = get_bytes(&api, &address).await;
            let listed: Value = serde_json::from_slice(&body).unwrap();
            let hours = match status {
                StatusCode::OK => listed["hours"].as_array().unwrap().clone(),
                _ => Vec::new(),
            };
            for hour in 1..=24 {
                let there = get_bytes(&api, &format!("{address}/{hour}")).await.0;
                assert_eq!(
                    there == StatusCode::OK,
                    hours.contains(&hour.into()),
                    "{address}/{hour}"
                );
                missing += i32::from(there != StatusCode::OK);
            }
        }
    }
    assert!(
        missing > 6 * 10,
        "the rest of today and some losses: {missing}"
    );
}

#[tokio::test]
async fn an_hour_says_what_it_is_and_the_last_sample_is_its_last() {
    let api = served(flawless(), NOW);
    let hour = get(&api, "/devices/1003/timeseries/20261115/14").await;
    assert_eq!(
        (&hour["id"], &hour["date"], &hour["hour"]),
        (&"1003".into(), &"2026-11-15".into(), &14.into())
    );
    let newest = hour["timeseries"].as_array().unwrap().last().unwrap();
    let last = get(&api, "/devices/1003/last").await;
    assert_eq!(last["id"], "1003");
    assert!(last["_id"].is_null());
    let time = last["time"].as_str().unwrap();
    assert_eq!(time.len(), "2026-11-15T13:19:55.1234567Z".len());
    assert!(at(time) <= at(NOW));
    assert_eq!(
        at(time).as_millisecond(),
        at(newest["time"].as_str().unwrap()).as_millisecond()
    );
    for (key, value) in newest.as_object().unwrap() {
        if !["_id", "id", "time"].contains(&key.as_str()) && !key.starts_with("p_") {
            assert_eq!(&last[key], value, "{key}");
        }
    }
    assert!(last["s_no2resistance"].is_u64());
}

#[tokio::test]
async fn before_the_beginning_there_is_nothing_but_devices() {
    let api = served(flawless(), "2026-11-13T20:00:00Z");
    assert_eq!(
        get(&api, "/devices").await["devices"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        get(&api, "/devices/1001/timeseries").await["days"],
        Value::Array(Vec::new())
    );
    assert_missing(&api, "/devices/1001/last").await;
}

#[tokio::test]
async fn anything_else_is_missing() {
    let api = served(flawless(), NOW);
    for path in [
        "",
        "/",
        "/devices/",
        "/device",
        "/devices/23",
        "/devices/01001",
        "/devices/+1001",
        "/devices/abc/last",
        "/devices/%FF/last",
        "/devices/1001/first",
        "/devices/1001/timeseries/2026-11-15",
        "/devices/1001/timeseries/20261315",
        "/devices/1001/timeseries/2026111",
        "/devices/1001/timeseries/20261115/0",
        "/devices/1001/timeseries/20261115/25",
        "/devices/1001/timeseries/20261115/015",
        "/devices/1001/timeseries/20261115/-1",
        "/devices/1001/timeseries/20261115/15",
        "/devices/1001/timeseries/20261115/noon",
        "/devices/1001/timeseries/20261115/99999999999999999999",
        "/devices/1001/timeseries/20261115/12/1",
    ] {
        assert_missing(&api, path).await;
    }
    for path in ["/", "/sensors/v2/devices", "/healthz"] {
        assert_eq!(send(&api, Method::GET, path).await.0, StatusCode::NOT_FOUND);
    }
    let (status, _) = send(&api, Method::POST, "/sensors/v1/devices").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}
