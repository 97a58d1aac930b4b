//! R6: the sound level of Josene stations, from third-octave bands packed three to a word.

use std::sync::LazyLock;

use smartem_model::RejectReason;

use crate::definition::{Bounds, Octave};
use crate::laws;
use crate::prepare::{Reading, Readings, Said};
use crate::tally::{Cause, Tally};

/// The largest level of a band that is a reading (R6.2).
const HIGHEST_LEVEL: u8 = 195;

/// The energies of the levels that a byte can hold; none for those that are no reading.
static ENERGY: LazyLock<[f64; 256]> = LazyLock::new(|| {
    let mut level = 0_u8;
    [(); 256].map(|()| {
        let is_reading = level <= HIGHEST_LEVEL;
        let energy = if is_reading {
            laws::energy(level.into())
        } else {
            0.0
        };
        level = level.wrapping_add(1);
        energy
    })
});

/// Judges and averages the sound level over all samples.
///
/// The sum of the tally is that of the energies, its extremes are levels in dB(A).
pub(crate) fn tally(octaves: &[Octave], readings: &Readings, result: Bounds) -> Tally {
    let mut sounds = vec![Sound::default(); readings.samples()];
    for octave in octaves {
        for (sound, reading) in sounds.iter_mut().zip(readings.of(octave.slot)) {
            sound.add(octave, *reading);
        }
    }
    let mut tally = Tally::default();
    for (sample, sound) in sounds.iter().enumerate() {
        if !sound.is_present {
            continue;
        }
        match sound.level() {
            Err((reason, cause)) => tally.refuse(sample, reason, cause),
            Ok(level) => match outside(level, result) {
                Some(reason) => tally.refuse(sample, reason, Cause::Result(level)),
                None => tally.accept(sample, sound.energy, level, 0.0),
            },
        }
    }
    tally
}

/// The sound of one sample, octave by octave (R6.2, R6.3).
#[derive(Clone, Default)]
struct Sound {
    /// Over all kept bands, in units of the reference energy.
    energy: f64,
    /// Whether any octave was given.
    is_present: bool,
    /// Whether any band was above zero.
    has_signal: bool,
    /// The first octave that made the sample unusable.
    fault: Option<(RejectReason, Cause)>,
}

impl Sound {
    #[inline]
    fn add(&mut self, octave: &Octave, reading: Reading) {
        self.is_present |= !reading.is_absent();
        if self.fault.is_none()
            && let Err(reason) = self.add_bands(octave, reading)
        {
            self.fault = Some((reason, Cause::Reading(octave.slot)));
        }
    }

    #[inline]
    fn add_bands(&mut self, octave: &Octave, reading: Reading) -> Result<(), RejectReason> {
        let Some(word) = word(reading.number()) else {
            return Err(match reading.said() {
                Said::Absent => RejectReason::MissingInput,
                Said::Conflicting => RejectReason::Conflicting,
                Said::NotANumber => RejectReason::NotANumber,
                Said::Number(_) => RejectReason::NotAnInteger,
            });
        };
        let energies = &*ENERGY;
        let bands = word.to_le_bytes();
        let mut any_band = false;
        for band in &octave.bands {
            let level = bands[usize::from(band & 3)];
            self.energy += energies[usize::from(level)];
            let is_reading = level <= HIGHEST_LEVEL;
            any_band |= is_reading;
            self.has_signal |= is_reading && level > 0;
        }
        if any_band {
            Ok(())
        } else {
            Err(RejectReason::NoValidBand)
        }
    }

    fn level(&self) -> Result<f64, (RejectReason, Cause)> {
        match self.fault {
            Some(fault) => Err(fault),
            None if !self.has_signal => Err((RejectReason::NoSignal, Cause::Nothing)),
            None => Ok(laws::level(self.energy)),
        }
    }
}

/// An integer from -2^31 to 2^32-1 as 32 bits, negative ones as two's complement (R6.1).
pub(crate) fn word(number: f64) -> Option<u32> {
    if !(-2_147_483_648.0..=4_294_967_295.0).contains(&number) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number is of that range"
    )]
    let whole = number as i64;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "33 bits fit; equality tells that nothing was cut off, and wrapping is the rule"
    )]
    (whole as f64 == number).then_some(whole as u32)
}

/// The class 1 to 5 of a sound level in dB(A) (R6.5).
pub(crate) fn class(level: f64) -> f64 {
    let above = [35.0, 50.0, 65.0, 80.0]
        .into_iter()
        .filter(|limit| level > *limit)
        .count();
    [1.0, 2.0, 3.0, 4.0, 5.0][above]
}

/// Why a value lies outside its bounds, if it does.
pub(crate) fn outside(value: f64, bounds: Bounds) -> Option<RejectReason> {
    if !value.is_finite() {
        Some(RejectReason::NotANumber)
    } else if value < bounds.min {
        Some(RejectReason::BelowMinimum)
    } else if value > bounds.max {
        Some(RejectReason::AboveMaximum)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "classes are whole numbers")]
    fn the_upper_limit_belongs_to_the_quieter_class() {
        for (level, expected) in [
            (20.0, 1.0),
            (35.0, 1.0),
            (35.1, 2.0),
            (50.0, 2.0),
            (65.0, 3.0),
            (80.0, 4.0),
            (80.1, 5.0),
            (195.0, 5.0),
        ] {
            assert_eq!(class(level), expected, "{level}");
        }
    }

    #[test]
    fn words_are_integers_of_32_bits() {
        assert_eq!(word(-1.0), Some(0xFFFF_FFFF));
        assert_eq!(word(4_294_967_295.0), Some(0xFFFF_FFFF));
        assert_eq!(word(4_294_967_296.0), None);
        assert_eq!(word(-2_147_483_649.0), None);
        assert_eq!(word(1.5), None);
    }
}
