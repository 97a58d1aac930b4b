//! Drafts and operations of SensorThings, in few words.

use serde_json::{Value, json};
use smartem_sta::{
    Author, Draft, EntityType, Fields, NewObservation, OnDuplicate, Operation, Outcome, Property,
    Reference, Related, Relation, ResourcePath, ResultValue, TimeValue, WriteTarget,
};
use smartem_store::{StaError, Store};

use crate::support::now;

pub(crate) use smartem_sta::EntityType as E;

/// In nobody's name: may write everywhere.
pub(crate) fn anybody() -> Author {
    Author { project: None }
}

pub(crate) fn of_project(project: &str) -> Author {
    Author {
        project: Some(project.into()),
    }
}

/// An entity with all it must have, named so.
pub(crate) fn draft(of: EntityType, name: &str) -> Draft {
    use Property as P;
    let mut fields = Fields::new();
    let mut put = |property: Property, value: Value| {
        fields.insert(property, value);
    };
    match of {
        E::Observation => put(P::Result, json!(1.5)),
        E::HistoricalLocation => put(P::Time, json!("2016-01-01T00:00:00Z")),
        _ => {
            put(P::Name, json!(name));
            put(P::Description, json!(format!("about {name}")));
        }
    }
    let point = json!({"type": "Point", "coordinates": [5.5, 52.25]});
    match of {
        E::Location => {
            put(P::EncodingType, json!("application/geo+json"));
            put(P::Location, point);
        }
        E::Feature => {
            put(P::EncodingType, json!("application/geo+json"));
            put(P::Feature, point);
        }
        E::Sensor => {
            put(P::EncodingType, json!("text/plain"));
            put(P::Metadata, json!("data sheet"));
        }
        E::ObservedProperty => put(P::Definition, json!(format!("urn:test:{name}"))),
        E::Datastream => {
            put(P::ObservationType, json!("OM_Measurement"));
            put(P::UnitOfMeasurement, json!({"symbol": "m"}));
        }
        E::MultiDatastream => {
            put(P::ObservationType, json!("OM_ComplexObservation"));
            put(
                P::UnitOfMeasurements,
                json!([{"symbol": "m"}, {"symbol": "s"}]),
            );
            put(P::MultiObservationDataTypes, json!(["a", "b"]));
        }
        _ => {}
    }
    Draft {
        entity_type: of,
        fields,
        related: Vec::new(),
    }
}

/// What is done to drafts.
pub(crate) trait With: Sized {
    fn field(self, property: Property, value: Value) -> Self;
    fn without(self, property: Property) -> Self;
    fn with(self, related: Draft) -> Self;
    fn link(self, to: EntityType, id: i64) -> Self;
}

impl With for Draft {
    fn field(mut self, property: Property, value: Value) -> Self {
        self.fields.insert(property, value);
        self
    }

    fn without(mut self, property: Property) -> Self {
        self.fields.remove(&property);
        self
    }

    fn with(mut self, related: Draft) -> Self {
        let relation = self.entity_type.relation_to(related.entity_type).unwrap();
        self.related.push((relation, vec![Related::New(related)]));
        self
    }

    fn link(mut self, to: EntityType, id: i64) -> Self {
        let relation = self.entity_type.relation_to(to).unwrap();
        let link = Related::Link(Reference::Id(id));
        self.related.push((relation, vec![link]));
        self
    }
}

/// A thing somewhere with a datastream, of a new sensor and observed property.
pub(crate) fn station(name: &str) -> Draft {
    draft(E::Thing, name)
        .with(draft(E::Location, name))
        .with(stream("s"))
}

/// A datastream of a new sensor and observed property.
pub(crate) fn stream(name: &str) -> Draft {
    draft(E::Datastream, name)
        .with(draft(E::Sensor, name))
        .with(draft(E::ObservedProperty, name))
}

pub(crate) fn create(draft: Draft) -> Operation {
    create_at(ResourcePath::set(draft.entity_type), draft)
}

pub(crate) fn create_at(path: ResourcePath, draft: Draft) -> Operation {
    Operation::Create {
        target: WriteTarget::Path(path),
        draft,
        on_duplicate: OnDuplicate::Keep,
    }
}

pub(crate) fn create_once(draft: Draft, on_duplicate: OnDuplicate) -> Operation {
    Operation::Create {
        target: WriteTarget::Path(ResourcePath::set(draft.entity_type)),
        draft,
        on_duplicate,
    }
}

/// `Things(1)/Locations`.
pub(crate) fn below(of: EntityType, id: i64, to: EntityType) -> ResourcePath {
    step(of, id, to, None)
}

pub(crate) fn step(of: EntityType, id: i64, to: EntityType, one: Option<i64>) -> ResourcePath {
    let relation: Relation = of.relation_to(to).unwrap();
    let mut path = ResourcePath::entity(of, id);
    path.steps.push(smartem_sta::PathStep { relation, id: one });
    path
}

pub(crate) fn delete(of: EntityType, id: i64) -> Operation {
    Operation::Delete { target: at(of, id) }
}

pub(crate) fn at(of: EntityType, id: i64) -> WriteTarget {
    WriteTarget::Path(ResourcePath::entity(of, id))
}

pub(crate) fn patch(of: EntityType, id: i64, fields: &[(Property, Value)]) -> Operation {
    Operation::Update {
        target: at(of, id),
        fields: fields.iter().cloned().collect(),
        related: Vec::new(),
        replace: false,
    }
}

/// An observation of a datastream so many seconds after the epoch of the tests.
pub(crate) fn observed(datastream: i64, second: i64, value: f64) -> NewObservation {
    NewObservation {
        datastream,
        phenomenon_time: Some(TimeValue::Instant(moment(second))),
        result_time: None,
        result: ResultValue::Number(value),
        result_quality: None,
        valid_time: None,
        parameters: None,
        feature: None,
    }
}

pub(crate) fn moment(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_460_000_000 + second).unwrap()
}

pub(crate) fn observe(observations: Vec<NewObservation>) -> Operation {
    Operation::CreateObservations {
        observations,
        on_duplicate: OnDuplicate::Keep,
    }
}

/// Carries out one operation.
pub(crate) async fn write(store: &Store, operation: Operation) -> Outcome {
    let mut done = attempt(store, &anybody(), operation).await.unwrap();
    done.pop().unwrap()
}

pub(crate) async fn attempt(
    store: &Store,
    author: &Author,
    operation: Operation,
) -> Result<Vec<Outcome>, StaError> {
    store.sta_write(author, vec![operation], now()).await
}

/// The id of what an operation makes.
pub(crate) async fn make(store: &Store, operation: Operation) -> i64 {
    match write(store, operation).await {
        Outcome::Created { id, .. } => id,
        other => panic!("nothing was made: {other:?}"),
    }
}

/// Why an operation is refused: the kind, and the words.
pub(crate) async fn refused(store: &Store, author: &Author, operation: Operation) -> String {
    match attempt(store, author, operation).await.unwrap_err() {
        StaError::NotFound { what } => format!("not found: {what}"),
        StaError::Invalid { detail, .. } => format!("invalid: {detail}"),
        StaError::Conflict { detail } => format!("conflict: {detail}"),
        StaError::Forbidden { detail } => format!("forbidden: {detail}"),
        other => panic!("{other:?}"),
    }
}
