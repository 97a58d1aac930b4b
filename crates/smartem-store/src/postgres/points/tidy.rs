//! Small blocks of a day made one.

use std::collections::BTreeMap;
use std::sync::Arc;

use deadpool_postgres::Transaction;

use super::commit::put_blocks;
use super::record::series_number;
use crate::StoreError;
use crate::points::catalogue::SeriesNo;
use crate::points::record::decode_all;
use crate::points::rows::Rows;
use crate::points::{Block, blocks};
use crate::postgres::convert::from_count;
use crate::postgres::fault::Fault;
use crate::postgres::sql::{attempt, params};
use crate::postgres::{Kind, Postgres};
use crate::sqlite::blocking;

/// So many small blocks of a day are made one while it lasts.
const MANY: i64 = 12;
/// Days of series that are in memory at once.
const AT_ONCE: usize = 20;

/// Days of series with small blocks that are worth it: many, or a day that is over.
const UNTIDY: &str = "SELECT series, day FROM smartem_raw.point_block WHERE small
    GROUP BY series, day HAVING count(*) >= $1 OR day < $2 - 1 ORDER BY series, day LIMIT $3";

/// The small blocks of some days, and all that share some of their time: of rows of one time those of
/// the later block hold, so no block in between may be left out.
const BLOCKS: &str = "SELECT b.series, b.day, b.key, b.payload
    FROM (SELECT series, day, min(first) AS first, max(last) AS last
        FROM unnest($1::bigint[], $2::int[]) AS d (series, day)
        JOIN smartem_raw.point_block USING (series, day)
        WHERE small GROUP BY series, day) w
    JOIN smartem_raw.point_block b ON b.series = w.series AND b.day = w.day
        AND (b.small OR (b.last >= w.first AND b.first <= w.last))
    ORDER BY b.series, b.day, b.key";

const REMOVE: &str = "DELETE FROM smartem_raw.point_block WHERE key = ANY($1)";

impl Postgres {
    /// Tidies at most `limit` days of series; how many.
    pub(crate) async fn tidy_points(
        self: &Arc<Self>,
        today: i64,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let limit = from_count(limit as u64);
        attempt!(self, "tidying points", Kind::Write, |transaction| {
            let parameters = params![MANY => INT8, today => INT8, limit => INT8];
            let rows = transaction.query_typed(UNTIDY, parameters).await?;
            let untidy: Vec<(i64, i32)> = rows
                .iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                .collect::<Result<_, Fault>>()?;
            for days in untidy.chunks(AT_ONCE) {
                unite(&transaction, days, today).await?;
            }
            if !untidy.is_empty() {
                self.certain(&transaction).await?;
            }
            Ok(untidy.len())
        })
    }
}

async fn unite(
    transaction: &Transaction<'_>,
    days: &[(i64, i32)],
    today: i64,
) -> Result<(), Fault> {
    let (series, numbers): (Vec<i64>, Vec<i32>) = days.iter().copied().unzip();
    let parameters = params![series => INT8_ARRAY, numbers => INT4_ARRAY];
    let rows = transaction.query_typed(BLOCKS, parameters).await?;
    let mut keys: Vec<i64> = Vec::with_capacity(rows.len());
    let mut by_day: BTreeMap<(SeriesNo, i64), Vec<Vec<u8>>> = BTreeMap::new();
    for row in rows {
        let place = (
            series_number(row.try_get(0)?)?,
            row.try_get::<_, i32>(1)?.into(),
        );
        keys.push(row.try_get(2)?);
        by_day.entry(place).or_default().push(row.try_get(3)?);
    }
    let united = blocking("tidying points", move || united(&by_day, today)).await?;
    transaction
        .execute_typed(REMOVE, params![keys => INT8_ARRAY])
        .await?;
    put_blocks(transaction, &united).await
}

/// The blocks of each day as one, or as many as its rows need.
fn united(
    by_day: &BTreeMap<(SeriesNo, i64), Vec<Vec<u8>>>,
    today: i64,
) -> Result<Vec<Block>, StoreError> {
    let mut all = Vec::new();
    for ((series, day), payloads) in by_day {
        let mut rows = Rows::default();
        for payload in payloads {
            rows.append(&decode_all(*series, payload)?);
        }
        let is_over = *day < today - 1;
        all.extend(blocks(*series, &rows.in_order(), is_over)?);
    }
    Ok(all)
}
