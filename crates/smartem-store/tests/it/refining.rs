//! Hours given out to be refined and taken back.

use serde_json::{Value, json};
use smartem_model::{Flag, Hour, Observation, Position, QuarantineReason, StationId};
use smartem_store::{Columns, QuarantineFilter, Selection, Stage, Store, StoreError};

use crate::support::{
    commit, fingerprint, hour, id, observation, observations, record, refine, refine_all, sample,
    take_in, values, waiting, work,
};

/// Takes in and refines one hour with each of these values.
async fn refined(store: &Store, hours: &[(i64, i64)]) {
    let records = hours
        .iter()
        .map(|(n, value)| record("23", *n, &sample(*value, 0.0)));
    take_in(store, records.collect()).await;
    refine_all(store).await;
}

pub(crate) async fn work_is_a_run_of_dirty_hours(store: Store) {
    refined(&store, &[(0, 1), (1, 2), (2, 3), (5, 1)]).await;
    assert_eq!(
        store
            .dirty_stations(10, smartem_store::Growing::No)
            .await
            .unwrap(),
        Vec::<StationId>::new()
    );
    assert!(
        store
            .work(&id("23"), 10, Columns::All, smartem_store::Growing::No)
            .await
            .unwrap()
            .is_none()
    );
    let again = [(1, 3), (2, 4), (7, 1)].map(|(n, value)| record("23", n, &sample(value, 0.0)));
    take_in(&store, again.to_vec()).await;
    take_in(&store, vec![record("24", 0, &sample(1, 0.0))]).await;
    assert_eq!(
        store
            .dirty_stations(10, smartem_store::Growing::No)
            .await
            .unwrap(),
        [id("23"), id("24")]
    );
    assert_eq!(
        store
            .dirty_stations(1, smartem_store::Growing::No)
            .await
            .unwrap(),
        [id("23")]
    );
    // Hour 5 is clean, so the run ends before it.
    assert_eq!(waiting(&store, "23").await, [1, 2]);
    let given = work(&store, "23").await;
    assert_eq!(given.state.as_deref(), Some("1"));
    assert_eq!(given.hours[0].record, record("23", 1, &sample(3, 0.0)));
    assert!(given.hours[0].station_location.is_some());
    let one = store
        .work(&id("23"), 1, Columns::All, smartem_store::Growing::No)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(one.hours.len(), 1);
}

pub(crate) async fn an_hour_is_replaced_as_a_whole(store: Store) {
    let both = json!({"a": 1, "b": 1, "lat": 51.84});
    take_in(&store, vec![record("23", 0, &both), record("23", 1, &both)]).await;
    refine_all(&store).await;
    assert_eq!(store.backlog().await.unwrap().observations, 4);
    take_in(&store, vec![record("23", 0, &sample(3, 0.0))]).await;
    refine_all(&store).await;
    assert_eq!(store.backlog().await.unwrap().observations, 3);
    assert_eq!(values(&store, "23", "no2").await, [(0, 3.0), (1, 4.0)]);
    assert_eq!(values(&store, "23", "pm10").await, [(1, 5.0)]);
    let station = store.station(&id("23")).await.unwrap().unwrap();
    assert_eq!(station.first_time, Some(hour(0).period().start));
    assert_eq!(station.last_time, Some(hour(1).period().end));
}

pub(crate) async fn a_late_hour_is_refined_with_those_after_it(store: Store) {
    refined(&store, &[(1, 2), (2, 1), (9, 1)]).await;
    assert_eq!(
        values(&store, "23", "no2").await,
        [(1, 2.0), (2, 3.0), (9, 4.0)]
    );
    refined(&store, &[(0, 1)]).await;
    assert_eq!(
        values(&store, "23", "no2").await,
        [(0, 1.0), (1, 3.0), (2, 4.0), (9, 5.0)]
    );
}

pub(crate) async fn refining_stops_where_the_state_is_the_old_one(store: Store) {
    refined(&store, &[(0, 1), (1, 2), (2, 3)]).await;
    // The refiner of the tests hands on sums modulo 7.
    take_in(&store, vec![record("23", 0, &sample(8, 0.0))]).await;
    let report = commit(&store, &work(&store, "23").await).await;
    assert_eq!((report.committed, report.marked), (1, 0));
    assert!(waiting(&store, "23").await.is_empty());
    take_in(&store, vec![record("23", 0, &sample(2, 0.0))]).await;
    let report = commit(&store, &work(&store, "23").await).await;
    assert_eq!((report.committed, report.marked), (1, 1));
    assert_eq!(waiting(&store, "23").await, [1]);
}

pub(crate) async fn a_result_from_older_input_is_not_taken(store: Store) {
    let first = [(0, 1), (1, 1), (2, 1)].map(|(n, value)| record("23", n, &sample(value, 0.0)));
    take_in(&store, first.to_vec()).await;
    let held = work(&store, "23").await;
    take_in(&store, vec![record("23", 1, &sample(5, 0.0))]).await;
    let report = commit(&store, &held).await;
    // The hour after the changed one took its state from it.
    assert_eq!((report.committed, report.stale), (1, 2));
    assert_eq!(waiting(&store, "23").await, [1, 2]);
    refine_all(&store).await;
    assert_eq!(
        values(&store, "23", "no2").await,
        [(0, 1.0), (1, 6.0), (2, 0.0)]
    );
    // All of it was refined meanwhile.
    assert_eq!(commit(&store, &held).await.stale, 3);
    assert_eq!(
        values(&store, "23", "no2").await,
        [(0, 1.0), (1, 6.0), (2, 0.0)]
    );
}

pub(crate) async fn another_state_meanwhile_makes_a_result_stale(store: Store) {
    refined(&store, &[(0, 1)]).await;
    take_in(&store, vec![record("23", 1, &sample(1, 0.0))]).await;
    let held = work(&store, "23").await;
    assert_eq!(held.state.as_deref(), Some("1"));
    take_in(&store, vec![record("23", 0, &sample(3, 0.0))]).await;
    let first = store
        .work(&id("23"), 1, Columns::All, smartem_store::Growing::No)
        .await
        .unwrap()
        .unwrap();
    commit(&store, &first).await;
    assert_eq!(commit(&store, &held).await.stale, 1);
    refine_all(&store).await;
    assert_eq!(values(&store, "23", "no2").await, [(0, 3.0), (1, 4.0)]);
}

pub(crate) async fn another_location_meanwhile_makes_a_result_stale(store: Store) {
    refined(&store, &[(0, 1)]).await;
    take_in(&store, vec![record("23", 1, &json!({"a": 1}))]).await;
    let held = work(&store, "23").await;
    // The station was elsewhere, with the same state.
    take_in(&store, vec![record("23", 0, &sample(1, 5000.0))]).await;
    let first = store
        .work(&id("23"), 1, Columns::All, smartem_store::Growing::No)
        .await
        .unwrap()
        .unwrap();
    commit(&store, &first).await;
    assert_eq!(commit(&store, &held).await.stale, 1);
    refine_all(&store).await;
    let positions = observations(&store, "23")
        .await
        .into_iter()
        .map(|it| it.location);
    let positions: Vec<_> = positions.collect();
    assert_eq!(positions[0], positions[1]);
}

/// Hours `from..to` of these stations; all where nothing is said.
fn selection(stations: &[&str], from: Option<i64>, to: Option<i64>) -> Selection {
    let ids = stations.iter().map(|station| id(station));
    Selection {
        stations: (!stations.is_empty()).then(|| ids.collect()),
        from: from.map(hour),
        to: to.map(hour),
    }
}

pub(crate) async fn hours_can_be_asked_to_be_refined_again(store: Store) {
    refined(&store, &[(0, 1), (1, 2), (4, 3)]).await;
    take_in(&store, vec![record("24", 0, &sample(1, 0.0))]).await;
    refine_all(&store).await;
    let before = fingerprint(&store).await;
    for (chosen, marked) in [
        (selection(&["23"], Some(1), None), 2),
        (selection(&["23", "24", "23"], None, Some(4)), 3),
        (selection(&[], Some(1), Some(4)), 1),
        (selection(&[], Some(2), Some(2)), 0),
        (selection(&[], None, None), 4),
    ] {
        assert_eq!(
            store.refine_again(chosen.clone()).await.unwrap(),
            marked,
            "{chosen:?}"
        );
        assert_eq!(store.backlog().await.unwrap().dirty_hours, marked);
        refine_all(&store).await;
        assert_eq!(fingerprint(&store).await, before, "{chosen:?}");
    }
}

pub(crate) async fn an_unknown_station_to_be_refined_again_is_told_and_nothing_is_marked(
    store: Store,
) {
    refined(&store, &[(0, 1)]).await;
    let error = store
        .refine_again(selection(&["23", "99"], None, None))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::UnknownStation { station, .. } if *station == id("99")),
        "{error}"
    );
    assert!(waiting(&store, "23").await.is_empty());
}

pub(crate) async fn an_hour_in_the_middle_takes_the_state_of_the_hour_before(store: Store) {
    refined(&store, &[(0, 1), (1, 2), (2, 3), (5, 1)]).await;
    store
        .refine_again(selection(&["23"], Some(2), Some(3)))
        .await
        .unwrap();
    let given = work(&store, "23").await;
    assert_eq!(given.state.as_deref(), Some("3"));
    assert_eq!(given.hours.len(), 1);
    let report = commit(&store, &given).await;
    assert_eq!((report.committed, report.marked), (1, 0));
    assert!(waiting(&store, "23").await.is_empty());
}

pub(crate) async fn what_an_hour_no_longer_gives_vanishes_and_nothing_else(store: Store) {
    let both = json!({"a": 1, "b": 1, "lat": 51.84});
    let records = (0..4).map(|n| record("23", n, &both));
    take_in(&store, records.collect()).await;
    refine_all(&store).await;
    let untouched = async |store: &Store| {
        let all = observations(store, "23").await.into_iter();
        let others = all.filter(|it| !hours_of(it, 1..3));
        others.map(|it| format!("{it:?}")).collect::<Vec<_>>()
    };
    let before = untouched(&store).await;
    store
        .refine_again(selection(&["23"], Some(1), Some(3)))
        .await
        .unwrap();
    let given = work(&store, "23").await;
    let mut again = refine(&given);
    for hour in &mut again.hours {
        // Another definition: one indicator is gone, another instrument came.
        hour.observations.retain(|it| &*it.indicator != "pm10");
        hour.observations[0].sensor = "another".into();
    }
    let report = store.commit_refined(again).await.unwrap();
    assert_eq!((report.observations, report.marked), (2, 0));
    assert_eq!(untouched(&store).await, before);
    let left: Vec<_> = observations(&store, "23").await;
    let left = left.iter().filter(|it| hours_of(it, 1..3));
    let left: Vec<_> = left.map(|it| (&*it.indicator, &*it.sensor)).collect();
    assert_eq!(left, [("no2", "another"), ("no2", "another")]);
    assert_eq!(store.backlog().await.unwrap().observations, 6);
    // The totals of series are compared with what is there.
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}

fn hours_of(observation: &Observation, hours: std::ops::Range<i64>) -> bool {
    let start = Hour::containing(observation.phenomenon_time.start).unwrap();
    hours.contains(&(start.index() - hour(0).index()))
}

pub(crate) async fn the_last_value_follows_the_observations(store: Store) {
    let last = async |indicator: &str| {
        let station = store.station(&id("23")).await.unwrap().unwrap();
        let found = station
            .last
            .into_iter()
            .find(|last| &*last.indicator == indicator);
        found.map(|last| (Hour::containing(last.period.start).unwrap(), last.value))
    };
    refined(&store, &[(0, 1), (1, 2)]).await;
    assert_eq!(last("no2").await, Some((hour(1), 3.0)));
    // Corrected, then without a value, then all gone.
    refined(&store, &[(1, 4)]).await;
    assert_eq!(last("no2").await, Some((hour(1), 5.0)));
    let nothing = json!({"lat": 51.84});
    take_in(&store, vec![record("23", 1, &nothing)]).await;
    refine_all(&store).await;
    assert_eq!(last("no2").await, Some((hour(0), 1.0)));
    take_in(&store, vec![record("23", 0, &nothing)]).await;
    refine_all(&store).await;
    assert_eq!(last("no2").await, None);
    let station = store.station(&id("23")).await.unwrap().unwrap();
    assert_eq!((station.first_time, station.last_time), (None, None));
}

pub(crate) async fn a_quarantined_hour_is_resolved_by_a_good_one(store: Store) {
    let filter = QuarantineFilter {
        open_only: true,
        limit: 10,
    };
    take_in(&store, vec![record("23", 0, &json!({"a": 1}))]).await;
    let report = commit(&store, &work(&store, "23").await).await;
    assert_eq!((report.committed, report.quarantined_new), (1, 1));
    let open = store.quarantine_list(filter).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].stage, open[0].reason),
        (Stage::Refine, QuarantineReason::NoLocation)
    );
    assert_eq!(open[0].place, format!("23 {}", hour(0)));
    let kept = store
        .station_hour(&id("23"), hour(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept.quarantine.unwrap().detail, "no position");
    assert_eq!(kept.rejections[0]["count"], json!(1));

    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    let report = commit(&store, &work(&store, "23").await).await;
    assert_eq!(report.resolved, 1);
    assert!(store.quarantine_list(filter).await.unwrap().is_empty());
    let kept = store
        .station_hour(&id("23"), hour(0))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((kept.quarantine, kept.state.as_str()), (None, "1"));
}

pub(crate) async fn an_observation_must_be_of_its_hour(store: Store) {
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    let given = work(&store, "23").await;
    let mut moved = refine(&given);
    moved.hours[0].observations[0].phenomenon_time = hour(1).period();
    let mut foreign = refine(&given);
    foreign.hours[0].observations[0].station = id("24");
    for wrong in [moved, foreign] {
        let error = store.commit_refined(wrong).await.unwrap_err();
        assert!(
            matches!(error, StoreError::ForeignObservation { .. }),
            "{error}"
        );
    }
    assert_eq!(waiting(&store, "23").await, [0]);
    let mut unknown = refine(&given);
    unknown.station = id("99");
    unknown.hours.clear();
    let error = store.commit_refined(unknown).await.unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownStation { .. }),
        "{error}"
    );
}

pub(crate) async fn an_observation_comes_back_as_it_was_refined(store: Store) {
    take_in(&store, vec![record("23", 0, &Value::Null)]).await;
    let given = work(&store, "23").await;
    let place = Position {
        lon: -0.1,
        lat: 51.123_456_789,
        alt: Some(-3.5),
    };
    let flags = vec![
        Flag::BelowDetection,
        Flag::LowCoverage,
        Flag::StationLocation,
    ];
    let mut full = observation(&given, &given.hours[0], "no2", 1, place, flags);
    full.value = 1.0 / 3.0;
    full.model = Some("ann-2018".into());
    let mut bare = observation(&given, &given.hours[0], "noiseavg", 1, place, vec![]);
    bare.unit = "dB[SPL]{A}".into();
    (
        bare.raw,
        bare.raw_unit,
        bare.quality.coverage,
        bare.location.alt,
    ) = (None, None, None, None);
    let mut twin = full.clone();
    twin.sensor = "another".into();
    let mut refined = refine(&given);
    refined.hours[0].observations = vec![bare.clone(), full.clone(), twin.clone()];
    store.commit_refined(refined).await.unwrap();
    assert_eq!(observations(&store, "23").await, [twin, full, bare]);
}
