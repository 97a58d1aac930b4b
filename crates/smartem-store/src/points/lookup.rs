//! Which stations there are, as far as points are concerned.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use smartem_model::StationId;
use tracing::error;

use super::mapping::{FindStation, KnownStation, Untold};
use crate::backend::Backend;

/// How long no station is looked up after that failed.
const UNTOLD: Duration = Duration::from_secs(5);

/// Looks stations up in the database, those that are found once.
pub(super) fn find_station(
    backend: &Backend,
    known: Vec<(StationId, KnownStation)>,
) -> FindStation {
    let backend = backend.clone();
    let known: Mutex<HashMap<StationId, KnownStation>> = Mutex::new(known.into_iter().collect());
    let failed: Mutex<Option<Instant>> = Mutex::default();
    Box::new(move |station| {
        let lock = || known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(station) {
            return Ok(Some(found.clone()));
        }
        let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
        // Writers are not held up again and again while the database is away.
        if failed.is_some_and(|at| at.elapsed() < UNTOLD) {
            return Err(Untold);
        }
        match backend.known_station(station) {
            Ok(found) => {
                *failed = None;
                if let Some(found) = &found {
                    lock().insert(station.clone(), found.clone());
                }
                Ok(found)
            }
            Err(problem) => {
                *failed = Some(Instant::now());
                error!(%station, error = %problem,
                    "it cannot be told whose station this is; looked up again later");
                Err(Untold)
            }
        }
    })
}
