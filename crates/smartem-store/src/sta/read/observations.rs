//! Pages and counts of observations.
//!
//! Those of one datastream are read along the key of its table. All observations are in the order of their
//! datastreams, so a page of them is read from those datastreams only that it takes, which the counts of
//! datastreams tell. For another order each table gives as many as a page takes, and they are merged.

use smartem_sta::{BinaryOp, EntityType, Expr, ExprKind, Literal, Page, Property, Query, Record};

use crate::columns::to_count;
use crate::sta::error::Fault;
use crate::sta::sql::{Cell, Param, Statement};

use super::compile::Compiler;
use super::locate::{Set, Stream};
use super::order::{Order, Position};
use super::page::{Extent, Loaded, Shape, page_statement};
use super::relation::to_many;
use super::table::{BOTH, Kind, split_id};
use super::{KEY, Reader, rows};

/// Datastreams that are looked at in one go.
const STREAMS: usize = 1000;
/// Beyond so many rows that are skipped among filtered ones, the database skips them.
const SKIPPED_MAX: u64 = 20_000;

/// Which observations of a table.
#[derive(Clone, Copy)]
pub(super) enum Of<'a> {
    /// Those of a set.
    Set(&'a Set),
    /// Those that a relation leads to from the entity that [`KEY`] stands for.
    Key(smartem_sta::Relation),
    /// Those of the datastream that [`KEY`] stands for.
    Stream,
}

/// A datastream with how many observations it has and how many are before those.
pub(super) struct Counted {
    pub(super) stream: Stream,
    pub(super) observations: u64,
    before: u64,
}

impl Reader<'_> {
    /// Observations of a set.
    pub(super) async fn observations(&mut self, set: &Set, query: &Query) -> Result<Page, Fault> {
        let count = if query.count {
            Some(self.count_observations(set, query).await?)
        } else {
            None
        };
        let Some(set) = self.narrowed(set, query).await? else {
            return Ok(Page {
                count,
                ..Page::default()
            });
        };
        let mut extent = Extent {
            top: self.top(query, self.limits.top_default),
            skip: query.skip.unwrap_or(0),
        };
        let order = self.order(&set, query)?;
        let position = order.position(query.after.as_ref())?;
        match &position {
            Position::Start => {}
            Position::After(_) => extent.skip = 0,
            Position::Skip(passed) => extent.skip = *passed,
        }
        let is_walk = set.stream.is_none() && set.parent.is_none() && query.order_by.is_empty();
        let is_near = query.filter.is_none() || extent.skip <= SKIPPED_MAX;
        let is_of_all = set.stream.is_none() && set.parent.is_none();
        let loaded = if is_walk && is_near {
            self.walk(query, &position, extent).await?
        } else if let Some(is_descending) = super::by_time::direction(query)
            && is_of_all
            && extent.skip <= SKIPPED_MAX
        {
            self.by_time(query, &position, extent, is_descending)
                .await?
        } else {
            self.merged(&set, query, &position, extent).await?
        };
        self.finish(
            loaded,
            EntityType::Observation,
            query,
            &order,
            extent,
            count,
        )
        .await
    }

    /// The set with its datastream where the filter tells which; `None` where there is no such.
    pub(super) async fn narrowed(
        &mut self,
        set: &Set,
        query: &Query,
    ) -> Result<Option<Set>, Fault> {
        let told = query.filter.as_ref().and_then(stream_of);
        let (None, Some(id)) = (set.stream, told) else {
            return Ok(Some(*set));
        };
        let stream = self.stream(id).await?;
        Ok(stream.map(|stream| Set {
            stream: Some(stream),
            ..*set
        }))
    }

    /// The order of a set, for its cursors.
    fn order(&self, set: &Set, query: &Query) -> Result<Order, Fault> {
        let kind = set.stream.map_or(Kind::Made, |it| it.kind);
        let dialect = self.sql.dialect();
        let mut compiler = Compiler::new(dialect, &self.limits, EntityType::Observation, kind);
        Order::new(&mut compiler, &query.order_by, None, set.stream)
    }

    /// The conditions on the rows of one table.
    pub(super) fn arm(
        &self,
        statement: Statement,
        of: Of<'_>,
        kind: Kind,
        filter: Option<&Expr>,
    ) -> Result<Compiler, Fault> {
        let mut compiler = Compiler::within(statement, &self.limits, EntityType::Observation, kind);
        let (dialect, a) = (compiler.dialect(), compiler.root().alias);
        let column = kind.datastream_column();
        match of {
            Of::Stream => compiler.condition(format!("{a}.{column} = {KEY}")),
            Of::Key(relation) => compiler.condition(to_many(dialect, relation, KEY, kind, &a)),
            Of::Set(set) => {
                if let Some(stream) = set.stream {
                    let id = compiler.param(Param::int(stream.id));
                    compiler.condition(format!("{a}.{column} = {id}"));
                }
                if let Some((relation, id)) = set.parent
                    && relation.from == EntityType::Feature
                {
                    let id = compiler.param(Param::int(id));
                    compiler.condition(to_many(dialect, relation, &id, kind, &a));
                }
            }
        }
        if let Some(filter) = filter {
            compiler.filter(filter)?;
        }
        Ok(compiler)
    }

    /// A page, the databases' order; of two tables merged.
    async fn merged(
        &mut self,
        set: &Set,
        query: &Query,
        position: &Position,
        extent: Extent,
    ) -> Result<Vec<Loaded>, Fault> {
        let kinds: &[Kind] = match &set.stream {
            Some(stream) => std::slice::from_ref(&stream.kind),
            None => &BOTH,
        };
        let (statement, shape) =
            self.merged_statement(Of::Set(set), kinds, query, position, set.stream, extent)?;
        let found = self.rows(&statement).await?;
        found.iter().map(|row| shape.read(row)).collect()
    }

    /// A page of one table or both, and one more.
    pub(super) fn merged_statement(
        &self,
        of: Of<'_>,
        kinds: &[Kind],
        query: &Query,
        position: &Position,
        stream: Option<Stream>,
        extent: Extent,
    ) -> Result<(Statement, Shape), Fault> {
        let dialect = self.sql.dialect();
        let mut statement = Statement::new(dialect);
        let mut arms = Vec::new();
        let shape = Shape::new(kinds[0], query);
        let mut terms = None;
        for &kind in kinds {
            let shape = Shape::new(kind, query);
            let mut compiler = self.arm(statement, of, kind, query.filter.as_ref())?;
            let order = Order::new(&mut compiler, &query.order_by, None, stream)?;
            if let Position::After(values) = position {
                let after = order.after(&mut compiler, values);
                compiler.condition(after);
            }
            if kinds.len() == 1 {
                return Ok((page_statement(compiler, &shape, &order, extent), shape));
            }
            let all = Extent {
                top: extent.top.saturating_add(extent.skip),
                skip: 0,
            };
            statement = page_statement(compiler, &shape, &order, all);
            arms.push(format!(
                "SELECT * FROM ({}) arm{}",
                statement.text,
                arms.len()
            ));
            terms = Some(order);
        }
        let clause = terms.map_or_else(String::new, |order| {
            order.clause_at(dialect, shape.len() + 1)
        });
        let limit = statement.param(Param::int(rows(extent.top.saturating_add(1))));
        let skip = statement.param(Param::int(rows(extent.skip)));
        statement.text = format!(
            "SELECT * FROM ({}) merged ORDER BY {clause} LIMIT {limit} OFFSET {skip}",
            arms.join(" UNION ALL ")
        );
        Ok((statement, shape))
    }

    /// A page of all observations in the order of datastreams.
    async fn walk(
        &mut self,
        query: &Query,
        position: &Position,
        extent: Extent,
    ) -> Result<Vec<Loaded>, Fault> {
        let mut wanted = extent.top.saturating_add(1);
        let mut skip = extent.skip;
        let mut found = Vec::new();
        let mut next = i64::MIN;
        if let Position::After(values) = position
            && let Some(id) = values.first().and_then(serde_json::Value::as_i64)
        {
            found = self.rest_of_stream(id, query, values, wanted).await?;
            next = id.saturating_add(1);
        }
        let is_counted = query.filter.is_none();
        if !is_counted {
            wanted = wanted.saturating_add(skip);
        }
        loop {
            let missing = wanted.saturating_sub(found.len() as u64);
            let to_skip = if is_counted { skip } else { 0 };
            let streams = self.streams(next, to_skip).await?;
            let Some(last) = streams.last() else {
                break;
            };
            next = last.stream.id.saturating_add(1);
            let is_last = streams.len() < STREAMS;
            if is_counted {
                let taken = self.counted(query, &streams, skip, missing).await?;
                skip = 0;
                found.extend(taken);
            } else {
                let all: Vec<Stream> = streams.iter().map(|it| it.stream).collect();
                found.extend(self.of_streams(query, &all, missing).await?);
            }
            if is_last || found.len() as u64 >= wanted {
                break;
            }
        }
        if !is_counted {
            let skipped = usize::try_from(extent.skip).unwrap_or(usize::MAX);
            found.drain(..skipped.min(found.len()));
        }
        Ok(found)
    }

    /// What comes after a place within its datastream.
    async fn rest_of_stream(
        &mut self,
        id: i64,
        query: &Query,
        values: &[serde_json::Value],
        wanted: u64,
    ) -> Result<Vec<Loaded>, Fault> {
        let Some(stream) = self.stream(id).await? else {
            return Ok(Vec::new());
        };
        let set = of_stream(stream);
        // The place within a datastream has no datastream; of a refined one its start tells all.
        let within = match stream.kind {
            Kind::Refined => values.get(1..2),
            _ => values.get(1..),
        };
        let position = Position::After(within.unwrap_or_default().to_vec());
        let extent = Extent {
            top: wanted.saturating_sub(1),
            skip: 0,
        };
        let mut loaded = self.merged(&set, query, &position, extent).await?;
        loaded.iter_mut().for_each(place_among_all);
        Ok(loaded)
    }

    /// The datastreams that have observations, from an id on, leaving out those that are skipped whole.
    pub(super) async fn streams(&mut self, from: i64, skip: u64) -> Result<Vec<Counted>, Fault> {
        let dialect = self.sql.dialect();
        let mut statement = Statement::new(dialect);
        let datastream = dialect.table("datastream");
        let series = dialect.other_table("smartem_refined", "series");
        let from = statement.param(Param::int(from));
        let counted = format!(
            "SELECT d.id, d.is_refined, COALESCE(s.observations, d.observations) AS own \
             FROM {datastream} d LEFT JOIN {series} s ON s.key = d.id WHERE d.id >= {from}"
        );
        let limit = statement.param(Param::int(rows(STREAMS as u64)));
        statement.text = if skip == 0 {
            format!("SELECT c.*, 0 FROM ({counted}) c WHERE own > 0 ORDER BY id LIMIT {limit}")
        } else {
            let skip = statement.param(Param::int(rows(skip)));
            let sum = match dialect {
                crate::sta::sql::Dialect::Sqlite => "sum(own) OVER (ORDER BY id)",
                crate::sta::sql::Dialect::Postgres => "(sum(own) OVER (ORDER BY id))::bigint",
            };
            format!(
                "SELECT id, is_refined, own, upto - own FROM \
                 (SELECT c.*, {sum} AS upto FROM ({counted}) c) w \
                 WHERE own > 0 AND upto > {skip} ORDER BY id LIMIT {limit}"
            )
        };
        let found = self.rows(&statement).await?;
        let counted = found.iter().map(|row| {
            Ok(Counted {
                stream: Stream {
                    id: row.int(0)?,
                    kind: if row.bool(1)? {
                        Kind::Refined
                    } else {
                        Kind::Made
                    },
                },
                observations: to_count(row.int(2)?),
                before: to_count(row.int(3)?),
            })
        });
        counted.collect()
    }

    /// Observations of the datastreams that a page takes, `skip` of all being left out.
    async fn counted(
        &mut self,
        query: &Query,
        streams: &[Counted],
        skip: u64,
        wanted: u64,
    ) -> Result<Vec<Loaded>, Fault> {
        let mut found = Vec::new();
        let Some(first) = streams.first() else {
            return Ok(found);
        };
        let within = skip.saturating_sub(first.before);
        let mut rest = streams;
        if within > 0 {
            let extent = Extent {
                top: wanted.saturating_sub(1),
                skip: within,
            };
            let set = of_stream(first.stream);
            found = self.merged(&set, query, &Position::Start, extent).await?;
            found.iter_mut().for_each(place_among_all);
            rest = &streams[1..];
        }
        let mut missing = wanted.saturating_sub(found.len() as u64);
        let mut taken = Vec::new();
        let all = missing;
        for counted in rest {
            if missing == 0 {
                break;
            }
            taken.push(counted.stream);
            missing = missing.saturating_sub(counted.observations);
        }
        found.extend(self.of_streams(query, &taken, all).await?);
        Ok(found)
    }

    /// The first observations of some datastreams together, in their order.
    async fn of_streams(
        &mut self,
        query: &Query,
        streams: &[Stream],
        wanted: u64,
    ) -> Result<Vec<Loaded>, Fault> {
        let mut found = Vec::new();
        let extent = Extent {
            top: wanted.saturating_sub(1),
            skip: 0,
        };
        for kind in BOTH {
            let keys: Vec<i64> = streams
                .iter()
                .filter(|it| it.kind == kind)
                .map(|it| it.id)
                .collect();
            if keys.is_empty() || wanted == 0 {
                continue;
            }
            let stream = Some(Stream { id: 0, kind });
            let (statement, shape) = self.merged_statement(
                Of::Stream,
                &[kind],
                query,
                &Position::Start,
                stream,
                extent,
            )?;
            for mut row in self.rows_each(&statement, &keys, wanted).await? {
                row.0.remove(0);
                let mut loaded = shape.read(&row)?;
                place_among_all(&mut loaded);
                found.push(loaded);
            }
        }
        found.sort_by_cached_key(place);
        found.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// How many observations a set has.
    pub(super) async fn count_observations(
        &mut self,
        set: &Set,
        query: &Query,
    ) -> Result<u64, Fault> {
        let Some(set) = self.narrowed(set, query).await? else {
            return Ok(0);
        };
        let is_all_of_feature = set.stream.is_none() && set.parent.is_some();
        if query.filter.is_none() && !is_all_of_feature {
            return self.maintained_count(set.stream).await;
        }
        let mut count = 0;
        for kind in BOTH {
            if set.stream.is_some_and(|it| it.kind != kind) {
                continue;
            }
            let statement = self.count_statement(&set, kind, query.filter.as_ref())?;
            count += self.number(&statement).await?;
        }
        Ok(count)
    }

    /// Along the keys of datastreams where it is not along one, so that bounds of the time lead there.
    fn count_statement(
        &self,
        set: &Set,
        kind: Kind,
        filter: Option<&Expr>,
    ) -> Result<Statement, Fault> {
        let dialect = self.sql.dialect();
        let new = Statement::new(dialect);
        if set.stream.is_some() || set.parent.is_some() {
            let compiler = self.arm(new, Of::Set(set), kind, filter)?;
            let from = compiler.from();
            let mut statement = compiler.statement;
            statement.text = format!("SELECT count(*) FROM {from}");
            return Ok(statement);
        }
        let compiler = self.arm(new, Of::Stream, kind, filter)?;
        let from = compiler.from().replace(KEY, "each_stream.id");
        let mut statement = compiler.statement;
        let (datastream, not, cast) = match dialect {
            crate::sta::sql::Dialect::Sqlite => (dialect.table("datastream"), "NOT ", ""),
            crate::sta::sql::Dialect::Postgres => (dialect.table("datastream"), "NOT ", "::bigint"),
        };
        let not = if kind == Kind::Refined { "" } else { not };
        statement.text = format!(
            "SELECT sum((SELECT count(*) FROM {from})){cast} FROM {datastream} each_stream \
             WHERE {not}each_stream.is_refined"
        );
        Ok(statement)
    }

    /// Of one datastream, or all.
    async fn maintained_count(&mut self, stream: Option<Stream>) -> Result<u64, Fault> {
        let dialect = self.sql.dialect();
        let mut statement = Statement::new(dialect);
        let datastream = dialect.table("datastream");
        let series = dialect.other_table("smartem_refined", "series");
        let only = match stream {
            Some(stream) => {
                let id = statement.param(Param::int(stream.id));
                format!(" WHERE d.id = {id}")
            }
            None => String::new(),
        };
        let sum = match dialect {
            crate::sta::sql::Dialect::Sqlite => "sum(COALESCE(s.observations, d.observations))",
            crate::sta::sql::Dialect::Postgres => {
                "sum(COALESCE(s.observations, d.observations))::bigint"
            }
        };
        statement.text =
            format!("SELECT {sum} FROM {datastream} d LEFT JOIN {series} s ON s.key = d.id{only}");
        self.number(&statement).await
    }
}

fn of_stream(stream: Stream) -> Set {
    Set {
        entity_type: EntityType::Observation,
        parent: None,
        stream: Some(stream),
    }
}

/// Datastream, start in microseconds and number of an observation: its place among all.
fn place(loaded: &Loaded) -> (i64, i64, i64) {
    let (datastream, n) = split_id(loaded.entity.id);
    let start = match &loaded.entity.record {
        Record::Observation(it) => it.phenomenon_time.start().as_microsecond(),
        _ => 0,
    };
    (datastream, start, n)
}

/// Gives an observation that was read within its datastream its place among all.
fn place_among_all(loaded: &mut Loaded) {
    let (datastream, start, n) = place(loaded);
    loaded.key = vec![Cell::Int(datastream), Cell::Int(start), Cell::Int(n)];
}

/// The datastream that a filter tells, as `Datastream/id eq 5` or `id eq 5` does.
fn stream_of(filter: &Expr) -> Option<i64> {
    let ExprKind::Binary(op, left, right) = &filter.kind else {
        return None;
    };
    match op {
        BinaryOp::And => stream_of(left).or_else(|| stream_of(right)),
        BinaryOp::Eq => match (&left.kind, &right.kind) {
            (ExprKind::Path(path), ExprKind::Literal(Literal::Int(id)))
            | (ExprKind::Literal(Literal::Int(id)), ExprKind::Path(path))
                if path.property == Property::Id && path.outer == 0 =>
            {
                match path.relations.as_slice() {
                    [] => Some(split_id(*id).0),
                    [one] if one.to != EntityType::Feature => Some(*id),
                    _ => None,
                }
            }
            _ => None,
        },
        _ => None,
    }
}
