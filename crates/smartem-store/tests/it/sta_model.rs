//! Random changes against a model in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use smartem_sta::{EntityType as E, OnDuplicate, Operation, Outcome, Property as P};

use crate::servers::{On, World};
use crate::sta_support::With as _;
use crate::sta_support::{
    anybody, at, attempt, below, create, create_at, delete, draft, make, moment, observed, patch,
    station,
};

/// A change; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Change {
    Station,
    Observe {
        stream: usize,
        seconds: Vec<i64>,
        update: bool,
    },
    Move {
        observation: usize,
        second: i64,
    },
    Forget {
        observation: usize,
    },
    Relocate {
        stream: usize,
        lon: i32,
    },
    RemoveStream {
        stream: usize,
    },
    RemoveFeature {
        feature: usize,
    },
}

fn any_change() -> impl Strategy<Value = Change> {
    let one = 0..100_usize;
    prop_oneof![
        1 => Just(Change::Station),
        6 => (one.clone(), prop::collection::vec(0..40_i64, 1..6), any::<bool>())
            .prop_map(|(stream, seconds, update)| Change::Observe { stream, seconds, update }),
        3 => (one.clone(), 0..40_i64)
            .prop_map(|(observation, second)| Change::Move { observation, second }),
        4 => one.clone().prop_map(|observation| Change::Forget { observation }),
        2 => (one.clone(), -90..90_i32)
            .prop_map(|(stream, lon)| Change::Relocate { stream, lon }),
        1 => one.clone().prop_map(|stream| Change::RemoveStream { stream }),
        1 => one.prop_map(|feature| Change::RemoveFeature { feature }),
    ]
}

/// What there should be.
#[derive(Default)]
struct Model {
    streams: BTreeMap<i64, Stream>,
    /// Features with their longitude.
    features: BTreeMap<i64, f64>,
}

struct Stream {
    thing: i64,
    next: i64,
    /// By number: second and feature.
    observations: BTreeMap<i64, (i64, i64)>,
}

impl Model {
    fn stream(&self, choice: usize) -> Option<i64> {
        let ids: Vec<&i64> = self.streams.keys().collect();
        (!ids.is_empty()).then(|| *ids[choice % ids.len()])
    }

    fn observation(&self, choice: usize) -> Option<(i64, i64)> {
        let all: Vec<(i64, i64)> = self
            .streams
            .iter()
            .flat_map(|(id, stream)| stream.observations.keys().map(|n| (*id, *n)))
            .collect();
        (!all.is_empty()).then(|| all[choice % all.len()])
    }

    /// A line for each datastream, as the tables have it.
    fn lines(&self) -> Vec<String> {
        let line = |(id, stream): (&i64, &Stream)| {
            let seconds = || stream.observations.values().map(|it| it.0);
            let lons = || stream.observations.values().map(|it| self.features[&it.1]);
            let text = |of: Option<i64>| of.map_or(String::new(), |it| it.to_string());
            let edge = |of: Option<f64>| of.map_or(String::new(), |it| it.to_string());
            format!(
                "{id}|{}|{}|{}|{}|{}|{}",
                stream.observations.len(),
                stream.next,
                text(seconds().min()),
                text(seconds().max()),
                edge(lons().reduce(f64::min)),
                edge(lons().reduce(f64::max)),
            )
        };
        self.streams.iter().map(line).collect()
    }
}

fn stored(world: &World) -> Vec<String> {
    world.rows(
        "SELECT id, observations, next_n, {epoch:phenomenon_start} - 1460000000,
             {epoch:phenomenon_end} - 1460000000, west, east FROM {datastream} ORDER BY id",
    )
}

async fn apply(world: &World, model: &mut Model, change: &Change) {
    let store = &world.store;
    match change {
        Change::Station => {
            let thing = make(store, create(station("t"))).await;
            let ids = world.rows("SELECT max(id) FROM {datastream}");
            let stream = Stream {
                thing,
                next: 1,
                observations: BTreeMap::new(),
            };
            model.streams.insert(ids[0].parse().unwrap(), stream);
        }
        Change::Observe {
            stream,
            seconds,
            update,
        } => {
            let Some(id) = model.stream(*stream) else {
                return;
            };
            let list = Operation::CreateObservations {
                observations: seconds.iter().map(|it| observed(id, *it, 1.0)).collect(),
                on_duplicate: if *update {
                    OnDuplicate::Update
                } else {
                    OnDuplicate::Keep
                },
            };
            let done = attempt(store, &anybody(), list).await.unwrap();
            let Outcome::Observations(ids) = &done[0] else {
                panic!("{done:?}")
            };
            let feature = feature_of_the_place(world, model, id);
            let of = model.streams.get_mut(&id).unwrap();
            for (second, given) in seconds.iter().zip(ids) {
                let there = of.observations.iter().find(|(_, it)| it.0 == *second);
                let n = match there {
                    Some((n, _)) if *update => *n,
                    _ => {
                        let n = of.next;
                        of.next += 1;
                        of.observations.insert(n, (*second, feature));
                        n
                    }
                };
                assert_eq!(given, &Ok((id << 32) | n));
            }
        }
        Change::Move {
            observation,
            second,
        } => {
            let Some((id, n)) = model.observation(*observation) else {
                return;
            };
            let time = json!(moment(*second).to_string());
            let operation = patch(E::Observation, (id << 32) | n, &[(P::PhenomenonTime, time)]);
            attempt(store, &anybody(), operation).await.unwrap();
            let of = model.streams.get_mut(&id).unwrap();
            of.observations.get_mut(&n).unwrap().0 = *second;
        }
        Change::Forget { observation } => {
            let Some((id, n)) = model.observation(*observation) else {
                return;
            };
            let operation = delete(E::Observation, (id << 32) | n);
            attempt(store, &anybody(), operation).await.unwrap();
            let of = model.streams.get_mut(&id).unwrap();
            of.observations.remove(&n);
        }
        Change::Relocate { stream, lon } => {
            let Some(id) = model.stream(*stream) else {
                return;
            };
            let point = json!({"type": "Point", "coordinates": [lon, 52.25]});
            let location = draft(E::Location, "l").field(P::Location, point);
            let thing = model.streams[&id].thing;
            make(
                store,
                create_at(below(E::Thing, thing, E::Location), location),
            )
            .await;
        }
        Change::RemoveStream { stream } => {
            let Some(id) = model.stream(*stream) else {
                return;
            };
            let operation = Operation::Delete {
                target: at(E::Datastream, id),
            };
            attempt(store, &anybody(), operation).await.unwrap();
            model.streams.remove(&id);
        }
        Change::RemoveFeature { feature } => {
            let ids: Vec<i64> = model.features.keys().copied().collect();
            if ids.is_empty() {
                return;
            }
            let id = ids[feature % ids.len()];
            attempt(store, &anybody(), delete(E::Feature, id))
                .await
                .unwrap();
            model.features.remove(&id);
            for stream in model.streams.values_mut() {
                stream.observations.retain(|_, it| it.1 != id);
            }
        }
    }
}

/// The feature made of where the thing of a datastream is now.
fn feature_of_the_place(world: &World, model: &mut Model, stream: i64) -> i64 {
    let rows = world.rows(&format!(
        "SELECT f.id, f.west FROM {{datastream}} d JOIN {{thing_location}} x ON x.thing_id = d.thing_id
         JOIN {{feature}} f ON f.location_id = x.location_id WHERE d.id = {stream}"
    ));
    let (id, lon) = rows[0].split_once('|').unwrap();
    let id = id.parse().unwrap();
    model.features.insert(id, lon.parse().unwrap());
    id
}

fn hold(on: On, changes: &[Change]) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::on(on).await;
        let mut model = Model::default();
        apply(&world, &mut model, &Change::Station).await;
        for change in changes {
            apply(&world, &mut model, change).await;
            assert_eq!(stored(&world), model.lines(), "after {change:?}");
        }
        let problems = world.store.check().await.unwrap().problems;
        assert_eq!(problems, Vec::<String>::new());
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn datastreams_tell_what_their_observations_are(
        changes in prop::collection::vec(any_change(), 1..40)
    ) {
        hold(On::Sqlite, &changes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn datastreams_tell_what_their_observations_are_on_postgres(
        changes in prop::collection::vec(any_change(), 1..25)
    ) {
        hold(On::Postgres, &changes);
    }
}
