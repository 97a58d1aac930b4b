use super::super::plan::Level;
use super::super::time::{MAX_TIME, MIN_TIME, Zone};

/// Windows of time; without an interval there is one, the whole range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(crate) interval: i64,
    offset: i64,
    zone: Option<Zone>,
    /// First and last time of the query, ns.
    pub(crate) range: (i64, i64),
}

impl Windows {
    pub(crate) fn new(level: &Level, range: (i64, i64)) -> Self {
        Self {
            interval: level.interval,
            offset: level.interval_offset,
            zone: level.zone,
            range,
        }
    }

    /// How far the clocks of the zone are ahead of UTC, ns.
    pub(crate) fn ahead(&self, time: i64) -> i64 {
        self.zone.map_or(0, |zone| zone.offset(time))
    }

    /// Begin and end of the window of a time; the end is not in it.
    ///
    /// Windows begin at whole intervals of the clocks of the zone. Where clocks change within one, it
    /// is longer or shorter by that, unless the interval is no longer than the change.
    pub(crate) fn of(&self, time: i64) -> (i64, i64) {
        if self.interval == 0 {
            return (self.range.0, self.range.1.saturating_add(1));
        }
        let time = time.saturating_sub(self.offset);
        let ahead = self.ahead(time);
        let past = time.saturating_add(ahead).rem_euclid(self.interval);
        let mut start = if MIN_TIME + past >= time {
            MIN_TIME
        } else {
            time - past
        };
        if self.zone.is_some() {
            let change = ahead - self.ahead(start);
            if change != 0 && change.abs() < self.interval {
                start = start.saturating_add(change);
            }
        }
        let left = self.interval - past;
        let mut end = if MAX_TIME - left <= time {
            MAX_TIME
        } else {
            time + left
        };
        if self.zone.is_some() {
            let ahead_at_end = self.ahead(end);
            let change = ahead - ahead_at_end;
            // Time that is added belongs to the window it ends; time that is skipped only to
            // one in which the clocks change.
            let within = change > 0 || self.ahead(end.saturating_add(change)) == ahead_at_end;
            if change != 0 && change.abs() < self.interval && within {
                end = end.saturating_add(change);
            }
        }
        (
            start.saturating_add(self.offset),
            end.saturating_add(self.offset),
        )
    }
}
