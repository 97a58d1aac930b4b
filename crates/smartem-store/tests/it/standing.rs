//! What becomes of a stored hour when another record of it comes in.

use serde_json::{Value, json};
use smartem_model::raw::RawRecord;
use smartem_store::{Growing, IntakeReport, ReceivedRecord, Standing, Store};

use crate::servers::{On, World};
use crate::support::{hour, id, intake};

fn record(samples: &[Value]) -> RawRecord {
    let hour = hour(0);
    let document = json!({"device_id": "493112", "device_type": "luftdaten", "hour": hour.of_day(),
        "day": hour.day().to_string(), "data": {"timeseries": samples}});
    RawRecord::from_json(&document.to_string(), &|_| true).unwrap()
}

/// A reading of an instrument so many minutes into the hour.
fn reading(minute: i64, instrument: &str, value: f64) -> Value {
    let time = hour(0).period().start + jiff::SignedDuration::from_mins(minute);
    json!({"time": time.to_string(), "meta_id": instrument, "pm10": value})
}

async fn take(store: &Store, standing: Standing, samples: &[Value]) -> IntakeReport {
    let mut intake = intake(Vec::new());
    let received = ReceivedRecord::new(record(samples), "x", standing);
    intake.records.push(received);
    store.take_in(intake).await.unwrap()
}

async fn stored(store: &Store) -> Vec<f64> {
    let record = store.raw_record(&id("493112"), hour(0)).await.unwrap();
    let document: Value = serde_json::from_str(&record.unwrap().to_json()).unwrap();
    let samples = document["data"]["timeseries"].as_array().unwrap();
    samples
        .iter()
        .map(|it| it["pm10"].as_f64().unwrap())
        .collect()
}

pub(crate) async fn parts_of_an_hour_are_united_each_sample_once(on: On) {
    let (world, other) = (World::on(on).await, World::on(on).await);
    let (a, b, c) = (
        reading(5, "SDS011-1", 5.0),
        reading(10, "SDS011-1", 10.0),
        reading(15, "SDS011-1", 15.0),
    );
    let first = take(&world.store, Standing::Part, &[a.clone(), b.clone()]).await;
    assert_eq!((first.new, first.changed), (1, 0));
    let second = take(&world.store, Standing::Part, &[b.clone(), c.clone()]).await;
    assert_eq!((second.new, second.changed, second.unchanged), (0, 1, 0));
    let again = take(&world.store, Standing::Part, &[a.clone(), c.clone()]).await;
    assert_eq!((again.changed, again.unchanged), (0, 1));
    assert_eq!(stored(&world.store).await, [5.0, 10.0, 15.0]);
    for part in [c, a, b] {
        take(&other.store, Standing::Part, &[part]).await;
    }
    assert_eq!(stored(&other.store).await, [5.0, 10.0, 15.0]);
}

pub(crate) async fn substitutes_fill_an_hour_that_has_nothing_and_give_way_to_what_was_measured(
    on: On,
) {
    let world = World::on(on).await;
    let store = &world.store;
    take(store, Standing::Average, &[reading(20, "SDS011-1", 1.0)]).await;
    take(store, Standing::Average, &[reading(58, "SDS011-1", 2.0)]).await;
    take(store, Standing::Average, &[reading(40, "SDS011-1", 3.0)]).await;
    assert_eq!(
        stored(store).await,
        [2.0],
        "the average that covers the hour best"
    );
    take(store, Standing::Archive, &[reading(30, "SDS011-1", 4.0)]).await;
    assert_eq!(stored(store).await, [2.0], "the hour has something");
    take(store, Standing::Part, &[reading(55, "SDS011-1", 9.0)]).await;
    assert_eq!(stored(store).await, [9.0], "measured takes the place");
    for substitute in [Standing::Average, Standing::Archive] {
        let report = take(store, substitute, &[reading(1, "SDS011-1", 7.0)]).await;
        assert_eq!(report.unchanged, 1);
    }
    assert_eq!(stored(store).await, [9.0]);
}

pub(crate) async fn the_files_of_an_archive_day_come_together(on: On) {
    let world = World::on(on).await;
    take(
        &world.store,
        Standing::Archive,
        &[reading(5, "SDS011-1", 1.0)],
    )
    .await;
    take(
        &world.store,
        Standing::Archive,
        &[reading(5, "BME280-2", 2.0)],
    )
    .await;
    assert_eq!(stored(&world.store).await, [2.0, 1.0]);
}

pub(crate) async fn a_whole_hour_takes_the_place_of_anything(on: On) {
    for before in [Standing::Part, Standing::Archive, Standing::Average] {
        let world = World::on(on).await;
        take(&world.store, before, &[reading(5, "SDS011-1", 1.0)]).await;
        let report = take(
            &world.store,
            Standing::Whole,
            &[reading(6, "SDS011-1", 2.0)],
        )
        .await;
        assert_eq!((report.changed, stored(&world.store).await), (1, vec![2.0]));
    }
}

pub(crate) async fn an_hour_that_comes_in_parts_is_refined_when_it_has_ended(on: On) {
    let world = World::on(on).await;
    take(&world.store, Standing::Part, &[reading(5, "SDS011-1", 1.0)]).await;
    let dirty = |growing| world.store.dirty_stations(9, growing);
    assert!(dirty(Growing::From(hour(0))).await.unwrap().is_empty());
    assert_eq!(dirty(Growing::From(hour(1))).await.unwrap(), [id("493112")]);
    let (columns, station) = (smartem_store::Columns::All, id("493112"));
    let work = |growing| world.store.work(&station, 9, columns.clone(), growing);
    assert!(work(Growing::From(hour(0))).await.unwrap().is_none());
    assert_eq!(
        work(Growing::From(hour(1)))
            .await
            .unwrap()
            .unwrap()
            .hours
            .len(),
        1
    );
    let progress = |growing| world.store.progress(growing);
    assert_eq!(progress(Growing::From(hour(0))).await.unwrap().waiting, 0);
    assert_eq!(progress(Growing::From(hour(1))).await.unwrap().waiting, 1);
    // One that came whole does not wait.
    take(
        &world.store,
        Standing::Whole,
        &[reading(6, "SDS011-1", 2.0)],
    )
    .await;
    assert_eq!(dirty(Growing::From(hour(0))).await.unwrap(), [id("493112")]);
}
