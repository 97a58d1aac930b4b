use jiff::Timestamp;
use rusqlite::Connection;

use super::fault::Fault;
use super::{FILE_NAME, Sqlite, connect_writer};
use crate::codec::tests::{FORM_1, FORM_1_HASH, bytes_of_hex, of_form_1};
use crate::{Access, Columns, Intake, IntakeReport, ReceivedRecord, Store, StoreError};

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
    // Opened so, the entities of the station are made.
    let store = crate::Store::open(dir.path(), Access::Create { now: NOW }).await;
    let report = store.unwrap().check().await.unwrap();
    assert_eq!(
        report.problems,
        ["the total of no2 of station 23 is 1, there are 0"]
    );
}

fn intake() -> Intake {
    Intake {
        process: "harvester-whale".into(),
        source: "intemo".into(),
        network: "josene".into(),
        project: None,
        now: NOW,
        records: vec![ReceivedRecord {
            standing: crate::Standing::Whole,
            place: "https://example.org/1".into(),
            record: of_form_1(),
        }],
        quarantined: Vec::new(),
        understood: Vec::new(),
        checkpoints: Vec::new(),
    }
}

#[tokio::test]
async fn an_hour_of_form_1_is_refined_and_unchanged_when_it_comes_again() {
    let (dir, connection) = created();
    let store = Store::open(dir.path(), Access::Existing).await.unwrap();
    store.take_in(intake()).await.unwrap();
    let to_form_1 = |dirty: bool| {
        let parts = (bytes_of_hex(FORM_1), bytes_of_hex(FORM_1_HASH));
        connection
            .execute("UPDATE raw_payload SET payload = ?1", [parts.0])
            .unwrap();
        connection
            .execute(
                "UPDATE raw_record SET content_hash = ?1, dirty = ?2",
                (parts.1, dirty),
            )
            .unwrap();
    };
    to_form_1(true);
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
    let station = of_form_1().station;
    let work = store
        .work(&station, 1, Columns::All, crate::Growing::No)
        .await
        .unwrap();
    assert_eq!(work.unwrap().hours[0].record, of_form_1());

    to_form_1(false);
    let unchanged = IntakeReport {
        unchanged: 1,
        ..IntakeReport::default()
    };
    for _ in 0..2 {
        assert_eq!(store.take_in(intake()).await.unwrap(), unchanged);
        assert!(
            store
                .dirty_stations(1, crate::Growing::No)
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
    }
    let first: u8 = connection
        .query_row(
            "SELECT hex(substr(payload, 1, 1)) FROM raw_payload",
            [],
            |row| Ok(row.get::<_, String>(0)?.parse().unwrap()),
        )
        .unwrap();
    assert_eq!(first, 2);
}

#[tokio::test]
async fn work_holds_the_columns_that_are_read() {
    let (dir, _connection) = created();
    let store = Store::open(dir.path(), Access::Existing).await.unwrap();
    store.take_in(intake()).await.unwrap();
    let columns = Columns::Read(std::sync::Arc::new(|station_type, key| {
        station_type == "jose" && key == "delta"
    }));
    let record = of_form_1();
    let work = store
        .work(&record.station, 1, columns, crate::Growing::No)
        .await
        .unwrap()
        .unwrap();
    let read = &work.hours[0].record;
    let names: Vec<&str> = read
        .samples
        .columns()
        .iter()
        .map(smartem_model::raw::Column::name)
        .collect();
    assert_eq!(names, ["delta"]);
    assert_eq!(read.samples.column("delta"), record.samples.column("delta"));
    let hour = work.hours[0].hour;
    let whole = store.raw_record(&record.station, hour).await.unwrap();
    assert_eq!(whole.unwrap(), record);
}
