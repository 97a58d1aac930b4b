use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use smartem_model::{Hour, StationId};
use smartem_points::{Chunk, FieldValue, MemoryPoints, Order, PointBatch, PointSource, SeriesKey};

use super::*;
use crate::{Access, Growing, Store};

mod place;
mod shared;

use place::{Place, on_both};

on_both!(
    what_is_read_is_what_was_written_whatever_happens_in_between,
    points_of_a_station_make_its_hours_and_nothing_else_does,
    newest_values_are_told_once_and_at_once,
    the_bytes_of_the_log_are_those_of_its_files,
    a_log_cut_short_gives_all_whole_entries,
    a_second_process_is_refused_and_a_new_mapping_takes_old_points,
    damage_within_the_log_loses_only_what_it_hit_and_is_kept_for_a_person,
    points_that_go_to_another_station_leave_the_former_one_without_them,
);

/// Numbers that are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

const START: i64 = 1_800_000_000_000_000_000;
const MINUTE: i64 = 60_000_000_000;

fn now() -> Timestamp {
    Timestamp::from_nanosecond(i128::from(START)).unwrap()
}

fn settings() -> PointsSettings {
    let mapping = StationMapping {
        station: NameFrom::Tag("box".to_owned()),
        station_type: TypeFrom::Fixed("vanilla".to_owned()),
        stations: std::collections::BTreeMap::new(),
    };
    let database = DatabaseSettings {
        name: "db".to_owned(),
        project: Some("p".to_owned()),
        network: "boxes".to_owned(),
        mapping: Some(mapping),
    };
    PointsSettings::new(vec![database], Arc::new(now))
}

/// Waits for what an abandoned handle had begun.
async fn reopened(store: &Store, settings: PointsSettings) -> Points {
    loop {
        match Points::open(store, settings.clone()).await {
            Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

fn batch(chance: &mut Chance) -> PointBatch {
    let mut batch = PointBatch::new();
    for _ in 0..chance.below(60) {
        let name = chance.below(4).to_string();
        let key = SeriesKey::new(
            if chance.below(2) == 0 { "air" } else { "noise" },
            [("box", &*name)],
        );
        let time =
            START + chance.below(3000).cast_signed() * MINUTE + chance.below(2).cast_signed();
        let mut fields = Vec::new();
        for field in ["a", "b", "c", "d"] {
            if chance.below(3) == 0 {
                continue;
            }
            let value = match field {
                "a" => FieldValue::Float(chance.below(1000) as f64 / 8.0),
                "b" if chance.below(30) == 0 => FieldValue::Boolean(true),
                "b" => FieldValue::Integer(chance.below(10).cast_signed() - 5),
                "c" => FieldValue::String(format!("text {}", chance.below(4)).into()),
                _ => FieldValue::Boolean(chance.below(2) == 0),
            };
            fields.push((field, value));
        }
        if !fields.is_empty() {
            batch.push(key, time, fields);
        }
    }
    batch
}

/// All rows of a range, value by value.
fn listed(
    source: &dyn PointSource,
    measurement: &str,
    range: std::ops::RangeInclusive<i64>,
    order: Order,
) -> Vec<String> {
    let mut all = Vec::new();
    for series in source.series("db", measurement) {
        let mut take = |chunk: &Chunk| {
            for (row, time) in chunk.times.iter().enumerate() {
                let cells: Vec<String> = chunk.columns.iter().map(|it| cell(it, row)).collect();
                all.push(format!("{:?} {time} {}", series.key, cells.join(" ")));
            }
            ControlFlow::Continue(())
        };
        source
            .scan(
                series.id,
                &["a", "c", "b", "no2"],
                range.clone(),
                order,
                &mut take,
            )
            .unwrap();
    }
    all
}

fn cell(cells: &smartem_points::Cells, row: usize) -> String {
    use smartem_points::Cells::{Absent, Booleans, Floats, Integers, Strings, Unsigned};
    match cells {
        Floats(cells) => format!("{:?}", cells[row]),
        Integers(cells) => format!("{:?}", cells[row]),
        Unsigned(cells) => format!("{:?}", cells[row]),
        Booleans(cells) => format!("{:?}", cells[row]),
        Strings(cells) => format!("{:?}", cells[row]),
        Absent => "None".to_owned(),
    }
}

fn newest(source: &dyn PointSource) -> Vec<String> {
    let mut all = Vec::new();
    for measurement in source.measurements("db") {
        for series in source.series("db", &measurement) {
            for (field, _) in source.fields("db", &measurement) {
                let newest = source.newest(series.id, &field).unwrap();
                all.push(format!("{:?} {field} {newest:?}", series.key));
            }
        }
    }
    all
}

fn assert_same(points: &Points, model: &MemoryPoints, chance: &mut Chance) {
    assert_eq!(points.measurements("db"), model.measurements("db"));
    for measurement in model.measurements("db") {
        assert_eq!(
            points.fields("db", &measurement),
            model.fields("db", &measurement)
        );
        let from = START + chance.below(3000).cast_signed() * MINUTE;
        let to = from + chance.below(1500).cast_signed() * MINUTE;
        for range in [i64::MIN..=i64::MAX, from..=to] {
            for order in [Order::Ascending, Order::Descending] {
                assert_eq!(
                    listed(points, &measurement, range.clone(), order),
                    listed(model, &measurement, range.clone(), order),
                );
            }
        }
    }
    assert_eq!(newest(points), newest(model));
}

async fn what_is_read_is_what_was_written_whatever_happens_in_between(place: Place) {
    // On a server each statement goes to another process and back.
    let seeds = if place.database.is_some() { 2 } else { 6 };
    for seed in 1..=seeds {
        let place = place.another();
        let mut chance = Chance(seed);
        let mut model = MemoryPoints::new();
        model.create_database("db");
        let (mut _store, mut points) = place.open().await;
        for _ in 0..60 {
            match chance.below(8) {
                0 => points.commit().await.unwrap(),
                1 => {
                    // As if killed: nothing is committed.
                    drop(points);
                    (_store, points) = place.open().await;
                }
                2 => {
                    points.engine.tidy().await.unwrap();
                }
                _ => {
                    let batch = batch(&mut chance);
                    let refused = model.write("db", &batch);
                    let report = points.write("db", batch.clone()).await.unwrap();
                    assert_eq!(report.refused.len(), refused.len());
                    assert_eq!(report.written, (batch.len() - refused.len()) as u64);
                }
            }
            if chance.below(5) == 0 {
                assert_same(&points, &model, &mut chance);
            }
        }
        points.close().await.unwrap();
        assert_same(&points, &model, &mut chance);
        drop(points);
        let (store, points) = place.open().await;
        assert_same(&points, &model, &mut chance);
        let check = store.check().await.unwrap();
        assert!(check.problems.is_empty(), "{:?}", check.problems);
    }
}

fn one(time: i64, name: &str, value: f64) -> PointBatch {
    let mut batch = PointBatch::new();
    let key = SeriesKey::new("air", [("box", name), ("room", "hall")]);
    batch.push(
        key,
        time,
        [
            ("no2", FieldValue::Float(value)),
            ("ok", FieldValue::Boolean(true)),
        ],
    );
    batch
}

async fn points_of_a_station_make_its_hours_and_nothing_else_does(place: Place) {
    let (store, points) = place.open().await;
    points
        .write("db", one(START + MINUTE, "7", 20.5))
        .await
        .unwrap();
    points
        .write("db", one(START + 90 * MINUTE, "7", 30.0))
        .await
        .unwrap();
    let mut stray = PointBatch::new();
    stray.push(
        SeriesKey::new("air", []),
        START,
        [("no2", FieldValue::Float(1.0))],
    );
    points.write("db", stray).await.unwrap();
    let station = StationId::new("7").unwrap();
    assert!(store.station(&station).await.unwrap().is_none());
    points.commit().await.unwrap();

    let seen = store.station(&station).await.unwrap().unwrap();
    assert_eq!((&*seen.network, &*seen.station_type), ("boxes", "vanilla"));
    assert_eq!(seen.project.as_deref(), Some("p"));
    let work = store
        .work(&station, 9, crate::Columns::All, Growing::No)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(work.hours.len(), 2);
    let json: serde_json::Value = serde_json::from_str(&work.hours[0].record.to_json()).unwrap();
    let time = Timestamp::from_nanosecond(i128::from(START + MINUTE)).unwrap();
    assert_eq!(
        json["data"]["timeseries"],
        serde_json::json!([
            {"time": time.to_string(), "box": "7", "room": "hall", "no2": 20.5, "ok": true}
        ])
    );
    let hour = Hour::containing(time).unwrap();
    assert_eq!(json["hour"], hour.of_day());
    assert_eq!(store.stations().await.unwrap().len(), 1);
    let (unmapped, _) = points.series_overview(None, 10, true);
    assert_eq!(unmapped.len(), 1);

    // A later point changes the hour, and only that.
    points
        .write("db", one(START + 2 * MINUTE, "7", 1.0))
        .await
        .unwrap();
    points.commit().await.unwrap();
    let again = store
        .work(&station, 9, crate::Columns::All, Growing::No)
        .await
        .unwrap()
        .unwrap();
    assert!(again.hours[0].revision > work.hours[0].revision);
    assert_eq!(again.hours[1].revision, work.hours[1].revision);
    assert_eq!(again.hours[0].record.samples.len(), 2);
}

async fn newest_values_are_told_once_and_at_once(place: Place) {
    let (_store, points) = place.open().await;
    points
        .write("db", one(START + MINUTE, "7", 20.5))
        .await
        .unwrap();
    points.write("db", one(START, "7", 10.0)).await.unwrap();
    points
        .write("db", one(START - 600 * MINUTE, "8", 1.0))
        .await
        .unwrap();
    let since = now() - jiff::SignedDuration::from_hours(2);
    let snapshots = points.fresh_snapshots(since).unwrap();
    let [snapshot] = snapshots.as_slice() else {
        panic!("{snapshots:?}")
    };
    let json: serde_json::Value = serde_json::from_str(&snapshot.record.to_json()).unwrap();
    assert_eq!(json["device_id"], "7");
    assert_eq!(json["data"]["timeseries"][0]["no2"], 20.5);
    assert!(points.fresh_snapshots(since).unwrap().is_empty());
}

async fn the_bytes_of_the_log_are_those_of_its_files(place: Place) {
    let (_store, points) = place.open().await;
    let empty = points.log_bytes().unwrap();
    points.write("db", one(START, "7", 1.0)).await.unwrap();
    let folder = place.dir.path().join("points");
    let length = |path| std::fs::metadata(path).unwrap().len();
    let of_files = || -> u64 {
        let files = std::fs::read_dir(&folder).unwrap();
        files.map(|it| length(it.unwrap().path())).sum()
    };
    let written = points.log_bytes().unwrap();
    assert!(written >= empty + 20, "{empty} bytes, then {written}");
    assert_eq!(written, of_files());
    // What a person should look at takes room too.
    std::fs::write(folder.join("0000000000000001.log.damaged"), [0; 1000]).unwrap();
    assert_eq!(points.log_bytes().unwrap(), written + 1000);
}

async fn a_log_cut_short_gives_all_whole_entries(place: Place) {
    let (_store, points) = place.open().await;
    for minute in 0..5 {
        points
            .write("db", one(START + minute * MINUTE, "7", 1.0))
            .await
            .unwrap();
    }
    drop(points);
    let folder = place.dir.path().join("points");
    let segment = *log::segments(&folder).unwrap().last().unwrap();
    let path = log::path_of(&folder, segment);
    let bytes = std::fs::read(&path).unwrap();
    for length in (0..bytes.len()).rev().step_by(3) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let (_store, points) = place.open().await;
        let count = listed(&points, "air", i64::MIN..=i64::MAX, Order::Ascending).len();
        assert!(count <= 5);
        if length == bytes.len() - 1 {
            assert_eq!(count, 4, "only the last entry was cut");
        }
        drop(points);
    }
}

async fn a_second_process_is_refused_and_a_new_mapping_takes_old_points(place: Place) {
    let (store, points) = place.open().await;
    assert!(matches!(
        Points::open(&store, settings()).await,
        Err(StoreError::InUse { .. })
    ));
    assert!(points.create_database("late").await.unwrap());
    assert!(!points.create_database("late").await.unwrap());
    assert!(points.create_database("a/b").await.is_err());
    points.write("late", one(START, "9", 1.0)).await.unwrap();
    assert!(matches!(
        points.write("nowhere", one(START, "9", 1.0)).await,
        Err(PointsError::NoDatabase { .. })
    ));
    points.close().await.unwrap();
    drop(points);
    let mut now_mapped = settings();
    let mut database = now_mapped.databases[0].clone();
    "late".clone_into(&mut database.name);
    now_mapped.databases.push(database);
    let points = reopened(&store, now_mapped).await;
    let station = StationId::new("9").unwrap();
    let hour = Hour::containing(now()).unwrap();
    let record = store.raw_record(&station, hour).await.unwrap().unwrap();
    assert_eq!(record.samples.len(), 1);
    drop(points);
}

async fn damage_within_the_log_loses_only_what_it_hit_and_is_kept_for_a_person(place: Place) {
    let (_store, points) = place.open().await;
    for minute in 0..30 {
        points
            .write("db", one(START + minute * MINUTE, "7", 1.0))
            .await
            .unwrap();
    }
    drop(points);
    let folder = place.dir.path().join("points");
    let path = log::path_of(&folder, *log::segments(&folder).unwrap().last().unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xFF;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(check_log(place.dir.path()).len(), 1);
    let (store, points) = place.open().await;
    let count = listed(&points, "air", i64::MIN..=i64::MAX, Order::Ascending).len();
    assert_eq!(count, 29);
    points.close().await.unwrap();
    drop(points);
    assert_eq!(
        std::fs::read(path.with_extension("log.damaged")).unwrap(),
        bytes
    );
    let check = store.check().await.unwrap();
    assert!(check.problems.is_empty(), "{:?}", check.problems);
}

async fn points_that_go_to_another_station_leave_the_former_one_without_them(place: Place) {
    let (store, points) = place.open().await;
    points.write("db", one(START, "7", 20.5)).await.unwrap();
    points.close().await.unwrap();
    drop(points);
    let mut renamed = settings();
    let mapping = renamed.databases[0].mapping.as_mut().unwrap();
    mapping.stations = [("7".to_owned(), "seven".to_owned())].into();
    let points = reopened(&store, renamed).await;
    let samples = async |id: &str| {
        let station = StationId::new(id).unwrap();
        let work = store
            .work(&station, 9, crate::Columns::All, Growing::No)
            .await
            .unwrap()
            .unwrap();
        work.hours[0].record.samples.len()
    };
    assert_eq!(samples("7").await, 0);
    assert_eq!(samples("seven").await, 1);
    drop(points);
}
