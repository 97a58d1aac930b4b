//! Collectors of several machines, one after the other, on one database.

use smartem_simulate::postgres::Postgres;

use super::*;
use crate::PostgresSettings;
use crate::points::rows::Rows;

/// All rows of a measurement, without the numbers of series.
fn rows(points: &Points, measurement: &str) -> Vec<String> {
    listed(points, measurement, i64::MIN..=i64::MAX, Order::Ascending)
}

fn point(
    measurement: &str,
    name: &str,
    time: i64,
    fields: &[(&str, FieldValue<'static>)],
) -> PointBatch {
    let mut batch = PointBatch::new();
    let key = SeriesKey::new(measurement, [("box", name)]);
    batch.push(key, time, fields.iter().cloned());
    batch
}

fn float(name: &str, value: f64) -> (&str, FieldValue<'static>) {
    (name, FieldValue::Float(value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_on_another_machine_is_refused_while_there_is_one() {
    let here = Place::postgres();
    let there = here.elsewhere();
    let (_store, points) = here.open().await;
    let store = there.store().await;
    for _ in 0..3 {
        let refused = Points::open(&store, settings()).await;
        assert!(matches!(refused, Err(StoreError::InUse { .. })));
    }
    points.close().await.unwrap();
    let opened = Points::open(&store, settings()).await.unwrap();
    // The first one has closed, so what it gets now is not its own to commit.
    points.write("db", one(START, "7", 1.0)).await.unwrap();
    assert!(matches!(
        points.commit().await,
        Err(StoreError::InUse { .. })
    ));
    opened.close().await.unwrap();
    assert_eq!(
        here.psql("SELECT count(*) FROM smartem_raw.point_block"),
        "0"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_lost_its_lease_commits_nothing_and_takes_no_more() {
    let place = Place::postgres();
    let (_store, points) = place.open().await;
    points.write("db", one(START, "7", 1.0)).await.unwrap();
    place.psql("UPDATE smartem.lease SET holder = 'another-1'");
    for _ in 0..2 {
        assert!(matches!(
            points.commit().await,
            Err(StoreError::InUse { .. })
        ));
    }
    let written = place.psql(
        "SELECT count(*), (SELECT count(*) FROM smartem.station),
            (SELECT value FROM smartem.meta WHERE key = 'change') FROM smartem_raw.point_block",
    );
    assert_eq!(written, "0|0|0");
    assert!(points.trouble().unwrap().contains("another collector"));
    let refused = points.write("db", one(START, "7", 2.0)).await;
    assert!(matches!(refused, Err(PointsError::Unavailable { .. })));
    assert_eq!(rows(&points, "air").len(), 1, "it can still be read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_left_is_taken_up_under_other_numbers_when_another_has_gone_on() {
    let here = Place::postgres();
    let there = here.elsewhere();
    let (store, points) = here.open().await;
    let first = point("air", "1", START, &[float("a", 1.0)]);
    points.write("db", first).await.unwrap();
    points.commit().await.unwrap();
    // What is not committed: more of the known series, new fields, series and measurements.
    for batch in [
        point("air", "1", START + 1, &[float("a", 2.0), float("b", 3.0)]),
        point("noise", "1", START + 2, &[float("no2", 4.0)]),
        point("air", "2", START + 3, &[float("c", 5.0), float("a", 6.0)]),
    ] {
        points.write("db", batch).await.unwrap();
    }
    drop((points, store));

    let (store, points) = loop {
        // The lease of the first is given back in the background.
        let store = there.store().await;
        match Points::open(&store, settings()).await {
            Ok(points) => break (store, points),
            Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    for batch in [
        point("rain", "9", START, &[float("a", 7.0)]),
        point(
            "air",
            "9",
            START,
            &[("c", FieldValue::String("text".into())), float("no2", 8.0)],
        ),
        point("noise", "9", START, &[float("b", 9.0), float("no2", 10.0)]),
    ] {
        points.write("db", batch).await.unwrap();
    }
    points.close().await.unwrap();
    drop((points, store));

    let (store, points) = here.open().await;
    let all = |measurement: &str| {
        let mut all = rows(&points, measurement);
        all.sort();
        all.join("\n")
    };
    let row = |key: SeriesKey, time: i64, cells: &str| format!("{key:?} {time} {cells}");
    let key = |measurement: &str, name: &str| SeriesKey::new(measurement, [("box", name)]);
    // The columns a, c, b, no2; the value of `c` that is no text is left out.
    let air = [
        row(key("air", "1"), START, "Some(1.0) None None None"),
        row(key("air", "1"), START + 1, "Some(2.0) None Some(3.0) None"),
        row(key("air", "2"), START + 3, "Some(6.0) None None None"),
        row(key("air", "9"), START, "None Some(\"text\") None Some(8.0)"),
    ];
    assert_eq!(all("air"), air.join("\n"));
    let noise = [
        row(key("noise", "1"), START + 2, "None None None Some(4.0)"),
        row(key("noise", "9"), START, "None None Some(9.0) Some(10.0)"),
    ];
    assert_eq!(all("noise"), noise.join("\n"));
    let rain = row(key("rain", "9"), START, "Some(7.0) None None None");
    assert_eq!(all("rain"), rain);
    let station = StationId::new("2").unwrap();
    assert!(store.station(&station).await.unwrap().is_some());
    let check = store.check().await.unwrap();
    assert!(check.problems.is_empty(), "{:?}", check.problems);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_made_twice_is_one() {
    let place = Place::postgres();
    let store = place.store().await;
    let backend = store.backend();
    let folder = place.dir.path().to_owned();
    let _lease = backend.collect(folder).await.unwrap().unwrap();
    let mut batch = PointBatch::new();
    batch.push(
        SeriesKey::new("air", []),
        START,
        [float("no2", 1.0), float("o3", 2.0)],
    );
    let mut of_series = Rows::default();
    of_series.push(batch.points().next().unwrap(), &[0, 1]);
    let flush = || Flush {
        now: now(),
        segment: 3,
        definitions: Vec::new(),
        stations: std::collections::BTreeMap::new(),
        blocks: blocks(0, &of_series, false).unwrap(),
        hours: record::HoursByStation::new(),
    };
    place.psql(
        "INSERT INTO smartem_raw.point_database VALUES (0, 'db');
         INSERT INTO smartem_raw.point_measurement VALUES (0, 0, 'air');
         INSERT INTO smartem_raw.point_series (number, measurement, tags) VALUES (0, 0, '[]')",
    );
    for _ in 0..2 {
        backend.commit_points(flush()).await.unwrap();
    }
    let kept = place.psql(
        "SELECT count(*), (SELECT value FROM smartem.meta WHERE key = 'points_segment')
         FROM smartem_raw.point_block",
    );
    assert_eq!(kept, "1|3");
}

#[tokio::test]
async fn names_come_back_as_they_were_and_a_runtime_of_one_thread_may_block() {
    let place = Place::postgres();
    let (store, points) = place.open().await;
    let mut batch = PointBatch::new();
    let odd = "a\0b\\0\\";
    let key = SeriesKey::new(odd, [(odd, odd), ("box", "7")]);
    batch.push(key.clone(), START, [(odd, FieldValue::Float(1.0))]);
    let unfit = SeriesKey::new("air", [("box", odd)]);
    batch.push(unfit, START, [(odd, FieldValue::String(odd.into()))]);
    points.write("db", batch).await.unwrap();
    points.close().await.unwrap();
    drop((points, store));
    let (store, points) = place.open().await;
    let [series] = &points.series("db", odd)[..] else {
        panic!("{:?}", points.measurements("db"))
    };
    assert_eq!(*series.key, key);
    let newest = points.newest(series.id, odd).unwrap();
    assert_eq!(newest, Some((START, FieldValue::Float(1.0))));
    let station = StationId::new("7").unwrap();
    let hour = Hour::containing(now()).unwrap();
    let record = store.raw_record(&station, hour).await.unwrap().unwrap();
    let json: serde_json::Value = serde_json::from_str(&record.to_json()).unwrap();
    // A field stands where a tag has the same name.
    assert_eq!(json["data"]["timeseries"][0][odd], 1.0);
    assert_eq!(store.stations().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_series_that_came_while_its_station_could_not_be_looked_up_finds_it_later() {
    let place = Place::postgres();
    let (store, points) = place.open().await;
    place.psql("ALTER TABLE smartem.station RENAME TO station_away");
    points.write("db", one(START, "7", 1.0)).await.unwrap();
    let unmapped = || points.series_overview(None, 9, true).0.len();
    assert_eq!(unmapped(), 1);
    place.psql("ALTER TABLE smartem.station_away RENAME TO station");
    while unmapped() > 0 {
        points.commit().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let station = StationId::new("7").unwrap();
    let work = store
        .work(&station, 9, crate::Columns::All, Growing::No)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(work.hours[0].record.samples.len(), 1);
    drop(points);
    let points = reopened(&store, settings()).await;
    assert!(points.series_overview(None, 9, true).0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_server_loses_nothing() {
    let mut server = Postgres::start().unwrap();
    let database = server.create_database().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = PostgresSettings::new(database.url());
    let access = Access::Create { now: now() };
    let store = Store::connect(dir.path(), &url, access).await.unwrap();
    let points = Points::open(&store, settings()).await.unwrap();
    for minute in 0..3 {
        let batch = one(START + minute * MINUTE, "7", 1.0);
        points.write("db", batch).await.unwrap();
        points.commit().await.unwrap();
        assert_eq!(
            rows(&points, "air").len(),
            usize::try_from(minute).unwrap() + 1
        );
        server.restart().unwrap();
    }
    assert_eq!(rows(&points, "air").len(), 3);
    points.close().await.unwrap();
}
