//! A writer of observations that is killed at any moment: what was acknowledged is there, nothing is there
//! twice, and every total is right.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use smartem_sta::{OnDuplicate, Operation};
use smartem_store::{Access, PostgresSettings, Store};

use crate::servers::{Database, WRITER};
use crate::sta_support::{anybody, create_once, observed, station};
use crate::support::{now, open};

/// In whose presence the writer below writes. It holds the address of a database, or nothing.
const MARKER: &str = "observe-until-killed";
const WRITERS: i64 = 4;

/// Several at once write observations to a datastream of their own, and note each that was acknowledged.
#[tokio::test]
#[ignore = "the child process of the tests below"]
async fn observe_until_killed() {
    let Ok(url) = std::fs::read_to_string(MARKER) else {
        return;
    };
    let store = reach(Path::new("."), &url).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(observe(store.clone(), writer));
    }
    writers.join_all().await;
}

async fn observe(store: Store, writer: i64) {
    let thing = create_once(station(&writer.to_string()), OnDuplicate::Update);
    store
        .sta_write(&anybody(), vec![thing], now())
        .await
        .unwrap();
    let stream = stream_of(&store, writer).await;
    let path = format!("acknowledged-{writer}");
    let mut noted = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap();
    // The last ones are sent again, since it is not known whether they came to be.
    let mut n = acknowledged(Path::new("."), writer) - 1;
    loop {
        let list = Operation::CreateObservations {
            observations: (0..3).map(|it| observed(stream, n * 3 + it, 1.0)).collect(),
            on_duplicate: OnDuplicate::Update,
        };
        store
            .sta_write(&anybody(), vec![list], now())
            .await
            .unwrap();
        writeln!(noted, "{n}").unwrap();
        n += 1;
    }
}

/// The datastream of a writer, by an upsert that changes nothing.
async fn stream_of(store: &Store, writer: i64) -> i64 {
    let question = format!("$filter=Thing/name eq '{writer}'");
    let of = smartem_sta::EntityType::Datastream;
    let query =
        smartem_sta::Query::parse(&question, of, smartem_sta::Version::V1_1, false).unwrap();
    let path = smartem_sta::ResourcePath::set(of);
    let limits = smartem_store::ReadLimits::at(now());
    match store.sta_read(&path, &query, &limits).await.unwrap() {
        smartem_sta::Answer::Many(page) => page.entities[0].id,
        other => panic!("{other:?}"),
    }
}

/// How many lists of a writer were acknowledged; a line that was being written when it was killed may be
/// missing.
fn acknowledged(dir: &Path, writer: i64) -> i64 {
    let noted = std::fs::read_to_string(dir.join(format!("acknowledged-{writer}")));
    let noted = noted.unwrap_or_default();
    let whole = noted.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let last = whole
        .lines()
        .last()
        .and_then(|line| line.parse::<i64>().ok());
    last.map_or(1, |last| last + 1)
}

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

fn spawn(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sta_crash::observe_until_killed", "--ignored"])
        .current_dir(dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    kill_again_and_again("", || ()).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_on_postgres() {
    let database = Database::migrated();
    let url = &database.settings_of(WRITER).url;
    kill_again_and_again(url, || database.wait_until_alone()).await;
}

/// `settle` waits for what the killed writer had sent off.
async fn kill_again_and_again(url: &str, settle: impl Fn()) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(MARKER), url).unwrap();
    let mut total = 0;
    for round in 0..30_u64 {
        // Where the machine has much else to do, the writer comes to write only in later rounds.
        if round >= 6 && total > 60 {
            break;
        }
        let mut child = spawn(dir.path());
        tokio::time::sleep(Duration::from_millis(150 + 71 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        settle();
        let store = reach(dir.path(), url).await;
        assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
        total = 0;
        for writer in 0..WRITERS {
            let acknowledged = acknowledged(dir.path(), writer);
            if acknowledged <= 1 {
                continue;
            }
            let stream = stream_of(&store, writer).await;
            let found = seconds(&store, stream).await;
            // From where it began, each once, and at most one list more than was acknowledged.
            let expected: Vec<i64> = (0..found.len() as i64).collect();
            assert_eq!(found, expected, "of writer {writer}");
            let lists = found.len() as i64 / 3;
            assert!(
                lists == acknowledged || lists == acknowledged + 1,
                "{acknowledged} lists of writer {writer} were acknowledged, {lists} are there"
            );
            total += lists;
        }
    }
    assert!(total > 60, "the writers hardly wrote: {total}");
}

/// When the observations of a datastream were.
async fn seconds(store: &Store, stream: i64) -> Vec<i64> {
    use smartem_sta::{Answer, EntityType as E, Query, Record};
    let path = crate::sta_support::below(E::Datastream, stream, E::Observation);
    let limits = smartem_store::ReadLimits {
        top_max: 1_000_000,
        entities_max: 1_000_000,
        ..smartem_store::ReadLimits::at(now())
    };
    let query = Query {
        top: Some(1_000_000),
        ..Query::default()
    };
    let Answer::Many(page) = store.sta_read(&path, &query, &limits).await.unwrap() else {
        panic!("no set")
    };
    let second = |entity: &smartem_sta::Entity| match &entity.record {
        Record::Observation(it) => it.phenomenon_time.start().as_second() - 1_460_000_000,
        other => panic!("{other:?}"),
    };
    page.entities.iter().map(second).collect()
}
