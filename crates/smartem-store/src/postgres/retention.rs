//! Observations that are old enough go, month by month.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use jiff::civil::Date;

use super::convert::to_count;
use super::fault::Fault;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres, next_change};
use crate::StoreError;
use crate::retention::{Month, start_of};

/// Who comes after a statement that waits for a lock waits too.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '10s'";

/// The first partition whose name is before another's: names are in the order of their months.
const OLDEST: &str = "SELECT min(c.relname::text COLLATE \"C\") FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'smartem_refined.observation'::regclass
      AND c.relname ~ '^observation_[0-9]{4}_[0-9]{2}$' AND c.relname::text COLLATE \"C\" < $1";

/// Who refines has the row of its station locked, in the order of keys.
const LOCK_STATIONS: &str = "SELECT count(*) FROM
    (SELECT key FROM smartem.station ORDER BY key FOR NO KEY UPDATE) locked";

const SUBTRACT: &str = "UPDATE smartem_refined.series s SET observations = s.observations - g.gone
    FROM (SELECT series_key, count(*) AS gone FROM smartem_refined.observation
        WHERE start_time >= $1 AND start_time < $2 GROUP BY series_key) g
    WHERE s.key = g.series_key
    RETURNING s.key, g.gone";

const DROP: &str = "SELECT smartem_refined.drop_month($1)";

/// Both ends are found by the key.
const EXTENTS: &str = "UPDATE smartem_refined.series s SET
       first_time = (SELECT o.start_time FROM smartem_refined.observation o
           WHERE o.series_key = s.key ORDER BY o.start_time LIMIT 1),
       last_time = (SELECT o.end_time FROM smartem_refined.observation o
           WHERE o.series_key = s.key ORDER BY o.start_time DESC LIMIT 1)
    WHERE s.key = ANY($1)";

/// The newest observation went: there is no newest value, unless a snapshot gave it.
const NO_LAST: &str = "DELETE FROM smartem_rt.last_value l USING smartem_refined.series s
    WHERE s.key = l.series_key AND s.key = ANY($1) AND s.last_time IS NULL AND NOT l.from_snapshot";

impl Postgres {
    /// Drops the oldest month of observations that is before this one; how many those were, `None` when
    /// there is no such month.
    pub(crate) async fn drop_observations(
        self: &Arc<Self>,
        before: Month,
    ) -> Result<Option<u64>, StoreError> {
        let dropped = attempt!(
            self,
            "dropping old observations",
            Kind::Write,
            |transaction| drop_oldest(&transaction, before).await
        )?;
        if dropped.is_some() {
            // Their partitions are made again should somebody refine hours of then.
            self.months().clear();
        }
        Ok(dropped)
    }

    /// Makes sure that there are partitions for these months.
    pub(crate) async fn prepare_months(
        self: &Arc<Self>,
        months: Vec<Month>,
    ) -> Result<(), StoreError> {
        let starts: Vec<At> = months
            .into_iter()
            .map(|it| At::time(start_of(it)))
            .collect();
        attempt!(
            self,
            "making partitions of observations",
            Kind::Write,
            |transaction| {
                let sql = "SELECT smartem_refined.ensure_month(month) FROM unnest($1::timestamptz[]) AS month";
                transaction
                    .execute_typed(sql, params![starts => TIMESTAMPTZ_ARRAY])
                    .await?;
                Ok(())
            }
        )
    }
}

async fn drop_oldest(transaction: &Transaction<'_>, before: Month) -> Result<Option<u64>, Fault> {
    transaction.batch_execute(LOCK_TIMEOUT).await?;
    let limit = partition(before);
    let row = transaction
        .query_typed_one(OLDEST, params![limit => TEXT])
        .await?;
    let Some(name) = row.try_get::<_, Option<String>>(0)? else {
        return Ok(None);
    };
    let month = month_of(&name)?;
    let (from, to) = (At::time(start_of(month)), At::time(start_of(month.next())));
    transaction
        .query_typed_one(LOCK_STATIONS, params![])
        .await?;
    let rows = transaction
        .query_typed(SUBTRACT, params![from => TIMESTAMPTZ, to => TIMESTAMPTZ])
        .await?;
    let mut keys: Vec<i32> = Vec::with_capacity(rows.len());
    let mut gone = 0;
    for row in rows {
        keys.push(row.try_get(0)?);
        gone += to_count(row.try_get(1)?);
    }
    transaction
        .query_typed_one(DROP, params![from => TIMESTAMPTZ])
        .await?;
    transaction
        .execute_typed(EXTENTS, params![keys => INT4_ARRAY])
        .await?;
    transaction
        .execute_typed(NO_LAST, params![keys => INT4_ARRAY])
        .await?;
    next_change(transaction).await?;
    Ok(Some(gone))
}

/// The name of the partition of a month.
fn partition(month: Month) -> String {
    format!("observation_{:04}_{:02}", month.year(), month.month())
}

fn month_of(partition: &str) -> Result<Month, Fault> {
    let parsed = || {
        let (year, month) = partition.strip_prefix("observation_")?.split_once('_')?;
        Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()
    };
    let first = parsed().ok_or_else(|| Fault::unknown("the partition", partition))?;
    Ok(Month::of(first))
}
