//! Newest values of what is pushed: on the map within seconds, long before the hour is over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use smartem_etl::{Clock, Counters, NewestValues, Origin};
use smartem_refine::{Catalogue, ModelSet};
use smartem_store::{Points, ReceivedRecord, Store, StoreError};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often newest values are looked for.
const EVERY: Duration = Duration::from_secs(1);
/// An older value is no newest one: it is told by the hour it belongs to.
const RECENT: SignedDuration = SignedDuration::from_hours(2);
/// The process that newest values are kept under.
const PROCESS: &str = "collect";

/// Makes newest values of the points that arrive.
pub struct NewestOfPoints {
    /// Where points are.
    pub points: Points,
    /// Where newest values go.
    pub store: Store,
    /// The station types.
    pub catalogue: Arc<Catalogue>,
    /// The models of gases.
    pub models: Arc<ModelSet>,
    /// The time.
    pub clock: Clock,
}

impl NewestOfPoints {
    /// Works until `stop`. What fails is tried again with the next value.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.once().await {
                warn!(%error, "newest values of what was pushed are not kept");
            }
        }
    }

    async fn once(&self) -> Result<(), StoreError> {
        let now = (self.clock)();
        let points = self.points.clone();
        let fresh = tokio::task::spawn_blocking(move || points.fresh_snapshots(now - RECENT));
        let Ok(fresh) = fresh.await else {
            return Ok(());
        };
        let mut by_origin: BTreeMap<(String, String, Option<String>), Vec<ReceivedRecord>> =
            BTreeMap::new();
        for snapshot in fresh? {
            let place = snapshot.record.station.as_str().to_owned();
            by_origin
                .entry((snapshot.source, snapshot.network, snapshot.project))
                .or_default()
                .push(ReceivedRecord::whole(snapshot.record, place));
        }
        let counters = Counters::default();
        let newest = NewestValues {
            store: &self.store,
            catalogue: &self.catalogue,
            models: &self.models,
            process: PROCESS,
            now,
            counters: &counters,
        };
        for ((source, network, project), snapshots) in by_origin {
            let origin = Origin {
                source,
                network,
                project,
            };
            newest.take(&origin, snapshots).await?;
        }
        Ok(())
    }
}
