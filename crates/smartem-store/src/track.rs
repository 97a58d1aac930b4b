//! The locations of a station over time, from the positions of its hours.
//!
//! The first position opens the track. A new location begins when two consecutive hours with a
//! position both lie farther than a limit from the current one: at the first of the two, with its
//! position. Closer positions change nothing, so that the scatter of GPS fixes is no movement.

use smartem_model::{Hour, Position};

/// How far in metres a station must be from its location to have moved.
pub const DEFAULT_MOVE_M: f64 = 100.0;

/// A location and the hour it holds from; also an hour with its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) hour: Hour,
    pub(crate) position: Position,
}

/// Follows the positions of a station in order of time.
#[derive(Debug)]
pub(crate) struct Tracker {
    move_m: f64,
    current: Option<Place>,
    /// The hour just before, when it lay far from the current location.
    pending: Option<Place>,
}

impl Tracker {
    /// At the beginning of a track.
    pub(crate) fn new(move_m: f64) -> Self {
        Self {
            move_m,
            current: None,
            pending: None,
        }
    }

    /// In the middle of a track: at the location `current`, the hour just before being `previous`.
    pub(crate) fn resume(move_m: f64, current: Place, previous: Place) -> Self {
        let mut tracker = Self {
            move_m,
            current: Some(current),
            pending: None,
        };
        tracker.pending = tracker.is_far(previous, current).then_some(previous);
        tracker
    }

    /// Takes the next hour with a position; returns the location that begins with it or before it.
    pub(crate) fn follow(&mut self, next: Place) -> Option<Place> {
        let Some(current) = self.current else {
            self.current = Some(next);
            return Some(next);
        };
        if !self.is_far(next, current) {
            self.pending = None;
            return None;
        }
        let begun = self.pending.replace(next)?;
        self.current = Some(begun);
        self.pending = self.is_far(next, begun).then_some(next);
        Some(begun)
    }

    /// The location after the hours so far.
    pub(crate) fn current(&self) -> Option<Place> {
        self.current
    }

    fn is_far(&self, place: Place, from: Place) -> bool {
        place.position.distance_m(&from.position) > self.move_m
    }
}

/// Where a station is in an hour; before its first location: there.
pub(crate) fn location_at(track: &[Place], hour: Hour) -> Option<Position> {
    let begun = track.partition_point(|place| place.hour <= hour);
    let place = track.get(begun.saturating_sub(1));
    place.map(|place| place.position)
}

/// Where two tracks part.
pub(crate) fn first_difference(old: &[Place], new: &[Place]) -> Option<Hour> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let differing = old.get(same).into_iter().chain(new.get(same));
    differing.map(|place| place.hour).min()
}

/// Whether what an hour used of the location of its station is no longer what is known.
///
/// `whole`: it used the position, or had none at all. `altitude`: it used the altitude.
pub(crate) fn differs(
    used: Option<Position>,
    known: Option<Position>,
    whole: bool,
    altitude: bool,
) -> bool {
    let Some(used) = used else {
        return known.is_some();
    };
    let plane = |position: Position| (position.lon.to_bits(), position.lat.to_bits());
    let moved = whole && known.map(plane) != Some(plane(used));
    let bits = |alt: Option<f64>| alt.map(f64::to_bits);
    let uses_altitude = altitude || used.alt.is_none();
    let known_alt = known.and_then(|position| position.alt);
    moved || (uses_altitude && bits(known_alt) != bits(used.alt))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place so many metres north of a point, in an hour.
    fn place((hour, metres): (i64, f64)) -> Place {
        Place {
            hour: Hour::from_index(hour).unwrap(),
            position: Position::horizontal(5.8, 51.8 + metres / 111_195.0).unwrap(),
        }
    }

    fn track(hours: &[(i64, f64)]) -> Vec<i64> {
        let mut tracker = Tracker::new(DEFAULT_MOVE_M);
        let begun = hours.iter().filter_map(|hour| tracker.follow(place(*hour)));
        begun.map(|place| place.hour.index()).collect()
    }

    #[test]
    fn scatter_and_a_single_outlier_are_no_movement() {
        assert_eq!(
            track(&[(0, 0.0), (1, 90.0), (2, 0.0), (3, 5000.0), (4, 10.0)]),
            [0]
        );
        assert_eq!(track(&[(0, 0.0), (1, 500.0), (2, 0.0), (3, 500.0)]), [0]);
    }

    #[test]
    fn two_far_hours_begin_a_location_at_the_first_of_them() {
        assert_eq!(track(&[(0, 0.0), (1, 0.0), (5, 500.0), (9, 510.0)]), [0, 5]);
    }

    #[test]
    fn a_station_on_its_way_gets_a_location_for_each_hour_but_the_last() {
        assert_eq!(
            track(&[(0, 0.0), (1, 1000.0), (2, 2000.0), (3, 3000.0)]),
            [0, 1, 2]
        );
    }

    #[test]
    fn a_track_can_be_resumed_at_every_hour() {
        let hours: Vec<(i64, f64)> = (0..60_i32)
            .map(|n| (i64::from(n), f64::from(n * 7919 % 13 / 4) * 150.0))
            .collect();
        let whole = track(&hours);
        assert!(whole.len() > 5, "{whole:?}");
        for at in 1..hours.len() {
            let previous = place(hours[at - 1]);
            let mut before = Tracker::new(DEFAULT_MOVE_M);
            let _ = hours[..at]
                .iter()
                .filter_map(|h| before.follow(place(*h)))
                .count();
            let current = before.current().unwrap();
            let mut resumed = Tracker::resume(DEFAULT_MOVE_M, current, previous);
            let rest = hours[at..].iter().filter_map(|h| resumed.follow(place(*h)));
            let rest: Vec<i64> = rest.map(|place| place.hour.index()).collect();
            assert!(whole.ends_with(&rest), "{at}: {rest:?} of {whole:?}");
        }
    }

    #[test]
    fn before_its_first_location_a_station_is_there() {
        let track = [place((5, 0.0)), place((8, 900.0))];
        let at = |hour| location_at(&track, Hour::from_index(hour).unwrap());
        assert_eq!(at(1), Some(track[0].position));
        assert_eq!(at(7), Some(track[0].position));
        assert_eq!(at(8), Some(track[1].position));
        assert_eq!(location_at(&[], track[0].hour), None);
    }
}
