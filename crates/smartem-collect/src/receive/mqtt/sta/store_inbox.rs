use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use smartem_mqtt::Refused;
use smartem_sta::{
    Author, EntityType, NewObservation, OnDuplicate, Operation, Outcome, Property, ResourcePath,
    Target, Version, WriteTarget, body,
};
use smartem_store::{StaError, Store};
use tokio::sync::Notify;

use super::{StaInbox, StaMessage, StaRefused, StaUnavailable};
use crate::receive::mqtt::Clock;

/// So many observations are written together.
const TOGETHER: usize = 1000;

/// Creates the entities of messages in a store, each in the name of its sender's project.
pub struct StoreInbox {
    store: Store,
    clock: Clock,
    /// Notified when there is something new.
    wake: Option<Arc<Notify>>,
    begun: Mutex<Begun>,
}

/// What became of the first of some messages when the store failed: they come once more, and must not be created
/// twice.
#[derive(Default)]
struct Begun {
    messages: Vec<StaMessage>,
    answers: Vec<Answer>,
}

type Answer = Result<(), StaRefused>;

impl StoreInbox {
    /// An inbox of a store; `wake` is notified when something was created.
    pub fn new(store: Store, clock: Clock, wake: Option<Arc<Notify>>) -> Self {
        Self {
            store,
            clock,
            wake,
            begun: Mutex::default(),
        }
    }

    /// Creates the entities of the first of some messages, at least of one: observations of the commonest form of
    /// one project together.
    async fn create_first(&self, messages: &[StaMessage]) -> Result<Vec<Answer>, StaUnavailable> {
        let Some(first) = messages.first() else {
            return Ok(Vec::new());
        };
        let alike = messages.iter().take(TOGETHER);
        let alike = alike.take_while(|it| it.project == first.project);
        let observations: Vec<NewObservation> = alike.map_while(observation).collect();
        if !observations.is_empty()
            && let Some(answers) = self.observe(first, observations).await?
        {
            return Ok(answers);
        }
        Ok(vec![self.create_one(first).await?])
    }

    /// Creates observations; `None` where all of them are refused together.
    async fn observe(
        &self,
        first: &StaMessage,
        observations: Vec<NewObservation>,
    ) -> Result<Option<Vec<Answer>>, StaUnavailable> {
        let operation = Operation::CreateObservations {
            observations,
            on_duplicate: OnDuplicate::Keep,
        };
        let answers = match self.write(first, operation).await? {
            Ok(outcomes) => outcomes.into_iter().find_map(|outcome| match outcome {
                Outcome::Observations(made) => Some(made),
                _ => None,
            }),
            Err(_) => None,
        };
        let answer = |made: Result<i64, String>| made.map(|_| ()).map_err(refused);
        Ok(answers.map(|made| made.into_iter().map(answer).collect()))
    }

    async fn create_one(&self, message: &StaMessage) -> Result<Answer, StaUnavailable> {
        match draft(message) {
            Ok(operation) => Ok(self.write(message, operation).await?.map(|_| ())),
            Err(reason) => Ok(Err(refused(reason))),
        }
    }

    async fn write(
        &self,
        message: &StaMessage,
        operation: Operation,
    ) -> Result<Result<Vec<Outcome>, StaRefused>, StaUnavailable> {
        let author = Author {
            project: message.project.clone(),
        };
        let now = (self.clock)();
        match self.store.sta_write(&author, vec![operation], now).await {
            Ok(outcomes) => Ok(Ok(outcomes)),
            Err(StaError::Store(error)) => Err(StaUnavailable {
                problem: error.to_string(),
            }),
            Err(error) => Ok(Err(StaRefused {
                why: match error {
                    StaError::Forbidden { .. } => Refused::NotAuthorized,
                    _ => Refused::Payload,
                },
                reason: error.to_string(),
            })),
        }
    }

    fn begun(&self, messages: &[StaMessage]) -> Vec<Answer> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = std::mem::take(&mut *begun);
        if messages.starts_with(&begun.messages) {
            begun.answers
        } else {
            Vec::new()
        }
    }
}

#[async_trait]
impl StaInbox for StoreInbox {
    async fn create(&self, messages: &[StaMessage]) -> Result<Vec<Answer>, StaUnavailable> {
        let mut answers = self.begun(messages);
        while answers.len() < messages.len() {
            match self.create_first(&messages[answers.len()..]).await {
                Ok(more) => answers.extend(more),
                Err(problem) => {
                    let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
                    *begun = Begun {
                        messages: messages[..answers.len()].to_vec(),
                        answers,
                    };
                    return Err(problem);
                }
            }
        }
        if let Some(wake) = &self.wake
            && answers.iter().any(Result::is_ok)
        {
            wake.notify_one();
        }
        Ok(answers)
    }
}

fn refused(reason: String) -> StaRefused {
    StaRefused {
        why: Refused::Payload,
        reason,
    }
}

fn version(message: &StaMessage) -> Version {
    match message.version {
        "v1.0" => Version::V1_0,
        _ => Version::V1_1,
    }
}

/// An observation of the commonest form, read without a tree of JSON; `None`: it is another entity or form, or it
/// may be there already.
fn observation(message: &StaMessage) -> Option<NewObservation> {
    let path = ResourcePath::parse(&message.path, version(message)).ok()?;
    let datastream = match path.steps.as_slice() {
        [] if path.root == EntityType::Observation => None,
        [step]
            if step.relation.to == EntityType::Observation
                && path.root == EntityType::Datastream =>
        {
            Some(path.root_id?)
        }
        _ => return None,
    };
    if message.again {
        return None;
    }
    body::observation(&message.payload, datastream)
}

/// What a message wants to have created.
fn draft(message: &StaMessage) -> Result<Operation, String> {
    let version = version(message);
    let path = ResourcePath::parse(&message.path, version).map_err(|error| error.to_string())?;
    if path.is_single() || path.target != Target::Entities {
        return Err("the topic is no set of entities, such as v1.1/Observations".to_owned());
    }
    let of = path.entity_type();
    let value = body::json(&message.payload).map_err(|error| error.to_string())?;
    let draft = body::draft(of, version, &value, body::NO_BATCH);
    let draft = draft.map_err(|error| error.to_string())?;
    // A sender that did not hear that its message had arrived sends it once more, marked as such. Where it says
    // when its observation was, the one that is there is found by that and the datastream, and a second one is
    // not made. Without the mark, two of one time may both be meant, as with POST.
    let is_found = of == EntityType::Observation
        && draft.fields.contains_key(&Property::PhenomenonTime)
        && message.again;
    Ok(Operation::Create {
        target: WriteTarget::Path(path),
        draft,
        on_duplicate: if is_found {
            OnDuplicate::Update
        } else {
            OnDuplicate::Keep
        },
    })
}
