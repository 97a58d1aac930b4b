//! What is stored in the end does not depend on the order in which records arrived, nor on when
//! they were refined.

use proptest::prelude::*;
use serde_json::{Value, json};
use smartem_store::{Columns, StationWork, Store};

use crate::servers::{On, World};
use crate::support::{commit, fingerprint, id, record, refine_all, take_in};

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

/// Lives through arrivals on one kind of store, and through them in order on the embedded one.
fn same_as_in_order(on: On, arrivals: &[(Arrival, Then)]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (lived, orderly) = (World::on(on).await, World::on(On::Sqlite).await);
        live(&lived.store, arrivals).await;
        live(&orderly.store, &settled(arrivals)).await;
        prop_assert_eq!(
            fingerprint(&lived.store).await,
            fingerprint(&orderly.store).await
        );
        prop_assert_eq!(
            lived.store.check().await.unwrap().problems,
            Vec::<String>::new()
        );
        Ok(())
    })
}

fn any_life() -> impl Strategy<Value = Vec<(Arrival, Then)>> {
    proptest::collection::vec((any_arrival(), any_then()), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_order_of_arrival_gives_the_same_store(arrivals in any_life()) {
        same_as_in_order(On::Sqlite, &arrivals)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn any_order_of_arrival_gives_the_same_on_postgres(arrivals in any_life()) {
        same_as_in_order(On::Postgres, &arrivals)?;
    }
}
