//! Copies between the two kinds of stores.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value as Stored;
use serde_json::json;
use smartem_model::QuarantineReason;
use smartem_model::raw::RawRecord;
use smartem_points::{FieldValue, PointBatch, SeriesKey};
use smartem_sta::Property as P;
use smartem_store::{
    Access, DatabaseSettings, ImportedModel, LastIntake, LastItem, NameFrom, NewToken, Points,
    PointsSettings, PostgresSettings, Quarantined, RunCount, RunResult, Secret, StationMapping,
    Store, StoreError, TypeFrom,
};

use crate::servers::Database;
use crate::sta_support::{E, With, create, delete, draft, make, stream, write};
use crate::support::{fingerprint, id, intake, now, open, record, refine_all, sample, take_in};

const GO_ON: fn(u64, u64) -> ControlFlow<()> = |_, _| ControlFlow::Continue(());

/// Something in every table; what, by a few numbers.
async fn fill(store: &Store, seed: i64) {
    let mut first = intake(
        (0..12)
            .filter(|n| (n * seed) % 5 != 1)
            .map(|n| record("23", n, &json!({"a": (n * seed) % 7, "b": 1, "alt": 3.25})))
            .chain((0_i32..6).map(|n| {
                let metres = f64::from(n) * 300.0;
                record("24:é", n.into(), &sample(seed + i64::from(n), metres))
            }))
            .collect(),
    );
    first.checkpoints = vec![("23".to_owned(), json!({"at": seed, "text": "\u{1}ü\""}))];
    first.quarantined = vec![Quarantined {
        station: None,
        place: format!("https://example.org/{seed}"),
        reason: QuarantineReason::MalformedRecord,
        detail: "it is none".to_owned(),
        body: vec![0, 255, b'{'],
    }];
    store.take_in(first).await.unwrap();
    refine_all(store).await;
    // Some hours wait.
    take_in(store, vec![record("23", 3 + seed % 4, &sample(5, 0.0))]).await;
    let time: Timestamp = "2016-01-20T10:00:00.123456789Z".parse().unwrap();
    let text = json!({"a": 1, "time": time.to_string()}).to_string();
    let last = LastIntake {
        process: "last".into(),
        source: "intemo".into(),
        network: "josene".into(),
        project: None,
        now: now(),
        items: vec![LastItem {
            record: RawRecord::from_last_sample(&text, &id("23"), "jose").unwrap(),
            time,
            place: "https://example.org/23/last".to_owned(),
            observations: Vec::new(),
        }],
        quarantined: Vec::new(),
    };
    store.take_in_last(last).await.unwrap();
    operate(store, seed).await;
    push(store, seed).await;
    observe_more(store, seed).await;
}

/// What clients of SensorThings write.
async fn observe_more(store: &Store, seed: i64) {
    let result = json!({"seed": seed, "1": 1e-7, "zero": 0.0, "a": [1.0, null, "\u{1}ü\""]});
    let area = json!({"type": "Polygon", "coordinates": [[[0, 0], [1.5, 0], [1.5, 1e-7], [0, 0]]]});
    let observation = draft(E::Observation, "")
        .field(P::Result, result.clone())
        .field(
            P::PhenomenonTime,
            json!("2016-01-01T00:00:00.123456Z/2016-01-02T00:00:00Z"),
        )
        .field(
            P::ValidTime,
            json!("2016-01-01T00:00:00Z/2016-01-02T00:00:00Z"),
        )
        .field(P::Parameters, result);
    let thing = draft(E::Thing, "a client's")
        .with(draft(E::Location, "l"))
        .with(
            stream("s")
                .field(P::ObservedArea, area)
                .with(observation)
                .with(draft(E::Observation, "").field(P::Result, json!(seed))),
        );
    write(store, create(thing)).await;
    // Numbers are not given again in the copy either.
    let gone = make(store, create(draft(E::Sensor, "gone"))).await;
    write(store, delete(E::Sensor, gone)).await;
}

async fn operate(store: &Store, seed: i64) {
    for add in [1, 2] {
        let run = store.start_run("refiner", now()).await.unwrap();
        let result = RunResult {
            outcome: "done".into(),
            exit_code: 0,
            summary: json!({"new": seed}),
            counters: vec![RunCount {
                name: "records".into(),
                label: String::new(),
                add,
            }],
            now: now(),
        };
        store.finish_run(run, result).await.unwrap();
    }
    store.start_run("last", now()).await.unwrap();
    let token = |name: &str| NewToken {
        name: name.to_owned(),
        hash: Secret::generate().hash(),
        rights: vec!["write".to_owned()],
        project: None,
        now: now(),
        expires_at: Some(now() + SignedDuration::from_hours(seed)),
    };
    store.add_token(token("ada")).await.unwrap();
    store.revoke_token("ada", now()).await.unwrap();
    store.add_token(token("ada")).await.unwrap();
    let model = ImportedModel {
        source: "postgresql://db.example/smartem".to_owned(),
        id: seed,
        parameters: None,
        model: vec![0x80, 0, 3],
        input_order: Some("[\"s_no2\"]".to_owned()),
        predicts: "no2".to_owned(),
        score: Some(0.25),
        n: None,
        invalid: false,
        made_at: Some(now()),
    };
    store.import_models(vec![model], now()).await.unwrap();
    store
        .describe_station(&id("23"), Some("Rooftop".to_owned()), Some(60.5))
        .await
        .unwrap();
}

fn points() -> PointsSettings {
    let mapping = StationMapping {
        station: NameFrom::Tag("box".to_owned()),
        station_type: TypeFrom::Fixed("vanilla".to_owned()),
        stations: std::collections::BTreeMap::new(),
    };
    let database = DatabaseSettings {
        name: "db".to_owned(),
        project: None,
        network: "boxes".to_owned(),
        mapping: Some(mapping),
    };
    PointsSettings::new(vec![database], Arc::new(now))
}

async fn push(store: &Store, seed: i64) {
    let points = Points::open(store, points()).await.unwrap();
    points.write("db", batch(seed)).await.unwrap();
    points.close().await.unwrap();
}

fn batch(seed: i64) -> PointBatch {
    let mut batch = PointBatch::new();
    for station in ["a", "b"] {
        let series = batch.add_series(SeriesKey::new("a\0ir\\", [("box", station)]));
        let field = batch.add_field("no2\0");
        for minute in 0..90 {
            batch.push_field(field, &FieldValue::Float(minute as f64 / 7.0));
            batch.end_point(
                series,
                1_454_313_600_000_000_000 + (minute + seed) * 60_000_000_001,
                0,
            );
        }
    }
    batch
}

/// All rows of all tables, as text.
fn dump_of(dir: &Path) -> Vec<String> {
    let connection = Connection::open(dir.join(Store::FILE_NAME)).unwrap();
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")
        .unwrap();
    let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut lines = Vec::new();
    for name in names {
        let name = name.unwrap();
        // When a copy was made is its own.
        if name == "schema_version" {
            continue;
        }
        // A table of one column has no second.
        let order = if name == "sta_stale" { "1" } else { "1, 2" };
        let mut rows = connection
            .prepare(&format!("SELECT * FROM {name} ORDER BY {order}"))
            .unwrap();
        let columns = rows.column_count();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let cells = (0..columns).map(|at| row.get::<_, Stored>(at).unwrap());
            lines.push(format!("{name} {:?}", cells.collect::<Vec<_>>()));
        }
    }
    lines
}

async fn connect(dir: &Path, settings: &PostgresSettings) -> Store {
    Store::connect(dir, settings, Access::Existing)
        .await
        .unwrap()
}

async fn there_and_back(seed: i64) {
    let (from, between, back) = (folder(), folder(), folder());
    let store = open(from.path()).await;
    fill(&store, seed).await;
    let before = dump_of(from.path());

    let database = Database::empty();
    let there = store
        .copy_to_postgres(database.settings(), now(), GO_ON)
        .await
        .unwrap()
        .unwrap();
    let served = connect(between.path(), database.settings()).await;
    let again = served
        .copy_to_dir(back.path(), now(), GO_ON)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(there, again);
    for (table, rows) in &there.tables {
        assert!(*rows > 0 || seed == 0, "nothing of {table} was tried");
    }
    let after = dump_of(back.path());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());

    let copy = open(back.path()).await;
    for store in [&served, &copy] {
        assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
        assert_eq!(
            store.identity().await.unwrap(),
            open(from.path()).await.identity().await.unwrap()
        );
    }
    let stores = [&store, &served, &copy];
    all_alike(&stores).await;
    // Work goes on in each as it would have.
    for store in stores {
        take_in(store, vec![record("25", 1, &sample(2, 0.0))]).await;
        push(store, seed + 7).await;
        refine_all(store).await;
    }
    all_alike(&stores).await;
}

async fn all_alike(stores: &[&Store; 3]) {
    let first = fingerprint(stores[0]).await;
    for store in &stores[1..] {
        let other = fingerprint(store).await;
        for (first, other) in first.lines().zip(other.lines()) {
            assert_eq!(first, other);
        }
        assert_eq!(first.len(), other.len());
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_there_and_back_is_the_same(seed in 1..1000_i64) {
        tokio::runtime::Runtime::new().unwrap().block_on(there_and_back(seed));
    }
}

#[tokio::test]
async fn numbers_are_counted_on_in_the_copy() {
    let (from, between) = (folder(), folder());
    let store = open(from.path()).await;
    fill(&store, 3).await;
    let database = Database::empty();
    let newest = store.start_run("last", now()).await.unwrap();
    store
        .copy_to_postgres(database.settings(), now(), GO_ON)
        .await
        .unwrap();
    let served = connect(between.path(), database.settings()).await;
    let next = served.start_run("last", now()).await.unwrap();
    assert_eq!(next.number(), newest.number() + 1);
}

#[tokio::test]
async fn a_store_that_holds_something_is_left_alone() {
    let (from, to) = (folder(), folder());
    let store = open(from.path()).await;
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    let other = open(to.path()).await;
    take_in(&other, vec![record("24", 0, &sample(1, 0.0))]).await;
    let before = fingerprint(&other).await;
    let error = store
        .copy_to_dir(to.path(), now(), GO_ON)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
    assert_eq!(fingerprint(&other).await, before);

    let database = Database::empty();
    let copied = store.copy_to_postgres(database.settings(), now(), GO_ON);
    copied.await.unwrap();
    let error = other
        .copy_to_postgres(database.settings(), now(), GO_ON)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
    assert!(error.to_string().contains("nothing was stored"), "{error}");
}

#[tokio::test]
async fn a_copy_that_is_broken_off_leaves_nothing_and_is_made_again() {
    let (from, to) = (folder(), folder());
    let store = open(from.path()).await;
    fill(&store, 2).await;
    let rows = store
        .copy_to_dir(folder().path(), now(), GO_ON)
        .await
        .unwrap()
        .unwrap();
    let rows: u64 = rows.tables.iter().map(|(_, rows)| rows).sum();
    let database = Database::empty();
    // While it is written, and while it is compared.
    for at in [rows / 2, rows + rows / 2] {
        let breaks = move |done: u64, of: u64| {
            assert_eq!(of, 2 * rows);
            if done >= at {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        assert_eq!(
            store.copy_to_dir(to.path(), now(), breaks).await.unwrap(),
            None
        );
        assert!(!to.path().join(Store::FILE_NAME).exists());
        assert!(!to.path().join("copy-scratch").exists());
        let copied = store.copy_to_postgres(database.settings(), now(), breaks);
        assert_eq!(copied.await.unwrap(), None);
    }
    store
        .copy_to_dir(to.path(), now(), GO_ON)
        .await
        .unwrap()
        .unwrap();
    let copied = store.copy_to_postgres(database.settings(), now(), GO_ON);
    assert!(copied.await.unwrap().is_some());
}

#[tokio::test]
async fn points_that_only_the_log_holds_are_not_left_behind() {
    let (from, to) = (folder(), folder());
    let store = open(from.path()).await;
    let open_points = Points::open(&store, points()).await.unwrap();
    open_points.write("db", batch(1)).await.unwrap();
    let error = store
        .copy_to_dir(to.path(), now(), GO_ON)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(open_points);
    let error = store
        .copy_to_dir(to.path(), now(), GO_ON)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Uncommitted { .. }), "{error}");
    assert!(error.to_string().contains("smartem collect"), "{error}");
    // Not even where the copy would take up what is another's.
    let other = open(to.path()).await;
    let error = other
        .copy_to_dir(from.path(), now(), GO_ON)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Uncommitted { .. }), "{error}");
}

#[tokio::test]
async fn a_backup_of_a_database_is_an_embedded_store() {
    let (from, between, to) = (folder(), folder(), folder());
    let store = open(from.path()).await;
    fill(&store, 5).await;
    let database = Database::empty();
    let copied = store.copy_to_postgres(database.settings(), now(), GO_ON);
    copied.await.unwrap();
    let served = connect(between.path(), database.settings()).await;
    let file = to.path().join(Store::FILE_NAME);
    assert!(served.snapshot(&file, GO_ON).await.unwrap());
    assert_eq!(dump_of(from.path()), dump_of(to.path()));
    let other = to.path().join("other");
    let broken_off = served.snapshot(&other, |_, _| ControlFlow::Break(()));
    assert!(!broken_off.await.unwrap());
    let restored = Store::open(to.path(), Access::Existing).await.unwrap();
    assert_eq!(fingerprint(&restored).await, fingerprint(&store).await);
}

#[tokio::test]
async fn every_table_is_copied_or_known_not_to_be() {
    // Locks of running programs, what the schema says of itself, and what is empty between transactions.
    const OWN: [&str; 4] = ["schema_version", "lease", "claim", "sta_stale"];
    let from = folder();
    let store = open(from.path()).await;
    let copied = store
        .copy_to_dir(folder().path(), now(), GO_ON)
        .await
        .unwrap();
    let copied: Vec<&str> = copied
        .unwrap()
        .tables
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let is_known = |name: &str| copied.contains(&name) || OWN.contains(&name);
    let connection = Connection::open(from.path().join(Store::FILE_NAME)).unwrap();
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    for name in tables {
        let name = name.unwrap();
        assert!(is_known(&name), "the table {name} of SQLite is not copied");
    }
    let database = Database::empty();
    Store::migrate_postgres(database.settings()).await.unwrap();
    let tables = database.lines(
        "SELECT CASE nspname WHEN 'smartem_sta' THEN 'sta_' ELSE '' END || relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname LIKE 'smartem%' AND relkind IN ('r', 'p') AND NOT relispartition",
    );
    assert!(tables.len() >= copied.len());
    for name in tables {
        assert!(
            is_known(&name),
            "the table {name} of PostgreSQL is not copied"
        );
    }
}

#[tokio::test]
async fn a_dump_made_by_the_backup_role_restores() {
    let (from, between) = (folder(), folder());
    let store = open(from.path()).await;
    fill(&store, 7).await;
    let (database, fresh) = (Database::empty(), Database::empty());
    let copied = store.copy_to_postgres(database.settings(), now(), GO_ON);
    copied.await.unwrap();
    let dump = between.path().join("smartem.dump");
    let run = |program: &str, arguments: &[&str]| {
        let done = std::process::Command::new(program)
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{program}: {told}");
    };
    let file = format!("--file={}", dump.display());
    let backup = database.settings_of("smartem_backup").url;
    run("pg_dump", &["--format=custom", &file, &backup]);
    let to = format!("--dbname={}", fresh.settings().url);
    let dump = dump.display().to_string();
    run("pg_restore", &["--exit-on-error", &to, &dump]);
    let restored = connect(between.path(), fresh.settings()).await;
    assert_eq!(
        restored.check().await.unwrap().problems,
        Vec::<String>::new()
    );
    let back = folder();
    restored
        .copy_to_dir(back.path(), now(), GO_ON)
        .await
        .unwrap();
    assert_eq!(dump_of(back.path()), dump_of(from.path()));
}
