//! Rows of all entities of a set, one after the other, of which no more than a part is in memory.

use smartem_sta::{EntityType, Expr};

use crate::sta::StaError;
use crate::sta::error::Fault;
use crate::sta::sql::{Param, Row, Statement};

use super::compile::Compiler;
use super::locate::{Set, Stream};
use super::observations::{Counted, Of};
use super::table::Kind;
use super::{KEY, Reader, rows};

/// Rows that are read at once.
const CHUNK: u64 = 20_000;

/// What is read of each row: SQL for the columns.
pub(super) type Columns<'a> =
    dyn Fn(&mut Compiler) -> Result<Vec<String>, Fault> + Send + Sync + 'a;

/// Takes a row; of observations with their datastream, else 0. `false`: it is enough.
pub(super) type Taker<'a> = dyn FnMut(i64, &Row) -> Result<bool, Fault> + Send + 'a;

/// Where a scan of observations begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct From {
    /// In this datastream.
    pub(super) stream: i64,
    /// From this start on, in microseconds.
    pub(super) start: i64,
}

/// What is scanned, and how far that came.
pub(super) struct Scan<'a> {
    pub(super) set: &'a Set,
    pub(super) filters: Vec<&'a Expr>,
    pub(super) columns: &'a Columns<'a>,
    pub(super) from: Option<From>,
    /// Rows so far.
    pub(super) scanned: u64,
}

impl Reader<'_> {
    /// Gives the rows of a set: observations by datastream, start and number, others by id. Each begins with the
    /// columns of its place (two of an observation, one of others), then come those that were asked for.
    pub(super) async fn scan(
        &mut self,
        scan: &mut Scan<'_>,
        take: &mut Taker<'_>,
    ) -> Result<(), Fault> {
        if scan.set.entity_type != EntityType::Observation {
            return self.scan_entities(scan, take).await;
        }
        if let Some(stream) = scan.set.stream {
            let from = scan.from.map(|it| it.start);
            self.scan_stream(scan, stream, from, take).await?;
            return Ok(());
        }
        let mut next = i64::MIN;
        if let Some(from) = scan.from {
            next = from.stream.saturating_add(1);
            if let Some(stream) = self.stream(from.stream).await?
                && !self
                    .scan_stream(scan, stream, Some(from.start), take)
                    .await?
            {
                return Ok(());
            }
        }
        loop {
            let streams = self.streams(next, 0).await?;
            let Some(last) = streams.last() else {
                return Ok(());
            };
            next = last.stream.id.saturating_add(1);
            for group in groups(&streams) {
                if !self.scan_group(scan, group, take).await? {
                    return Ok(());
                }
            }
        }
    }

    async fn scan_entities(
        &mut self,
        scan: &mut Scan<'_>,
        take: &mut Taker<'_>,
    ) -> Result<(), Fault> {
        let mut after = i64::MIN;
        loop {
            let (mut compiler, _, _) = self.within(scan.set)?;
            for filter in &scan.filters {
                compiler.filter(filter)?;
            }
            let place = compiler.param(Param::int(after));
            let a = compiler.root().alias;
            compiler.condition(format!("{a}.id > {place}"));
            let order = format!("{a}.id");
            let statement = chunk(compiler, scan.columns, &order, &order)?;
            let found = self.rows(&statement).await?;
            self.note(scan, found.len())?;
            for row in &found {
                after = row.int(0)?;
                if !take(0, row)? {
                    return Ok(());
                }
            }
            if (found.len() as u64) < CHUNK {
                return Ok(());
            }
        }
    }

    /// Observations of one datastream.
    async fn scan_stream(
        &mut self,
        scan: &mut Scan<'_>,
        stream: Stream,
        from: Option<i64>,
        take: &mut Taker<'_>,
    ) -> Result<bool, Fault> {
        let mut after: Option<(i64, i64)> = None;
        let set = Set {
            stream: Some(stream),
            ..*scan.set
        };
        loop {
            let new = Statement::new(self.sql.dialect());
            let mut compiler = self.scanned(new, Of::Set(&set), stream.kind, scan)?;
            if let Some(from) = from.filter(|_| after.is_none()) {
                let from = compiler.param(Param::Time(Some(from)));
                compiler.condition(format!("e.start_time >= {from}"));
            }
            if let Some((start, n)) = after {
                let start = compiler.param(Param::Time(Some(start)));
                let condition = if stream.kind == Kind::Refined {
                    format!("e.start_time > {start}")
                } else {
                    let n = compiler.param(Param::int(n));
                    format!("(e.start_time, e.n) > ({start}, {n})")
                };
                compiler.condition(condition);
            }
            let statement = observation_chunk(compiler, stream.kind, scan.columns)?;
            let found = self.rows(&statement).await?;
            self.note(scan, found.len())?;
            for row in &found {
                after = Some((row.int(0)?, row.int(1)?));
                if !take(stream.id, row)? {
                    return Ok(false);
                }
            }
            if (found.len() as u64) < CHUNK {
                return Ok(true);
            }
        }
    }

    /// Observations of some datastreams of one table that have few, all of them at once.
    async fn scan_group(
        &mut self,
        scan: &mut Scan<'_>,
        group: &[Counted],
        take: &mut Taker<'_>,
    ) -> Result<bool, Fault> {
        if let [one] = group {
            return self.scan_stream(scan, one.stream, None, take).await;
        }
        let Some(first) = group.first() else {
            return Ok(true);
        };
        let new = Statement::new(self.sql.dialect());
        let mut compiler = self.scanned(new, Of::Set(scan.set), first.stream.kind, scan)?;
        let column = first.stream.kind.datastream_column();
        compiler.condition(format!("e.{column} = {KEY}"));
        let statement = observation_chunk(compiler, first.stream.kind, scan.columns)?;
        let keys: Vec<i64> = group.iter().map(|it| it.stream.id).collect();
        let found = self.rows_each(&statement, &keys, u64::MAX).await?;
        self.note(scan, found.len())?;
        for mut row in found {
            let stream = row.int(0)?;
            row.0.remove(0);
            if !take(stream, &row)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn scanned(
        &self,
        statement: Statement,
        of: Of<'_>,
        kind: Kind,
        scan: &Scan<'_>,
    ) -> Result<Compiler, Fault> {
        let mut compiler = self.arm(statement, of, kind, None)?;
        for filter in &scan.filters {
            compiler.filter(filter)?;
        }
        Ok(compiler)
    }

    /// Counts rows that were looked at.
    fn note(&self, scan: &mut Scan<'_>, more: usize) -> Result<(), Fault> {
        scan.scanned = scan.scanned.saturating_add(more as u64);
        let most = self.limits.scanned_max;
        if scan.scanned <= most {
            return Ok(());
        }
        let detail = format!(
            "this takes more than {most} rows; ask for less with a $filter, for example of a datastream or of \
             phenomenonTime"
        );
        Err(StaError::TooMuch { detail }.into())
    }
}

/// Neighbours of one table that have no more observations together than are read at once.
fn groups(streams: &[Counted]) -> Vec<&[Counted]> {
    let mut groups = Vec::new();
    let (mut first, mut sum) = (0, 0);
    for (at, counted) in streams.iter().enumerate() {
        let is_other = counted.stream.kind != streams[first].stream.kind;
        if at > first && (is_other || sum + counted.observations >= CHUNK) {
            groups.push(&streams[first..at]);
            (first, sum) = (at, 0);
        }
        sum += counted.observations;
    }
    groups.push(&streams[first..]);
    groups
}

fn observation_chunk(
    compiler: Compiler,
    kind: Kind,
    columns: &Columns<'_>,
) -> Result<Statement, Fault> {
    let n = kind.n(compiler.dialect(), "e");
    let order = if kind == Kind::Refined {
        "e.start_time"
    } else {
        "e.start_time, e.n"
    };
    chunk(compiler, columns, &format!("e.start_time, {n}"), order)
}

fn chunk(
    mut compiler: Compiler,
    columns: &Columns<'_>,
    place: &str,
    order: &str,
) -> Result<Statement, Fault> {
    let mut list = place.to_owned();
    for column in columns(&mut compiler)? {
        list.push_str(", ");
        list.push_str(&column);
    }
    let limit = compiler.param(Param::int(rows(CHUNK)));
    let from = compiler.from();
    let mut statement = compiler.statement;
    statement.text = format!("SELECT {list} FROM {from} ORDER BY {order} LIMIT {limit}");
    Ok(statement)
}
