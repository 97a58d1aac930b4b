//! Stations that report as real ones do: late, in pieces, and not from the beginning.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::chance::{Purpose, Stream};
use crate::whale::World;

/// A world whose stations are slow: what a station shows at a moment is what it had some time before.
///
/// - Each station is some minutes behind, so that an hour grows for a while after it ended.
/// - One station is five hours behind, so that its hours come late.
/// - One station is only listed from `appears` on.
pub struct Irregular {
    inner: Arc<dyn World>,
    seed: u64,
    appears: Timestamp,
}

impl Irregular {
    /// The stations of `inner`, irregular in a way that the seed decides.
    pub fn new(inner: Arc<dyn World>, seed: u64, appears: Timestamp) -> Self {
        Self {
            inner,
            seed,
            appears,
        }
    }

    fn place_of(&self, id: &str) -> usize {
        let all = self.inner.devices(self.appears);
        all.iter().position(|known| known == id).unwrap_or_default()
    }

    /// What time it is for a station.
    fn seen(&self, id: &str, now: Timestamp) -> Timestamp {
        let place = self.place_of(id);
        let luck = Stream::new(self.seed, place as u64, Purpose::HourFate).bits(0);
        let behind = if place == 0 {
            SignedDuration::from_hours(5)
        } else {
            SignedDuration::from_secs((luck % 1500).cast_signed())
        };
        now.checked_sub(behind).unwrap_or(now)
    }

    /// The listing is ahead of the data: an hour is listed as soon as it has begun for the fastest.
    fn listed(&self, id: &str, now: Timestamp) -> Timestamp {
        if self.place_of(id) == 0 {
            self.seen(id, now)
        } else {
            now
        }
    }
}

impl World for Irregular {
    fn devices(&self, now: Timestamp) -> Vec<String> {
        let mut devices = self.inner.devices(now);
        if now < self.appears {
            devices.truncate(devices.len().saturating_sub(1));
        }
        devices
    }

    fn device(&self, id: &str, now: Timestamp) -> Option<Bytes> {
        self.inner.device(id, now)
    }

    fn days(&self, id: &str, now: Timestamp) -> Option<Vec<String>> {
        self.inner.days(id, self.listed(id, now))
    }

    fn hours(&self, id: &str, day: &str, now: Timestamp) -> Option<Vec<i64>> {
        self.inner.hours(id, day, self.listed(id, now))
    }

    fn hour(&self, id: &str, day: &str, hour: i64, now: Timestamp) -> Option<Bytes> {
        self.inner.hour(id, day, hour, self.seen(id, now))
    }

    fn last(&self, id: &str, now: Timestamp) -> Option<Bytes> {
        self.inner.last(id, self.seen(id, now))
    }
}
