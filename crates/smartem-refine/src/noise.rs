//! R6: the sound level of Josene stations, from third-octave bands packed three to a word.

use std::sync::LazyLock;

use smartem_model::RejectReason;

use crate::definition::{Bounds, Octave};
use crate::laws;
use crate::prepare::{Readings, Said};
use crate::tally::{Cause, Tally};

/// The energies of the levels a band can hold.
static ENERGY: LazyLock<[f64; 196]> = LazyLock::new(|| {
    let mut level = 0.0;
    [(); 196].map(|()| {
        let energy = laws::energy(level);
        level += 1.0;
        energy
    })
});

/// Judges and averages the sound level over all samples.
///
/// The sum of the tally is that of the energies, its extremes are levels in dB(A).
pub(crate) fn tally(octaves: &[Octave], readings: &Readings, result: Bounds) -> Tally {
    let mut tally = Tally::default();
    for sample in 0..readings.samples() {
        let is_absent = |octave: &Octave| readings.of(octave.slot)[sample].is_absent();
        if octaves.iter().all(is_absent) {
            continue;
        }
        match energy(octaves, readings, sample) {
            Err((reason, cause)) => tally.refuse(sample, reason, cause),
            Ok(energy) => {
                let level = laws::level(energy);
                match outside(level, result) {
                    Some(reason) => tally.refuse(sample, reason, Cause::Result(level)),
                    None => tally.accept(sample, energy, level, 0.0),
                }
            }
        }
    }
    tally
}

/// The energy of one sample over all kept bands (R6.2, R6.3).
fn energy(
    octaves: &[Octave],
    readings: &Readings,
    sample: usize,
) -> Result<f64, (RejectReason, Cause)> {
    let energies = &*ENERGY;
    let (mut energy, mut any_signal) = (0.0, false);
    for octave in octaves {
        let cause = Cause::Reading(octave.slot);
        let number = match readings.of(octave.slot)[sample].said() {
            Said::Number(number) => number,
            Said::Absent => return Err((RejectReason::MissingInput, cause)),
            Said::Conflicting => return Err((RejectReason::Conflicting, cause)),
            Said::NotANumber => return Err((RejectReason::NotANumber, cause)),
        };
        let word = word(number).ok_or((RejectReason::NotAnInteger, cause))?;
        let mut any_band = false;
        for band in &octave.bands {
            let level = (word >> (8 * band)) & 0xFF;
            // 196 to 255 is no reading.
            let Some(band_energy) = energies.get(level as usize) else {
                continue;
            };
            energy += band_energy;
            any_band = true;
            any_signal |= level > 0;
        }
        if !any_band {
            return Err((RejectReason::NoValidBand, cause));
        }
    }
    if any_signal {
        Ok(energy)
    } else {
        Err((RejectReason::NoSignal, Cause::Nothing))
    }
}

/// An integer from -2^31 to 2^32-1 as 32 bits, negative ones as two's complement (R6.1).
pub(crate) fn word(number: f64) -> Option<u32> {
    let inside = (-2_147_483_648.0..=4_294_967_295.0).contains(&number) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is an integer of that range, and wrapping is the rule"
    )]
    inside.then_some(number as i64 as u32)
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
