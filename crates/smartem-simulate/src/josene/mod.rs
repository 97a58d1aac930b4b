//! The Intemo Josene box: how it reports the truth around it as raw integers.
//!
//! | key | unit | law |
//! |---|---|---|
//! | `s_temperatureambient` | mK, in steps of 62.5 | truth + offset (0.3 K) + drift + sun on the case (up to 3 K) |
//! | `s_temperatureunit` | mK | ambient + 9 to 14 K of its own electronics and heaters |
//! | `s_humidity` | 0.001 % | truth + offset (2 %) + drift |
//! | `s_barometer` | Pa | truth + offset (60 Pa) |
//! | `s_co2` | ppb, in steps of 1000 | truth + offset (18 ppm) + drift |
//! | `s_coresistance`, `s_no2resistance`, `s_o3resistance` | Ohm | [`GasLaw`] with drift of months; boxes are taken to be trimmed to 5 % |
//! | `s_pm10`, `s_pm2_5`, `s_pm1` | ng/m3 | truth times gain, growing above 75 % humidity (droplets) |
//! | `s_lightsensortop` | lux, saturates at 65535 | truth times window |
//! | `s_longitude`, `s_latitude` | [`encode_degrees`] | position with a wander of metres |
//! | `v_audio0`, `v_audioplus1` … `9` | [`pack_bands`] | truth + floor of the microphone + fluctuation |
//!
//! Samples are sparse as in the recordings of 2016: about a quarter has no gases, a tenth no CO2. With
//! [`flaws`](crate::city::CityConfig::flaws), about 3 % of the hours are lost or cut short, some days are off, GPS
//! has no fix in 5 % of the hours, and about one sample in 700 holds a value that cannot be.

mod outputs;
mod write;

use crate::calendar::{DAY, HOUR};
use crate::chance::{Dice, Purpose, Stream};
use crate::city::{
    BANDS, CityConfig, Levels, METRES_PER_LATITUDE, METRES_PER_LONGITUDE, Quirk, Station, TICKS,
    Truth, decibel, energy,
};

pub(crate) use outputs::device;
pub(crate) use write::Hour;

/// The first tick of a time span and the first after it.
pub(crate) type Span = (i64, i64);

/// Resistance of a heated metal-oxide gas sensor.
///
/// R = `r0` (1 + c / `c0`)^`beta` exp(`per_kelvin` (T - 30 degC)) exp(`per_percent` (RH - 60 %)): a power law above
/// a threshold, as in the data sheets of the `MiCS` sensors in the box (SGX `MiCS-4514` for CO and NO2, `MiCS-2614` for O3).
/// Reducing gases lower the resistance (`beta` < 0), oxidizing ones raise it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GasLaw {
    /// In clean air at 30 degC in the box and 60 % humidity, Ohm.
    pub r0: f64,
    /// Concentration at which the response begins to follow the power, ug/m3.
    pub c0: f64,
    /// Exponent.
    pub beta: f64,
    /// Per K of the temperature in the box.
    pub per_kelvin: f64,
    /// Per % of relative humidity.
    pub per_percent: f64,
}

impl GasLaw {
    /// Resistance in Ohm for a concentration (ug/m3), the temperature in the box (degC) and humidity (%).
    pub fn resistance(&self, concentration: f64, temperature: f64, humidity: f64) -> f64 {
        let surroundings =
            self.per_kelvin * (temperature - 30.0) + self.per_percent * (humidity - 60.0);
        self.r0 * (1.0 + concentration.max(0.0) / self.c0).powf(self.beta) * surroundings.exp()
    }
}

/// Encodes an angle in degrees as the box does: sign in the top nibble (0 east or north, 8 west or south), whole
/// degrees in the next two, millionths in the last five.
pub fn encode_degrees(degrees: f64) -> u32 {
    let millionths = crate::chance::nearest(degrees.abs() * 1e6).clamp(0, 255_999_999);
    let sign = if degrees < 0.0 { 0x8000_0000 } else { 0 };
    let code = (millionths / 1_000_000) << 20 | (millionths % 1_000_000);
    sign | u32::try_from(code).unwrap_or(0)
}

/// The inverse of [`encode_degrees`], degrees; none for 0 (no fix) and for patterns that are no coordinate.
pub fn decode_degrees(code: u32) -> Option<f64> {
    let sign = match code >> 28 {
        0 => 1.0,
        8 => -1.0,
        _ => return None,
    };
    let (whole, millionths) = ((code >> 20) & 0xFF, code & 0xF_FFFF);
    if (whole, millionths) == (0, 0) || millionths > 999_999 {
        return None;
    }
    Some(sign * (f64::from(whole) + f64::from(millionths) / 1e6))
}

/// Packs three third-octave levels (dB(A), lowest frequency first) into bits 0-7, 8-15 and 16-23.
pub fn pack_bands(bands: [u8; 3]) -> u32 {
    u32::from_le_bytes([bands[0], bands[1], bands[2], 0])
}

/// One box, with its own offsets, sensitivities and faults.
#[derive(Debug)]
pub struct Josene {
    id: u32,
    /// Ticks from one sample to the next, without jitter.
    cadence: i64,
    /// When in the cadence this box samples, ticks.
    phase: i64,
    jitter: Stream,
    samples: Stream,
    hour_fate: Stream,
    day_fate: Stream,
    gps_fate: Stream,
    flaws: bool,

    longitude: f64,
    latitude: f64,
    altitude: f64,
    east: Stream,
    north: Stream,
    height: Stream,

    temperature_offset: f64,
    temperature_drift: Stream,
    sun_heat: f64,
    own_heat: f64,
    humidity_offset: f64,
    humidity_drift: Stream,
    pressure_offset: f64,
    window: f64,
    /// Offset in ppm, where there is a CO2 sensor.
    co2_offset: Option<f64>,
    co2_drift: Stream,
    co: GasLaw,
    no2: GasLaw,
    o3: GasLaw,
    /// Deviation of the logarithm of the gas resistances over months.
    gas_drift: f64,
    co_drift: Stream,
    no2_drift: Stream,
    o3_drift: Stream,
    /// Gain, where there is a particle sensor.
    particle_gain: Option<f64>,
    /// Energy of the microphone's own noise per band.
    floor: Levels,
    microphone_offset: f64,
    /// Fluctuation of the sound level from sample to sample, dB.
    liveliness: f64,
    /// Acceleration of a box that hangs still, counts.
    rest: [f64; 3],
    /// How long after the first boxes of 2012 this one was switched on, s.
    installed: i64,
}

/// Own noise of the microphone per band in dB(A): the lowest levels of the recordings of 2016, less 9 dB for the
/// quiet room that was not silent.
const FLOOR: Levels = [
    -12.0, 8.0, 10.0, 11.0, 11.0, 12.0, 13.0, 13.0, 12.0, 14.0, 15.0, 15.0, 16.0, 16.0, 17.0, 18.0,
    18.0, 19.0, 19.0, 20.0, 21.0, 22.0, 22.0, 24.0, 25.0, 25.0, 26.0, 28.0, 29.0, 28.0,
];

/// Slow values of a box at one moment; see the constants for the order.
type Row = [f64; ROW];

const BAND: usize = 0;
const AMBIENT: usize = BANDS;
const UNIT: usize = BANDS + 1;
const HUMIDITY: usize = BANDS + 2;
const PRESSURE: usize = BANDS + 3;
const LIGHT: usize = BANDS + 4;
const CO2: usize = BANDS + 5;
const CO: usize = BANDS + 6;
const NO2: usize = BANDS + 7;
const O3: usize = BANDS + 8;
const PM10: usize = BANDS + 9;
const PM2_5: usize = BANDS + 10;
const PM1: usize = BANDS + 11;
const RAIN: usize = BANDS + 12;
const LONGITUDE: usize = BANDS + 13;
const LATITUDE: usize = BANDS + 14;
const ALTITUDE: usize = BANDS + 15;
const ROW: usize = BANDS + 16;

/// What GPS gives in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gps {
    Fix,
    /// Keys are there with 0.
    Zero,
    /// Keys are absent.
    Silent,
}

impl Josene {
    pub(crate) fn new(config: &CityConfig, station: &Station) -> Self {
        let stream = |purpose| Stream::new(config.seed, u64::from(station.id), purpose);
        let mut dice = stream(Purpose::Box).dice(0);
        let worn = station.quirk == Quirk::Worn;
        let sensitivity = if worn { 0.5 } else { 1.0 };
        let cadence = i64::from(config.cadence_s) * TICKS;
        // Untrimmed elements of one type differ about tenfold (data sheets). That boxes are trimmed to 5 % is an assumption:
        // with 12 % a network that serves all boxes explains only seven to eight tenths of the gases' variance.
        let gas = |dice: &mut Dice, r0, c0, beta: f64, per_kelvin, per_percent| GasLaw {
            r0: r0 * dice.spread(0.05),
            c0,
            beta: beta * sensitivity * dice.spread(0.04),
            per_kelvin: per_kelvin * dice.spread(0.1),
            per_percent: per_percent * dice.spread(0.1),
        };
        Self {
            id: station.id,
            cadence,
            phase: crate::chance::whole(dice.unit() * cadence as f64),
            jitter: stream(Purpose::Jitter),
            samples: stream(Purpose::Sample),
            hour_fate: stream(Purpose::HourFate),
            day_fate: stream(Purpose::DayFate),
            gps_fate: stream(Purpose::GpsFate),
            flaws: config.flaws,
            longitude: station.longitude,
            latitude: station.latitude,
            altitude: station.altitude + dice.between(2.0, 5.0),
            east: stream(Purpose::EastWander),
            north: stream(Purpose::NorthWander),
            height: stream(Purpose::HeightWander),
            temperature_offset: 0.3 * dice.normal(),
            temperature_drift: stream(Purpose::TemperatureDrift),
            sun_heat: dice.between(0.8, 3.0),
            own_heat: dice.between(9.0, 14.0),
            humidity_offset: 2.0 * dice.normal(),
            humidity_drift: stream(Purpose::HumidityDrift),
            pressure_offset: 60.0 * dice.normal(),
            window: dice.between(0.6, 1.0),
            co2_offset: (dice.unit() < 0.85).then_some(18.0 * dice.normal()),
            co2_drift: stream(Purpose::Co2Drift),
            co: gas(&mut dice, 700_000.0, 250.0, -0.75, -0.006, -0.003),
            no2: gas(&mut dice, 120_000.0, 20.0, 0.70, -0.014, -0.003),
            o3: gas(&mut dice, 12_000.0, 30.0, 0.80, -0.016, -0.002),
            gas_drift: if worn { 0.2 } else { 0.04 },
            co_drift: stream(Purpose::CoDrift),
            no2_drift: stream(Purpose::No2Drift),
            o3_drift: stream(Purpose::O3Drift),
            particle_gain: (dice.unit() < 0.6).then_some(dice.spread(0.12)),
            floor: FLOOR.map(energy),
            microphone_offset: 0.8 * dice.normal(),
            liveliness: dice.between(0.8, 1.8),
            rest: [
                501.0 + 3.0 * dice.normal(),
                509.0 + 3.0 * dice.normal(),
                763.0 + 2.0 * dice.normal(),
            ],
            installed: crate::chance::whole(dice.between(0.0, 300.0)) * DAY,
        }
    }

    /// The part of an hour (start in Unix s) that has samples, if any; `limits` is the span of the whole simulation.
    pub(crate) fn recorded(&self, start: i64, limits: Span) -> Option<Span> {
        let span = self.alive(start, limits)?;
        self.slots(span).next().map(|_| span)
    }

    /// Slot and tick of the last sample of an hour.
    pub(crate) fn newest(&self, start: i64, limits: Span) -> Option<(i64, i64)> {
        self.slots(self.alive(start, limits)?).next_back()
    }

    /// When the box was on and connected in this hour.
    fn alive(&self, start: i64, (first, end): Span) -> Option<Span> {
        let (mut from, mut to) = (start * TICKS, (start + HOUR) * TICKS);
        if self.flaws {
            if self.day_fate.unit(start.div_euclid(DAY)) < 0.003 {
                return None;
            }
            let mut dice = self.hour_fate.dice(start.div_euclid(HOUR));
            let fate = dice.unit();
            let minutes = crate::chance::whole(dice.between(8.0, 50.0));
            match fate {
                f if f < 0.012 => return None,
                f if f < 0.020 => from += minutes * 60 * TICKS,
                f if f < 0.028 => to -= minutes * 60 * TICKS,
                _ => {}
            }
        }
        let span = (from.max(first), to.min(end));
        (span.0 < span.1).then_some(span)
    }

    /// Slots and their times (ticks) within a span, in order.
    ///
    /// Slots are counted from 1970 and run freely across hours, so the hour of a sample follows from its time, jitter
    /// included. Jitter is at most a fifth of the cadence to either side: times always increase.
    fn slots(&self, (from, to): Span) -> impl DoubleEndedIterator<Item = (i64, i64)> + '_ {
        let first = (from - self.phase).div_euclid(self.cadence) - 1;
        let last = (to - self.phase).div_euclid(self.cadence) + 1;
        let reach = (self.cadence / 5).min(TICKS * 3 / 20) as f64;
        (first..=last).filter_map(move |slot| {
            let jitter = crate::chance::whole((2.0 * self.jitter.unit(slot) - 1.0) * reach);
            let tick = slot * self.cadence + self.phase + jitter;
            (from..to).contains(&tick).then_some((slot, tick))
        })
    }

    fn gps(&self, start: i64) -> Gps {
        match self.gps_fate.unit(start.div_euclid(HOUR)) {
            f if self.flaws && f < 0.02 => Gps::Zero,
            f if self.flaws && f < 0.05 => Gps::Silent,
            _ => Gps::Fix,
        }
    }

    /// What the box makes of the truth at `t` (Unix s), before noise and rounding.
    fn row(&self, truth: &Truth, t: f64) -> Row {
        const WEEKS: f64 = 50.0 * 86_400.0;
        const MONTHS: f64 = 120.0 * 86_400.0;
        let sun = (truth.light / 80_000.0).min(1.2);
        let ambient = truth.temperature
            + self.temperature_offset
            + 0.25 * self.temperature_drift.smooth(t, MONTHS)
            + self.sun_heat * sun;
        let unit = ambient + self.own_heat + 4.0 * sun;
        let humidity = truth.relative_humidity
            + self.humidity_offset
            + 1.5 * self.humidity_drift.smooth(t, MONTHS);

        let resistance = |law: &GasLaw, drift: Stream, concentration: f64| {
            law.resistance(concentration, unit, truth.relative_humidity)
                * (self.gas_drift * drift.smooth(t, MONTHS)).exp()
        };
        // Oxidizing gases are not told apart well, which is why calibration needs all three sensors.
        let co = resistance(&self.co, self.co_drift, truth.co);
        let no2 = resistance(&self.no2, self.no2_drift, truth.no2 + 0.25 * truth.o3);
        let o3 = resistance(&self.o3, self.o3_drift, truth.o3 + 0.15 * truth.no2);

        let co2 =
            truth.co2 + self.co2_offset.unwrap_or(0.0) + 8.0 * self.co2_drift.smooth(t, WEEKS);
        // Droplets count as particles: kappa-Koehler growth, flattened as in optical sensors.
        let wet = (truth.relative_humidity.min(97.0) - 75.0).max(0.0) / 22.0;
        let gain = self.particle_gain.unwrap_or(1.0) * (1.0 + 0.6 * wet * wet);

        let mut row = [0.0; ROW];
        for (i, level) in row[BAND..AMBIENT].iter_mut().enumerate() {
            *level = decibel(energy(truth.noise[i]) + self.floor[i]) + self.microphone_offset;
        }
        row[AMBIENT] = ambient;
        row[UNIT] = unit;
        row[HUMIDITY] = humidity;
        row[PRESSURE] = truth.pressure + self.pressure_offset;
        row[LIGHT] = truth.light * self.window;
        row[CO2] = co2;
        row[CO] = co;
        row[NO2] = no2;
        row[O3] = o3;
        row[PM10] = truth.pm10 * gain;
        row[PM2_5] = truth.pm2_5 * gain;
        row[PM1] = truth.pm1 * gain;
        row[RAIN] = truth.rain;
        row[LONGITUDE] = self.longitude + 2.2 * self.east.smooth(t, 900.0) / METRES_PER_LONGITUDE;
        row[LATITUDE] = self.latitude + 2.2 * self.north.smooth(t, 900.0) / METRES_PER_LATITUDE;
        row[ALTITUDE] = self.altitude + 4.0 * self.height.smooth(t, 1500.0);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_vendor_are_met() {
        assert_eq!(encode_degrees(5.671_223), 5_914_103);
        assert_eq!(encode_degrees(51.472_561), 53_949_937);
        assert_eq!(encode_degrees(-5.671_223), 0x8000_0000 + 5_914_103);
        assert_eq!(decode_degrees(0), None);
        assert_eq!(decode_degrees(0x8000_0000), None);
        assert_eq!(decode_degrees(0x801F_FFFF), None);
        assert_eq!(pack_bands([0, 29, 27]), 1_776_896);
    }

    proptest! {
        #[test]
        fn degrees_come_back(degrees in -180.0_f64..180.0) {
            prop_assume!(degrees.abs() > 1e-6);
            let back = decode_degrees(encode_degrees(degrees)).unwrap();
            prop_assert!((back - degrees).abs() <= 0.51e-6);
        }

        #[test]
        fn gas_sensors_answer_in_their_direction(c in 0.0_f64..500.0, more in 1.0_f64..500.0) {
            let law = |beta| GasLaw { r0: 1e5, c0: 20.0, beta, per_kelvin: -0.01, per_percent: -0.003 };
            let (up, down) = (law(0.7), law(-0.5));
            prop_assert!(up.resistance(c + more, 25.0, 70.0) > up.resistance(c, 25.0, 70.0));
            prop_assert!(down.resistance(c + more, 25.0, 70.0) < down.resistance(c, 25.0, 70.0));
        }
    }
}
