//! What operators look at.

use jiff::SignedDuration;
use serde_json::json;
use smartem_store::{CounterRow, RunCount, RunResult, Stage, Store};

use crate::support::{id, now, record, refine_all, sample, take_in, waiting};

pub(crate) async fn runs_and_counters_are_told(store: Store) {
    let result = |add| RunResult {
        outcome: "done".into(),
        exit_code: 0,
        summary: json!({"new": 3}),
        counters: vec![RunCount {
            name: "records".into(),
            label: "new".into(),
            add,
        }],
        now: now(),
    };
    let first = store.start_run("refiner", now()).await.unwrap();
    store.finish_run(first, result(3)).await.unwrap();
    let second = store.start_run("refiner", now()).await.unwrap();
    store.finish_run(second, result(4)).await.unwrap();
    let third = store.start_run("last", now()).await.unwrap();
    let runs = store.runs_latest().await.unwrap();
    assert_eq!(
        runs.iter().map(|run| run.id).collect::<Vec<_>>(),
        [third, second]
    );
    assert_eq!((runs[0].finished_at, &runs[0].outcome), (None, &None));
    assert_eq!(runs[1].summary, Some(json!({"new": 3})));
    let expected = CounterRow {
        process: "refiner".into(),
        name: "records".into(),
        label: "new".into(),
        value: 7,
    };
    assert_eq!(store.counters().await.unwrap(), [expected]);
}

pub(crate) async fn the_newest_success_is_told_however_long_ago_it_was(store: Store) {
    assert_eq!(store.last_successes().await.unwrap(), []);
    let run = async |process: &str, exit_code, minute: i64| {
        let ended = now() + SignedDuration::from_mins(minute);
        let run = store.start_run(process, ended).await.unwrap();
        let result = RunResult {
            outcome: "ended".into(),
            exit_code,
            summary: json!({}),
            counters: Vec::new(),
            now: ended,
        };
        store.finish_run(run, result).await.unwrap();
    };
    for (process, exit_code, minute) in [
        ("refiner", 0, 1),
        ("refiner", 0, 2),
        ("refiner", 75, 3),
        ("last", 75, 1),
        ("harvester-whale", 0, 4),
    ] {
        run(process, exit_code, minute).await;
    }
    // What runs, or was killed, has not succeeded.
    store.start_run("refiner", now()).await.unwrap();
    let at = |minute| now() + SignedDuration::from_mins(minute);
    let expected = [
        ("harvester-whale".to_owned(), at(4)),
        ("refiner".to_owned(), at(2)),
    ];
    assert_eq!(store.last_successes().await.unwrap(), expected);
    // More than are kept of a process.
    for _ in 0..510 {
        store.start_run("refiner", now()).await.unwrap();
    }
    assert_eq!(store.last_successes().await.unwrap(), expected);
    run("refiner", 0, 5).await;
    store.start_run("refiner", now()).await.unwrap();
    let told = store.last_successes().await.unwrap();
    assert_eq!(told[1], ("refiner".to_owned(), at(5)));
}

pub(crate) async fn the_backlog_counts(store: Store) {
    let records = [
        record("23", 0, &sample(1, 0.0)),
        record("24", 0, &json!({"a": 1})),
    ];
    take_in(&store, records.to_vec()).await;
    let backlog = store.backlog().await.unwrap();
    assert_eq!(
        (backlog.stations, backlog.raw_records, backlog.dirty_hours),
        (2, 2, 2)
    );
    refine_all(&store).await;
    let backlog = store.backlog().await.unwrap();
    assert_eq!((backlog.dirty_hours, backlog.observations), (0, 1));
    let open: Vec<_> = backlog
        .quarantine
        .iter()
        .map(|it| (it.stage, it.open))
        .collect();
    assert_eq!(open, [(Stage::Refine, 1)]);
}

pub(crate) async fn a_whole_store_has_no_problems(store: Store) {
    let records = (0..20).map(|n| record("23", n, &sample(n, 0.0)));
    take_in(&store, records.collect()).await;
    refine_all(&store).await;
    let report = store.check().await.unwrap();
    assert_eq!((report.records, report.problems), (20, vec![]));
}

pub(crate) async fn a_lock_is_held_by_one(store: Store) {
    let held = store.lock("refiner").await.unwrap().unwrap();
    assert!(store.lock("refiner").await.unwrap().is_none());
    assert!(store.lock("last").await.unwrap().is_some());
    held.release().await;
    assert!(store.lock("refiner").await.unwrap().is_some());
}

pub(crate) async fn a_cadence_makes_all_hours_work_again(store: Store) {
    take_in(
        &store,
        vec![
            record("23", 0, &sample(1, 0.0)),
            record("23", 1, &sample(1, 0.0)),
        ],
    )
    .await;
    refine_all(&store).await;
    let name = Some("Roof".to_owned());
    store.describe_station(&id("23"), name, None).await.unwrap();
    assert!(waiting(&store, "23").await.is_empty());
    store
        .describe_station(&id("23"), None, Some(30.0))
        .await
        .unwrap();
    assert_eq!(waiting(&store, "23").await, [0, 1]);
    let station = store.station(&id("23")).await.unwrap().unwrap();
    assert_eq!(
        (station.name.as_deref(), station.cadence_s),
        (Some("Roof"), Some(30.0))
    );
    assert!(store.describe_station(&id("99"), None, None).await.is_err());
}
