//! Paths, down to the entity that a set belongs to.

use std::fmt::Write as _;

use jiff::Timestamp;
use smartem_sta::{EntityType, PathStep, Relation, ResourcePath, Version};

use crate::sta::StaError;
use crate::sta::error::Fault;
use crate::sta::sql::{Param, Statement};

use super::relation::{only, to_many, to_one};
use super::table::{Kind, split_id};
use super::{Reader, int, invalid};

/// What a path names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Set(Set),
    One(One),
    /// A relation to one that is empty.
    Nothing,
}

impl Place {
    pub(super) fn set_or_refuse(self) -> Result<Set, Fault> {
        match self {
            Self::Set(set) => Ok(set),
            Self::One(_) | Self::Nothing => Err(invalid(
                "$count counts the entities of a set, and the path names one entity",
                None,
            )),
        }
    }
}

/// A set of entities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    pub(super) entity_type: EntityType,
    /// The relation that leads to it, and the entity from which.
    pub(super) parent: Option<(Relation, i64)>,
    /// Of observations: the datastream of all of them, where it is known.
    pub(super) stream: Option<Stream>,
}

/// A datastream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) id: i64,
    /// The table of its observations.
    pub(super) kind: Kind,
}

/// An entity, by its id.
#[derive(Clone, Copy, Debug)]
pub(super) struct One {
    pub(super) entity_type: EntityType,
    pub(super) id: i64,
    pub(super) kind: Kind,
}

/// The entities of a path so far, joined.
struct Chain {
    statement: Statement,
    tables: String,
    conditions: Vec<String>,
    /// The last one.
    kind: Kind,
    alias: String,
    length: usize,
}

impl Reader<'_> {
    /// What a path names; all entities on the way are there.
    pub(super) async fn locate(&mut self, path: &ResourcePath) -> Result<Place, Fault> {
        let Some(root_id) = path.root_id else {
            let set = Set {
                entity_type: path.root,
                parent: None,
                stream: None,
            };
            return Ok(Place::Set(set));
        };
        let Some((last, before)) = path.steps.split_last() else {
            let kind = self.kind_of(path.root, root_id).await?;
            let kind = kind.ok_or_else(|| not_found(path))?;
            return Ok(Place::One(One {
                entity_type: path.root,
                id: root_id,
                kind,
            }));
        };
        let mut chain = self.begin(path, root_id).await?;
        for step in before {
            self.go_on(&mut chain, path, *step).await?;
        }
        if last.relation.is_many && last.id.is_none() {
            return self.set_at(chain, path, last.relation).await;
        }
        self.one_at(chain, path, *last).await
    }

    /// The table of an entity; of observations that of their datastream, if there is one.
    pub(super) async fn kind_of(
        &mut self,
        entity_type: EntityType,
        id: i64,
    ) -> Result<Option<Kind>, Fault> {
        match Kind::of(entity_type) {
            Some(kind) => Ok(Some(kind)),
            None => Ok(self.stream(split_id(id).0).await?.map(|it| it.kind)),
        }
    }

    /// A datastream with the table of its observations.
    pub(super) async fn stream(&mut self, id: i64) -> Result<Option<Stream>, Fault> {
        let mut statement = Statement::new(self.sql.dialect());
        let place = int(&mut statement, id);
        let table = Kind::Datastream.table(statement.dialect);
        statement.text = format!("SELECT is_refined FROM {table} WHERE id = {place}");
        let rows = self.rows(&statement).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let kind = if row.bool(0)? {
            Kind::Refined
        } else {
            Kind::Made
        };
        Ok(Some(Stream { id, kind }))
    }

    async fn begin(&mut self, path: &ResourcePath, id: i64) -> Result<Chain, Fault> {
        let kind = self.kind_of(path.root, id).await?;
        let kind = kind.ok_or_else(|| not_found(path))?;
        let mut statement = Statement::new(self.sql.dialect());
        let alias = "e0".to_owned();
        let mut conditions = vec![id_is(&mut statement, kind, &alias, id)];
        conditions.push(only(path.root, self.limits.multi_apart, &alias));
        Ok(Chain {
            tables: format!("{} {alias}", kind.table(statement.dialect)),
            statement,
            conditions,
            kind,
            alias,
            length: 1,
        })
    }

    async fn go_on(
        &mut self,
        chain: &mut Chain,
        path: &ResourcePath,
        step: PathStep,
    ) -> Result<(), Fault> {
        let to = step.relation.to;
        let kind = match step.id {
            Some(id) => self.kind_of(to, id).await?,
            None => Kind::of(to),
        };
        let kind = kind.ok_or_else(|| not_found(path))?;
        let alias = format!("e{}", chain.length);
        let condition = chain.leads_to(step.relation, kind, &alias);
        let table = kind.table(chain.statement.dialect);
        // Writing to a text cannot fail.
        let _ = write!(chain.tables, " JOIN {table} {alias} ON {condition}");
        if let Some(id) = step.id {
            let is = id_is(&mut chain.statement, kind, &alias, id);
            chain.conditions.push(is);
        }
        chain
            .conditions
            .push(only(to, self.limits.multi_apart, &alias));
        (chain.kind, chain.alias) = (kind, alias);
        chain.length += 1;
        Ok(())
    }

    async fn set_at(
        &mut self,
        mut chain: Chain,
        path: &ResourcePath,
        relation: Relation,
    ) -> Result<Place, Fault> {
        let id = chain.kind.id(chain.statement.dialect, &chain.alias);
        let is_stream = chain.kind == Kind::Datastream;
        let refined = if is_stream {
            format!("{}.is_refined", chain.alias)
        } else {
            "NULL".to_owned()
        };
        chain.select(&format!("{id}, {refined}"));
        let rows = self.rows(&chain.statement).await?;
        let row = rows.first().ok_or_else(|| not_found(path))?;
        let id = row.int(0)?;
        let stream = match row.optional_int(1) {
            Ok(Some(refined)) if relation.to == EntityType::Observation => Some(Stream {
                id,
                kind: if refined == 0 {
                    Kind::Made
                } else {
                    Kind::Refined
                },
            }),
            _ => None,
        };
        Ok(Place::Set(Set {
            entity_type: relation.to,
            parent: Some((relation, id)),
            stream,
        }))
    }

    async fn one_at(
        &mut self,
        mut chain: Chain,
        path: &ResourcePath,
        step: PathStep,
    ) -> Result<Place, Fault> {
        let to = step.relation.to;
        if let Some(id) = step.id {
            self.go_on(&mut chain, path, step).await?;
            chain.select("1");
            if self.rows(&chain.statement).await?.is_empty() {
                return Err(not_found(path));
            }
            let kind = chain.kind;
            return Ok(Place::One(One {
                entity_type: to,
                id,
                kind,
            }));
        }
        let kind = Kind::of(to).ok_or_else(|| not_found(path))?;
        let dialect = chain.statement.dialect;
        let target = to_one(dialect, step.relation, chain.kind, &chain.alias);
        let condition = only(to, self.limits.multi_apart, "target");
        let table = kind.table(dialect);
        let and = if condition.is_empty() { "" } else { " AND " };
        let _ = write!(
            chain.tables,
            " LEFT JOIN {table} target ON target.id = {target}{and}{condition}"
        );
        chain.select("target.id");
        let rows = self.rows(&chain.statement).await?;
        let row = rows.first().ok_or_else(|| not_found(path))?;
        Ok(match row.optional_int(0)? {
            Some(id) => Place::One(One {
                entity_type: to,
                id,
                kind,
            }),
            None => Place::Nothing,
        })
    }
}

impl Chain {
    fn leads_to(&self, relation: Relation, kind: Kind, b: &str) -> String {
        let dialect = self.statement.dialect;
        if relation.is_many {
            let id = self.kind.id(dialect, &self.alias);
            return to_many(dialect, relation, &id, kind, b);
        }
        let id = to_one(dialect, relation, self.kind, &self.alias);
        format!("{b}.id = {id}")
    }

    fn select(&mut self, what: &str) {
        self.conditions.retain(|it| !it.is_empty());
        let conditions = self.conditions.join(" AND ");
        self.statement.text = format!("SELECT {what} FROM {} WHERE {conditions}", self.tables);
    }
}

/// Whether a row `a` is the entity of an id, along the key of its table.
pub(super) fn id_is(statement: &mut Statement, kind: Kind, a: &str, id: i64) -> String {
    let (datastream, n) = split_id(id);
    match kind {
        Kind::Made => {
            let (datastream, n) = (int(statement, datastream), int(statement, n));
            format!("{a}.datastream_id = {datastream} AND {a}.n = {n}")
        }
        Kind::Refined => {
            let Ok(start) = Timestamp::from_second(n.saturating_mul(3600)) else {
                return "1 = 0".to_owned();
            };
            let datastream = int(statement, datastream);
            let start = statement.param(Param::time(start));
            format!("{a}.series_key = {datastream} AND {a}.start_time = {start}")
        }
        _ => {
            let id = int(statement, id);
            format!("{a}.id = {id}")
        }
    }
}

/// What a path names, as it is written in version 1.1.
pub(super) fn not_found(path: &ResourcePath) -> Fault {
    let mut what = path.root.set_name(Version::V1_1).to_owned();
    let mut add = |id: Option<i64>| {
        if let Some(id) = id {
            let _ = write!(what, "({id})");
        }
    };
    add(path.root_id);
    for step in &path.steps {
        what.push('/');
        what.push_str(step.relation.name(Version::V1_1));
        if let Some(id) = step.id {
            let _ = write!(what, "({id})");
        }
    }
    StaError::NotFound { what }.into()
}
