use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smartem_sta::write::{self, Frame, WriteError};
use smartem_sta::{
    Answer, BinaryOp, Entity, EntityType, Expr, ExprKind, Query, ResourcePath, ResultFormat,
    Target, Type, Version,
};
use smartem_store::{ChangeKind, ChangeMark, ReadLimits, StaChange, StaError, Store};

use super::{StaChanges, StaTopic, StaUnavailable};
use crate::receive::mqtt::Clock;

/// So many changes are told together.
const PAGE: usize = 500;
/// So many station-hours are read together.
const HOURS: usize = 64;
/// The bits of the number of an observation within its datastream.
const BITS_OF_N: u32 = 32;

/// Tells of the entities of a store that clients made or changed, of those of stations, and of refined
/// observations. Each is told as `GET` gives it.
///
/// A station-hour that is refined anew is told with all its observations: which of them are other than before is
/// not known.
pub struct StoreChanges {
    store: Store,
    clock: Clock,
    /// What links begin with, before the path of the service.
    server: String,
    /// What topics with the version may begin with.
    prefixes: &'static [&'static str],
    /// The mark of now when it was asked for the last time: who waits for subscribers asks often.
    newest: Mutex<Option<StoreMark>>,
}

/// A place in the order of changes of a store. It can be kept, and gone on with at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreMark {
    /// Of entities.
    entities: i64,
    /// How far the observations of the change after that are told: its number, and that of the observation.
    within: Option<(i64, i64)>,
    /// Of refined observations.
    refined: ChangeMark,
    /// The state of the store in which there was nothing after this mark.
    #[serde(skip)]
    seen: Option<u64>,
}

/// An entity that was made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreChange {
    /// Of this type; a `MultiDatastream` is a [`EntityType::Datastream`] here.
    entity_type: EntityType,
    id: i64,
}

/// A topic, read.
pub struct StoreFilter {
    version: Version,
    root: String,
    path: ResourcePath,
    path_text: String,
    query: Query,
    /// Of a property, what was told of it: nothing is told while it stays so.
    told: Mutex<Option<Bytes>>,
}

impl StoreChanges {
    /// Of a store. Links in what is told begin with `public_url`, or else with the path of the service.
    pub fn new(store: Store, clock: Clock, public_url: Option<&str>) -> Self {
        Self {
            store,
            clock,
            server: public_url.unwrap_or_default().trim_end_matches('/').into(),
            prefixes: &["", "sta/"],
            newest: Mutex::default(),
        }
    }

    /// Tells each change on topics that begin with the version only: for brokers whose subscribers are not known.
    #[must_use]
    pub fn with_plain_topics_only(mut self) -> Self {
        self.prefixes = &[""];
        self
    }

    /// The entity of a change as the topic wants it, where it is of the topic.
    async fn find(&self, filter: &StoreFilter, id: i64) -> Result<Option<Entity>, StaUnavailable> {
        let (path, query) = filter.question(id);
        let limits = ReadLimits {
            multi_apart: true,
            ..ReadLimits::at((self.clock)())
        };
        let found = match self.store.sta_read(&path, &query, &limits).await {
            Ok(Answer::One(found)) => found.map(|it| *it),
            Ok(Answer::Many(page)) => page.entities.into_iter().next(),
            Err(StaError::Store(error)) => return Err(unavailable(&error)),
            // It is gone, or a filter cannot be computed for it.
            Ok(_) | Err(_) => None,
        };
        Ok(found.filter(|it| it.id == id))
    }

    /// The mark of now, in a state of the store that was read just before.
    async fn newest(&self, state: u64) -> Result<StoreMark, StaUnavailable> {
        let known = || self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known().clone();
        if let Some(mark) = last.filter(|it| it.seen == Some(state)) {
            return Ok(mark);
        }
        let newest = self.store.sta_newest_change().await;
        let mark = StoreMark {
            entities: newest.map_err(|error| unavailable(&error))?,
            within: None,
            refined: ChangeMark::after_change(state),
            seen: Some(state),
        };
        *known() = Some(mark.clone());
        Ok(mark)
    }

    /// Changes of entities after a mark, which goes on.
    async fn entities(
        &self,
        mark: &mut StoreMark,
        changes: &mut Vec<StoreChange>,
    ) -> Result<(), StaUnavailable> {
        loop {
            let rows = self.store.sta_changes(mark.entities, PAGE).await;
            let rows = rows.map_err(|error| unavailable(&error))?;
            for row in &rows {
                add(row, mark, changes);
                if changes.len() >= PAGE {
                    return Ok(());
                }
            }
            if rows.len() < PAGE || !changes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Refined observations after a mark, which goes on.
    async fn refined(
        &self,
        mark: &mut StoreMark,
        changes: &mut Vec<StoreChange>,
    ) -> Result<(), StaUnavailable> {
        loop {
            let hours = self.store.sta_refined(mark.refined, HOURS).await;
            let hours = hours.map_err(|error| unavailable(&error))?;
            let is_last = hours.len() < HOURS;
            for hour in hours {
                mark.refined = hour.mark;
                let ids = hour.observations.into_iter();
                changes.extend(ids.map(|id| StoreChange {
                    entity_type: EntityType::Observation,
                    id,
                }));
            }
            if is_last || !changes.is_empty() {
                return Ok(());
            }
        }
    }
}

#[async_trait]
impl StaChanges for StoreChanges {
    type Mark = StoreMark;
    type Change = StoreChange;
    type Filter = StoreFilter;

    async fn changes_since(
        &self,
        mark: Option<StoreMark>,
    ) -> Result<(StoreMark, Vec<StoreChange>), StaUnavailable> {
        // Read first: what is written from here on makes it another.
        let state = self.store.change().await;
        let state = state.map_err(|error| unavailable(&error))?;
        let Some(mut mark) = mark else {
            return Ok((self.newest(state).await?, Vec::new()));
        };
        let mut changes = Vec::new();
        if mark.seen == Some(state) {
            return Ok((mark, changes));
        }
        self.entities(&mut mark, &mut changes).await?;
        if changes.is_empty() {
            self.refined(&mut mark, &mut changes).await?;
        }
        if changes.is_empty() {
            mark.seen = Some(state);
        }
        Ok((mark, changes))
    }

    fn filter(&self, topic: &str) -> Option<StoreFilter> {
        let topic = StaTopic::of(topic)?;
        let version = match topic.version {
            "v1.0" => Version::V1_0,
            _ => Version::V1_1,
        };
        let (path_text, options) = topic.path.split_once('?').unwrap_or((topic.path, ""));
        let path = ResourcePath::parse(path_text, version).ok()?;
        if matches!(path.target, Target::References | Target::Count) {
            return None;
        }
        let single = path.is_single();
        let query = Query::parse(options, path.entity_type(), version, single).ok()?;
        let is_of_many = query.apply.is_some()
            || query.resample.is_some()
            || query.distinct
            || query.result_format == ResultFormat::DataArray;
        (!is_of_many).then(|| StoreFilter {
            version,
            root: format!("{}/sta/{}", self.server, version.as_str()),
            path,
            path_text: path_text.to_owned(),
            // Each entity is told on its own.
            query: Query {
                count: false,
                top: None,
                skip: None,
                after: None,
                order_by: Vec::new(),
                ..query
            },
            told: Mutex::default(),
        })
    }

    async fn render(
        &self,
        filter: &StoreFilter,
        change: &StoreChange,
    ) -> Result<Option<Bytes>, StaUnavailable> {
        if !filter.may_take(change) {
            return Ok(None);
        }
        let Some(entity) = self.find(filter, change.id).await? else {
            return Ok(None);
        };
        let frame = Frame {
            version: filter.version,
            root: &filter.root,
            path: &filter.path,
            path_text: &filter.path_text,
            query: &filter.query,
        };
        let bytes = match write::answer(&Answer::One(Some(Box::new(entity))), &frame) {
            Ok(body) => Bytes::from(body.bytes),
            // There is a message for a property that is empty now, without content as the answer to GET.
            Err(WriteError::Null) => Bytes::new(),
            Err(_) => return Ok(None),
        };
        Ok(filter.is_news(&bytes).then_some(bytes))
    }

    fn topics(&self, change: &StoreChange) -> Vec<String> {
        let mut topics = Vec::new();
        for version in [Version::V1_0, Version::V1_1] {
            for prefix in self.prefixes {
                let root = format!("{prefix}{}", version.as_str());
                for of in change.types() {
                    let set = of.set_name(version);
                    topics.push(format!("{root}/{set}"));
                    topics.push(format!("{root}/{set}({})", change.id));
                }
                if change.entity_type == EntityType::Observation {
                    let stream = change.id >> BITS_OF_N;
                    for of in [EntityType::Datastream, EntityType::MultiDatastream] {
                        let set = of.set_name(version);
                        topics.push(format!("{root}/{set}({stream})/Observations"));
                    }
                }
            }
        }
        topics
    }
}

impl StoreChange {
    /// The types that it may be of.
    fn types(self) -> impl Iterator<Item = EntityType> {
        let multi =
            (self.entity_type == EntityType::Datastream).then_some(EntityType::MultiDatastream);
        std::iter::once(self.entity_type).chain(multi)
    }
}

impl StoreFilter {
    /// Whether a change may be of this topic, as far as that can be told without the store.
    fn may_take(&self, change: &StoreChange) -> bool {
        let of = self.path.entity_type();
        if !change.types().any(|it| it == of) {
            return false;
        }
        let named = self.path.steps.last().map_or(self.path.root_id, |it| it.id);
        if named.is_some_and(|id| id != change.id) {
            return false;
        }
        of != EntityType::Observation
            || self
                .datastream()
                .is_none_or(|it| it == change.id >> BITS_OF_N)
    }

    /// The datastream whose observations this is about, where the path names it.
    fn datastream(&self) -> Option<i64> {
        let (last, before) = self.path.steps.split_last()?;
        let is_stream = [EntityType::Datastream, EntityType::MultiDatastream];
        let named = before.last().map_or(self.path.root_id, |it| it.id);
        named.filter(|_| is_stream.contains(&last.relation.from))
    }

    /// What tells whether an entity is of this topic, and how it is now.
    fn question(&self, id: i64) -> (ResourcePath, Query) {
        let query = self.query.clone();
        if self.path.is_single() {
            return (self.path.clone(), query);
        }
        let is_all = self.path.steps.is_empty();
        if is_all && query.filter.is_none() {
            let entity = ResourcePath::entity(self.path.entity_type(), id);
            return (entity, query);
        }
        let is_it = id_is(id, self.path.entity_type());
        let filter = match query.filter {
            None => is_it,
            Some(filter) => is_it.map(|is_it| both(is_it, filter)),
        };
        (self.path.clone(), Query { filter, ..query })
    }

    /// Whether something is to be told; a property only when it is another.
    fn is_news(&self, bytes: &Bytes) -> bool {
        if self.path.target == Target::Entities {
            return true;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.replace(bytes.clone()).as_ref() != Some(bytes)
    }
}

/// Adds what a change tells of, as far as there is room, and lets the mark go on.
fn add(row: &StaChange, mark: &mut StoreMark, changes: &mut Vec<StoreChange>) {
    let entity = |id| StoreChange {
        entity_type: row.entity_type,
        id,
    };
    let within = mark.within.take().filter(|(seq, _)| *seq == row.seq);
    if row.kind != ChangeKind::Deleted {
        match (row.entity_type, row.span) {
            (EntityType::Observation, Some((first, last))) => {
                let first = within.map_or(first, |(_, told)| told + 1);
                let room = i64::try_from(PAGE.saturating_sub(changes.len())).unwrap_or(0);
                let end = last.min(first.saturating_add(room).saturating_sub(1));
                let stream = row.id << BITS_OF_N;
                changes.extend((first..=end).map(|n| entity(stream | n)));
                if end < last {
                    mark.within = Some((row.seq, end));
                    return;
                }
            }
            (EntityType::Observation, None) => {}
            _ => changes.push(entity(row.id)),
        }
    }
    mark.entities = row.seq;
}

/// The condition that an entity has an id.
fn id_is(id: i64, of: EntityType) -> Option<Expr> {
    let query = Query::parse(&format!("$filter=id eq {id}"), of, Version::V1_1, false);
    query.ok()?.filter
}

fn both(a: Expr, b: Expr) -> Expr {
    Expr {
        ty: Type::Bool,
        at: b.at.clone(),
        kind: ExprKind::Binary(BinaryOp::And, Box::new(a), Box::new(b)),
    }
}

fn unavailable(error: &impl ToString) -> StaUnavailable {
    StaUnavailable {
        problem: error.to_string(),
    }
}
