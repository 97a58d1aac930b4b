//! The backend on a PostgreSQL server with PostGIS, which several programs on several machines share.
//!
//! - Each method is one transaction; it is done again when the server was away or two of them stood in
//!   each other's way ([`Fault::is_passing`]). All are such that doing them twice is doing them once.
//! - Who changes hours of a station has the station's row locked (`FOR NO KEY UPDATE`, in the order of
//!   keys), so hours of one station change one after the other.
//! - The number of a change is taken last: the row of `meta` stays locked until the commit, so that the
//!   numbers are in the order of commits, and no reader of changes misses one.
//! - Statements have no names on the server and nothing belongs to a session, so a `PgBouncer` in
//!   transaction mode may stand between.

mod changes;
mod check;
mod commit;
mod convert;
mod copy;
mod declare;
mod facts;
mod fault;
mod hours;
mod imported;
mod intake;
mod last;
mod lease;
mod location;
mod migrate;
mod observations;
mod points;
mod quarantine;
mod retention;
mod runs;
mod series;
mod settings;
mod sql;
mod sta;
mod station_rows;
mod stations;
mod stetl;
mod terms;
mod tls;
mod tokens;
mod work;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    Client, ConfigConnectImpl, Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Transaction,
};
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::IsolationLevel;

use crate::sta::keep;
use crate::{Access, PoolNumbers, StoreError};
pub use facts::ServerFacts;
use fault::Fault;
use settings::Address;
pub use settings::PostgresSettings;
use sql::{At, attempt, params};

pub(crate) use convert::text;
pub(crate) use copy::PostgresSide;
pub(crate) use facts::facts;
pub(crate) use lease::Lease;
pub(crate) use migrate::{apply, pending};

/// For so long a partition that was seen is taken to be there: another program may drop it when it is old.
const SEEN: Duration = Duration::from_secs(60);
/// Pauses between attempts grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub(crate) struct Postgres {
    /// What this machine keeps beside the database: the log of points, and files for people.
    dir: PathBuf,
    /// For messages.
    place: PathBuf,
    pool: Pool,
    patience: Duration,
    /// Tells this program from others that share the work.
    holder: String,
    terms: terms::Terms,
    /// When the partitions of months were seen.
    months: Mutex<HashMap<i64, Instant>>,
    reader: points::Reader,
    collector: points::Collector,
}

/// How a transaction begins.
#[derive(Clone, Copy)]
enum Kind {
    /// It sees one state of the database throughout.
    Read,
    Write,
}

impl Kind {
    async fn begin(self, client: &mut Client) -> Result<Transaction<'_>, Fault> {
        let builder = client.build_transaction();
        let started = match self {
            Self::Read => {
                builder
                    .isolation_level(IsolationLevel::RepeatableRead)
                    .read_only(true)
                    .start()
                    .await
            }
            Self::Write => builder.start().await,
        };
        Ok(started?)
    }
}

/// For how long, and with which pauses, the same is tried again.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    /// Waits a little; gives the fault back when trying again makes no sense.
    async fn wait(&mut self, fault: Fault) -> Result<(), Fault> {
        if !fault.is_passing() || Instant::now() + self.pause > self.until {
            return Err(fault);
        }
        tracing::debug!(?fault, "the database is tried again");
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        Ok(())
    }
}

impl Postgres {
    /// Connects and looks whether the schema is one that this program can work with.
    pub(crate) async fn open(
        dir: &Path,
        settings: &PostgresSettings,
        access: Access,
    ) -> Result<Self, StoreError> {
        if let Access::Create { .. } = access {
            migrate::apply(settings).await?;
        }
        let this = Self::connect(dir, settings)?;
        let schema = attempt!(this, "opening the store", Kind::Read, |transaction| {
            migrate::schema(&transaction).await
        })?;
        migrate::fits(schema, &this.place)?;
        Ok(this)
    }

    /// A pool of connections, none of which is made yet.
    pub(crate) fn connect(dir: &Path, settings: &PostgresSettings) -> Result<Self, StoreError> {
        let address = Address::of(settings)?;
        let password = Password::of(settings)?;
        let connector = Connector {
            password,
            tls: tls::Tls::new(address.verify, settings.ca_file.clone())?,
        };
        let manager = Manager::from_connect(
            address.config,
            connector,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(settings.connections.max(1))
            .build()
            .map_err(|error| StoreError::Address {
                problem: error.to_string(),
            })?;
        Ok(Self {
            dir: dir.to_owned(),
            place: address.shown,
            pool,
            patience: settings.patience,
            holder: format!("{:016x}", rand::random::<u64>()),
            terms: terms::Terms::default(),
            months: Mutex::default(),
            reader: points::Reader::new(settings),
            collector: points::Collector::default(),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// For messages: where the database is.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    pub(crate) fn pool_numbers(&self) -> PoolNumbers {
        let status = self.pool.status();
        PoolNumbers {
            max: status.max_size as u64,
            idle: status.available as u64,
            busy: status.size.saturating_sub(status.available) as u64,
            waiting: status.waiting as u64,
        }
    }

    async fn client(&self) -> Result<Client, Fault> {
        Ok(self.pool.get().await?)
    }

    fn patience(&self) -> Patience {
        Patience {
            until: Instant::now() + self.patience,
            pause: PAUSES.0,
        }
    }

    pub(crate) async fn schema_version(self: &Arc<Self>) -> Result<u32, StoreError> {
        attempt!(
            self,
            "reading the schema version",
            Kind::Read,
            |transaction| Ok(migrate::schema(&transaction).await?.version)
        )
    }

    pub(crate) async fn identity(self: &Arc<Self>) -> Result<Option<String>, StoreError> {
        attempt!(
            self,
            "reading the id of the store",
            Kind::Read,
            |transaction| {
                let sql = "SELECT id FROM smartem.identity";
                let row = transaction.query_typed_opt(sql, params![]).await?;
                Ok(row.map(|row| row.try_get(0)).transpose()?)
            }
        )
    }

    /// The number that grows with every write that a reader can see.
    pub(crate) async fn change(self: &Arc<Self>) -> Result<u64, StoreError> {
        attempt!(
            self,
            "reading the change counter",
            Kind::Read,
            |transaction| Ok(convert::to_count(meta(&transaction, "change").await?))
        )
    }

    /// Makes sure that there are partitions for observations that begin in these hours, in transactions
    /// of their own.
    async fn ensure_months(&self, hours: &[smartem_model::Hour]) -> Result<(), Fault> {
        for hour in hours {
            let day = hour.day();
            let month = i64::from(day.year()) * 12 + i64::from(day.month());
            let seen = self.months().get(&month).copied();
            if seen.is_some_and(|seen| seen.elapsed() < SEEN) {
                continue;
            }
            let sql = "SELECT smartem_refined.ensure_month($1)";
            let at = At::hour(*hour);
            let client = self.client().await?;
            client
                .execute_typed(sql, params![at => TIMESTAMPTZ])
                .await?;
            self.months().insert(month, Instant::now());
        }
        Ok(())
    }

    fn months(&self) -> MutexGuard<'_, HashMap<i64, Instant>> {
        self.months.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a number of the whole store.
async fn meta(transaction: &Transaction<'_>, key: &str) -> Result<i64, Fault> {
    let sql = "SELECT value FROM smartem.meta WHERE key = $1";
    let row = transaction
        .query_typed_one(sql, params![key => TEXT])
        .await?;
    Ok(row.try_get(0)?)
}

/// The number of the change that this transaction makes: from here on others wait for its commit, so this
/// is called when nothing is left to do but to write rows that have the number.
///
/// Entities of stations that this transaction made stale are brought in line here, through which every writer
/// of stations goes: where none are, that costs a look at an empty table in a statement that runs anyway.
async fn next_change(transaction: &Transaction<'_>) -> Result<i64, Fault> {
    let sql = "UPDATE smartem.meta SET value = value + 1 WHERE key = 'change'
        RETURNING value, EXISTS (SELECT FROM smartem_sta.stale)";
    let row = transaction.query_typed_one(sql, params![]).await?;
    if row.try_get(1)? {
        keep::align(&mut sta::Server { transaction }, keep::Tell::Yes).await?;
    }
    Ok(row.try_get(0)?)
}

/// The password of a file, read again for each connection; where that fails, what it was before.
#[derive(Clone)]
struct Password {
    file: Option<PathBuf>,
    last: Arc<Mutex<Option<String>>>,
}

impl Password {
    fn of(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let password = Self {
            file: settings.password_file.clone(),
            last: Arc::default(),
        };
        if let Some(file) = &password.file {
            let read = std::fs::read_to_string(file).map_err(|source| StoreError::File {
                action: "reading the password of the database from",
                path: file.clone(),
                source,
            })?;
            password.keep(&read);
        }
        Ok(password)
    }

    fn keep(&self, read: &str) -> Option<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(read.trim_end_matches(['\r', '\n']).to_owned());
        last.clone()
    }

    async fn now(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        match tokio::fs::read_to_string(file).await {
            Ok(read) => self.keep(&read),
            Err(_) => self
                .last
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }
}

struct Connector {
    password: Password,
    tls: tls::Tls,
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &tokio_postgres::Config,
    ) -> BoxFuture<'_, Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>>
    {
        let mut config = config.clone();
        Box::pin(async move {
            if let Some(password) = self.password.now().await {
                config.password(password);
            }
            let tls = self.tls.now();
            ConfigConnectImpl { tls }.connect(&config).await
        })
    }
}
