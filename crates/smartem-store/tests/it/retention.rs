//! Old observations go, by whole months.

use jiff::Timestamp;
use smartem_store::{Access, LastValue, Store};

use crate::servers::Database;
use crate::support::{id, now, observations, record, refine_all, sample, take_in};

/// Hours of 2016-01-12 to 2016-04-11, one every three days.
async fn fill(store: &Store) {
    let records = (0..30).map(|n| record("23", n * 72, &sample(n % 7, 0.0)));
    let others = (0..2).map(|n| record("24", n * 72, &sample(3, 0.0)));
    take_in(store, records.chain(others).collect()).await;
    refine_all(store).await;
}

async fn drop_all(store: &Store, before: &str) -> u64 {
    let before: Timestamp = before.parse().unwrap();
    let mut dropped = 0;
    while let Some(more) = store.drop_observations(before).await.unwrap() {
        dropped += more;
    }
    dropped
}

async fn last(store: &Store, station: &str) -> Vec<LastValue> {
    let view = store.station(&id(station)).await.unwrap();
    view.unwrap().last
}

pub(crate) async fn observations_go_by_whole_months(store: Store) {
    fill(&store).await;
    let first = async || {
        let all = observations(&store, "23").await;
        let starts = all.iter().map(|it| it.phenomenon_time.start.to_string());
        starts.min().unwrap()[..10].to_owned()
    };
    assert_eq!(first().await, "2016-01-12");
    let before = observations(&store, "23").await.len() as u64;
    let newest = last(&store, "23").await;
    assert!(!newest.is_empty() && !last(&store, "24").await.is_empty());
    let change = store.change().await.unwrap();
    assert_eq!(drop_all(&store, "2016-01-31T23:59:59Z").await, 0);
    assert_eq!(store.change().await.unwrap(), change);

    // Those of January and February, of both stations.
    let dropped = drop_all(&store, "2016-03-20T00:00:00Z").await;
    assert_eq!(dropped, 17 + 2);
    assert_eq!(first().await, "2016-03-03");
    assert!(store.change().await.unwrap() > change);
    assert_eq!(drop_all(&store, "2016-03-20T00:00:00Z").await, 0);
    assert_eq!(observations(&store, "23").await.len() as u64, before - 17);
    assert_eq!(store.backlog().await.unwrap().observations, before - 17);
    // What is kept is what was; a station without observations has no newest value.
    assert_eq!(last(&store, "23").await, newest);
    assert!(last(&store, "24").await.is_empty());
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
    assert_eq!(store.backlog().await.unwrap().raw_records, 32);
}

pub(crate) async fn hours_of_a_dropped_month_can_be_refined_again(store: Store) {
    fill(&store).await;
    let before = observations(&store, "23").await;
    assert!(drop_all(&store, "2016-03-01T00:00:00Z").await > 0);
    let all = smartem_store::Selection::default();
    store.refine_again(all).await.unwrap();
    refine_all(&store).await;
    assert_eq!(observations(&store, "23").await, before);
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}

pub(crate) async fn months_to_come_can_be_prepared(store: Store) {
    store.prepare_months(now(), 3).await.unwrap();
    store.prepare_months(now(), 3).await.unwrap();
    fill(&store).await;
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn who_writes_may_drop_what_is_old() {
    let database = Database::empty();
    let dir = tempfile::tempdir().unwrap();
    let owned = Store::connect(
        dir.path(),
        database.settings(),
        Access::Create { now: now() },
    );
    fill(&owned.await.unwrap()).await;
    let writer = database.settings_of("smartem_writer");
    let store = Store::connect(dir.path(), &writer, Access::Existing);
    let store = store.await.unwrap();
    store.prepare_months(now(), 3).await.unwrap();
    assert_eq!(drop_all(&store, "2016-03-01T00:00:00Z").await, 17 + 2);
    let partitions = database.lines(
        "SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent = 'smartem_refined.observation'::regclass ORDER BY 1",
    );
    let expected =
        ["03", "04", "05"].map(|month| format!("smartem_refined.observation_2016_{month}"));
    assert_eq!(partitions, expected);
}
