//! Runs of processes, their running totals, and what is waiting.

use std::sync::Arc;

use deadpool_postgres::Transaction;
use futures::try_join;
use jiff::Timestamp;
use serde_json::Value;

use super::convert::{from_count, optional_time, reason, text, to_count};
use super::fault::Fault;
use super::quarantine::stage;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres};
use crate::{
    Backlog, CounterRow, Growing, Progress, QuarantineCount, Reach, RunId, RunResult, RunRow,
    StoreError,
};

/// Runs kept of each process; a process of every five minutes goes back two days.
const KEPT: i64 = 500;

/// The newest success stays, however many failures came after it: it tells for how long they go on.
const FORGET: &str = "DELETE FROM smartem.run WHERE process = $1 AND id <=
    (SELECT id FROM smartem.run WHERE process = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)
    AND id <> coalesce((SELECT id FROM smartem.run WHERE process = $1 AND exit_code = 0
        ORDER BY id DESC LIMIT 1), 0)";

const NEW_ID: &str = "SELECT nextval(pg_get_serial_sequence('smartem.run', 'id'))";

/// Only once: a second attempt after a commit whose answer was lost must not leave a run that never ends.
const START: &str = "INSERT INTO smartem.run (id, process, started_at) VALUES ($1, $2, $3)
    ON CONFLICT (id) DO NOTHING";

/// Only once: a second attempt after a commit whose answer was lost must not count again.
const FINISH: &str =
    "UPDATE smartem.run SET finished_at = $2, outcome = $3, exit_code = $4, summary = $5
    WHERE id = $1 AND finished_at IS NULL RETURNING process";

const COUNT: &str = "INSERT INTO smartem.counter AS c (process, name, label, value)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[])
    ON CONFLICT (process, name, label) DO UPDATE SET value = c.value + excluded.value";

const LATEST: &str = "SELECT DISTINCT ON (process COLLATE \"C\")
       id, process, started_at, finished_at, outcome, exit_code, summary
    FROM smartem.run ORDER BY process COLLATE \"C\", id DESC";

const COUNTED: &str = "SELECT process, max(finished_at) FROM smartem.run
    WHERE exit_code = 0 AND CASE WHEN json_typeof(summary -> $1) = 'number'
        THEN (summary ->> $1)::numeric > 0 ELSE false END
    GROUP BY process ORDER BY process COLLATE \"C\"";

const SUCCEEDED: &str = "SELECT process, max(finished_at) FROM smartem.run
    WHERE exit_code = 0 GROUP BY process ORDER BY process COLLATE \"C\"";

const COUNTERS: &str = "SELECT process, name, label, value FROM smartem.counter
    ORDER BY process COLLATE \"C\", name COLLATE \"C\", label COLLATE \"C\"";

const REACH: &str = "SELECT process, source, newest_hour FROM smartem.source_reach
    ORDER BY process COLLATE \"C\", source COLLATE \"C\"";

const WAITING: &str = "SELECT count(*), min(received_at) FROM smartem_raw.raw_record
    WHERE dirty AND (hour < $1 OR standing IN (0, 2))";

const QUARANTINED: &str =
    "SELECT process, count(*) FROM smartem.quarantine WHERE resolved_at IS NULL
    GROUP BY process ORDER BY process COLLATE \"C\"";

const MOVED: &str = "SELECT process, max(updated_at) FROM smartem.checkpoint
    GROUP BY process ORDER BY process COLLATE \"C\"";

/// Totals are kept with stations and series, so no record or observation is counted.
const TOTALS: &str = "SELECT (SELECT count(*) FROM smartem.station),
       (SELECT coalesce(sum(raw_records), 0)::bigint FROM smartem.station),
       (SELECT count(*) FROM smartem_raw.raw_record WHERE dirty),
       (SELECT coalesce(sum(observations), 0)::bigint FROM smartem_refined.series)";

const OPEN: &str =
    "SELECT stage, reason, count(*) FROM smartem.quarantine WHERE resolved_at IS NULL
    GROUP BY stage, reason ORDER BY stage COLLATE \"C\", reason COLLATE \"C\"";

impl Postgres {
    pub(crate) async fn start_run(
        self: &Arc<Self>,
        process: String,
        now: Timestamp,
    ) -> Result<RunId, StoreError> {
        const ACTION: &str = "noting the start of a run";
        let (now, kept) = (At::time(now), KEPT - 1);
        let id: i64 = attempt!(self, ACTION, Kind::Write, |transaction| {
            let row = transaction.query_typed_one(NEW_ID, params![]).await?;
            Ok(row.try_get(0)?)
        })?;
        attempt!(self, ACTION, Kind::Write, |transaction| {
            transaction
                .execute_typed(FORGET, params![process => TEXT, kept => INT8])
                .await?;
            transaction
                .execute_typed(
                    START,
                    params![id => INT8, process => TEXT, now => TIMESTAMPTZ],
                )
                .await?;
            Ok(RunId(id))
        })
    }

    pub(crate) async fn finish_run(
        self: &Arc<Self>,
        run: RunId,
        result: RunResult,
    ) -> Result<(), StoreError> {
        attempt!(
            self,
            "noting the end of a run",
            Kind::Write,
            |transaction| finish_run(&transaction, run, &result).await
        )
    }

    pub(crate) async fn runs_latest(self: &Arc<Self>) -> Result<Vec<RunRow>, StoreError> {
        attempt!(self, "reading the latest runs", Kind::Read, |transaction| {
            let rows = transaction.query_typed(LATEST, params![]).await?;
            let run = |row: &tokio_postgres::Row| {
                Ok(RunRow {
                    id: RunId(row.try_get(0)?),
                    process: row.try_get(1)?,
                    started_at: row.try_get::<_, At>(2)?.to_time()?,
                    finished_at: optional_time(row.try_get(3)?)?,
                    outcome: row.try_get(4)?,
                    exit_code: row.try_get(5)?,
                    summary: row.try_get(6)?,
                })
            };
            rows.iter().map(run).collect()
        })
    }

    pub(crate) async fn last_runs_that_counted(
        self: &Arc<Self>,
        counter: String,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        attempt!(self, "reading the latest runs", Kind::Read, |transaction| {
            let rows = transaction
                .query_typed(COUNTED, params![counter => TEXT])
                .await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get::<_, At>(1)?.to_time()?)))
                .collect()
        })
    }

    pub(crate) async fn last_successes(
        self: &Arc<Self>,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        attempt!(self, "reading the latest runs", Kind::Read, |transaction| {
            let rows = transaction.query_typed(SUCCEEDED, params![]).await?;
            rows.iter()
                .map(|row| Ok((row.try_get(0)?, row.try_get::<_, At>(1)?.to_time()?)))
                .collect()
        })
    }

    pub(crate) async fn counters(self: &Arc<Self>) -> Result<Vec<CounterRow>, StoreError> {
        attempt!(self, "reading the counters", Kind::Read, |transaction| {
            let rows = transaction.query_typed(COUNTERS, params![]).await?;
            let counter = |row: &tokio_postgres::Row| {
                Ok(CounterRow {
                    process: row.try_get(0)?,
                    name: row.try_get(1)?,
                    label: row.try_get(2)?,
                    value: to_count(row.try_get(3)?),
                })
            };
            rows.iter().map(counter).collect()
        })
    }

    pub(crate) async fn progress(
        self: &Arc<Self>,
        growing: Growing,
    ) -> Result<Progress, StoreError> {
        const ACTION: &str = "reading how far the processes got";
        let before = At::index(growing.from());
        attempt!(self, ACTION, Kind::Read, |transaction| {
            progress(&transaction, before).await
        })
    }

    pub(crate) async fn backlog(self: &Arc<Self>) -> Result<Backlog, StoreError> {
        attempt!(self, "reading the backlog", Kind::Read, |transaction| {
            backlog(&transaction).await
        })
    }
}

async fn finish_run(
    transaction: &Transaction<'_>,
    run: RunId,
    result: &RunResult,
) -> Result<(), Fault> {
    let now = At::time(result.now);
    let row = transaction
        .query_typed_opt(
            FINISH,
            params![run.0 => INT8, now => TIMESTAMPTZ, text(&result.outcome) => TEXT,
                result.exit_code => INT4, without_nul(&result.summary) => JSON],
        )
        .await?;
    // A run that is no longer kept has nothing to be noted on.
    let Some(row) = row else { return Ok(()) };
    let process: String = row.try_get(0)?;
    let mut counters = std::collections::BTreeMap::<(&str, &str), u64>::new();
    for count in &result.counters {
        *counters.entry((&count.name, &count.label)).or_default() += count.add;
    }
    if counters.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = counters.keys().map(|(name, _)| *name).collect();
    let labels: Vec<_> = counters.keys().map(|(_, label)| text(label)).collect();
    let values: Vec<i64> = counters.values().map(|add| from_count(*add)).collect();
    transaction
        .execute_typed(
            COUNT,
            params![process => TEXT, names => TEXT_ARRAY, labels => TEXT_ARRAY,
                values => INT8_ARRAY],
        )
        .await?;
    Ok(())
}

/// PostgreSQL keeps JSON with characters of number 0, but cannot look into it any more.
fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(of) => Value::String(text(of).into_owned()),
        Value::Array(of) => Value::Array(of.iter().map(without_nul).collect()),
        Value::Object(of) => {
            let members = of.iter();
            let members = members.map(|(key, value)| (text(key).into_owned(), without_nul(value)));
            Value::Object(members.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

async fn progress(transaction: &Transaction<'_>, before: At) -> Result<Progress, Fault> {
    let waiting = params![before => TIMESTAMPTZ];
    let (reach, waiting, quarantined, moved) = try_join!(
        transaction.query_typed(REACH, params![]),
        transaction.query_typed_one(WAITING, waiting),
        transaction.query_typed(QUARANTINED, params![]),
        transaction.query_typed(MOVED, params![]),
    )?;
    let reach = reach.iter().map(|row| {
        Ok(Reach {
            process: row.try_get(0)?,
            source: row.try_get(1)?,
            newest: row.try_get::<_, At>(2)?.to_hour()?,
        })
    });
    let quarantined = quarantined
        .iter()
        .map(|row| Ok((row.try_get(0)?, to_count(row.try_get(1)?))));
    let moved = moved
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get::<_, At>(1)?.to_time()?)));
    Ok(Progress {
        reach: reach.collect::<Result<_, Fault>>()?,
        waiting: to_count(waiting.try_get(0)?),
        waiting_since: optional_time(waiting.try_get(1)?)?,
        quarantined: quarantined.collect::<Result<_, Fault>>()?,
        moved: moved.collect::<Result<_, Fault>>()?,
    })
}

async fn backlog(transaction: &Transaction<'_>) -> Result<Backlog, Fault> {
    let (totals, open) = try_join!(
        transaction.query_typed_one(TOTALS, params![]),
        transaction.query_typed(OPEN, params![]),
    )?;
    let count = |at: usize| -> Result<u64, Fault> { Ok(to_count(totals.try_get(at)?)) };
    let quarantine = open.iter().map(|row| {
        Ok(QuarantineCount {
            stage: stage(row.try_get(0)?)?,
            reason: reason(row.try_get(1)?)?,
            open: to_count(row.try_get(2)?),
        })
    });
    Ok(Backlog {
        stations: count(0)?,
        raw_records: count(1)?,
        dirty_hours: count(2)?,
        observations: count(3)?,
        quarantine: quarantine.collect::<Result<_, Fault>>()?,
    })
}
