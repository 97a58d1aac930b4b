//! Millions of SensorThings observations: how long the questions take that maps and charts ask most.
//!
//!     cargo run --release -p smartem-store --example sta_at_scale -- DIR [URL] [OBSERVATIONS]
//!
//! With the address of an empty PostgreSQL database that is measured, else the embedded store in the folder.
//! 1000 stations of five refined datastreams each, and as many datastreams of clients; what is there already
//! is not written again, so a second call only reads.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use smartem_sta::{Answer, Expansion, Page, Query, ResourcePath, Version};
use smartem_store::{Access, PostgresSettings, ReadLimits, Store};

const STATIONS: i64 = 1000;
/// Of each kind, of a station.
const DATASTREAMS: i64 = 5;
const REPEATED: usize = 41;

/// Stations and series; the store makes the entities of them when it is opened.
const STATIONS_SQLITE: &str = "
    WITH RECURSIVE k (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < 1000)
        INSERT INTO station (key, id, station_type, network, first_seen)
        SELECT n, CAST(20010000 + n AS TEXT), 'jose', 'scale', 0 FROM k;
    INSERT INTO location (station_key, valid_from, lon, lat) SELECT key, 482136, 5 + key / 1000.0, 51.84 FROM station;
    INSERT INTO term (key, text) VALUES (1, 'jose/1');
    WITH d (n, indicator) AS (VALUES (0, 'no2'), (1, 'o3'), (2, 'co'), (3, 'temperature'), (4, 'noiseavg'))
        INSERT INTO series (key, station_key, indicator, sensor, unit, label, observations, first_time, last_time)
        SELECT (s.key - 1) * 5 + n + 1, s.key, indicator, 'sensor', 'ug/m3', indicator, {hours}, 482136 * 3600000000,
            (482136 + {hours}) * 3600000000 FROM station s, d;";
const OBSERVATIONS_SQLITE: &str = "
    WITH RECURSIVE k (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < {hours} - 1)
        INSERT INTO observation (series_key, start_time, end_time, value, min, max, accepted, rejected, coverage,
            flags, lon, lat, definition)
        SELECT s.key, (482136 + n) * 3600000000, (482137 + n) * 3600000000, n / 3.0, 0.5, 99.5, 180, 3, 0.9, 0,
            5.5, 51.84, 1 FROM series s CROSS JOIN k ORDER BY s.key, n;
    WITH d (n) AS (VALUES (0), (1), (2), (3), (4))
        INSERT INTO sta_datastream (is_refined, thing_id, sensor_id, name, description, observation_type, unit,
            observations, next_n, phenomenon_start, phenomenon_end)
        SELECT 0, t.id, 1, 'made' || n, 'of a client', 'any', '{\"name\": \"degree\"}', {hours}, {hours} + 1,
            482136 * 3600000000, (482136 + {hours}) * 3600000000 FROM sta_thing t, d ORDER BY t.id, n;
    WITH RECURSIVE k (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n < {hours} - 1)
        INSERT INTO sta_observation (datastream_id, start_time, n, result)
        SELECT d.id, (482136 + k.n) * 3600000000, k.n + 1, k.n / 3.0
        FROM sta_datastream d CROSS JOIN k WHERE NOT d.is_refined ORDER BY d.id, k.n;
    ANALYZE;";

const STATIONS_POSTGRES: &str = "
    INSERT INTO smartem.station (key, id, station_type, network, first_seen)
        SELECT n, (20010000 + n)::text, 'jose', 'scale', now() FROM generate_series(1, 1000) n;
    INSERT INTO smartem.location (station_key, valid_from, lon, lat)
        SELECT key, timestamptz '2025-01-01 00:00Z', 5 + key / 1000.0, 51.84 FROM smartem.station;
    INSERT INTO smartem.term (key, text) VALUES (1, 'jose/1');
    INSERT INTO smartem_refined.series (key, station_key, indicator, sensor, unit, label, observations, first_time,
            last_time)
        SELECT (s.key - 1) * 5 + n + 1, s.key, indicator, 'sensor', 'ug/m3', indicator, {hours}, timestamptz '2025-01-01 00:00Z',
            timestamptz '2025-01-01 00:00Z' + {hours} * interval '1 hour'
        FROM smartem.station s, (VALUES (0, 'no2'), (1, 'o3'), (2, 'co'), (3, 'temperature'), (4, 'noiseavg'))
            AS d (n, indicator);";
const OBSERVATIONS_POSTGRES: &str = "
    SELECT smartem_refined.ensure_month(timestamptz '2025-01-01 00:00Z' + n * interval '1 month')
        FROM generate_series(0, {hours} / 700) n;
    INSERT INTO smartem_refined.observation (series_key, start_time, end_time, value, min, max, accepted, rejected,
            coverage, flags, point, definition)
        SELECT s.key, timestamptz '2025-01-01 00:00Z' + n * interval '1 hour',
            timestamptz '2025-01-01 00:00Z' + (n + 1) * interval '1 hour', n / 3.0, 0.5, 99.5, 180, 3, 0.9, 0,
            ST_SetSRID(ST_MakePoint(5.5, 51.84), 4326), 1
        FROM generate_series(1, 5000) s (key), generate_series(0, {hours} - 1) n;
    INSERT INTO smartem_sta.datastream (id, is_refined, thing_id, sensor_id, name, description, observation_type,
            unit, observations, next_n, phenomenon_start, phenomenon_end)
        SELECT 10000 + (row_number() OVER (ORDER BY t.id, n)), false, t.id, 1, 'made' || n, 'of a client', 'any',
            '{\"name\": \"degree\"}', {hours}, {hours} + 1, timestamptz '2025-01-01 00:00Z',
            timestamptz '2025-01-01 00:00Z' + {hours} * interval '1 hour'
        FROM smartem_sta.thing t, generate_series(0, 4) n;
    INSERT INTO smartem_sta.observation (datastream_id, start_time, n, result)
        SELECT d.id, timestamptz '2025-01-01 00:00Z' + n * interval '1 hour', n + 1, n / 3.0
        FROM smartem_sta.datastream d, generate_series(0, {hours} - 1) n WHERE NOT d.is_refined;
    ANALYZE;";

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("name a folder");
    let (mut url, mut observations) = (None, 10_000_000);
    for argument in arguments {
        match argument.parse::<i64>() {
            Ok(number) => observations = number,
            Err(_) => url = Some(argument),
        }
    }
    let hours = observations / STATIONS / DATASTREAMS / 2;
    let dir = Path::new(&dir);
    let store = open(dir, url.as_deref()).await;
    if total(&store).await == 0 {
        let began = Instant::now();
        run(
            dir,
            url.as_deref(),
            STATIONS_SQLITE,
            STATIONS_POSTGRES,
            hours,
        )
        .await;
        drop(store);
        // Opening makes the entities of the stations.
        drop(open(dir, url.as_deref()).await);
        run(
            dir,
            url.as_deref(),
            OBSERVATIONS_SQLITE,
            OBSERVATIONS_POSTGRES,
            hours,
        )
        .await;
        println!("written in {:.0} s", began.elapsed().as_secs_f64());
    }
    let store = open(dir, url.as_deref()).await;
    println!("{} observations", total(&store).await);
    measure(&store, hours).await;
}

async fn open(dir: &Path, url: Option<&str>) -> Store {
    let access = Access::Create {
        now: Timestamp::UNIX_EPOCH,
    };
    let store = match url {
        Some(url) => Store::connect(dir, &PostgresSettings::new(url), access).await,
        None => Store::open(dir, access).await,
    };
    store.unwrap()
}

async fn run(dir: &Path, url: Option<&str>, sqlite: &str, postgres: &str, hours: i64) {
    let with_hours = |script: &str| script.replace("{hours}", &hours.to_string());
    let Some(url) = url else {
        let connection = rusqlite::Connection::open(dir.join("smartem.sqlite")).unwrap();
        connection
            .execute_batch("PRAGMA synchronous = OFF; BEGIN")
            .unwrap();
        connection.execute_batch(&with_hours(sqlite)).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        return;
    };
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&with_hours(postgres)).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
}

async fn total(store: &Store) -> u64 {
    match ask(store, "Observations/$count").await {
        Answer::Count(count) => count,
        other => panic!("{other:?}"),
    }
}

async fn ask(store: &Store, url: &str) -> Answer {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let path = ResourcePath::parse(path, Version::V1_1).unwrap();
    let query = Query::parse(query, path.entity_type(), Version::V1_1, path.is_single()).unwrap();
    let limits = ReadLimits::at(Timestamp::UNIX_EPOCH);
    store.sta_read(&path, &query, &limits).await.unwrap()
}

async fn measure(store: &Store, hours: i64) {
    let Answer::Many(deep) = ask(store, "Observations?$skip=5000000").await else {
        panic!("no page");
    };
    let key = deep
        .next
        .map_or_else(String::new, |it| format!("&$skiptoken={}", it.0));
    let deep = hours * STATIONS * DATASTREAMS;
    let end = Timestamp::from_second((482_136 + hours / 2) * 3600).unwrap();
    let start = Timestamp::from_second((482_136 + hours / 4) * 3600).unwrap();
    let between = format!("phenomenonTime ge {start} and phenomenonTime lt {end}");
    for (what, url) in [
        ("one observation of a named datastream of every thing",
            "Things?$top=1000&$expand=Datastreams($filter=name eq 'no2';$expand=Observations($top=1;\
             $orderby=phenomenonTime desc))".to_owned()),
        ("the newest observation of every datastream",
            "Datastreams?$top=10000&$expand=Observations($top=1;$orderby=phenomenonTime desc)".to_owned()),
        ("the first page of things", "Things".to_owned()),
        ("the first page of observations", "Observations".to_owned()),
        ("a page in the middle of all observations", format!("Observations?$skip={deep}")),
        ("a page behind a link", format!("Observations?$top=100{key}")),
        ("the number of all observations", "Observations/$count".to_owned()),
        ("the number of observations of a datastream in a time",
            format!("Datastreams(777)/Observations?$count=true&$top=0&$filter={between}")),
        ("a quarter of a datastream", format!("Datastreams(777)/Observations?$top=10000&$filter={between}")),
        ("averages of a datastream by days", "Datastreams(777)/Observations?resample=1d".to_owned()),
        ("the newest observations of all", "Observations?$top=10&$orderby=phenomenonTime desc".to_owned()),
    ] {
        let mut times = Vec::new();
        let mut rows = 0;
        let began = Instant::now();
        for _ in 0..REPEATED {
            let start = Instant::now();
            rows = size(&ask(store, &url).await);
            times.push(start.elapsed());
            // What takes long is measured less often.
            if began.elapsed() > Duration::from_secs(20) {
                break;
            }
        }
        times.sort_unstable();
        let median = times[times.len() / 2].as_secs_f64() * 1000.0;
        println!("{median:>10.2} ms  {rows:>6} rows  {what}");
    }
}

fn size(answer: &Answer) -> usize {
    match answer {
        Answer::Many(page) => in_page(page),
        Answer::One(one) => usize::from(one.is_some()),
        Answer::Rows(rows, _) => rows.len(),
        Answer::Count(_) => 1,
    }
}

fn in_page(page: &Page) -> usize {
    let within = page
        .entities
        .iter()
        .flat_map(|it| &it.expanded)
        .map(|it| match &it.content {
            Expansion::One(one) => usize::from(one.is_some()),
            Expansion::Many(page) => in_page(page),
        });
    page.entities.len() + within.sum::<usize>()
}
