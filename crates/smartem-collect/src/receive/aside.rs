//! Setting aside what was pushed and could not be used.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use smartem_store::{Intake, Quarantined, Store, StoreError};
use tokio::time::Instant;
use tracing::warn;

/// A place is written again after so long: a station that pushes every few seconds and is not known
/// must not cost a transaction each time.
const AGAIN: Duration = Duration::from_secs(60);
/// New places in an hour at most: who sends another name each time must not fill the disk.
const PLACES_AN_HOUR: usize = 1000;
const HOUR: Duration = Duration::from_secs(3600);

/// The quarantine of a receiver.
pub(super) struct Aside {
    store: Store,
    receiver: &'static str,
    places: Mutex<HashMap<String, Instant>>,
    /// Places with an open entry; `None` before they were read.
    open: tokio::sync::Mutex<Option<HashSet<String>>>,
}

impl Aside {
    pub(super) fn new(store: Store, receiver: &'static str) -> Self {
        Self {
            store,
            receiver,
            places: Mutex::default(),
            open: tokio::sync::Mutex::default(),
        }
    }

    /// Sets bodies aside, as far as that is not too much; how many were.
    pub(super) async fn put(
        &self,
        mut quarantined: Vec<Quarantined>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        quarantined.retain(|entry| self.is_due(&entry.place));
        let count = quarantined.len();
        if count == 0 {
            return Ok(0);
        }
        let places: Vec<String> = quarantined.iter().map(|it| it.place.clone()).collect();
        let mut open = self.open.lock().await;
        let intake = self.intake(now, quarantined, Vec::new());
        if let Err(error) = self.store.take_in(intake).await {
            self.lock().retain(|place, _| !places.contains(place));
            return Err(error);
        }
        if let Some(open) = open.as_mut() {
            open.extend(places);
        }
        Ok(count)
    }

    /// Notes that what comes from a place is good now, and so resolves its open entry. What was
    /// good is stored already, so a failure is only told in the log.
    pub(super) async fn understood(&self, place: &str, now: Timestamp) {
        if let Err(error) = self.resolve(place, now).await {
            warn!(receiver = self.receiver, place, %error, "a quarantine entry stays open");
        }
    }

    async fn resolve(&self, place: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut open = self.open.lock().await;
        let known = if let Some(known) = open.take() {
            known
        } else {
            let places = self.store.open_quarantine_places(self.receiver).await?;
            places.into_keys().collect()
        };
        if open.insert(known).remove(place) {
            self.lock().remove(place);
            let intake = self.intake(now, Vec::new(), vec![place.to_owned()]);
            self.store.take_in(intake).await?;
        }
        Ok(())
    }

    fn intake(
        &self,
        now: Timestamp,
        quarantined: Vec<Quarantined>,
        understood: Vec<String>,
    ) -> Intake {
        Intake {
            process: format!("receiver-{}", self.receiver),
            source: self.receiver.to_owned(),
            network: self.receiver.to_owned(),
            project: None,
            now,
            records: Vec::new(),
            quarantined,
            understood,
            checkpoints: Vec::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, place: &str) -> bool {
        let now = Instant::now();
        let mut places = self.lock();
        if let Some(since) = places.get(place) {
            if now < *since + AGAIN {
                return false;
            }
        } else if places.len() >= PLACES_AN_HOUR {
            places.retain(|_, since| now < *since + HOUR);
            if places.len() >= PLACES_AN_HOUR {
                warn!(
                    receiver = self.receiver,
                    "not set aside: there were {PLACES_AN_HOUR} other places within an hour"
                );
                return false;
            }
        }
        places.insert(place.to_owned(), now);
        true
    }
}
