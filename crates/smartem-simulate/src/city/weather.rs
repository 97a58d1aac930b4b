//! Regional weather: one sky over the whole city.
//!
//! | quantity | law | constants from |
//! |---|---|---|
//! | sun elevation | low-precision solar position, Michalsky 1988 (Astronomical Almanac), 0.01 deg | Solar Energy 40 (3) |
//! | clear-sky radiation | Haurwitz 1945: 1098 cos z exp(-0.057 / cos z) W/m2 | J. Meteorology 2 |
//! | clouds on radiation | Kasten and Czeplak 1980: 1 - 0.75 c^3.4 | Solar Energy 24 |
//! | light | 110 lm/W; twilight falls tenfold for each 2.6 deg below the horizon | |
//! | NO2 photolysis | MCM v3: J = 1.165e-2 cos(z)^0.244 exp(-0.267 / cos z) 1/s, times (1 - 0.6 c) | Jenkin et al. 1997 |
//! | temperature | yearly cosine 10.4 ± 7.4 degC (peak on 22 July), air masses of days, clear nights cold and clear days warm | normals of De Bilt 1991-2020 |
//! | humidity | dew point per air mass; Magnus with 17.62 and 243.12 degC | Sonntag 1990; WMO-No. 8 |
//! | pressure | 1015.5 hPa, lows and highs of 4.5 days (deviation 9.5 hPa) with faster troughs | |
//! | wind | log-normal about 3.6 m/s, more in lows and by day | |
//! | mixing height | 60 to 2200 m, by sun and wind | Seibert et al. 2000, orders of magnitude |
//!
//! Random parts are smooth curves over time, see [`crate::chance`]; nothing remembers the hour before.

use std::f64::consts::TAU;

use crate::chance::{Purpose, Stream};

/// Position for which sun and weather are computed: 51.84 N, 5.86 E. The city is too small for the difference.
const LATITUDE: f64 = 51.84;
const LONGITUDE: f64 = 5.86;

/// Unix time of 2000-01-01 12:00 UTC, the epoch of the solar position (s).
const J2000: f64 = 946_728_000.0;

const DAY: f64 = 86_400.0;
const YEAR: f64 = 365.2422 * DAY;

/// The sky over the city at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    /// Outside the city, degC.
    pub(crate) temperature: f64,
    /// degC.
    pub(crate) dew_point: f64,
    /// At sea level, Pa.
    pub(crate) pressure: f64,
    /// m/s at 10 m.
    pub(crate) wind: f64,
    /// mm/h.
    pub(crate) rain: f64,
    /// Global radiation, W/m2.
    pub(crate) radiation: f64,
    /// Open sky, lux.
    pub(crate) light: f64,
    /// Photolysis of NO2, 1/s.
    pub(crate) photolysis: f64,
    /// How much more concentrated a ground source is than in average mixing (3.5 m/s, 500 m); 0.3 to 4.
    pub(crate) stagnation: f64,
    /// Strength of the night-time surface inversion, 0 to 1.
    pub(crate) inversion: f64,
    /// 0 in mid-winter (21 January) to 1 in mid-summer.
    pub(crate) summer: f64,
    /// Years since 2000.
    pub(crate) years: f64,
}

/// The random curves behind the weather.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Climate {
    pressure: Stream,
    pressure_fast: Stream,
    cloud: Stream,
    cloud_fast: Stream,
    wind: Stream,
    airmass: Stream,
    airmass_fast: Stream,
    dryness: Stream,
    rain: Stream,
}

impl Climate {
    pub(crate) fn new(seed: u64) -> Self {
        // Station 0 is the region; real stations count from 1.
        let stream = |purpose| Stream::new(seed, 0, purpose);
        Self {
            pressure: stream(Purpose::Pressure),
            pressure_fast: stream(Purpose::PressureFast),
            cloud: stream(Purpose::Cloud),
            cloud_fast: stream(Purpose::CloudFast),
            wind: stream(Purpose::Wind),
            airmass: stream(Purpose::Airmass),
            airmass_fast: stream(Purpose::AirmassFast),
            dryness: stream(Purpose::Dryness),
            rain: stream(Purpose::Rain),
        }
    }

    /// `t` is Unix time (s).
    pub(crate) fn at(&self, t: f64) -> Weather {
        let sun = sun(t);
        let years = (t - J2000) / YEAR;
        let season = (TAU * (years - 0.553)).cos();
        let summer = f64::midpoint(1.0, season);
        let winter = 1.0 - summer;

        // Lows, deviation in hPa; they are deeper in winter.
        let low = (9.5 * self.pressure.smooth(t, 4.5 * DAY)
            + 3.0 * self.pressure_fast.smooth(t, 1.4 * DAY))
            * (0.7 + 0.5 * winter);

        // Lows are cloudy; `overcast` without the fast part serves what depends on the day as a whole.
        let slow = 0.35 - 0.09 * low + 0.9 * self.cloud.smooth(t, 0.9 * DAY) + 0.5 * winter;
        let overcast = logistic(1.3 * slow);
        let cloud = logistic(1.3 * slow + 0.9 * self.cloud_fast.smooth(t, 0.17 * DAY));

        let high = sun.sine.max(0.0);
        let wind = ((3.6 + 0.7 * winter)
            * (0.45 * self.wind.smooth(t, 1.8 * DAY) - 0.022 * low).exp()
            * (0.78 + 0.45 * high))
            .clamp(0.4, 16.0);

        // The day lags the sun by three hours; clear skies double or treble its range.
        let range = (0.9 + 4.6 * summer) * (1.0 - 0.72 * overcast) + 0.4;
        let day = (sun.hour_angle - 0.76).cos() + 0.18 * (2.0 * (sun.hour_angle - 0.76)).cos();
        let airmass = 3.0 * self.airmass.smooth(t, 6.5 * DAY)
            + 1.1 * self.airmass_fast.smooth(t, 2.1 * DAY)
            + (1.0 - overcast) * (3.0 * summer - 2.2 * winter);
        let daily = 10.4 + 7.4 * season + airmass;
        let temperature = daily + range * day;

        // Dew forms at night, so air is never saturated beyond the temperature.
        let depression =
            1.7 + (1.0 - overcast) * (1.8 + 3.4 * summer) + 1.0 * self.dryness.smooth(t, 1.1 * DAY);
        let dew_point = (daily - depression).min(temperature - 0.15);

        let shower = self.rain.smooth(t, 0.11 * DAY) + 2.0 * (overcast - 1.5);
        let rain = (shower.max(0.0) * 2.5).min(15.0);

        let clear = if sun.sine > 0.0 {
            1098.0 * sun.sine * (-0.057 / sun.sine.max(0.02)).exp()
        } else {
            0.0
        };
        let radiation = clear * (1.0 - 0.75 * cloud.powf(3.4));
        // Twilight in the shape of a measured sky: 600 lux at sunset, 0.25 lux of moon and city glow at night.
        let depth = sun.sine.min(0.0).asin().to_degrees();
        let twilight = 600.0 * 10_f64.powf(depth / 2.6) * (1.0 - 0.6 * cloud);
        let light = 110.0 * radiation + twilight + 0.25;
        let photolysis = if sun.sine > 0.01 {
            1.165e-2 * sun.sine.powf(0.244) * (-0.267 / sun.sine).exp() * (1.0 - 0.6 * cloud)
        } else {
            0.0
        };

        // The mixed layer grows after the sun and is kept alive at night by wind alone.
        let heated = (sun.hour_angle - 0.45).cos() * 0.5 + high - 0.25;
        let mixing = (1250.0 * heated.max(0.0) * (0.45 + 0.75 * summer) * (1.0 - 0.35 * overcast)
            + 90.0 * wind)
            .clamp(60.0, 2200.0);
        let stagnation = ((3.5 / wind).powf(0.55) * (500.0 / mixing).powf(0.42)).clamp(0.3, 4.0);
        let inversion = logistic((320.0 - mixing) / 90.0);

        Weather {
            temperature,
            dew_point,
            pressure: 100.0 * (1015.5 + low).clamp(965.0, 1048.0),
            wind,
            rain,
            radiation,
            light,
            photolysis,
            stagnation,
            inversion,
            summer,
            years,
        }
    }
}

/// Relative humidity (%) over water from temperature and dew point (degC), by the Magnus formula.
pub(crate) fn relative_humidity(temperature: f64, dew_point: f64) -> f64 {
    let exponent = |t: f64| 17.62 * t / (243.12 + t);
    (100.0 * (exponent(dew_point) - exponent(temperature)).exp()).clamp(12.0, 99.8)
}

pub(crate) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

struct Sun {
    /// Sine of the elevation.
    sine: f64,
    /// Hour angle (rad): 0 at solar noon, growing with time.
    hour_angle: f64,
}

/// Michalsky's solar position; `t` is Unix time (s).
fn sun(t: f64) -> Sun {
    let days = (t - J2000) / DAY;
    let mean_longitude = 280.460 + 0.985_647_4 * days;
    let anomaly = (357.528 + 0.985_600_3 * days).to_radians();
    let longitude =
        (mean_longitude + 1.915 * anomaly.sin() + 0.020 * (2.0 * anomaly).sin()).to_radians();
    let obliquity = (23.439 - 4e-7 * days).to_radians();
    let right_ascension = (obliquity.cos() * longitude.sin()).atan2(longitude.cos());
    let declination_sine = obliquity.sin() * longitude.sin();
    let declination_cosine = (1.0 - declination_sine * declination_sine).sqrt();
    let universal_hour = (t / DAY).rem_euclid(1.0) * 24.0;
    let sidereal_hour = 6.697_375 + 0.065_709_824_2 * days + universal_hour;
    let hour_angle = (sidereal_hour * 15.0 + LONGITUDE).to_radians() - right_ascension;
    let (sine, cosine) = LATITUDE.to_radians().sin_cos();
    Sun {
        sine: sine * declination_sine + cosine * declination_cosine * hour_angle.cos(),
        hour_angle,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn unix(text: &str) -> f64 {
        text.parse::<Timestamp>().unwrap().as_second() as f64
    }

    fn elevation(text: &str) -> f64 {
        sun(unix(text)).sine.asin().to_degrees()
    }

    #[test]
    fn the_sun_stands_where_the_almanac_says() {
        // Noon at the solstices: 90 - 51.84 ± 23.44; solar noon is at about 11:38 UTC there.
        assert!((elevation("2026-06-21T11:38:00Z") - 61.6).abs() < 0.1);
        assert!((elevation("2026-12-21T11:35:00Z") - 14.72).abs() < 0.1);
        // Sunrise at Nijmegen on 1 January 2026 is about 08:44 local time, with refraction (0.83 deg).
        assert!((elevation("2026-01-01T07:44:00Z") + 0.83).abs() < 0.35);
    }

    #[test]
    fn saturated_air_has_a_hundred_percent_and_dry_air_less() {
        assert!(relative_humidity(10.0, 10.0) > 99.7);
        // 20 degC with dew point 9.3 degC is 50 %.
        assert!((relative_humidity(20.0, 9.27) - 50.0).abs() < 0.3);
    }

    #[test]
    fn a_year_of_weather_is_that_of_the_netherlands() {
        let climate = Climate::new(1);
        let start = unix("2026-01-01T00:00:00Z");
        let hours = 8760;
        let (mut sum, mut low, mut high, mut wet, mut rain) = (0.0, 99.0_f64, -99.0_f64, 0.0, 0.0);
        for h in 0..hours {
            let w = climate.at(start + f64::from(h) * 3600.0);
            sum += w.temperature;
            low = low.min(w.temperature);
            high = high.max(w.temperature);
            wet += relative_humidity(w.temperature, w.dew_point);
            rain += w.rain;
            assert!(w.dew_point < w.temperature);
            assert!((0.0..130_000.0).contains(&w.light));
        }
        let n = f64::from(hours);
        assert!((8.5..13.0).contains(&(sum / n)), "mean {}", sum / n);
        assert!((-18.0..0.0).contains(&low), "low {low}");
        assert!((26.0..39.0).contains(&high), "high {high}");
        assert!((70.0..90.0).contains(&(wet / n)), "humidity {}", wet / n);
        assert!((400.0..1400.0).contains(&rain), "rain {rain} mm");
    }
}
