//! How fast SensorThings entities are written to the embedded store, each commit on disk:
//! `cargo run --release -p smartem-store --example sta_write`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement")]

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_sta::{
    Author, Draft, EntityType as E, NewObservation, OnDuplicate, Operation, Property as P, Related,
    ResourcePath, ResultValue, TimeValue, WriteTarget,
};
use smartem_store::{Access, Store};

const CALLERS: i64 = 16;
const DATASTREAMS: i64 = 16;
const LIST: i64 = 1000;
const FOR: Duration = Duration::from_secs(5);
const AUTHOR: Author = Author { project: None };

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let store = Store::open(dir.path(), Access::Create { now })
        .await
        .unwrap();
    let made = (0..DATASTREAMS).map(|n| create(ResourcePath::set(E::Thing), station(n)));
    store.sta_write(&AUTHOR, made.collect(), now).await.unwrap();
    for resulted in [false, true] {
        let rate = together(&store, CALLERS, move |caller, n| {
            vec![single(stream(caller), caller * 10_000_000 + n, resulted)]
        });
        let rate = rate.await;
        println!("single creates, {CALLERS} callers, resultTime {resulted}: {rate:.0}/s");
    }
    for callers in [1, 4] {
        let rate = together(&store, callers, |caller, n| {
            vec![list(
                stream(caller),
                500_000_000 + caller * 100_000_000 + n * LIST,
            )]
        });
        let rate = rate.await * LIST as f64;
        println!("lists of {LIST}, {callers} callers: {rate:.0} observations/s");
    }
    let problems = store.check().await.unwrap().problems;
    assert!(problems.is_empty(), "{problems:?}");
}

/// The id of one of the datastreams.
fn stream(n: i64) -> i64 {
    1 + n % DATASTREAMS
}

/// Writes of so many callers at once in a second.
async fn together(
    store: &Store,
    callers: i64,
    operations: impl Fn(i64, i64) -> Vec<Operation> + Clone + Send + 'static,
) -> f64 {
    let begin = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (store, operations) = (store.clone(), operations.clone());
        running.spawn(async move {
            let mut done = 0_i64;
            while begin.elapsed() < FOR {
                let operations = operations(caller, done);
                store
                    .sta_write(&AUTHOR, operations, Timestamp::UNIX_EPOCH)
                    .await
                    .unwrap();
                done += 1;
            }
            done
        });
    }
    let done: i64 = running.join_all().await.into_iter().sum();
    done as f64 / begin.elapsed().as_secs_f64()
}

fn create(path: ResourcePath, draft: Draft) -> Operation {
    Operation::Create {
        target: WriteTarget::Path(path),
        draft,
        on_duplicate: OnDuplicate::Keep,
    }
}

fn single(datastream: i64, second: i64, resulted: bool) -> Operation {
    let mut path = ResourcePath::entity(E::Datastream, datastream);
    let relation = E::Datastream.relation_to(E::Observation).unwrap();
    path.steps
        .push(smartem_sta::PathStep { relation, id: None });
    let time = json!(moment(second).to_string());
    let mut fields = vec![
        (P::Result, json!(second)),
        (P::PhenomenonTime, time.clone()),
    ];
    if resulted {
        fields.push((P::ResultTime, time));
    }
    create(path, draft(E::Observation, &fields))
}

fn list(datastream: i64, from: i64) -> Operation {
    let observations = (from..from + LIST).map(|second| NewObservation {
        datastream,
        phenomenon_time: Some(TimeValue::Instant(moment(second))),
        result_time: Some(moment(second)),
        result: ResultValue::Number(second as f64),
        result_quality: None,
        valid_time: None,
        parameters: None,
        feature: None,
    });
    Operation::CreateObservations {
        observations: observations.collect(),
        on_duplicate: OnDuplicate::Keep,
    }
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn draft(entity_type: E, fields: &[(P, Value)]) -> Draft {
    Draft {
        entity_type,
        fields: fields.iter().cloned().collect(),
        related: Vec::new(),
    }
}

fn station(n: i64) -> Draft {
    let name = (P::Name, json!(format!("station-{n}")));
    let of =
        |entity_type, more: &[(P, Value)]| draft(entity_type, &[&[name.clone()], more].concat());
    let with = |mut draft: Draft, related: Vec<Draft>| {
        for related in related {
            let relation = draft.entity_type.relation_to(related.entity_type).unwrap();
            draft.related.push((relation, vec![Related::New(related)]));
        }
        draft
    };
    let encoding = (P::EncodingType, json!("application/geo+json"));
    let place = json!({"type": "Point", "coordinates": [5.0 + n as f64 / 100.0, 52.0]});
    let location = of(E::Location, &[encoding.clone(), (P::Location, place)]);
    let sensor = of(E::Sensor, &[encoding, (P::Metadata, json!("data sheet"))]);
    let property = of(E::ObservedProperty, &[(P::Definition, json!("urn:test"))]);
    let kind = (P::ObservationType, json!("OM_Measurement"));
    let unit = (P::UnitOfMeasurement, json!({"symbol": "m"}));
    let stream = with(of(E::Datastream, &[kind, unit]), vec![sensor, property]);
    with(of(E::Thing, &[]), vec![location, stream])
}
