//! R8.4: accepted values of one indicator that the calibration of another needs.

use jiff::{SignedDuration, Timestamp};
use smartem_model::raw::RecordTime;

use crate::definition::Definition;
use crate::state::{State, TimedValue};

/// The accepted values of the auxiliaries, of this record and of the state given.
pub(crate) struct Auxiliaries {
    /// For each auxiliary of the definition, in order of time.
    accepted: Vec<Vec<TimedValue>>,
    max_age: SignedDuration,
    /// How much younger than the sample a value may be; zero but in snapshots (R11.2).
    max_ahead: SignedDuration,
}

impl Auxiliaries {
    pub(crate) fn new(definition: &Definition, given: &State, time: &RecordTime) -> Self {
        let of_state = |name: &str| given.auxiliary.as_ref()?.get(name).copied();
        let accepted = definition
            .auxiliaries
            .iter()
            .map(|name| of_state(name).into_iter().collect())
            .collect();
        let max_age =
            SignedDuration::try_from_secs_f64(definition.auxiliary_max_age_s).unwrap_or_default();
        let max_ahead = match time {
            RecordTime::Hour(_) => SignedDuration::ZERO,
            RecordTime::Snapshot(_) => max_age,
        };
        Self {
            accepted,
            max_age,
            max_ahead,
        }
    }

    /// Adds the accepted values of an indicator, if others need it; they must be in order of time.
    pub(crate) fn accept(
        &mut self,
        definition: &Definition,
        indicator: &str,
        values: &[TimedValue],
    ) {
        let known = definition.auxiliaries.iter();
        for (name, accepted) in known.zip(&mut self.accepted) {
            if name.as_ref() == indicator {
                accepted.extend_from_slice(values);
                // A state from later than this record goes between or behind its values; of equal
                // times the one of this record comes last and so is the newest.
                accepted.sort_by_key(|value| value.time);
            }
        }
    }

    /// The newest value of an auxiliary that may serve a sample at `time`.
    pub(crate) fn at(&self, auxiliary: usize, time: Timestamp) -> Option<f64> {
        let accepted = &self.accepted[auxiliary];
        let is_usable = |value: &TimedValue| value.time.duration_since(time) <= self.max_ahead;
        let newest = accepted.partition_point(is_usable).checked_sub(1)?;
        let newest = accepted[newest];
        (time.duration_since(newest.time) <= self.max_age).then_some(newest.value)
    }

    /// The newest accepted value of each auxiliary, on top of the state given (R10.7).
    pub(crate) fn hand_on(&self, definition: &Definition, state: &mut State) {
        let Some(entries) = &mut state.auxiliary else {
            return;
        };
        for (name, accepted) in definition.auxiliaries.iter().zip(&self.accepted) {
            if let Some(newest) = accepted.last() {
                entries.insert(name.to_string(), *newest);
            }
        }
    }
}
