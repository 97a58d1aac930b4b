//! The schema comes, and is judged.

use smartem_simulate::postgres::Postgres;
use smartem_store::{Access, PostgresSettings, Store, StoreError};

use crate::servers::Database;
use crate::support::{now, record, sample, take_in};

async fn open(settings: &PostgresSettings, access: Access) -> Result<Store, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    Store::connect(dir.path(), settings, access).await
}

#[tokio::test]
async fn a_new_database_is_migrated_once() {
    let database = Database::empty();
    let settings = database.settings();
    let error = open(settings, Access::Existing).await.err().unwrap();
    assert!(
        matches!(error, StoreError::NotMigrated { found: 0, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("`smartem store migrate`"),
        "{error}"
    );

    let pending = Store::pending_postgres(settings).await.unwrap();
    assert_eq!(pending.first().map(|step| step.version), Some(1));
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'smartem%'";
    assert_eq!(database.lines(schemas), ["0"], "looking changes nothing");

    let taken = Store::migrate_postgres(settings).await.unwrap();
    assert_eq!(taken, pending);
    assert_ne!(database.lines(schemas), ["0"]);
    assert!(Store::migrate_postgres(settings).await.unwrap().is_empty());
    assert!(Store::pending_postgres(settings).await.unwrap().is_empty());
    let store = open(settings, Access::Existing).await.unwrap();
    assert_eq!(store.schema_version().await.unwrap() as usize, taken.len());
    let noted = "SELECT count(*) FROM smartem.schema_version";
    assert_eq!(database.lines(noted), [taken.len().to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_make_one_store() {
    let database = Database::empty();
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let settings = database.settings().clone();
            tokio::spawn(async move {
                let steps = Store::migrate_postgres(&settings).await.unwrap().len();
                let store = open(&settings, Access::Create { now: now() })
                    .await
                    .unwrap();
                take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
                (steps, store.identity().await.unwrap().unwrap())
            })
        })
        .collect();
    let mut all = Vec::new();
    for one in opening {
        all.push(one.await.unwrap());
    }
    assert_eq!(
        all.iter().filter(|(steps, _)| *steps > 0).count(),
        1,
        "{all:?}"
    );
    assert!(all.iter().all(|(_, id)| *id == all[0].1 && id.len() == 16));
    let another = Database::empty();
    let other = open(another.settings(), Access::Create { now: now() }).await;
    let other = other.unwrap().identity().await.unwrap().unwrap();
    assert_ne!(other, all[0].1);
}

fn newer(database: &Database, compatible_from: u32) {
    database.lines(&format!(
        "INSERT INTO smartem.schema_version (version, name, phase, compatible_from)
        VALUES (900, 'of the future', 'contract', {compatible_from})"
    ));
}

#[tokio::test]
async fn a_newer_schema_that_lacks_something_is_refused() {
    let database = Database::migrated();
    newer(&database, 899);
    let settings = database.settings();
    let errors = [
        open(settings, Access::Existing).await.err(),
        open(settings, Access::Create { now: now() }).await.err(),
        Store::migrate_postgres(settings).await.err(),
        Store::pending_postgres(settings).await.err(),
    ];
    for error in errors {
        let error = error.unwrap();
        assert!(
            matches!(error, StoreError::NewerSchema { found: 900, .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("use a newer smartem"), "{error}");
    }
}

#[tokio::test]
async fn a_newer_schema_that_has_all_that_is_needed_is_worked_with() {
    let database = Database::migrated();
    newer(&database, 1);
    let settings = database.settings();
    assert!(Store::migrate_postgres(settings).await.unwrap().is_empty());
    let store = open(settings, Access::Existing).await.unwrap();
    assert_eq!(store.schema_version().await.unwrap(), 900);
    let report = take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    assert_eq!(report.new, 1);
}

/// What is missing, with what an administrator is to do.
async fn unprepared(settings: &PostgresSettings) -> String {
    let error = Store::migrate_postgres(settings).await.unwrap_err();
    assert!(matches!(error, StoreError::Unprepared { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn who_may_not_make_what_is_missing_is_told_what_an_administrator_is_to_do() {
    // Roles are of the whole server, so this is one that has none.
    let server = Postgres::start().unwrap();
    let database = server.create_database().unwrap();
    database.psql("CREATE ROLE ada LOGIN").unwrap();
    let settings = PostgresSettings::new(database.url_of("ada"));
    let told = unprepared(&settings).await;
    assert!(told.contains("permission denied to create role"), "{told}");
    let from = told.find("CREATE ROLE").unwrap();
    database.psql(&told[from..]).unwrap();

    let told = unprepared(&settings).await;
    assert!(
        told.contains("permission denied to create extension"),
        "{told}"
    );
    assert!(told.contains("CREATE EXTENSION postgis"), "{told}");
    database.psql("CREATE EXTENSION postgis").unwrap();

    let told = unprepared(&settings).await;
    assert!(told.contains("smartem_owner"), "{told}");
    let owner = PostgresSettings::new(database.url_of("smartem_owner"));
    let error = Store::migrate_postgres(&owner).await.unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    let name = database.name();
    database
        .psql(&format!("ALTER DATABASE {name} OWNER TO smartem_owner"))
        .unwrap();
    assert!(!Store::migrate_postgres(&owner).await.unwrap().is_empty());
    let sql = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname LIKE 'smartem%' AND c.relowner <> 'smartem_owner'::regrole";
    assert_eq!(database.psql(sql).unwrap(), "0");
}
