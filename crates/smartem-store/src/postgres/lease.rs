//! Names and stations that one program at a time has.
//!
//! A session's locks would not outlive the way through a `PgBouncer`, so these are rows with an end by the
//! clock of the database. A program that is killed loses what it had after [`LEASE`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::Transaction;
use smartem_model::StationId;
use tokio::task::JoinHandle;

use super::convert::{from_count, station_id};
use super::fault::Fault;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres};
use crate::{Claimed, Growing, StoreError};

/// How long a lease or claim holds without being renewed.
const LEASE: Duration = Duration::from_secs(20);
/// So often a lease is renewed.
const RENEWED: Duration = Duration::from_secs(5);

const TAKE: &str = "INSERT INTO smartem.lease AS l (name, holder, until)
    VALUES ($1, $2, now() + make_interval(secs => $3))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE l.until < now() OR starts_with(l.holder, $4)
    RETURNING true";

/// A lease that ended and that nobody else took is still the holder's.
const RENEW: &str = "UPDATE smartem.lease SET until = clock_timestamp() + make_interval(secs => $3)
    WHERE name = $1 AND holder = $2";

const GIVE_BACK: &str = "DELETE FROM smartem.lease WHERE name = $1 AND holder = $2";

/// Stations with hours to be refined that nobody has in hand. Those that are just being written to are left
/// to the next time.
const CLAIM: &str = "WITH candidate AS (
        SELECT s.key FROM smartem.station s
        LEFT JOIN smartem.claim c ON c.station_key = s.key
        WHERE (c.until IS NULL OR c.until < now()) AND EXISTS (
            SELECT FROM smartem_raw.raw_record r
            WHERE r.station_key = s.key AND r.dirty AND (r.hour < $2 OR r.standing IN (0, 2)))
        ORDER BY s.key LIMIT $1
        FOR NO KEY UPDATE OF s SKIP LOCKED
    ), claimed AS (
        INSERT INTO smartem.claim AS c (station_key, holder, until)
        SELECT key, $3, now() + make_interval(secs => $4) FROM candidate
        ON CONFLICT (station_key) DO UPDATE SET holder = excluded.holder, until = excluded.until
            WHERE c.until < now()
        RETURNING station_key
    )
    SELECT s.id FROM claimed JOIN smartem.station s ON s.key = claimed.station_key ORDER BY s.key";

/// Whether there is anything to be refined, whoever has it in hand.
const ANY_LEFT: &str = "SELECT EXISTS (SELECT FROM smartem_raw.raw_record
    WHERE dirty AND (hour < $1 OR standing IN (0, 2)))";

const RELEASE: &str = "DELETE FROM smartem.claim WHERE holder = $1 AND station_key =
    (SELECT key FROM smartem.station WHERE id = $2)";

/// A name that is held; given back when it is released or dropped, and lost [`LEASE`] after the program was
/// killed.
pub(crate) struct Lease {
    renewal: JoinHandle<()>,
    row: Arc<Row>,
    is_released: bool,
}

/// A name and who holds it: what a transaction asks for before it is committed.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    name: String,
    holder: String,
}

impl Holder {
    /// Renews the lease within a transaction, so that it cannot be lost before the transaction ends; whether
    /// it is still held.
    pub(super) async fn renew(&self, transaction: &Transaction<'_>) -> Result<bool, Fault> {
        let seconds = LEASE.as_secs_f64();
        let parameters = params![self.name => TEXT, self.holder => TEXT, seconds => FLOAT8];
        Ok(transaction.execute_typed(RENEW, parameters).await? > 0)
    }
}

/// The row of a lease.
struct Row {
    database: Arc<Postgres>,
    of: Holder,
    is_lost: AtomicBool,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.row.of.name).finish()
    }
}

impl Lease {
    /// Whether another is known to have it now.
    pub(crate) fn is_lost(&self) -> bool {
        self.row.is_lost.load(Ordering::Relaxed)
    }

    /// Says that another has it now.
    pub(crate) fn lose(&self) {
        self.row.is_lost.store(true, Ordering::Relaxed);
    }

    pub(super) fn holder(&self) -> &Holder {
        &self.row.of
    }

    /// Gives it back, so that another can have it from now on. Where that fails it ends by itself.
    pub(crate) async fn release(mut self) {
        self.is_released = true;
        self.renewal.abort();
        self.row.give_back().await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        // Without a runtime the program is at its end, and the lease ends by itself.
        if !self.is_released
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let row = self.row.clone();
            runtime.spawn(async move { row.give_back().await });
        }
    }
}

impl Row {
    async fn give_back(&self) {
        let given = async {
            let client = self.database.client().await?;
            let parameters = params![self.of.name => TEXT, self.of.holder => TEXT];
            client.execute_typed(GIVE_BACK, parameters).await?;
            Ok::<_, Fault>(())
        };
        if let Err(fault) = given.await {
            tracing::debug!(name = %self.of.name, ?fault, "the lease was not given back; it ends by itself");
        }
    }

    async fn renew(&self) -> Result<bool, Fault> {
        let client = self.database.client().await?;
        let seconds = LEASE.as_secs_f64();
        let parameters = params![self.of.name => TEXT, self.of.holder => TEXT, seconds => FLOAT8];
        Ok(client.execute_typed(RENEW, parameters).await? > 0)
    }
}

impl Postgres {
    pub(crate) async fn lease(self: &Arc<Self>, name: &str) -> Result<Option<Lease>, StoreError> {
        let holder = format!("{}-{:016x}", self.holder, rand::random::<u64>());
        self.take_lease(name, &holder, &holder).await
    }

    /// As [`Postgres::lease`], and it is taken from a former holder of the same owner, whom something else
    /// shows to be gone.
    pub(crate) async fn lease_again(
        self: &Arc<Self>,
        name: &str,
        owner: &str,
    ) -> Result<Option<Lease>, StoreError> {
        let taken_from = format!("{owner}-");
        let holder = format!("{taken_from}{:016x}", rand::random::<u64>());
        self.take_lease(name, &holder, &taken_from).await
    }

    /// Takes a lease that is free, or of a holder whose name begins with a text.
    async fn take_lease(
        self: &Arc<Self>,
        name: &str,
        holder: &str,
        taken_from: &str,
    ) -> Result<Option<Lease>, StoreError> {
        let seconds = LEASE.as_secs_f64();
        let taken = attempt!(self, "locking a process", Kind::Write, |transaction| {
            let row = transaction
                .query_typed_opt(
                    TAKE,
                    params![name => TEXT, holder => TEXT, seconds => FLOAT8, taken_from => TEXT],
                )
                .await?;
            Ok(row.is_some())
        })?;
        let row = taken.then(|| Row {
            database: self.clone(),
            of: Holder {
                name: name.to_owned(),
                holder: holder.to_owned(),
            },
            is_lost: AtomicBool::new(false),
        });
        Ok(row.map(Arc::new).map(|row| Lease {
            renewal: tokio::spawn(keep(row.clone())),
            row,
            is_released: false,
        }))
    }

    pub(crate) async fn claim_stations(
        self: &Arc<Self>,
        limit: usize,
        growing: Growing,
    ) -> Result<Claimed, StoreError> {
        let (limit, before) = (from_count(limit as u64), At::index(growing.from()));
        let seconds = LEASE.as_secs_f64();
        attempt!(
            self,
            "claiming stations to refine",
            Kind::Write,
            |transaction| {
                let rows = transaction
                    .query_typed(
                        CLAIM,
                        params![limit => INT8, before => TIMESTAMPTZ, self.holder => TEXT,
                        seconds => FLOAT8],
                    )
                    .await?;
                let stations: Vec<StationId> = rows
                    .iter()
                    .map(|row| station_id(row.try_get(0)?))
                    .collect::<Result<_, Fault>>()?;
                let others = if stations.is_empty() {
                    let row = transaction
                        .query_typed_one(ANY_LEFT, params![before => TIMESTAMPTZ])
                        .await?;
                    row.try_get(0)?
                } else {
                    false
                };
                Ok(Claimed { stations, others })
            }
        )
    }

    pub(crate) async fn release_station(
        self: &Arc<Self>,
        station: StationId,
    ) -> Result<(), StoreError> {
        let id = station.as_str();
        attempt!(self, "releasing a station", Kind::Write, |transaction| {
            transaction
                .execute_typed(RELEASE, params![self.holder => TEXT, id => TEXT])
                .await?;
            Ok(())
        })
    }
}

/// Renews a lease until it is lost.
async fn keep(row: Arc<Row>) {
    loop {
        tokio::time::sleep(RENEWED).await;
        match row.renew().await {
            Ok(true) => {}
            Ok(false) => {
                row.is_lost.store(true, Ordering::Relaxed);
                tracing::warn!(name = %row.of.name, "the lease was lost to another program");
                return;
            }
            Err(fault) => {
                tracing::warn!(name = %row.of.name, ?fault, "the lease could not be renewed");
            }
        }
    }
}
