use super::TIMES;
use crate::{PointBatch, SeriesKey};

/// The name that InfluxDB keeps for itself.
const TIME: &str = "time";

/// A point that InfluxDB reads but does not keep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reserved {
    /// It has a tag with the name `time`.
    #[error("invalid tag key: input tag \"time\" on measurement \"{measurement}\" is invalid")]
    Tag {
        /// Its line, counted from 1.
        line: u32,
        /// Its measurement.
        measurement: Box<str>,
    },
    /// Its only field has the name `time`.
    #[error("invalid field name: input field \"time\" on measurement \"{measurement}\" is invalid")]
    Field {
        /// Its line, counted from 1.
        line: u32,
        /// Its measurement.
        measurement: Box<str>,
    },
    /// Its time is one of the three that InfluxDB needs for itself, at both ends of what 64 bits hold.
    #[error("time {time} is outside the range [{}, {}]", TIMES.start(), TIMES.end())]
    Time {
        /// Its line, counted from 1.
        line: u32,
        /// Nanoseconds since 1970.
        time: i64,
    },
}

/// Takes out fields `time`, points that have no other field or have a tag `time`, and points of a
/// reserved time.
///
/// Gives the points taken out; a field `time` beside others goes without a word, as in InfluxDB.
pub fn take_reserved(batch: &mut PointBatch) -> Vec<Reserved> {
    let named_time = |key: &SeriesKey| key.tag(TIME).is_some();
    let in_fields = batch.fields().iter().any(|name| **name == *TIME);
    let in_tags = batch.series().iter().any(named_time);
    if !in_fields && !in_tags && batch.points().all(|point| TIMES.contains(&point.time)) {
        return Vec::new();
    }
    let mut kept = PointBatch::new();
    let mut taken = Vec::new();
    for point in batch.points() {
        let key = &batch.series()[point.series.index()];
        let (line, measurement) = (point.line, key.measurement.clone());
        if named_time(key) {
            taken.push(Reserved::Tag { line, measurement });
            continue;
        }
        if !TIMES.contains(&point.time) {
            let time = point.time;
            taken.push(Reserved::Time { line, time });
            continue;
        }
        let mut fields = 0;
        for (field, value) in point.fields() {
            let name = &batch.fields()[field.index()];
            if **name != *TIME {
                let field = kept.add_field(name);
                kept.push_field(field, &value);
                fields += 1;
            }
        }
        if fields == 0 {
            taken.push(Reserved::Field { line, measurement });
        } else {
            let series = kept.add_series(key.clone());
            kept.end_point(series, point.time, line);
        }
    }
    *batch = kept;
    taken
}
