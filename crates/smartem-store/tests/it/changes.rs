//! Readers that go through changes miss nothing and see each change once.

use serde_json::json;
use smartem_store::{ChangeMark, ChangesOf, Selection};

use crate::servers::{On, World};
use crate::support::{hour, id, record, refine_all, sample, take_in};

async fn raw(world: &World, after: ChangeMark, of: &Selection) -> (Vec<String>, ChangeMark) {
    let (mut seen, mut mark) = (Vec::new(), after);
    loop {
        let changes = world.store.raw_changes(mark, of.clone(), 2).await.unwrap();
        mark = changes.mark;
        for item in changes.items {
            seen.push(format!(
                "{} {}",
                item.record.station,
                item.record.samples.to_json()
            ));
        }
        if !changes.more {
            return (seen, mark);
        }
    }
}

pub(crate) async fn records_come_in_the_order_in_which_they_changed_however_old_they_are(on: On) {
    let world = World::on(on).await;
    let all = Selection::default();
    let value = |v| sample(v, 0.0);
    take_in(
        &world.store,
        vec![record("2", 5, &value(1)), record("2", 6, &value(2))],
    )
    .await;
    take_in(&world.store, vec![record("1", 9, &value(3))]).await;
    let (seen, mark) = raw(&world, ChangeMark::START, &all).await;
    assert_eq!(seen.len(), 3);
    assert!(seen[2].starts_with("1 "), "{seen:?}");
    assert_eq!(raw(&world, mark, &all).await, (Vec::new(), mark));
    // An older hour that comes late, and a changed one, are not passed over.
    take_in(&world.store, vec![record("1", 0, &value(4))]).await;
    take_in(&world.store, vec![record("2", 5, &value(5))]).await;
    take_in(&world.store, vec![record("2", 6, &value(2))]).await;
    let (seen, after) = raw(&world, mark, &all).await;
    assert_eq!(seen.len(), 2, "the unchanged one is no change: {seen:?}");
    assert!(after > mark);
    // A mark survives being written down.
    let kept: ChangeMark = serde_json::from_value(json!(mark)).unwrap();
    assert_eq!(raw(&world, kept, &all).await.0.len(), 2);
}

pub(crate) async fn a_selection_leaves_out_and_the_mark_passes_what_was_left_out(on: On) {
    let world = World::on(on).await;
    for n in 0..5 {
        take_in(&world.store, vec![record("1", n, &sample(n, 0.0))]).await;
        take_in(&world.store, vec![record("2", n, &sample(n, 0.0))]).await;
    }
    let selection = Selection {
        stations: Some(vec![id("1")]),
        from: Some(hour(1)),
        to: Some(hour(4)),
    };
    let (seen, mark) = raw(&world, ChangeMark::START, &selection).await;
    assert_eq!(seen.len(), 3);
    let waiting = world
        .store
        .changes_waiting(ChangesOf::RawRecords, mark)
        .await;
    assert_eq!(waiting.unwrap(), 0);
    let all = world
        .store
        .changes_waiting(ChangesOf::RawRecords, ChangeMark::START)
        .await;
    assert_eq!(all.unwrap(), 10);
}

pub(crate) async fn observations_come_with_their_hour_again_when_it_is_refined_again(on: On) {
    let world = World::on(on).await;
    take_in(
        &world.store,
        vec![
            record("1", 0, &sample(7, 0.0)),
            record("1", 1, &sample(8, 0.0)),
        ],
    )
    .await;
    refine_all(&world.store).await;
    let all = Selection::default();
    let first = world
        .store
        .observation_changes(ChangeMark::START, all.clone(), 9)
        .await
        .unwrap();
    assert_eq!(first.items.len(), 2);
    assert!(first.items.iter().all(|hour| !hour.observations.is_empty()));
    assert_eq!(&*first.items[0].station.network, "josene");
    take_in(&world.store, vec![record("1", 1, &sample(9, 0.0))]).await;
    refine_all(&world.store).await;
    let second = world
        .store
        .observation_changes(first.mark, all, 9)
        .await
        .unwrap();
    assert_eq!(
        second.items.iter().map(|it| it.hour).collect::<Vec<_>>(),
        [hour(1)]
    );
}
