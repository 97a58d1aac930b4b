use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_model::{Hour, Quarantine, QuarantineReason, StationId};
use smartem_refine::{Catalogue, ModelSet, Refined, StationFacts, refine};
use smartem_store::{
    Columns, CommitRefined, DEFAULT_MOVE_M, Growing, RefinedHour, Selection, StationWork, WorkHour,
};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::process::{Outcome, Process, ProcessError, Run};

/// The process `refiner`: raw station-hours from the store into observations.
///
/// A station is the unit of parallel work, its hours run in order of time, each taking the state of
/// the hour before. An hour that is new, changed, or whose incoming state or location changed is
/// refined again, until nothing changes any more.
pub struct Refiner {
    catalogue: Arc<Catalogue>,
    models: Arc<ModelSet>,
    settings: RefinerSettings,
    replay: Option<Selection>,
}

/// How the refiner works; results do not depend on it.
#[derive(Clone, Copy, Debug)]
pub struct RefinerSettings {
    /// Stations refined at the same time; so at most `parallel` times `batch_hours` hours are in
    /// memory, however long the backlog.
    pub parallel: NonZeroUsize,
    /// Hours of a station in one transaction.
    pub batch_hours: NonZeroUsize,
    /// How far in metres a station must be from its location to have moved.
    pub move_m: f64,
}

impl Default for RefinerSettings {
    fn default() -> Self {
        let parallel = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let batch_hours = NonZeroUsize::new(24).unwrap_or(NonZeroUsize::MIN);
        Self {
            parallel,
            batch_hours,
            move_m: DEFAULT_MOVE_M,
        }
    }
}

/// How long after its end the last parts of an hour may come before it is refined for the first time.
const SETTLES_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// How long hours of one station are refined before it is given back to those that share the work; far
/// below the time after which a claim ends by itself.
const HOLD: Duration = Duration::from_secs(5);

/// How often it is looked whether others are done.
const WAIT_FOR_OTHERS: Duration = Duration::from_millis(500);

/// How many stations are asked for at a time where nobody else is at work.
const STATIONS_AT_ONCE: usize = 64;

impl Refiner {
    /// A refiner with these definitions and models.
    pub fn new(
        catalogue: Arc<Catalogue>,
        models: Arc<ModelSet>,
        settings: RefinerSettings,
    ) -> Self {
        Self {
            catalogue,
            models,
            settings,
            replay: None,
        }
    }

    /// A refiner that first marks stored hours to be refined again.
    ///
    /// The marks are in the store: when the run ends early, any later run goes on.
    #[must_use]
    pub fn replaying(self, selection: Selection) -> Self {
        Self {
            replay: Some(selection),
            ..self
        }
    }

    /// Only what the definitions read: a record has many columns more.
    fn columns(&self) -> Columns {
        let catalogue = self.catalogue.clone();
        Columns::Read(Arc::new(move |station_type, key| {
            let definition = catalogue.get(station_type);
            definition.is_some_and(|definition| definition.reads(key))
        }))
    }

    /// Refines hours of a station that this program has in hand, and gives it back.
    ///
    /// Where others share the work, it goes on with the station for a while: taking it in hand is work, too.
    async fn refine_claimed(&self, run: &Run, station: &StationId) -> Result<(), ProcessError> {
        let until = Instant::now() + HOLD;
        while run.should_end().is_none() {
            let more = self.refine_some(run, station).await?;
            if !more || !run.store.is_shared() || Instant::now() > until {
                break;
            }
        }
        run.store.release_station(station).await?;
        Ok(())
    }

    /// Refines the hours of a station that follow each other and commits them; whether there were any.
    async fn refine_some(&self, run: &Run, station: &StationId) -> Result<bool, ProcessError> {
        let work = run
            .store
            .work(
                station,
                self.settings.batch_hours.get(),
                self.columns(),
                growing(run.now()),
            )
            .await?;
        let Some(work) = work else { return Ok(false) };
        let (catalogue, models) = (self.catalogue.clone(), self.models.clone());
        let hours =
            tokio::task::spawn_blocking(move || refine_station(&work, &catalogue, &models)).await?;
        count(run, station, &hours);
        let report = run
            .store
            .commit_refined(CommitRefined {
                process: run.process.clone(),
                now: run.now(),
                station: station.clone(),
                move_m: self.settings.move_m,
                hours,
            })
            .await?;
        run.advance(report.committed);
        run.counters.add("records_refined", report.committed);
        run.counters.add("records_overtaken", report.stale);
        run.counters
            .add("observations_written", report.observations);
        run.counters.add("quarantine_resolved", report.resolved);
        run.show_progress();
        Ok(true)
    }
}

#[async_trait]
impl Process for Refiner {
    fn name(&self) -> &'static str {
        "refiner"
    }

    /// By station.
    fn is_divided(&self) -> bool {
        true
    }

    async fn run(&self, run: &Run) -> Result<Outcome, ProcessError> {
        if let Some(selection) = &self.replay {
            let marked = run.store.refine_again(selection.clone()).await?;
            run.counters.set("hours_marked", marked);
            info!(hours = marked, "marked to be refined again");
            run.show_progress();
        }
        run.set_goal(run.store.progress(growing(run.now())).await?.waiting);
        let at_once = if run.store.is_shared() {
            // What one has in hand the others cannot do.
            self.settings.parallel.get()
        } else {
            STATIONS_AT_ONCE
        };
        loop {
            let growing = growing(run.now());
            let claimed = run.store.claim_stations(at_once, growing).await?;
            if claimed.stations.is_empty() && !claimed.others {
                return Ok(Outcome::Done);
            }
            if claimed.stations.is_empty() {
                // Those who have the rest in hand may be killed before they are done.
                tokio::time::sleep(WAIT_FOR_OTHERS).await;
            }
            if let Some(outcome) = run.should_end() {
                for station in &claimed.stations {
                    run.store.release_station(station).await?;
                }
                return Ok(outcome);
            }
            stream::iter(claimed.stations)
                .map(Ok::<_, ProcessError>)
                .try_for_each_concurrent(self.settings.parallel.get(), |station| async move {
                    self.refine_claimed(run, &station).await
                })
                .await?;
        }
    }
}

/// Which hours may still grow: an hour that comes in parts does until it has ended, and a little
/// longer.
pub fn growing(now: Timestamp) -> Growing {
    let settled = now.checked_sub(SETTLES_AFTER).ok();
    settled
        .and_then(Hour::containing)
        .map_or(Growing::No, Growing::From)
}

fn refine_station(
    work: &StationWork,
    catalogue: &Catalogue,
    models: &ModelSet,
) -> Vec<RefinedHour> {
    let mut state: Value = work
        .state
        .as_deref()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let mut hours = Vec::with_capacity(work.hours.len());
    for hour in &work.hours {
        let refined = refine_hour(work, hour, &state, catalogue, models);
        state = refined.state.clone();
        let located = refined.located;
        hours.push(RefinedHour {
            hour: hour.hour,
            revision: hour.revision,
            observations: refined.observations,
            rejections: refined.rejected,
            state: refined.state.to_string(),
            position: located.map(|located| (located.position, located.source)),
            station_altitude: located.is_some_and(|located| located.altitude_of_station),
            quarantine: refined.quarantine,
        });
    }
    hours
}

fn refine_hour(
    work: &StationWork,
    hour: &WorkHour,
    state: &Value,
    catalogue: &Catalogue,
    models: &ModelSet,
) -> Refined {
    let Some(definition) = catalogue.get(&hour.record.station_type) else {
        let detail = format!("no definition for `{}`", hour.record.station_type);
        return Refined::quarantined(
            Quarantine::new(QuarantineReason::UnknownDeviceType, detail),
            state,
        );
    };
    let facts = StationFacts {
        position: hour.station_location,
        altitude: hour.station_location.and_then(|location| location.alt),
        cadence_s: work.station.cadence_s.or(definition.cadence_s),
    };
    refine(&hour.record, definition, models, state, &facts, None)
}

fn count(run: &Run, station: &StationId, hours: &[RefinedHour]) {
    for hour in hours {
        for rejection in &hour.rejections {
            run.counters.add_labelled(
                "samples_rejected",
                rejection.reason.as_str(),
                rejection.count,
            );
        }
        if let Some(quarantine) = &hour.quarantine {
            warn!(%station, hour = %hour.hour, %quarantine, "station-hour quarantined");
            run.counters
                .add_labelled("quarantined", quarantine.reason.as_str(), 1);
        }
    }
}
