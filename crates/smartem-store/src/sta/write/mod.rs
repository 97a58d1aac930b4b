//! Changes of the SensorThings entities that clients ask for (18-088, section 10).
//!
//! [`apply`] carries out the operations of one caller within a transaction that is open. [`Writer`] is what
//! they share: what was made so far, which datastreams got observations, and what is to be told.
//!
//! - [`create`], [`update`], [`remove`], [`link`]: the operations
//! - [`observation`], [`stream`]: observations, and the counts and extents of their datastreams
//! - [`resolve`]: paths and references; [`owner`]: who may; [`natural`]: what is there already
//! - [`fields`], [`geometry`]: from properties to columns

mod create;
mod error;
mod fields;
mod geometry;
mod link;
mod natural;
mod observation;
mod owner;
mod remove;
mod resolve;
mod stream;
mod update;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::BoxFuture;
use jiff::Timestamp;
use smartem_sta::{Author, EntityType, Operation, Outcome, WriteTarget};

use self::geometry::Bounds;
use self::stream::Stream;
use super::changes::{ChangeKind, Changes};
use super::error::Fault;
use super::sql::{Dialect, Param, Row, Sql};

/// Carries out operations, in their order; what they did. The number of the change is the caller's to count.
pub(crate) async fn apply(
    sql: &mut dyn Sql,
    author: &Author,
    operations: &[Operation],
    now: Timestamp,
) -> Result<Vec<Outcome>, Fault> {
    let mut writer = Writer::new(sql, author, now);
    let streams = streams_of(operations);
    if streams.len() > 1 {
        // In the order of ids, so that two who write to the same datastreams do not wait for each other.
        for id in streams {
            writer.stream(id).await?;
        }
    }
    let mut outcomes = Vec::with_capacity(operations.len());
    for operation in operations {
        let outcome = writer.carry_out(operation).await?;
        writer.made.push(made(&outcome));
        outcomes.push(outcome);
    }
    writer.finish().await?;
    Ok(outcomes)
}

/// Datastreams that operations name as those of new observations.
fn streams_of(operations: &[Operation]) -> BTreeSet<i64> {
    let mut streams = BTreeSet::new();
    for operation in operations {
        match operation {
            Operation::CreateObservations { observations, .. } => {
                streams.extend(observations.iter().map(|it| it.datastream));
            }
            Operation::Create {
                target: WriteTarget::Path(path),
                ..
            } if path.entity_type() == EntityType::Observation
                && matches!(
                    path.root,
                    EntityType::Datastream | EntityType::MultiDatastream
                ) =>
            {
                streams.extend(path.root_id);
            }
            _ => {}
        }
    }
    streams
}

/// The entity that an operation made, to which later ones may refer.
fn made(outcome: &Outcome) -> Option<Named> {
    match outcome {
        Outcome::Created {
            entity_type, id, ..
        }
        | Outcome::Updated { entity_type, id } => Some((*entity_type, *id)),
        _ => None,
    }
}

/// An entity by its type and id.
type Named = (EntityType, i64);

/// The changes of one caller while they are made.
struct Writer<'a> {
    sql: &'a mut dyn Sql,
    words: Dialect,
    author: &'a Author,
    now: Timestamp,
    changes: Changes,
    /// What each operation so far made.
    made: Vec<Option<Named>>,
    /// Datastreams whose observations change.
    streams: BTreeMap<i64, Stream>,
    /// Features that were looked up, with their extents.
    features: HashMap<i64, Option<Bounds>>,
    /// Observations that are still to be written.
    rows: Vec<Vec<Param>>,
}

impl<'a> Writer<'a> {
    fn new(sql: &'a mut dyn Sql, author: &'a Author, now: Timestamp) -> Self {
        Self {
            words: sql.dialect(),
            sql,
            author,
            now,
            changes: Changes::default(),
            made: Vec::new(),
            streams: BTreeMap::new(),
            features: HashMap::new(),
            rows: Vec::new(),
        }
    }

    fn carry_out<'s>(
        &'s mut self,
        operation: &'s Operation,
    ) -> BoxFuture<'s, Result<Outcome, Fault>> {
        Box::pin(async move {
            match operation {
                Operation::Create {
                    target,
                    draft,
                    on_duplicate,
                } => self.create_at(target, draft, *on_duplicate).await,
                Operation::CreateObservations {
                    observations,
                    on_duplicate,
                } => self.create_observations(observations, *on_duplicate).await,
                Operation::Update {
                    target,
                    fields,
                    related,
                    replace,
                } => self.update_at(target, fields, related, *replace).await,
                Operation::Delete { target } => self.delete_at(target).await,
                Operation::DeleteMany { path, filter } => self.delete_many(path, filter).await,
                Operation::Link { path, id } => self.link_at(path, *id).await,
                Operation::Unlink { path, id } => self.unlink_at(path, *id).await,
            }
        })
    }

    /// Writes what was put off.
    async fn finish(mut self) -> Result<(), Fault> {
        self.settle_streams().await?;
        self.changes.write(self.sql, Some(self.now)).await
    }

    fn note(&mut self, (entity_type, id): Named, kind: ChangeKind) {
        self.changes.note(entity_type, id, kind);
    }

    /// The rows of a question; `{1}` in it is the place of the first parameter, `{thing}` a table.
    async fn query(&mut self, question: &str, params: &[Param]) -> Result<Vec<Row>, Fault> {
        let question = self.worded(question);
        self.sql.query(&question, params).await
    }

    /// The first row of a question.
    async fn find(&mut self, question: &str, params: &[Param]) -> Result<Option<Row>, Fault> {
        let mut rows = self.query(question, params).await?;
        Ok((!rows.is_empty()).then(|| rows.swap_remove(0)))
    }

    /// The numbers that a question gives.
    async fn numbers(&mut self, question: &str, params: &[Param]) -> Result<Vec<i64>, Fault> {
        let rows = self.query(question, params).await?;
        rows.iter().map(|row| row.int(0)).collect()
    }

    async fn execute(&mut self, statement: &str, params: &[Param]) -> Result<u64, Fault> {
        let statement = self.worded(statement);
        self.sql.execute(&statement, params).await
    }

    /// Puts places of parameters and names of tables into a statement.
    fn worded(&self, statement: &str) -> String {
        let mut words = String::with_capacity(statement.len() + 64);
        let mut rest = statement;
        while let Some((before, after)) = rest.split_once('{') {
            words.push_str(before);
            let Some((word, after)) = after.split_once('}') else {
                rest = after;
                break;
            };
            match word.parse() {
                Ok(number) => words.push_str(&self.words.place(number)),
                Err(_) => words.push_str(&self.words.table(word)),
            }
            rest = after;
        }
        words.push_str(rest);
        words
    }
}
