//! Datastreams whose observations change: their counts and extents.

use smartem_sta::EntityType;

use super::error::not_found;
use super::geometry::{Bounds, union};
use super::{Named, Writer, fields};
use crate::sta::error::Fault;
use crate::sta::sql::{Param, Row};

/// Rows from which on they are loaded together.
const MANY: usize = 20;
/// Rows that are held in memory before they are written.
const HELD: usize = 10_000;

/// What is written of an observation, in this order.
pub(super) const COLUMNS: [&str; 12] = [
    "datastream_id",
    "start_time",
    "n",
    "end_time",
    "result",
    "result_json",
    "result_time",
    "feature_id",
    "valid_start",
    "valid_end",
    "quality",
    "parameters",
];

/// Of the id of an observation its datastream, and its number within that.
pub(super) fn split(id: i64) -> (i64, i64) {
    (id >> 32, id & 0xffff_ffff)
}

/// The id of an observation.
pub(super) fn joined(datastream: i64, n: i64) -> i64 {
    (datastream << 32) | n
}

/// From the first to the last moment, microseconds since 1970.
type Extent = Option<(i64, i64)>;

/// A datastream while observations are added to and taken from it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) thing: i64,
    pub(super) project: Option<String>,
    pub(super) is_refined: bool,
    /// Of a multi one, how many values a result has.
    pub(super) values: Option<usize>,
    pub(super) next_n: i64,
    pub(super) observations: i64,
    phenomenon: Extent,
    result: Extent,
    bounds: Option<Bounds>,
    /// The feature made of the location of its thing, once it was looked up.
    pub(super) default_feature: Option<i64>,
    /// Whether it differs from what is stored.
    is_changed: bool,
    /// What is to be found anew, since a boundary may have gone.
    renewed: Renewed,
}

#[derive(Clone, Copy, Debug, Default)]
struct Renewed {
    phenomenon: bool,
    result: bool,
    bounds: bool,
}

/// An observation as far as counts and extents go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) start: i64,
    pub(super) end: Option<i64>,
    pub(super) result_time: Option<i64>,
    pub(super) bounds: Option<Bounds>,
}

impl Stream {
    fn of(row: &Row) -> Result<Self, Fault> {
        let types = row.optional_json(4)?;
        let extent = |at: usize| -> Result<Extent, Fault> {
            Ok(row.optional_int(at)?.zip(row.optional_int(at + 1)?))
        };
        Ok(Self {
            thing: row.int(0)?,
            project: row.optional_text(1)?,
            is_refined: row.bool(2)?,
            next_n: row.int(3)?,
            values: types.map(|types| types.as_array().map_or(0, Vec::len)),
            observations: row.int(5)?,
            phenomenon: extent(6)?,
            result: extent(8)?,
            bounds: row_bounds(row, 10)?,
            default_feature: None,
            is_changed: false,
            renewed: Renewed::default(),
        })
    }

    pub(super) fn entity_type(&self) -> EntityType {
        match self.values {
            Some(_) => EntityType::MultiDatastream,
            None => EntityType::Datastream,
        }
    }

    /// Counts an observation in.
    pub(super) fn add(&mut self, of: Measured) {
        self.observations += 1;
        self.reach(of);
    }

    /// Widens the extents so that an observation is in them.
    pub(super) fn reach(&mut self, of: Measured) {
        self.is_changed = true;
        let end = of.end.unwrap_or(of.start);
        self.phenomenon = Some(widened(self.phenomenon, of.start, end));
        if let Some(time) = of.result_time {
            self.result = Some(widened(self.result, time, time));
        }
        self.bounds = union(self.bounds, of.bounds);
    }

    /// Counts an observation out.
    pub(super) fn remove(&mut self, of: Measured) {
        self.observations -= 1;
        self.leave(of);
    }

    /// Notes what is to be found anew when an observation is no longer where it was.
    pub(super) fn leave(&mut self, of: Measured) {
        self.is_changed = true;
        let end = of.end.unwrap_or(of.start);
        let at_edge = |extent: Extent, from: i64, to: i64| {
            extent.is_some_and(|(first, last)| first >= from || last <= to)
        };
        self.renewed.phenomenon |= at_edge(self.phenomenon, of.start, end);
        if let Some(time) = of.result_time {
            self.renewed.result |= at_edge(self.result, time, time);
        }
        let touches = self.bounds.zip(of.bounds);
        self.renewed.bounds |= touches.is_some_and(|(all, gone)| all.touches(gone));
    }

    /// So many observations went at once, wherever they were.
    pub(super) fn lose(&mut self, count: i64) {
        self.observations -= count;
        self.is_changed = true;
        self.renewed = Renewed {
            phenomenon: true,
            result: true,
            bounds: true,
        };
    }
}

fn widened(extent: Extent, start: i64, end: i64) -> (i64, i64) {
    match extent {
        Some((first, last)) => (first.min(start), last.max(end)),
        None => (start, end),
    }
}

/// Four columns from `at` on.
pub(super) fn row_bounds(row: &Row, at: usize) -> Result<Option<Bounds>, Fault> {
    let mut bounds = [0.0; 4];
    for (value, at) in bounds.iter_mut().zip(at..) {
        let Some(found) = row.optional_real(at)? else {
            return Ok(None);
        };
        *value = found;
    }
    Ok(Some(Bounds(bounds)))
}

impl Writer<'_> {
    /// Takes a datastream so that nobody else changes its observations meanwhile; `None`: there is no such.
    pub(super) async fn stream(&mut self, id: i64) -> Result<Option<&mut Stream>, Fault> {
        if !self.streams.contains_key(&id) {
            let lock = match self.words.for_change() {
                "" => "",
                _ => " FOR NO KEY UPDATE OF d",
            };
            let question = format!(
                "SELECT d.thing_id, t.project, d.is_refined, d.next_n, d.multi_types, d.observations,
                     d.phenomenon_start, d.phenomenon_end, d.result_start, d.result_end,
                     d.west, d.south, d.east, d.north
                 FROM {{datastream}} d JOIN {{thing}} t ON t.id = d.thing_id WHERE d.id = {{1}}{lock}"
            );
            let Some(row) = self.find(&question, &[Param::int(id)]).await? else {
                return Ok(None);
            };
            self.streams.insert(id, Stream::of(&row)?);
        }
        Ok(self.streams.get_mut(&id))
    }

    /// A datastream that was taken already.
    pub(super) fn taken(&mut self, id: i64) -> Result<&mut Stream, Fault> {
        let named: Named = (EntityType::Datastream, id);
        self.streams.get_mut(&id).ok_or_else(|| not_found(named))
    }

    /// Holds an observation until more of them are written together.
    pub(super) async fn hold(&mut self, row: Vec<Param>) -> Result<(), Fault> {
        self.rows.push(row);
        if self.rows.len() >= HELD {
            self.write_rows().await?;
        }
        Ok(())
    }

    /// Writes the observations that are held; whoever looks at the table does this first.
    pub(super) async fn write_rows(&mut self) -> Result<(), Fault> {
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let table = self.words.table("observation");
        if rows.len() < MANY {
            let head = format!("INSERT INTO {table} ({})", COLUMNS.join(", "));
            self.sql.insert(&head, &rows, "").await?;
        } else {
            self.sql.load(&table, &COLUMNS, &rows).await?;
        }
        Ok(())
    }

    /// Writes observations that are held, and what became of their datastreams.
    pub(super) async fn settle_streams(&mut self) -> Result<(), Fault> {
        self.write_rows().await?;
        let streams = std::mem::take(&mut self.streams);
        for (id, mut stream) in streams {
            if stream.is_changed {
                self.renew(id, &mut stream).await?;
                self.put_stream(id, &stream).await?;
            }
        }
        Ok(())
    }

    async fn put_stream(&mut self, id: i64, stream: &Stream) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE {datastream} SET observations = {2}, next_n = {3},
                phenomenon_start = {4}, phenomenon_end = {5}, result_start = {6}, result_end = {7},
                west = {8}, south = {9}, east = {10}, north = {11}
            WHERE id = {1}";
        let mut params = vec![
            Param::int(id),
            Param::int(stream.observations),
            Param::int(stream.next_n),
        ];
        for extent in [stream.phenomenon, stream.result] {
            params.push(Param::Time(extent.map(|it| it.0)));
            params.push(Param::Time(extent.map(|it| it.1)));
        }
        params.extend(fields::bounds(stream.bounds).map(|(_, param)| param));
        self.execute(UPDATE, &params).await?;
        Ok(())
    }

    /// Finds the extents again whose boundary may have gone, each end by an index.
    async fn renew(&mut self, id: i64, stream: &mut Stream) -> Result<(), Fault> {
        const PHENOMENON: &str = "SELECT
            (SELECT min(start_time) FROM {observation} WHERE datastream_id = {1}),
            (SELECT max(start_time) FROM {observation} WHERE datastream_id = {1}),
            (SELECT max(end_time) FROM {observation}
                WHERE datastream_id = {1} AND end_time IS NOT NULL)";
        const RESULT: &str = "SELECT
            (SELECT min(result_time) FROM {observation}
                WHERE datastream_id = {1} AND result_time IS NOT NULL),
            (SELECT max(result_time) FROM {observation}
                WHERE datastream_id = {1} AND result_time IS NOT NULL)";
        const BOUNDS: &str = "SELECT min(west), min(south), max(east), max(north) FROM {feature}
            WHERE id IN (SELECT DISTINCT feature_id FROM {observation} WHERE datastream_id = {1})";
        let params = [Param::int(id)];
        if stream.renewed.phenomenon
            && let Some(row) = self.find(PHENOMENON, &params).await?
        {
            let (first, last) = (row.optional_int(0)?, row.optional_int(1)?);
            let last = last.max(row.optional_int(2)?);
            stream.phenomenon = first.zip(last);
        }
        if stream.renewed.result
            && let Some(row) = self.find(RESULT, &params).await?
        {
            stream.result = row.optional_int(0)?.zip(row.optional_int(1)?);
        }
        if stream.renewed.bounds
            && let Some(row) = self.find(BOUNDS, &params).await?
        {
            stream.bounds = row_bounds(&row, 0)?;
        }
        Ok(())
    }

    /// Things are elsewhere: what observations are of is looked up again.
    pub(super) fn forget_default_features(&mut self) {
        for stream in self.streams.values_mut() {
            stream.default_feature = None;
        }
    }
}
