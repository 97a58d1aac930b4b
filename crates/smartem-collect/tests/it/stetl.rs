//! A database in the schema of the original platform comes in whole, once, into either kind of store.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use smartem_collect::import::stetl::{Import, Imported, Tally, WHALE};
use smartem_model::{Flag, Hour, StationId, Vocabulary};
use smartem_simulate::postgres::{Database, Postgres};
use smartem_store::{
    Access, Columns, CommitRefined, Growing, ObservationQuery, PostgresSettings, QuarantineFilter,
    RefinedHour, StetlSource, Store, StoreError,
};
use tokio_util::sync::CancellationToken;

const SCHEMA: &str = include_str!("../../../../fixtures/stetl/schema.sql");
const ROWS: &str = include_str!("../../../../fixtures/stetl/rows.sql");

fn now() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

fn database() -> Database {
    Postgres::shared().unwrap().create_database().unwrap()
}

fn original() -> Database {
    filled(ROWS)
}

/// With 120 hours of refined values, 9 600, in place of 1 250.
fn smaller() -> Database {
    let rows = ROWS.replace("generate_series(0, 1249)", "generate_series(0, 119)");
    assert_ne!(rows, ROWS);
    filled(&rows)
}

fn filled(rows: &str) -> Database {
    let database = database();
    database.psql(SCHEMA).unwrap();
    database.psql(rows).unwrap();
    database
}

async fn source(database: &Database) -> StetlSource {
    StetlSource::connect(&PostgresSettings::new(database.url()))
        .await
        .unwrap()
}

async fn embedded(dir: &Path) -> Store {
    Store::open(dir, Access::Create { now: now() })
        .await
        .unwrap()
}

fn vocabulary() -> Vocabulary {
    let file = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vocabulary/");
        std::fs::read_to_string(format!("{folder}{name}.toml")).unwrap()
    };
    Vocabulary::from_toml(&file("indicators"), &file("units")).unwrap()
}

/// Imports; `until` rows are enough.
async fn import(source: &StetlSource, store: &Store, until: Option<u64>, again: bool) -> Imported {
    let (vocabulary, stop) = (vocabulary(), CancellationToken::new());
    let rows = AtomicU64::new(0);
    let told = |_: &'static str, more: u64| {
        let rows = rows.fetch_add(more, Ordering::Relaxed) + more;
        if until.is_some_and(|until| rows >= until) {
            stop.cancel();
        }
    };
    let import = Import {
        source,
        store,
        vocabulary: &vocabulary,
        types: ["jose", "ase", "luftdaten"].map(str::to_owned).to_vec(),
        move_m: smartem_store::DEFAULT_MOVE_M,
        clock: Arc::new(now),
        again,
        whale: Some("intemo".to_owned()),
        raw_rows: 300,
        refined_rows: if until.is_some() { 1_001 } else { 7_001 },
        told: &told,
        stop: &stop,
    };
    import.run().await.unwrap()
}

fn tally(read: u64, written: u64, present: u64, bad: u64) -> Tally {
    Tally {
        read,
        written,
        present,
        own: 0,
        bad,
    }
}

fn id(text: &str) -> StationId {
    StationId::new(text).unwrap()
}

fn hour(n: i64) -> Hour {
    let first: Timestamp = "2017-01-01T00:00:00Z".parse().unwrap();
    Hour::from_index(Hour::containing(first).unwrap().index() + n).unwrap()
}

async fn observations(store: &Store) -> u64 {
    store.backlog().await.unwrap().observations
}

/// All of it, then nothing again.
async fn comes_in_whole_and_once(store: &Store) {
    let original = original();
    let source = source(&original).await;
    let imported = import(&source, store, None, false).await;
    assert!(
        imported.is_whole && imported.differences.is_empty(),
        "{imported:?}"
    );
    assert_eq!(imported.refined, tally(100_056, 100_000, 50, 6));
    assert_eq!(imported.raw, tally(1_003, 1_000, 0, 3));
    assert_eq!(
        (imported.stations_new, imported.checkpoints, imported.models),
        (11, 5, 2)
    );
    assert_eq!(observations(store).await, 100_000);
    let entries = store
        .quarantine_list(QuarantineFilter {
            open_only: true,
            limit: 100,
        })
        .await
        .unwrap();
    assert_eq!(entries.len(), 9);
    values_are_those_of_the_rows(store).await;
    let checkpoints = store.checkpoints(WHALE, "intemo").await.unwrap();
    assert_eq!(
        checkpoints["23"],
        serde_json::json!({"settled": "2017-01-09"})
    );

    let change = store.change().await.unwrap();
    let again = import(&source, store, None, false).await;
    assert_eq!(again.refined, imported.refined);
    assert_eq!(
        (again.stations_new, again.checkpoints, again.models),
        (0, 0, 0)
    );
    let anew = import(&source, store, None, true).await;
    assert_eq!(anew.refined, tally(100_056, 0, 100_050, 6));
    assert!(anew.differences.is_empty(), "{anew:?}");
    assert_eq!(store.change().await.unwrap(), change);
    assert_eq!(observations(store).await, 100_000);
    assert!(store.check().await.unwrap().problems.is_empty());
}

async fn values_are_those_of_the_rows(store: &Store) {
    let query = ObservationQuery::newest(id("23"), 20_000);
    let all = store.observations(query).await.unwrap().observations;
    assert_eq!(all.len(), 10_000);
    let first = all
        .iter()
        .find(|it| &*it.indicator == "no2" && it.phenomenon_time == hour(5).period())
        .unwrap();
    // Of duplicates the first holds, as the original's own clean-up does it.
    assert!(all.iter().all(|it| it.value < 1000.0));
    let expected = f64::from(10 + (5 * 7 + 6 * 3 + 1) % 40 + 20);
    assert_eq!((first.value, first.raw), (expected, Some(80_000.0)));
    assert_eq!((&*first.unit, &*first.sensor), ("ug/m3", "no2-S27"));
    assert_eq!(&*first.definition, "stetl jose-1");
    assert_eq!(first.quality.flags, [Flag::Imported]);
    assert_eq!(
        (first.accepted_count, first.location.alt),
        (185, Some(15.0))
    );
    let view = store.station(&id("23")).await.unwrap().unwrap();
    assert_eq!(view.name.as_deref(), Some("station 23"));
    assert_eq!(view.last.len(), 8);
    assert_eq!(view.first_time, Some(hour(0).period().start));
    assert_eq!(view.last_time, Some(hour(1249).period().end));
    assert!((view.location.unwrap().lon - 5.81).abs() < 1e-9);
    // One of which only a newest value was known.
    let other = store.station(&id("77")).await.unwrap().unwrap();
    assert!(other.last.is_empty());
    let types = ["11820001", "49318930"].map(id);
    for (station, expected) in types.iter().zip(["ase", "luftdaten"]) {
        let view = store.station(station).await.unwrap().unwrap();
        assert_eq!(&*view.station_type, expected);
    }
    let record = store.raw_record(&id("55"), hour(7)).await.unwrap().unwrap();
    assert_eq!(record.samples.len(), 6);
}

#[tokio::test]
async fn it_comes_whole_and_once_into_the_embedded_store() {
    let dir = tempfile::tempdir().unwrap();
    comes_in_whole_and_once(&embedded(dir.path()).await).await;
}

#[tokio::test]
async fn it_comes_whole_and_once_into_postgresql() {
    let (dir, database) = (tempfile::tempdir().unwrap(), database());
    let settings = PostgresSettings::new(database.url());
    let store = Store::connect(dir.path(), &settings, Access::Create { now: now() })
        .await
        .unwrap();
    comes_in_whole_and_once(&store).await;
    let sql = "SELECT count(*), count(DISTINCT gid), min(value), max(value) FROM smartem_refined.timeseries";
    assert_eq!(database.psql(sql).unwrap().trim(), "100000|100000|30|69");
    let sql = "SELECT id, predicts, invalid, length(model) FROM smartem_calibrated.calibration_models ORDER BY id";
    assert_eq!(
        database.psql(sql).unwrap().trim(),
        "1|ozone__air_|f|6\n2|nitrogen_dioxide__air_|t|6"
    );
    // A store is no database of the original, though its views have the names.
    let refused = StetlSource::connect(&settings).await.err().unwrap();
    assert!(
        matches!(&refused, StoreError::Unprepared { problem, .. } if problem.contains("views"))
    );
}

#[tokio::test]
async fn what_was_stopped_goes_on_and_comes_to_the_same() {
    let original = smaller();
    let source = source(&original).await;
    let (whole, pieces) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (whole, pieces) = (embedded(whole.path()).await, embedded(pieces.path()).await);
    let at_once = import(&source, &whole, None, false).await;
    let mut runs = 0;
    let in_pieces = loop {
        runs += 1;
        let imported = import(&source, &pieces, Some(1_500), false).await;
        if imported.is_whole {
            break imported;
        }
    };
    assert!(runs > 5, "{runs}");
    assert_eq!(in_pieces.refined, at_once.refined);
    assert_eq!(in_pieces.raw, at_once.raw);
    assert!(in_pieces.differences.is_empty());
    for station in ["1", "493112345"] {
        let of = |store: &Store| {
            let store = store.clone();
            async move {
                let query = ObservationQuery::newest(id(station), 20_000);
                store.observations(query).await.unwrap().observations
            }
        };
        assert_eq!(of(&whole).await, of(&pieces).await);
    }
}

#[tokio::test]
async fn what_the_platform_has_of_its_own_stays_and_refining_replaces_what_was_imported() {
    let original = smaller();
    let source = source(&original).await;
    let dir = tempfile::tempdir().unwrap();
    let store = embedded(dir.path()).await;
    let imported = import(&source, &store, None, false).await;
    assert_eq!(imported.refined.own, 0);
    // An hour of raw records, refined here to nothing.
    let work = store
        .work(&id("23"), 1, Columns::All, Growing::No)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(work.hours[0].hour, hour(0));
    assert!((work.hours[0].station_location.unwrap().lat - 51.8).abs() < 1e-9);
    let commit = CommitRefined {
        process: "refiner".into(),
        now: now(),
        station: id("23"),
        move_m: smartem_store::DEFAULT_MOVE_M,
        hours: vec![RefinedHour {
            hour: hour(0),
            revision: work.hours[0].revision,
            observations: Vec::new(),
            rejections: Vec::new(),
            state: "null".into(),
            position: None,
            station_altitude: false,
            quarantine: None,
        }],
    };
    assert_eq!(store.commit_refined(commit).await.unwrap().committed, 1);
    assert_eq!(observations(&store).await, 9_600 - 8);
    let anew = import(&source, &store, None, true).await;
    assert_eq!(anew.refined.own, 8);
    assert_eq!(anew.refined.written, 0);
    assert!(anew.differences.is_empty(), "{anew:?}");
    assert_eq!(observations(&store).await, 9_600 - 8);
}

#[tokio::test]
async fn rows_that_come_late_are_told_and_come_in_anew() {
    let original = smaller();
    let source = source(&original).await;
    let dir = tempfile::tempdir().unwrap();
    let store = embedded(dir.path()).await;
    original
        .psql("UPDATE smartem_refined.timeseries SET gid = 0 - gid WHERE gid BETWEEN 11 AND 15")
        .unwrap();
    let first = import(&source, &store, None, false).await;
    assert!(!first.differences.is_empty(), "{first:?}");
    original
        .psql("UPDATE smartem_refined.timeseries SET gid = 0 - gid WHERE gid < 0")
        .unwrap();
    let second = import(&source, &store, None, true).await;
    assert!(second.differences.is_empty(), "{second:?}");
    assert_eq!(observations(&store).await, 9_600);
}

#[tokio::test]
async fn a_database_of_something_else_is_told() {
    let empty = database();
    let told = StetlSource::connect(&PostgresSettings::new(empty.url())).await;
    let told = told.err().unwrap().to_string();
    assert!(told.contains("smartem_refined.timeseries"), "{told}");
}
