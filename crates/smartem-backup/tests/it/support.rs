use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use smartem_backup::store::{
    Made, MakeSettings, RestoreSettings, Restored, back_up, restore, verify,
};
use smartem_backup::{BackupError, Credentials, Repository, Target, Watch};
use smartem_points::{FieldValue, PointBatch, SeriesKey};
use smartem_store::{Access, Points, PointsSettings, Store};
use tokio_util::sync::CancellationToken;

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn watch() -> Watch {
    Watch::quiet(CancellationToken::new())
}

pub(crate) async fn open(dir: &Path) -> (Store, Points) {
    let now = time("2026-11-28T00:00:00Z");
    let store = Store::open(dir, Access::Create { now }).await.unwrap();
    let settings = PointsSettings::new(Vec::new(), Arc::new(move || now));
    let points = Points::open(&store, settings).await.unwrap();
    points.create_database("d").await.unwrap();
    (store, points)
}

/// Points of a series, one a second, whose values nothing compresses.
pub(crate) async fn write(points: &Points, series: &str, seconds: std::ops::Range<i64>) {
    let mut batch = PointBatch::new();
    for second in seconds {
        let noise = second.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
        let value = (noise >> 11) as f64 / 9_007_199_254_740_992.0;
        batch.push(
            SeriesKey::new("air", [("station", series)]),
            second * 1_000_000_000,
            [("no2", FieldValue::Float(value))],
        );
    }
    let report = points.write("d", batch).await.unwrap();
    assert!(report.refused.is_empty());
}

/// How many points a series has.
pub(crate) fn count(points: &Points, series: &str) -> usize {
    use smartem_points::{Order, PointSource};
    let found = points.series("d", "air");
    let Some(found) = found
        .iter()
        .find(|it| it.key.tag("station") == Some(series))
    else {
        return 0;
    };
    let mut rows = 0;
    points
        .scan(
            found.id,
            &["no2"],
            i64::MIN..=i64::MAX,
            Order::Ascending,
            &mut |chunk| {
                rows += chunk.times.len();
                std::ops::ControlFlow::Continue(())
            },
        )
        .unwrap();
    rows
}

pub(crate) fn repository(place: &Path) -> Repository {
    repository_at(place.to_str().unwrap(), &Credentials::default())
}

pub(crate) fn repository_at(place: &str, credentials: &Credentials) -> Repository {
    Repository::new(Target::open(place, credentials, true).unwrap())
}

pub(crate) async fn make(store: &Store, repository: &Repository, now: &str) -> Made {
    let settings = MakeSettings {
        now: time(now),
        program: "test".to_owned(),
        scratch: None,
    };
    back_up(store, repository, &settings, &watch())
        .await
        .unwrap()
}

pub(crate) async fn put_back(
    repository: &Repository,
    dir: &Path,
    as_of: Option<&str>,
    replace: bool,
) -> Result<Restored, BackupError> {
    let settings = RestoreSettings {
        dir: dir.to_owned(),
        as_of: as_of.map(time),
        replace,
        now: time("2026-12-24T12:00:00Z"),
    };
    restore(repository, &settings, &watch()).await
}

pub(crate) async fn look(repository: &Repository, scratch: &Path) -> Result<Restored, BackupError> {
    let now = time("2026-12-24T12:00:00Z");
    let nothing = async |_| Ok(Vec::new());
    verify(repository, scratch, None, now, &watch(), nothing).await
}

/// All files below a folder, by name.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Changes one bit in the middle of a file.
pub(crate) fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(file, bytes).unwrap();
}
