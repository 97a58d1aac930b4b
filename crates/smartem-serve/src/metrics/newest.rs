use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use smartem_store::StoreError;
use tokio::sync::Mutex;

use crate::ServeState;

type ByNetwork = BTreeMap<Arc<str>, Timestamp>;

/// The end of the newest value of each network.
///
/// All stations are read for it, so it is made at most once a minute however often it is scraped.
#[derive(Default)]
pub(super) struct Newest {
    // Held while it is made, so that those who ask meanwhile wait for it.
    made: Mutex<Option<(i64, Arc<ByNetwork>)>>,
}

impl Newest {
    pub(super) async fn get(&self, state: &ServeState) -> Result<Arc<ByNetwork>, StoreError> {
        let minute = (state.clock)().as_second().div_euclid(60);
        let mut slot = self.made.lock().await;
        if let Some((made_in, newest)) = slot.as_ref()
            && *made_in == minute
        {
            return Ok(newest.clone());
        }
        let mut newest = ByNetwork::new();
        for station in state.store.stations().await? {
            let of_values = station.last.iter().map(|last| last.period.end).max();
            if let Some(time) = of_values.max(station.last_time) {
                let known = newest.entry(station.network).or_insert(time);
                *known = time.max(*known);
            }
        }
        let newest = Arc::new(newest);
        *slot = Some((minute, newest.clone()));
        Ok(newest)
    }
}
