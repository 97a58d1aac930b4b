//! Defects of the original that the store settles, each test named after its number.

use smartem_store::{Selection, Store};

use crate::support::{
    commit, fingerprint, id, record, refine_all, sample, take_in, values, waiting, work,
};

pub(crate) async fn d_041_refining_again_makes_no_duplicates(store: Store) {
    let hours = vec![
        record("23", 0, &sample(1, 0.0)),
        record("23", 1, &sample(2, 0.0)),
    ];
    take_in(&store, hours.clone()).await;
    refine_all(&store).await;
    let once = fingerprint(&store).await;
    // The original inserted the rows of an hour anew at every run.
    take_in(&store, hours).await;
    let all_of_23 = Selection {
        stations: Some(vec![id("23")]),
        ..Selection::default()
    };
    assert_eq!(store.refine_again(all_of_23).await.unwrap(), 2);
    let given = work(&store, "23").await;
    commit(&store, &given).await;
    commit(&store, &given).await;
    refine_all(&store).await;
    assert_eq!(fingerprint(&store).await, once);
    // The values are sums so far: 1, then 1 + 2.
    assert_eq!(values(&store, "23", "no2").await, [(0, 1.0), (1, 3.0)]);
}

pub(crate) async fn d_043_an_hour_that_grew_is_refined_again_with_those_after_it(store: Store) {
    let hours = [(0, 1), (1, 2)].map(|(n, value)| record("23", n, &sample(value, 0.0)));
    take_in(&store, hours.to_vec()).await;
    refine_all(&store).await;
    // The original kept what it had made of the hour when it was half there.
    take_in(&store, vec![record("23", 0, &sample(3, 0.0))]).await;
    assert_eq!(waiting(&store, "23").await, [0]);
    refine_all(&store).await;
    // 3, then 3 + 2.
    assert_eq!(values(&store, "23", "no2").await, [(0, 3.0), (1, 5.0)]);
}
