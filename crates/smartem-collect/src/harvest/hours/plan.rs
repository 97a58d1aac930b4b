//! Which hours are wanted of a station, and how far it got.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use smartem_model::{Hour, StationId};

/// A station and its series.
#[derive(Clone, Debug)]
pub(crate) struct Station<S> {
    pub id: StationId,
    pub type_name: String,
    pub series: Vec<Series<S>>,
}

/// What one instrument of a station delivers.
#[derive(Clone, Debug)]
pub(crate) struct Series<S> {
    /// Names it in checkpoints; the identity that the remote gives it.
    pub key: String,
    /// What the source needs to ask for its values.
    pub ask: S,
    /// The hour of its first value; `None` when that is not known.
    pub first: Option<Hour>,
    /// The hour of its newest value; `None` when that is not known.
    pub newest: Option<Hour>,
}

/// Which hours are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// After its end, before an hour counts as complete.
    pub grace: SignedDuration,
    /// Hours that ended less than this ago may still change.
    pub late: SignedDuration,
    /// Hours before this are not read.
    pub since: Option<Timestamp>,
    /// Hours read at a time, at least 1.
    pub window: i64,
}

/// The edges of what is wanted at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edges {
    /// The first hour that is not complete.
    pub(super) complete: Hour,
    /// The first hour that may still change.
    open: Hour,
    /// The first hour that is wanted at all.
    pub(super) since: Hour,
    window: i64,
}

impl Wanted {
    /// `None` outside the years that hours exist in.
    pub(super) fn edges(&self, now: Timestamp) -> Option<Edges> {
        let complete = Hour::containing(now.checked_sub(self.grace).ok()?)?;
        let open = now
            .checked_sub(self.late)
            .ok()
            .and_then(Hour::containing)
            .map_or(complete, |open| open.min(complete));
        let since = match self.since {
            Some(since) => Hour::containing(since)?,
            None => Hour::from_index(0)?,
        };
        Some(Edges {
            complete,
            open,
            since,
            window: self.window.max(1),
        })
    }
}

/// A series on the way through a run.
#[derive(Clone)]
pub(super) struct Progress<S> {
    pub series: Series<S>,
    /// All hours before are in the store and will not change.
    pub settled: Hour,
    /// It could not be read in this run.
    pub has_failed: bool,
}

impl<S> Progress<S> {
    /// The first hour that has nothing of this series.
    fn end(&self, edges: Edges) -> Hour {
        let after_newest = self.series.newest.and_then(after);
        after_newest.map_or(edges.complete, |end| end.min(edges.complete))
    }

    /// Whether it may have values in these hours, as far as its ends are known.
    pub(super) fn may_have(&self, hours: &Range<Hour>) -> bool {
        let has_ended = self
            .series
            .newest
            .is_some_and(|newest| newest < hours.start);
        let begins_later = self.series.first.is_some_and(|first| first >= hours.end);
        !self.has_failed && !has_ended && !begins_later
    }

    fn is_wanted(&self, edges: Edges) -> bool {
        !self.has_failed && self.settled < self.end(edges)
    }
}

fn after(hour: Hour) -> Option<Hour> {
    Hour::from_index(hour.index() + 1)
}

/// A station on its way through its hours.
#[derive(Clone)]
pub(super) struct Visit<S> {
    pub station: Station<S>,
    pub series: Vec<Progress<S>>,
    /// Of the next window; `None` before it is known.
    pub next: Option<Hour>,
}

impl<S> Visit<S> {
    /// The next hours to read; `None` when there are none.
    pub(super) fn plan(&self, edges: Edges) -> Option<Range<Hour>> {
        let wanted = || self.series.iter().filter(|series| series.is_wanted(edges));
        let first = wanted().map(|series| series.settled).min()?;
        let end = wanted().map(|series| series.end(edges)).max()?;
        let start = self.next.map_or(first, |next| next.max(first));
        let stop = Hour::from_index(start.index() + edges.window)?.min(edges.complete);
        (start < end).then_some(start..stop)
    }

    /// Notes that these hours are read; tells the checkpoints that follow.
    ///
    /// `seen` is the last hour with a value of each series. What is known to end within the window is
    /// settled up to there and no further: after a silence its next value may be of any time.
    pub(super) fn settle(
        &mut self,
        read: &Range<Hour>,
        seen: &BTreeMap<usize, Hour>,
        edges: Edges,
    ) -> Vec<(String, Value)> {
        let mut checkpoints = Vec::new();
        for (i, progress) in self.series.iter_mut().enumerate() {
            if !progress.is_wanted(edges) || progress.settled < read.start {
                continue;
            }
            let ends_here = progress
                .series
                .newest
                .is_some_and(|newest| newest < read.end);
            let covered = if ends_here {
                seen.get(&i).copied().and_then(after)
            } else {
                Some(read.end)
            };
            let reached = covered.map_or(progress.settled, |covered| covered.min(edges.open));
            if reached > progress.settled {
                progress.settled = reached;
                let settled = reached.period().start.to_string();
                let position = json!({"settled": settled, "station": self.station.id.as_str()});
                checkpoints.push((progress.series.key.clone(), position));
            }
        }
        self.next = Some(read.end);
        checkpoints
    }
}

pub(super) fn settled_of(position: &Value) -> Option<Hour> {
    let time: Timestamp = position.get("settled")?.as_str()?.parse().ok()?;
    Hour::containing(time)
}

/// The stations that these series had when they were last read.
pub(crate) fn station_of(position: &Value) -> Option<StationId> {
    StationId::new(position.get("station")?.as_str()?)
}
