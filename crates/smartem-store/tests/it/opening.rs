//! Opening a store, and what can be wrong with its file.

use smartem_store::{Access, Columns, Store, StoreError};

use crate::support::{id, now, open, record, sample, take_in};

#[tokio::test]
async fn without_a_store_the_remedy_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("data");
    let error = Store::open(&missing, Access::Existing).await.err().unwrap();
    assert!(matches!(error, StoreError::NotMigrated { found: 0, .. }));
    assert!(
        error.to_string().contains("`smartem store migrate`"),
        "{error}"
    );
    assert!(!missing.exists());

    let taken = Store::migrate_dir(&missing, now()).await.unwrap();
    assert_eq!(taken.first().map(|step| step.version), Some(1));
    assert!(
        Store::migrate_dir(&missing, now())
            .await
            .unwrap()
            .is_empty()
    );
    let store = Store::open(&missing, Access::Existing).await.unwrap();
    assert_eq!(store.schema_version().await.unwrap() as usize, taken.len());
}

#[tokio::test]
async fn what_was_stored_is_there_when_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    take_in(
        &open(dir.path()).await,
        vec![record("23", 0, &sample(1, 0.0))],
    )
    .await;
    let store = Store::open(dir.path(), Access::Existing).await.unwrap();
    assert_eq!(
        store
            .dirty_stations(9, smartem_store::Growing::No)
            .await
            .unwrap(),
        [id("23")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_store_may_be_made_by_many_at_once() {
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let access = Access::Create { now: now() };
        let opening: Vec<_> = (0..8)
            .map(|_| {
                let path = dir.path().to_owned();
                tokio::spawn(async move { Store::open(&path, access).await })
            })
            .collect();
        for opened in opening {
            let store = opened.await.unwrap().unwrap();
            take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_folder_and_a_new_database_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("a/data");
    let store = open(&data).await;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    take_in(&store, vec![record("23", 0, &sample(1, 0.0))]).await;
    for name in ["smartem.sqlite", "smartem.sqlite-wal", "smartem.sqlite-shm"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn a_store_has_an_id_of_its_own_that_stays() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = open(one.path()).await.identity().await.unwrap().unwrap();
    assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let again = open(one.path()).await.identity().await.unwrap();
    assert_eq!(again.as_ref(), Some(&id));
    assert_ne!(open(other.path()).await.identity().await.unwrap(), again);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("smartem.sqlite");
    std::fs::write(
        &file,
        "this is no database, but long enough for one".repeat(300),
    )
    .unwrap();
    for access in [Access::Existing, Access::Create { now: now() }] {
        let error = Store::open(dir.path(), access).await.err().unwrap();
        assert!(
            matches!(&error, StoreError::Corrupt { path, .. } if *path == file),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_folder_in_place_of_the_file_is_told() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("smartem.sqlite")).unwrap();
    let access = Access::Create { now: now() };
    let error = Store::open(dir.path(), access).await.err().unwrap();
    assert!(matches!(error, StoreError::CannotOpen { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = open(dir.path()).await;
        let records = (0..50).map(|n| record("23", n, &sample(n, 0.0)));
        take_in(&store, records.collect()).await;
    }
    let file = dir.path().join("smartem.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    for byte in bytes.iter_mut().skip(8192) {
        *byte = 0x5A;
    }
    std::fs::write(&file, bytes).unwrap();
    let store = match Store::open(dir.path(), Access::Existing).await {
        Ok(store) => store,
        Err(error) => {
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            return;
        }
    };
    let error = store
        .work(&id("23"), 9, Columns::All, smartem_store::Growing::No)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}
