use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use smartem_store::StoreError;
use tokio::sync::Mutex;

use super::seconds;
use super::text::Text;
use crate::ServeState;

type ByNetwork = BTreeMap<Arc<str>, Network>;

/// The stations of a network.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Network {
    stations: u64,
    /// Those without a value that is young enough.
    stale: u64,
    /// The end of the newest value.
    newest: Option<Timestamp>,
}

/// What is told of stations by network.
///
/// All stations are read for it, so it is made at most once a minute however often it is scraped.
#[derive(Default)]
pub(super) struct Stations {
    // Held while it is made, so that those who ask meanwhile wait for it.
    made: Mutex<Option<(i64, Arc<ByNetwork>)>>,
}

impl Stations {
    pub(super) async fn get(&self, state: &ServeState) -> Result<Arc<ByNetwork>, StoreError> {
        let now = (state.clock)();
        let minute = now.as_second().div_euclid(60);
        let mut slot = self.made.lock().await;
        if let Some((made_in, networks)) = slot.as_ref()
            && *made_in == minute
        {
            return Ok(networks.clone());
        }
        let stale_after = SignedDuration::try_from(state.stale_after);
        let stale_after = stale_after.unwrap_or(SignedDuration::MAX);
        let mut networks = ByNetwork::new();
        for station in state.store.stations().await? {
            let of_values = station.last.iter().map(|last| last.period.end).max();
            let newest = of_values.max(station.last_time);
            let is_fresh = newest.is_some_and(|it| now.duration_since(it) <= stale_after);
            let network = networks.entry(station.network).or_default();
            network.stations += 1;
            network.stale += u64::from(!is_fresh);
            network.newest = network.newest.max(newest);
        }
        let networks = Arc::new(networks);
        *slot = Some((minute, networks.clone()));
        Ok(networks)
    }
}

pub(super) fn write(text: &mut Text, networks: &ByNetwork) {
    text.gauge(
        "smartem_stations_by_network",
        "Stations of a network, counted once a minute.",
    );
    for (network, of) in networks {
        text.sample(&[("network", network)], of.stations as f64);
    }
    text.gauge(
        "smartem_stations_stale",
        "Stations of a network without a value that is young enough, judged once a minute.",
    );
    for (network, of) in networks {
        text.sample(&[("network", network)], of.stale as f64);
    }
    text.gauge(
        "smartem_last_observation_timestamp_seconds",
        "End of the newest value of a network, judged once a minute.",
    );
    for (network, of) in networks {
        if let Some(time) = of.newest {
            text.sample(&[("network", network)], seconds(time));
        }
    }
}
