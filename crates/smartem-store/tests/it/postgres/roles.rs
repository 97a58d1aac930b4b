//! Each role may do what it is for, and nothing else. All is tried, as that role.

use std::ops::ControlFlow;

use crate::servers::{Database, On, WRITER, World};
use crate::sta_support::{
    E, anybody, attempt, create, delete, make, observe, observed, station, write,
};
use crate::support::{intake, now, record, refine_all, sample, take_in};

const API: &str = "smartem_api";
const READER: &str = "smartem_reader";
const BACKUP: &str = "smartem_backup";

/// Tries to insert into, update, delete from and truncate each table, partitions too; ends with an error
/// that tells how many were tried and which were allowed.
const TRY_TO_WRITE: &str = "DO $$
    DECLARE
        it record;
        statement text;
        tried int := 0;
        allowed text[] := '{}';
    BEGIN
        FOR it IN
            SELECT format('%I.%I', n.nspname, c.relname) AS name,
                (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
                 AND a.attgenerated = '' AND NOT a.attisdropped ORDER BY a.attnum LIMIT 1) AS col
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname LIKE 'smartem%' AND c.relkind IN ('r', 'p')
        LOOP
            FOREACH statement IN ARRAY ARRAY[
                format('INSERT INTO %s DEFAULT VALUES', it.name),
                format('UPDATE %s SET %2$I = %2$I', it.name, it.col),
                format('DELETE FROM %s', it.name),
                format('TRUNCATE %s', it.name)]
            LOOP
                tried := tried + 1;
                BEGIN
                    EXECUTE statement;
                    allowed := allowed || statement;
                EXCEPTION
                    WHEN insufficient_privilege THEN NULL;
                    -- It came so far as to be refused for another reason.
                    WHEN OTHERS THEN allowed := allowed || statement;
                END;
            END LOOP;
        END LOOP;
        RAISE EXCEPTION 'tried %, allowed %', tried, allowed;
    END $$";

/// A database with something in most tables.
async fn world() -> World {
    let world = World::on(On::Postgres).await;
    let mut first = intake(vec![record("23", 0, &sample(1, 0.0))]);
    first.checkpoints = vec![("23".to_owned(), serde_json::json!(1))];
    world.store.take_in(first).await.unwrap();
    refine_all(&world.store).await;
    let sql = "INSERT INTO smartem.token (name, hash, rights, created_at)
        VALUES ('ada', 'a hash', 'write', now())";
    world.database().lines(sql);
    world
}

/// The tables that could be written to.
fn writable(database: &Database, role: &str) -> String {
    let told = database.lines_of(role, TRY_TO_WRITE).unwrap_err();
    let told = told.lines().next().unwrap_or_default().to_owned();
    let tried = told
        .split("tried ")
        .nth(1)
        .and_then(|it| it.split(',').next());
    let tried: u32 = tried.and_then(|it| it.parse().ok()).unwrap_or_default();
    assert!(tried >= 100, "tables of all schemas are tried: {told}");
    told.split("allowed ").nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn services_and_readers_cannot_change_any_table() {
    let world = world().await;
    for role in [READER, BACKUP] {
        assert_eq!(writable(world.database(), role), "{}", "{role}");
    }
    // What clients of SensorThings write, without what the store notes for itself.
    let of_api = writable(world.database(), API);
    let others: Vec<&str> = of_api
        .split("\",\"")
        .filter(|it| !it.contains(" smartem_sta.") || it.contains(".stale"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(of_api.contains("DELETE FROM smartem_sta.thing"), "{of_api}");
    let kept = "SELECT count(*) FROM smartem_raw.raw_record";
    assert_eq!(world.database().lines(kept), ["1"]);
    // That what is allowed is found out, the owner shows.
    let database = Database::migrated();
    let of_owner = writable(&database, "postgres");
    for table in ["smartem_raw.raw_record", "smartem.checkpoint"] {
        assert!(
            of_owner.contains(&format!("DELETE FROM {table}")),
            "{of_owner}"
        );
    }
}

#[tokio::test]
async fn a_service_notes_when_a_token_was_used_and_nothing_else_of_it() {
    let world = world().await;
    let database = world.database();
    let used = "UPDATE smartem.token SET last_used = now() RETURNING name";
    assert_eq!(database.lines_of(API, used).unwrap(), ["ada"]);
    for (role, set) in [
        (API, "rights = 'admin'"),
        (API, "hash = 'another'"),
        (API, "revoked_at = NULL"),
        (API, "expires_at = NULL"),
        (API, "last_used = now(), rights = 'admin'"),
        (READER, "last_used = now()"),
        (BACKUP, "last_used = now()"),
    ] {
        let told = database.lines_of(role, &format!("UPDATE smartem.token SET {set}"));
        assert!(
            told.unwrap_err().contains("permission denied"),
            "{role} {set}"
        );
    }
}

#[tokio::test]
async fn readers_read_all_but_the_hashes_of_tokens() {
    let world = world().await;
    let database = world.database();
    let tables = database.lines(
        "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname LIKE 'smartem%' AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1",
    );
    assert!(tables.len() > 20, "{tables:?}");
    assert!(
        tables
            .iter()
            .any(|it| it == "smartem_refined.observation_2016_01")
    );
    let read = |role: &str, what: &str| database.lines_of(role, what);
    for role in [API, READER, BACKUP, WRITER] {
        // In one go; a refusal names the table.
        let all: Vec<String> = tables
            .iter()
            .filter(|table| role != READER || *table != "smartem.token")
            .filter(|table| role != WRITER || !table.contains("observation_"))
            .map(|table| format!("SELECT * FROM {table} LIMIT 1"))
            .collect();
        let all = all.join(";");
        read(role, &all).unwrap();
    }
    assert_eq!(
        read(READER, "SELECT name FROM smartem.token").unwrap(),
        ["ada"]
    );
    for what in ["hash", "*", "count(hash)", "token"] {
        let told = read(READER, &format!("SELECT {what} FROM smartem.token"));
        assert!(told.unwrap_err().contains("permission denied"), "{what}");
    }
    let hash = "SELECT hash FROM smartem.token";
    assert_eq!(read(API, hash).unwrap(), ["a hash"]);
}

#[tokio::test]
async fn nobody_but_the_owner_changes_the_schema() {
    let world = world().await;
    for role in [WRITER, API, READER, BACKUP] {
        for statement in [
            "CREATE TABLE smartem.another (a int)",
            "CREATE TABLE smartem_refined.observation_2016_13 (a int)",
            "CREATE TABLE public.another (a int)",
            "CREATE SCHEMA another",
            "CREATE EXTENSION pg_trgm",
            "CREATE ROLE another",
            "ALTER TABLE smartem_raw.raw_record ADD COLUMN another int",
            "ALTER TABLE smartem_raw.raw_record DISABLE TRIGGER ALL",
            "DROP TABLE smartem_refined.observation",
            "DROP TABLE smartem_refined.observation_2016_01",
            "TRUNCATE smartem_raw.raw_record",
            "CREATE INDEX ON smartem_raw.raw_record (standing)",
            "CREATE OR REPLACE FUNCTION smartem_refined.ensure_month(month timestamptz) RETURNS void
                LANGUAGE sql AS ''",
            "GRANT smartem_owner TO CURRENT_USER",
            "SET ROLE smartem_owner",
            "COPY smartem.station TO PROGRAM 'cat'",
        ] {
            let told = world.database().lines_of(role, statement).unwrap_err();
            let refused = ["permission denied", "must be owner", "must be superuser", "must have admin option"]
                .iter()
                .any(|it| told.contains(it));
            assert!(refused, "{role}: {statement}: {told}");
        }
        // Who has a right but may not hand it on is only warned.
        let _ = world
            .database()
            .lines_of(role, "GRANT SELECT ON smartem.token TO PUBLIC");
    }
    let given = "SELECT has_table_privilege('smartem_reader', 'smartem.token', 'SELECT')";
    assert_eq!(world.database().lines(given), ["f"]);
}

#[tokio::test]
async fn the_writer_leaves_versions_and_identity_alone_and_others_make_no_months() {
    let world = world().await;
    let database = world.database();
    for statement in [
        "UPDATE smartem.schema_version SET compatible_from = 0",
        "DELETE FROM smartem.identity",
        "INSERT INTO smartem.identity (id) VALUES ('another')",
    ] {
        let told = database.lines_of(WRITER, statement).unwrap_err();
        assert!(told.contains("permission denied"), "{statement}: {told}");
    }
    let month = "SELECT smartem_refined.ensure_month('2030-01-01 00:00:00Z')";
    for role in [API, READER, BACKUP] {
        let told = database.lines_of(role, month).unwrap_err();
        assert!(told.contains("permission denied"), "{role}: {told}");
    }
    database.lines_of(WRITER, month).unwrap();
    let there = "SELECT to_regclass('smartem_refined.observation_2030_01') IS NOT NULL";
    assert_eq!(database.lines(there), ["t"]);
}

#[tokio::test]
async fn services_and_readers_open_the_store_and_cannot_take_anything_in() {
    let world = world().await;
    for role in [API, READER] {
        let store = world.as_user(role).await.unwrap();
        let stations = store.stations().await.unwrap();
        assert_eq!(stations.len(), 1);
        let error = store
            .take_in(intake(vec![record("24", 0, &sample(1, 0.0))]))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, smartem_store::StoreError::Denied { .. }),
            "{error:?}"
        );
        let told = error.to_string();
        assert!(
            told.contains("permission denied") && told.contains("role"),
            "{told}"
        );
    }
    take_in(&world.store, vec![record("24", 0, &sample(1, 0.0))]).await;
}

#[tokio::test]
async fn who_writes_makes_backups_too() {
    let world = world().await;
    let folder = tempfile::tempdir().unwrap();
    let writer = world.as_user(WRITER).await.unwrap();
    let copied = writer
        .copy_to_dir(folder.path(), now(), |_, _| ControlFlow::Continue(()))
        .await
        .unwrap()
        .unwrap();
    assert!(copied.tables.iter().any(|(_, rows)| *rows > 0));
}

#[tokio::test]
async fn services_write_what_clients_of_sensorthings_do() {
    let world = world().await;
    let served = world.as_user(API).await.unwrap();
    make(&served, create(station("a client's"))).await;
    let ids = world.rows("SELECT max(id) FROM {datastream}");
    let stream = ids[0].parse().unwrap();
    let rows = (0..50).map(|n| observed(stream, n, 1.0)).collect();
    write(&served, observe(rows)).await;
    write(&served, delete(E::Observation, (stream << 32) | 7)).await;
    let things = world.rows("SELECT id FROM {thing} WHERE station_key IS NULL");
    write(&served, delete(E::Thing, things[0].parse().unwrap())).await;
    let reader = world.as_user(READER).await.unwrap();
    let refused = attempt(&reader, &anybody(), create(station("b"))).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("permission denied")
    );
    let problems = world.store.check().await.unwrap().problems;
    assert_eq!(problems, Vec::<String>::new());
}
