//! Rows of series, for callers that block.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use smartem_model::StationId;
use smartem_points::{Newest, Order};

use super::commit::day;
use super::record::number;
use crate::StoreError;
use crate::points::catalogue::SeriesNo;
use crate::points::days::{DayByDay, Wanted};
use crate::points::rows::{FieldNo, Rows};
use crate::points::{KnownStation, NewestOfFields, day_of};
use crate::postgres::fault::Fault;
use crate::postgres::sql::{attempt, params};
use crate::postgres::{Kind, Postgres, station_rows};

/// Blocks of the first page, and of the largest: who wants the newest value only does not wait for more.
const BLOCKS: (i64, i64) = (4, 64);

/// The blocks of a page: after the block `$6` of the day `$2`.
const ASCENDING: &str = "SELECT day, key, payload FROM smartem_raw.point_block
    WHERE series = $1 AND day >= $2 AND day <= $3 AND first <= $5 AND last >= $4
        AND (day > $2 OR key > $6)
    ORDER BY day, key LIMIT $7";

/// After the block `$6` of the day `$3`.
const DESCENDING: &str = "SELECT day, key, payload FROM smartem_raw.point_block
    WHERE series = $1 AND day >= $2 AND day <= $3 AND first <= $5 AND last >= $4
        AND (day < $3 OR key > $6)
    ORDER BY day DESC, key LIMIT $7";

const FIELDS: &str = "SELECT number FROM smartem_raw.point_field WHERE measurement =
    (SELECT measurement FROM smartem_raw.point_series WHERE number = $1)";

impl Postgres {
    /// Gives the rows of a series day by day; those of a day in order.
    ///
    /// Blocks are read page by page, each in a transaction of its own. What is committed or united between two
    /// pages does no harm: a day is given when the last of its blocks is there, and of rows that are read
    /// twice the later ones hold.
    ///
    /// Blocks: it is called from where that is allowed.
    pub(crate) fn scan_points(
        &self,
        series: SeriesNo,
        fields: &[FieldNo],
        range: &RangeInclusive<i64>,
        order: Order,
        give: &mut dyn FnMut(i64, Rows) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        const ACTION: &str = "reading points";
        let wanted = Wanted {
            series,
            fields,
            range,
        };
        let mut days = DayByDay::new(wanted, give);
        let mut page = Page::first(series, range, order);
        loop {
            let asked = page.clone();
            let blocks = self.reader.ask(ACTION, move |database| async move {
                asked.read(&database, ACTION).await
            })?;
            for block in &blocks {
                if days.take(block.day.into(), &block.payload)?.is_break() {
                    return Ok(());
                }
            }
            let Some(next) = page.after(&blocks) else {
                break;
            };
            page = next;
        }
        days.end();
        Ok(())
    }

    /// The newest value of every field of a series among its blocks. Blocks.
    pub(crate) fn newest_points(
        &self,
        series: SeriesNo,
    ) -> Result<Vec<(FieldNo, Newest)>, StoreError> {
        const ACTION: &str = "looking for the newest points";
        let fields = self.reader.ask(ACTION, move |database| async move {
            fields_of(&database, ACTION, series).await
        })?;
        let mut newest = NewestOfFields::new(fields.clone());
        let all = i64::MIN..=i64::MAX;
        self.scan_points(series, &fields, &all, Order::Descending, &mut |_, rows| {
            newest.take(&rows)
        })?;
        Ok(newest.found())
    }

    /// What is known of a station. Blocks, shortly.
    pub(crate) fn known_station(
        &self,
        station: &StationId,
    ) -> Result<Option<KnownStation>, StoreError> {
        const ACTION: &str = "looking a station up";
        let station = station.clone();
        self.reader.ask(ACTION, move |database| async move {
            known(&database, ACTION, &station).await
        })
    }
}

async fn fields_of(
    database: &Arc<Postgres>,
    action: &'static str,
    series: SeriesNo,
) -> Result<Vec<FieldNo>, StoreError> {
    let series = i64::from(series);
    attempt!(database, action, Kind::Read, |transaction| {
        let parameters = params![series => INT8];
        let rows = transaction.query_typed(FIELDS, parameters).await?;
        rows.iter()
            .map(|row| number(row.try_get(0)?))
            .collect::<Result<_, Fault>>()
    })
}

async fn known(
    database: &Arc<Postgres>,
    action: &'static str,
    station: &StationId,
) -> Result<Option<KnownStation>, StoreError> {
    attempt!(database, action, Kind::Read, |transaction| {
        let row = station_rows::row_of(&transaction, station).await?;
        Ok(row.map(|(_, row)| KnownStation {
            station_type: (&*row.station_type).into(),
            network: (&*row.network).into(),
            project: row.project.as_deref().map(Into::into),
        }))
    })
}

/// Some blocks of a series.
#[derive(Clone)]
struct Page {
    series: i64,
    days: RangeInclusive<i64>,
    range: RangeInclusive<i64>,
    order: Order,
    /// The block before the first one, which is of the first day.
    after: i64,
    limit: i64,
}

struct Found {
    day: i32,
    key: i64,
    payload: Vec<u8>,
}

impl Page {
    fn first(series: SeriesNo, range: &RangeInclusive<i64>, order: Order) -> Self {
        Self {
            series: series.into(),
            days: day_of(*range.start())..=day_of(*range.end()),
            range: range.clone(),
            order,
            after: i64::MIN,
            limit: BLOCKS.0,
        }
    }

    /// The page behind this one, which was found to hold these blocks; `None` when it was the last one.
    fn after(&self, blocks: &[Found]) -> Option<Self> {
        let last = blocks.last()?;
        if (blocks.len() as u64) < self.limit.cast_unsigned() {
            return None;
        }
        let day = i64::from(last.day);
        let days = match self.order {
            Order::Ascending => day..=*self.days.end(),
            Order::Descending => *self.days.start()..=day,
        };
        Some(Self {
            days,
            after: last.key,
            limit: (self.limit * 2).min(BLOCKS.1),
            ..self.clone()
        })
    }

    async fn read(
        &self,
        database: &Arc<Postgres>,
        action: &'static str,
    ) -> Result<Vec<Found>, StoreError> {
        let sql = match self.order {
            Order::Ascending => ASCENDING,
            Order::Descending => DESCENDING,
        };
        attempt!(database, action, Kind::Read, |transaction| {
            let days = (day(*self.days.start())?, day(*self.days.end())?);
            let parameters = params![self.series => INT8, days.0 => INT4, days.1 => INT4,
                *self.range.start() => INT8, *self.range.end() => INT8, self.after => INT8,
                self.limit => INT8];
            let rows = transaction.query_typed(sql, parameters).await?;
            let found = rows.iter().map(|row| {
                Ok(Found {
                    day: row.try_get(0)?,
                    key: row.try_get(1)?,
                    payload: row.try_get(2)?,
                })
            });
            found.collect::<Result<Vec<_>, Fault>>()
        })
    }
}
