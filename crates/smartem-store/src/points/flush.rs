//! From memory into the database: blocks, and the station-hours that they make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt as _;
use smartem_model::Hour;
use tracing::{error, info};

use super::buffer::Buffer;
use super::catalogue::{Definition, SeriesNo};
use super::engine::{Engine, State};
use super::mapping::{StationOf, Untold};
use super::record::{HoursByStation, StationHourKey};
use super::rows::Rows;
use crate::StoreError;
use crate::codec::encode_block;
use crate::sqlite::blocking;

const DAY: i64 = 86_400_000_000_000;
/// Rows in a block at most: one of them is read to answer what happened in an hour.
const MAX_ROWS: usize = 2048;
/// Blocks of fewer rows are united with others of their day.
const SMALL_ROWS: usize = 1024;
/// After a failure the next attempt is made so much later.
const RETRY: Duration = Duration::from_secs(1);
/// Days of series that are tidied in one transaction.
const TIDY_AT_ONCE: usize = 200;

/// Points that are being committed.
pub(crate) struct Frozen {
    pub(crate) buffer: Buffer,
    definitions: Vec<(u32, Definition)>,
    stations: BTreeMap<SeriesNo, Arc<StationOf>>,
    /// The first segment that holds none of it.
    segment: u64,
}

/// Rows of a series within a day, as they are stored.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) series: SeriesNo,
    /// Days since 1970.
    pub(crate) day: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) rows: usize,
    pub(crate) small: bool,
    pub(crate) payload: Vec<u8>,
}

/// What is committed in one transaction.
pub(crate) struct Flush {
    pub(crate) now: jiff::Timestamp,
    pub(crate) segment: u64,
    /// With the number each has.
    pub(crate) definitions: Vec<(u32, Definition)>,
    pub(crate) stations: BTreeMap<SeriesNo, Arc<StationOf>>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) hours: HoursByStation,
}

pub(crate) fn day_of(time: i64) -> i64 {
    time.div_euclid(DAY)
}

impl Engine {
    pub(crate) async fn commit(self: &Arc<Self>) -> Result<(), StoreError> {
        let _one = self.committing.lock().await;
        let has_failed = self.state().frozen.is_some();
        self.commit_frozen().await?;
        if has_failed {
            // That was what failed before; now what came after.
            self.commit_frozen().await?;
        }
        // What comes meanwhile waits for the next time: there would be no end of it.
        self.decide().await
    }

    /// Commits what is in memory; whether there was something.
    async fn commit_frozen(self: &Arc<Self>) -> Result<bool, StoreError> {
        let Some(frozen) = self.freeze() else {
            return Ok(false);
        };
        let now = (self.settings.clock)();
        let flush = {
            let frozen = frozen.clone();
            blocking("packing points", move || frozen.pack(now)).await?
        };
        let committed = self.backend.commit_points(flush).await;
        if let Err(StoreError::InUse { .. }) = committed {
            self.lose();
        }
        committed?;
        {
            let mut guard = self.state();
            let state = &mut *guard;
            for (series, rows) in frozen.buffer.by_series() {
                state.newest.note(series, rows);
            }
            state.frozen = None;
        }
        self.log.trim(frozen.segment);
        self.room.notify_waiters();
        Ok(true)
    }

    /// Finds the stations of series that could not be told when they came.
    async fn decide(self: &Arc<Self>) -> Result<(), StoreError> {
        let engine = self.clone();
        let decided = blocking("looking stations up", move || Ok(engine.look_up())).await?;
        let of_stations: Vec<_> = decided
            .into_iter()
            .filter(|(_, station)| station.is_some())
            .collect();
        if of_stations.is_empty() {
            return Ok(());
        }
        let now = (self.settings.clock)();
        let remapped = self.backend.remap_series(of_stations.clone(), now).await;
        let mut state = self.state();
        for (series, station) in of_stations {
            let decided = remapped.as_ref().map(|()| station).map_err(|_| Untold);
            state.catalogue.decide(series, decided);
        }
        remapped
    }

    /// What can be told now of undecided series.
    fn look_up(&self) -> Vec<(SeriesNo, Option<StationOf>)> {
        let (mapping, undecided) = {
            let mut state = self.state();
            let numbers = state.catalogue.take_undecided();
            let keys = numbers.into_iter().filter_map(|number| {
                let series = state.catalogue.series(number)?;
                let database = state.catalogue.database_of(series).to_owned();
                Some((number, database, series.key.clone()))
            });
            let undecided: Vec<_> = keys.collect();
            (state.catalogue.mapping().clone(), undecided)
        };
        let mut told = Vec::new();
        for (number, database, key) in undecided {
            match mapping.station_of(&database, &key) {
                Ok(station) => told.push((number, station)),
                Err(untold) => self.state().catalogue.decide(number, Err(untold)),
            }
        }
        told
    }

    /// What is to be committed now; what failed before comes first.
    fn freeze(&self) -> Option<Arc<Frozen>> {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.frozen.is_none() && !(state.active.is_empty() && state.unsaved.is_empty()) {
            let buffer = std::mem::take(&mut state.active);
            let definitions = std::mem::take(&mut state.unsaved);
            let numbered = definitions.into_iter().filter_map(|definition| {
                // All of them are known, so this only gives their numbers.
                let number = state.catalogue.define(&definition).ok()?;
                Some((number, definition))
            });
            let definitions: Vec<_> = numbered.collect();
            let stations = stations_of(state, &buffer, &definitions);
            // Under the lock of the state, as every append: so it parts the log where memory is
            // parted.
            let segment = self.log.rotate();
            if self.is_shared {
                self.begin_segment(state);
            }
            state.frozen = Some(Arc::new(Frozen {
                buffer,
                definitions,
                stations,
                segment,
            }));
            self.room.notify_waiters();
        }
        state.frozen.clone()
    }

    pub(crate) async fn close(self: &Arc<Self>) -> Result<(), StoreError> {
        self.is_closing.store(true, Ordering::Relaxed);
        self.wake.notify_one();
        let background = {
            let mut held = self
                .background
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            held.take()
        };
        if let Some(task) = background {
            // Its panic was told; what is in memory is still to be committed.
            let _ = task.await;
        }
        self.commit().await?;
        self.backend.checkpoint().await?;
        let lease = {
            let mut held = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
            held.take()
        };
        if let Some(lease) = lease {
            // Boxed, as what a store does on a server.
            lease.release().boxed().await;
        }
        Ok(())
    }

    /// Ends the work in the background, whatever is in memory: the log has it.
    pub(super) fn abandon(&self) {
        let mut held = self
            .background
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = held.take() {
            task.abort();
        }
    }

    /// Unites small blocks; whether there may be more to do.
    pub(super) async fn tidy(self: &Arc<Self>) -> Result<bool, StoreError> {
        let _one = self.committing.lock().await;
        let today = day_of(i64::try_from((self.settings.clock)().as_nanosecond()).unwrap_or(0));
        let done = self.backend.tidy_points(today, TIDY_AT_ONCE).await?;
        Ok(done == TIDY_AT_ONCE)
    }
}

/// The stations of series that are defined or have points.
fn stations_of(
    state: &State,
    buffer: &Buffer,
    definitions: &[(u32, Definition)],
) -> BTreeMap<SeriesNo, Arc<StationOf>> {
    let is_series = |definition: &Definition| matches!(definition, Definition::Series { .. });
    let defined = definitions.iter().filter(|(_, it)| is_series(it));
    let defined = defined.map(|(number, _)| *number);
    let with_points = buffer.by_series().into_iter().map(|(number, _)| number);
    let station =
        |number: SeriesNo| Some((number, state.catalogue.series(number)?.station.clone()?));
    defined.chain(with_points).filter_map(station).collect()
}

impl Frozen {
    fn pack(&self, now: jiff::Timestamp) -> Result<Flush, StoreError> {
        let mut flush = Flush {
            now,
            segment: self.segment,
            definitions: self.definitions.clone(),
            stations: self.stations.clone(),
            blocks: Vec::new(),
            hours: BTreeMap::new(),
        };
        for (series, rows) in self.buffer.by_series() {
            let rows = rows.clone().in_order();
            if let Some(station) = self.stations.get(&series) {
                let key = StationHourKey::of(station);
                flush
                    .hours
                    .entry(key)
                    .or_default()
                    .extend(hours_of(&rows.times));
            }
            flush.blocks.extend(blocks(series, &rows, false)?);
        }
        Ok(flush)
    }
}

/// The hours of times in order; a time outside the calendar is in none.
pub(crate) fn hours_of(times: &[i64]) -> BTreeSet<Hour> {
    const HOUR: i64 = 3_600_000_000_000;
    let mut hours = BTreeSet::new();
    let mut last = None;
    for time in times {
        let index = time.div_euclid(HOUR);
        if last.replace(index) != Some(index) {
            hours.extend(Hour::from_index(index));
        }
    }
    hours
}

/// Rows in order as blocks; with `final_form` none of them is to be united with others.
pub(crate) fn blocks(
    series: SeriesNo,
    rows: &Rows,
    final_form: bool,
) -> Result<Vec<Block>, StoreError> {
    let mut blocks = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let day = day_of(rows.times[start]);
        let rest = &rows.times[start..];
        let in_day = rest.partition_point(|time| day_of(*time) == day);
        let end = start + in_day.min(MAX_ROWS);
        let part = rows.cut(start, end);
        blocks.push(Block {
            series,
            day,
            first: part.times[0],
            last: part.times[part.len() - 1],
            rows: part.len(),
            small: !final_form && part.len() < SMALL_ROWS,
            payload: encode_block(&part).map_err(StoreError::UnfitPoints)?,
        });
        start = end;
    }
    Ok(blocks)
}

/// Commits when memory is full or it is time, and tidies after that; ends with the engine.
pub(super) async fn in_background(engine: Weak<Engine>) {
    let mut failed = false;
    loop {
        let Some(held) = engine.upgrade() else { return };
        let pause = if failed {
            RETRY
        } else {
            held.settings.commit_every
        };
        // A failure is not repeated at once, however many writers ask for room.
        if failed {
            tokio::time::sleep(pause).await;
        } else {
            tokio::select! {
                () = held.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        if held.is_closing.load(Ordering::Relaxed) {
            return;
        }
        let done = commit_and_tidy(&held).await;
        match (&done, failed) {
            (Err(problem), false) => {
                error!(error = %problem, "points cannot be committed; tried again");
            }
            (Ok(()), true) => info!("points can be committed again"),
            _ => {}
        }
        failed = done.is_err();
    }
}

async fn commit_and_tidy(engine: &Arc<Engine>) -> Result<(), StoreError> {
    engine.commit().await?;
    loop {
        // What waits to be committed is more urgent than tidying.
        let is_urgent = engine.is_closing.load(Ordering::Relaxed) || engine.is_full();
        if is_urgent || !engine.tidy().await? {
            return Ok(());
        }
    }
}

impl Engine {
    /// Whether memory is full, so that there is more urgent work than tidying.
    fn is_full(&self) -> bool {
        self.state().active.bytes() >= self.settings.memory
    }
}
