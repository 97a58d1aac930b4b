//! A `PgBouncer` gives each transaction any of its few connections. (All cases of the suite run through one,
//! too.)

use crate::servers::{On, World};
use crate::support::{hour, id, observations, record, refine_all, sample, take_in};

/// More than there are connections to the server.
const STORES: i64 = 12;
/// Of each.
const HOURS: i64 = 6;

fn count<T>(all: &[T]) -> i64 {
    i64::try_from(all.len()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_stores_share_few_connections() {
    let world = World::on(On::PgBouncer).await;
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(world.another().await);
    }
    let tasks: Vec<_> = (0..STORES)
        .zip(stores)
        .map(|(n, store)| {
            tokio::spawn(async move {
                let own = format!("own-{n}");
                for hour in 0..HOURS {
                    let records = vec![
                        record(&own, hour, &sample(hour, 0.0)),
                        record("of-all", n * HOURS + hour, &sample(hour, 0.0)),
                    ];
                    assert_eq!(take_in(&store, records).await.new, 2);
                }
                assert!(!store.stations().await.unwrap().is_empty());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let store = &world.store;
    refine_all(store).await;
    assert_eq!(count(&store.stations().await.unwrap()), STORES + 1);
    let all = store.stored_hours(&id("of-all"), hour(0), hour(1000)).await;
    assert_eq!(count(&all.unwrap()), STORES * HOURS);
    assert_eq!(count(&observations(store, "own-3").await), HOURS);
    assert_eq!(store.check().await.unwrap().problems, Vec::<String>::new());
}
