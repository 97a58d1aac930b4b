//! Points in the database: what is defined, and blocks of rows.
//!
//! One collector at a time writes them: it holds a lease, and every transaction makes sure of that before
//! it is committed ([`Postgres::certain`]).

mod commit;
mod define;
pub(super) mod names;
mod read;
mod reader;
mod record;
mod remap;
mod scan;
mod tidy;

use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Transaction;

use super::Postgres;
use super::fault::Fault;
use super::lease::{Holder, Lease};
use crate::StoreError;
use crate::points::LogId;

pub(super) use reader::Reader;
pub(super) use record::raw_records;

/// The name of the lease.
const LEASE: &str = "points";
/// What is leased, for messages.
const POINTS: &str = "the points (what stations push)";

/// Who collects.
#[derive(Default)]
pub(super) struct Collector(Mutex<Option<(Holder, LogId)>>);

impl Collector {
    fn set(&self, holder: Option<(Holder, LogId)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }

    fn get(&self) -> Option<(Holder, LogId)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Postgres {
    /// Makes this program the collector, whose log is kept in a folder that no other process uses.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another is.
    pub(crate) async fn collect(self: &Arc<Self>, log: LogId) -> Result<Lease, StoreError> {
        let lease = self.lease_again(LEASE, &log.to_string()).await?;
        let lease = lease.ok_or_else(|| self.in_use())?;
        self.collector.set(Some((lease.holder().clone(), log)));
        Ok(lease)
    }

    fn in_use(&self) -> StoreError {
        StoreError::InUse {
            what: POINTS,
            path: self.place().to_owned(),
        }
    }

    /// Makes sure that this program is the collector, and stays it until the transaction ends; tells its log.
    ///
    /// Called when all but the number of the change is written: others wait for the row from then on.
    async fn certain(&self, transaction: &Transaction<'_>) -> Result<LogId, Fault> {
        let (holder, log) = self.collector.get().ok_or_else(|| self.in_use())?;
        if holder.renew(transaction).await? {
            Ok(log)
        } else {
            Err(self.in_use().into())
        }
    }
}
