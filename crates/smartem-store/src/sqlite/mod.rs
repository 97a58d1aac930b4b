//! The embedded backend: one SQLite file in write-ahead mode.
//!
//! One connection writes, a few read; each piece of work is one transaction on a blocking thread.

mod changes;
mod check;
mod commit;
mod convert;
mod copy;
mod declare;
mod fault;
mod functions;
mod hours;
mod imported;
mod intake;
mod last;
mod location;
mod migrate;
mod observations;
mod points;
mod quarantine;
mod retention;
mod runs;
mod series;
pub(crate) mod snapshot;
mod sta;
mod stations;
#[cfg(test)]
mod tests;
mod tokens;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, DropBehavior, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::Semaphore;

use crate::{Access, Migration, ProcessLock, StoreError};
pub(crate) use copy::{NewStore, SqliteSide};
use fault::Fault;
pub(crate) use migrate::needed;

pub(crate) const FILE_NAME: &str = "smartem.sqlite";
/// Locked while the file is made or migrated: SQLite does not wait for a process that is just
/// changing to the write-ahead mode, it fails.
const OPENING: &str = "opening";
/// How long a write waits for another process.
const PATIENCE: Duration = Duration::from_secs(10);
/// Readers at the same time; further ones wait.
const READERS: usize = 4;

/// The page size stays at 4 KiB: pages of 8 are as compact, but a single new hour of a station,
/// which touches a page for each of its series, would write twice as much.
const PRAGMAS: &str = "
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = FULL;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 67108864;
";
/// In KiB, negative by SQLite's convention. Only as much as is used is allocated.
const WRITER_CACHE: i64 = -16_384;
const READER_CACHE: i64 = -4_096;

pub(crate) struct Sqlite {
    dir: PathBuf,
    file: PathBuf,
    /// A lock of tokio: who waits for it holds no thread.
    writer: Arc<tokio::sync::Mutex<Connection>>,
    /// Idle readers; one permit for each that may be in use.
    readers: Mutex<Vec<Connection>>,
    permits: Semaphore,
    /// Changes of SensorThings entities that wait for the writer.
    sta_waiting: sta::Waiting,
}

impl Sqlite {
    pub(crate) fn open(dir: &Path, access: Access) -> Result<Self, StoreError> {
        const ACTION: &str = "opening the store";
        let file = dir.join(FILE_NAME);
        let needed = migrate::needed();
        let create = matches!(access, Access::Create { .. });
        if create {
            create_dir(dir)?;
        } else if !file.exists() {
            return Err(StoreError::NotMigrated {
                path: file,
                found: 0,
                needed,
            });
        }
        let opened = || -> Result<_, Fault> {
            let _opening = ProcessLock::wait(dir, OPENING)?;
            let mut connection = connect_writer(&file, create)?;
            let found = migrate::version(&connection)?;
            if found > needed {
                return Err(StoreError::NewerSchema {
                    path: file.clone(),
                    found,
                    known: needed,
                }
                .into());
            }
            match access {
                Access::Create { now } => {
                    migrate::migrate(&mut connection, now)?;
                    sta::align_all(&mut connection)?;
                }
                Access::Existing if found < needed => {
                    return Err(StoreError::NotMigrated {
                        path: file.clone(),
                        found,
                        needed,
                    }
                    .into());
                }
                Access::Existing => {}
            }
            Ok(connection)
        };
        let connection = opened().map_err(|fault| fault.during(ACTION, &file))?;
        Ok(Self {
            dir: dir.to_owned(),
            file,
            writer: Arc::new(tokio::sync::Mutex::new(connection)),
            readers: Mutex::new(Vec::new()),
            permits: Semaphore::new(READERS),
            sta_waiting: sta::Waiting::default(),
        })
    }

    pub(crate) fn migrate_dir(dir: &Path, now: Timestamp) -> Result<Vec<Migration>, StoreError> {
        create_dir(dir)?;
        let file = dir.join(FILE_NAME);
        let migrated = || -> Result<_, Fault> {
            let _opening = ProcessLock::wait(dir, OPENING)?;
            let mut connection = connect_writer(&file, true)?;
            let (found, known) = (migrate::version(&connection)?, migrate::needed());
            if found > known {
                return Err(StoreError::NewerSchema {
                    path: file.clone(),
                    found,
                    known,
                }
                .into());
            }
            let taken = migrate::migrate(&mut connection, now)?;
            sta::align_all(&mut connection)?;
            Ok(taken)
        };
        migrated().map_err(|fault| fault.during("migrating the store", &file))
    }

    /// The steps that a migration would take.
    pub(crate) fn pending_dir(dir: &Path) -> Result<Vec<Migration>, StoreError> {
        let file = dir.join(FILE_NAME);
        let found = if file.exists() {
            let version = connect_reader(&file).and_then(|it| migrate::version(&it));
            version
                .map_err(|error| Fault::from(error).during("reading the schema version", &file))?
        } else {
            0
        };
        let known = migrate::needed();
        if found > known {
            return Err(StoreError::NewerSchema {
                path: file,
                found,
                known,
            });
        }
        Ok(migrate::missing(found).collect())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) async fn schema_version(self: &Arc<Self>) -> Result<u32, StoreError> {
        let version = |transaction: &Transaction<'_>| Ok(migrate::version(transaction)?);
        self.read("reading the schema version", version).await
    }

    pub(crate) async fn identity(self: &Arc<Self>) -> Result<Option<String>, StoreError> {
        let identity = |transaction: &Transaction<'_>| Ok(migrate::identity(transaction)?);
        self.read("reading the id of the store", identity).await
    }

    /// The number that grows with every write that a reader can see.
    pub(crate) async fn change(self: &Arc<Self>) -> Result<u64, StoreError> {
        let change =
            |transaction: &Transaction<'_>| Ok(convert::to_count(meta(transaction, "change")?));
        self.read("reading the change counter", change).await
    }

    /// Runs `work` in a transaction that writes, after those before it.
    ///
    /// It is committed even when the caller does not wait for the end.
    async fn write<T, W>(&self, action: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let mut connection = Arc::clone(&self.writer).lock_owned().await;
        let transaction = move || -> Result<T, Fault> {
            let mut transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            if !sta::is_stale(&transaction)? {
                transaction.commit()?;
                return Ok(done);
            }
            // It goes on as one of the SensorThings entities.
            transaction.set_drop_behavior(DropBehavior::Ignore);
            drop(transaction);
            sta::align_and_commit(&mut connection)?;
            Ok(done)
        };
        let file = self.file.clone();
        blocking(action, move || {
            transaction().map_err(|fault| fault.during(action, &file))
        })
        .await
    }

    /// Moves what is in the write-ahead log into the database file, as far as readers allow.
    pub(crate) async fn checkpoint(&self) -> Result<(), StoreError> {
        const ACTION: &str = "moving the write-ahead log into the database";
        let connection = Arc::clone(&self.writer).lock_owned().await;
        let file = self.file.clone();
        blocking(ACTION, move || {
            let moved = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            moved.map_err(|error| Fault::from(error).during(ACTION, &file))
        })
        .await
    }

    /// Runs `work` in a transaction that reads: it sees one state of the store throughout.
    async fn read<T, W>(self: &Arc<Self>, action: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let _permit = self.permits.acquire().await;
        let this = Arc::clone(self);
        blocking(action, move || {
            this.read_now(work)
                .map_err(|fault| fault.during(action, &this.file))
        })
        .await
    }

    fn read_now<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut connection = match self.take_reader() {
            Some(connection) => connection,
            None => connect_reader(&self.file)?,
        };
        let done = {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            work(&transaction)
        };
        self.put_reader(connection);
        done
    }

    fn take_reader(&self) -> Option<Connection> {
        self.idle_readers().pop()
    }

    fn put_reader(&self, connection: Connection) {
        self.idle_readers().push(connection);
    }

    /// A plain lock: it is held only to take or put back a connection.
    fn idle_readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs work that blocks on a thread for such.
pub(crate) async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StoreError::Interrupted { action }),
    }
}

/// Makes a folder that only its owner can look into.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| StoreError::File {
        action: "creating the folder",
        path: dir.to_owned(),
        source,
    })
}

fn connect_writer(file: &Path, create: bool) -> rusqlite::Result<Connection> {
    let connection = connect(file, create)?;
    connection.execute_batch(PRAGMAS)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn connect_reader(file: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(file, false)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "cache_size", READER_CACHE)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn connect(file: &Path, create: bool) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
        create_private(file);
    }
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(PATIENCE)?;
    // Else, where the tables were analysed, a statement is planned anew for each value that it is given, which
    // takes far longer than to find what a key leads to.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    functions::register(&connection)?;
    Ok(connection)
}

/// Makes a file that only its owner can read, where there is none: SQLite would let everybody read hashes
/// of tokens in a folder that was there before. Its logs get the same mode.
fn create_private(file: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Where it cannot be made, SQLite says why.
    let _ = options.open(file);
}

/// Adds to a running total.
fn add_to_meta(transaction: &Connection, key: &str, add: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE meta SET value = value + ?2 WHERE key = ?1")?
        .execute((key, add))?;
    Ok(())
}

/// Reads a running total.
fn meta(transaction: &Transaction<'_>, key: &str) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
}

/// The number of the change that a transaction makes, if it notes one ([`note_change`]).
fn this_change(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    Ok(meta(transaction, "change")? + 1)
}

/// Readers keep what they got as long as this number stays the same.
fn note_change(transaction: &Connection) -> rusqlite::Result<()> {
    add_to_meta(transaction, "change", 1)
}
