//! Counts what was accepted and what was refused, for one indicator and instrument.

use smartem_model::RejectReason;

/// Accepted values and refusals of one indicator and instrument.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub accepted: u64,
    /// Sum of what is averaged: values, or energies of sound levels.
    pub sum: f64,
    pub min: f64,
    pub max: f64,
    pub raw_sum: f64,
    /// Positions of the first and last accepted sample.
    pub span: Option<(usize, usize)>,
    pub refusals: Vec<Refusal>,
}

/// The samples refused for one reason.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub reason: RejectReason,
    pub count: u64,
    /// Position of the first such sample.
    pub first: usize,
    pub cause: Cause,
}

/// What was wrong with a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    /// The reading of this key (position in the definition's keys).
    Reading(usize),
    /// The value computed for the indicator.
    Result(f64),
    /// No value of this auxiliary (position in the definition's auxiliaries).
    Auxiliary(usize),
    /// Nothing that could be shown.
    Nothing,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            accepted: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            raw_sum: 0.0,
            span: None,
            refusals: Vec::new(),
        }
    }
}

impl Tally {
    /// Counts a value: `averaged` enters the sum, `value` the extremes, `raw` the raw mean.
    pub(crate) fn accept(&mut self, sample: usize, averaged: f64, value: f64, raw: f64) {
        self.accepted += 1;
        self.sum += averaged;
        self.raw_sum += raw;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        let first = self.span.map_or(sample, |(first, _)| first);
        self.span = Some((first, sample));
    }

    pub(crate) fn refuse(&mut self, sample: usize, reason: RejectReason, cause: Cause) {
        match self
            .refusals
            .iter_mut()
            .find(|refusal| refusal.reason == reason)
        {
            Some(refusal) => refusal.count += 1,
            None => self.refusals.push(Refusal {
                reason,
                count: 1,
                first: sample,
                cause,
            }),
        }
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.refusals.iter().map(|refusal| refusal.count).sum()
    }

    /// The sum over the accepted count, which must not be zero.
    pub(crate) fn mean(&self, sum: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a record has far fewer than 2^53 samples"
        )]
        let count = self.accepted as f64;
        sum / count
    }
}
