//! Copies as the users of a store ask for them.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{Copied, Side, transfer};
use crate::backend::{Backend, on};
use crate::points::has_uncommitted;
use crate::postgres::{Lease, Postgres, PostgresSide};
use crate::sqlite::{NewStore, SqliteSide, blocking};
use crate::{Access, PostgresSettings, ProcessLock, Store, StoreError};

/// So often, with such pauses, the points are tried to be had.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Copies, of stores and into stores of either kind.
impl Store {
    /// Copies everything into a new embedded store in the folder `dir`, as it is at one moment; `None` when
    /// `told` broke off.
    ///
    /// The copy has the id of this store, and all numbers of changes. `told` is given how many rows of how many
    /// are done; each counts when it is written and when it is compared. The store appears in the folder
    /// when all of it was compared; until then there is none.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] where there is a store, [`StoreError::InUse`] while a collector of this
    /// machine has the log of points, [`StoreError::Uncommitted`] when that holds some,
    /// [`StoreError::CopyDiffers`] when the copy is not what was read.
    pub async fn copy_to_dir(
        &self,
        dir: &Path,
        now: Timestamp,
        told: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<Option<Copied>, StoreError> {
        let still = self.still_points().await?;
        let copied = self.write_dir(dir, now, told).await;
        still.release().await;
        copied
    }

    async fn write_dir(
        &self,
        dir: &Path,
        now: Timestamp,
        told: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<Option<Copied>, StoreError> {
        self.no_log(self.dir()).await?;
        self.no_log(dir).await?;
        let begun = dir.to_owned();
        let new = blocking("copying the store", move || NewStore::begin(&begun)).await?;
        let mut target = SqliteSide::new_file(new.file(), now).await?;
        let Some(copied) = self.copy_into(&mut target, told).await? else {
            return Ok(None);
        };
        target.commit().await?;
        blocking("copying the store", move || new.finish()).await?;
        Ok(Some(copied))
    }

    /// Copies everything into a PostgreSQL database in which nothing was stored yet; its schema is made
    /// where there is none. All of it becomes visible at once.
    ///
    /// # Errors
    /// As [`Store::copy_to_dir`] and [`Store::connect`]. [`StoreError::Denied`] for a user who may not make a
    /// store, too.
    pub async fn copy_to_postgres(
        &self,
        settings: &PostgresSettings,
        now: Timestamp,
        told: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<Option<Copied>, StoreError> {
        let still = self.still_points().await?;
        let copied = self.write_postgres(settings, now, told).await;
        still.release().await;
        copied
    }

    async fn write_postgres(
        &self,
        settings: &PostgresSettings,
        now: Timestamp,
        told: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<Option<Copied>, StoreError> {
        self.no_log(self.dir()).await?;
        let database = Postgres::open(Path::new(""), settings, Access::Create { now }).await?;
        let mut client = database.copy_client().await?;
        let mut target = PostgresSide::new_store(&mut client, database.place()).await?;
        let Some(copied) = self.copy_into(&mut target, told).await? else {
            return Ok(None);
        };
        target.commit().await?;
        Ok(Some(copied))
    }

    async fn copy_into<T: Side>(
        &self,
        target: &mut T,
        told: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
    ) -> Result<Option<Copied>, StoreError> {
        match self.backend() {
            Backend::Sqlite(it) => transfer(&mut it.copied().await?, target, told).await,
            Backend::Postgres(it) => {
                let mut client = it.copy_client().await?;
                let mut source = PostgresSide::copied(&mut client, it.place()).await?;
                transfer(&mut source, target, told).await
            }
        }
    }

    /// Keeps collectors away. One that was just closed is waited for.
    async fn still_points(&self) -> Result<Still, StoreError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.try_still_points().await {
                Err(StoreError::InUse { .. }) if attempts < ATTEMPTS => {
                    tokio::time::sleep(PAUSE).await;
                }
                taken => return taken,
            }
        }
    }

    async fn try_still_points(&self) -> Result<Still, StoreError> {
        let in_use = |path: &Path| StoreError::InUse {
            what: "the points (what stations push)",
            path: path.to_owned(),
        };
        let dir = self.dir().to_owned();
        let file = blocking("locking the points", move || {
            ProcessLock::of_dir(&dir, "points")?.ok_or_else(|| in_use(&dir))
        })
        .await?;
        let lease = match self.backend() {
            Backend::Sqlite(_) => None,
            Backend::Postgres(it) => {
                let lease = it.lease("points").await?;
                Some(lease.ok_or_else(|| in_use(it.place()))?)
            }
        };
        Ok(Still { _file: file, lease })
    }

    /// The log in a folder may hold nothing that would be taken up by the copy.
    async fn no_log(&self, dir: &Path) -> Result<(), StoreError> {
        let committed = on!(self.backend(), committed_segment())?;
        let dir = dir.to_owned();
        blocking("reading the log of points", move || {
            if has_uncommitted(&dir, committed)? {
                return Err(StoreError::Uncommitted { path: dir });
            }
            Ok(())
        })
        .await
    }
}

/// No collector takes anything in while this is held.
struct Still {
    _file: ProcessLock,
    lease: Option<Lease>,
}

impl Still {
    /// Lets a collector start at once.
    async fn release(self) {
        if let Some(lease) = self.lease {
            lease.release().await;
        }
    }
}

/// Copies a PostgreSQL store into a new database file; `false` when `copied` broke off.
///
/// `copied` is told bytes, as far as they can be told beforehand: rows of 100.
pub(crate) async fn into_file(
    database: &Postgres,
    to: &Path,
    mut copied: impl FnMut(u64, u64) -> ControlFlow<()> + Send,
) -> Result<bool, StoreError> {
    const ROW: u64 = 100;
    let mut target = SqliteSide::new_file(to.to_owned(), database.migrated_at().await?).await?;
    let mut client = database.copy_client().await?;
    let mut source = PostgresSide::copied(&mut client, database.place()).await?;
    let told = |done: u64, of: u64| copied(done / 2 * ROW, of / 2 * ROW);
    let done = transfer(&mut source, &mut target, told).await?;
    if done.is_none() {
        return Ok(false);
    }
    target.commit().await?;
    Ok(true)
}
