//! Newest values: snapshots refined and kept as the last values of their series.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_model::raw::RawRecord;
use smartem_refine::{Catalogue, ModelSet, Refined, StationFacts, refine};
use smartem_store::{LastIntake, LastItem, ReceivedRecord, Store, StoreError};
use tracing::{info, warn};

use crate::chain::Origin;
use crate::process::Counters;

/// How far the clocks of stations may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(15);

/// Takes newest values on behalf of a process.
pub struct NewestValues<'a> {
    /// Where they are kept.
    pub store: &'a Store,
    /// The station types.
    pub catalogue: &'a Catalogue,
    /// The models of gases.
    pub models: &'a ModelSet,
    /// The process that brings them.
    pub process: &'a str,
    /// The time.
    pub now: Timestamp,
    /// What is counted.
    pub counters: &'a Counters,
}

impl NewestValues<'_> {
    /// Refines snapshots (R11) and keeps them as last values where they are newer.
    pub async fn take(
        &self,
        origin: &Origin,
        snapshots: Vec<ReceivedRecord>,
    ) -> Result<(), StoreError> {
        let mut items = Vec::with_capacity(snapshots.len());
        for ReceivedRecord { record, place, .. } in snapshots {
            let Some(refined) = self.refined(&record).await? else {
                continue;
            };
            if let Some(time) = self.time_of(&record, &refined, &place) {
                items.push(LastItem {
                    record,
                    time,
                    place,
                    observations: refined.observations,
                });
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        self.counters.add("last_read", items.len() as u64);
        let report = self
            .store
            .take_in_last(LastIntake {
                process: self.process.to_owned(),
                source: origin.source.clone(),
                network: origin.network.clone(),
                project: origin.project.clone(),
                now: self.now,
                items,
                quarantined: Vec::new(),
            })
            .await?;
        self.counters.add("last_stored", report.stored);
        Ok(())
    }

    /// A snapshot refined with what is known of its station; `None`: nothing of it is shown.
    async fn refined(&self, record: &RawRecord) -> Result<Option<Refined>, StoreError> {
        let known = self.store.snapshot_facts(&record.station).await?;
        let Some(definition) = self.catalogue.get(&record.station_type) else {
            return Ok(None);
        };
        let facts = StationFacts {
            position: known.location,
            altitude: known.location.and_then(|location| location.alt),
            cadence_s: None,
        };
        let state = known
            .state
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        let refined = refine(
            record,
            definition,
            self.models,
            &state.unwrap_or(Value::Null),
            &facts,
            None,
        );
        if let Some(quarantine) = &refined.quarantine {
            // Without a position a snapshot is no fault: the station's hours will tell one.
            info!(station = %record.station, %quarantine, "last value not shown");
            return Ok(None);
        }
        Ok(Some(refined))
    }

    /// The time of the newest observation, when it can be believed.
    fn time_of(&self, record: &RawRecord, refined: &Refined, place: &str) -> Option<Timestamp> {
        let ends = refined.observations.iter().map(|o| o.phenomenon_time.end);
        let Some(time) = ends.max() else {
            self.counters.add("last_without_value", 1);
            return None;
        };
        if time > self.now + AHEAD {
            warn!(station = %record.station, place, "last value of a time to come left out");
            self.counters.add("last_ahead_of_time", 1);
            return None;
        }
        Some(time)
    }
}
