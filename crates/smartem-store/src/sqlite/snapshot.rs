//! A copy of the whole database while others write to it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::convert::{hour, time, to_count};
use super::fault::Fault;
use super::{FILE_NAME, PATIENCE, Sqlite, blocking, connect, connect_reader, migrate};
use crate::{StoreContents, StoreError};

/// Pages copied between two looks at whether to go on: 4 MiB.
const STEP: i32 = 1024;

impl Sqlite {
    /// Copies the database into a new file; `false` when `copied` broke off.
    pub(crate) async fn snapshot(
        &self,
        to: PathBuf,
        copied: impl FnMut(u64, u64) -> ControlFlow<()> + Send + 'static,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "copying the store";
        let file = self.file.clone();
        blocking(ACTION, move || {
            copy(&file, &to, copied).map_err(|fault| fault.during(ACTION, &to))
        })
        .await
    }
}

/// The pages come from one read transaction, which in the write-ahead mode holds up no writer. The
/// copy would otherwise begin again whenever another process writes.
fn copy(
    file: &Path,
    to: &Path,
    mut copied: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<bool, Fault> {
    let source = connect_reader(file)?;
    source.execute_batch("BEGIN")?;
    let page = source.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0))?;
    // A transaction begins with its first read.
    migrate::version(&source)?;
    let mut target = connect(to, true)?;
    // A copy that is not finished is thrown away.
    target.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF")?;
    let backup = Backup::new(&source, &mut target)?;
    loop {
        match backup.step(STEP)? {
            StepResult::Done => return Ok(true),
            StepResult::More => {}
            // Nobody else knows the copy, and readers wait for nobody; a recovery of the log does.
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
        let progress = backup.progress();
        let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * to_count(page);
        let total = bytes(progress.pagecount);
        if copied(total - bytes(progress.remaining), total).is_break() {
            return Ok(false);
        }
    }
}

/// What a database file holds that nobody writes to.
pub(crate) fn contents(file: &Path) -> Result<StoreContents, StoreError> {
    let read = || -> Result<StoreContents, Fault> {
        let connection = connect_unchanging(file)?;
        let mut names = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        )?;
        let names = names.query_map([], |row| row.get::<_, String>(0))?;
        let mut tables = BTreeMap::new();
        for name in names {
            let name = name?;
            let quoted = name.replace('"', "\"\"");
            let rows = format!("SELECT count(*) FROM \"{quoted}\"");
            let rows = connection.query_row(&rows, [], |row| row.get(0))?;
            tables.insert(name, to_count(rows));
        }
        let range = |sql: &str| -> rusqlite::Result<Option<(i64, i64)>> {
            connection.query_row(sql, [], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?))
            })
        };
        let hours = range("SELECT min(hour), max(hour) FROM raw_record")?;
        let observed = range("SELECT min(first_time), max(last_time) FROM series")?;
        Ok(StoreContents {
            schema_version: migrate::version(&connection)?,
            store: migrate::identity(&connection)?,
            tables,
            first_hour: hours.map(|it| hour(it.0)).transpose()?,
            last_hour: hours.map(|it| hour(it.1)).transpose()?,
            first_observation: observed.map(|it| time(it.0)).transpose()?,
            last_observation: observed.map(|it| time(it.1)).transpose()?,
        })
    };
    read().map_err(|fault| fault.during("reading the copy of the store", file))
}

/// Opens a file beside which no log may appear.
fn connect_unchanging(file: &Path) -> rusqlite::Result<Connection> {
    let path = file.to_string_lossy();
    let path = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)
}

/// Whether some process has the store in this folder open; a store that is no database is not used.
pub(crate) fn in_use(dir: &Path) -> Result<bool, StoreError> {
    let file = dir.join(FILE_NAME);
    if !file.exists() {
        return Ok(false);
    }
    let left_alone = || -> rusqlite::Result<bool> {
        let connection = connect(&file, false)?;
        connection.busy_timeout(PATIENCE / 10)?;
        // The write-ahead mode can be left only by the last connection.
        let mode = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| {
            row.get::<_, String>(0)
        })?;
        Ok(mode == "delete")
    };
    match left_alone() {
        Ok(left_alone) => Ok(!left_alone),
        Err(error) => match Fault::from(error).during("looking who uses the store", &file) {
            StoreError::Locked { .. } => Ok(true),
            StoreError::Corrupt { .. } => Ok(false),
            error => Err(error),
        },
    }
}
