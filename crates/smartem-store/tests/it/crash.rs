//! A writer killed at any moment leaves whole transactions.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use smartem_store::{Access, Columns, PostgresSettings, Store};

use crate::servers::{Database, WRITER};
use crate::support::{commit, hour, id, intake, open, record, sample, waiting};

/// In whose presence the writer below writes; else it is not the child of a test. It holds the address of a
/// database, or nothing.
const MARKER: &str = "write-until-killed";
const STATIONS: [&str; 3] = ["23", "24", "25"];

/// Takes in one hour of each station with one checkpoint, then refines them, for ever.
#[tokio::test]
#[ignore = "the child process of the test below"]
async fn write_until_killed() {
    let Ok(url) = std::fs::read_to_string(MARKER) else {
        return;
    };
    let store = reach(Path::new("."), &url).await;
    let mut n = position(&store).await + 1;
    loop {
        let records = STATIONS.map(|station| record(station, n, &sample(n, 0.0)));
        let mut batch = intake(records.to_vec());
        batch.checkpoints = vec![("all".into(), json!(n))];
        store.take_in(batch).await.unwrap();
        for station in store
            .dirty_stations(9, smartem_store::Growing::No)
            .await
            .unwrap()
        {
            if let Some(work) = store
                .work(&station, 9, Columns::All, smartem_store::Growing::No)
                .await
                .unwrap()
            {
                commit(&store, &work).await;
            }
        }
        n += 1;
    }
}

/// The store of a folder with a marker that holds this.
async fn reach(dir: &Path, url: &str) -> Store {
    let dir = dir.join("data");
    if url.is_empty() {
        return open(&dir).await;
    }
    let settings = PostgresSettings::new(url);
    Store::connect(&dir, &settings, Access::Existing)
        .await
        .unwrap()
}

/// The last hour that was taken in, by the checkpoint; -1 before the first.
async fn position(store: &Store) -> i64 {
    let checkpoints = store
        .checkpoints("harvester-whale", "intemo")
        .await
        .unwrap();
    checkpoints.get("all").map_or(-1, |n| n.as_i64().unwrap())
}

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::write_until_killed", "--ignored"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_writer_killed_at_any_moment_leaves_whole_transactions() {
    kill_again_and_again("", || ()).await;
}

#[tokio::test]
async fn a_writer_killed_at_any_moment_leaves_whole_transactions_on_postgres() {
    let database = Database::migrated();
    let url = &database.settings_of(WRITER).url;
    kill_again_and_again(url, || database.wait_until_alone()).await;
}

/// `settle` waits for what the killed writer had sent off.
async fn kill_again_and_again(url: &str, settle: impl Fn()) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(MARKER), url).unwrap();
    let mut before = -1;
    for round in 0..40_u64 {
        // Where the machine has much else to do, the writer comes to write only in later rounds.
        if round >= 12 && before > 5 {
            break;
        }
        let mut child = spawn(dir.path());
        tokio::time::sleep(Duration::from_millis(60 + 23 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();

        settle();
        let store = reach(dir.path(), url).await;
        let position = position(&store).await;
        assert!(position >= before, "the checkpoint went back");
        before = position;
        assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
        for station in STATIONS {
            let stored = store
                .stored_hours(&id(station), hour(0), hour(1 << 20))
                .await
                .unwrap();
            let expected: Vec<_> = (0..=position).map(hour).collect();
            assert_eq!(
                stored, expected,
                "the hours of {station} are those of the checkpoint"
            );
            let waits: Vec<_> = waiting(&store, station)
                .await
                .into_iter()
                .map(hour)
                .collect();
            for hour in stored {
                let refined = store.station_hour(&id(station), hour).await.unwrap();
                assert!(
                    refined.is_some() || waits.contains(&hour),
                    "{station} {hour} was never refined and will not be"
                );
            }
        }
    }
    assert!(before > 5, "the writer hardly wrote: {before}");
}
