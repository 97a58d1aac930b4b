//! The engine: state in memory, log, and the work in the background.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smartem_model::StationId;
use smartem_points::PointBatch;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::buffer::Buffer;
use super::catalogue::{Catalogue, Definition, SeriesNo};
use super::entry::EntryWriter;
use super::flush::{self, Frozen};
use super::log::{self, Log};
use super::lookup::find_station;
use super::mapping::{KnownStation, Mapping};
use super::newest::NewestValues;
use super::numbering::Counts;
use super::take_up::{TakenUp, take_up};
use super::write::Application;
use super::{PointsError, PointsNumbers, PointsSettings, SeriesOverview, WriteReport};
use crate::StoreError;
use crate::backend::Backend;
use crate::codec::CodecError;
use crate::lock::ProcessLock;
use crate::postgres::Lease;
use crate::sqlite::{blocking, create_dir};

/// The folder of the log within that of the store.
pub(super) const FOLDER: &str = "points";
/// A batch of more points is applied on a thread for work that takes longer.
const LARGE_BATCH: usize = 500;
/// How long a write waits for room in memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// See [`super::Points`].
pub(crate) struct Engine {
    pub(super) backend: Backend,
    pub(super) settings: PointsSettings,
    pub(super) state: Mutex<State>,
    pub(super) log: Log,
    /// Wakes the work in the background.
    pub(super) wake: Notify,
    /// Wakes writers that wait for room.
    pub(super) room: Notify,
    pub(super) is_closing: AtomicBool,
    /// One commit at a time.
    pub(super) committing: tokio::sync::Mutex<()>,
    pub(super) background: Mutex<Option<JoinHandle<()>>>,
    /// Where the store is shared, what makes this the collector.
    pub(super) lease: Mutex<Option<Lease>>,
    /// Whether programs on several machines may collect for the store, one after the other.
    pub(super) is_shared: bool,
    written: AtomicU64,
    refused: AtomicU64,
    _lock: ProcessLock,
}

/// What is in memory.
pub(crate) struct State {
    pub(crate) catalogue: Catalogue,
    /// Where points go.
    pub(crate) active: Buffer,
    /// What is being committed.
    pub(crate) frozen: Option<Arc<Frozen>>,
    /// Definitions that the database does not have yet.
    pub(crate) unsaved: Vec<Definition>,
    /// Newest values of what is committed.
    pub(crate) newest: NewestValues,
    /// Series that got points since somebody asked for newest values.
    pub(crate) touched: HashSet<SeriesNo, foldhash::fast::RandomState>,
}

impl Engine {
    pub(crate) async fn open(
        backend: Backend,
        settings: PointsSettings,
    ) -> Result<Arc<Self>, StoreError> {
        let folder = backend.dir().join(FOLDER);
        let lock = {
            let (dir, folder) = (backend.dir().to_owned(), folder.clone());
            blocking("opening the points", move || {
                create_dir(&folder)?;
                ProcessLock::take(&dir, "points")?.ok_or(StoreError::InUse {
                    what: "the points (what stations push)",
                    path: folder,
                })
            })
            .await?
        };
        let (lease, own) = backend.collect(folder.clone()).await?.unzip();
        let mut stored = backend.stored_points().await?;
        // Another machine has collected since this log was written to.
        let is_former = own.is_some() && stored.log.is_some() && stored.log != own;
        let known = std::mem::take(&mut stored.known);
        let mapping = Mapping::new(&settings.databases, find_station(&backend, known));
        let TakenUp {
            state,
            segment,
            needed,
            remapped,
        } = {
            let folder = folder.clone();
            blocking("reading the log of points", move || {
                take_up(&folder, &stored, mapping, is_former)
            })
            .await?
        };
        if !remapped.is_empty() {
            let now = (settings.clock)();
            backend.remap_series(remapped, now).await?;
        }
        let engine = Arc::new(Self {
            backend,
            log: Log::start(&folder, segment, needed)?,
            state: Mutex::new(state),
            wake: Notify::new(),
            room: Notify::new(),
            is_closing: AtomicBool::new(false),
            committing: tokio::sync::Mutex::new(()),
            background: Mutex::new(None),
            lease: Mutex::new(lease),
            is_shared: own.is_some(),
            written: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            settings,
            _lock: lock,
        });
        if is_former {
            // Its numbers are those of then: what it holds is committed before more comes.
            engine.commit().await?;
        }
        if own.is_some() {
            engine.begin_segment(&engine.state());
        }
        for database in engine.settings.databases.clone() {
            engine.define_database(&database.name);
        }
        let task = tokio::spawn(flush::in_background(Arc::downgrade(&engine)));
        *engine
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(engine)
    }

    /// Takes no more: another collects now.
    pub(super) fn lose(&self) {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = &*lease {
            lease.lose();
        }
    }

    /// Says in a new segment what the numbers in it mean.
    pub(super) fn begin_segment(&self, state: &State) {
        let mut entry = EntryWriter::default();
        entry.counts(&Counts::of(&state.catalogue));
        // Nobody waits for it: it is on disk before what follows.
        drop(self.log.append(&entry.into_bytes()));
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn create_database(&self, name: &str) -> Result<bool, PointsError> {
        let bad = |problem| PointsError::BadName {
            name: name.to_owned(),
            problem,
        };
        if name.is_empty() || name.len() > 255 {
            return Err(bad("write 1 to 255 bytes"));
        }
        if name.contains(['/', '\\']) || name.chars().any(char::is_control) || name == ".." {
            return Err(bad("leave out slashes and control characters"));
        }
        match self.define_database(name) {
            Some(answer) => durable(answer).await.map(|()| true),
            None => Ok(false),
        }
    }

    fn define_database(&self, name: &str) -> Option<Durable> {
        let mut state = self.state();
        if state.catalogue.database(name).is_some() {
            return None;
        }
        let definition = Definition::Database { name: name.into() };
        state.catalogue.define(&definition).ok()?;
        let mut entry = EntryWriter::default();
        entry.define(&definition);
        state.unsaved.push(definition);
        Some(self.log.append(&entry.into_bytes()))
    }

    pub(crate) async fn write(
        self: &Arc<Self>,
        database: &str,
        batch: PointBatch,
    ) -> Result<WriteReport, PointsError> {
        self.wait_for_room().await?;
        let (answer, report) = if batch.len() > LARGE_BATCH {
            let (engine, database) = (self.clone(), database.to_owned());
            let task = tokio::task::spawn_blocking(move || engine.apply(&database, &batch));
            task.await.map_err(|error| PointsError::Unavailable {
                problem: error.to_string(),
            })??
        } else {
            self.apply(database, &batch)?
        };
        if let Some(answer) = answer {
            durable(answer).await?;
        }
        self.written.fetch_add(report.written, Ordering::Relaxed);
        self.refused
            .fetch_add(report.refused.len() as u64, Ordering::Relaxed);
        Ok(report)
    }

    /// Puts a batch into memory and into the queue of the log, in one order.
    fn apply(
        &self,
        database: &str,
        batch: &PointBatch,
    ) -> Result<(Option<Durable>, WriteReport), PointsError> {
        let mut guard = self.state();
        let state = &mut *guard;
        let number = state.catalogue.database(database);
        let number = number.ok_or_else(|| PointsError::NoDatabase {
            name: database.to_owned(),
        })?;
        let mut application = Application::new(state, number, batch);
        let applied = application.run();
        let (entry, refused) = (application.entry, application.refused);
        let answer = (!entry.is_empty()).then(|| self.log.append(&entry.into_bytes()));
        if state.active.bytes() >= self.settings.memory {
            self.wake.notify_one();
        }
        drop(guard);
        applied.map_err(|error| PointsError::Unavailable {
            problem: format!("the points cannot be written: {error}"),
        })?;
        let report = WriteReport {
            written: (batch.len() - refused.len()) as u64,
            refused,
        };
        Ok((answer, report))
    }

    /// Waits until there is room in memory: whoever writes faster than it can be committed waits.
    async fn wait_for_room(&self) -> Result<(), PointsError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(problem) = self.trouble() {
                return Err(PointsError::Unavailable { problem });
            }
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let state = self.state();
                if state.frozen.is_none() || state.active.bytes() < self.settings.memory {
                    return Ok(());
                }
            }
            if tokio::time::timeout_at(deadline, room).await.is_err() {
                return Err(PointsError::Unavailable {
                    problem: "points come faster than they can be committed; send again later, \
                              and look at the log of the server"
                        .to_owned(),
                });
            }
        }
    }

    pub(crate) fn project_of(&self, database: &str) -> Option<String> {
        let state = self.state();
        let database = state.catalogue.mapping().database(database)?;
        database.project.clone()
    }

    /// What is known of a station.
    pub(crate) fn known_station(&self, station: &StationId) -> Option<KnownStation> {
        let mapping = self.state().catalogue.mapping().clone();
        mapping.find(station).ok().flatten()
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        if lease.as_ref().is_some_and(Lease::is_lost) {
            // What it took could only be committed after a restart.
            return Some(
                "another collector has taken the points of this store over; stop one of the two, and \
                 start the other again"
                    .to_owned(),
            );
        }
        self.log.trouble()
    }

    pub(crate) fn series_overview(
        &self,
        after: Option<u32>,
        limit: usize,
        unmapped: bool,
    ) -> (Vec<SeriesOverview>, Option<u32>) {
        let state = self.state();
        let catalogue = &state.catalogue;
        let first = after.map_or(0, |number| number as usize + 1);
        let series = catalogue.all_series().iter().enumerate().skip(first);
        let wanted = series.filter(|(_, it)| !unmapped || it.station.is_none());
        let (mut found, mut last) = (Vec::new(), None);
        for (number, series) in wanted.take(limit) {
            last = u32::try_from(number).ok();
            found.push(SeriesOverview {
                database: catalogue.database_of(series).to_owned(),
                key: series.key.clone(),
                station: series
                    .station
                    .as_ref()
                    .map(|it| it.station.as_str().to_owned()),
            });
        }
        (found, last)
    }

    pub(crate) fn log_bytes(&self) -> std::io::Result<u64> {
        log::bytes(&self.backend.dir().join(FOLDER))
    }

    pub(crate) fn numbers(&self) -> PointsNumbers {
        let state = self.state();
        let series = state.catalogue.all_series();
        let unmapped = series.iter().filter(|it| it.station.is_none()).count();
        let frozen = state.frozen.as_ref().map_or(0, |it| it.buffer.bytes());
        PointsNumbers {
            databases: state.catalogue.databases().len() as u64,
            series: series.len() as u64,
            unmapped_series: unmapped as u64,
            memory: (state.active.bytes() + frozen) as u64,
            written: self.written.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// Comes when an entry is on disk.
type Durable = oneshot::Receiver<Result<(), PointsError>>;

async fn durable(answer: Durable) -> Result<(), PointsError> {
    answer.await.unwrap_or_else(|_| {
        Err(PointsError::Unavailable {
            problem: "the server is going down".to_owned(),
        })
    })
}

impl State {
    /// Takes a definition of the log; defining again what is stored changes nothing.
    pub(crate) fn define_again(&mut self, definition: Definition) -> Result<u32, CodecError> {
        let before = self.catalogue.all_series().len();
        let number = self
            .catalogue
            .define(&definition)
            .map_err(|_| CodecError::Malformed("a part of something that is not defined"))?;
        if self.catalogue.all_series().len() > before {
            self.newest.begin(u32::try_from(before).unwrap_or(u32::MAX));
        }
        self.unsaved.push(definition);
        Ok(number)
    }
}
