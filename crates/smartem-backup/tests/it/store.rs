use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sha2::Digest as _;
use smartem_backup::store::{MakeSettings, back_up};
use smartem_backup::{BackupError, Contents, Keep, Watch};
use smartem_store::Store;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::support::{
    count, damage, files, look, make, open, put_back, repository, time, watch, write,
};

const FIRST: &str = "2026-11-28T02:17:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn all_that_was_acknowledged_before_the_start_is_in_a_backup_made_while_others_write() {
    let (data, place, new) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    let (store, points) = open(data.path()).await;
    write(&points, "a", 0..20_000).await;
    points.commit().await.unwrap();
    let acknowledged = Arc::new(AtomicI64::new(0));
    let stop = CancellationToken::new();
    let writer = tokio::spawn({
        let (points, acknowledged, stop) = (points.clone(), acknowledged.clone(), stop.clone());
        async move {
            let mut next = 0;
            while !stop.is_cancelled() {
                write(&points, "b", next..next + 100).await;
                next += 100;
                acknowledged.store(next, Ordering::SeqCst);
                if next % 1000 == 0 {
                    points.commit().await.unwrap();
                }
            }
        }
    });
    while acknowledged.load(Ordering::SeqCst) < 1500 {
        tokio::task::yield_now().await;
    }
    let before = acknowledged.load(Ordering::SeqCst);
    let repository = repository(place.path());
    make(&store, &repository, FIRST).await;
    let during = acknowledged.load(Ordering::SeqCst);
    stop.cancel();
    writer.await.unwrap();
    assert!(during > before, "the writer was held up");
    drop((points, store));
    let restored = put_back(&repository, new.path(), None, false)
        .await
        .unwrap();
    assert_eq!(restored.backup.made_at, time(FIRST));
    let (store, points) = open(new.path()).await;
    assert_eq!(count(&points, "a"), 20_000);
    let found = i64::try_from(count(&points, "b")).unwrap();
    assert!(
        found >= before && found <= during + 100,
        "{before} <= {found} <= {during}"
    );
    points.commit().await.unwrap();
    assert_eq!(store.check().await.unwrap().problems, [""; 0]);
}

#[tokio::test]
async fn only_what_is_new_is_sent_and_a_time_picks_the_backup() {
    let (data, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, points) = open(data.path()).await;
    for series in 0..20 {
        write(&points, &series.to_string(), 0..50_000).await;
    }
    points.commit().await.unwrap();
    let repository = repository(place.path());
    let first = make(&store, &repository, FIRST).await;
    assert!(first.sent.chunks >= 6, "{:?}", first.sent);
    let again = make(&store, &repository, "2026-11-28T02:18:00Z").await;
    assert_eq!(again.sent.chunks, first.sent.chunks);
    // The copy notes that it is one in the first page.
    assert!(again.sent.new_chunks <= 1, "{:?}", again.sent);
    write(&points, "0", 50_000..50_010).await;
    points.commit().await.unwrap();
    let third = make(&store, &repository, "2026-11-29T02:17:00Z").await;
    assert!(
        third.sent.new_chunks * 2 < third.sent.chunks,
        "{:?}",
        third.sent
    );
    let Contents::Store(contents) = &third.manifest.contents else {
        panic!("{:?}", third.manifest.contents)
    };
    assert!(contents.tables["point_block"] > 0, "{contents:?}");
    for (as_of, points) in [
        (Some("2026-11-28T12:00:00Z"), 50_000),
        (None, 50_010),
        (Some(FIRST), 50_000),
    ] {
        let new = TempDir::new().unwrap();
        put_back(&repository, new.path(), as_of, false)
            .await
            .unwrap();
        assert_eq!(count(&open(new.path()).await.1, "0"), points, "{as_of:?}");
    }
    let new = TempDir::new().unwrap();
    let error = put_back(&repository, new.path(), Some("2026-11-01T00:00:00Z"), false).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("the first is of 2026-11-28T02:17:00Z"),
        "{error}"
    );
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_told_and_nothing_is_touched() {
    let (data, place, new) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    let (store, points) = open(data.path()).await;
    write(&points, "a", 0..100_000).await;
    points.commit().await.unwrap();
    write(&points, "a", 100_000..100_100).await;
    let repository = repository(place.path());
    make(&store, &repository, FIRST).await;
    std::fs::write(new.path().join("mine"), "old").unwrap();
    let all = files(place.path());
    assert!(all.len() >= 3, "{all:?}");
    for file in &all {
        let good = std::fs::read(file).unwrap();
        for missing in [false, true] {
            if missing {
                std::fs::remove_file(file).unwrap();
            } else {
                damage(file);
            }
            let error = put_back(&repository, new.path(), None, true)
                .await
                .unwrap_err();
            let name = file.file_name().unwrap().to_str().unwrap();
            let told = error.to_string();
            if missing && file.extension().is_some_and(|it| it == "json") {
                assert!(told.contains("there is no backup of store"), "{told}");
            } else {
                assert!(
                    matches!(error, BackupError::Damaged { .. }),
                    "{file:?}: {told}"
                );
                assert!(told.contains(name), "{file:?}: {told}");
            }
            assert!(look(&repository, new.path()).await.is_err());
            let left: Vec<_> = files(new.path())
                .into_iter()
                .filter(|path| !path.to_string_lossy().contains("locks"))
                .collect();
            assert_eq!(left, [new.path().join("mine")], "{file:?}");
            std::fs::write(file, &good).unwrap();
        }
    }
    put_back(&repository, new.path(), None, true).await.unwrap();
}

#[tokio::test]
async fn what_is_there_is_refused_or_put_aside_and_a_store_in_use_is_left_alone() {
    let (data, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, points) = open(data.path()).await;
    write(&points, "a", 0..10).await;
    let repository = repository(place.path());
    make(&store, &repository, FIRST).await;
    write(&points, "a", 10..20).await;
    let error = put_back(&repository, data.path(), None, false)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("--replace"), "{error}");
    let error = put_back(&repository, data.path(), None, true)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is in use"), "{error}");
    assert_eq!(count(&points, "a"), 20);
    points.close().await.unwrap();
    drop((points, store));
    let restored = put_back(&repository, data.path(), None, true)
        .await
        .unwrap();
    assert_eq!(count(&open(data.path()).await.1, "a"), 10);
    let aside = restored.aside.unwrap();
    assert!(aside.starts_with(data.path()), "{}", aside.display());
    assert_eq!(count(&open(&aside).await.1, "a"), 20);
}

#[tokio::test]
async fn older_backups_go_only_when_a_later_one_was_verified() {
    let (data, place, scratch) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    let (store, points) = open(data.path()).await;
    let repository = repository(place.path());
    let keep = Keep {
        daily: 1,
        weekly: 0,
        monthly: 0,
    };
    for day in 1..=3 {
        write(&points, &day.to_string(), 0..100_000).await;
        points.commit().await.unwrap();
        make(&store, &repository, &format!("2026-11-0{day}T02:17:00Z")).await;
    }
    let now = time("2026-11-03T03:00:00Z");
    let pruned = repository.prune("store", keep, now).await.unwrap();
    assert_eq!(
        (pruned.backups, pruned.chunks, pruned.unverified),
        (0, 0, 2)
    );
    look(&repository, scratch.path()).await.unwrap();
    // A backup that is being made may need any piece.
    std::fs::create_dir_all(place.path().join("running")).unwrap();
    let marker = place.path().join("running/20261103T025900.000Z-store");
    std::fs::write(&marker, "\n").unwrap();
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_793_674_800);
    let file = std::fs::File::options().write(true).open(&marker).unwrap();
    file.set_modified(modified).unwrap();
    let now = time("2026-11-03T03:00:00Z");
    let pruned = repository.prune("store", keep, now).await.unwrap();
    assert_eq!(
        (pruned.backups, pruned.chunks, pruned.postponed),
        (2, 0, true)
    );
    // Killed long ago.
    let later = time("2026-11-06T03:00:00Z");
    let pruned = repository.prune("store", keep, later).await.unwrap();
    assert!(pruned.chunks > 0 && !pruned.postponed, "{pruned:?}");
    assert!(!marker.exists());
    let left = repository.backups("store").await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].verified);
    let new = TempDir::new().unwrap();
    put_back(&repository, new.path(), None, false)
        .await
        .unwrap();
    let (_, points) = open(new.path()).await;
    assert_eq!(count(&points, "1") + count(&points, "3"), 200_000);
}

#[tokio::test]
async fn a_backup_that_is_stopped_leaves_none_and_a_second_one_at_the_same_time_is_refused() {
    let (data, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, points) = open(data.path()).await;
    write(&points, "a", 0..200_000).await;
    points.commit().await.unwrap();
    let repository = repository(place.path());
    let stop = CancellationToken::new();
    let stopping = Watch {
        stop: stop.clone(),
        done: Arc::new(move |_| stop.cancel()),
        more: Arc::new(|_| {}),
    };
    let settings = MakeSettings {
        now: time(FIRST),
        program: "test".to_owned(),
        scratch: None,
    };
    let error = back_up(&store, &repository, &settings, &stopping)
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::Stopped), "{error}");
    assert_eq!(repository.backups("store").await.unwrap(), []);
    assert!(!data.path().join("backup-scratch").exists());
    let lock = store.lock("making-backup").await.unwrap();
    let error = back_up(&store, &repository, &settings, &watch())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("another backup"), "{error}");
    drop(lock);
    back_up(&store, &repository, &settings, &watch())
        .await
        .unwrap();
    // The name of a backup is its time.
    let error = back_up(&store, &repository, &settings, &watch())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("try again"), "{error}");
}

#[tokio::test]
async fn a_place_has_the_backups_of_one_store_which_a_restored_one_goes_on_with() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (place, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, points) = open(one.path()).await;
    write(&points, "a", 0..10).await;
    let repository = repository(place.path());
    let made = make(&store, &repository, FIRST).await;
    let id = store.identity().await.unwrap().unwrap();
    assert_eq!(made.manifest.store(), Some(&*id));

    let (other, _points) = open(other.path()).await;
    let settings = MakeSettings {
        now: time("2026-11-29T02:17:00Z"),
        program: "test".to_owned(),
        scratch: None,
    };
    let error = back_up(&other, &repository, &settings, &watch())
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::OtherStore { .. }), "{error}");
    let its = other.identity().await.unwrap().unwrap();
    let told = error.to_string();
    assert!(told.contains(&id) && told.contains(&its), "{told}");
    assert!(told.contains("prefix of its own"), "{told}");
    assert_eq!(
        files(&place.path().join("running")),
        [""; 0].map(std::path::PathBuf::from)
    );
    assert_eq!(repository.backups("store").await.unwrap().len(), 1);

    put_back(&repository, new.path(), None, false)
        .await
        .unwrap();
    let (restored, _points) = open(new.path()).await;
    assert_eq!(restored.identity().await.unwrap(), Some(id));
    make(&restored, &repository, "2026-11-30T02:17:00Z").await;
}

#[tokio::test]
async fn backups_without_an_id_are_taken_for_those_of_the_store() {
    let (data, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, _points) = open(data.path()).await;
    let repository = repository(place.path());
    make(&store, &repository, FIRST).await;
    let file = &files(&place.path().join("backups"))[0];
    let sealed: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut manifest = sealed["manifest"].clone();
    let contents = manifest["contents"]["store"].as_object_mut().unwrap();
    assert!(contents.remove("store").is_some());
    let text = manifest.to_string();
    let sum = format!("{:x}", sha2::Sha256::digest(&text));
    std::fs::write(
        file,
        format!("{{\"sha256\":\"{sum}\",\"manifest\":{text}}}"),
    )
    .unwrap();
    let id = &repository.backups("store").await.unwrap()[0].id;
    assert_eq!(
        repository.manifest("store", id).await.unwrap().store(),
        None
    );
    make(&store, &repository, "2026-11-29T02:17:00Z").await;
}

#[tokio::test]
async fn a_piece_of_another_size_is_sent_again() {
    let (data, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, points) = open(data.path()).await;
    write(&points, "a", 0..50_000).await;
    let repository = repository(place.path());
    let first = make(&store, &repository, FIRST).await;
    let log = &first.manifest.files[0];
    assert!(log.path.starts_with("points/"), "{log:?}");
    let piece = |hash: &str| place.path().join("chunks").join(&hash[..2]).join(hash);
    let piece = piece(&log.chunks[0]);
    let good = std::fs::read(&piece).unwrap();
    assert_eq!(log.sizes[0], good.len() as u64);
    for (bad, day) in [(&b""[..], 29), (&good[..good.len() / 2], 30)] {
        std::fs::write(&piece, bad).unwrap();
        let again = make(&store, &repository, &format!("2026-11-{day}T02:17:00Z")).await;
        // And the first page of the database, which notes that it is a copy.
        assert!((1..=2).contains(&again.sent.new_chunks), "{:?}", again.sent);
        assert_eq!(std::fs::read(&piece).unwrap(), good);
    }
    let new = TempDir::new().unwrap();
    put_back(&repository, new.path(), Some(FIRST), false)
        .await
        .unwrap();
    assert_eq!(count(&open(new.path()).await.1, "a"), 50_000);
}

/// What somebody else may do with what is below a folder, by name.
#[cfg(unix)]
fn open_to_others(dir: &std::path::Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            found.push(format!("{} {mode:o}", path.display()));
        }
        // Locks are empty files in a folder that is shut.
        if path.is_dir() && !path.ends_with("locks") {
            found.extend(open_to_others(&path));
        }
    }
    found
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_written_is_for_its_owner_only() {
    let (data, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, points) = open(data.path()).await;
    write(&points, "a", 0..10).await;
    let place = there.path().join("place/below");
    let repository = repository(&place);
    make(&store, &repository, FIRST).await;
    look(&repository, &there.path().join("scratch"))
        .await
        .unwrap();
    let new = there.path().join("new/store");
    put_back(&repository, &new, None, false).await.unwrap();
    let (_, points) = open(&new).await;
    assert_eq!(count(&points, "a"), 10);
    points.close().await.unwrap();
    drop(points);
    assert!(files(&place).len() >= 4, "{:?}", files(&place));
    assert_eq!(open_to_others(there.path()), [""; 0]);
    // A folder that was there keeps its mode, what is put aside in it is shut.
    let restored = put_back(&repository, &new, None, true).await.unwrap();
    assert!(restored.aside.is_some());
    assert_eq!(open_to_others(there.path()), [""; 0]);
}

#[tokio::test]
async fn a_refused_restore_leaves_no_folder() {
    let (data, there) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, _points) = open(data.path()).await;
    let repository = repository(&there.path().join("place"));
    let new = there.path().join("some/where");
    put_back(&repository, &new, None, false).await.unwrap_err();
    look(&repository, &new).await.unwrap_err();
    make(&store, &repository, FIRST).await;
    damage(&files(&there.path().join("place/chunks"))[0]);
    put_back(&repository, &new, None, false).await.unwrap_err();
    look(&repository, &new).await.unwrap_err();
    assert!(!there.path().join("some").exists());
    // One that was there stays, as empty as it was.
    std::fs::create_dir_all(&new).unwrap();
    put_back(&repository, &new, None, false).await.unwrap_err();
    assert_eq!(std::fs::read_dir(&new).unwrap().count(), 0);
}

#[tokio::test]
async fn a_store_that_nobody_has_open_is_not_in_use() {
    let data = TempDir::new().unwrap();
    assert!(!Store::in_use(data.path()).await.unwrap());
    let (store, points) = open(data.path()).await;
    assert!(Store::in_use(data.path()).await.unwrap());
    points.close().await.unwrap();
    drop((points, store));
    assert!(!Store::in_use(data.path()).await.unwrap());
    std::fs::write(data.path().join(Store::FILE_NAME), "no database at all").unwrap();
    assert!(!Store::in_use(data.path()).await.unwrap());
}
