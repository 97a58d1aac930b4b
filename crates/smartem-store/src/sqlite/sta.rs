//! Transactions of the SensorThings entities.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row as SqliteRow, ToSql};
use smartem_sta::{Author, Operation, Outcome};
use tokio::sync::oneshot;

use super::fault::Fault as SqliteFault;
use super::{Sqlite, blocking, connect_reader};
use crate::StoreError;
use crate::sta::StaError;
use crate::sta::error::Fault;
use crate::sta::keep::{self, Tell};
use crate::sta::sql::{Cell, Dialect, Param, Row, Sql};
use crate::sta::write;

impl From<Fault> for SqliteFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sqlite(error) => Self::from(error),
            Fault::Unknown { what, value } => Self::Unknown { what, value },
            Fault::Postgres(error) => Self::unknown("the backend", &error),
            Fault::Sta(error) => Self::unknown("what the store keeps itself", &error),
        }
    }
}

/// A transaction that has begun; rolled back unless it is committed.
struct Begun<'c> {
    connection: &'c mut Connection,
}

impl<'c> Begun<'c> {
    fn new(connection: &'c mut Connection, how: &str) -> rusqlite::Result<Self> {
        connection.execute_batch(how)?;
        Ok(Self { connection })
    }

    fn align(self, tell: Tell) -> Result<(), Fault> {
        let mut sql = Embedded {
            connection: &mut *self.connection,
        };
        futures::executor::block_on(keep::align(&mut sql, tell))?;
        Ok(self.commit()?)
    }

    fn commit(self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            // Where that fails the connection is broken, and the next statement says so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}

impl Sqlite {
    /// Runs `work` in a transaction that reads: it sees one state of the store throughout.
    pub(crate) async fn sta_reading<T, W>(
        self: &Arc<Self>,
        action: &'static str,
        work: W,
    ) -> Result<T, StaError>
    where
        T: Send + 'static,
        W: for<'s> FnOnce(&'s mut dyn Sql) -> BoxFuture<'s, Result<T, Fault>> + Send + 'static,
    {
        let _permit = self.permits.acquire().await;
        let this = Arc::clone(self);
        let done = blocking(action, move || {
            let idle = this.take_reader();
            let mut connection = match idle {
                Some(connection) => connection,
                None => connect_reader(&this.file)
                    .map_err(|error| SqliteFault::from(error).during(action, &this.file))?,
            };
            let done = in_transaction(&mut connection, "BEGIN", work);
            this.put_reader(connection);
            this.told(action, done)
        });
        done.await?
    }

    /// A refusal is an answer; what failed in the database says what was tried.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the inner result is the caller's, the outer one that of the thread"
    )]
    fn told<T>(
        &self,
        action: &'static str,
        done: Result<T, Fault>,
    ) -> Result<Result<T, StaError>, crate::StoreError> {
        let fault = match done {
            Ok(done) => return Ok(Ok(done)),
            Err(Fault::Sta(error)) => return Ok(Err(error)),
            Err(fault) => SqliteFault::from(fault),
        };
        Ok(Err(StaError::Store(fault.during(action, &self.file))))
    }
}

/// Changes that wait for the writer, so that those of many callers share one commit.
#[derive(Default)]
pub(super) struct Waiting(Mutex<Vec<Job>>);

/// The changes of one caller.
struct Job {
    author: Author,
    operations: Vec<Operation>,
    now: Timestamp,
    answer: Answer,
}

type Done = Result<Vec<Outcome>, StaError>;
type Answer = oneshot::Sender<Done>;

impl Waiting {
    fn add(&self, job: Job) {
        self.locked().push(job);
    }

    /// All that wait, in the order in which they came; those whose caller is gone are left out.
    fn take(&self) -> Vec<Job> {
        let mut jobs = std::mem::take(&mut *self.locked());
        jobs.retain(|job| !job.answer.is_closed());
        jobs
    }

    /// A plain lock: it is held only to add or take.
    fn locked(&self) -> MutexGuard<'_, Vec<Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sqlite {
    /// Carries out the changes of a caller. Whoever gets the writer takes all that wait: each in a savepoint of
    /// its own, so that a refusal is that of one, and one commit for all. They are answered after it.
    pub(crate) async fn sta_write(
        self: &Arc<Self>,
        author: Author,
        operations: Vec<Operation>,
        now: Timestamp,
    ) -> Done {
        let (answer, mut answered) = oneshot::channel();
        self.sta_waiting.add(Job {
            author,
            operations,
            now,
            answer,
        });
        let writer = Arc::clone(&self.writer).lock_owned();
        let mut connection = tokio::select! {
            biased;
            done = &mut answered => return done.unwrap_or_else(|_| Err(interrupted())),
            connection = writer => connection,
        };
        let this = Arc::clone(self);
        blocking(WRITING, move || {
            let jobs = this.sta_waiting.take();
            if !jobs.is_empty() {
                this.write_all(&mut connection, jobs);
            }
            Ok(())
        })
        .await?;
        answered.await.unwrap_or_else(|_| Err(interrupted()))
    }

    fn write_all(&self, connection: &mut Connection, jobs: Vec<Job>) {
        let mut done = Vec::with_capacity(jobs.len());
        let mut answers = Vec::with_capacity(jobs.len());
        let committed = (|| {
            let begun = Begun::new(connection, "BEGIN IMMEDIATE")?;
            for job in jobs {
                let Job {
                    author,
                    operations,
                    now,
                    answer,
                } = job;
                answers.push(answer);
                let begun = &mut *begun.connection;
                done.push(in_savepoint(begun, &author, &operations, now)?);
            }
            if done.iter().any(Result::is_ok) {
                super::note_change(begun.connection)?;
            }
            begun.commit()
        })();
        match committed {
            Ok(()) => {
                for (answer, done) in answers.into_iter().zip(done) {
                    let done = self.told(WRITING, done);
                    // Who is gone needs no answer.
                    let _ = answer.send(done.unwrap_or_else(|error| Err(error.into())));
                }
            }
            Err(error) => {
                for answer in answers {
                    let fault = SqliteFault::from(again(&error));
                    let _ = answer.send(Err(fault.during(WRITING, &self.file).into()));
                }
            }
        }
    }
}

const WRITING: &str = "writing entities";

fn interrupted() -> StaError {
    StoreError::Interrupted { action: WRITING }.into()
}

/// The same error for another caller.
fn again(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, told) => {
            rusqlite::Error::SqliteFailure(*code, told.clone())
        }
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}

/// Carries out the changes of one caller so that those of others stay when they are refused.
///
/// # Errors
/// When the transaction is gone, and with it what others did.
fn in_savepoint(
    connection: &mut Connection,
    author: &Author,
    operations: &[Operation],
    now: Timestamp,
) -> rusqlite::Result<Result<Vec<Outcome>, Fault>> {
    connection.prepare_cached("SAVEPOINT caller")?.execute([])?;
    let done = {
        let mut sql = Embedded {
            connection: &mut *connection,
        };
        futures::executor::block_on(write::apply(&mut sql, author, operations, now))
    };
    match done {
        Err(Fault::Sqlite(error)) if connection.is_autocommit() => return Err(error),
        Err(_) => connection.execute_batch("ROLLBACK TO caller")?,
        Ok(_) => {}
    }
    connection.prepare_cached("RELEASE caller")?.execute([])?;
    Ok(done)
}

/// Whether entities of stations are to be brought in line.
pub(super) fn is_stale(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM sta_stale)")?
        .query_row([], |row| row.get(0))
}

/// Brings them in line in the transaction that is open, and commits it.
pub(super) fn align_and_commit(connection: &mut Connection) -> Result<(), SqliteFault> {
    let begun = Begun { connection };
    begun.align(Tell::Yes)?;
    Ok(())
}

/// Brings those of a store in line that an older program, or a copy, left.
pub(super) fn align_all(connection: &mut Connection) -> Result<(), SqliteFault> {
    if is_stale(connection)? {
        Begun::new(connection, "BEGIN IMMEDIATE")?.align(Tell::No)?;
    }
    Ok(())
}

fn in_transaction<T, W>(connection: &mut Connection, how: &str, work: W) -> Result<T, Fault>
where
    W: for<'s> FnOnce(&'s mut dyn Sql) -> BoxFuture<'s, Result<T, Fault>>,
{
    let begun = Begun::new(connection, how)?;
    let done = {
        let mut sql = Embedded {
            connection: &mut *begun.connection,
        };
        // Nothing in it waits: each statement is done when it is asked for.
        futures::executor::block_on(work(&mut sql))?
    };
    begun.commit()?;
    Ok(done)
}

struct Embedded<'c> {
    connection: &'c mut Connection,
}

impl Embedded<'_> {
    fn rows(&mut self, sql: &str, params: &[Param], into: &mut Vec<Row>) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        // The last ones may be needed by nothing, as the end of an interval of which only the start counts.
        let needed = statement.parameter_count().min(params.len());
        let mut rows = statement.query(rusqlite::params_from_iter(&params[..needed]))?;
        while let Some(row) = rows.next()? {
            into.push(cells(row, columns, None)?);
        }
        Ok(())
    }

    fn rows_each(
        &mut self,
        sql: &str,
        keys: &[i64],
        params: &[Param],
        most: u64,
    ) -> rusqlite::Result<Vec<Row>> {
        let place = Dialect::Sqlite.place(params.len() + 1);
        let sql = sql.replace("{key}", &place);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let columns = statement.column_count();
        let mut found = Vec::new();
        for &key in keys {
            let own = [Param::int(key)];
            let all = rusqlite::params_from_iter(params.iter().chain(&own));
            let mut rows = statement.query(all)?;
            while let Some(row) = rows.next()? {
                if found.len() as u64 >= most {
                    return Ok(found);
                }
                found.push(cells(row, columns, Some(key))?);
            }
        }
        Ok(found)
    }
}

fn cells(row: &SqliteRow<'_>, columns: usize, key: Option<i64>) -> rusqlite::Result<Row> {
    let mut cells = Vec::with_capacity(columns + 1);
    cells.extend(key.map(Cell::Int));
    for at in 0..columns {
        cells.push(match row.get_ref(at)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Real(value) => Cell::Real(value),
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                Cell::Text(String::from_utf8_lossy(text).into_owned())
            }
        });
    }
    Ok(Row(cells))
}

impl ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) | Self::Time(value) => ToSqlOutput::Owned(Value::from(*value)),
            Self::Real(value) => ToSqlOutput::Owned(Value::from(*value)),
            Self::Bool(value) => ToSqlOutput::from(*value),
            Self::Text(text) | Self::Json(text) => match text {
                Some(text) => ToSqlOutput::from(text.as_str()),
                None => ToSqlOutput::Owned(Value::Null),
            },
            Self::Ints(values) => {
                let list = serde_json::json!(values).to_string();
                ToSqlOutput::Owned(Value::Text(list))
            }
        })
    }
}

impl Sql for Embedded<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        async move {
            let mut rows = Vec::new();
            self.rows(sql, params, &mut rows)?;
            Ok(rows)
        }
        .boxed()
    }

    fn query_each<'a>(
        &'a mut self,
        sql: &'a str,
        keys: &'a [i64],
        params: &'a [Param],
        most: u64,
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        async move { Ok(self.rows_each(sql, keys, params, most)?) }.boxed()
    }

    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        params: &'a [Param],
    ) -> BoxFuture<'a, Result<u64, Fault>> {
        async move {
            let mut statement = self.connection.prepare_cached(sql)?;
            let changed = statement.execute(rusqlite::params_from_iter(params))?;
            Ok(changed as u64)
        }
        .boxed()
    }

    fn insert<'a>(
        &'a mut self,
        head: &'a str,
        rows: &'a [Vec<Param>],
        tail: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Row>, Fault>> {
        async move {
            let mut found = Vec::new();
            let Some(first) = rows.first() else {
                return Ok(found);
            };
            let sql = format!("{head} VALUES ({}) {tail}", places(first.len()));
            for row in rows {
                self.rows(&sql, row, &mut found)?;
            }
            Ok(found)
        }
        .boxed()
    }

    fn load<'a>(
        &'a mut self,
        table: &'a str,
        columns: &'a [&'a str],
        rows: &'a [Vec<Param>],
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async move {
            let columns_of = columns.join(", ");
            let values = places(columns.len());
            let sql = format!("INSERT INTO {table} ({columns_of}) VALUES ({values})");
            let mut statement = self.connection.prepare_cached(&sql)?;
            for row in rows {
                statement.execute(rusqlite::params_from_iter(row))?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Places of so many parameters: `?1, ?2`.
fn places(count: usize) -> String {
    let places: Vec<String> = (1..=count).map(|it| Dialect::Sqlite.place(it)).collect();
    places.join(", ")
}
