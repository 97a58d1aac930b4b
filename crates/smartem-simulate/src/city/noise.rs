//! Sound in third-octave bands.
//!
//! Four sources are added as energy: traffic with the A-weighted spectrum of EN 1793-3 (100 Hz to 5 kHz, extended by
//! us with the A-weighting curve of IEC 61672 below and air absorption above), people and birds, machines with a hum
//! at 100 Hz, and wind in trees. Traffic follows 10 log10 of the flow, as in all engineering methods (RMR 2012,
//! CNOSSOS-EU); wind follows the fifth power of its speed.

use std::sync::LazyLock;

use super::site::Sources;
use super::weather::Weather;
use crate::chance::Stream;

/// Number of third-octave bands, 25 Hz to 20 kHz (ANSI bands 14 to 43).
pub const BANDS: usize = 30;

/// Levels of the third-octave bands in dB(A), lowest frequency first.
pub type Levels = [f64; BANDS];

/// EN 1793-3 for its eighteen bands (index 6 to 23), continued on both sides.
const TRAFFIC: Levels = [
    -45.0, -39.0, -34.0, -29.0, -25.0, -23.0, -20.0, -20.0, -18.0, -16.0, -15.0, -14.0, -13.0,
    -12.0, -11.0, -9.0, -8.0, -9.0, -10.0, -11.0, -13.0, -15.0, -16.0, -18.0, -21.0, -24.0, -28.0,
    -33.0, -38.0, -44.0,
];

/// Voices around 500 Hz to 2 kHz, birds around 4 kHz.
const ACTIVITY: Levels = [
    -60.0, -54.0, -48.0, -42.0, -36.0, -31.0, -26.0, -22.0, -19.0, -17.0, -15.0, -13.0, -11.0,
    -9.0, -9.0, -10.0, -11.0, -12.0, -12.0, -12.0, -12.0, -11.0, -11.0, -12.0, -16.0, -21.0, -27.0,
    -33.0, -39.0, -45.0,
];

/// Fans and transformers.
const MACHINES: Levels = [
    -40.0, -33.0, -28.0, -18.0, -20.0, -18.0, -6.0, -14.0, -13.0, -9.0, -12.0, -11.0, -11.0, -12.0,
    -12.0, -13.0, -14.0, -15.0, -17.0, -19.0, -21.0, -24.0, -27.0, -30.0, -34.0, -38.0, -42.0,
    -46.0, -50.0, -55.0,
];

/// Leaves, broad and high.
const WIND: Levels = [
    -38.0, -35.0, -33.0, -31.0, -29.0, -27.0, -25.0, -23.0, -21.0, -20.0, -18.0, -17.0, -16.0,
    -15.0, -14.0, -13.0, -12.0, -11.0, -11.0, -10.0, -10.0, -11.0, -12.0, -13.0, -15.0, -18.0,
    -22.0, -26.0, -31.0, -37.0,
];

/// Relative energy of the bands, sum 1.
struct Spectra {
    traffic: Levels,
    activity: Levels,
    machines: Levels,
    wind: Levels,
}

static SPECTRA: LazyLock<Spectra> = LazyLock::new(|| Spectra {
    traffic: shares(&TRAFFIC),
    activity: shares(&ACTIVITY),
    machines: shares(&MACHINES),
    wind: shares(&WIND),
});

/// Something that passes by, within one minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    kind: EventKind,
    /// Sum level at the station, dB(A).
    level: f64,
}

#[derive(Clone, Copy, Debug)]
enum EventKind {
    /// A moped, a lorry, a motorcycle.
    Vehicle,
    /// A shout, a dog, a siren.
    Voice,
    /// A train or an aircraft, mostly low.
    Heavy,
}

/// Levels without events. `flow` is traffic relative to its daily mean, `bustle` is human activity 0 to 1.
pub(crate) fn levels(sources: &Sources, weather: &Weather, flow: f64, bustle: f64) -> Levels {
    // Wet asphalt adds about 4 dB to tyres.
    let wet = if weather.rain > 0.1 { 4.0 } else { 0.0 };
    let traffic = energy(sources.traffic_noise + wet) * flow;
    let activity = energy(sources.activity_noise) * (0.004 + bustle);
    let machines = energy(sources.machine_noise);
    let wind = energy(30.0) * (weather.wind / 4.0).powi(5);
    let spectra = &*SPECTRA;
    std::array::from_fn(|i| {
        decibel(
            traffic * spectra.traffic[i]
                + activity * spectra.activity[i]
                + machines * spectra.machines[i]
                + wind * spectra.wind[i],
        )
    })
}

/// The event of this moment, if any. Events start and end within a minute, so that each minute stands alone.
///
/// `events` is the station's stream, `second` Unix time, `bustle` as in [`levels`].
pub(crate) fn event(events: Stream, sources: &Sources, second: i64, bustle: f64) -> Option<Event> {
    let mut dice = events.dice(second.div_euclid(60));
    if dice.unit() >= 0.015 + 0.1 * bustle {
        return None;
    }
    let from = dice.between(0.0, 45.0);
    let lasts = dice.between(4.0, 15.0);
    let into = second.rem_euclid(60) as f64;
    if into < from || into >= from + lasts {
        return None;
    }
    let (kind, above) = match dice.unit() {
        u if u < 0.7 => (EventKind::Vehicle, dice.between(6.0, 16.0)),
        u if u < 0.9 => (EventKind::Voice, dice.between(8.0, 22.0)),
        _ => (EventKind::Heavy, dice.between(10.0, 20.0)),
    };
    let ordinary = sources.traffic_noise.max(sources.activity_noise);
    Some(Event {
        kind,
        level: (ordinary + above).min(98.0),
    })
}

/// Adds an event to levels, as energy.
pub(crate) fn add_event(levels: &mut [f64], event: Event) {
    let spectra = &*SPECTRA;
    let shares = match event.kind {
        EventKind::Vehicle => &spectra.traffic,
        EventKind::Voice => &spectra.activity,
        EventKind::Heavy => &spectra.machines,
    };
    let total = energy(event.level);
    for (level, share) in levels.iter_mut().zip(shares) {
        *level = decibel(energy(*level) + total * share);
    }
}

/// Energetic sum of band levels, dB(A).
pub(crate) fn sum(levels: &[f64]) -> f64 {
    decibel(levels.iter().map(|level| energy(*level)).sum())
}

pub(crate) fn energy(level: f64) -> f64 {
    (level * (std::f64::consts::LN_10 / 10.0)).exp()
}

pub(crate) fn decibel(energy: f64) -> f64 {
    energy.ln() * (10.0 / std::f64::consts::LN_10)
}

fn shares(levels: &Levels) -> Levels {
    let total: f64 = levels.iter().map(|level| energy(*level)).sum();
    levels.map(|level| energy(level) / total)
}
