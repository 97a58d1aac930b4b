use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;

/// Upper bounds of the duration buckets in seconds.
pub const BUCKETS: [f64; 8] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Counts requests by method, route and status, and how long their answers took.
///
/// Methods and routes come from closed sets, so that no client can make it grow.
#[derive(Clone, Debug, Default)]
pub struct HttpMetrics {
    // A lock held for a few additions, never across an await.
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(&'static str, Arc<str>, u16), u64>,
    durations: BTreeMap<(&'static str, Arc<str>), Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    count: u64,
    seconds: f64,
    buckets: [u64; BUCKETS.len()],
}

/// How many requests were answered with one status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestCount {
    /// `GET`, ...; `other` for methods nobody knows.
    pub method: &'static str,
    /// The template of the path, or `unmatched`.
    pub route: Arc<str>,
    /// The HTTP status.
    pub status: u16,
    /// How many.
    pub count: u64,
}

/// How long the answers of a route took.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTime {
    /// See [`RequestCount::method`].
    pub method: &'static str,
    /// See [`RequestCount::route`].
    pub route: Arc<str>,
    /// How many.
    pub count: u64,
    /// All together, in seconds.
    pub seconds: f64,
    /// How many took no longer than each of [`BUCKETS`].
    pub buckets: [u64; BUCKETS.len()],
}

impl HttpMetrics {
    /// Counts a request.
    pub fn record(&self, method: &Method, route: &str, status: u16, duration: Duration) {
        let method = known_method(method);
        let route: Arc<str> = route.into();
        let seconds = duration.as_secs_f64();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts
            .requests
            .entry((method, route.clone(), status))
            .or_default() += 1;
        let cell = counts.durations.entry((method, route)).or_default();
        cell.count += 1;
        cell.seconds += seconds;
        for (count, bound) in cell.buckets.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= bound);
        }
    }

    /// The counts so far, sorted.
    pub fn requests(&self) -> Vec<RequestCount> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |((method, route, status), count): (&(&'static str, Arc<str>, u16), &u64)| {
            RequestCount {
                method,
                route: route.clone(),
                status: *status,
                count: *count,
            }
        };
        counts.requests.iter().map(row).collect()
    }

    /// The durations so far, sorted.
    pub fn times(&self) -> Vec<RouteTime> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |((method, route), cell): (&(&'static str, Arc<str>), &Cell)| RouteTime {
            method,
            route: route.clone(),
            count: cell.count,
            seconds: cell.seconds,
            buckets: cell.buckets,
        };
        counts.durations.iter().map(row).collect()
    }
}

fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
