//! Records coming in.

use serde_json::json;
use smartem_model::QuarantineReason;
use smartem_model::raw::RawRecord;
use smartem_store::{IntakeReport, QuarantineFilter, Quarantined, Stage, Store, StoreError};

use crate::support::{hour, id, intake, now, record, sample, take_in, typed_record, waiting};

pub(crate) async fn an_unchanged_record_is_no_work(store: Store) {
    let first = take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    assert_eq!((first.new, first.changed, first.unchanged), (1, 0, 0));
    let change = store.change().await.unwrap();
    crate::support::refine_all(&store).await;
    assert!(store.change().await.unwrap() > change);
    let change = store.change().await.unwrap();
    let again = take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    assert_eq!((again.new, again.changed, again.unchanged), (0, 0, 1));
    assert!(waiting(&store, "23").await.is_empty());
    assert_eq!(store.change().await.unwrap(), change);
}

pub(crate) async fn a_changed_record_is_work_again(store: Store) {
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    crate::support::refine_all(&store).await;
    let report = take_in(&store, vec![record("23", 0, &sample(2, 0.0))]).await;
    assert_eq!(report.changed, 1);
    assert_eq!(waiting(&store, "23").await, [0]);
    assert_eq!(store.backlog().await.unwrap().raw_records, 1);
    // Within one intake the later record holds.
    let both = vec![
        record("23", 1, &sample(1, 0.0)),
        record("23", 1, &sample(5, 0.0)),
    ];
    let report = take_in(&store, both).await;
    assert_eq!((report.new, report.changed), (1, 1));
    let stored = store.raw_record(&id("23"), hour(1)).await.unwrap().unwrap();
    assert_eq!(stored, record("23", 1, &sample(5, 0.0)));
}

pub(crate) async fn a_record_comes_back_as_it_was_sent(store: Store) {
    let text = r#"{"device_id":"23","device_type":"jose","day":"2016-01-12","hour":"05","gid":7.0,
        "data":{"timeseries":[{"a":1e999,"b":[1,{"c":null}]},null,{"time":"2016-01-12T04:00:00.1230Z"}]}}"#;
    let sent = RawRecord::from_json(text, &|_| true).unwrap();
    let smartem_model::raw::RecordTime::Hour(at) = sent.time else {
        panic!("an hour was expected")
    };
    take_in(&store, vec![sent.clone()]).await;
    let stored = store.raw_record(&id("23"), at).await.unwrap().unwrap();
    assert_eq!(stored, sent);
    assert_eq!(stored.to_json(), sent.to_json());
}

pub(crate) async fn checkpoints_are_those_of_the_process_and_source(store: Store) {
    let mut first = intake(vec![]);
    first.checkpoints = vec![("23".into(), json!({"day": 1})), ("24".into(), json!("x"))];
    store.take_in(first).await.unwrap();
    let mut second = intake(vec![]);
    second.checkpoints = vec![("23".into(), json!({"day": 2}))];
    store.take_in(second).await.unwrap();
    let positions = store
        .checkpoints("harvester-whale", "intemo")
        .await
        .unwrap();
    let expected = [
        ("23".to_owned(), json!({"day": 2})),
        ("24".to_owned(), json!("x")),
    ];
    assert_eq!(positions, expected.into());
    assert!(
        store
            .checkpoints("harvester-whale", "other")
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .checkpoints("last", "intemo")
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn a_snapshot_among_hours_is_refused_and_nothing_is_taken_in(store: Store) {
    let snapshot = RawRecord::from_last_sample("{}", &id("24"), "jose").unwrap();
    let mut batch = intake(vec![record("23", 0, &sample(1, 0.0)), snapshot]);
    batch.checkpoints = vec![("23".into(), json!(1))];
    let error = store.take_in(batch).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotAnHour { station, .. } if *station == id("24")));
    assert!(store.stations().await.unwrap().is_empty());
    assert!(
        store
            .checkpoints("harvester-whale", "intemo")
            .await
            .unwrap()
            .is_empty()
    );
}

pub(crate) async fn a_body_in_quarantine_is_kept_whole_until_a_good_record_comes(store: Store) {
    let good = intake(vec![record("23", 0, &sample(1, 0.0))]);
    let place = good.records[0].place.clone();
    let bad = |body: &[u8]| {
        let mut batch = intake(vec![]);
        batch.quarantined = vec![Quarantined {
            station: Some(id("23")),
            place: place.clone(),
            reason: QuarantineReason::MalformedRecord,
            detail: "not JSON".into(),
            body: body.to_owned(),
        }];
        batch
    };
    let report = store.take_in(bad(b"{\xFF")).await.unwrap();
    assert_eq!(report.quarantined_new, 1);
    let report = store.take_in(bad(b"{again")).await.unwrap();
    assert_eq!(report.quarantined_new, 0);

    let places = store.open_quarantine_places("intemo").await.unwrap();
    assert_eq!(places, [(place.clone(), Some(id("23")))].into());
    assert!(
        store
            .open_quarantine_places("other")
            .await
            .unwrap()
            .is_empty()
    );
    let filter = QuarantineFilter {
        open_only: true,
        limit: 10,
    };
    let listed = store.quarantine_list(filter).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].seen, &listed[0].body), (2, &None));
    let entry = store.quarantine_get(listed[0].id).await.unwrap().unwrap();
    assert_eq!(entry.body.as_deref(), Some(&b"{again"[..]));
    assert_eq!((entry.stage, entry.first_seen), (Stage::Harvest, now()));

    let report = store.take_in(good).await.unwrap();
    let expected = IntakeReport {
        new: 1,
        resolved: 1,
        ..IntakeReport::default()
    };
    assert_eq!(report, expected);
    assert!(store.quarantine_list(filter).await.unwrap().is_empty());
    let resolved = store.quarantine_get(entry.id).await.unwrap().unwrap();
    assert_eq!(resolved.resolved_at, Some(now()));
    // Bad again is a new entry.
    assert_eq!(store.take_in(bad(b"x")).await.unwrap().quarantined_new, 1);
    assert!(store.quarantine_drop(entry.id).await.unwrap());
    assert!(!store.quarantine_drop(entry.id).await.unwrap());
    assert_eq!(store.quarantine_get(entry.id).await.unwrap(), None);
}

pub(crate) async fn a_station_has_the_type_of_its_newest_hour(store: Store) {
    let station_type = async || {
        store
            .station(&id("23"))
            .await
            .unwrap()
            .unwrap()
            .station_type
    };
    for (kind, n, expected) in [
        ("jose", 5, "jose"),
        ("ase", 3, "jose"),
        ("vanilla", 6, "vanilla"),
        ("jose", 4, "vanilla"),
    ] {
        take_in(&store, vec![typed_record(kind, "23", n, &json!({}))]).await;
        assert_eq!(&*station_type().await, expected);
    }
    let station = store.station(&id("23")).await.unwrap().unwrap();
    assert_eq!(
        (&*station.network, station.project.as_deref()),
        ("josene", Some("nijmegen"))
    );
}
