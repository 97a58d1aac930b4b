//! Points into the store until they are committed, and back: `cargo bench --bench points`.
//!
//! 500 stations of 8 fields a minute, and 10,000 series of one field; prints values per second and
//! bytes on disk per value.

#![allow(
    missing_docs,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout
)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use smartem_points::{FieldValue, Order, PointBatch, PointSource, SeriesKey};
use smartem_store::{
    Access, DatabaseSettings, NameFrom, Points, PointsSettings, StationMapping, Store, TypeFrom,
};

const START: i64 = 1_800_000_000_000_000_000;
const MINUTE: i64 = 60_000_000_000;
const FIELDS: [&str; 8] = [
    "temperature",
    "humidity",
    "pressure",
    "pm10",
    "pm2_5",
    "no2",
    "o3",
    "noise",
];

/// A walk of one decimal, as instruments give it.
struct Walk(u64);

impl Walk {
    fn step(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 40) % 21) as f64 - 10.0
    }
}

fn now() -> Timestamp {
    Timestamp::from_nanosecond(i128::from(START)).unwrap()
}

async fn open(dir: &std::path::Path) -> (Store, Points) {
    let store = Store::open(dir, Access::Create { now: now() })
        .await
        .unwrap();
    let database = DatabaseSettings {
        name: "db".to_owned(),
        project: None,
        network: "boxes".to_owned(),
        mapping: Some(StationMapping {
            station: NameFrom::Tag("station".to_owned()),
            station_type: TypeFrom::Fixed("vanilla".to_owned()),
            stations: std::collections::BTreeMap::new(),
        }),
    };
    let settings = PointsSettings::new(vec![database], Arc::new(now));
    let points = Points::open(&store, settings).await.unwrap();
    (store, points)
}

async fn load(title: &str, stations: usize, fields: &[&str], minutes: i64, batch_size: usize) {
    let dir = tempfile::tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let (_store, points) = open(dir.path()).await;
    let mut walk = Walk(88_172_645_463_325_252);
    let mut levels = vec![200.0; stations * fields.len()];
    let keys: Vec<SeriesKey> = (0..stations)
        .map(|station| SeriesKey::new("air", [("station", &*format!("s{station:05}"))]))
        .collect();
    let (mut waited, mut values) = (std::time::Duration::ZERO, 0_u64);
    let mut batch = PointBatch::new();
    for minute in 0..minutes {
        for (station, key) in keys.iter().enumerate() {
            let time = START + minute * MINUTE;
            let levels = &mut levels[station * fields.len()..][..fields.len()];
            let row = fields.iter().zip(levels).map(|(name, level)| {
                *level = (*level + walk.step()).abs();
                (*name, FieldValue::Float(*level / 10.0))
            });
            batch.push(key.clone(), time, row);
            if batch.len() == batch_size {
                let batch = std::mem::take(&mut batch);
                values += batch.values() as u64;
                let start = Instant::now();
                points.write("db", batch).await.unwrap();
                waited += start.elapsed();
            }
        }
    }
    let start = Instant::now();
    points.close().await.unwrap();
    waited += start.elapsed();
    let size: u64 = ["smartem.sqlite", "smartem.sqlite-wal"]
        .iter()
        .filter_map(|name| Some(std::fs::metadata(dir.path().join(name)).ok()?.len()))
        .sum();
    println!(
        "{title}: {:.2} M values/s, {:.2} bytes a value ({values} values)",
        values as f64 / waited.as_secs_f64() / 1e6,
        size as f64 / values as f64
    );
    if let Ok(keep) = std::env::var("KEEP") {
        std::fs::copy(dir.path().join("smartem.sqlite"), keep).unwrap();
    }
    let series = points.series("db", "air");
    let start = Instant::now();
    let mut rows = 0;
    let day = START..=START + 1440 * MINUTE;
    points
        .scan(
            series[7].id,
            &[fields[0]],
            day,
            Order::Ascending,
            &mut |chunk| {
                rows += chunk.times.len();
                ControlFlow::Continue(())
            },
        )
        .unwrap();
    let scanned = start.elapsed();
    let start = Instant::now();
    for series in &series {
        points.newest(series.id, fields[0]).unwrap();
    }
    println!(
        "  a day of one station ({rows} rows) {scanned:?}, newest of all {:?}",
        start.elapsed()
    );
}

#[tokio::main]
async fn main() {
    let scale: i64 = std::env::var("MINUTES").map_or(2880, |it| it.parse().unwrap());
    if std::env::var("ONLY").is_err() {
        load("500 stations of 8 fields", 500, &FIELDS, scale, 5_000).await;
    }
    load(
        "10,000 series of 1 field",
        10_000,
        &FIELDS[..1],
        scale / 4,
        10_000,
    )
    .await;
}
