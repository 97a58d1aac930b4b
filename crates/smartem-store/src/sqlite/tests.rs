use jiff::Timestamp;
use rusqlite::Connection;

use super::fault::Fault;
use super::{FILE_NAME, Sqlite, connect_writer};
use crate::{Access, StoreError};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn created() -> (tempfile::TempDir, Connection) {
    let dir = tempfile::tempdir().unwrap();
    Sqlite::open(dir.path(), Access::Create { now: NOW }).unwrap();
    let connection = connect_writer(&dir.path().join(FILE_NAME), false).unwrap();
    (dir, connection)
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let (dir, connection) = created();
    connection
        .execute("INSERT INTO schema_version VALUES (99, 'future', 0)", [])
        .unwrap();
    for access in [Access::Existing, Access::Create { now: NOW }] {
        let error = Sqlite::open(dir.path(), access).err().unwrap();
        assert!(
            matches!(error, StoreError::NewerSchema { found: 99, .. }),
            "{error}"
        );
    }
    let error = Sqlite::migrate_dir(dir.path(), NOW).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let (dir, connection) = created();
    connection.pragma_update(None, "max_page_count", 1).unwrap();
    let error = connection
        .execute(
            "INSERT INTO raw_payload (payload) VALUES (zeroblob(10000000))",
            [],
        )
        .unwrap_err();
    let error = Fault::from(error).during("writing", dir.path());
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
}

#[test]
fn a_transaction_of_another_process_is_waited_for_and_then_told() {
    let (dir, first) = created();
    let second = connect_writer(&dir.path().join(FILE_NAME), false).unwrap();
    second
        .busy_timeout(std::time::Duration::from_millis(10))
        .unwrap();
    first.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = second.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    let error = Fault::from(error).during("writing", dir.path());
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
}

/// The steps of a query as the planner tells them.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let steps = statement
        .query_map([], |row| row.get::<_, String>(3))
        .unwrap();
    steps.collect::<Result<Vec<_>, _>>().unwrap().join("; ")
}

#[test]
fn what_is_looked_for_often_is_found_by_an_index() {
    let (_dir, connection) = created();
    for (sql, index) in [
        (
            "SELECT hour FROM raw_record WHERE station_key = 1 AND dirty = 1 ORDER BY hour LIMIT 1",
            "raw_record_dirty",
        ),
        (
            "SELECT station_key FROM raw_record WHERE dirty = 1 AND station_key > 1
             ORDER BY station_key LIMIT 1",
            "raw_record_dirty",
        ),
        (
            "SELECT count(*) FROM raw_record WHERE dirty = 1",
            "raw_record_dirty",
        ),
        (
            "SELECT lon FROM station_hour INDEXED BY station_hour_positioned
             WHERE station_key = 1 AND hour < 9 AND location_source IN ('fix', 'point')
             ORDER BY hour DESC LIMIT 1",
            "station_hour_positioned",
        ),
        (
            "SELECT place FROM quarantine WHERE stage = 'harvest' AND source = 'x'
             AND resolved_at IS NULL",
            "quarantine_open",
        ),
    ] {
        let plan = plan(&connection, sql);
        assert!(plan.contains(index), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn a_series_that_counts_wrongly_is_told_by_the_check() {
    let (dir, connection) = created();
    connection
        .execute_batch(
            "INSERT INTO station (id, station_type, network, first_seen)
                 VALUES ('23', 'jose', 'x', 0);
             INSERT INTO series (station_key, indicator, sensor, unit, label, observations)
                 VALUES (1, 'no2', 'a', 'ug/m3', 'NO2', 1);",
        )
        .unwrap();
    let store = crate::Store::open(dir.path(), Access::Existing).await;
    let report = store.unwrap().check().await.unwrap();
    assert_eq!(
        report.problems,
        ["the total of no2 of station 23 is 1, there are 0"]
    );
}
