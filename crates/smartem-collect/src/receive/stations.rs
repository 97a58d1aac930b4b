//! What is known of stations, for receivers: whether there is one, of which type, of which project.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use smartem_model::StationId;
use smartem_store::{DEFAULT_MOVE_M, StationDeclaration, Store, StoreError};
use tokio::time::Instant;

/// How long a station that is known need not be looked up again.
const REMEMBER: Duration = Duration::from_secs(10);
/// Stations that are remembered at most.
const REMEMBERED: usize = 100_000;

/// A station as a receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) station_type: Arc<str>,
    pub(super) project: Option<Arc<str>>,
}

/// The stations of a store.
pub(super) struct Stations {
    store: Store,
    known: Mutex<HashMap<StationId, (Known, Instant)>>,
}

impl Stations {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            known: Mutex::default(),
        }
    }

    /// What is known of a station; `None` when there is none of this id.
    pub(super) async fn find(&self, id: &StationId) -> Result<Option<Known>, StoreError> {
        let remembered = self.lock().get(id).cloned();
        if let Some((known, since)) = remembered
            && since.elapsed() < REMEMBER
        {
            return Ok(Some(known));
        }
        let Some(view) = self.store.station(id).await? else {
            return Ok(None);
        };
        let known = Known {
            station_type: view.station_type,
            project: view.project,
        };
        let mut all = self.lock();
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(id.clone(), (known.clone(), Instant::now()));
        Ok(Some(known))
    }

    /// Makes a station known.
    pub(super) async fn register(
        &self,
        id: &StationId,
        known: Known,
        network: &str,
        now: Timestamp,
    ) -> Result<Known, StoreError> {
        let declaration = StationDeclaration {
            id: id.clone(),
            station_type: known.station_type.to_string(),
            name: None,
            network: Some(network.to_owned()),
            project: known.project.as_deref().map(str::to_owned),
            cadence_s: None,
            location: None,
            move_m: DEFAULT_MOVE_M,
            now,
        };
        self.store.declare_station(declaration).await?;
        Ok(known)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<StationId, (Known, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
