//! Answers to POST, PUT, PATCH and DELETE.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use smartem_sta::body::{self, BodyError};
use smartem_sta::write::{self, Body};
use smartem_sta::{
    Answer, Author, Entity, EntityType, OnDuplicate, Operation, Outcome, Query, Reference,
    Relation, ResourcePath, Target, Version, WriteTarget,
};

use super::Sta;
use super::call::{Call, Reply};
use super::fault::Fault;
use super::read;

pub(super) const CREATE_OBSERVATIONS: &str = "CreateObservations";

/// What answers at each kind of path, for the header `Allow`.
const OF_ENTITY: &str = "GET, HEAD, PATCH, PUT, DELETE";
const OF_SET: &str = "GET, HEAD, POST, DELETE";
const OF_LINKS: &str = "GET, HEAD, POST, DELETE";
const OF_LINK: &str = "GET, HEAD, PUT, DELETE";
const OF_VALUE: &str = "GET, HEAD";
const OF_ACTION: &str = "POST";

/// What earlier calls of a batch made, by the ids of the calls.
#[derive(Clone, Default)]
pub(super) struct Names(BTreeMap<String, Name>);

/// An entity that a batch made.
#[derive(Clone, Copy)]
pub(super) enum Name {
    /// In the change set at hand: by its operation.
    Earlier(usize, EntityType),
    /// Before.
    Known(EntityType, i64),
}

impl Names {
    pub(super) fn add(&mut self, id: String, name: Name) {
        self.0.insert(id, name);
    }

    /// The operation of the change set at hand that has this id.
    fn earlier(&self, id: &str) -> Option<usize> {
        match self.0.get(id)? {
            Name::Earlier(place, _) => Some(*place),
            Name::Known(..) => None,
        }
    }

    /// The name that a path begins with: `$1` of `$1/Datastreams`.
    fn of_path<'p>(&self, path: &'p str) -> Option<(Name, &'p str)> {
        let path = path.strip_prefix('$')?;
        let (id, rest) = path.split_once('/').unwrap_or((path, ""));
        Some((*self.0.get(id)?, rest))
    }

    /// The path, where it began with the name of an entity that is there, with its address instead.
    pub(super) fn known(&self, path: &str) -> String {
        match self.of_path(path) {
            Some((Name::Known(of, id), "")) => format!("{}({id})", of.set_name(Version::V1_1)),
            Some((Name::Known(of, id), rest)) => {
                format!("{}({id})/{rest}", of.set_name(Version::V1_1))
            }
            _ => path.to_owned(),
        }
    }

    /// Puts the ids of entities that are there in the place of their names in a body.
    fn fill(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    match member {
                        Value::String(text) if matches!(key.as_str(), "@iot.id" | "@id" | "id") => {
                            let name = text.strip_prefix('$').and_then(|id| self.0.get(id));
                            if let Some(Name::Known(_, id)) = name {
                                *member = (*id).into();
                            }
                        }
                        _ => self.fill(member),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(item)),
            _ => {}
        }
    }
}

/// What a call wants to have done, and how it is told.
pub(super) struct Plan {
    pub(super) operation: Operation,
    pub(super) told_as: ToldAs,
}

/// How an outcome is told.
pub(super) enum ToldAs {
    /// By the entity, where there is one.
    Usual,
    /// The observation that was made, though it went the way of many.
    OneObservation,
    /// The number of entities.
    Number,
    /// A link for each row; these rows were refused beforehand, each with the reason.
    Rows(Vec<(usize, String)>),
}

impl From<Operation> for Plan {
    fn from(operation: Operation) -> Self {
        Self {
            operation,
            told_as: ToldAs::Usual,
        }
    }
}

/// What a call applies to.
enum Place {
    Action,
    Path(ResourcePath),
    /// What an earlier operation of the change set makes, or a set of that.
    Earlier(usize, EntityType, Option<Relation>),
}

/// Answers one call.
pub(super) async fn answer(sta: &Sta, call: &Call) -> Result<Reply, Fault> {
    // What is not there or not answered is so for everybody.
    check_method(call, &place(call, &Names::default())?)?;
    let author = sta.author(call).await?;
    let (reply, _) = one(sta, call, &author, &Names::default()).await?;
    Ok(reply)
}

/// Answers one call in the name of somebody; also the entity that it made.
pub(super) async fn one(
    sta: &Sta,
    call: &Call,
    author: &Author,
    names: &Names,
) -> Result<(Reply, Option<(EntityType, i64)>), Fault> {
    let mut plan = plan(sta, call, names).await?;
    if matches!(plan.told_as, ToldAs::OneObservation) {
        let outcomes = carry_out(sta, author, plan.operation).await?;
        if let [Outcome::Observations(made)] = outcomes.as_slice()
            && let [Ok(id)] = made.as_slice()
        {
            let (of, id) = (EntityType::Observation, *id);
            let reply = with_entity(sta, call, of, id, StatusCode::CREATED).await?;
            return Ok((reply, Some((of, id))));
        }
        // The long way tells what is wrong.
        plan = long_way(call, names)?.into();
    }
    let outcomes = carry_out(sta, author, plan.operation).await?;
    let Some(outcome) = outcomes.first() else {
        return Err(Fault::invalid("nothing was to be done"));
    };
    let made = match outcome {
        Outcome::Created {
            entity_type, id, ..
        } => Some((*entity_type, *id)),
        _ => None,
    };
    Ok((told(sta, call, &plan.told_as, outcome).await?, made))
}

async fn carry_out(
    sta: &Sta,
    author: &Author,
    operation: Operation,
) -> Result<Vec<Outcome>, Fault> {
    let now = (sta.clock)();
    Ok(sta.store.sta_write(author, vec![operation], now).await?)
}

/// What a call wants to have done.
pub(super) async fn plan(sta: &Sta, call: &Call, names: &Names) -> Result<Plan, Fault> {
    let place = place(call, names)?;
    check_method(call, &place)?;
    match place {
        Place::Action => create_observations(call),
        Place::Path(path) => of_path(sta, call, names, path).await,
        Place::Earlier(operation, of, relation) => {
            let target = WriteTarget::Earlier(operation, relation);
            match relation {
                Some(relation) => create(call, names, target, relation.to).map(Plan::from),
                None => update(sta, call, names, target, of).await.map(Plan::from),
            }
        }
    }
}

fn place(call: &Call, names: &Names) -> Result<Place, Fault> {
    if call.path == CREATE_OBSERVATIONS {
        return Ok(Place::Action);
    }
    if let Some((Name::Earlier(operation, of), rest)) = names.of_path(&call.path) {
        if rest.is_empty() {
            return Ok(Place::Earlier(operation, of, None));
        }
        let relation = Relation::of_name(of, rest, call.version).ok_or_else(|| {
            let name = of.name(call.version);
            Fault::not_found(format!("a {name} leads to no `{rest}`"))
        })?;
        return Ok(Place::Earlier(operation, of, Some(relation)));
    }
    let path = ResourcePath::parse(&call.path, call.version).map_err(Fault::of_path)?;
    Ok(Place::Path(path))
}

fn check_method(call: &Call, place: &Place) -> Result<(), Fault> {
    let allowed = match place {
        Place::Action => OF_ACTION,
        Place::Earlier(_, _, None) => OF_ENTITY,
        Place::Earlier(_, _, Some(_)) => OF_SET,
        Place::Path(path) => match path.target {
            Target::Entities if path.is_single() => OF_ENTITY,
            Target::Entities => OF_SET,
            Target::References if path.steps.is_empty() => OF_VALUE,
            Target::References => match path.steps.last() {
                Some(step) if !step.relation.is_many => OF_LINK,
                _ => OF_LINKS,
            },
            Target::Count | Target::Property(..) | Target::RawValue(..) => OF_VALUE,
        },
    };
    let method = call.method.as_str();
    if allowed.split(", ").any(|it| it == method) {
        return Ok(());
    }
    Err(Fault::method(method, allowed))
}

async fn of_path(sta: &Sta, call: &Call, names: &Names, path: ResourcePath) -> Result<Plan, Fault> {
    if path.target == Target::References {
        return link(call, names, path).map(Plan::from);
    }
    let of = path.entity_type();
    if path.is_single() {
        check_match(sta, call, &path).await?;
        let target = WriteTarget::Path(path);
        return match call.method {
            Method::DELETE => Ok(Operation::Delete { target }.into()),
            _ => update(sta, call, names, target, of).await.map(Plan::from),
        };
    }
    if call.method == Method::DELETE {
        return Ok(Plan {
            operation: delete_many(call, path)?,
            told_as: ToldAs::Number,
        });
    }
    if let Some(observation) = short_way(call, names, &path)? {
        return Ok(Plan {
            operation: observation,
            told_as: ToldAs::OneObservation,
        });
    }
    create(call, names, WriteTarget::Path(path), of).map(Plan::from)
}

/// An observation of the commonest form, which many callers send at a time, read without a tree of JSON.
fn short_way(call: &Call, names: &Names, path: &ResourcePath) -> Result<Option<Operation>, Fault> {
    let datastream = match path.steps.as_slice() {
        [] if path.root == EntityType::Observation => None,
        [step]
            if step.relation.to == EntityType::Observation
                && path.root == EntityType::Datastream =>
        {
            path.root_id
        }
        _ => return Ok(None),
    };
    // Only an answer of the long way tells whether there was one.
    if !names.0.is_empty() || on_duplicate(call)? != OnDuplicate::Keep {
        return Ok(None);
    }
    let observation = body::observation(&call.body, datastream);
    Ok(
        observation.map(|observation| Operation::CreateObservations {
            observations: vec![observation],
            on_duplicate: OnDuplicate::Keep,
        }),
    )
}

fn long_way(call: &Call, names: &Names) -> Result<Operation, Fault> {
    let path = ResourcePath::parse(&call.path, call.version).map_err(Fault::of_path)?;
    let of = path.entity_type();
    create(call, names, WriteTarget::Path(path), of)
}

fn create(
    call: &Call,
    names: &Names,
    target: WriteTarget,
    of: EntityType,
) -> Result<Operation, Fault> {
    let value = json_of(call, names)?;
    let earlier = |id: &str| names.earlier(id);
    Ok(Operation::Create {
        target,
        draft: body::draft(of, call.version, &value, &earlier)?,
        on_duplicate: on_duplicate(call)?,
    })
}

async fn update(
    sta: &Sta,
    call: &Call,
    names: &Names,
    target: WriteTarget,
    of: EntityType,
) -> Result<Operation, Fault> {
    let is_put = call.method == Method::PUT;
    let value = match (&target, call.media_type().as_str()) {
        (WriteTarget::Path(path), "application/json-patch+json") if !is_put => {
            let entity = entity(sta, call, path).await?;
            let entity = write::entity(&entity, Version::V1_1, &call.root, &Query::default());
            let entity: Value = serde_json::from_slice(&entity).unwrap_or_default();
            super::patch::changes(&entity, &call.body)?
        }
        (WriteTarget::Earlier(..), "application/json-patch+json") => {
            return Err(Fault::invalid(
                "what is made in the same change set cannot be patched; make it as it shall be",
            ));
        }
        _ => json_of(call, names)?,
    };
    let earlier = |id: &str| names.earlier(id);
    let (fields, related) = body::changes(of, call.version, &value, is_put, &earlier)?;
    Ok(Operation::Update {
        target,
        fields,
        related,
        replace: is_put,
    })
}

fn delete_many(call: &Call, path: ResourcePath) -> Result<Operation, Fault> {
    let query = Query::parse(&call.query, path.entity_type(), call.version, false)?;
    let Some(filter) = query.filter else {
        let message = "a set is only deleted by a `$filter` that says which of its entities go; \
                       `$filter=true` deletes all of them";
        return Err(Fault::invalid(message).about("$filter"));
    };
    Ok(Operation::DeleteMany { path, filter })
}

/// `POST` and `PUT` link what the body names; `DELETE` unlinks what the path, `$id` or the body names.
fn link(call: &Call, names: &Names, mut path: ResourcePath) -> Result<Operation, Fault> {
    let of = path.entity_type();
    let named = |value: &Value| match body::reference(of, call.version, value, body::NO_BATCH)? {
        Reference::Id(id) => Ok(id),
        Reference::Earlier(_) => Err(Fault::invalid(
            "what is made in the same change set is linked by its body, not by `$ref`",
        )),
    };
    if call.method != Method::DELETE {
        let id = named(&json_of(call, names)?)?;
        return Ok(Operation::Link { path, id });
    }
    let mut id = path.steps.last_mut().and_then(|step| step.id.take());
    let mut options = form_urlencoded::parse(call.query.as_bytes());
    if let Some((_, url)) = options.find(|(name, _)| name == "$id") {
        id = Some(named(&json!({"@id": url}))?);
    } else if !call.body.is_empty() {
        id = Some(named(&json_of(call, names)?)?);
    }
    let is_many = path.steps.last().is_some_and(|it| it.relation.is_many);
    if id.is_none() && is_many {
        let message = "it is not said which link goes; name it in the path, as in \
                       `Things(1)/Locations(2)/$ref`, or by `$id`";
        return Err(Fault::invalid(message).about("$id"));
    }
    Ok(Operation::Unlink { path, id })
}

fn create_observations(call: &Call) -> Result<Plan, Fault> {
    let mut refused = Vec::new();
    let mut observations = Vec::new();
    for (place, row) in body::data_array(&call.body)?.into_iter().enumerate() {
        match row {
            Ok(observation) => observations.push(observation),
            Err(problem) => refused.push((place, problem.to_string())),
        }
    }
    let operation = Operation::CreateObservations {
        observations,
        on_duplicate: on_duplicate(call)?,
    };
    Ok(Plan {
        operation,
        told_as: ToldAs::Rows(refused),
    })
}

/// The parameter `onDuplicate`.
fn on_duplicate(call: &Call) -> Result<OnDuplicate, Fault> {
    const NAME: &str = "onDuplicate";
    let mut options = form_urlencoded::parse(call.query.as_bytes());
    match options.find(|(name, _)| name == NAME) {
        None => Ok(OnDuplicate::Keep),
        Some((_, value)) => match value.as_ref() {
            "keep" => Ok(OnDuplicate::Keep),
            "update" => Ok(OnDuplicate::Update),
            "refuse" => Ok(OnDuplicate::Refuse),
            other => {
                let other = smartem_http::shorten(other);
                let message = format!("`{NAME}` is `{other}`; write `keep`, `update` or `refuse`");
                Err(Fault::invalid(message).about(NAME))
            }
        },
    }
}

/// The body as JSON, with the ids of what earlier calls of the batch made.
fn json_of(call: &Call, names: &Names) -> Result<Value, Fault> {
    if call.body.is_empty() {
        return Err(Fault::invalid("there is no body; send JSON"));
    }
    let mut value = body::json(&call.body)?;
    names.fill(&mut value);
    Ok(value)
}

/// The entity at a path, as it is now.
async fn entity(sta: &Sta, call: &Call, path: &ResourcePath) -> Result<Entity, Fault> {
    let limits = sta.limits(call.version);
    let answer = sta.store.sta_read(path, &Query::default(), &limits).await?;
    match answer {
        Answer::One(Some(entity)) => Ok(*entity),
        _ => Err(Fault::not_found(format!("there is no {}", call.path))),
    }
}

/// Refuses with 412 to change an entity that is not as the client knows it (`If-Match`).
async fn check_match(sta: &Sta, call: &Call, path: &ResourcePath) -> Result<(), Fault> {
    let Some(wanted) = call.headers.get(header::IF_MATCH) else {
        return Ok(());
    };
    let entity = entity(sta, call, path).await?;
    let bytes = write::entity(&entity, call.version, &call.root, &Query::default());
    // Both headers have the same form, and tags are compared weakly.
    let mut known = HeaderMap::new();
    known.insert(header::IF_NONE_MATCH, wanted.clone());
    if read::content(&bytes).is_known_to(&known) {
        return Ok(());
    }
    let message = "the entity has changed since; read it again, and send its new `ETag`";
    Err(Fault::new(StatusCode::PRECONDITION_FAILED, message).about("If-Match"))
}

/// What a client is told of what a plan did.
pub(super) async fn told(
    sta: &Sta,
    call: &Call,
    told_as: &ToldAs,
    outcome: &Outcome,
) -> Result<Reply, Fault> {
    match outcome {
        Outcome::Created {
            entity_type,
            id,
            updated,
        } => {
            let status = if *updated {
                StatusCode::OK
            } else {
                StatusCode::CREATED
            };
            with_entity(sta, call, *entity_type, *id, status).await
        }
        Outcome::Updated { entity_type, id } => {
            with_entity(sta, call, *entity_type, *id, StatusCode::OK).await
        }
        Outcome::Observations(made) => match (told_as, made.as_slice()) {
            (ToldAs::OneObservation, [Ok(id)]) => {
                with_entity(sta, call, EntityType::Observation, *id, StatusCode::CREATED).await
            }
            (ToldAs::OneObservation, [Err(reason)]) => Err(Fault::invalid(reason)),
            (ToldAs::Rows(refused), _) => Ok(observations(call, refused, made)),
            _ => Ok(observations(call, &[], made)),
        },
        Outcome::Deleted(number) if matches!(told_as, ToldAs::Number) => {
            let bytes = json!({"@iot.count": number}).to_string().into_bytes();
            Ok(super::reply(StatusCode::OK, Body::JSON, bytes))
        }
        Outcome::Deleted(_) => Ok(Reply::default()),
        Outcome::Linked => {
            let mut reply = Reply::default();
            *reply.status_mut() = StatusCode::NO_CONTENT;
            Ok(reply)
        }
    }
}

/// The entity that was made or changed, and where it is.
async fn with_entity(
    sta: &Sta,
    call: &Call,
    of: EntityType,
    id: i64,
    status: StatusCode,
) -> Result<Reply, Fault> {
    let link = write::self_link(call.version, &call.root, of, id);
    let mut reply = if call.wants_nothing_back() {
        let mut reply = Reply::default();
        // An answer to a change without a body says so.
        *reply.status_mut() = match status {
            StatusCode::OK => StatusCode::NO_CONTENT,
            other => other,
        };
        let applied = HeaderValue::from_static("return=minimal");
        reply.headers_mut().insert("preference-applied", applied);
        reply
    } else {
        let entity = entity(sta, call, &ResourcePath::entity(of, id)).await?;
        let bytes = write::entity(&entity, call.version, &call.root, &Query::default());
        let etag = read::content(&bytes);
        let mut reply = super::reply(status, Body::JSON, bytes);
        read::tag(&mut reply, &etag);
        reply
    };
    if let Ok(link) = HeaderValue::from_str(&link) {
        reply.headers_mut().insert(header::LOCATION, link);
    }
    Ok(reply)
}

/// The link of each observation, or `"error"`; why the first one was refused is in the header `Warning`.
fn observations(call: &Call, refused: &[(usize, String)], made: &[Result<i64, String>]) -> Reply {
    let mut refused = refused.iter().peekable();
    let mut made = made.iter();
    let mut links: Vec<Value> = Vec::new();
    let mut first: Option<(usize, &str)> = None;
    loop {
        let place = links.len();
        let reason = match refused.next_if(|(at, _)| *at == place) {
            Some((_, reason)) => reason,
            None => match made.next() {
                Some(Ok(id)) => {
                    let of = EntityType::Observation;
                    links.push(write::self_link(call.version, &call.root, of, *id).into());
                    continue;
                }
                Some(Err(reason)) => reason,
                None => break,
            },
        };
        first.get_or_insert((place + 1, reason));
        links.push("error".into());
    }
    let bytes = Value::Array(links).to_string().into_bytes();
    let mut reply = super::reply(StatusCode::CREATED, Body::JSON, bytes);
    if let Some((row, reason)) = first {
        let reason = reason.replace(['"', '\\', '\r', '\n'], "'");
        let warning = format!("199 smartem \"row {row} was refused: {reason}\"");
        if let Ok(warning) = HeaderValue::from_str(&warning) {
            reply.headers_mut().insert(header::WARNING, warning);
        }
    }
    reply
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        Self::invalid(error.to_string()).about("body")
    }
}
