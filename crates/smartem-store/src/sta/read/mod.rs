//! Answers to questions: paths, filters, orders, pages, expanded relations and averages.
//!
//! - [`table`]: what is read of which table, and how it becomes a record
//! - [`relation`]: how one entity leads to another, in SQL
//! - [`compile`]: expressions as conditions and values
//! - [`order`]: orders and places in them
//! - [`locate`]: paths, down to the entity that a set belongs to
//! - [`page`], [`observations`], [`by_time`], [`expand`]: entities
//! - [`apply`], [`resample`]: sums and averages, of rows that [`scan`] gives one after the other
//!
//! Observations are in two tables, so each statement about them is made for one of them, or for both.

mod apply;
mod average;
mod by_time;
mod compile;
mod expand;
mod locate;
mod observations;
mod order;
mod page;
mod relation;
mod resample;
mod scan;
mod select;
mod table;

use std::sync::Arc;

use futures::FutureExt as _;
use jiff::Timestamp;
use smartem_sta::{Answer, Apply, Path, Query, ResourcePath, SelectItem, Target, Version};

use crate::Store;
use crate::backend::Backend;

use super::StaError;
use super::error::Fault;
use super::sql::{Param, Sql, Statement};
use locate::{Place, not_found};
pub(crate) use select::ids;
pub(crate) use table::box_geometry;

/// In a statement for each of some entities: the id of one of them.
const KEY: &str = "{key}";

/// How much may be read for one answer, and what a question means that depends on who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReadLimits {
    /// Entities of a page where the question does not say.
    pub top_default: u64,
    /// At most so many, whatever the question says.
    pub top_max: u64,
    /// Entities of an expanded relation where the question does not say.
    pub expanded_default: u64,
    /// How deep relations are expanded.
    pub expand_depth: usize,
    /// Entities of an answer, with all that are expanded.
    pub entities_max: usize,
    /// Observations that are looked at for sums and averages.
    pub scanned_max: u64,
    /// Whether datastreams of several observed properties are asked for apart (versions 1.x), or with the
    /// others (2.0).
    pub multi_apart: bool,
    /// What `now()` is.
    pub now: Timestamp,
}

impl ReadLimits {
    /// Those of the service at a moment.
    pub fn at(now: Timestamp) -> Self {
        Self {
            top_default: 100,
            top_max: 10_000,
            expanded_default: 100,
            expand_depth: 6,
            entities_max: 200_000,
            scanned_max: 5_000_000,
            multi_apart: true,
            now,
        }
    }
}

/// What is asked.
struct Question {
    path: ResourcePath,
    query: Query,
    limits: ReadLimits,
}

/// Entities of OGC SensorThings.
impl Store {
    /// Answers a question about entities; what it sees is one state of the store.
    ///
    /// # Errors
    /// [`StaError::NotFound`] for an entity of the path that is not there, or not below the one before it;
    /// [`StaError::Invalid`] for what cannot be asked; [`StaError::TooMuch`] beyond the limits.
    pub async fn sta_read(
        &self,
        path: &ResourcePath,
        query: &Query,
        limits: &ReadLimits,
    ) -> Result<Answer, StaError> {
        const ACTION: &str = "reading entities";
        let question = Arc::new(Question {
            path: path.clone(),
            query: query.clone(),
            limits: *limits,
        });
        match self.backend() {
            Backend::Sqlite(it) => {
                it.sta_reading(ACTION, move |sql| answer(sql, question).boxed())
                    .await
            }
            Backend::Postgres(it) => {
                let reading = it.sta_reading(ACTION, move |sql| {
                    answer(sql, Arc::clone(&question)).boxed()
                });
                reading.boxed().await
            }
        }
    }
}

async fn answer(sql: &mut dyn Sql, question: Arc<Question>) -> Result<Answer, Fault> {
    let mut reader = Reader {
        sql,
        limits: question.limits,
        entities: 0,
    };
    let (path, query) = (&question.path, &question.query);
    let place = reader.locate(path).await?;
    if path.target == Target::Count {
        let place = place.set_or_refuse()?;
        return Ok(Answer::Count(reader.count(&place, query).await?));
    }
    if let (Some(resample), Place::Set(set)) = (query.resample, &place) {
        return reader.resample(set, query, resample).await;
    }
    if let (Some(apply), Place::Set(set)) = (&query.apply, &place) {
        return reader.apply(set, query, apply).await;
    }
    if let (true, Place::Set(set)) = (query.distinct, &place) {
        return reader.apply(set, query, &distinct(path, query)?).await;
    }
    match place {
        Place::Set(set) => Ok(Answer::Many(reader.page(&set, query).await?)),
        Place::One(one) => {
            let found = reader.entity(one, query).await?;
            let found = found.ok_or_else(|| not_found(path))?;
            Ok(Answer::One(Some(Box::new(found))))
        }
        Place::Nothing => Ok(Answer::One(None)),
    }
}

/// Groups of the properties that are selected.
fn distinct(path: &ResourcePath, query: &Query) -> Result<Apply, Fault> {
    let of = |item: &SelectItem| match item {
        SelectItem::Property(property, members) => Ok(Path {
            outer: 0,
            relations: Vec::new(),
            property: *property,
            members: members.clone(),
        }),
        SelectItem::Relation(relation) => Err(invalid(
            format!(
                "$select=distinct is for properties, and {} is a relation",
                relation.name(Version::V1_1)
            ),
            None,
        )),
    };
    Ok(Apply {
        filter: None,
        group_by: query.select.iter().map(of).collect::<Result<_, _>>()?,
        aggregates: Vec::new(),
        of: path.entity_type(),
    })
}

/// Reads the entities of one answer.
struct Reader<'s> {
    sql: &'s mut dyn Sql,
    limits: ReadLimits,
    /// So many so far.
    entities: usize,
}

impl Reader<'_> {
    async fn rows(&mut self, statement: &Statement) -> Result<Vec<super::sql::Row>, Fault> {
        self.sql.query(&statement.text, &statement.params).await
    }

    /// Counts entities of the answer.
    fn admit(&mut self, more: usize) -> Result<(), Fault> {
        self.entities = self.entities.saturating_add(more);
        if self.entities <= self.limits.entities_max {
            return Ok(());
        }
        let most = self.limits.entities_max;
        let detail = format!(
            "the answer would have more than {most} entities; ask for fewer with $top, here and in $expand"
        );
        Err(StaError::TooMuch { detail }.into())
    }
}

/// A refusal of what makes no sense.
fn invalid(detail: impl Into<String>, at: Option<std::ops::Range<usize>>) -> Fault {
    let detail = detail.into();
    StaError::Invalid { detail, at }.into()
}

fn int(statement: &mut Statement, value: i64) -> String {
    statement.param(Param::int(value))
}

/// A number of rows as the databases take it.
fn rows(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
