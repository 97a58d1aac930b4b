//! Clocks that are put back: a local time that comes twice, told by the row before it.

use std::collections::HashMap;

use jiff::Timestamp;
use smartem_model::StationId;

/// What a row's time can be: where clocks are put back there are two instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instants {
    pub first: Timestamp,
    /// The second occurrence of the same local time.
    pub second: Option<Timestamp>,
}

/// Rows that follow each other on one clock: of a station, an instrument and, in files with one
/// value in a row, what was measured.
pub(super) type Stream = (StationId, Option<String>, Option<String>);

/// Where the streams of a file are.
#[derive(Debug, Default)]
pub(in crate::harvest) struct Clocks(HashMap<Stream, Clock>);

#[derive(Clone, Copy, Debug)]
struct Clock {
    last: Timestamp,
    /// Whether the rows before ascended: rows that descend or jump tell nothing of the clock.
    ascends: bool,
}

impl Clocks {
    /// The instant of the next row of a stream.
    pub(super) fn tell(&mut self, stream: Stream, instants: Instants) -> Timestamp {
        let before = self.0.get(&stream);
        let time = before.map_or(instants.first, |before| before.tell(instants));
        let ascends = before
            .is_some_and(|before| time > before.last || (time == before.last && before.ascends));
        let now = Clock {
            last: time,
            ascends,
        };
        self.0.insert(stream, now);
        time
    }
}

impl Clock {
    /// The second occurrence when the first would not be after the row before, and this one is.
    fn tell(self, Instants { first, second }: Instants) -> Timestamp {
        let is_second = |second: &Timestamp| self.ascends && (first..=*second).contains(&self.last);
        second.filter(is_second).unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes after the clock shows the ambiguous hour for the first time, told of local minutes.
    fn told(local: &[i64]) -> Vec<i64> {
        let stream = || (StationId::new("x").unwrap(), None, None);
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let mut clocks = Clocks::default();
        let each = local.iter().map(|minute| {
            // From an hour on there is only the later offset.
            let instants = if *minute < 60 {
                Instants {
                    first: at(*minute),
                    second: (*minute >= 0).then(|| at(*minute + 60)),
                }
            } else {
                Instants {
                    first: at(*minute + 60),
                    second: None,
                }
            };
            clocks.tell(stream(), instants).as_second() / 60
        });
        each.collect()
    }

    #[test]
    fn a_step_back_is_the_second_occurrence() {
        assert_eq!(told(&[0, 30, 0, 30, 60]), [0, 30, 60, 90, 120]);
        assert_eq!(told(&[-60, 0, 0, 60]), [-60, 0, 60, 120]);
        // A row that comes again in the second pass stays there.
        assert_eq!(told(&[-10, 50, 0, 0, 10]), [-10, 50, 60, 60, 70]);
    }

    #[test]
    fn rows_that_descend_tell_nothing() {
        assert_eq!(told(&[60, 50, 40, 0, -10]), [120, 50, 40, 0, -10]);
        assert_eq!(told(&[50, 40, 0]), [50, 40, 0]);
    }
}
