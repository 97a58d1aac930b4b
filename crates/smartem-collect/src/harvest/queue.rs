//! The stations of one source on their way through the workers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use smartem_etl::{InputError, Outcome, Run};

/// After so many failures in a row the source itself is asked whether it is there.
const DOUBT_AFTER: usize = 3;

/// Stations still to be visited, and how the remote behaves; shared by the workers of one source.
pub(crate) struct Queue<T>(Mutex<State<T>>);

struct State<T> {
    waiting: VecDeque<T>,
    failures_in_a_row: usize,
    any_success: bool,
    gave_up: bool,
    last_failure: Option<(String, String)>,
}

impl<T> Queue<T> {
    pub(crate) fn new(items: Vec<T>) -> Self {
        Self(Mutex::new(State {
            waiting: items.into(),
            failures_in_a_row: 0,
            any_success: false,
            gave_up: false,
            last_failure: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next one; `None` when all are done or the run should end.
    pub(crate) fn next(&self, run: &Run) -> Option<T> {
        let mut state = self.state();
        let ends = state.gave_up || run.should_end().is_some();
        if ends {
            None
        } else {
            state.waiting.pop_front()
        }
    }

    /// To the end of the queue, so that every station gets its turn.
    pub(crate) fn put_back(&self, item: T) {
        self.state().waiting.push_back(item);
    }

    /// Notes that a station could be read.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state();
        state.failures_in_a_row = 0;
        state.any_success = true;
    }

    /// Notes that a station could not be read; whether the source itself is to be doubted.
    pub(crate) fn failed(&self, place: String, problem: String) -> bool {
        let mut state = self.state();
        state.failures_in_a_row += 1;
        state.last_failure = Some((place, problem));
        state.failures_in_a_row >= DOUBT_AFTER
    }

    /// Notes that the source is there, so that the failures were those of single stations.
    pub(crate) fn source_answered(&self) {
        self.state().failures_in_a_row = 0;
    }

    /// Leaves the remaining stations for the next run.
    pub(crate) fn give_up(&self) {
        self.state().gave_up = true;
    }

    /// How the source fared, after all workers have ended: unreachable only without any success.
    pub(crate) fn outcome(self, run: &Run) -> Result<Outcome, InputError> {
        let state = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        match state.last_failure {
            Some((place, problem)) if !state.any_success => {
                Err(InputError::Unreachable { place, problem })
            }
            _ => {
                let cut_off = run.should_end().filter(|_| !state.waiting.is_empty());
                if cut_off.is_some() {
                    run.counters
                        .set("stations_left", state.waiting.len() as u64);
                }
                Ok(cut_off.unwrap_or(Outcome::Done))
            }
        }
    }
}
