//! Whether the simulated truth behaves like a Dutch city.

use smartem_simulate::city::{City, CityConfig, CityError, Quirk, SiteClass, Station, Truth};

use crate::helpers::{at, city};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Mean over `days` days from `start` of a value at the full hours of UTC in `hours`.
fn mean(
    city: &City,
    station: &Station,
    start: &str,
    days: i64,
    hours: &[i64],
    value: impl Fn(&Truth) -> f64,
) -> f64 {
    let start = at(start).as_second();
    let mut values = Vec::new();
    for day in 0..days {
        for hour in hours {
            let second = start + day * DAY + hour * HOUR + 1800;
            let moment = jiff::Timestamp::from_second(second).unwrap();
            values.push(value(&city.truth(station, moment)));
        }
    }
    values.iter().sum::<f64>() / values.len() as f64
}

fn station(city: &City, class: SiteClass) -> &Station {
    city.stations()
        .iter()
        .find(|s| s.class == class && s.quirk == Quirk::None)
        .unwrap()
}

#[test]
fn rush_hours_have_more_nitrogen_dioxide_and_monoxide_than_nights_at_streets() {
    let city = city(60);
    for start in [
        "2026-02-02T00:00:00Z",
        "2026-06-15T00:00:00Z",
        "2026-10-05T00:00:00Z",
    ] {
        for street in city
            .stations()
            .iter()
            .filter(|s| s.class == SiteClass::Street)
        {
            if street.quirk == Quirk::Indoor {
                continue;
            }
            for value in [|t: &Truth| t.no2, |t: &Truth| t.no, |t: &Truth| t.co] {
                let rush = mean(&city, street, start, 7, &[5, 6, 7, 15, 16], value);
                let night = mean(&city, street, start, 7, &[0, 1, 2, 23], value);
                assert!(
                    rush > 1.15 * night,
                    "{start} {} {rush} {night}",
                    street.place
                );
            }
        }
    }
}

#[test]
fn streets_have_more_nitrogen_dioxide_and_noise_and_less_ozone_than_parks() {
    let city = city(60);
    let (street, park) = (
        station(&city, SiteClass::Street),
        station(&city, SiteClass::Park),
    );
    let hours: Vec<i64> = (0..24).collect();
    let both = |value: fn(&Truth) -> f64| {
        let over = |s| mean(&city, s, "2026-03-02T00:00:00Z", 7, &hours, value);
        (over(street), over(park))
    };
    let (no2, park_no2) = both(|t| t.no2);
    assert!(no2 > 1.3 * park_no2, "{no2} {park_no2}");
    let (ozone, park_ozone) = both(|t| t.o3);
    assert!(ozone < 0.9 * park_ozone, "{ozone} {park_ozone}");
    let (noise, park_noise) = both(Truth::noise_level);
    assert!(noise > park_noise + 10.0, "{noise} {park_noise}");
}

#[test]
fn ozone_peaks_on_summer_afternoons() {
    let city = city(60);
    let park = station(&city, SiteClass::Park);
    let ozone = |start, hours: &[i64]| mean(&city, park, start, 28, hours, |t| t.o3);
    let afternoon = ozone("2026-07-01T00:00:00Z", &[12, 13, 14]);
    assert!(afternoon > 1.15 * ozone("2026-07-01T00:00:00Z", &[2, 3, 4]));
    assert!(afternoon > 1.3 * ozone("2026-12-01T00:00:00Z", &[12, 13, 14]));
}

#[test]
fn nights_are_quieter_than_days_everywhere() {
    let city = city(30);
    for s in city.stations() {
        let level = |hours: &[i64]| {
            mean(
                &city,
                s,
                "2026-04-13T00:00:00Z",
                7,
                hours,
                Truth::noise_level,
            )
        };
        let (day, night) = (level(&[8, 10, 12, 14, 16]), level(&[0, 1, 2, 23]));
        assert!(day > night + 0.5, "{} {:?} {day} {night}", s.place, s.class);
    }
}

#[test]
fn july_is_warmer_and_brighter_than_january_in_any_city() {
    for seed in 0..8 {
        let config = CityConfig::starting(at("2026-01-01T00:00:00Z"));
        let city = City::new(CityConfig { seed, ..config }).unwrap();
        let s = station(&city, SiteClass::Background);
        let hours: Vec<i64> = (0..24).step_by(3).collect();
        let month = |start, value: fn(&Truth) -> f64| mean(&city, s, start, 31, &hours, value);
        let (july, january) = ("2026-07-01T00:00:00Z", "2026-01-01T00:00:00Z");
        let warmth = month(july, |t| t.temperature) - month(january, |t| t.temperature);
        assert!((8.0..22.0).contains(&warmth), "{warmth}");
        assert!(month(july, |t| t.light) > 3.0 * month(january, |t| t.light));
        assert!(month(january, |t| t.pm2_5) > month(july, |t| t.pm2_5));
    }
}

#[test]
fn humidity_falls_when_the_day_warms() {
    let city = city(60);
    let s = station(&city, SiteClass::Background);
    let humidity = |hours: &[i64]| {
        mean(&city, s, "2026-06-01T00:00:00Z", 28, hours, |t| {
            t.relative_humidity
        })
    };
    assert!(humidity(&[3, 4]) > humidity(&[13, 14]) + 10.0);
}

#[test]
fn the_new_year_begins_with_fireworks() {
    let city = city(60);
    let s = station(&city, SiteClass::Street);
    let pm10 = |text| city.truth(s, at(text)).pm10;
    let midnight = pm10("2026-12-31T23:35:00Z");
    assert!(midnight > 120.0, "{midnight}");
    assert!(midnight < 999.0);
    assert!(midnight > 4.0 * pm10("2026-12-31T12:00:00Z"));
}

#[test]
fn truth_changes_little_within_seconds() {
    let city = city(10);
    let start = at("2026-05-05T05:00:00Z").as_second();
    for s in city.stations() {
        let mut before = city.truth(s, jiff::Timestamp::from_second(start).unwrap());
        for i in 1..400 {
            let now = city.truth(s, jiff::Timestamp::from_second(start + 10 * i).unwrap());
            assert!((now.temperature - before.temperature).abs() < 0.3);
            assert!(
                (now.no2 - before.no2).abs() < 12.0,
                "{} {}",
                now.no2,
                before.no2
            );
            assert!((now.pressure - before.pressure).abs() < 20.0);
            before = now;
        }
    }
}

#[test]
fn special_stations_are_special() {
    let city = city(60);
    let find = |quirk| city.stations().iter().find(|s| s.quirk == quirk).unwrap();
    let winter = "2026-01-12T00:00:00Z";
    let indoor = mean(&city, find(Quirk::Indoor), winter, 7, &[0, 8, 16], |t| {
        t.temperature
    });
    assert!((18.0..26.0).contains(&indoor), "{indoor}");
    let loud = find(Quirk::Loud);
    let neighbours: Vec<&Station> = city
        .stations()
        .iter()
        .filter(|s| s.class == loud.class && s.quirk == Quirk::None)
        .collect();
    let level = |s| mean(&city, s, winter, 7, &[10, 14], Truth::noise_level);
    let usual = neighbours.iter().map(|s| level(s)).sum::<f64>() / neighbours.len() as f64;
    assert!(level(loud) > usual + 6.0);
}

#[test]
fn impossible_cities_are_refused_with_the_remedy() {
    let since = at("2026-01-01T00:00:00Z");
    let build = |change: fn(&mut CityConfig)| {
        let mut config = CityConfig::starting(since);
        change(&mut config);
        City::new(config).unwrap_err()
    };
    assert!(matches!(build(|c| c.stations = 0), CityError::Stations(0)));
    assert!(matches!(
        build(|c| c.cadence_s = 901),
        CityError::Cadence(901)
    ));
    let error = build(|c| c.until = Some(c.since));
    assert!(error.to_string().contains("end must come after"), "{error}");
}
