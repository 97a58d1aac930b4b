//! What services read.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use smartem_model::{Hour, Observation};
use smartem_store::{Columns, Cursor, ObservationQuery, Store};

use crate::support::{hour, id, observations, record, refine_all, take_in};

/// Twenty hours of no2, every third also of pm10.
async fn filled(store: &Store) {
    let records = (0..20).map(|n| {
        let mut sample = json!({"a": n, "lat": 51.84});
        if n % 3 == 0 {
            sample["b"] = json!(1);
        }
        record("23", n, &sample)
    });
    take_in(store, records.collect()).await;
    take_in(store, vec![record("24", 3, &json!({"a": 1, "lat": 52.0}))]).await;
    refine_all(store).await;
}

fn window(from: Option<Timestamp>, to: Option<Timestamp>) -> ObservationQuery {
    ObservationQuery {
        from,
        to,
        newest_first: false,
        ..ObservationQuery::newest(id("23"), 1000)
    }
}

fn hours(observations: &[Observation]) -> Vec<i64> {
    let starts = observations
        .iter()
        .map(|it| Hour::containing(it.phenomenon_time.start).unwrap());
    starts
        .map(|start| start.index() - hour(0).index())
        .collect()
}

pub(crate) async fn pages_hold_each_observation_once(store: Store) {
    filled(&store).await;
    let all = observations(&store, "23").await;
    assert_eq!(all.len(), 27);
    for limit in [1, 2, 5, 26, 27, 28] {
        for newest_first in [false, true] {
            let mut query = window(Some(hour(0).period().start), None);
            (query.limit, query.newest_first) = (limit, newest_first);
            let mut pages = Vec::new();
            loop {
                let page = store.observations(query.clone()).await.unwrap();
                assert!(page.observations.len() <= limit);
                pages.push(page.observations);
                let Some(next) = page.next else { break };
                query.after = Some(next.to_string().parse().unwrap());
            }
            if newest_first {
                pages.reverse();
            }
            assert_eq!(
                pages.concat(),
                all,
                "limit {limit}, newest first {newest_first}"
            );
            assert!(pages.iter().all(|page| !page.is_empty()));
        }
    }
    let mut query = window(None, None);
    query.limit = 0;
    assert!(
        store
            .observations(query)
            .await
            .unwrap()
            .observations
            .is_empty()
    );
}

pub(crate) async fn a_window_takes_what_overlaps_it(store: Store) {
    filled(&store).await;
    let minutes = |n, minutes| hour(n).period().start + SignedDuration::from_mins(minutes);
    let found = async |from, to| {
        let mut query = window(from, to);
        query.indicator = Some("no2".into());
        hours(&store.observations(query).await.unwrap().observations)
    };
    assert_eq!(
        found(Some(minutes(4, 0)), Some(minutes(6, 0))).await,
        [4, 5]
    );
    assert_eq!(
        found(Some(minutes(4, 59)), Some(minutes(6, 1))).await,
        [4, 5, 6]
    );
    assert_eq!(found(Some(minutes(18, 0)), None).await, [18, 19]);
    assert_eq!(found(None, Some(minutes(2, 0))).await, [0, 1]);
    assert!(found(Some(minutes(30, 0)), None).await.is_empty());
    let just_after = minutes(2, 0) + SignedDuration::from_nanos(1);
    assert_eq!(found(None, Some(just_after)).await, [0, 1, 2]);
}

pub(crate) async fn without_a_window_the_newest_are_given(store: Store) {
    filled(&store).await;
    let mut query = window(None, None);
    query.limit = 3;
    let page = store.observations(query).await.unwrap();
    assert_eq!(hours(&page.observations), [18, 18, 19]);
    assert!(page.more());
    let indicators: Vec<&str> = page.observations.iter().map(|it| &*it.indicator).collect();
    assert_eq!(indicators, ["no2", "pm10", "no2"]);
    // The oldest of a window that is open below.
    let mut query = window(None, Some(hour(5).period().start));
    query.limit = 2;
    let page = store.observations(query).await.unwrap();
    assert_eq!(hours(&page.observations), [0, 0]);
}

pub(crate) async fn a_cursor_is_a_text(store: Store) {
    filled(&store).await;
    let mut query = window(None, None);
    query.limit = 1;
    let next = store.observations(query).await.unwrap().next.unwrap();
    assert_eq!(next.to_string().parse::<Cursor>().unwrap(), next);
    for text in ["", "[]", "[true,1,\"a\",\"b\"]", "x"] {
        assert!(text.parse::<Cursor>().is_err());
    }
}

pub(crate) async fn an_unknown_station_has_nothing(store: Store) {
    assert_eq!(store.station(&id("99")).await.unwrap(), None);
    assert!(observations(&store, "99").await.is_empty());
    assert!(
        store
            .work(&id("99"), 1, Columns::All, smartem_store::Growing::No)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(store.raw_record(&id("99"), hour(0)).await.unwrap(), None);
    assert_eq!(store.station_hour(&id("99"), hour(0)).await.unwrap(), None);
    assert!(
        store
            .stored_hours(&id("99"), hour(0), hour(9))
            .await
            .unwrap()
            .is_empty()
    );
}
