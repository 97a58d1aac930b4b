//! Where stations are.

use serde_json::json;
use smartem_model::PositionSource;
use smartem_store::Store;

use crate::support::{commit, hour, id, record, refine_all, sample, take_in, waiting, work};

async fn begins(store: &Store) -> Vec<i64> {
    let track = store.locations(&id("23")).await.unwrap().into_iter();
    track.map(|it| it.from.index() - hour(0).index()).collect()
}

pub(crate) async fn a_station_moves_when_two_hours_say_so(store: Store) {
    let put = async |n: i64, metres: f64| {
        take_in(&store, vec![record("23", n, &sample(1, metres))]).await;
        refine_all(&store).await;
        begins(&store).await
    };
    assert_eq!(put(0, 0.0).await, [0]);
    assert_eq!(put(3, 2000.0).await, [0]);
    assert_eq!(put(5, 2010.0).await, [0, 3]);
    // The two are no longer consecutive.
    assert_eq!(put(4, 20.0).await, [0]);
    assert_eq!(put(6, 2000.0).await, [0, 5]);
    // An earlier first hour.
    assert_eq!(put(-2, 10.0).await, [-2, 5]);
    let station = store.station(&id("23")).await.unwrap().unwrap();
    assert!((station.location.unwrap().lat - (51.84 + 2010.0 / 111_195.0)).abs() < 1e-9);
}

pub(crate) async fn an_hour_without_a_fix_is_refined_again_when_the_station_is_known(store: Store) {
    let mute = json!({"a": 1});
    take_in(&store, vec![record("23", 0, &mute), record("23", 4, &mute)]).await;
    refine_all(&store).await;
    assert_eq!(store.backlog().await.unwrap().quarantine[0].open, 2);
    take_in(&store, vec![record("23", 2, &sample(1, 0.0))]).await;
    let report = commit(&store, &work(&store, "23").await).await;
    // Before its first location a station was there; the hour after it also has a new state.
    assert_eq!(report.marked, 2);
    assert_eq!(waiting(&store, "23").await, [0]);
    refine_all(&store).await;
    assert!(store.backlog().await.unwrap().quarantine.is_empty());
    for n in [0, 4] {
        let refined = store
            .station_hour(&id("23"), hour(n))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(refined.position.unwrap().1, PositionSource::Station);
    }
    // An earlier fix elsewhere: the hours after it were somewhere else.
    let elsewhere = [
        record("23", -9, &sample(0, 5000.0)),
        record("23", 1, &sample(0, 5000.0)),
    ];
    take_in(&store, elsewhere.to_vec()).await;
    refine_all(&store).await;
    let lat = async |n| {
        let refined = store
            .station_hour(&id("23"), hour(n))
            .await
            .unwrap()
            .unwrap();
        refined.position.unwrap().0.lat
    };
    assert!(lat(0).await > 51.88);
    assert!(lat(4).await > 51.88);
}

pub(crate) async fn a_location_does_not_hear_its_own_altitude(store: Store) {
    // Without an altitude of its own, a later hour would take that of the location before it.
    let with_altitude = json!({"a": 1, "lat": 51.84, "alt": 12.5});
    take_in(
        &store,
        vec![
            record("23", 5, &sample(1, 3000.0)),
            record("23", 6, &sample(1, 3000.0)),
        ],
    )
    .await;
    refine_all(&store).await;
    take_in(&store, vec![record("23", 0, &with_altitude)]).await;
    refine_all(&store).await;
    let track = store.locations(&id("23")).await.unwrap();
    let altitudes: Vec<_> = track.iter().map(|it| it.position.alt).collect();
    assert_eq!(altitudes, [Some(12.5), None]);
}
