//! From slow values to samples, straight into JSON bytes.
//!
//! The slow values of an hour are made once a minute and joined by straight lines; noise, sparseness and glitches are
//! drawn per sample from a hash of its slot. Keys stand in the order of the recordings.

use jiff::civil::Date;

use super::{
    ALTITUDE, AMBIENT, CO, CO2, Gps, HUMIDITY, Josene, LATITUDE, LIGHT, LONGITUDE, NO2, O3, PM1,
    PM2_5, PM10, PRESSURE, RAIN, ROW, Row, UNIT, encode_degrees, pack_bands,
};
use crate::calendar::{DAY, HOUR, Local};
use crate::chance::{Dice, nearest, whole};
use crate::city::{Events, TICKS, Truth, add_event, rain_count};

/// Unix time of 2012-01-01, when the first boxes were hung up (s).
const FIRST_BOXES: i64 = 1_325_376_000;

/// Uptime at which a box restarts itself (s).
const RESTART: i64 = 14 * DAY;

/// One hour to report.
pub(crate) struct Hour<'a> {
    /// Unix s.
    pub(crate) start: i64,
    /// First tick to report.
    pub(crate) from: i64,
    /// First tick not to report.
    pub(crate) to: i64,
    pub(crate) day: Date,
    /// 1 to 24.
    pub(crate) number: i8,
    /// At each full minute from `start` on, the end of the hour included.
    pub(crate) truths: &'a [Truth],
    pub(crate) events: Events<'a>,
}

/// How a sample is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In an hour: `_id`, `id` as a number, milliseconds, some keys left out.
    InHour,
    /// As `last`: `id` as text, seven fractional digits, all keys.
    Last,
}

/// What the box is doing besides measuring; in the recordings each phase has its own missing and extra keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// All sensors answer.
    Usual,
    /// The gas sensors are being heated and give nothing.
    Heating,
    /// The CO2 sensor is calibrating itself.
    Zeroing,
}

/// The integers of one sample.
struct Sample {
    slot: i64,
    tick: i64,
    form: Form,
    fix: Option<(u32, u32)>,
    satellites: i64,
    audio: [u32; 10],
    phase: Phase,
    co2: Option<i64>,
    /// CO, NO2, O3.
    gases: Option<[i64; 3]>,
    /// PM10, PM2.5, PM1.
    particles: Option<[i64; 3]>,
    /// z, y, x.
    acceleration: [i64; 3],
    rain: i64,
    barometer: i64,
    light: i64,
    humidity: i64,
    ambient: i64,
    unit: i64,
    altitude: Option<i64>,
}

/// What is the same for all samples of an hour.
struct Clock {
    /// Unix s of a full minute.
    start: i64,
    /// "2026-11-15T13:" of `start`.
    prefix: [u8; 14],
    /// Local second of day at `start`.
    second_of_day: i64,
    /// Year, month, day and weekday in nibbles.
    date: i64,
}

impl Josene {
    /// The body of an hour.
    pub(crate) fn hour(&self, hour: &Hour<'_>) -> Vec<u8> {
        let rows = self.rows(hour.start, hour.truths);
        let clock = Clock::new(hour.start);
        let gps = self.gps(hour.start);
        let expected = usize::try_from(HOUR * TICKS / self.cadence).unwrap_or(0) + 2;
        let mut out = Vec::with_capacity(expected * 1150 + 100);
        out.extend_from_slice(b"{\"id\":\"");
        integer(&mut out, i64::from(self.id));
        out.extend_from_slice(b"\",\"date\":\"");
        date(&mut out, hour.day);
        out.extend_from_slice(b"\",\"hour\":");
        integer(&mut out, i64::from(hour.number));
        out.extend_from_slice(b",\"timeseries\":[");
        for (n, (slot, tick)) in self.slots((hour.from, hour.to)).enumerate() {
            if n > 0 {
                out.push(b',');
            }
            let row = interpolate(&rows, hour.start, tick);
            let sample = self.sample(slot, tick, row, hour.events, gps, Form::InHour);
            self.write(&mut out, &sample, &clock);
        }
        out.extend_from_slice(b"]}");
        out
    }

    /// The body of `last`: one sample, with truth at the full minutes before and after it.
    pub(crate) fn last(
        &self,
        slot: i64,
        tick: i64,
        minute: i64,
        truths: &[Truth],
        events: Events<'_>,
    ) -> Vec<u8> {
        let rows = self.rows(minute, truths);
        let row = interpolate(&rows, minute, tick);
        let sample = self.sample(slot, tick, row, events, self.gps(minute), Form::Last);
        let mut out = Vec::with_capacity(1300);
        self.write(&mut out, &sample, &Clock::new(minute));
        out
    }

    fn rows(&self, start: i64, truths: &[Truth]) -> Vec<Row> {
        (0_i64..)
            .zip(truths)
            .map(|(i, truth)| self.row(truth, (start + 60 * i) as f64))
            .collect()
    }

    fn sample(
        &self,
        slot: i64,
        tick: i64,
        mut row: Row,
        events: Events<'_>,
        gps: Gps,
        form: Form,
    ) -> Sample {
        if let Some(event) = events.at(tick.div_euclid(TICKS)) {
            add_event(&mut row[..AMBIENT], event);
        }
        // One order of draws for all samples: what is left out is drawn as well.
        let mut dice = self.samples.dice(slot);
        let presence = dice.unit();
        let audio = self.audio(&row, &mut dice);
        let milli = |value: f64, low: f64, high: f64| nearest((value * 1000.0).clamp(low, high));

        let light = nearest((row[LIGHT] * (1.0 + 0.015 * dice.normal())).clamp(0.0, 65_535.0));
        // The thermometers count in sixteenths of a kelvin.
        let sixteenths = |celsius: f64| whole(((celsius + 273.15) * 16.0 + 0.5).floor() * 62.5);
        let ambient = sixteenths(row[AMBIENT] + 0.05 * dice.normal()).clamp(233_150, 358_150);
        let unit = sixteenths(row[UNIT] + 0.05 * dice.normal()).clamp(233_150, 358_150);
        let humidity = milli(row[HUMIDITY] + 0.25 * dice.normal(), 10_000.0, 100_000.0);
        let barometer = nearest((row[PRESSURE] + 5.0 * dice.normal()).clamp(20_000.0, 110_000.0));
        let co2 = nearest((row[CO2] + 2.0 * dice.normal()).clamp(300.0, 5000.0)) * 1000;
        let mut ohm = |value: f64, low: f64, high: f64| {
            nearest((value * (1.0 + 0.02 * dice.normal())).clamp(low, high))
        };
        let gases = [
            ohm(row[CO], 10_000.0, 3_000_000.0),
            ohm(row[NO2], 800.0, 3_000_000.0),
            ohm(row[O3], 1000.0, 8_000_000.0),
        ];
        let counting = 1.0 + 0.05 * dice.normal();
        let mut nanogram = |value: f64| {
            milli(
                value * counting * (1.0 + 0.01 * dice.normal()),
                0.0,
                999_000.0,
            )
        };
        let particles = [
            nanogram(row[PM10]),
            nanogram(row[PM2_5]),
            nanogram(row[PM1]),
        ];
        let mut count = |rest: f64| nearest((rest + 2.5 * dice.normal()).clamp(0.0, 1023.0));
        let acceleration = [
            count(self.rest[2]),
            count(self.rest[1]),
            count(self.rest[0]),
        ];
        let satellites = 6 + whole(6.0 * dice.unit());
        let glitch = dice.unit();

        let phase = match presence {
            _ if form == Form::Last => Phase::Usual,
            p if p < 0.25 => Phase::Heating,
            p if p < 0.36 => Phase::Zeroing,
            _ => Phase::Usual,
        };
        let fixed = gps == Gps::Fix;
        let mut sample = Sample {
            slot,
            tick,
            form,
            fix: match gps {
                Gps::Fix => Some((
                    encode_degrees(row[LONGITUDE]),
                    encode_degrees(row[LATITUDE]),
                )),
                Gps::Zero => Some((0, 0)),
                Gps::Silent => None,
            },
            // Dilution of precision in tenths, kind of fix, satellites; 0x100 is no fix.
            satellites: if fixed {
                ((32 - 2 * satellites) << 12) | 0x300 | satellites
            } else {
                0x100
            },
            audio,
            phase,
            co2: (self.co2_offset.is_some() && phase != Phase::Zeroing).then_some(co2),
            gases: (phase != Phase::Heating).then_some(gases),
            particles: self.particle_gain.is_some().then_some(particles),
            acceleration,
            rain: rain_count(row[RAIN]),
            barometer,
            light,
            humidity,
            ambient,
            unit,
            altitude: fixed.then(|| nearest(row[ALTITUDE].clamp(0.0, 4000.0))),
        };
        if self.flaws && glitch < 1.0 / 600.0 {
            sample.spoil(&mut dice);
        }
        sample
    }

    /// Ten octaves of three bands. The low bands are the lively ones, as in the recordings.
    fn audio(&self, row: &Row, dice: &mut Dice) -> [u32; 10] {
        let common = self.liveliness * dice.normal();
        std::array::from_fn(|octave| {
            let bits = dice.bits();
            let swing = common * (1.25 - 0.08 * octave as f64);
            pack_bands(std::array::from_fn(|band| {
                let own = ((bits >> (16 * band)) & 0xFFFF) as f64 / 32_768.0 - 1.0;
                let level = row[3 * octave + band] + swing + 0.9 * own;
                u8::try_from(nearest(level.clamp(0.0, 195.0))).unwrap_or(195)
            }))
        })
    }

    #[rustfmt::skip] // A table of keys reads better than a column of calls.
    fn write(&self, out: &mut Vec<u8>, sample: &Sample, clock: &Clock) {
        let id = i64::from(self.id);
        let second = sample.tick.div_euclid(TICKS);
        let up = (second - FIRST_BOXES - self.installed).max(0);
        let session = up % RESTART;
        let into = clock.second_of_day + second - clock.start;

        match sample.form {
            Form::InHour => {
                out.extend_from_slice(b"{\"_id\":\"");
                // As an ObjectId of MongoDB: seconds, machine, counter.
                hex(out, second, 8);
                hex(out, id * 0x9E_3779 + 0x1B_1580, 10);
                hex(out, sample.slot, 6);
                out.extend_from_slice(b"\",\"p_unitserialnumber\":");
                integer(out, id);
            }
            Form::Last => {
                out.extend_from_slice(b"{\"id\":\"");
                integer(out, id);
                out.extend_from_slice(b"\",\"p_unitserialnumber\":");
                integer(out, id);
                out.extend_from_slice(b",\"time\":\"");
                clock.write_time(out, sample.tick, sample.form);
            }
        }
        let mut put = |key: &[u8], value: i64| {
            out.extend_from_slice(key);
            integer(out, value);
        };
        if let Some((longitude, latitude)) = sample.fix {
            put(b",\"s_longitude\":", i64::from(longitude));
            put(b",\"s_latitude\":", i64::from(latitude));
        }
        put(b",\"s_satinfo\":", sample.satellites);
        for (key, audio) in AUDIO.iter().zip(sample.audio.iter().rev()) {
            put(key, i64::from(*audio));
        }
        // Mode in the top byte, then a countdown.
        let countdown = 0x0B00_0000 | (40_000 - session % 40_000);
        match sample.phase {
            Phase::Usual => {}
            Phase::Heating => {
                put(b",\"p_18\":", countdown);
                put(b",\"p_17\":", countdown);
                put(b",\"p_coheatermode\":", countdown);
            }
            Phase::Zeroing => put(b",\"p_19\":", countdown),
        }
        put(b",\"s_rain\":", sample.rain);
        if let Some(co2) = sample.co2 {
            put(b",\"s_co2\":", co2);
        }
        let [red, green, blue] = [62, 55, 42].map(|percent| sample.light * percent / 100);
        let scaled = |part: i64| part * 255 / red.max(1);
        put(b",\"s_rgbcolor\":", (scaled(red) << 16) | (scaled(green) << 8) | scaled(blue));
        put(b",\"s_lightsensorblue\":", blue);
        put(b",\"s_lightsensorgreen\":", green);
        put(b",\"s_lightsensorred\":", red);
        put(b",\"s_acceleroz\":", sample.acceleration[0]);
        put(b",\"s_acceleroy\":", sample.acceleration[1]);
        put(b",\"s_accelerox\":", sample.acceleration[2]);
        put(b",\"s_barometer\":", sample.barometer);
        put(b",\"s_lightsensorbottom\":", sample.light / 40);
        put(b",\"s_lightsensortop\":", sample.light);
        put(b",\"s_humidity\":", sample.humidity);
        put(b",\"s_temperatureambient\":", sample.ambient);
        put(b",\"s_temperatureunit\":", sample.unit);
        if let Some([pm10, pm2_5, pm1]) = sample.particles {
            put(b",\"s_pm10\":", pm10);
            put(b",\"s_pm2_5\":", pm2_5);
            put(b",\"s_pm1\":", pm1);
        }
        put(b",\"s_secondofday\":", into);
        put(b",\"s_rtcdate\":", clock.date);
        put(b",\"s_rtctime\":", ((into / 3600) << 16) | ((into / 60 % 60) << 8) | (into % 60));
        put(b",\"p_totaluptime\":", up);
        put(b",\"p_sessionuptime\":", session);
        put(b",\"p_basetimer\":", 6);
        put(b",\"p_errorstatus\":", 0);
        put(b",\"p_11\":", 40_000 - session % 40_000);
        put(b",\"p_powerstate\":", if session % 7200 < 1800 { 3983 } else { 2191 });
        if let Some([co, no2, o3]) = sample.gases {
            put(b",\"s_o3resistance\":", o3);
            put(b",\"s_no2resistance\":", no2);
            put(b",\"s_coresistance\":", co);
            // The factory's own ppb: crude functions of the resistance, read off the recordings; nobody uses them.
            put(b",\"s_o3\":", whole(6.0 * (o3.max(1) as f64).ln()));
            put(b",\"s_no2\":", whole(4.0 * (no2.max(1) as f64).ln()));
            put(b",\"s_co\":", 6_600_000_000 / co.max(1));
        }
        if let Some(altitude) = sample.altitude {
            put(b",\"s_altimeter\":", altitude);
        }
        match sample.form {
            Form::InHour => {
                out.extend_from_slice(b",\"time\":\"");
                clock.write_time(out, sample.tick, sample.form);
                out.extend_from_slice(b",\"id\":");
                integer(out, id);
            }
            Form::Last => {}
        }
        out.push(b'}');
    }
}

impl Sample {
    /// Puts in what real boxes sent now and then: values out of range, and octaves filled with 255.
    fn spoil(&mut self, dice: &mut Dice) {
        let octave = usize::try_from(whole(10.0 * dice.unit())).unwrap_or(0);
        match whole(9.0 * dice.unit()) {
            0 => self.humidity = 7015,
            1 => self.barometer = 4_294_967_026,
            2 => self.ambient = 0,
            3 => self.co2 = self.co2.map(|_| 5_461_000),
            4 => {
                if let Some(gases) = &mut self.gases {
                    gases[1] = 4_294_967;
                }
            }
            5 => {
                if let Some(particles) = &mut self.particles {
                    particles[1] = 6_553_500;
                }
            }
            6 => self.audio[octave] = 0x00FF_FFFF,
            _ => self.audio[octave] |= 0x0000_FF00,
        }
    }
}

impl Clock {
    fn new(start: i64) -> Self {
        let utc = crate::calendar::utc(start);
        let local = Local::at(start).clock;
        let mut prefix = Vec::with_capacity(14);
        date(&mut prefix, utc.date());
        prefix.push(b'T');
        two(&mut prefix, i64::from(utc.hour()));
        prefix.push(b':');
        let nibbles = i64::from(local.year().rem_euclid(100)) << 16
            | i64::from(local.month()) << 12
            | i64::from(local.day()) << 4
            | i64::from(local.date().weekday().to_monday_one_offset());
        Self {
            start,
            prefix: prefix.try_into().unwrap_or(*b"0000-00-00T00:"),
            second_of_day: i64::from(local.hour()) * 3600 + i64::from(local.minute()) * 60,
            date: nibbles,
        }
    }

    /// Writes a time of this hour, closing quote included.
    fn write_time(&self, out: &mut Vec<u8>, tick: i64, form: Form) {
        let second = tick.div_euclid(TICKS).rem_euclid(HOUR);
        let fraction = tick.rem_euclid(TICKS);
        out.extend_from_slice(&self.prefix);
        two(out, second / 60);
        out.push(b':');
        two(out, second % 60);
        out.push(b'.');
        let (mut digits, mut value) = match form {
            Form::InHour => (3, fraction / 10_000),
            Form::Last => (7, fraction),
        };
        if form == Form::InHour {
            // The real server leaves trailing zeros out.
            while digits > 0 && value % 10 == 0 {
                digits -= 1;
                value /= 10;
            }
        }
        if digits == 0 {
            out.pop();
        }
        let mut scale = 10_i64.pow(digits);
        while scale > 1 {
            scale /= 10;
            out.push(digit(value / scale));
        }
        out.extend_from_slice(b"Z\"");
    }
}

/// Keys of the octaves, highest first.
const AUDIO: [&[u8]; 10] = [
    b",\"v_audioplus9\":",
    b",\"v_audioplus8\":",
    b",\"v_audioplus7\":",
    b",\"v_audioplus6\":",
    b",\"v_audioplus5\":",
    b",\"v_audioplus4\":",
    b",\"v_audioplus3\":",
    b",\"v_audioplus2\":",
    b",\"v_audioplus1\":",
    b",\"v_audio0\":",
];

/// Slow values at a tick, between the rows of the minutes around it.
fn interpolate(rows: &[Row], start: i64, tick: i64) -> Row {
    let into = tick - start * TICKS;
    let minute = into.div_euclid(60 * TICKS);
    let f = into.rem_euclid(60 * TICKS) as f64 / (60 * TICKS) as f64;
    let i = usize::try_from(minute).unwrap_or(0).min(rows.len() - 2);
    let (before, after): (&Row, &Row) = (&rows[i], &rows[i + 1]);
    let mut row = [0.0; ROW];
    for ((value, a), b) in row.iter_mut().zip(before).zip(after) {
        *value = a + (b - a) * f;
    }
    row
}

fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// yyyy-mm-dd.
fn date(out: &mut Vec<u8>, date: Date) {
    let year = i64::from(date.year());
    two(out, year / 100);
    two(out, year % 100);
    out.push(b'-');
    two(out, i64::from(date.month()));
    out.push(b'-');
    two(out, i64::from(date.day()));
}

fn two(out: &mut Vec<u8>, value: i64) {
    out.push(digit(value / 10));
    out.push(digit(value));
}

fn digit(value: i64) -> u8 {
    b"0123456789"[usize::try_from(value.rem_euclid(10)).unwrap_or(0)]
}

/// The lowest `digits` hexadecimal digits.
fn hex(out: &mut Vec<u8>, value: i64, digits: u32) {
    for place in (0..digits).rev() {
        let nibble = usize::try_from((value >> (4 * place)) & 0xF).unwrap_or(0);
        out.push(b"0123456789abcdef"[nibble]);
    }
}
