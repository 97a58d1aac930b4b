//! What an operator says of stations.

use serde_json::json;
use smartem_model::{Position, PositionSource};
use smartem_store::{DEFAULT_MOVE_M, Declared, StationDeclaration, Store, StoreError};

use crate::support::{
    fingerprint, hour, id, now, observations, record, refine_all, sample, take_in, waiting,
};

/// Station 23, so many metres north of Nijmegen.
fn declared(metres: f64) -> StationDeclaration {
    StationDeclaration {
        id: id("23"),
        station_type: "jose".into(),
        name: None,
        network: None,
        project: None,
        cadence_s: None,
        location: Some(place(metres)),
        move_m: DEFAULT_MOVE_M,
        now: now(),
    }
}

fn place(metres: f64) -> Position {
    Position::horizontal(5.86, 51.84 + metres / 111_195.0).unwrap()
}

fn bare() -> StationDeclaration {
    StationDeclaration {
        location: None,
        ..declared(0.0)
    }
}

async fn declare(store: &Store, declaration: StationDeclaration) -> Declared {
    store.declare_station(declaration).await.unwrap()
}

/// From which hour on the station is where, in whole metres north.
async fn track(store: &Store) -> Vec<(i64, i64)> {
    let track = store.locations(&id("23")).await.unwrap();
    let metres = |position: Position| {
        let metres = ((position.lat - 51.84) * 111_195.0).round();
        format!("{metres:.0}").parse().unwrap()
    };
    track
        .iter()
        .map(|it| (it.from.index() - hour(0).index(), metres(it.position)))
        .collect()
}

pub(crate) async fn a_station_is_known_before_its_first_record(store: Store) {
    let full = StationDeclaration {
        name: Some("Roof".into()),
        network: Some("citizens".into()),
        project: Some("nijmegen".into()),
        cadence_s: Some(60.0),
        ..declared(0.0)
    };
    let said = declare(&store, full).await;
    assert_eq!((said.is_new, said.marked), (true, 0));
    let station = store.station(&id("23")).await.unwrap().unwrap();
    assert_eq!(&*station.station_type, "jose");
    assert_eq!(station.name.as_deref(), Some("Roof"));
    assert_eq!(&*station.network, "citizens");
    assert_eq!(station.project.as_deref(), Some("nijmegen"));
    assert_eq!(station.cadence_s, Some(60.0));
    assert_eq!(station.location, Some(place(0.0)));
    assert_eq!(track(&store).await, []);
    let facts = store.snapshot_facts(&id("23")).await.unwrap();
    assert_eq!(facts.location, Some(place(0.0)));
    // An hour without a fix is there.
    take_in(&store, vec![record("23", 3, &json!({"a": 1}))]).await;
    refine_all(&store).await;
    assert_eq!(observations(&store, "23").await[0].location, place(0.0));
    assert_eq!(track(&store).await, [(3, 0)]);
    let kept = store.station_hour(&id("23"), hour(3)).await.unwrap();
    assert_eq!(kept.unwrap().position.unwrap().1, PositionSource::Station);
}

pub(crate) async fn a_declared_location_holds_until_two_hours_say_otherwise(store: Store) {
    declare(&store, declared(0.0)).await;
    let put = async |n: i64, metres: f64| {
        take_in(&store, vec![record("23", n, &sample(1, metres))]).await;
        refine_all(&store).await;
        track(&store).await
    };
    assert_eq!(put(0, 90.0).await, [(0, 0)]);
    assert_eq!(put(2, 900.0).await, [(0, 0)]);
    assert_eq!(put(3, 910.0).await, [(0, 0), (2, 900)]);
    // Far from the first hour on, the declared location never held.
    assert_eq!(put(0, 905.0).await, [(0, 905)]);
    take_in(&store, vec![record("23", -4, &json!({"a": 1}))]).await;
    refine_all(&store).await;
    assert_eq!(track(&store).await, [(-4, 0), (0, 905)]);
    assert_eq!(observations(&store, "23").await[0].location, place(0.0));
}

pub(crate) async fn another_location_marks_the_hours_that_relied_on_it(store: Store) {
    let silent = json!({"a": 1});
    take_in(
        &store,
        vec![record("23", 0, &silent), record("23", 1, &silent)],
    )
    .await;
    refine_all(&store).await;
    assert_eq!(store.backlog().await.unwrap().quarantine[0].open, 2);
    assert_eq!(declare(&store, declared(0.0)).await.marked, 2);
    refine_all(&store).await;
    assert!(store.backlog().await.unwrap().quarantine.is_empty());
    take_in(
        &store,
        vec![
            record("23", 4, &sample(1, 2000.0)),
            record("23", 5, &sample(1, 2000.0)),
            record("23", 6, &silent),
        ],
    )
    .await;
    refine_all(&store).await;
    assert_eq!(declare(&store, declared(0.0)).await.marked, 0);
    // Hour 6 is where the fixes before it say.
    assert_eq!(declare(&store, declared(50.0)).await.marked, 2);
    assert_eq!(waiting(&store, "23").await, [0, 1]);
    refine_all(&store).await;
    assert_eq!(track(&store).await, [(0, 50), (4, 2000)]);
    // Near the fixes there is no movement: the hours after them are where the station is said to be.
    assert_eq!(declare(&store, declared(2050.0)).await.marked, 3);
    refine_all(&store).await;
    assert_eq!(track(&store).await, [(0, 2050)]);
    let last = observations(&store, "23").await.pop().unwrap();
    assert_eq!(last.location, place(2050.0));
}

pub(crate) async fn another_cadence_marks_all_hours_and_the_same_one_none(store: Store) {
    take_in(
        &store,
        (0..3).map(|n| record("23", n, &sample(n, 0.0))).collect(),
    )
    .await;
    refine_all(&store).await;
    let minute = StationDeclaration {
        cadence_s: Some(60.0),
        ..bare()
    };
    assert_eq!(declare(&store, minute.clone()).await.marked, 3);
    refine_all(&store).await;
    assert_eq!(declare(&store, minute).await.marked, 0);
    assert_eq!(declare(&store, bare()).await.marked, 0);
}

pub(crate) async fn what_is_not_said_stays(store: Store) {
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    refine_all(&store).await;
    let named = StationDeclaration {
        name: Some("Roof".into()),
        cadence_s: Some(30.0),
        ..declared(10.0)
    };
    assert!(!declare(&store, named).await.is_new);
    refine_all(&store).await;
    let before = store.station(&id("23")).await.unwrap();
    declare(&store, bare()).await;
    assert_eq!(store.station(&id("23")).await.unwrap(), before);
    let station = before.unwrap();
    assert_eq!(
        (&*station.network, station.project.as_deref()),
        ("josene", Some("nijmegen"))
    );
    assert_eq!(
        (station.name.as_deref(), station.cadence_s),
        (Some("Roof"), Some(30.0))
    );
}

pub(crate) async fn a_type_that_the_records_do_not_have_is_refused(store: Store) {
    let kit = StationDeclaration {
        station_type: "airkit".into(),
        ..bare()
    };
    declare(&store, kit.clone()).await;
    // As long as there is no record, it may be said anew.
    declare(&store, bare()).await;
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    let error = store.declare_station(kit).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::OtherStationType { stored, .. } if &**stored == "jose"),
        "{error}"
    );
}

pub(crate) async fn a_declared_location_does_not_depend_on_when_it_was_declared(store: Store) {
    let records = || {
        let metres = [
            None,
            Some(0.0),
            Some(90.0),
            None,
            Some(900.0),
            Some(905.0),
            None,
            Some(20.0),
        ];
        let sample = |n: i64, it: Option<f64>| it.map_or(json!({"a": n}), |it| sample(n, it));
        (0..)
            .zip(metres)
            .map(|(n, it)| record("23", n, &sample(n, it)))
            .collect::<Vec<_>>()
    };
    let late = tempfile::tempdir().unwrap();
    let late = crate::support::open(late.path()).await;
    for metres in [0.0, 120.0, 880.0] {
        declare(&store, declared(metres)).await;
        take_in(&store, records()).await;
        refine_all(&store).await;
        for record in records().into_iter().rev() {
            take_in(&late, vec![record]).await;
            refine_all(&late).await;
        }
        declare(&late, declared(metres)).await;
        refine_all(&late).await;
        // The second of two stores has its name and project from the records.
        let facts = async |store: &Store| {
            let all = fingerprint(store).await;
            let place = all.lines().filter(|it| {
                !it.contains("project")
                    && !it.contains("network")
                    && !it.contains("josene")
                    && !it.contains("nijmegen")
            });
            place.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(facts(&late).await, facts(&store).await, "{metres}");
    }
}
