//! Runs of processes, their running totals, and what is waiting.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use super::convert::{from_count, hour, json, micros, optional_time, reason, time, to_count};
use super::fault::Fault;
use super::quarantine::stage;
use super::{Sqlite, meta};
use crate::{
    Backlog, CounterRow, Growing, Progress, QuarantineCount, Reach, RunId, RunResult, RunRow,
    StoreError,
};

/// Runs kept of each process; a process of every five minutes goes back two days.
const KEPT: i64 = 500;

impl Sqlite {
    pub(crate) async fn start_run(
        &self,
        process: String,
        now: Timestamp,
    ) -> Result<RunId, StoreError> {
        self.write("noting the start of a run", move |transaction| {
            transaction.execute(
                // The newest success stays, however many failures came after it: it tells for how
                // long they go on.
                "DELETE FROM run WHERE process = ?1 AND id <=
                    (SELECT id FROM run WHERE process = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
                 AND id <> coalesce((SELECT id FROM run WHERE process = ?1 AND exit_code = 0
                    ORDER BY id DESC LIMIT 1), 0)",
                (&process, KEPT - 1),
            )?;
            transaction.execute(
                "INSERT INTO run (process, started_at) VALUES (?1, ?2)",
                (&process, micros(now)),
            )?;
            Ok(RunId(transaction.last_insert_rowid()))
        })
        .await
    }

    pub(crate) async fn finish_run(&self, run: RunId, result: RunResult) -> Result<(), StoreError> {
        self.write("noting the end of a run", move |transaction| {
            finish_run(transaction, run, &result)
        })
        .await
    }

    pub(crate) async fn runs_latest(self: &Arc<Self>) -> Result<Vec<RunRow>, StoreError> {
        self.read("reading the latest runs", runs_latest).await
    }

    pub(crate) async fn last_runs_that_counted(
        self: &Arc<Self>,
        counter: String,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.read("reading the latest runs", move |transaction| {
            let path = format!("$.\"{}\"", counter.replace('"', ""));
            let mut statement = transaction.prepare_cached(
                "SELECT process, max(finished_at) FROM run
                 WHERE exit_code = 0 AND json_extract(summary, ?1) > 0 GROUP BY process",
            )?;
            let mut rows = statement.query([path])?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push((row.get(0)?, time(row.get(1)?)?));
            }
            Ok(runs)
        })
        .await
    }

    pub(crate) async fn last_successes(
        self: &Arc<Self>,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.read("reading the latest runs", |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT process, max(finished_at) FROM run
                 WHERE exit_code = 0 GROUP BY process ORDER BY process",
            )?;
            let mut rows = statement.query([])?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next()? {
                runs.push((row.get(0)?, time(row.get(1)?)?));
            }
            Ok(runs)
        })
        .await
    }

    pub(crate) async fn counters(self: &Arc<Self>) -> Result<Vec<CounterRow>, StoreError> {
        self.read("reading the counters", |transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT process, name, label, value FROM counter ORDER BY process, name, label",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(CounterRow {
                    process: row.get(0)?,
                    name: row.get(1)?,
                    label: row.get(2)?,
                    value: to_count(row.get(3)?),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn progress(
        self: &Arc<Self>,
        growing: Growing,
    ) -> Result<Progress, StoreError> {
        self.read("reading how far the processes got", move |transaction| {
            progress(transaction, growing)
        })
        .await
    }

    pub(crate) async fn backlog(self: &Arc<Self>) -> Result<Backlog, StoreError> {
        self.read("reading the backlog", backlog).await
    }
}

fn progress(transaction: &Transaction<'_>, growing: Growing) -> Result<Progress, Fault> {
    let mut statement = transaction
        .prepare_cached("SELECT process, source, newest_hour FROM source_reach ORDER BY 1, 2")?;
    let mut rows = statement.query([])?;
    let mut reach = Vec::new();
    while let Some(row) = rows.next()? {
        reach.push(Reach {
            process: row.get(0)?,
            source: row.get(1)?,
            newest: hour(row.get(2)?)?,
        });
    }
    let (waiting, since): (i64, Option<i64>) = transaction
        .prepare_cached(
            "SELECT count(*), min(received_at) FROM raw_record
             WHERE dirty = 1 AND (hour < ?1 OR standing IN (0, 2))",
        )?
        .query_row([growing.from()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let by_process = |sql: &str| -> rusqlite::Result<Vec<(String, i64)>> {
        let mut statement = transaction.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let quarantined = by_process(
        "SELECT process, count(*) FROM quarantine WHERE resolved_at IS NULL
         GROUP BY process ORDER BY process",
    )?;
    let moved = by_process(
        "SELECT process, max(updated_at) FROM checkpoint GROUP BY process ORDER BY process",
    )?;
    let moved = moved
        .into_iter()
        .map(|(process, at)| Ok((process, time(at)?)));
    Ok(Progress {
        reach,
        waiting: to_count(waiting),
        waiting_since: optional_time(since)?,
        quarantined: quarantined
            .into_iter()
            .map(|(process, count)| (process, to_count(count)))
            .collect(),
        moved: moved.collect::<Result<_, Fault>>()?,
    })
}

fn finish_run(transaction: &Transaction<'_>, run: RunId, result: &RunResult) -> Result<(), Fault> {
    // A run that is no longer kept has nothing to be noted on, but its counts still hold.
    let process: Option<String> = transaction
        .query_row(
            "UPDATE run SET finished_at = ?2, outcome = ?3, exit_code = ?4, summary = ?5
             WHERE id = ?1 RETURNING process",
            params![
                run.0,
                micros(result.now),
                result.outcome,
                result.exit_code,
                result.summary.to_string(),
            ],
            |row| row.get(0),
        )
        .optional()?;
    let Some(process) = process else {
        return Ok(());
    };
    for count in &result.counters {
        transaction
            .prepare_cached(
                "INSERT INTO counter (process, name, label, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET value = value + excluded.value",
            )?
            .execute((&process, &count.name, &count.label, from_count(count.add)))?;
    }
    Ok(())
}

fn runs_latest(transaction: &Transaction<'_>) -> Result<Vec<RunRow>, Fault> {
    let mut statement = transaction.prepare_cached(
        "SELECT id, process, started_at, finished_at, outcome, exit_code, summary FROM run
         WHERE id IN (SELECT max(id) FROM run GROUP BY process) ORDER BY process",
    )?;
    let mut rows = statement.query([])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let summary: Option<String> = row.get(6)?;
        runs.push(RunRow {
            id: RunId(row.get(0)?),
            process: row.get(1)?,
            started_at: time(row.get(2)?)?,
            finished_at: optional_time(row.get(3)?)?,
            outcome: row.get(4)?,
            exit_code: row.get(5)?,
            summary: summary.as_deref().map(json).transpose()?,
        });
    }
    Ok(runs)
}

fn backlog(transaction: &Transaction<'_>) -> Result<Backlog, Fault> {
    // Both read an index that holds just what is counted.
    let count = |sql: &str| -> rusqlite::Result<u64> {
        let count = transaction
            .prepare_cached(sql)?
            .query_row([], |row| row.get(0));
        Ok(to_count(count?))
    };
    let mut statement = transaction.prepare_cached(
        "SELECT stage, reason, count(*) FROM quarantine WHERE resolved_at IS NULL
         GROUP BY stage, reason ORDER BY stage, reason",
    )?;
    let mut rows = statement.query([])?;
    let mut quarantine = Vec::new();
    while let Some(row) = rows.next()? {
        quarantine.push(QuarantineCount {
            stage: stage(&row.get::<_, String>(0)?)?,
            reason: reason(&row.get::<_, String>(1)?)?,
            open: to_count(row.get(2)?),
        });
    }
    Ok(Backlog {
        stations: count("SELECT count(*) FROM station")?,
        raw_records: to_count(meta(transaction, "raw_records")?),
        dirty_hours: count("SELECT count(*) FROM raw_record WHERE dirty = 1")?,
        observations: to_count(meta(transaction, "observations")?),
        quarantine,
    })
}
