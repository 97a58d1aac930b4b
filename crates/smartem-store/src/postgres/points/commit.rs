//! Writing blocks, and marking the station-hours that they change.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::{pin_mut, try_join};
use smartem_model::Hour;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::define;
use crate::StoreError;
use crate::points::record::HoursByStation;
use crate::points::{Block, Flush};
use crate::postgres::convert::{from_count, text, to_count};
use crate::postgres::fault::Fault;
use crate::postgres::sql::{At, attempt, params, tried};
use crate::postgres::{Kind, Postgres, meta, next_change, station_rows};
use crate::prepared::Newcomer;

const COPY: &str = "COPY smartem_raw.point_block (series, day, first, last, rows, small, payload)
    FROM STDIN BINARY";

const COLUMNS: [Type; 7] = [
    Type::INT8,
    Type::INT4,
    Type::INT8,
    Type::INT8,
    Type::INT4,
    Type::BOOL,
    Type::BYTEA,
];

/// Hours that are not there yet are counted; the rows of their stations are locked.
const COUNT_HOURS: &str = "UPDATE smartem.station s SET raw_records = raw_records + w.added
    FROM (SELECT h.station_key, count(*) AS added
        FROM unnest($1::int[], $2::timestamptz[]) AS h (station_key, hour)
        WHERE NOT EXISTS (SELECT FROM smartem_raw.raw_record r
            WHERE r.station_key = h.station_key AND r.hour = h.hour)
        GROUP BY h.station_key) w
    WHERE s.key = w.station_key";

/// Hours that have points and nothing else, and those that have more points now. The number of the change
/// was just written by this transaction.
const PUT_HOURS: &str =
    "INSERT INTO smartem_raw.raw_record AS r (station_key, hour, revision, dirty,
       source, received_at, content_hash, payload_key, standing, change, has_points)
    SELECT w.station_key, w.hour, 1, true, w.source, $4, ''::bytea, NULL, 1,
       (SELECT value FROM smartem.meta WHERE key = 'change'), true
    FROM unnest($1::int[], $2::timestamptz[], $3::int[]) AS w (station_key, hour, source)
    ON CONFLICT (station_key, hour) DO UPDATE SET revision = r.revision + 1, dirty = true,
       received_at = excluded.received_at, change = excluded.change, has_points = true";

const PUT_META: &str = "INSERT INTO smartem.meta AS m (key, value)
    VALUES ('points_segment', $1), ('points_log', $2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE m.value <> excluded.value";

impl Postgres {
    /// Commits points and the position of the log.
    pub(crate) async fn commit_points(self: &Arc<Self>, flush: Flush) -> Result<(), StoreError> {
        const ACTION: &str = "committing points";
        self.ensure_sources(ACTION, &flush.hours).await?;
        attempt!(self, ACTION, Kind::Write, |transaction| {
            store(self, &transaction, &flush).await
        })
    }

    /// Gives the names of sources their numbers.
    pub(super) async fn ensure_sources(
        &self,
        action: &'static str,
        hours: &HoursByStation,
    ) -> Result<(), StoreError> {
        let sources: Vec<_> = hours.keys().map(|station| text(&station.source)).collect();
        let sources: BTreeSet<&str> = sources.iter().map(AsRef::as_ref).collect();
        tried!(self, action, self.ensure_terms(&sources).await)
    }
}

async fn store(
    database: &Postgres,
    transaction: &Transaction<'_>,
    flush: &Flush,
) -> Result<(), Fault> {
    // Where the answer to a commit was lost, it is made again.
    let committed = to_count(meta(transaction, "points_segment").await?);
    if flush.segment <= committed {
        database.certain(transaction).await?;
        return Ok(());
    }
    define::put(transaction, &flush.definitions, &flush.stations).await?;
    put_blocks(transaction, &flush.blocks).await?;
    let marks = Marks::of(database, transaction, &flush.hours, flush.now).await?;
    let log = database.certain(transaction).await?;
    let segment = from_count(flush.segment);
    transaction
        .execute_typed(PUT_META, params![segment => INT8, log.number() => INT8])
        .await?;
    marks.put(transaction, flush.now).await
}

pub(super) async fn put_blocks(
    transaction: &Transaction<'_>,
    blocks: &[Block],
) -> Result<(), Fault> {
    if blocks.is_empty() {
        return Ok(());
    }
    let sink = transaction.copy_in(COPY).await?;
    let writer = BinaryCopyInWriter::new(sink, &COLUMNS);
    pin_mut!(writer);
    for block in blocks {
        let rows = i32::try_from(block.rows).unwrap_or(i32::MAX);
        writer
            .as_mut()
            .write(&[
                &i64::from(block.series),
                &day(block.day)?,
                &block.first,
                &block.last,
                &rows,
                &block.small,
                &block.payload,
            ])
            .await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Days of 64 bits of nanoseconds are of 18.
pub(super) fn day(of: i64) -> Result<i32, Fault> {
    i32::try_from(of).map_err(|_| Fault::unknown("a day of points", &of))
}

/// Hours that have lost points.
const CHANGE_HOURS: &str =
    "UPDATE smartem_raw.raw_record r SET revision = r.revision + 1, dirty = true,
       received_at = $3, change = (SELECT value FROM smartem.meta WHERE key = 'change'),
       has_points = true
    FROM unnest($1::int[], $2::timestamptz[]) AS w (station_key, hour)
    WHERE r.station_key = w.station_key AND r.hour = w.hour";

/// Hours to be refined, their stations locked.
pub(super) struct Marks {
    keys: Vec<i32>,
    hours: Vec<At>,
    sources: Vec<i32>,
    /// Hours that are marked where they are there.
    former: BTreeSet<(i32, Hour)>,
    /// Whether readers see a station in another way.
    has_changed_stations: bool,
}

impl Marks {
    /// Makes stations known where they are not, and counts the hours that are new.
    pub(super) async fn of(
        database: &Postgres,
        transaction: &Transaction<'_>,
        hours: &HoursByStation,
        now: jiff::Timestamp,
    ) -> Result<Self, Fault> {
        let types: Vec<_> = hours.keys().map(|it| text(&it.station_type)).collect();
        let newcomers = hours.iter().zip(&types);
        let newcomers = newcomers.map(|((station, hours), station_type)| Newcomer {
            station: &station.station,
            station_type,
            hour: hours.last().copied(),
            network: &station.network,
            project: station.project.as_deref(),
            now,
        });
        let newcomers: Vec<Newcomer<'_>> = newcomers.collect();
        let mut marks = Self {
            keys: Vec::new(),
            hours: Vec::new(),
            sources: Vec::new(),
            former: BTreeSet::new(),
            has_changed_stations: false,
        };
        if newcomers.is_empty() {
            return Ok(marks);
        }
        let ensured = station_rows::ensure(transaction, &newcomers).await?;
        marks.has_changed_stations = ensured.changed;
        let mut seen = HashSet::new();
        for ((station, hours), key) in hours.iter().zip(ensured.keys) {
            let source = database.terms.key(&text(&station.source))?;
            for hour in hours {
                // Two databases may have points of one station.
                if seen.insert((key, *hour)) {
                    marks.keys.push(key);
                    marks.hours.push(At::hour(*hour));
                    marks.sources.push(source);
                }
            }
        }
        let parameters = params![marks.keys => INT4_ARRAY, marks.hours => TIMESTAMPTZ_ARRAY];
        transaction.execute_typed(COUNT_HOURS, parameters).await?;
        Ok(marks)
    }

    /// Adds hours that have lost points; their stations are locked.
    pub(super) fn also(&mut self, former: BTreeSet<(i32, Hour)>) {
        self.former = former;
    }

    /// Marks the hours, as the last of a transaction.
    pub(super) async fn put(
        &self,
        transaction: &Transaction<'_>,
        now: jiff::Timestamp,
    ) -> Result<(), Fault> {
        if self.keys.is_empty() && self.former.is_empty() && !self.has_changed_stations {
            return Ok(());
        }
        let now = At::time(now);
        let former = self.former.iter();
        let (keys, hours): (Vec<i32>, Vec<At>) =
            former.map(|(key, hour)| (*key, At::hour(*hour))).unzip();
        let change = params![keys => INT4_ARRAY, hours => TIMESTAMPTZ_ARRAY, now => TIMESTAMPTZ];
        let parameters = params![self.keys => INT4_ARRAY, self.hours => TIMESTAMPTZ_ARRAY,
            self.sources => INT4_ARRAY, now => TIMESTAMPTZ];
        // In this order, as the connection sends them.
        try_join!(
            next_change(transaction),
            async { Ok(transaction.execute_typed(CHANGE_HOURS, change).await?) },
            async { Ok(transaction.execute_typed(PUT_HOURS, parameters).await?) },
        )?;
        Ok(())
    }
}
