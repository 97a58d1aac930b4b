use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often somebody may do something: a burst, and so many a second in the long run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: f64,
    pub(super) per_second: f64,
}

/// Token buckets, one for each key; a key that was not seen has a full one.
pub(super) struct Buckets<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// With more keys, those with a full bucket are forgotten, and if that is none then all: memory
/// stays bounded whoever asks.
const MOST_KEYS: usize = 65_536;

impl<K: Eq + Hash> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one from the bucket; the time to wait when it is empty.
    pub(super) fn take(&self, key: K) -> Result<(), Duration> {
        let now = Instant::now();
        let mut buckets = self.lock();
        let tokens = self.level(buckets.get(&key), now);
        if tokens < 1.0 {
            return Err(self.wait(tokens));
        }
        if buckets.len() >= MOST_KEYS && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.level(Some(bucket), now) < self.rate.burst);
            if buckets.len() >= MOST_KEYS {
                buckets.clear();
            }
        }
        let left = Bucket {
            tokens: tokens - 1.0,
            at: now,
        };
        buckets.insert(key, left);
        Ok(())
    }

    /// Whether one could be taken; the time to wait when not.
    pub(super) fn peek(&self, key: &K) -> Result<(), Duration> {
        let tokens = self.level(self.lock().get(key), Instant::now());
        if tokens < 1.0 {
            return Err(self.wait(tokens));
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn level(&self, bucket: Option<&Bucket>, now: Instant) -> f64 {
        let Some(bucket) = bucket else {
            return self.rate.burst;
        };
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + passed * self.rate.per_second).min(self.rate.burst)
    }

    fn wait(&self, tokens: f64) -> Duration {
        Duration::from_secs_f64((1.0 - tokens) / self.rate.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_the_rate() {
        let buckets = Buckets::new(Rate {
            burst: 3.0,
            per_second: 0.5,
        });
        for _ in 0..3 {
            assert!(buckets.peek(&"a").is_ok());
            assert!(buckets.take("a").is_ok());
        }
        assert_eq!(buckets.take("a"), Err(Duration::from_secs(2)));
        assert_eq!(buckets.peek(&"a"), Err(Duration::from_secs(2)));
        assert!(buckets.take("b").is_ok());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(buckets.take("a").is_ok());
        assert!(buckets.take("a").is_err());
        tokio::time::advance(Duration::from_secs(600)).await;
        assert_eq!((0..4).filter(|_| buckets.take("a").is_ok()).count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let buckets = Buckets::new(Rate {
            burst: 1.0,
            per_second: 1.0,
        });
        for key in 0..MOST_KEYS * 2 + 10 {
            assert!(buckets.take(key).is_ok());
        }
        assert!(buckets.lock().len() <= MOST_KEYS);
    }
}
