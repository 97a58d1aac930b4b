//! The API of Sensor.Community and its archive, over a small [`World`] of kits.
//!
//! | path | answer |
//! |---|---|
//! | `/static/v1/data.json` | items of the last five minutes of all sensors |
//! | `/static/v2/data.json` | of each sensor one item: the averages of the last five minutes |
//! | `/static/v2/data.1h.json` | of each sensor one item: the averages of the last hour |
//! | `/airrohr/v1/filter/box=lat1,lon1,lat2,lon2` | items of the last five minutes within the box |
//! | `/airrohr/v1/filter/country=NL,BE` | items of the last five minutes of these countries |
//! | `/airrohr/v1/sensor/{id}/` | items of the last five minutes of one sensor |
//! | `/{yyyy-mm-dd}/` | a page that links to the archived files of a day |
//! | `/{yyyy-mm-dd}/{file}` | the day of one sensor as CSV |
//!
//! Anything else is 404. Answers have an `ETag` and follow `If-None-Match`. Feeds are in no order and
//! hold some items twice, as the real ones do. A day appears in the archive three hours after it ended;
//! that of one sensor is then cut short, and whole only nine hours later.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::whale::Clock;

/// What a feed holds.
const FIVE_MINUTES: SignedDuration = SignedDuration::from_mins(5);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Seconds between two items of a sensor.
const INTERVAL: i64 = 145;
/// From the end of a day until it is in the archive.
const ARCHIVED_AFTER: SignedDuration = SignedDuration::from_hours(3);
/// From then until the sensor that is late is whole.
const WHOLE_AFTER: SignedDuration = SignedDuration::from_hours(9);

/// A sensor of a kit.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensor {
    /// Its number.
    pub id: u64,
    /// `SDS011`
    pub kind: &'static str,
    /// The number of the location where it stands.
    pub location: u64,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
    /// Two letters.
    pub country: &'static str,
    /// Whether it stands indoors.
    pub indoor: bool,
    /// When it measures for the first time.
    pub since: Timestamp,
    /// Whether its day in the archive is cut short at first.
    pub late: bool,
}

/// A measurement: its number, when, and values by their type, as texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The number of the item.
    pub id: u64,
    /// When.
    pub time: Timestamp,
    /// Type and text of each value.
    pub values: Vec<(&'static str, String)>,
}

/// Kits in and around Nijmegen and one in Stuttgart; everything is a function of seed and time.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    sensors: Vec<Sensor>,
}

impl World {
    /// A world whose first items are of `start`.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let sensor = |id, kind, location, lat, lon| Sensor {
            id,
            kind,
            location,
            lat,
            lon,
            country: "NL",
            indoor: false,
            since: start,
            late: false,
        };
        let later = start + SignedDuration::from_hours(3);
        let sensors = vec![
            sensor(5001, "SDS011", 2601, 51.842, 5.852),
            // Two sensors of temperature in one kit.
            sensor(5002, "BME280", 2601, 51.842, 5.852),
            sensor(5003, "DHT22", 2601, 51.842, 5.852),
            sensor(5004, "SDS011", 777_602, 51.815, 5.721),
            Sensor {
                late: true,
                ..sensor(5005, "PMS7003", 2603, 51.871, 5.911)
            },
            Sensor {
                since: later,
                ..sensor(5006, "SDS011", 2604, 51.801, 5.805)
            },
            Sensor {
                indoor: true,
                ..sensor(5007, "DHT22", 2605, 51.833, 5.861)
            },
            Sensor {
                country: "DE",
                ..sensor(5008, "SDS011", 2606, 48.781, 9.182)
            },
        ];
        Self { seed, sensors }
    }

    /// All sensors.
    pub fn sensors(&self) -> &[Sensor] {
        &self.sensors
    }

    /// The measurements of a sensor from `from` up to, and not including, `to`, in order.
    pub fn measurements(
        &self,
        sensor: &Sensor,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<Measurement> {
        let first = sensor.since.as_second() + i64::try_from(sensor.id % 139).unwrap_or_default();
        let from = from.as_second() + i64::from(from.subsec_nanosecond() > 0);
        let number = (from - first).div_euclid(INTERVAL)
            + i64::from((from - first).rem_euclid(INTERVAL) > 0);
        (number.max(0)..)
            .map(|number| (number, first + number * INTERVAL))
            .map_while(|(number, second)| {
                let time = Timestamp::from_second(second).ok()?;
                (time < to).then(|| self.measurement(sensor, number, time))
            })
            .collect()
    }

    fn measurement(&self, sensor: &Sensor, number: i64, time: Timestamp) -> Measurement {
        let number = number.unsigned_abs();
        let chance = |salt: u64| {
            let mixed = mix(self.seed ^ mix(sensor.id) ^ mix(number.wrapping_mul(31) ^ salt));
            // The upper 53 bits are a fraction exactly.
            (mixed >> 11) as f64 / (1_u64 << 53) as f64
        };
        let of_day = time.as_second().rem_euclid(86_400) as f64 / 86_400.0;
        let wave = (of_day * std::f64::consts::TAU).sin();
        let pm = 12.0 + 6.0 * wave + 3.0 * chance(1);
        let temperature = 8.0 - 4.0 * wave + chance(2);
        let two = |value: f64| format!("{value:.2}");
        let values = match sensor.kind {
            "SDS011" => vec![("P1", two(pm * 1.7)), ("P2", two(pm))],
            "PMS7003" => vec![
                ("P1", two(pm * 1.7)),
                ("P2", two(pm)),
                ("P0", two(pm * 0.6)),
            ],
            "DHT22" => vec![
                ("temperature", two(temperature)),
                ("humidity", two(60.0 + 20.0 * chance(3))),
            ],
            _ => vec![
                ("temperature", two(temperature - 0.8)),
                ("humidity", two(65.0 + 20.0 * chance(3))),
                ("pressure", two(101_000.0 + 400.0 * chance(4))),
                ("pressure_at_sealevel", two(101_300.0 + 400.0 * chance(4))),
            ],
        };
        Measurement {
            id: 20_000_000_000 + sensor.id * 10_000_000 + number,
            time,
            values,
        }
    }

    /// Items of the last five minutes of the sensors chosen: later than five minutes ago, up to now.
    pub fn feed(&self, now: Timestamp, chosen: impl Fn(&Sensor) -> bool) -> Value {
        let instant = SignedDuration::from_nanos(1);
        let from = now - FIVE_MINUTES + instant;
        let mut items = Vec::new();
        for sensor in self.sensors.iter().filter(|sensor| chosen(sensor)) {
            for measurement in self.measurements(sensor, from, now + instant) {
                if mix(measurement.id).is_multiple_of(4) {
                    items.push(item(sensor, &measurement));
                }
                items.push(item(sensor, &measurement));
            }
        }
        items.sort_by_key(|item| mix(item["id"].as_u64().unwrap_or_default() ^ 7));
        items.into()
    }

    /// Of each sensor one item with the averages of so long up to now, under its newest time.
    pub fn averages(&self, now: Timestamp, over: SignedDuration) -> Value {
        let instant = SignedDuration::from_nanos(1);
        let from = now - over + instant;
        let each = self.sensors.iter().filter_map(|sensor| {
            let measurements = self.measurements(sensor, from, now + instant);
            let mut newest = measurements.last()?.clone();
            for (place, (_, value)) in newest.values.iter_mut().enumerate() {
                let numbers = measurements.iter();
                let numbers = numbers.map(|m| m.values[place].1.parse().unwrap_or(0.0));
                let mean = numbers.sum::<f64>() / measurements.len() as f64;
                *value = format!("{mean:.2}");
            }
            Some(item(sensor, &newest))
        });
        each.collect::<Vec<_>>().into()
    }

    /// Names of the files of a day as the archive has them.
    pub fn files(&self, day: Date, now: Timestamp) -> Vec<String> {
        let each = self.sensors.iter();
        each.filter(|sensor| self.file(sensor, day, now).is_some())
            .map(|sensor| file_name(sensor, day))
            .collect()
    }

    /// The file of a sensor and day.
    pub fn file(&self, sensor: &Sensor, day: Date, now: Timestamp) -> Option<String> {
        let start = Offset::UTC
            .to_timestamp(day.to_datetime(jiff::civil::Time::midnight()))
            .ok()?;
        let end = start.checked_add(24.hours()).ok()?;
        if now < end + ARCHIVED_AFTER {
            return None;
        }
        let is_cut = sensor.late && now < end + ARCHIVED_AFTER + WHOLE_AFTER;
        let until = if is_cut {
            end - SignedDuration::from_hours(6)
        } else {
            end
        };
        let measurements = self.measurements(sensor, start, until);
        if measurements.is_empty() {
            return None;
        }
        let columns: &[&str] = match sensor.kind {
            "SDS011" => &["P1", "durP1", "ratioP1", "P2", "durP2", "ratioP2"],
            "PMS7003" => &["P1", "P2", "P0"],
            "DHT22" => &["temperature", "humidity"],
            _ => &[
                "pressure",
                "altitude",
                "pressure_sealevel",
                "temperature",
                "humidity",
            ],
        };
        let mut text = format!(
            "sensor_id;sensor_type;location;lat;lon;timestamp;{}\n",
            columns.join(";")
        );
        for measurement in measurements {
            let time = Offset::UTC.to_datetime(measurement.time);
            // Writing to a text cannot fail.
            let _ = write!(
                text,
                "{};{};{};{:.3};{:.3};{time}",
                sensor.id, sensor.kind, sensor.location, sensor.lat, sensor.lon
            );
            for column in columns {
                let mut values = measurement.values.iter();
                let value = values.find(|(kind, _)| kind == column);
                let _ = write!(text, ";{}", value.map_or("", |(_, value)| value.as_str()));
            }
            text.push('\n');
        }
        Some(text)
    }
}

/// The name of the file of a sensor and day.
fn file_name(sensor: &Sensor, day: Date) -> String {
    let kind = sensor.kind.to_lowercase();
    let place = if sensor.indoor { "_indoor" } else { "" };
    format!("{day}_{kind}_sensor_{}{place}.csv", sensor.id)
}

fn item(sensor: &Sensor, measurement: &Measurement) -> Value {
    let values: Vec<Value> = measurement
        .values
        .iter()
        .zip(1..)
        .map(|((kind, value), place): (_, u64)| {
            json!({"id": measurement.id * 10 + place, "value_type": kind, "value": value})
        })
        .collect();
    let time = Offset::UTC.to_datetime(measurement.time);
    json!({
        "id": measurement.id,
        "sampling_rate": null,
        "timestamp": format!("{} {}", time.date(), time.time()),
        "location": {
            "id": sensor.location, "latitude": format!("{:.3}", sensor.lat),
            "longitude": format!("{:.3}", sensor.lon), "altitude": "21.4",
            "country": sensor.country, "exact_location": 0, "indoor": u8::from(sensor.indoor),
        },
        "sensor": {"id": sensor.id, "pin": "1", "sensor_type": {"id": 14, "name": sensor.kind, "manufacturer": "various"}},
        "sensordatavalues": values,
    })
}

/// A 64-bit finaliser (Stafford's variant 13): neighbours come out unrelated.
fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// API and archive: a whole server, not made for merging.
pub fn router(world: Arc<World>, clock: Clock) -> Router {
    Router::new()
        .fallback(answer)
        .with_state(Served { world, clock })
}

#[derive(Clone)]
struct Served {
    world: Arc<World>,
    clock: Clock,
}

async fn answer(State(served): State<Served>, request: Request) -> Response {
    let now = (served.clock)();
    let path = request.uri().path().to_owned();
    let known = request.headers().get(header::IF_NONE_MATCH);
    let known = known
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let made = tokio::task::spawn_blocking(move || body(&served.world, &path, now)).await;
    let Ok(Some((kind, body))) = made else {
        return (StatusCode::NOT_FOUND, "{\"detail\":\"Not found.\"}").into_response();
    };
    let digest = body
        .bytes()
        .fold(0, |digest, byte| mix(digest ^ u64::from(byte)));
    let etag = format!("\"{digest:016x}\"");
    if known.as_deref() == Some(etag.as_str()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::ETAG, etag),
    ];
    (headers, Body::from(body)).into_response()
}

/// Content type and body of a path.
fn body(world: &World, path: &str, now: Timestamp) -> Option<(&'static str, String)> {
    const JSON: &str = "application/json";
    if path == "/static/v1/data.json" {
        return Some((JSON, world.feed(now, |_| true).to_string()));
    }
    if path == "/static/v2/data.json" {
        return Some((JSON, world.averages(now, FIVE_MINUTES).to_string()));
    }
    if path == "/static/v2/data.1h.json" {
        return Some((JSON, world.averages(now, HOUR).to_string()));
    }
    if let Some(query) = path.strip_prefix("/airrohr/v1/filter/") {
        return Some((JSON, filtered(world, query, now)?.to_string()));
    }
    if let Some(id) = path.strip_prefix("/airrohr/v1/sensor/") {
        let id: u64 = id.strip_suffix('/')?.parse().ok()?;
        return Some((JSON, world.feed(now, |sensor| sensor.id == id).to_string()));
    }
    let (day, name) = path.strip_prefix('/')?.split_once('/')?;
    let day: Date = day.parse().ok()?;
    if name.is_empty() {
        let files = world.files(day, now);
        if files.is_empty() {
            return None;
        }
        let links = files
            .iter()
            .map(|file| format!("<a href=\"{file}\">{file}</a>\n"));
        let links: String = links.collect();
        return Some(("text/html", format!("<a href=\"../\">../</a>\n{links}")));
    }
    let mut sensors = world.sensors.iter();
    let sensor = sensors.find(|sensor| file_name(sensor, day) == name)?;
    Some(("text/csv", world.file(sensor, day, now)?))
}

fn filtered(world: &World, query: &str, now: Timestamp) -> Option<Value> {
    let (key, value) = query.split_once('=')?;
    match key {
        "box" => {
            let corners: Vec<f64> = value.split(',').map_while(|n| n.parse().ok()).collect();
            let [lat_1, lon_1, lat_2, lon_2] = corners[..] else {
                return None;
            };
            Some(world.feed(now, |sensor| {
                (lat_1..=lat_2).contains(&sensor.lat) && (lon_1..=lon_2).contains(&sensor.lon)
            }))
        }
        "country" => {
            let countries: Vec<&str> = value.split(',').collect();
            Some(world.feed(now, |sensor| countries.contains(&sensor.country)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn five_minutes_after_another_hold_every_item_of_an_hour_once_in_all() {
        let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let world = World::new(1, start);
        let mut seen = BTreeMap::new();
        for poll in 1..=24 {
            let now = start + SignedDuration::from_mins(5 * poll);
            for item in world.feed(now, |_| true).as_array().unwrap() {
                let earlier = seen.insert(item["id"].as_u64().unwrap(), poll);
                assert!(earlier.is_none_or(|earlier| earlier == poll), "{item}");
            }
        }
        let end = start + SignedDuration::from_hours(2);
        let instant = SignedDuration::from_nanos(1);
        let all = world.sensors().iter();
        let all = all.map(|sensor| {
            world
                .measurements(sensor, start + instant, end + instant)
                .len()
        });
        assert_eq!(seen.len(), all.sum::<usize>());
        assert!(seen.len() > 300);
    }

    #[test]
    fn a_day_is_archived_when_it_is_over_and_the_late_one_grows() {
        let start: Timestamp = "2026-11-20T00:00:00Z".parse().unwrap();
        let world = World::new(1, start);
        let day = Date::constant(2026, 11, 20);
        let late = world.sensors().iter().find(|sensor| sensor.late).unwrap();
        let lines = |now: &str| {
            let file = world.file(late, day, now.parse().unwrap());
            file.map(|file| file.lines().count())
        };
        assert_eq!(lines("2026-11-21T02:00:00Z"), None);
        let (short, whole) = (lines("2026-11-21T03:00:00Z"), lines("2026-11-21T12:00:00Z"));
        assert!(short > Some(400) && short < whole);
    }
}
