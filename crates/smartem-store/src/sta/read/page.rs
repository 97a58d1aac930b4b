//! Entities of a set, and one entity.

use smartem_sta::{Entity, EntityType, Page, Property, Query, Relation, SelectItem};

use crate::columns::to_count;
use crate::sta::error::Fault;
use crate::sta::sql::{Cell, Param, Row, Statement};

use super::compile::Compiler;
use super::locate::{One, Set, id_is};
use super::order::{Order, Position};
use super::relation::{to_many, to_one};
use super::table::{Columns, Kind, Terms};
use super::{Reader, rows};

/// What the rows of a statement have: the columns of a record, the ids that relations to one lead to, the
/// table of the observations of a datastream, and the terms of the order.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    columns: Columns,
    links: Vec<Relation>,
    has_stream: bool,
}

/// An entity that was read.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) entity: Entity,
    /// Where its relations to one lead that are expanded, in the order of the question.
    pub(super) links: Vec<Option<i64>>,
    /// Of a datastream whose observations are expanded: their table.
    pub(super) stream: Option<Kind>,
    /// Of an observation, the numbers of its texts.
    pub(super) terms: Option<Terms>,
    /// The values of the terms of the order.
    pub(super) key: Vec<Cell>,
}

impl Shape {
    pub(super) fn new(kind: Kind, query: &Query) -> Self {
        let is_origin = |item: &SelectItem| {
            matches!(
                item,
                SelectItem::Property(Property::ResultQuality | Property::Parameters, _)
            )
        };
        let expanded = query.expand.iter().map(|it| it.relation);
        let links = expanded.clone().filter(|it| !it.is_many).collect();
        let mut expanded = expanded;
        Self {
            columns: Columns {
                kind,
                with_origin: query.select.is_empty() || query.select.iter().any(is_origin),
            },
            links,
            has_stream: kind == Kind::Datastream
                && expanded.any(|it| it.to == EntityType::Observation),
        }
    }

    /// The columns.
    pub(super) fn select(&self, compiler: &mut Compiler) -> String {
        let node = compiler.root();
        let dialect = compiler.dialect();
        let series = if self.columns.kind == Kind::Datastream {
            compiler.series(&node)
        } else {
            String::new()
        };
        let mut list = self.columns.list(dialect, &node.alias, &series);
        for &link in &self.links {
            list.push_str(", ");
            list.push_str(&to_one(dialect, link, self.columns.kind, &node.alias));
        }
        if self.has_stream {
            list.push_str(", ");
            list.push_str(&node.alias);
            list.push_str(".is_refined");
        }
        list
    }

    /// How many columns there are before those of the order.
    pub(super) fn len(&self) -> usize {
        self.columns.len() + self.links.len() + usize::from(self.has_stream)
    }

    pub(super) fn read(&self, row: &Row) -> Result<Loaded, Fault> {
        let (id, record) = self.columns.record(row)?;
        let first = self.columns.len();
        let mut links = Vec::with_capacity(self.links.len());
        for at in 0..self.links.len() {
            links.push(row.optional_int(first + at)?);
        }
        let stream = if self.has_stream {
            let refined = row.bool(first + self.links.len())?;
            Some(if refined { Kind::Refined } else { Kind::Made })
        } else {
            None
        };
        let terms = if self.columns.kind.is_observation() {
            Some(Terms::read(row)?)
        } else {
            None
        };
        Ok(Loaded {
            terms,
            entity: Entity {
                id,
                record,
                expanded: Vec::new(),
            },
            links,
            stream,
            key: row.0.get(self.len()..).unwrap_or_default().to_vec(),
        })
    }
}

/// A compiler for the rows of a set, their table, and the relation that leads there with the id that it begins at.
type Within = (Compiler, Kind, Option<(Relation, String)>);

/// How much of a set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) top: u64,
    pub(super) skip: u64,
}

impl Reader<'_> {
    pub(super) fn top(&self, query: &Query, default: u64) -> u64 {
        query.top.unwrap_or(default).min(self.limits.top_max)
    }

    /// Entities of a set.
    pub(super) async fn page(&mut self, set: &Set, query: &Query) -> Result<Page, Fault> {
        if set.entity_type == EntityType::Observation {
            return self.observations(set, query).await;
        }
        let count = if query.count {
            Some(self.count(set, query).await?)
        } else {
            None
        };
        let top = self.top(query, self.limits.top_default);
        let (mut compiler, kind, parent) = self.within(set)?;
        let shape = Shape::new(kind, query);
        if let Some(filter) = &query.filter {
            compiler.filter(filter)?;
        }
        let parent = parent
            .as_ref()
            .map(|(relation, id)| (*relation, id.as_str()));
        let order = Order::new(&mut compiler, &query.order_by, parent, None)?;
        let mut extent = Extent {
            top,
            skip: query.skip.unwrap_or(0),
        };
        match order.position(query.after.as_ref())? {
            Position::Start => {}
            Position::After(values) => {
                let after = order.after(&mut compiler, &values);
                compiler.condition(after);
                extent.skip = 0;
            }
            Position::Skip(passed) => extent.skip = passed,
        }
        let statement = page_statement(compiler, &shape, &order, extent);
        let found = self.rows(&statement).await?;
        let loaded = found.iter().map(|row| shape.read(row));
        let loaded = loaded.collect::<Result<Vec<_>, _>>()?;
        self.finish(loaded, set.entity_type, query, &order, extent, count)
            .await
    }

    /// A compiler for the rows of a set that is in one table.
    pub(super) fn within(&self, set: &Set) -> Result<Within, Fault> {
        let kind = Kind::of(set.entity_type)
            .ok_or_else(|| super::invalid("observations are read otherwise", None))?;
        let mut compiler = Compiler::new(self.sql.dialect(), &self.limits, set.entity_type, kind);
        let mut parent = None;
        if let Some((relation, id)) = set.parent {
            let id = compiler.param(Param::int(id));
            let a = compiler.root().alias;
            let condition = to_many(compiler.dialect(), relation, &id, kind, &a);
            compiler.condition(condition);
            parent = Some((relation, id));
        }
        Ok((compiler, kind, parent))
    }

    /// The page of what was read, one entity more than it holds where there are more.
    pub(super) async fn finish(
        &mut self,
        mut loaded: Vec<Loaded>,
        entity_type: EntityType,
        query: &Query,
        order: &Order,
        extent: Extent,
        count: Option<u64>,
    ) -> Result<Page, Fault> {
        let next = cut(&mut loaded, order, extent);
        self.admit(loaded.len())?;
        self.expand(entity_type, &mut loaded, query, 1).await?;
        Ok(Page {
            entities: loaded.into_iter().map(|it| it.entity).collect(),
            count,
            next,
        })
    }

    /// How many entities a set has.
    pub(super) async fn count(&mut self, set: &Set, query: &Query) -> Result<u64, Fault> {
        if set.entity_type == EntityType::Observation {
            return self.count_observations(set, query).await;
        }
        let (mut compiler, _, _) = self.within(set)?;
        if let Some(filter) = &query.filter {
            compiler.filter(filter)?;
        }
        let from = compiler.from();
        let mut statement = compiler.statement;
        statement.text = format!("SELECT count(*) FROM {from}");
        self.number(&statement).await
    }

    pub(super) async fn number(&mut self, statement: &Statement) -> Result<u64, Fault> {
        let found = self.rows(statement).await?;
        let number = found.first().map(|row| row.optional_int(0)).transpose()?;
        Ok(number.flatten().map_or(0, to_count))
    }

    /// One entity; what the filter of the question leaves out is not there.
    pub(super) async fn entity(
        &mut self,
        one: One,
        query: &Query,
    ) -> Result<Option<Entity>, Fault> {
        let dialect = self.sql.dialect();
        let mut compiler = Compiler::new(dialect, &self.limits, one.entity_type, one.kind);
        let a = compiler.root().alias;
        let is = id_is(&mut compiler.statement, one.kind, &a, one.id);
        compiler.condition(is);
        if let Some(filter) = &query.filter {
            compiler.filter(filter)?;
        }
        let shape = Shape::new(one.kind, query);
        let list = shape.select(&mut compiler);
        let from = compiler.from();
        let mut statement = compiler.statement;
        statement.text = format!("SELECT {list} FROM {from}");
        let found = self.rows(&statement).await?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        let mut loaded = vec![shape.read(row)?];
        self.admit(1)?;
        self.expand(one.entity_type, &mut loaded, query, 1).await?;
        Ok(loaded.pop().map(|it| it.entity))
    }
}

/// Takes away what is more than the page; returns where to go on.
pub(super) fn cut(
    loaded: &mut Vec<Loaded>,
    order: &Order,
    extent: Extent,
) -> Option<smartem_sta::Cursor> {
    let top = usize::try_from(extent.top).unwrap_or(usize::MAX);
    if loaded.len() <= top {
        return None;
    }
    loaded.truncate(top);
    let last = loaded.last()?;
    let passed = extent.skip.saturating_add(extent.top);
    Some(order.cursor(&last.key, passed))
}

/// The rows of a page, and one more.
pub(super) fn page_statement(
    mut compiler: Compiler,
    shape: &Shape,
    order: &Order,
    extent: Extent,
) -> Statement {
    let list = shape.select(&mut compiler);
    let dialect = compiler.dialect();
    let limit = compiler.param(Param::int(rows(extent.top.saturating_add(1))));
    let offset = if extent.skip == 0 {
        String::new()
    } else {
        let skip = compiler.param(Param::int(rows(extent.skip)));
        format!(" OFFSET {skip}")
    };
    let text = format!(
        "SELECT {list}{} FROM {} ORDER BY {} LIMIT {limit}{offset}",
        order.columns(dialect),
        compiler.from(),
        order.clause(dialect)
    );
    let mut statement = compiler.statement;
    statement.text = text;
    statement
}
