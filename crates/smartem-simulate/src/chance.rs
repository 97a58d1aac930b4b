//! Chance without state: every random number is a hash of what it is for.
//!
//! A [`Stream`] stands for (seed, station, purpose); asking it for an index (a slot, a minute, an hour, a lattice
//! point) gives the same number in every process. So any hour can be generated alone and in any order.

/// Odd constant of the golden ratio, the step of `SplitMix64`.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Standard deviation of the sum of four numbers uniform in 0..65535.
const SUM_DEVIATION: f64 = 65_535.0 * 0.577_350_269_189_625_8;

/// What a stream of random numbers is for; the number keeps the streams apart.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Purpose {
    Pressure = 1,
    PressureFast,
    Cloud,
    CloudFast,
    Wind,
    Airmass,
    AirmassFast,
    Dryness,
    Rain,
    NitrogenBackground,
    ParticleBackground,
    ParticleFast,
    Place,
    Site,
    Turbulence,
    Event,
    Occupancy,
    Box,
    CoDrift,
    No2Drift,
    O3Drift,
    TemperatureDrift,
    HumidityDrift,
    Co2Drift,
    EastWander,
    NorthWander,
    HeightWander,
    HourFate,
    DayFate,
    GpsFate,
    Sample,
    Jitter,
}

/// Random numbers of one seed, station (or the region) and purpose, addressed by index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(seed: u64, station: u64, purpose: Purpose) -> Self {
        let seeded = mix(seed.wrapping_add(GOLDEN));
        let placed = mix(seeded ^ station.wrapping_mul(0xD6E8_FEB8_6659_FD93).wrapping_add(1));
        Self(mix(
            placed ^ (purpose as u64).wrapping_mul(0xA076_1D64_78BD_642F)
        ))
    }

    /// 64 random bits for this index.
    pub(crate) fn bits(self, index: i64) -> u64 {
        mix(self.0
            ^ index
                .cast_unsigned()
                .wrapping_mul(GOLDEN)
                .wrapping_add(GOLDEN))
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(self, index: i64) -> f64 {
        unit(self.bits(index))
    }

    /// About standard normal, within ±3.5.
    pub(crate) fn normal(self, index: i64) -> f64 {
        normal(self.bits(index))
    }

    /// A sequence of draws for this index.
    pub(crate) fn dice(self, index: i64) -> Dice {
        Dice(self.bits(index))
    }

    /// A smooth random curve over time with mean 0 and deviation 1.
    ///
    /// Normal numbers at multiples of `period` (s), joined by a smoothstep whose weights are scaled so that the
    /// variance is 1 everywhere ("value noise"). `seconds` is Unix time.
    pub(crate) fn smooth(self, seconds: f64, period: f64) -> f64 {
        let x = seconds / period;
        let cell = x.floor();
        let f = x - cell;
        let cell = whole(cell);
        let w = f * f * (3.0 - 2.0 * f);
        let v = 1.0 - w;
        (v * self.normal(cell) + w * self.normal(cell + 1)) / (v * v + w * w).sqrt()
    }
}

/// `SplitMix64`: draws one after the other from one start value.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.bits())
    }

    pub(crate) fn normal(&mut self) -> f64 {
        normal(self.bits())
    }

    /// Uniform in [low, high).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Log-normal with median 1 and the given deviation of the logarithm.
    pub(crate) fn spread(&mut self, deviation: f64) -> f64 {
        (deviation * self.normal()).exp()
    }
}

/// Cuts the fraction off; values beyond `i64` saturate.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cutting is the purpose; casts saturate"
)]
pub(crate) fn whole(x: f64) -> i64 {
    x as i64
}

/// The nearest integer of a number that is not negative (callers clamp before).
pub(crate) fn nearest(x: f64) -> i64 {
    whole(x + 0.5)
}

/// Finalizer of `SplitMix64` (Stafford's variant 13): every input bit changes half of the output bits.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// Sum of four 16-bit lanes: close to normal, bounded, and far cheaper than a logarithm and a cosine.
fn normal(bits: u64) -> f64 {
    let lanes = (bits & 0xFFFF) + ((bits >> 16) & 0xFFFF) + ((bits >> 32) & 0xFFFF) + (bits >> 48);
    (lanes as f64 - 131_070.0) / SUM_DEVIATION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let stream = Stream::new(7, 3, Purpose::Sample);
        let n = 40_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for i in 0..n {
            let x = stream.normal(i);
            sum += x;
            squares += x * x;
        }
        let mean = sum / n as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((squares / n as f64 - 1.0).abs() < 0.03);
    }

    #[test]
    fn smooth_curves_have_no_steps_and_keep_their_variance() {
        let stream = Stream::new(7, 3, Purpose::Cloud);
        let mut squares = 0.0;
        let mut before = stream.smooth(0.0, 600.0);
        for i in 1..60_000 {
            let now = stream.smooth(f64::from(i) * 10.0, 600.0);
            assert!((now - before).abs() < 0.3);
            squares += now * now;
            before = now;
        }
        assert!((squares / 60_000.0 - 1.0).abs() < 0.15);
    }

    #[test]
    fn streams_of_other_seeds_stations_and_purposes_differ() {
        let base = Stream::new(1, 1, Purpose::Box).bits(5);
        assert_ne!(base, Stream::new(2, 1, Purpose::Box).bits(5));
        assert_ne!(base, Stream::new(1, 2, Purpose::Box).bits(5));
        assert_ne!(base, Stream::new(1, 1, Purpose::Sample).bits(5));
        assert_ne!(base, Stream::new(1, 1, Purpose::Box).bits(6));
    }
}
