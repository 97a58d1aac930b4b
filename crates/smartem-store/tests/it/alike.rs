//! What services read of the two backends is the same, also where series are of different density, begin and
//! end at different times, and have gaps of months.

use smartem_model::{Hour, Observation, Period, Position};
use smartem_store::{
    ChangeMark, ChangesOf, CommitRefined, DEFAULT_MOVE_M, Growing, ObservationQuery, Page,
    RefinedHour, Selection, Store,
};

use crate::servers::{On, World};
use crate::support::{commit, hour, id, now, observation, record, sample, take_in, work};

/// The hours of a year and a half that there are records of.
fn stored() -> Vec<i64> {
    let dense = 0..60;
    let later = (5000..5030).step_by(3);
    dense
        .chain([900, 2000])
        .chain(later)
        .chain(12_000..12_008)
        .collect()
}

/// Which series an hour has observations of, each with the minutes between them.
fn series(n: i64) -> Vec<(&'static str, i64)> {
    let mut series = vec![("no2", 60)];
    if n % 3 == 0 {
        series.push(("pm10", 60));
    }
    if n < 12 {
        series.push(("co", 15));
    }
    if n > 4000 {
        series.push(("noise", if n % 2 == 0 { 10 } else { 60 }));
    }
    // In the order of bytes before all others.
    if n == 2000 {
        series.push(("\u{c5}ngstrom", 60));
        series.push(("Z", 60));
    }
    series
}

fn refined(work: &smartem_store::StationWork) -> CommitRefined {
    let hours = work.hours.iter().map(|at| {
        let n = at.hour.index() - hour(0).index();
        let place = Position::horizontal(5.86, 51.84 + n as f64 / 1e6).unwrap();
        let of = |(indicator, minutes): &(&str, i64)| -> Vec<Observation> {
            let one = observation(work, at, indicator, n, place, Vec::new());
            let starts = (0..60 / minutes)
                .map(|i| at.hour.period().start + jiff::SignedDuration::from_mins(i * minutes));
            let period = |start| Period {
                start,
                end: start + jiff::SignedDuration::from_mins(*minutes),
            };
            let all = starts.map(|start| Observation {
                phenomenon_time: period(start),
                ..one.clone()
            });
            all.collect()
        };
        RefinedHour {
            hour: at.hour,
            revision: at.revision,
            observations: series(n).iter().flat_map(of).collect(),
            rejections: Vec::new(),
            state: String::new(),
            station_altitude: false,
            quarantine: None,
            position: None,
        }
    });
    CommitRefined {
        process: "refiner".into(),
        now: now(),
        station: work.station.id.clone(),
        move_m: DEFAULT_MOVE_M,
        hours: hours.collect(),
    }
}

async fn fill(store: &Store) {
    let records = stored()
        .into_iter()
        .map(|n| record("23", n, &sample(n, 0.0)));
    take_in(store, records.collect()).await;
    // One after the other: which of the stations of one intake gets its number first is up to the backend.
    take_in(store, vec![record("7", 3, &sample(1, 0.0))]).await;
    take_in(store, vec![record("24", 3, &sample(2, 9.0))]).await;
    let all = store
        .work(&id("23"), 10_000, smartem_store::Columns::All, Growing::No)
        .await;
    let report = store
        .commit_refined(refined(&all.unwrap().unwrap()))
        .await
        .unwrap();
    assert_eq!((report.stale, report.committed), (0, stored().len() as u64));
    commit(store, &work(store, "7").await).await;
}

/// All pages of a query.
async fn pages(store: &Store, mut query: ObservationQuery) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        let page = store.observations(query.clone()).await.unwrap();
        query.after.clone_from(&page.next);
        pages.push(page);
        if query.after.is_none() {
            return pages;
        }
    }
}

fn start(n: i64) -> jiff::Timestamp {
    Hour::period(hour(n)).start
}

#[tokio::test]
async fn what_is_read_of_both_backends_is_the_same() {
    let (embedded, server) = (World::on(On::Sqlite).await, World::on(On::Postgres).await);
    let (sqlite, postgres) = (&embedded.store, &server.store);
    for store in [sqlite, postgres] {
        fill(store).await;
    }
    pages_are_alike(sqlite, postgres).await;
    changes_are_alike(sqlite, postgres).await;
    for store in [sqlite, postgres] {
        assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
    }
    assert_eq!(
        sqlite.stations().await.unwrap(),
        postgres.stations().await.unwrap()
    );
    assert_eq!(
        sqlite.backlog().await.unwrap(),
        postgres.backlog().await.unwrap()
    );
    for n in stored().into_iter().chain([-1, 60]) {
        let station = id("23");
        let views = [sqlite, postgres].map(|store| store.hour_view(&station, hour(n)));
        let [ours, theirs] = both(views).await;
        assert_eq!(ours, theirs, "hour {n}");
    }
}

async fn both<T>(of: [impl Future<Output = Result<T, smartem_store::StoreError>>; 2]) -> [T; 2] {
    let [first, second] = of;
    [first.await.unwrap(), second.await.unwrap()]
}

async fn pages_are_alike(sqlite: &Store, postgres: &Store) {
    let windows = [
        (None, None),
        (Some(start(0)), None),
        (None, Some(start(2000))),
        (Some(start(10)), Some(start(40))),
        (Some(start(61)), Some(start(5000))),
        (Some(start(899)), Some(start(12_003))),
        (Some(start(20_000)), None),
    ];
    let mut seen = 0;
    for (from, to) in windows {
        for (limit, indicator) in [
            (1, Some("pm10")),
            (7, None),
            (40, None),
            (500, Some("noise")),
            (usize::MAX, None),
        ] {
            for newest_first in [false, true] {
                let query = ObservationQuery {
                    indicator: indicator.map(str::to_owned),
                    from,
                    to,
                    newest_first,
                    ..ObservationQuery::newest(id("23"), limit)
                };
                let expected = pages(sqlite, query.clone()).await;
                let found = pages(postgres, query).await;
                seen += found
                    .iter()
                    .map(|page| page.observations.len())
                    .sum::<usize>();
                assert_eq!(
                    found, expected,
                    "{from:?} {to:?} {limit} {indicator:?} {newest_first}"
                );
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

async fn changes_are_alike(sqlite: &Store, postgres: &Store) {
    let selections = [
        Selection::default(),
        Selection {
            stations: Some(vec![id("24"), id("23")]),
            from: Some(hour(2)),
            to: Some(hour(5003)),
        },
        Selection {
            stations: Some(Vec::new()),
            ..Selection::default()
        },
    ];
    for selection in selections {
        for limit in [1, 17, 1000] {
            let (mut raw, mut refined) = (ChangeMark::START, ChangeMark::START);
            loop {
                let [ours, theirs] = both(
                    [sqlite, postgres].map(|it| it.raw_changes(raw, selection.clone(), limit)),
                )
                .await;
                let shown = |it: &smartem_store::Changes<smartem_store::ChangedRecord>| -> Vec<_> {
                    it.items
                        .iter()
                        .map(|it| (it.source.clone(), it.record.to_json()))
                        .collect()
                };
                assert_eq!(shown(&ours), shown(&theirs));
                assert_eq!((ours.mark, ours.more), (theirs.mark, theirs.more));
                let waiting = [sqlite, postgres]
                    .map(|it| it.changes_waiting(ChangesOf::RawRecords, ours.mark));
                let [before, after] = both(waiting).await;
                assert_eq!(before, after);
                raw = ours.mark;
                if !ours.more {
                    break;
                }
            }
            loop {
                let [ours, theirs] = both(
                    [sqlite, postgres]
                        .map(|it| it.observation_changes(refined, selection.clone(), limit)),
                )
                .await;
                assert_eq!(format!("{:?}", ours.items), format!("{:?}", theirs.items));
                assert_eq!((ours.mark, ours.more), (theirs.mark, theirs.more));
                refined = ours.mark;
                if !ours.more {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_check_of_a_database_finds_what_was_damaged() {
    let world = World::on(On::Postgres).await;
    let (store, database) = (&world.store, world.database());
    fill(store).await;
    let problems = async || store.check().await.unwrap().problems;
    assert_eq!(problems().await, Vec::<String>::new());
    let cases = [
        (
            "UPDATE smartem_raw.raw_record SET content_hash = '\\x00' WHERE hour =
                (SELECT max(hour) FROM smartem_raw.raw_record)",
            "its content is not what was stored",
        ),
        (
            "UPDATE smartem_raw.raw_payload SET payload = '\\xff' WHERE key = 1",
            "raw record of station 23, 2016-01-12",
        ),
        (
            "UPDATE smartem.station SET raw_records = 5 WHERE id = '7'",
            "the total of raw records of station 7 is 5, there are 1",
        ),
        (
            "UPDATE smartem_refined.series SET observations = 1 WHERE indicator = 'co'",
            "the total of co of station 23 is 1, there are 48",
        ),
        (
            "UPDATE smartem_refined.series SET first_time = first_time + interval '1 hour'
                WHERE indicator = 'noise'",
            "the observations of noise of station 23 begin or end elsewhere than is said",
        ),
        (
            "UPDATE smartem_refined.observation SET series_key = 999
                WHERE series_key = (SELECT key FROM smartem_refined.series WHERE indicator = 'Z')",
            "1 observations are of series 999, which is not there",
        ),
        (
            "UPDATE smartem_refined.observation SET model = 999 WHERE series_key = 999",
            "1 observations name a text",
        ),
        (
            "INSERT INTO smartem_raw.raw_payload (payload) VALUES ('\\x00')",
            "1 contents (table raw_payload) belong to no raw record",
        ),
        (
            "UPDATE smartem_refined.station_hour SET hour = hour + interval '3 years'
                WHERE hour = (SELECT max(hour) FROM smartem_refined.station_hour)",
            "1 refined hours (table station_hour) have no raw record",
        ),
    ];
    for (damage, expected) in cases {
        let before = problems().await;
        assert!(!before.iter().any(|it| it.contains(expected)), "{before:?}");
        database.lines(damage);
        let found = problems().await;
        assert!(
            found.iter().any(|it| it.contains(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[tokio::test]
async fn the_counts_of_a_run_are_added_once_and_any_text_can_be_noted() {
    let world = World::on(On::Postgres).await;
    let (store, database) = (&world.store, world.database());
    let count = |name: &str, add| smartem_store::RunCount {
        name: name.into(),
        label: String::new(),
        add,
    };
    let result = smartem_store::RunResult {
        outcome: "fa\0iled".into(),
        exit_code: 0,
        summary: serde_json::json!({"new": 3, "old": 0, "text\0": ["\0"], "word": "9"}),
        counters: vec![count("new", 1), count("new", 2)],
        now: now(),
    };
    let run = store.start_run("refiner", now()).await.unwrap();
    for _ in 0..2 {
        store.finish_run(run, result.clone()).await.unwrap();
    }
    let counters = store.counters().await.unwrap();
    let values: Vec<u64> = counters.iter().map(|it| it.value).collect();
    assert_eq!(values, [3]);
    let counted = async |name: &str| store.last_runs_that_counted(name).await.unwrap();
    assert_eq!(counted("new").await, [("refiner".to_owned(), now())]);
    for name in ["old", "word", "none"] {
        assert_eq!(counted(name).await, [], "{name}");
    }
    // The newest runs are kept, and the newest success.
    for _ in 0..510 {
        store.start_run("refiner", now()).await.unwrap();
    }
    let runs = database.lines("SELECT count(*), count(exit_code) FROM smartem.run");
    assert_eq!(runs, ["501|1"]);
}
