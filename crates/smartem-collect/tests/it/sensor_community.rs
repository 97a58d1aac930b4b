use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_collect::harvest::sensor_community::{
    SensorCommunity, SensorCommunityConfig, SensorSetting,
};
use smartem_etl::{ExitCode, Outcome};
use smartem_model::{Hour, StationId};
use smartem_simulate::sensor_community::{Sensor, World, router};
use smartem_store::{Selection, Standing};
use tokio::net::TcpListener;
use url::Url;

use crate::recorder::Bench;

const START: &str = "2026-11-20T22:00:00Z";
const NIJMEGEN: [f64; 4] = [51.7, 5.6, 51.9, 6.0];

/// The simulated source, with paths that a test breaks.
#[derive(Clone)]
struct Source {
    world: Arc<World>,
    now: Arc<Mutex<Timestamp>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Begin of a path, and what is answered instead: a status, or 200 with this body.
    broken: Arc<Mutex<Vec<(String, u16, String)>>>,
    url: Url,
}

impl Source {
    async fn start() -> Self {
        let start: Timestamp = START.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let source = Self {
            world: Arc::new(World::new(7, start)),
            now: Arc::new(Mutex::new(start)),
            asked: Arc::default(),
            broken: Arc::default(),
            url: url.parse().unwrap(),
        };
        let now = source.now.clone();
        let served = router(source.world.clone(), Arc::new(move || *now.lock().unwrap()));
        let served: Router = served.layer(from_fn_with_state(source.clone(), watch));
        tokio::spawn(async move { axum::serve(listener, served).await.unwrap() });
        source
    }

    fn config(&self) -> SensorCommunityConfig {
        let mut config = SensorCommunityConfig::new("test", self.url.clone());
        config.http.attempts = 1;
        config
    }

    fn boxed(&self) -> SensorCommunityConfig {
        SensorCommunityConfig {
            boxes: vec![NIJMEGEN],
            ..self.config()
        }
    }

    fn break_path(&self, begin: &str, status: u16, body: &str) {
        let broken = (begin.to_owned(), status, body.to_owned());
        self.broken.lock().unwrap().push(broken);
    }

    fn mend(&self) {
        self.broken.lock().unwrap().clear();
    }

    fn asked(&self, begin: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|path| path.starts_with(begin)).count()
    }

    async fn poll(
        &self,
        bench: &mut Bench,
        now: Timestamp,
        config: SensorCommunityConfig,
    ) -> String {
        *self.now.lock().unwrap() = now;
        bench.now = now;
        let report = bench.run(SensorCommunity::new(config).unwrap()).await;
        assert_eq!(report.exit_code, ExitCode::Ok, "{}", report.summary);
        report.summary
    }

    /// Identities of all measurements after `from`, up to and including `to`.
    fn expected(
        &self,
        from: Timestamp,
        to: Timestamp,
        wanted: impl Fn(&Sensor) -> bool,
    ) -> BTreeSet<String> {
        let instant = SignedDuration::from_nanos(1);
        let sensors = self.world.sensors().iter().filter(|sensor| wanted(sensor));
        sensors
            .flat_map(|sensor| {
                let measured = self
                    .world
                    .measurements(sensor, from + instant, to + instant);
                measured
                    .into_iter()
                    .map(|m| format!("{}-{}", m.id, sensor.id))
            })
            .collect()
    }
}

async fn watch(State(source): State<Source>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    source.asked.lock().unwrap().push(path.clone());
    let broken = source.broken.lock().unwrap().clone();
    match broken.iter().find(|(begin, ..)| path.starts_with(begin)) {
        Some((_, status, body)) => {
            (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response()
        }
        None => next.run(request).await,
    }
}

async fn bench() -> Bench {
    Bench::new("harvester-sensor-community", START).await
}

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn ids(samples: &[Value]) -> BTreeSet<String> {
    let ids = samples.iter().filter_map(|sample| sample["_id"].as_str());
    ids.map(str::to_owned).collect()
}

fn outdoors_nl(sensor: &Sensor) -> bool {
    sensor.country == "NL" && !sensor.indoor
}

#[tokio::test]
async fn d_024_d_050_d_059_polls_hold_every_item_once_exact_in_the_hour_of_its_own_time() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let to = start() + minutes(300);
    for poll in 1..=60 {
        source
            .poll(&mut bench, start() + minutes(5 * poll), source.boxed())
            .await;
    }
    // The store has united what the polls brought.
    let (station, hour) = (
        StationId::new("49312601").unwrap(),
        "2026-11-21".parse().unwrap(),
    );
    let hour = Hour::new(hour, 1).unwrap();
    let stored = bench
        .store
        .raw_record(&station, hour)
        .await
        .unwrap()
        .unwrap();
    let stored: Value = serde_json::from_str(&stored.to_json()).unwrap();
    let stored = stored["data"]["timeseries"].as_array().unwrap().clone();
    assert_eq!(stored.len(), ids(&stored).len());
    let instant = SignedDuration::from_nanos(1);
    let (from, until) = (start() + minutes(120), start() + minutes(180));
    let kit = |sensor: &Sensor| sensor.location == 2601;
    assert_eq!(
        ids(&stored),
        source.expected(from - instant, until - instant, kit)
    );

    let record = bench.record.lock().unwrap();
    let parts: Vec<_> = record
        .order
        .iter()
        .filter(|(_, s)| *s == Standing::Part)
        .collect();
    let averages = record.order.iter().filter(|(_, s)| *s == Standing::Average);
    // Only the first poll had none before it.
    assert!(averages.count() <= 5 && parts.len() > 100);
    // Averages are items of their newest measurement, so their identity is among the expected too.
    assert_eq!(
        ids(&record.samples()),
        source.expected(start(), to, outdoors_nl)
    );
    for ((station, day, hour), samples) in &record.hours {
        for sample in samples {
            let sample: Value = serde_json::from_str(sample).unwrap();
            let time: Timestamp = sample["time"].as_str().unwrap().parse().unwrap();
            let own = Hour::containing(time).unwrap();
            assert_eq!(
                own.of_day(),
                i64::try_from(*hour).unwrap(),
                "{station} {day}"
            );
        }
    }
    assert!(!record.of("4931777602").is_empty());
    let kit = record.of("49312601");
    let instruments: BTreeSet<&str> = kit.iter().filter_map(|s| s["meta_id"].as_str()).collect();
    assert_eq!(
        instruments,
        BTreeSet::from(["BME280-5002", "DHT22-5003", "SDS011-5001"])
    );
    for sample in kit.iter().filter(|s| s["meta_id"] == "BME280-5002") {
        let pressure = sample["pressure"].as_f64().unwrap();
        assert!((1010.0..1014.0).contains(&pressure));
        assert!(sample.get("pressure_at_sealevel").is_none());
    }
    assert_eq!(source.asked("/airrohr/v1/filter/box="), 60);
}

#[tokio::test]
async fn boxes_that_overlap_countries_and_the_world_give_the_same() {
    let source = Source::start().await;
    let mut seen = Vec::new();
    let ways = [
        SensorCommunityConfig {
            boxes: vec![NIJMEGEN, [51.8, 5.8, 51.95, 6.1]],
            ..source.config()
        },
        SensorCommunityConfig {
            countries: vec!["nl".to_owned()],
            ..source.config()
        },
        SensorCommunityConfig {
            stations: vec![2601, 777_602, 2603, 2604, 2605],
            ..source.config()
        },
        SensorCommunityConfig {
            sensors: (5001..5008).map(SensorSetting::Id).collect(),
            ..source.config()
        },
    ];
    for config in ways {
        let mut bench = bench().await;
        let now = start() + minutes(240);
        source
            .poll(
                &mut bench,
                now,
                SensorCommunityConfig {
                    hour_feed: false,
                    ..config
                },
            )
            .await;
        let record = bench.record.lock().unwrap();
        seen.push((record.hours.clone(), record.snapshots.clone()));
        assert_eq!(
            ids(&record.samples()),
            source.expected(now - minutes(5), now, outdoors_nl)
        );
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(source.asked("/airrohr/v1/filter/country=NL"), 1);
    // The other one holds averages.
    assert_eq!(source.asked("/static/v1/data.json"), 1);
    assert_eq!(source.asked("/static/v2/data.json"), 0);
    assert_eq!(source.asked("/airrohr/v1/sensor/"), 7);
}

#[tokio::test]
async fn newest_values_are_one_snapshot_of_each_station() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let now = start() + minutes(240);
    let config = SensorCommunityConfig {
        hour_feed: false,
        ..source.boxed()
    };
    source.poll(&mut bench, now, config.clone()).await;
    // One request served both.
    assert_eq!(source.asked.lock().unwrap().len(), 1);
    {
        let record = bench.record.lock().unwrap();
        assert_eq!(record.snapshots.len(), 4);
        for snapshot in &record.snapshots {
            assert!(snapshot.get("hour").is_none());
            let station = snapshot["device_id"].as_str().unwrap();
            let samples = snapshot["data"]["timeseries"].as_array().unwrap();
            for sensor in source
                .world
                .sensors()
                .iter()
                .filter(|s| format!("4931{}", s.location) == station)
            {
                let measured =
                    source
                        .world
                        .measurements(sensor, now - minutes(5), now + minutes(0));
                let newest = format!("{}-{}", measured.last().unwrap().id, sensor.id);
                let shown = samples.iter().filter(|s| {
                    s["meta_id"]
                        .as_str()
                        .unwrap()
                        .ends_with(&sensor.id.to_string())
                });
                let shown: Vec<&str> = shown.map(|s| s["_id"].as_str().unwrap()).collect();
                assert_eq!(shown, [newest]);
            }
        }
    }
    bench.forget();
    bench.takes.raw = false;
    source.poll(&mut bench, now + minutes(5), config).await;
    let record = bench.record.lock().unwrap();
    assert!(record.hours.is_empty() && record.snapshots.len() == 4);
}

#[tokio::test]
async fn an_answer_that_has_not_changed_is_not_read_again() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let now = start() + minutes(60);
    source.poll(&mut bench, now, source.boxed()).await;
    let first = bench.record.lock().unwrap().order.len();
    assert!(first > 0);
    let summary = source.poll(&mut bench, now, source.boxed()).await;
    assert_eq!(bench.record.lock().unwrap().order.len(), first, "{summary}");
    bench.replay = Some(Selection::default());
    source
        .poll(
            &mut bench,
            now,
            SensorCommunityConfig {
                hour_feed: false,
                ..source.boxed()
            },
        )
        .await;
    assert!(bench.record.lock().unwrap().order.len() > first);
}

#[tokio::test]
async fn d_051_averages_stand_in_only_after_a_missed_poll() {
    let (source, mut bench) = (Source::start().await, bench().await);
    source
        .poll(&mut bench, start() + minutes(60), source.boxed())
        .await;
    assert_eq!(source.asked("/static/v2/data.1h.json"), 1);
    source
        .poll(&mut bench, start() + minutes(65), source.boxed())
        .await;
    assert_eq!(source.asked("/static/v2/data.1h.json"), 1);
    bench.forget();
    // No five minutes at all: averages only, of the sensors in the box.
    source.break_path("/airrohr/", 404, "");
    source
        .poll(&mut bench, start() + minutes(240), source.boxed())
        .await;
    let record = bench.record.lock().unwrap();
    assert_eq!(record.standings(), [Standing::Average]);
    assert_eq!(record.count(), 6);
}

#[tokio::test]
async fn a_box_that_fails_takes_nothing_from_the_others() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let config = SensorCommunityConfig {
        boxes: vec![[51.85, 5.9, 51.9, 6.0], NIJMEGEN],
        hour_feed: false,
        ..source.config()
    };
    source.break_path("/airrohr/v1/filter/box=51.85", 503, "");
    let now = start() + minutes(240);
    let summary = source.poll(&mut bench, now, config.clone()).await;
    assert!(summary.contains("requests_failed 1"), "{summary}");
    let expected = source.expected(now - minutes(5), now, outdoors_nl);
    assert_eq!(ids(&bench.record.lock().unwrap().samples()), expected);
    source.break_path("/", 503, "");
    let report = bench.run(SensorCommunity::new(config).unwrap()).await;
    assert_eq!(
        report.outcome,
        Some(Outcome::Unreachable),
        "{}",
        report.summary
    );
}

#[tokio::test]
async fn a_bad_body_and_a_bad_item_are_set_aside_until_good_ones_come() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let config = SensorCommunityConfig {
        hour_feed: false,
        ..source.boxed()
    };
    let now = start() + minutes(60);
    source.break_path("/airrohr/", 200, "<html>maintenance</html>");
    source.poll(&mut bench, now, config.clone()).await;
    let open = bench.open_quarantine().await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].0, "/airrohr/v1/filter/box=51.7,5.6,51.9,6");

    source.mend();
    let mut items = source.world.feed(now, |sensor| sensor.location == 2601);
    let good = items.as_array().unwrap().len();
    for item in items
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .filter(|item| item["sensor"]["id"] == 5001)
    {
        item["timestamp"] = Value::from("yesterday");
    }
    source.break_path("/airrohr/", 200, &items.to_string());
    let summary = source.poll(&mut bench, now, config.clone()).await;
    assert!(summary.contains("bad_item"), "{summary}");
    let open = bench.open_quarantine().await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].0, "feed#sensor-5001");
    let taken = bench.record.lock().unwrap().count();
    assert!(taken > 0 && taken < good);

    source.mend();
    source.poll(&mut bench, now + minutes(5), config).await;
    assert_eq!(bench.open_quarantine().await, []);
}

#[tokio::test]
async fn an_item_without_a_sensor_is_set_aside_until_all_answers_are_well() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let config = SensorCommunityConfig {
        boxes: vec![NIJMEGEN, [51.8, 5.8, 51.95, 6.1]],
        hour_feed: false,
        ..source.config()
    };
    let now = start() + minutes(60);
    let first = "/airrohr/v1/filter/box=51.7,";
    source.break_path(first, 200, "[{\"id\": 1}]");
    source.poll(&mut bench, now, config.clone()).await;
    let open = |open: Vec<(String, _)>| open.into_iter().map(|(place, _)| place).next();
    let unknown = Some("feed#sensor-unknown".to_owned());
    assert_eq!(open(bench.open_quarantine().await), unknown);
    // Where it came from nothing comes, or nothing new.
    source.mend();
    source.break_path(first, 503, "");
    source
        .poll(&mut bench, now + minutes(5), config.clone())
        .await;
    assert_eq!(open(bench.open_quarantine().await), unknown);
    source.mend();
    source.break_path(first, 304, "");
    source
        .poll(&mut bench, now + minutes(10), config.clone())
        .await;
    assert_eq!(open(bench.open_quarantine().await), unknown);
    source.mend();
    source.poll(&mut bench, now + minutes(15), config).await;
    assert_eq!(bench.open_quarantine().await, []);
}

#[tokio::test]
async fn d_051_the_archive_fills_days_until_they_are_settled() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let config = SensorCommunityConfig {
        archive: true,
        archive_from: Some("2026-11-20".parse().unwrap()),
        hour_feed: false,
        ..source.boxed()
    };
    let at = |text: &str| -> Timestamp { text.parse().unwrap() };
    source
        .poll(&mut bench, at("2026-11-21T02:00:00Z"), config.clone())
        .await;
    assert!(
        !bench
            .record
            .lock()
            .unwrap()
            .standings()
            .contains(&Standing::Archive)
    );
    bench.forget();
    let mut polls = 0;
    for hours in (0..24 * 5).step_by(3) {
        let now = at("2026-11-22T00:00:00Z") + SignedDuration::from_hours(hours);
        source.poll(&mut bench, now, config.clone()).await;
        polls += 1;
        let asked = source.asked("/2026-11-21/");
        // Every six hours at most, for two days after it appeared and the hours it was awaited.
        assert!(asked <= 6 * (3 + 48 / 6 + 1), "{polls}: {asked}");
    }
    let (from, to) = (at("2026-11-21T00:00:00Z"), at("2026-11-22T00:00:00Z"));
    let hours = bench.record.lock().unwrap().hours.clone();
    let day = hours.iter().filter(|((_, day, _), _)| *day == 20_261_121);
    let archived: BTreeSet<(String, String)> = day
        .flat_map(|(_, samples)| samples)
        .map(|text| serde_json::from_str::<Value>(text).unwrap())
        .filter(|sample| sample.get("_id").is_none())
        .map(|s| {
            (
                s["meta_id"].as_str().unwrap().to_owned(),
                s["time"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let mut expected = BTreeSet::new();
    // The late sensor is whole, too.
    for sensor in source
        .world
        .sensors()
        .iter()
        .filter(|sensor| outdoors_nl(sensor))
    {
        for measured in source.world.measurements(sensor, from, to) {
            let instrument = format!("{}-{}", sensor.kind, sensor.id);
            expected.insert((instrument, measured.time.to_string()));
        }
    }
    assert_eq!(archived, expected);
    let before = source.asked("/2026-11-21/");
    source
        .poll(&mut bench, at("2026-11-27T01:00:00Z"), config)
        .await;
    assert_eq!(source.asked("/2026-11-21/"), before);
}

#[tokio::test]
async fn a_back_fill_that_is_stopped_goes_on_at_its_file() {
    let (source, mut bench) = (Source::start().await, bench().await);
    // The world: its files are found by the list of each day.
    let config = SensorCommunityConfig {
        archive: true,
        archive_from: Some("2026-11-21".parse().unwrap()),
        hour_feed: false,
        ..source.config()
    };
    let now: Timestamp = "2026-12-06T12:00:00Z".parse().unwrap();
    *source.now.lock().unwrap() = now;
    bench.now = now;
    let report = bench
        .run_until(SensorCommunity::new(config.clone()).unwrap(), 4)
        .await;
    assert_eq!(report.outcome, Some(Outcome::Stopped), "{}", report.summary);
    source.poll(&mut bench, now, config.clone()).await;
    let days: BTreeSet<u64> = {
        let record = bench.record.lock().unwrap();
        assert!(record.of("49312605").is_empty(), "indoors");
        let archived = record.order.iter().filter(|(_, s)| *s == Standing::Archive);
        archived.map(|((_, day, _), _)| *day).collect()
    };
    assert_eq!(days.len(), 15);
    let of = |sensor: u64| source.asked(&format!("/2026-11-21/2026-11-21_sds011_sensor_{sensor}"));
    assert!((5001..=5008).map(of).sum::<usize>() <= 8);
    // Long settled days are not asked for again.
    let before = source.asked("/2026-11-21/");
    source.poll(&mut bench, now + minutes(5), config).await;
    assert_eq!(source.asked("/2026-11-21/"), before);
}

/// A file of a long settled day that fails in some way, and comes well later.
async fn a_failed_file_is_asked_for_again(
    config: impl Fn(&Source) -> SensorCommunityConfig,
    status: u16,
    body: &str,
) {
    let (source, mut bench) = (Source::start().await, bench().await);
    let config = SensorCommunityConfig {
        archive: true,
        archive_from: Some("2026-11-21".parse().unwrap()),
        hour_feed: false,
        ..config(&source)
    };
    let now: Timestamp = "2026-11-26T12:00:00Z".parse().unwrap();
    let place = "/2026-11-21/2026-11-21_sds011_sensor_5004.csv";
    source.break_path(place, status, body);
    let summary = source.poll(&mut bench, now, config.clone()).await;
    assert!(summary.contains("requests_failed 1"), "{summary}");
    let set_aside: Vec<String> = bench
        .open_quarantine()
        .await
        .into_iter()
        .map(|q| q.0)
        .collect();
    assert_eq!(set_aside.iter().any(|open| open == place), status == 200);
    let archived = |bench: &Bench, day: u64| {
        let hours = &bench.record.lock().unwrap().hours;
        let hours = hours
            .iter()
            .filter(|((station, of, _), _)| station == "4931777602" && *of == day);
        hours.count()
    };
    assert_eq!(archived(&bench, 20_261_121), 0);
    // Later days went on.
    assert_eq!(archived(&bench, 20_261_122), 24);
    let others = source.asked("/2026-11-21/2026-11-21_sds011_sensor_5001");
    assert_eq!(others, 1);

    // It fails again, and the day stays open still.
    source
        .poll(&mut bench, now + minutes(7 * 60), config.clone())
        .await;
    assert_eq!(source.asked(place), 2);
    source.mend();
    source
        .poll(&mut bench, now + minutes(14 * 60), config.clone())
        .await;
    assert_eq!(archived(&bench, 20_261_121), 24);
    assert_eq!(bench.open_quarantine().await, []);
    source
        .poll(&mut bench, now + minutes(21 * 60), config)
        .await;
    assert_eq!(source.asked(place), 3);
    // The others were settled.
    assert_eq!(
        source.asked("/2026-11-21/2026-11-21_sds011_sensor_5001"),
        others
    );
    assert_eq!(source.asked("/2026-11-22/2026-11-22_sds011_sensor_5004"), 1);
}

#[tokio::test]
async fn a_file_of_the_archive_that_is_refused_is_asked_for_again() {
    for status in [400, 403] {
        a_failed_file_is_asked_for_again(Source::boxed, status, "").await;
    }
    a_failed_file_is_asked_for_again(Source::config, 401, "").await;
}

#[tokio::test]
async fn a_file_of_the_archive_that_is_not_understood_is_asked_for_again() {
    let page = "<html>maintenance</html>";
    a_failed_file_is_asked_for_again(Source::boxed, 200, page).await;
    a_failed_file_is_asked_for_again(Source::config, 200, page).await;
}

#[tokio::test]
async fn a_day_whose_list_is_refused_does_not_hold_up_later_ones() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let config = SensorCommunityConfig {
        archive: true,
        archive_from: Some("2026-11-21".parse().unwrap()),
        hour_feed: false,
        ..source.config()
    };
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    source.break_path("/2026-11-21/", 403, "");
    let summary = source.poll(&mut bench, now, config.clone()).await;
    assert!(summary.contains("requests_failed 1"), "{summary}");
    let days = |bench: &Bench| -> BTreeSet<u64> {
        let hours = &bench.record.lock().unwrap().order;
        let archived = hours.iter().filter(|(_, s)| *s == Standing::Archive);
        archived.map(|((_, day, _), _)| *day).collect()
    };
    assert_eq!(days(&bench), BTreeSet::from([20_261_122, 20_261_123]));
    source.mend();
    source.poll(&mut bench, now + minutes(7 * 60), config).await;
    assert!(days(&bench).contains(&20_261_121));
}

#[tokio::test]
async fn a_sensor_that_changes_its_type_is_looked_for_under_both() {
    let (source, mut bench) = (Source::start().await, bench().await);
    let config = SensorCommunityConfig {
        archive: true,
        archive_from: Some("2026-11-21".parse().unwrap()),
        hour_feed: false,
        ..source.boxed()
    };
    let mut now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    for kind in ["DNMS (Laerm)", "Radiation SBM-20"] {
        let mut items = source.world.feed(now, |sensor| sensor.id == 5001);
        for item in items.as_array_mut().unwrap() {
            item["sensor"]["sensor_type"]["name"] = Value::from(kind);
        }
        source.break_path("/airrohr/", 200, &items.to_string());
        source.poll(&mut bench, now, config.clone()).await;
        source.mend();
        now += minutes(5);
    }
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    source.poll(&mut bench, now, config).await;
    for kind in ["laerm", "radiation_sbm-20", "sds011"] {
        let place = format!("/2026-11-21/2026-11-21_{kind}_sensor_5001.csv");
        assert_eq!(source.asked(&place), 1, "{place}");
    }
}

#[tokio::test]
async fn the_archive_gives_what_the_feed_would() {
    let source = Source::start().await;
    let file = "sensor_id;sensor_type;location;lat;lon;timestamp;P1;P2\n\
        5001;SDS011;2601;51.842;5.852;2026-11-21T01:00:00;9;5\n\
        5001;SDS011;2699;51.842;5.852;2026-11-21T02:00:00;9;5\n\
        5001;SDS011;2698;48.781;9.182;2026-11-21T03:00:00;9;5\n\
        5001;SDS011;2697;;;2026-11-21T04:00:00;9;5\n";
    source.break_path("/2026-11-21/2026-11-21_sds011_sensor_5001", 200, file);
    let named = || vec![SensorSetting::Id(5001)];
    let ways = [
        (source.boxed(), vec!["49312601", "49312699"]),
        (
            SensorCommunityConfig {
                stations: vec![2601, 2698],
                ..source.config()
            },
            vec!["49312601", "49312698"],
        ),
        (
            SensorCommunityConfig {
                stations: vec![2601, 2698],
                ..source.boxed()
            },
            vec!["49312601"],
        ),
        (
            SensorCommunityConfig {
                sensors: named(),
                ..source.boxed()
            },
            vec!["49312601", "49312697", "49312698", "49312699"],
        ),
        (
            SensorCommunityConfig {
                sensors: named(),
                stations: vec![2698],
                ..source.config()
            },
            vec!["49312698"],
        ),
    ];
    for (config, expected) in ways {
        let mut bench = bench().await;
        let config = SensorCommunityConfig {
            archive: true,
            archive_from: Some("2026-11-21".parse().unwrap()),
            hour_feed: false,
            ..config
        };
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        source.poll(&mut bench, now, config).await;
        let record = bench.record.lock().unwrap();
        // Other sensors measure at other seconds.
        let mine = record.hours.iter().filter(|(_, samples)| {
            let mut samples = samples.iter();
            samples.any(|sample| sample.contains(":00:00Z") && sample.contains("SDS011-5001"))
        });
        let stations: BTreeSet<&str> = mine.map(|((station, ..), _)| station.as_str()).collect();
        assert_eq!(stations.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn settings_that_hold_nothing_are_refused() {
    let source = Source::start().await;
    let swapped = SensorCommunityConfig {
        boxes: vec![[51.9, 5.6, 51.7, 6.0]],
        ..source.config()
    };
    assert!(
        SensorCommunity::new(swapped)
            .err()
            .unwrap()
            .to_string()
            .contains("lat_min")
    );
    let named = SensorCommunityConfig {
        countries: vec!["Netherlands".to_owned()],
        ..source.config()
    };
    assert!(
        SensorCommunity::new(named)
            .err()
            .unwrap()
            .to_string()
            .contains("NL")
    );
}

#[tokio::test]
async fn boxes_that_are_not_on_earth_are_refused() {
    let source = Source::start().await;
    for (area, word) in [
        ([51.7, 5.6, 91.0, 6.0], "-90 to 90"),
        ([-90.5, 5.6, 51.9, 6.0], "-90 to 90"),
        ([51.7, 5.6, 51.9, 180.5], "-180 to 180"),
        ([51.7, f64::NEG_INFINITY, 51.9, 6.0], "-180 to 180"),
        ([f64::NAN, 5.6, 51.9, 6.0], "lat_min"),
        ([51.7, 5.6, 51.9, f64::NAN], "lat_min"),
    ] {
        let config = SensorCommunityConfig {
            boxes: vec![area],
            ..source.config()
        };
        let error = SensorCommunity::new(config).err().unwrap().to_string();
        assert!(error.contains(word), "{area:?}: {error}");
    }
    let world = SensorCommunityConfig {
        boxes: vec![[-90.0, -180.0, 90.0, 180.0]],
        ..source.config()
    };
    assert!(SensorCommunity::new(world).is_ok());
}

#[test]
fn settings_that_cannot_be_read_are_named_with_an_example() {
    let read = |line: &str| {
        let text = format!("name = \"test\"\n{line}");
        toml::from_str::<SensorCommunityConfig>(&text)
    };
    for (line, words) in [
        ("sensors = [\"x\"]", ["`sensors`", "id = 5331"]),
        ("sensors = [{ number = 5 }]", ["`sensors`", "id = 5331"]),
        ("archive_from = \"soon\"", ["`archive_from`", "2026-01-31"]),
        (
            "archive_from = 2026-01-31",
            ["`archive_from`", "\"2026-01-31\""],
        ),
    ] {
        let error = read(line).unwrap_err().message().to_owned();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    let good = "archive_from = \"2026-01-31\"\nsensors = [5331, { id = 1, type = \"SDS011\" }]";
    let good = read(good).unwrap();
    assert_eq!(good.archive_from, Some("2026-01-31".parse().unwrap()));
    assert_eq!(good.sensors.len(), 2);
    assert_eq!(read("").unwrap().archive_from, None);
}
