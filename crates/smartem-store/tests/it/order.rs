//! What is stored in the end does not depend on the order in which records arrived, nor on when
//! they were refined.

use proptest::prelude::*;
use serde_json::{Value, json};
use smartem_store::{Columns, StationWork, Store};

use crate::support::{commit, fingerprint, id, open, record, refine_all, take_in};

#[derive(Clone, Debug)]
struct Arrival {
    station: &'static str,
    hour: i64,
    sample: Value,
}

fn any_arrival() -> impl Strategy<Value = Arrival> {
    let value = prop::option::weighted(0.9, 0..9_i64);
    let place = prop::option::weighted(0.6, prop::sample::select(vec![0.0, 30.0, 400.0, 900.0]));
    let altitude = prop::option::weighted(0.4, prop::sample::select(vec![3.0, 8.5]));
    let station = prop::sample::select(vec!["23", "24"]);
    (station, 0..9_i64, value, place, altitude).prop_map(
        |(station, hour, value, place, altitude)| {
            let mut sample = json!({});
            if let Some(value) = value {
                sample["a"] = json!(value);
                if value % 2 == 0 {
                    sample["b"] = json!(1);
                }
            }
            if let Some(metres) = place {
                sample["lat"] = json!(51.84 + metres / 111_195.0);
            }
            if let Some(altitude) = altitude {
                sample["alt"] = json!(altitude);
            }
            Arrival {
                station,
                hour,
                sample,
            }
        },
    )
}

/// What happens after an arrival.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    RefineSome(usize),
    RefineAll,
    /// Another refiner takes out work, and gives it back only at the end.
    TakeOut(usize),
    GiveBack,
}

fn any_then() -> impl Strategy<Value = Then> {
    prop_oneof![
        3 => Just(Then::Nothing),
        2 => (1..4_usize).prop_map(Then::RefineSome),
        1 => Just(Then::RefineAll),
        1 => (1..9_usize).prop_map(Then::TakeOut),
        1 => Just(Then::GiveBack),
    ]
}

async fn live(store: &Store, arrivals: &[(Arrival, Then)]) {
    let mut held: Option<StationWork> = None;
    for (arrival, then) in arrivals {
        let station = id(arrival.station);
        take_in(
            store,
            vec![record(arrival.station, arrival.hour, &arrival.sample)],
        )
        .await;
        match then {
            Then::Nothing => {}
            Then::RefineSome(hours) => {
                if let Some(work) = store
                    .work(&station, *hours, Columns::All, smartem_store::Growing::No)
                    .await
                    .unwrap()
                {
                    commit(store, &work).await;
                }
            }
            Then::RefineAll => refine_all(store).await,
            Then::TakeOut(hours) => {
                held = store
                    .work(&station, *hours, Columns::All, smartem_store::Growing::No)
                    .await
                    .unwrap();
            }
            Then::GiveBack => {
                if let Some(work) = held.take() {
                    commit(store, &work).await;
                }
            }
        }
    }
    if let Some(work) = held {
        commit(store, &work).await;
    }
    refine_all(store).await;
}

/// The arrivals in order of time, of each hour only the last.
fn settled(arrivals: &[(Arrival, Then)]) -> Vec<(Arrival, Then)> {
    let mut settled: Vec<(Arrival, Then)> = Vec::new();
    for (arrival, _) in arrivals {
        settled.retain(|(it, _)| (it.station, it.hour) != (arrival.station, arrival.hour));
        settled.push((arrival.clone(), Then::Nothing));
    }
    settled.sort_by_key(|(it, _)| (it.station, it.hour));
    settled
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_order_of_arrival_gives_the_same_store(
        arrivals in proptest::collection::vec((any_arrival(), any_then()), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
            let lived = open(dirs[0].path()).await;
            live(&lived, &arrivals).await;
            let orderly = open(dirs[1].path()).await;
            live(&orderly, &settled(&arrivals)).await;
            prop_assert_eq!(fingerprint(&lived).await, fingerprint(&orderly).await);
            prop_assert_eq!(lived.check().await.unwrap().problems, Vec::<String>::new());
            Ok(())
        })?;
    }
}
