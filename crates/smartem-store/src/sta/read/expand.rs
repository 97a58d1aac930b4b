//! Related entities within entities: one statement for each relation and level.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use smartem_sta::{Entity, EntityType, Expand, Expanded, Expansion, Page, Query};

use crate::columns::to_count;
use crate::sta::StaError;
use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Param, Row, Statement};

use super::compile::Compiler;
use super::locate::Stream;
use super::observations::Of;
use super::order::{Order, Position};
use super::page::{Extent, Loaded, Shape, cut, page_statement};
use super::relation::to_many;
use super::table::{BOTH, Kind, Terms, name_terms};
use super::{KEY, Reader};

/// Entities of a relation, by the entity that it leads from.
type ByParent = BTreeMap<i64, Page>;

impl Reader<'_> {
    /// Completes entities of one type, all of them together: their texts and the relations that are expanded.
    pub(super) fn expand<'a>(
        &'a mut self,
        entity_type: EntityType,
        loaded: &'a mut [Loaded],
        query: &'a Query,
        depth: usize,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            self.name(loaded).await?;
            if query.expand.is_empty() || loaded.is_empty() {
                return Ok(());
            }
            let deepest = self.limits.expand_depth;
            if depth > deepest {
                let detail = format!(
                    "$expand goes deeper than {deepest} levels; ask for the entities below in a question of \
                     their own"
                );
                return Err(StaError::TooMuch { detail }.into());
            }
            let mut link = 0;
            for expand in &query.expand {
                if expand.relation.is_many {
                    self.expand_many(entity_type, loaded, expand, depth).await?;
                } else {
                    self.expand_one(loaded, expand, link, depth).await?;
                    link += 1;
                }
            }
            Ok(())
        }
        .boxed()
    }

    /// Gives observations the texts that their rows only have the numbers of.
    async fn name(&mut self, loaded: &mut [Loaded]) -> Result<(), Fault> {
        let numbers = loaded.iter().filter_map(|it| it.terms);
        let numbers: BTreeSet<i64> = numbers.flat_map(Terms::numbers).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let dialect = self.sql.dialect();
        let mut statement = Statement::new(dialect);
        let numbers = statement.param(Param::Ints(numbers.into_iter().collect()));
        let table = dialect.other_table("smartem", "term");
        let among = match dialect {
            Dialect::Sqlite => format!("key IN (SELECT value FROM json_each({numbers}))"),
            Dialect::Postgres => format!("key = ANY({numbers})"),
        };
        statement.text = format!("SELECT key, text FROM {table} WHERE {among}");
        let mut texts = HashMap::new();
        for row in self.rows(&statement).await? {
            texts.insert(row.int(0)?, row.text(1)?.into());
        }
        for it in loaded {
            if let Some(terms) = it.terms {
                name_terms(&mut it.entity.record, terms, &texts);
            }
        }
        Ok(())
    }

    async fn expand_one(
        &mut self,
        loaded: &mut [Loaded],
        expand: &Expand,
        link: usize,
        depth: usize,
    ) -> Result<(), Fault> {
        let target = |it: &Loaded| it.links.get(link).copied().flatten();
        let ids: BTreeSet<i64> = loaded.iter().filter_map(target).collect();
        let found = self.by_ids(expand, ids, depth).await?;
        let given = loaded.iter().filter(|it| target(it).is_some()).count();
        self.admit(given)?;
        for it in loaded.iter_mut() {
            let one = target(it).and_then(|id| found.get(&id).cloned());
            it.entity.expanded.push(Expanded {
                relation: expand.relation,
                content: Expansion::One(one.map(Box::new)),
            });
        }
        Ok(())
    }

    async fn by_ids(
        &mut self,
        expand: &Expand,
        ids: BTreeSet<i64>,
        depth: usize,
    ) -> Result<HashMap<i64, Entity>, Fault> {
        let (to, query) = (expand.relation.to, &expand.query);
        let Some(kind) = Kind::of(to).filter(|_| !ids.is_empty()) else {
            return Ok(HashMap::new());
        };
        let dialect = self.sql.dialect();
        let mut compiler = Compiler::new(dialect, &self.limits, to, kind);
        let ids = compiler.param(Param::Ints(ids.into_iter().collect()));
        compiler.condition(match dialect {
            Dialect::Sqlite => format!("e.id IN (SELECT value FROM json_each({ids}))"),
            Dialect::Postgres => format!("e.id = ANY({ids})"),
        });
        if let Some(filter) = &query.filter {
            compiler.filter(filter)?;
        }
        let shape = Shape::new(kind, query);
        let list = shape.select(&mut compiler);
        let from = compiler.from();
        let mut statement = compiler.statement;
        statement.text = format!("SELECT {list} FROM {from}");
        let rows = self.rows(&statement).await?;
        let loaded = rows.iter().map(|row| shape.read(row));
        let mut loaded = loaded.collect::<Result<Vec<_>, _>>()?;
        self.expand(to, &mut loaded, query, depth + 1).await?;
        Ok(loaded
            .into_iter()
            .map(|it| (it.entity.id, it.entity))
            .collect())
    }

    async fn expand_many(
        &mut self,
        entity_type: EntityType,
        loaded: &mut [Loaded],
        expand: &Expand,
        depth: usize,
    ) -> Result<(), Fault> {
        let mut pages = self.pages(entity_type, loaded, expand, depth).await?;
        let distinct: BTreeSet<i64> = loaded.iter().map(|it| it.entity.id).collect();
        let is_distinct = distinct.len() == loaded.len();
        for it in loaded.iter_mut() {
            let id = it.entity.id;
            let page = if is_distinct {
                pages.remove(&id)
            } else {
                let again = pages.get(&id).cloned();
                self.admit(again.as_ref().map_or(0, |page| page.entities.len()))?;
                again
            };
            let empty = || Page {
                count: expand.query.count.then_some(0),
                ..Page::default()
            };
            it.entity.expanded.push(Expanded {
                relation: expand.relation,
                content: Expansion::Many(page.unwrap_or_else(empty)),
            });
        }
        Ok(())
    }

    /// The pages of a relation to many from each of some entities.
    async fn pages(
        &mut self,
        entity_type: EntityType,
        loaded: &[Loaded],
        expand: &Expand,
        depth: usize,
    ) -> Result<ByParent, Fault> {
        let (relation, query) = (expand.relation, &expand.query);
        let mut pages = ByParent::new();
        // Datastreams by the table of their observations; others have one statement for all.
        let groups: Vec<(Option<Kind>, Vec<i64>)> =
            if relation.to == EntityType::Observation && entity_type != EntityType::Feature {
                let of = |kind| {
                    (
                        Some(kind),
                        ids(loaded.iter().filter(|it| it.stream == Some(kind))),
                    )
                };
                BOTH.map(of).into()
            } else {
                vec![(None, ids(loaded.iter()))]
            };
        let extent = Extent {
            top: self.top(query, self.limits.expanded_default),
            skip: query.skip.unwrap_or(0),
        };
        for (kind, keys) in groups {
            if keys.is_empty() {
                continue;
            }
            if query.count {
                for (key, count) in self.counts(expand, kind, &keys).await? {
                    pages.entry(key).or_default().count = Some(count);
                }
            }
            if extent.top > 0 {
                self.fill(expand, kind, &keys, extent, depth, &mut pages)
                    .await?;
            }
        }
        Ok(pages)
    }

    /// Reads the entities of each key.
    async fn fill(
        &mut self,
        expand: &Expand,
        kind: Option<Kind>,
        keys: &[i64],
        extent: Extent,
        depth: usize,
        pages: &mut ByParent,
    ) -> Result<(), Fault> {
        let (to, query) = (expand.relation.to, &expand.query);
        let (statement, shape, order) = self.each_statement(expand, kind, extent)?;
        // One more of each key tells whether there are others.
        let left = self.limits.entities_max.saturating_sub(self.entities);
        let most = (left as u64)
            .saturating_add(keys.len() as u64)
            .saturating_add(1);
        let mut parents = Vec::new();
        let mut children = Vec::new();
        let mut of_key: Vec<Loaded> = Vec::new();
        let mut key = None;
        let mut close = |reader: &mut Self, key: Option<i64>, mut all: Vec<Loaded>| {
            let Some(key) = key else {
                return Ok(());
            };
            let next = cut(&mut all, &order, extent);
            reader.admit(all.len())?;
            pages.entry(key).or_default().next = next;
            parents.extend(all.iter().map(|_| key));
            children.append(&mut all);
            Ok::<_, Fault>(())
        };
        for mut row in self.rows_each(&statement, keys, most).await? {
            let of = row.int(0)?;
            row.0.remove(0);
            if key != Some(of) {
                close(self, key, std::mem::take(&mut of_key))?;
                key = Some(of);
            }
            of_key.push(shape.read(&row)?);
        }
        close(self, key, of_key)?;
        self.expand(to, &mut children, query, depth + 1).await?;
        for (key, child) in parents.into_iter().zip(children) {
            pages.entry(key).or_default().entities.push(child.entity);
        }
        Ok(())
    }

    /// A page of each key, and one more.
    fn each_statement(
        &self,
        expand: &Expand,
        kind: Option<Kind>,
        extent: Extent,
    ) -> Result<(Statement, Shape, Order), Fault> {
        let (relation, query) = (expand.relation, &expand.query);
        let dialect = self.sql.dialect();
        if relation.to == EntityType::Observation {
            let stream = kind.map(|kind| Stream { id: 0, kind });
            let of = if kind.is_some() {
                Of::Stream
            } else {
                Of::Key(relation)
            };
            let kinds = kind.as_ref().map_or(&BOTH[..], std::slice::from_ref);
            let start = Position::Start;
            let (statement, shape) =
                self.merged_statement(of, kinds, query, &start, stream, extent)?;
            let mut compiler = Compiler::new(dialect, &self.limits, relation.to, kinds[0]);
            let order = Order::new(&mut compiler, &query.order_by, None, stream)?;
            return Ok((statement, shape, order));
        }
        let (mut compiler, kind) = self.of_key(expand)?;
        let shape = Shape::new(kind, query);
        let order = Order::new(&mut compiler, &query.order_by, Some((relation, KEY)), None)?;
        let statement = page_statement(compiler, &shape, &order, extent);
        Ok((statement, shape, order))
    }

    fn of_key(&self, expand: &Expand) -> Result<(Compiler, Kind), Fault> {
        let (relation, query) = (expand.relation, &expand.query);
        let kind = Kind::of(relation.to)
            .ok_or_else(|| super::invalid("observations are read otherwise", None))?;
        let dialect = self.sql.dialect();
        let mut compiler = Compiler::new(dialect, &self.limits, relation.to, kind);
        compiler.condition(to_many(dialect, relation, KEY, kind, "e"));
        if let Some(filter) = &query.filter {
            compiler.filter(filter)?;
        }
        Ok((compiler, kind))
    }

    /// How many entities each key has.
    async fn counts(
        &mut self,
        expand: &Expand,
        kind: Option<Kind>,
        keys: &[i64],
    ) -> Result<Vec<(i64, u64)>, Fault> {
        let (relation, query) = (expand.relation, &expand.query);
        let dialect = self.sql.dialect();
        let new = || Statement::new(dialect);
        let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
        let mut statements = Vec::new();
        if relation.to != EntityType::Observation {
            let (compiler, _) = self.of_key(expand)?;
            statements.push(counting(compiler));
        } else if kind.is_some() && query.filter.is_none() {
            statements.push(maintained(dialect));
        } else {
            for table in BOTH {
                let of = match kind {
                    Some(kind) if kind != table => continue,
                    Some(_) => Of::Stream,
                    None => Of::Key(relation),
                };
                let compiler = self.arm(new(), of, table, query.filter.as_ref())?;
                statements.push(counting(compiler));
            }
        }
        for statement in statements {
            for row in self.rows_each(&statement, keys, keys.len() as u64).await? {
                *counts.entry(row.int(0)?).or_default() += to_count(row.int(1)?);
            }
        }
        Ok(counts.into_iter().collect())
    }

    /// The rows of a statement for each key, no more than `most` of all.
    pub(super) async fn rows_each(
        &mut self,
        statement: &Statement,
        keys: &[i64],
        most: u64,
    ) -> Result<Vec<Row>, Fault> {
        self.sql
            .query_each(&statement.text, keys, &statement.params, most)
            .await
    }
}

fn ids<'a>(loaded: impl Iterator<Item = &'a Loaded>) -> Vec<i64> {
    let ids: BTreeSet<i64> = loaded.map(|it| it.entity.id).collect();
    ids.into_iter().collect()
}

fn counting(compiler: Compiler) -> Statement {
    let from = compiler.from();
    let mut statement = compiler.statement;
    statement.text = format!("SELECT count(*) FROM {from} LIMIT 1");
    statement
}

/// The counts that datastreams keep.
fn maintained(dialect: Dialect) -> Statement {
    let mut statement = Statement::new(dialect);
    let datastream = dialect.table("datastream");
    let series = dialect.other_table("smartem_refined", "series");
    statement.text = format!(
        "SELECT COALESCE(s.observations, d.observations) FROM {datastream} d \
         LEFT JOIN {series} s ON s.key = d.id WHERE d.id = {KEY} LIMIT 1"
    );
    statement
}
