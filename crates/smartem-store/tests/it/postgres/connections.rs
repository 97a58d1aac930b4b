//! The way to the database: what is wrong with it is told, passwords may change, sessions may end.

use std::time::Duration;

use smartem_simulate::postgres::WITH_PASSWORD;
use smartem_store::{Access, PoolNumbers, PostgresSettings, Store, StoreError};

use crate::servers::{Database, WRITER, server};
use crate::support::{record, sample, take_in};

async fn open(settings: &PostgresSettings) -> Result<Store, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    Store::connect(dir.path(), settings, Access::Existing).await
}

/// The error, with all that is behind it.
async fn refused(settings: &PostgresSettings) -> (StoreError, String) {
    let error = open(settings).await.err().unwrap();
    let mut told = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    (error, told)
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_at_once() {
    let url = server().url("nowhere", "postgres");
    let (error, told) = refused(&PostgresSettings::new(url)).await;
    assert!(matches!(error, StoreError::Denied { .. }), "{told}");
    assert!(
        told.contains(r#"database "nowhere" does not exist"#),
        "{told}"
    );
    let place = format!("postgresql://127.0.0.1:{}/nowhere", server().port());
    assert!(told.contains(&place), "{told}");
}

#[tokio::test]
async fn a_user_who_is_not_there_is_told_at_once() {
    let database = Database::migrated();
    let (error, told) = refused(&database.settings_of("nobody_of_this_name")).await;
    assert!(matches!(error, StoreError::Denied { .. }), "{told}");
    assert!(told.contains("`store.postgres.url`"), "{told}");
}

#[tokio::test]
async fn a_server_that_is_away_is_tried_for_a_while() {
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut settings =
        PostgresSettings::new(format!("postgresql://ada:secret@127.0.0.1:{port}/smartem"));
    settings.patience = Duration::from_millis(150);
    let (error, told) = refused(&settings).await;
    assert!(matches!(error, StoreError::Unreachable { .. }), "{told}");
    assert!(told.contains("look whether it runs"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}

/// A role with a password of its own that may do what the platform's programs do.
struct Ada {
    name: String,
    database: Database,
    file: tempfile::NamedTempFile,
}

impl Ada {
    fn new(name: &str, password: &str) -> Self {
        let database = Database::migrated();
        let name = format!("{name}_{}", database.name());
        database.lines(&format!(
            "CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {WRITER}, {WITH_PASSWORD}"
        ));
        let file = tempfile::NamedTempFile::new().unwrap();
        let ada = Self {
            name,
            database,
            file,
        };
        ada.write(password);
        ada
    }

    fn write(&self, password: &str) {
        std::fs::write(self.file.path(), format!("{password}\n")).unwrap();
    }

    fn settings(&self) -> PostgresSettings {
        PostgresSettings {
            password_file: Some(self.file.path().to_owned()),
            ..self.database.settings_of(&self.name)
        }
    }

    fn end_sessions(&self) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
            self.name
        );
        assert!(!self.database.lines(&sql).is_empty());
    }
}

impl Drop for Ada {
    fn drop(&mut self) {
        let _ = self.database.lines_of(
            "postgres",
            &format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name),
        );
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let ada = Ada::new("ada", "her own");
    ada.write("not hers at all");
    let (error, told) = refused(&ada.settings()).await;
    assert!(matches!(error, StoreError::Denied { .. }), "{told}");
    assert!(told.contains("password authentication failed"), "{told}");
    assert!(!told.contains("hers"), "{told}");
    let mut in_url = ada.settings();
    in_url.password_file = None;
    in_url.url = in_url.url.replacen('@', ":not%20hers@", 1);
    let (error, told) = refused(&in_url).await;
    assert!(matches!(error, StoreError::Denied { .. }), "{told}");
    assert!(!told.contains("hers"), "{told}");
}

#[tokio::test]
async fn no_password_is_told_and_so_is_a_file_that_is_not_there() {
    let ada = Ada::new("ben", "his own");
    let mut settings = ada.settings();
    settings.password_file = None;
    settings.patience = Duration::from_millis(150);
    let (_, told) = refused(&settings).await;
    assert!(told.contains("password"), "{told}");
    settings.password_file = Some("/nowhere/password".into());
    let (error, told) = refused(&settings).await;
    assert!(matches!(error, StoreError::File { .. }), "{told}");
    assert!(told.contains("/nowhere/password"), "{told}");
}

#[tokio::test]
async fn a_password_that_changes_is_read_again() {
    let ada = Ada::new("cleo", "the first");
    let store = open(&ada.settings()).await.unwrap();
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    ada.database
        .lines(&format!("ALTER ROLE {} PASSWORD 'the second'", ada.name));
    ada.write("the second");
    ada.end_sessions();
    let report = take_in(&store, vec![record("23", 1, &sample(1, 0.0))]).await;
    assert_eq!(report.new, 1);
    // A file that is just being replaced: the password of before holds.
    std::fs::remove_file(ada.file.path()).unwrap();
    ada.end_sessions();
    let report = take_in(&store, vec![record("23", 2, &sample(1, 0.0))]).await;
    assert_eq!(report.new, 1);
    ada.write("the second");
}

#[tokio::test]
async fn sessions_that_the_server_ends_are_made_again() {
    let ada = Ada::new("dora", "her own");
    let store = open(&ada.settings()).await.unwrap();
    for n in 0..5 {
        ada.end_sessions();
        let report = take_in(&store, vec![record("23", n, &sample(1, 0.0))]).await;
        assert_eq!(report.new, 1);
    }
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn the_pool_tells_what_it_has() {
    let database = Database::migrated();
    let mut settings = database.settings_of(WRITER);
    settings.connections = 1;
    let store = open(&settings).await.unwrap();
    let quiet = PoolNumbers {
        max: 1,
        idle: 1,
        busy: 0,
        waiting: 0,
    };
    assert_eq!(store.pool(), Some(quiet));
    // Somebody else has the table, so the first waits for it, and the others for its connection.
    let name = database.name().to_owned();
    let holder = std::thread::spawn(move || {
        let sql = "BEGIN; LOCK TABLE smartem.token; SELECT pg_sleep(60)";
        server().psql(&name, sql)
    });
    let holders = "FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted
        AND relation = 'smartem.token'::regclass";
    let is_held = || !database.lines(&format!("SELECT pid {holders}")).is_empty();
    while !is_held() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked: Vec<_> = (0..3)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.tokens().await.unwrap().len() })
        })
        .collect();
    let loaded = PoolNumbers {
        idle: 0,
        busy: 1,
        waiting: 2,
        ..quiet
    };
    let since = std::time::Instant::now();
    while store.pool() != Some(loaded) {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "{:?}",
            store.pool()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database.lines(&format!("SELECT pg_terminate_backend(pid) {holders}"));
    assert!(holder.join().unwrap().is_err());
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 0);
    }
    assert_eq!(store.pool(), Some(quiet));
}

#[tokio::test]
async fn an_embedded_store_has_no_pool() {
    let dir = tempfile::tempdir().unwrap();
    let now = crate::support::now();
    let store = Store::open(dir.path(), Access::Create { now })
        .await
        .unwrap();
    assert_eq!(store.pool(), None);
}
