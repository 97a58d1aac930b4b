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
    /// The hour of its first value; `None` when that is not known. It is where reading begins, no more.
    pub first: Option<Hour>,
    /// The hour that the source takes for that of its newest value; `None` when it tells none.
    ///
    /// A hint: sources tell stale ones, so it decides how hours are asked for, never whether.
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
    /// Hours that the source can be asked about at once, where there is probably nothing.
    pub widest: i64,
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
    widest: i64,
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
            widest: self.widest.max(self.window).max(1),
        })
    }
}

/// A series on the way through a run.
#[derive(Clone)]
pub(super) struct Progress<S> {
    pub series: Series<S>,
    /// All hours before are in the store and will not change.
    pub settled: Hour,
    /// The first hour of those before `settled` in which nothing was found up to there.
    pub quiet: Hour,
    /// Hours in which it was found to have nothing.
    pub silent: Option<Range<Hour>>,
    /// Its newest value is not where the source says.
    pub is_misled: bool,
    /// It could not be read in this run.
    pub has_failed: bool,
}

impl<S> Progress<S> {
    /// Where a series begins that was read up to this position, or never, where it begins at `first`.
    ///
    /// A silent series is settled like any other. When it speaks again, it may tell what it had to
    /// say in the meantime: then the silence is read once more.
    pub(super) fn resume(series: Series<S>, position: Option<&Value>, first: Hour) -> Self {
        let known = position.and_then(settled_of);
        let settled = known.unwrap_or(first);
        let hour = |member| position.and_then(|position| hour_of(position, member));
        let quiet = hour("quiet").filter(|quiet| *quiet < settled);
        let speaks_again = series.newest.is_some()
            && series.newest != hour("newest")
            && quiet.is_some_and(|quiet| series.newest >= Some(quiet));
        let quiet = quiet.unwrap_or(settled);
        Self {
            series,
            settled: if speaks_again { quiet } else { settled },
            quiet,
            silent: None,
            is_misled: false,
            has_failed: false,
        }
    }

    /// Whether its values in these hours have to be asked for.
    pub(super) fn may_have(&self, hours: &Range<Hour>) -> bool {
        let begins_later =
            self.settled >= hours.end && self.series.first.is_some_and(|first| first >= hours.end);
        let is_silent = self
            .silent
            .as_ref()
            .is_some_and(|silent| silent.start <= hours.start && hours.end <= silent.end);
        !self.has_failed && !begins_later && !is_silent
    }

    /// The hours to ask about first, since there is probably nothing; `None` where that is not so.
    pub(super) fn doubtful(&self, from: Hour, edges: Edges) -> Option<Range<Hour>> {
        let has_ended = self.series.newest.is_some_and(|newest| newest < from);
        let end = Hour::from_index(from.index() + edges.widest)?.min(edges.complete);
        let is_asked = self.settled <= from && self.silent_up_to(from).is_none();
        (!self.has_failed && !self.is_misled && has_ended && is_asked && from < end)
            .then_some(from..end)
    }

    fn silent_up_to(&self, from: Hour) -> Option<Hour> {
        let silent = self.silent.as_ref()?;
        silent.contains(&from).then_some(silent.end)
    }

    fn is_wanted(&self, edges: Edges) -> bool {
        !self.has_failed && self.settled < edges.complete
    }

    /// As it stands in a checkpoint.
    fn position(&self, station: &StationId) -> Value {
        let text = |hour: Hour| hour.period().start.to_string();
        let mut position = json!({"settled": text(self.settled), "station": station.as_str()});
        if let Some(newest) = self.series.newest
            && self.quiet < self.settled
        {
            position["quiet"] = text(self.quiet).into();
            position["newest"] = text(newest).into();
        }
        position
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
        let start = self.next.map_or(first, |next| next.max(first));
        let usual = Hour::from_index(start.index() + edges.window)?;
        let silent = wanted().map(|series| {
            let later = (series.settled > start).then_some(series.settled);
            series.silent_up_to(start).or(later).unwrap_or(usual)
        });
        let stop = silent.min()?.max(usual).min(edges.complete);
        (start < edges.complete).then_some(start..stop)
    }

    /// Whether these hours are more than are read at a time: then they are silent.
    pub(super) fn is_silent(hours: &Range<Hour>, edges: Edges) -> bool {
        hours.end.index() - hours.start.index() > edges.window
    }

    /// Notes that these hours are read; tells the checkpoints that follow.
    ///
    /// `seen` is the last hour with a value of each series.
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
            if let Some(end) = seen.get(&i).copied().and_then(after) {
                progress.quiet = progress.quiet.max(end);
            }
            let reached = read.end.min(edges.open);
            if reached > progress.settled {
                progress.settled = reached;
                let position = progress.position(&self.station.id);
                checkpoints.push((progress.series.key.clone(), position));
            }
        }
        self.next = Some(read.end);
        checkpoints
    }
}

fn settled_of(position: &Value) -> Option<Hour> {
    hour_of(position, "settled")
}

fn hour_of(position: &Value, member: &str) -> Option<Hour> {
    let time: Timestamp = position.get(member)?.as_str()?.parse().ok()?;
    Hour::containing(time)
}

/// The stations that these series had when they were last read.
pub(crate) fn station_of(position: &Value) -> Option<StationId> {
    StationId::new(position.get("station")?.as_str()?)
}
