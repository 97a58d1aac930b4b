//! All observations in the order of their phenomenon time.
//!
//! No index has them so. But each datastream has its own along its key, and its extent tells whether it has any
//! that come early enough. So a few datastreams are asked first, those whose extent reaches furthest, and the
//! others only for what comes before the last of what was found.

use smartem_sta::{ExprKind, Property, Query};

use crate::sta::error::Fault;
use crate::sta::sql::{Cell, Param, Row, Statement};

use super::Reader;
use super::locate::Stream;
use super::observations::Of;
use super::order::{Order, Position};
use super::page::{Extent, Loaded, Shape, page_statement};
use super::table::{BOTH, Kind};

/// Datastreams that are asked first.
const FIRST: usize = 64;
/// As long as fewer were found than are wanted, so many are asked next, so that not too much is in memory.
const NEXT: usize = 256;

/// A datastream and the moments that its observations are between, in microseconds.
struct Reach {
    stream: Stream,
    first: i64,
    last: i64,
}

/// Whether observations are asked for by their phenomenon time alone, and whether the latest come first.
pub(super) fn direction(query: &Query) -> Option<bool> {
    let [by] = query.order_by.as_slice() else {
        return None;
    };
    match &by.expr.kind {
        ExprKind::Path(path)
            if path.property == Property::PhenomenonTime && path.relations.is_empty() =>
        {
            Some(by.is_descending)
        }
        _ => None,
    }
}

impl Reader<'_> {
    /// A page of all observations, and one more.
    pub(super) async fn by_time(
        &mut self,
        query: &Query,
        position: &Position,
        extent: Extent,
        is_descending: bool,
    ) -> Result<Vec<Loaded>, Fault> {
        let wanted = extent.top.saturating_add(1).saturating_add(extent.skip);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let mut reaches = self.reaches().await?;
        reaches.sort_by_key(|it| {
            let near = if is_descending { -it.last } else { it.first };
            (near, it.stream.id)
        });
        let mut found: Vec<Loaded> = Vec::new();
        let mut bound = None;
        let (mut at, mut step) = (0, FIRST);
        while at < reaches.len() {
            let part = &reaches[at..(at + step).min(reaches.len())];
            let may_have = |it: &&Reach| match bound {
                Some(bound) if is_descending => it.last >= bound,
                Some(bound) => it.first <= bound,
                None => true,
            };
            let streams: Vec<Stream> = part.iter().filter(may_have).map(|it| it.stream).collect();
            if streams.is_empty() {
                break;
            }
            let bounds = (bound, is_descending);
            found.extend(
                self.nearest(query, position, &streams, wanted, bounds)
                    .await?,
            );
            found.sort_by(|a, b| nearer(a, b, is_descending));
            found.truncate(wanted);
            at += step;
            step = NEXT;
            if found.len() == wanted {
                bound = found.last().and_then(|it| number(it, 0));
                step = reaches.len();
            }
        }
        let skip = usize::try_from(extent.skip).unwrap_or(usize::MAX);
        found.drain(..skip.min(found.len()));
        Ok(found)
    }

    async fn reaches(&mut self) -> Result<Vec<Reach>, Fault> {
        let dialect = self.sql.dialect();
        let mut statement = Statement::new(dialect);
        let datastream = dialect.table("datastream");
        let series = dialect.other_table("smartem_refined", "series");
        statement.text = format!(
            "SELECT d.id, d.is_refined, COALESCE(s.first_time, d.phenomenon_start), \
             COALESCE(s.last_time, d.phenomenon_end) FROM {datastream} d \
             LEFT JOIN {series} s ON s.key = d.id WHERE COALESCE(s.observations, d.observations) > 0"
        );
        let found = self.rows(&statement).await?;
        let reach = |row: &Row| {
            Ok(Reach {
                stream: Stream {
                    id: row.int(0)?,
                    kind: if row.bool(1)? {
                        Kind::Refined
                    } else {
                        Kind::Made
                    },
                },
                first: row.optional_int(2)?.unwrap_or(i64::MIN + 1),
                last: row.optional_int(3)?.unwrap_or(i64::MAX),
            })
        };
        found.iter().map(reach).collect()
    }

    /// The first observations of some datastreams, of each so many as are wanted of all; with a bound none whose
    /// start is beyond it.
    async fn nearest(
        &mut self,
        query: &Query,
        position: &Position,
        streams: &[Stream],
        wanted: usize,
        (bound, is_descending): (Option<i64>, bool),
    ) -> Result<Vec<Loaded>, Fault> {
        let mut found = Vec::new();
        for kind in BOTH {
            let keys: Vec<i64> = streams
                .iter()
                .filter(|it| it.kind == kind)
                .map(|it| it.id)
                .collect();
            if keys.is_empty() {
                continue;
            }
            let new = Statement::new(self.sql.dialect());
            let mut compiler = self.arm(new, Of::Stream, kind, query.filter.as_ref())?;
            let order = Order::new(&mut compiler, &query.order_by, None, None)?;
            if let Position::After(values) = position {
                let after = order.after(&mut compiler, values);
                compiler.condition(after);
            }
            if let Some(bound) = bound {
                let bound = compiler.param(Param::Time(Some(bound)));
                let than = if is_descending { ">=" } else { "<=" };
                compiler.condition(format!("e.start_time {than} {bound}"));
            }
            let shape = Shape::new(kind, query);
            let extent = Extent {
                top: (wanted as u64).saturating_sub(1),
                skip: 0,
            };
            let statement = page_statement(compiler, &shape, &order, extent);
            for mut row in self.rows_each(&statement, &keys, u64::MAX).await? {
                row.0.remove(0);
                found.push(shape.read(&row)?);
            }
        }
        Ok(found)
    }
}

/// A term of the order of an observation: start, end, datastream, number.
fn number(loaded: &Loaded, at: usize) -> Option<i64> {
    match loaded.key.get(at) {
        Some(Cell::Int(value)) => Some(*value),
        _ => None,
    }
}

fn nearer(a: &Loaded, b: &Loaded, is_descending: bool) -> std::cmp::Ordering {
    let time = |it| (number(it, 0), number(it, 1));
    let rest = |it| (number(it, 2), number(it, 3));
    let by_time = time(a).cmp(&time(b));
    let by_time = if is_descending {
        by_time.reverse()
    } else {
        by_time
    };
    by_time.then_with(|| rest(a).cmp(&rest(b)))
}
