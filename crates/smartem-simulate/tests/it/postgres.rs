//! The PostgreSQL of tests is a real one, and can be stopped, killed and started again.

use smartem_simulate::postgres::{Postgres, PostgresError, PostgresOptions, WITH_PASSWORD};

#[test]
fn a_database_is_a_copy_of_its_template_and_gone_when_dropped() {
    let postgres = Postgres::shared().unwrap();
    let template = postgres.create_database().unwrap();
    template
        .psql("CREATE EXTENSION postgis; CREATE TABLE t AS SELECT 7 AS seven")
        .unwrap();
    let copy = postgres.copy_database(&template).unwrap();
    copy.psql("UPDATE t SET seven = 8").unwrap();
    assert_eq!(copy.psql("TABLE t").unwrap(), "8");
    assert_eq!(template.psql("TABLE t").unwrap(), "7");
    let told = template.psql("TABLE nothing").unwrap_err();
    assert!(
        matches!(&told, PostgresError::Refused(told) if told.contains("nothing")),
        "{told}"
    );
    let name = copy.name().to_owned();
    drop(copy);
    let sql = format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'");
    assert_eq!(postgres.psql("postgres", &sql).unwrap(), "0");
}

#[test]
fn text_is_not_in_the_order_of_bytes_and_time_is_not_utc() {
    let postgres = Postgres::shared().unwrap();
    let ask = |sql| postgres.psql("postgres", sql).unwrap();
    assert_eq!(ask("SELECT 'a' < 'B', 'a' < 'B' COLLATE \"C\""), "t|f");
    assert_eq!(
        ask("SELECT '2026-01-01 00:00:00'::timestamptz = '2026-01-01 00:00:00Z'"),
        "f"
    );
}

#[test]
fn what_is_committed_outlives_a_restart_and_a_kill() {
    let mut postgres = Postgres::start_with(&PostgresOptions {
        durable: true,
        ..PostgresOptions::default()
    })
    .unwrap();
    let ask = |postgres: &Postgres, sql| postgres.psql("postgres", sql);
    ask(&postgres, "CREATE TABLE t AS SELECT 1 AS n").unwrap();
    postgres.restart().unwrap();
    ask(&postgres, "UPDATE t SET n = 2").unwrap();
    postgres.kill().unwrap();
    assert!(ask(&postgres, "TABLE t").is_err());
    postgres.start_again().unwrap();
    assert_eq!(ask(&postgres, "TABLE t").unwrap(), "2");
    postgres.stop().unwrap();
    assert!(ask(&postgres, "TABLE t").is_err());
    let folder = postgres.sockets().to_owned();
    assert!(folder.exists());
    drop(postgres);
    assert!(!folder.exists());
}

#[test]
fn pgbouncer_gives_each_transaction_a_connection() {
    let postgres = Postgres::shared().unwrap();
    let database = postgres.create_database().unwrap();
    let pgbouncer = postgres.pgbouncer().unwrap();
    let url = pgbouncer.url(database.name(), "postgres");
    let output = std::process::Command::new("psql")
        .args([&url, "-XAtc", "SELECT current_database()"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        database.name(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn who_must_give_a_password_must() {
    let postgres = Postgres::shared().unwrap();
    let sql = format!("CREATE ROLE ada LOGIN PASSWORD 'her own' IN ROLE {WITH_PASSWORD}");
    postgres.psql("postgres", &sql).unwrap();
    let ask = |password: &str| {
        std::process::Command::new("psql")
            .args([&postgres.url("postgres", "ada"), "-XwAtc", "SELECT 1"])
            .env("PGPASSWORD", password)
            .output()
            .unwrap()
    };
    assert!(ask("her own").status.success());
    let refused = ask("another");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("password authentication failed"), "{told}");
}
