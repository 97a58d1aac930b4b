//! Sources that tell a newest value which is not the newest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_collect::harvest::rivm::{Timeseries, TimeseriesConfig};

use crate::network::{HOURS, Network, at, vocabulary};

const NOW: &str = "2026-11-20T12:40:00Z";
const STATION: &str = "test:square";

/// A source with one series: its values, and what it tells of their ends.
#[derive(Clone, Default)]
struct Told {
    values: Arc<Mutex<BTreeMap<Timestamp, f64>>>,
    first: Arc<Mutex<Option<Timestamp>>>,
    newest: Arc<Mutex<Option<Timestamp>>>,
}

impl Told {
    fn measures(&self, time: &str) {
        self.values.lock().unwrap().insert(at(time), 7.5);
    }

    fn tells(&self, first: &str, newest: &str) {
        *self.first.lock().unwrap() = Some(at(first));
        *self.newest.lock().unwrap() = Some(at(newest));
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/timeseries/1", get(describe))
            .route("/timeseries/{id}/getData", get(data))
            .with_state(self.clone())
    }
}

async fn describe(State(told): State<Told>) -> Json<Value> {
    let mut entry = json!({
        "id": "1", "label": "NO2", "uom": "ug/m3",
        "station": {"properties": {"label": "Square"}},
        "parameters": {"phenomenon": {"label": "no2"}},
    });
    let end = |time: Timestamp| json!({"timestamp": time.as_millisecond(), "value": 1.0});
    if let Some(first) = *told.first.lock().unwrap() {
        entry["firstValue"] = end(first);
    }
    if let Some(newest) = *told.newest.lock().unwrap() {
        entry["lastValue"] = end(newest);
    }
    Json(entry)
}

async fn data(
    State(told): State<Told>,
    Path(_): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let (start, hours) = query["timespan"].split_once("/PT").unwrap();
    let hours: i64 = hours.trim_end_matches('H').parse().unwrap();
    let start = at(start);
    let end = start + jiff::SignedDuration::from_hours(hours);
    let values = told.values.lock().unwrap();
    let values: Vec<Value> = values
        .range(start..=end)
        .map(|(time, value)| json!({"timestamp": time.as_millisecond(), "value": value}))
        .collect();
    Json(json!({"values": values}))
}

async fn network(told: &Told) -> Network {
    Network::start("harvester-rivm", NOW, "/", |_| told.router()).await
}

fn input(network: &Network) -> Timeseries {
    let mut config = TimeseriesConfig::new("test", network.url.clone());
    config.http.attempts = 1;
    config.series = vec!["1".to_owned()];
    Timeseries::new(config, &vocabulary()).unwrap()
}

async fn has(network: &Network, hour: &str) -> bool {
    !network.samples(STATION, hour).await.is_empty()
}

#[tokio::test]
async fn values_after_the_newest_that_the_source_tells_are_read() {
    let told = Told::default();
    told.tells("2026-09-01T01:00:00Z", "2026-09-02T00:00:00Z");
    for time in ["2026-09-01T01:00:00Z", "2026-10-11T10:00:00Z"] {
        told.measures(time);
    }
    let network = network(&told).await;
    network.run(input(&network), HOURS).await;
    assert!(has(&network, "2026-10-11T09:00:00Z").await);
    // Nor do those stay away that arrive now.
    told.measures("2026-11-20T10:00:00Z");
    network.run(input(&network), HOURS).await;
    assert!(has(&network, "2026-11-20T09:00:00Z").await);
}

#[tokio::test]
async fn a_dead_series_costs_a_request_a_year_and_one_a_run() {
    let told = Told::default();
    told.tells("2016-11-01T01:00:00Z", "2016-11-02T00:00:00Z");
    told.measures("2016-11-01T01:00:00Z");
    let network = network(&told).await;
    network.run(input(&network), HOURS).await;
    assert!(has(&network, "2016-11-01T00:00:00Z").await);
    let asked = network.tap.asked();
    assert!((10..=14).contains(&asked.len()), "{asked:?}");
    network.pass_time(60);
    network.run(input(&network), HOURS).await;
    let asked = network.tap.asked();
    assert!(asked.len() <= 3, "{asked:?}");
}

#[tokio::test]
async fn what_a_silent_series_tells_afterwards_is_read() {
    let told = Told::default();
    told.tells("2026-10-01T01:00:00Z", "2026-10-01T05:00:00Z");
    told.measures("2026-10-01T05:00:00Z");
    let network = network(&told).await;
    network.run(input(&network), HOURS).await;
    // Longer ago than values are late.
    told.measures("2026-10-20T05:00:00Z");
    told.measures("2026-11-20T13:00:00Z");
    told.tells("2026-10-01T01:00:00Z", "2026-11-20T13:00:00Z");
    network.pass_time(60);
    network.run(input(&network), HOURS).await;
    assert!(has(&network, "2026-10-20T04:00:00Z").await);
    // That is done once.
    network.tap.asked();
    network.pass_time(15);
    network.run(input(&network), HOURS).await;
    let asked = network.tap.asked();
    assert!(asked.len() <= 3, "{asked:?}");
}

#[tokio::test]
async fn a_series_that_tells_no_beginning_is_refused_with_the_remedy() {
    let told = Told::default();
    told.measures("2026-11-19T10:00:00Z");
    let network = network(&told).await;
    network.run(input(&network), HOURS).await;
    assert_eq!(network.tap.asked().len(), 1);
    let aside = network.set_aside().await;
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(aside[0].1.contains("set `since`"), "{aside:?}");
    let mut config = TimeseriesConfig::new("test", network.url.clone());
    config.series = vec!["1".to_owned()];
    config.since = Some(at("2026-11-01T00:00:00Z"));
    let mended = Timeseries::new(config, &vocabulary()).unwrap();
    network.run(mended, HOURS).await;
    assert!(has(&network, "2026-11-19T09:00:00Z").await);
    assert_eq!(network.set_aside().await, []);
}
