//! A database file as one side of a copy.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql};
use tokio::sync::mpsc::{Receiver, Sender};

use super::convert::{parsed_time, to_count};
use super::fault::Fault;
use super::{FILE_NAME, Sqlite, blocking, connect, connect_reader, migrate};
use crate::copy::{Batch, Cell, Column, Kind, Row, Side, Table};
use crate::{ProcessLock, StoreError};

const ACTION: &str = "copying the store";

/// A file in a transaction.
pub(crate) struct SqliteSide {
    file: PathBuf,
    /// Away while a thread works with it.
    connection: Option<Connection>,
}

impl Sqlite {
    /// Segments of the log of points before this one are committed.
    pub(crate) async fn committed_segment(self: &Arc<Self>) -> Result<u64, StoreError> {
        self.read(ACTION, |it| {
            Ok(to_count(super::meta(it, "points_segment")?))
        })
        .await
    }

    /// The store as it is now, to be copied.
    pub(crate) async fn copied(&self) -> Result<SqliteSide, StoreError> {
        SqliteSide::opened(self.file.clone(), |file| {
            let connection = connect_reader(file)?;
            connection.execute_batch("BEGIN")?;
            // A transaction begins with its first read.
            migrate::version(&connection)?;
            Ok(connection)
        })
        .await
    }
}

impl SqliteSide {
    /// A new file, to be written.
    pub(crate) async fn new_file(file: PathBuf, now: Timestamp) -> Result<Self, StoreError> {
        Self::opened(file, move |file| {
            let mut connection = connect(file, true)?;
            // A copy that is not finished is thrown away.
            connection.execute_batch(
                "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA foreign_keys = OFF;
                PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY",
            )?;
            connection.set_prepared_statement_cache_capacity(64);
            migrate::migrate(&mut connection, now)?;
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        })
        .await
    }

    async fn opened(
        file: PathBuf,
        open: impl FnOnce(&Path) -> Result<Connection, Fault> + Send + 'static,
    ) -> Result<Self, StoreError> {
        blocking(ACTION, move || match open(&file) {
            Ok(connection) => Ok(Self {
                file,
                connection: Some(connection),
            }),
            Err(fault) => Err(fault.during(ACTION, &file)),
        })
        .await
    }

    /// Ends the transaction of a written file and closes it.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        self.with(|connection| Ok(connection.execute_batch("COMMIT")?))
            .await
    }

    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let interrupted = StoreError::Interrupted { action: ACTION };
        let connection = self.connection.take().ok_or(interrupted)?;
        let file = self.file.clone();
        let (connection, done) = blocking(ACTION, move || {
            let done = work(&connection).map_err(|fault| fault.during(ACTION, &file));
            Ok((connection, done))
        })
        .await?;
        self.connection = Some(connection);
        done
    }
}

impl Side for SqliteSide {
    const HAS_NUL: bool = true;

    fn place(&self) -> &Path {
        &self.file
    }

    async fn count(&mut self, table: &'static Table) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {}{}", table.embedded, only(table));
        self.with(move |it| Ok(to_count(it.query_row(&sql, [], |row| row.get(0))?)))
            .await
    }

    async fn last_number(
        &mut self,
        table: &'static Table,
        column: &'static str,
    ) -> Result<i64, StoreError> {
        let name = table.embedded;
        let sql = format!(
            "SELECT max(coalesce((SELECT max({column}) FROM {name}), 0),
                coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{name}'), 0))"
        );
        self.with(move |it| Ok(it.query_row(&sql, [], |row| row.get(0))?))
            .await
    }

    async fn read(
        &mut self,
        table: &'static Table,
        to: Sender<Vec<Row>>,
    ) -> Result<(), StoreError> {
        self.with(move |connection| read(connection, table, &to))
            .await
    }

    async fn prepare(&mut self) -> Result<(), StoreError> {
        let seeded = crate::copy::TABLES.iter().filter(|table| table.is_seeded);
        let sql = seeded.fold(String::new(), |mut sql, table| {
            // Writing to a String cannot fail.
            let _ = write!(sql, "DELETE FROM {}{};", table.embedded, only(table));
            sql
        });
        self.with(move |it| Ok(it.execute_batch(&sql)?)).await
    }

    async fn write(
        &mut self,
        table: &'static Table,
        from: Receiver<Vec<Row>>,
    ) -> Result<(), StoreError> {
        self.with(move |connection| write(connection, table, from))
            .await
    }

    async fn count_on(
        &mut self,
        table: &'static Table,
        _: &'static str,
        after: i64,
    ) -> Result<(), StoreError> {
        // Other tables count on after the greatest that is there.
        let sql = "INSERT INTO sqlite_sequence (name, seq) SELECT name, ?2 FROM sqlite_schema
            WHERE name = ?1 AND sql LIKE '%AUTOINCREMENT%' AND ?2 > 0";
        self.with(move |it| {
            it.execute(
                "DELETE FROM sqlite_sequence WHERE name = ?1 AND ?2 > 0",
                (table.embedded, after),
            )?;
            it.execute(sql, (table.embedded, after))?;
            Ok(())
        })
        .await
    }

    async fn total(&mut self) -> Result<(), StoreError> {
        const TOTALS: &str = "UPDATE meta SET value = (SELECT count(*) FROM observation)
                WHERE key = 'observations';
            UPDATE meta SET value = (SELECT count(*) FROM raw_record) WHERE key = 'raw_records';
            -- The entities of stations were copied too.
            DELETE FROM sta_stale;";
        self.with(|it| Ok(it.execute_batch(TOTALS)?)).await
    }
}

fn only(table: &Table) -> String {
    let only = table.only.map(|only| format!(" WHERE {only}"));
    only.unwrap_or_default()
}

/// The columns that a column of the description is here.
fn names(column: Column) -> String {
    match column.kind {
        Kind::Point => r#""lon", "lat""#.to_owned(),
        _ => format!("\"{}\"", column.name),
    }
}

fn columns(table: &Table) -> String {
    let names: Vec<String> = table.columns.iter().map(|it| names(*it)).collect();
    names.join(", ")
}

fn read(connection: &Connection, table: &Table, to: &Sender<Vec<Row>>) -> Result<(), Fault> {
    let (name, key) = (table.embedded, table.key);
    let sql = format!(
        "SELECT {} FROM {name}{} ORDER BY {key}",
        columns(table),
        only(table)
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut batch = Batch::default();
    while let Some(row) = rows.next()? {
        let mut at = 0;
        let mut cells = Vec::with_capacity(table.columns.len());
        for column in table.columns {
            if column.kind == Kind::Point {
                cells.push(Cell::Point(row.get(at)?, row.get(at + 1)?));
                at += 2;
                continue;
            }
            cells.push(cell(*column, row.get_ref(at)?)?);
            at += 1;
        }
        if let Some(full) = batch.add(cells)
            && to.blocking_send(full).is_err()
        {
            return Ok(());
        }
    }
    // Who does not take them any more knows why.
    let _ = to.blocking_send(batch.take());
    Ok(())
}

fn cell(column: Column, value: ValueRef<'_>) -> Result<Cell, Fault> {
    let other = || Fault::unknown(column.name, &format!("{:?}", value.data_type()));
    Ok(match (column.kind, value) {
        (_, ValueRef::Null) => Cell::Null,
        (Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Hour, ValueRef::Integer(it)) => Cell::Int(it),
        (Kind::Bool, ValueRef::Integer(it)) => Cell::Bool(it != 0),
        (Kind::Time, ValueRef::Integer(it)) => Cell::Time(it),
        (Kind::Real, ValueRef::Real(it)) => Cell::Real(it),
        (Kind::Bytes, ValueRef::Blob(it)) => Cell::Bytes(it.to_vec()),
        (Kind::Text | Kind::Name | Kind::Json, ValueRef::Text(it)) => Cell::Text(utf8(column, it)?),
        (Kind::Jsonb, ValueRef::Text(it)) => Cell::Json(utf8(column, it)?),
        (Kind::Nanos, ValueRef::Text(it)) => {
            Cell::Nanos(parsed_time(&utf8(column, it)?)?.as_nanosecond())
        }
        _ => return Err(other()),
    })
}

fn utf8(column: Column, bytes: &[u8]) -> Result<String, Fault> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| Fault::unknown(column.name, &String::from_utf8_lossy(bytes)))?;
    Ok(text.to_owned())
}

fn write(
    connection: &Connection,
    table: &Table,
    mut from: Receiver<Vec<Row>>,
) -> Result<(), Fault> {
    let names = columns(table);
    let places = vec!["?"; names.split(", ").count()].join(", ");
    let sql = format!("INSERT INTO {} ({names}) VALUES ({places})", table.embedded);
    let mut statement = connection.prepare(&sql)?;
    while let Some(batch) = from.blocking_recv() {
        for row in &batch {
            let mut at = 0;
            for (column, cell) in table.columns.iter().zip(row) {
                if let Cell::Point(lon, lat) = cell {
                    statement.raw_bind_parameter(at + 1, lon)?;
                    statement.raw_bind_parameter(at + 2, lat)?;
                    at += 2;
                    continue;
                }
                at += 1;
                statement.raw_bind_parameter(at, Bound::of(*column, cell)?)?;
            }
            statement.raw_execute()?;
        }
    }
    Ok(())
}

/// A value as it is bound.
struct Bound<'a>(ToSqlOutput<'a>);

impl<'a> Bound<'a> {
    fn of(column: Column, cell: &'a Cell) -> Result<Self, Fault> {
        let borrowed = ToSqlOutput::Borrowed;
        let owned = ToSqlOutput::Owned;
        Ok(Self(match cell {
            Cell::Null => owned(Value::Null),
            Cell::Int(it) | Cell::Time(it) => owned(Value::Integer(*it)),
            Cell::Real(it) => owned(Value::Real(*it)),
            Cell::Text(it) | Cell::Json(it) => borrowed(ValueRef::Text(it.as_bytes())),
            Cell::Bytes(it) => borrowed(ValueRef::Blob(it)),
            Cell::Bool(it) => owned(Value::Integer(i64::from(*it))),
            Cell::Nanos(it) => {
                let time = Timestamp::from_nanosecond(*it);
                let time = time.map_err(|_| Fault::unknown(column.name, it))?;
                owned(Value::Text(time.to_string()))
            }
            Cell::Point(..) => return Err(Fault::unknown(column.name, "a point")),
        }))
    }
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.clone())
    }
}

/// A new store in a folder, put together beside and renamed into place.
pub(crate) struct NewStore {
    dir: PathBuf,
    staging: PathBuf,
    _lock: ProcessLock,
}

impl NewStore {
    /// # Errors
    /// [`StoreError::NotEmpty`] where there is a store.
    pub(crate) fn begin(dir: &Path) -> Result<Self, StoreError> {
        super::create_dir(dir)?;
        let lock = ProcessLock::take(dir, "copying")?.ok_or_else(|| StoreError::InUse {
            what: "the folder and a copy into it",
            path: dir.to_owned(),
        })?;
        let file = dir.join(FILE_NAME);
        if file.exists() {
            return Err(StoreError::NotEmpty {
                path: file,
                remedy: "name another folder",
            });
        }
        let staging = dir.join("copy-scratch");
        // What a copy that was killed left.
        remove(&staging)?;
        super::create_dir(&staging)?;
        Ok(Self {
            dir: dir.to_owned(),
            staging,
            _lock: lock,
        })
    }

    /// The file that is to become the store.
    pub(crate) fn file(&self) -> PathBuf {
        self.staging.join(FILE_NAME)
    }

    /// Puts the file in its place, on disk.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        let (from, to) = (self.file(), self.dir.join(FILE_NAME));
        if to.exists() {
            return Err(StoreError::NotEmpty {
                path: to,
                remedy: "somebody made it meanwhile; name another folder",
            });
        }
        let done = std::fs::File::open(&from)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&from, &to))
            .and_then(|()| std::fs::File::open(&self.dir)?.sync_all());
        done.map_err(|source| StoreError::File {
            action: "putting the copy in its place:",
            path: to,
            source,
        })
    }
}

impl Drop for NewStore {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.staging);
    }
}

fn remove(dir: &Path) -> Result<(), StoreError> {
    match std::fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(StoreError::File {
            action: "emptying the folder",
            path: dir.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
