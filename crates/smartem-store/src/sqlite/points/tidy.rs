//! Small blocks of a day made one.

use rusqlite::{Transaction, params};

use super::commit::put_blocks;
use crate::StoreError;
use crate::points::record::decode_all;
use crate::points::rows::Rows;
use crate::points::{blocks, catalogue::SeriesNo};
use crate::sqlite::Sqlite;
use crate::sqlite::fault::Fault;

/// So many small blocks of a day are made one while it lasts.
const MANY: i64 = 12;

/// Days of series with small blocks that are worth it: many, or a day that is over.
const UNTIDY: &str = "SELECT series, day FROM point_block WHERE small = 1
    GROUP BY series, day HAVING count(*) >= ?1 OR day < ?2 - 1 LIMIT ?3";

/// The small blocks of a day, and all that share some of their time: of rows of one time those of
/// the later block hold, so no block in between may be left out.
const BLOCKS: &str = "SELECT b.key, b.payload FROM point_block b
    WHERE b.series = ?1 AND b.day = ?2 AND
        (b.small = 1 OR (b.last >= ?3 AND b.first <= ?4))
    ORDER BY b.key";

impl Sqlite {
    /// Tidies at most `limit` days of series; how many.
    pub(crate) async fn tidy_points(&self, today: i64, limit: usize) -> Result<usize, StoreError> {
        self.write("tidying points", move |transaction| {
            let untidy: Vec<(SeriesNo, i64)> = {
                let mut statement = transaction.prepare_cached(UNTIDY)?;
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let rows = statement.query_map(params![MANY, today, limit], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
                rows.collect::<Result<_, _>>()?
            };
            for (series, day) in &untidy {
                unite(transaction, *series, *day, *day < today - 1)?;
            }
            Ok(untidy.len())
        })
        .await
    }
}

fn unite(
    transaction: &Transaction<'_>,
    series: SeriesNo,
    day: i64,
    is_over: bool,
) -> Result<(), Fault> {
    let (first, last): (i64, i64) = transaction
        .prepare_cached(
            "SELECT min(first), max(last) FROM point_block
             WHERE series = ?1 AND day = ?2 AND small = 1",
        )?
        .query_row((series, day), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut all = Rows::default();
    let mut keys: Vec<i64> = Vec::new();
    {
        let mut statement = transaction.prepare_cached(BLOCKS)?;
        let mut rows = statement.query((series, day, first, last))?;
        while let Some(row) = rows.next()? {
            keys.push(row.get(0)?);
            let payload = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            all.append(&decode_all(series, payload)?);
        }
    }
    let united = blocks(series, &all.in_order(), is_over)?;
    let mut delete = transaction.prepare_cached("DELETE FROM point_block WHERE key = ?1")?;
    for key in keys {
        delete.execute([key])?;
    }
    put_blocks(transaction, &united)?;
    Ok(())
}
