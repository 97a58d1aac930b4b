//! Observations that are old enough go, some at a time.

use rusqlite::Transaction;

use super::convert::{from_count, micros};
use super::fault::Fault;
use super::series::UPDATE_SERIES;
use super::{Sqlite, add_to_meta, note_change};
use crate::StoreError;
use crate::retention::{Month, start_of};

/// Deleted in one transaction, so that others wait shortly.
const BATCH: usize = 20_000;

const OLD_SERIES: &str = "SELECT key FROM series WHERE first_time < ?1 ORDER BY key";

const DELETE: &str = "DELETE FROM observation WHERE series_key = ?1 AND start_time <=
    (SELECT max(start_time) FROM (SELECT start_time FROM observation
        WHERE series_key = ?1 AND start_time < ?2 ORDER BY start_time LIMIT ?3))";

/// The newest observation went: there is no newest value, unless a snapshot gave it.
const NO_LAST: &str = "DELETE FROM last_value WHERE series_key = ?1 AND from_snapshot = 0
    AND (SELECT last_time FROM series WHERE key = ?1) IS NULL";

impl Sqlite {
    /// Deletes some observations that began before a month; how many, `None` when there are none.
    pub(crate) async fn drop_observations(&self, before: Month) -> Result<Option<u64>, StoreError> {
        let before = micros(start_of(before));
        self.write("dropping old observations", move |transaction| {
            drop_some(transaction, before)
        })
        .await
    }
}

fn drop_some(transaction: &Transaction<'_>, before: i64) -> Result<Option<u64>, Fault> {
    let mut old = transaction.prepare_cached(OLD_SERIES)?;
    let mut old = old.query([before])?;
    let mut gone = 0;
    while let Some(row) = old.next()? {
        let series_key: i64 = row.get(0)?;
        let deleted =
            transaction
                .prepare_cached(DELETE)?
                .execute((series_key, before, BATCH - gone))?;
        let fewer = -from_count(deleted as u64);
        transaction
            .prepare_cached(UPDATE_SERIES)?
            .execute((series_key, fewer))?;
        transaction.prepare_cached(NO_LAST)?.execute([series_key])?;
        gone += deleted;
        if gone >= BATCH {
            break;
        }
    }
    if gone == 0 {
        return Ok(None);
    }
    add_to_meta(transaction, "observations", -from_count(gone as u64))?;
    note_change(transaction)?;
    Ok(Some(gone as u64))
}
