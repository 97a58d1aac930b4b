//! Newest values.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartem_model::raw::RawRecord;
use smartem_model::{Observation, Period, Position};
use smartem_store::{Columns, LastIntake, LastItem, LastReport, Store, StoreError};

use crate::support::{hour, id, now, observation, record, refine_all, sample, take_in, work};

fn snapshot(station: &str, time: Timestamp, observations: Vec<Observation>) -> LastItem {
    let text = json!({"a": observations.len(), "time": time.to_string()}).to_string();
    LastItem {
        record: RawRecord::from_last_sample(&text, &id(station), "jose").unwrap(),
        time,
        place: format!("https://example.org/{station}/last"),
        observations,
    }
}

async fn take_in_last(store: &Store, items: Vec<LastItem>) -> Result<LastReport, StoreError> {
    let intake = LastIntake {
        process: "last".into(),
        source: "intemo".into(),
        network: "josene".into(),
        project: None,
        now: now(),
        items,
        quarantined: Vec::new(),
    };
    store.take_in_last(intake).await
}

/// An observation of station 23 with this value, of a snapshot that ends then.
async fn value(store: &Store, value: i64, end: Timestamp) -> Observation {
    if store
        .work(&id("23"), 1, Columns::All, smartem_store::Growing::No)
        .await
        .unwrap()
        .is_none()
    {
        take_in(store, vec![record("23", -500, &sample(value, 0.0))]).await;
    }
    let given = work(store, "23").await;
    let place = Position::horizontal(5.9, 51.9).unwrap();
    let mut observation = observation(&given, &given.hours[0], "no2", value, place, vec![]);
    let start = end - SignedDuration::from_secs(60);
    observation.phenomenon_time = Period { start, end };
    observation
}

pub(crate) async fn the_newest_snapshot_stays(store: Store) {
    let times: [Timestamp; 3] = [
        "2016-01-20T10:00:00.0000001Z",
        "2016-01-20T10:00:00.0000002Z",
        "2999-01-01T00:00:00Z",
    ]
    .map(|text| text.parse().unwrap());
    let counts = |report: LastReport| (report.stored, report.unchanged, report.older);
    let put = async |at: usize| {
        counts(
            take_in_last(&store, vec![snapshot("7", times[at], vec![])])
                .await
                .unwrap(),
        )
    };
    assert_eq!(put(1).await, (1, 0, 0));
    assert_eq!(put(0).await, (0, 0, 1));
    assert_eq!(put(1).await, (0, 1, 0));
    let (time, kept) = store.last_sample(&id("7")).await.unwrap().unwrap();
    assert_eq!(time, times[1]);
    assert_eq!(kept, snapshot("7", times[1], vec![]).record);
    assert_eq!(put(2).await, (1, 0, 0));
    assert_eq!(store.last_sample(&id("8")).await.unwrap(), None);
}

pub(crate) async fn an_hour_and_a_snapshot_compete_for_the_last_value(store: Store) {
    let last = async || {
        let station = store.station(&id("23")).await.unwrap().unwrap();
        station
            .last
            .first()
            .map(|last| (last.value, last.from_snapshot))
    };
    let (begin, end) = (hour(0).period().start, hour(0).period().end);
    let early = value(&store, 70, begin).await;
    take_in_last(&store, vec![snapshot("23", begin, vec![early])])
        .await
        .unwrap();
    assert_eq!(last().await, Some((70.0, true)));
    // The hour ends later than the snapshot.
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    refine_all(&store).await;
    assert_eq!(last().await.map(|last| last.1), Some(false));
    let late = end + SignedDuration::from_nanos(1);
    let newer = value(&store, 80, late).await;
    take_in_last(&store, vec![snapshot("23", late, vec![newer])])
        .await
        .unwrap();
    assert_eq!(last().await, Some((80.0, true)));
    // Refining an older hour changes nothing about it.
    take_in(&store, vec![record("23", 0, &sample(2, 0.0))]).await;
    refine_all(&store).await;
    assert_eq!(last().await, Some((80.0, true)));
}

pub(crate) async fn a_new_station_is_shown_where_its_snapshot_is(store: Store) {
    let observed = value(&store, 1, now()).await;
    let mut observed = observed;
    observed.station = id("7");
    let place = observed.location;
    take_in_last(&store, vec![snapshot("7", now(), vec![observed])])
        .await
        .unwrap();
    let station = store.station(&id("7")).await.unwrap().unwrap();
    assert_eq!(station.location, Some(place));
    assert_eq!(station.last.len(), 1);
    assert!(store.locations(&id("7")).await.unwrap().is_empty());
}

pub(crate) async fn observations_of_another_station_are_refused(store: Store) {
    let foreign = value(&store, 1, now()).await;
    let error = take_in_last(&store, vec![snapshot("7", now(), vec![foreign])])
        .await
        .unwrap_err();
    assert!(
        matches!(error, StoreError::ForeignObservation { .. }),
        "{error}"
    );
}
