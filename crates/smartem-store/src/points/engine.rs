//! The engine: state in memory, log, and the work in the background.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smartem_model::StationId;
use smartem_points::PointBatch;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tracing::{error, info};

use super::buffer::Buffer;
use super::catalogue::{Catalogue, Definition, SeriesNo};
use super::entry::{self, EntryWriter};
use super::flush::{self, Frozen};
use super::log::{self, Log};
use super::mapping::{FindStation, KnownStation, Mapping};
use super::newest::NewestValues;
use super::write::Application;
use super::{PointsError, PointsNumbers, PointsSettings, SeriesOverview, WriteReport};
use crate::codec::CodecError;
use crate::lock::ProcessLock;
use crate::sqlite::{Sqlite, blocking, create_dir};
use crate::{StoreError, StoredPoints};

/// The folder of the log within that of the store.
const FOLDER: &str = "points";
/// A batch of more points is applied on a thread for work that takes longer.
const LARGE_BATCH: usize = 500;
/// How long a write waits for room in memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// See [`super::Points`].
pub(crate) struct Engine {
    pub(super) backend: Arc<Sqlite>,
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
        backend: Arc<Sqlite>,
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
        let stored = backend.stored_points().await?;
        let needed = stored.segment;
        let mapping = Mapping::new(&settings.databases, find_station(&backend));
        let (state, segment, remapped) = {
            let folder = folder.clone();
            blocking("reading the log of points", move || {
                take_up(&folder, &stored, mapping)
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
            written: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            settings,
            _lock: lock,
        });
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
            if let Some(problem) = self.log.trouble() {
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
        self.state().catalogue.mapping().find(station)
    }

    pub(crate) fn trouble(&self) -> Option<String> {
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

/// Looks stations up in the database, those that are found once.
fn find_station(backend: &Arc<Sqlite>) -> FindStation {
    let backend = Arc::clone(backend);
    let known: Mutex<HashMap<StationId, KnownStation>> = Mutex::default();
    Box::new(move |station| {
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(station) {
            return Some(found.clone());
        }
        match backend.known_station(station) {
            Ok(found) => {
                if let Some(found) = &found {
                    lock().insert(station.clone(), found.clone());
                }
                found
            }
            Err(problem) => {
                error!(%station, error = %problem, "it cannot be told whose station this is");
                None
            }
        }
    })
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

/// What the database and the log hold, the segment to go on with, and series that are of another
/// station than before.
type TakenUp = (State, u64, Vec<(SeriesNo, Option<super::StationOf>)>);

fn take_up(folder: &Path, stored: &StoredPoints, mapping: Mapping) -> Result<TakenUp, StoreError> {
    let unreadable = |source| StoreError::File {
        action: "reading the log of points in",
        path: folder.to_owned(),
        source,
    };
    let mut catalogue = Catalogue::new(mapping);
    for definition in &stored.definitions {
        catalogue.define(definition).map_err(|error| {
            unreadable(std::io::Error::other(format!("the database names {error}")))
        })?;
    }
    let remapped = remapped(&catalogue, &stored.stations);
    let mut state = State {
        catalogue,
        active: Buffer::default(),
        frozen: None,
        unsaved: Vec::new(),
        newest: NewestValues::default(),
        touched: HashSet::default(),
    };
    let segments = log::segments(folder).map_err(unreadable)?;
    let last = segments.last().copied().unwrap_or(0).max(stored.segment);
    for number in segments
        .into_iter()
        .filter(|number| *number >= stored.segment)
    {
        let path = log::path_of(folder, number);
        let mut fault = None;
        let read = log::read_segment(&path, &mut |entry| {
            let replayed = entry::replay(entry, &mut state);
            replayed.inspect_err(|error| fault = Some(error.to_string()))
        });
        let read = read.map_err(|source| StoreError::File {
            action: "reading the log of points in",
            path: path.clone(),
            source,
        })?;
        tell_damage(&path, &read, fault.as_deref(), number == last);
    }
    state.touched.clear();
    Ok((state, last + 1, remapped))
}

/// What is wrong with the log in the folder of a store. The rest of a write that was cut short is not.
pub(crate) fn check_log(dir: &Path) -> Vec<String> {
    let folder = dir.join(FOLDER);
    if !folder.exists() {
        return Vec::new();
    }
    let problem = |path: &Path, problem: String| format!("{}: {problem}", path.display());
    let segments = match log::segments(&folder) {
        Ok(segments) => segments,
        Err(error) => return vec![problem(&folder, error.to_string())],
    };
    let last = segments.last().copied();
    let mut problems = Vec::new();
    for number in segments {
        let path = log::path_of(&folder, number);
        match log::read_segment(&path, &mut |_| Ok(())) {
            // A running collector may have removed it meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.push(problem(&path, error.to_string())),
            Ok(read) => {
                let lost = read.damaged + if Some(number) == last { 0 } else { read.rest };
                if lost > 0 {
                    problems.push(problem(&path, format!("{lost} bytes are damaged")));
                }
            }
        }
    }
    problems
}

/// Says what of a segment could not be read, and keeps a damaged one for a person to look at.
fn tell_damage(path: &Path, read: &log::SegmentRead, fault: Option<&str>, is_last: bool) {
    let segment = path.display();
    // Behind the end of a segment that another follows nothing was left to be written.
    let lost = read.damaged + if is_last { 0 } else { read.rest };
    if lost > 0 {
        let aside = log::keep_aside(path).map(|it| it.display().to_string());
        let aside = aside.unwrap_or_else(|error| format!("could not be kept: {error}"));
        error!(%segment, bytes = lost, fault, %aside,
            "the log of points is damaged: some acknowledged points cannot be read; the rest was taken up");
    } else if read.rest > 0 {
        info!(%segment, bytes = read.rest,
            "the end of the log was cut short; what it began was never acknowledged");
    }
}

/// Series whose station is not the one that is stored.
fn remapped(
    catalogue: &Catalogue,
    stored: &BTreeMap<SeriesNo, (String, String)>,
) -> Vec<(SeriesNo, Option<super::StationOf>)> {
    let numbered = (0..).zip(catalogue.all_series());
    let changed = numbered.filter(|(number, series)| {
        let now = series.station.as_deref();
        let now = now.map(|it| (it.station.as_str(), &*it.station_type));
        let before = stored
            .get(number)
            .map(|(id, kind)| (id.as_str(), kind.as_str()));
        now != before
    });
    changed
        .map(|(number, series)| (number, series.station.as_deref().cloned()))
        .collect()
}

impl State {
    /// Takes a definition of the log; defining again what is stored changes nothing.
    pub(crate) fn define_again(&mut self, definition: Definition) -> Result<(), CodecError> {
        let before = self.catalogue.all_series().len();
        self.catalogue
            .define(&definition)
            .map_err(|_| CodecError::Malformed("a part of something that is not defined"))?;
        if self.catalogue.all_series().len() > before {
            self.newest.begin(u32::try_from(before).unwrap_or(u32::MAX));
        }
        self.unsaved.push(definition);
        Ok(())
    }
}
