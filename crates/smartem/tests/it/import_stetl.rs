//! `smartem store import stetl`: whole, once, and also when it is killed midway.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use smartem_simulate::postgres::{Database, Postgres};
use smartem_store::ObservationQuery;

use crate::support::{Place, block_on, text};

const SCHEMA: &str = include_str!("../../../../fixtures/stetl/schema.sql");
const ROWS: &str = include_str!("../../../../fixtures/stetl/rows.sql");

fn original() -> Database {
    let server = Postgres::shared().unwrap_or_else(|problem| panic!("{problem}"));
    let database = server.create_database().unwrap();
    database.psql(SCHEMA).unwrap();
    database.psql(ROWS).unwrap();
    database
}

/// Runs it to its end; after a kill another may have to end first.
fn finish(place: &Place, original: &Database) -> String {
    let since = Instant::now();
    loop {
        let output = place.run(&["store", "import", "stetl", "--from", &original.url()]);
        let said = text(&output.stdout) + &text(&output.stderr);
        if output.status.success() {
            return said;
        }
        let is_taken = said.contains("another import");
        assert!(
            is_taken && since.elapsed() < Duration::from_secs(120),
            "{said}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn reached(place: &Place, original: &Database) -> i64 {
    let name = original.name();
    block_on(async {
        let store = place.store().await;
        // The address without user, as it is shown.
        let url = original.url().replace("postgres@", "");
        let kept = store.checkpoints("import-stetl", &url).await.unwrap();
        let position = kept.get("refined").and_then(|it| it.get("gid")?.as_i64());
        assert!(url.contains(name));
        position.unwrap_or(0)
    })
}

fn killed_midway(place: &Place) {
    place.with_source("http://127.0.0.1:1/sensors/v1");
    let original = original();
    let mut run = place
        .command(&["store", "import", "stetl", "--from", &original.url()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while reached(place, &original) == 0 {
        assert!(
            run.try_wait().unwrap().is_none(),
            "it ended before it was killed"
        );
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let at = reached(place, &original);
    assert!(at > 0 && at < 100_056, "{at}");
    for _ in 0..2 {
        let said = finish(place, &original);
        assert!(said.contains("100056  100000    50"), "{said}");
        assert!(said.contains("the counts of all stations agree"), "{said}");
    }
    block_on(async {
        let store = place.store().await;
        assert_eq!(store.backlog().await.unwrap().observations, 100_000);
        let station = smartem_model::StationId::new("493112345").unwrap();
        let query = ObservationQuery::newest(station, 20_000);
        assert_eq!(
            store.observations(query).await.unwrap().observations.len(),
            10_000
        );
        let whale = store.checkpoints("harvester-whale", "test").await.unwrap();
        assert_eq!(whale["55"], json!({"settled": "2017-01-09"}));
    });
}

#[test]
fn an_import_that_is_killed_midway_goes_on_and_brings_nothing_twice() {
    killed_midway(&Place::new());
}

#[test]
fn on_postgresql_an_import_that_is_killed_midway_goes_on_and_brings_nothing_twice() {
    killed_midway(&Place::on_postgres());
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let (place, original) = (Place::new(), original());
    let output = place.run(&[
        "store",
        "import",
        "stetl",
        "--from",
        &original.url(),
        "--dry-run",
    ]);
    let said = text(&output.stdout);
    assert!(
        output.status.success() && said.contains("20010001   200          10000"),
        "{said}"
    );
    assert!(!place.data().join("smartem.sqlite").exists());
}
