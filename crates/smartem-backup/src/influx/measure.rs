//! What is in a database, in numbers that two databases share only when they hold the same.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use smartem_influxdb::Server;
use smartem_points::{FieldValue, PointBatch, SeriesKey};

use crate::BackupError;
use crate::transfer::Watch;

/// A measurement of one retention policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Points.
    pub points: u64,
    /// Values by field.
    pub fields: BTreeMap<String, u64>,
    /// The first time, in nanoseconds since 1970.
    pub first: Option<i64>,
    /// The last time.
    pub last: Option<i64>,
    /// Over series, times, fields, types and values, whatever their order: the sum (modulo 2^128) of the
    /// first 16 bytes of the SHA-256 of each point. In hexadecimal digits.
    pub checksum: String,
}

type Summaries = BTreeMap<String, Summary>;

/// Attempts to read a database: after a restore its shards are closed for moments.
const ATTEMPTS: u32 = 40;

const PAUSE: Duration = Duration::from_millis(250);

/// Reads a whole database; by `policy.measurement`.
pub async fn measure(
    server: &Server,
    database: &str,
    watch: &Watch,
) -> Result<Summaries, BackupError> {
    let mut tried = 0;
    loop {
        tried += 1;
        match measure_once(server, database, watch).await {
            Err(BackupError::Influx(error)) if error.is_passing() && tried < ATTEMPTS => {
                watch.go_on()?;
                tokio::time::sleep(PAUSE).await;
            }
            measured => return measured,
        }
    }
}

/// Reads a database that was just restored and compares it, again for some seconds while it differs:
/// InfluxDB may still be opening what it restored. What is in it, and in what it differs.
pub(crate) async fn settle(
    server: &Server,
    database: &str,
    before: Option<&Summaries>,
    after: Option<&Summaries>,
    watch: &Watch,
) -> Result<(Summaries, Vec<String>), BackupError> {
    let mut tried = 0;
    loop {
        tried += 1;
        let found = measure(server, database, watch).await?;
        let wrong = differences(before, after, &found);
        if wrong.is_empty() || tried >= 4 {
            return Ok((found, wrong));
        }
        tokio::time::sleep(PAUSE * tried).await;
    }
}

async fn measure_once(
    server: &Server,
    database: &str,
    watch: &Watch,
) -> Result<Summaries, BackupError> {
    let mut summaries = BTreeMap::new();
    for measurement in server.measurements(database).await? {
        let mut tally = Tally::default();
        let mut rows = server.rows(&measurement, i64::MIN..=i64::MAX).await?;
        while let Some(batch) = rows.next().await? {
            watch.go_on()?;
            (watch.done)(batch.len() as u64);
            tally.add(&batch);
        }
        if tally.summary.points > 0 {
            let name = format!("{}.{}", measurement.policy, measurement.name);
            summaries.insert(name, tally.finish());
        }
    }
    Ok(summaries)
}

#[derive(Default)]
struct Tally {
    summary: Summary,
    sum: u128,
}

impl Tally {
    fn add(&mut self, batch: &PointBatch) {
        let keys: Vec<Vec<u8>> = batch.series().iter().map(key_bytes).collect();
        let mut bytes = Vec::new();
        for point in batch.points() {
            let mut fields: Vec<(&str, FieldValue<'_>)> = point
                .fields()
                .map(|(field, value)| (&*batch.fields()[field.index()], value))
                .collect();
            fields.sort_by(|a, b| a.0.cmp(b.0));
            bytes.clear();
            bytes.extend_from_slice(&keys[point.series.index()]);
            bytes.extend_from_slice(&point.time.to_le_bytes());
            for (name, value) in fields {
                text_bytes(&mut bytes, name);
                value_bytes(&mut bytes, &value);
                match self.summary.fields.get_mut(name) {
                    Some(count) => *count += 1,
                    None => {
                        self.summary.fields.insert(name.to_owned(), 1);
                    }
                }
            }
            let hash: [u8; 32] = Sha256::digest(&bytes).into();
            let mut half = [0; 16];
            half.copy_from_slice(&hash[..16]);
            self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
            self.summary.points += 1;
            let (first, last) = (&mut self.summary.first, &mut self.summary.last);
            *first = Some(first.map_or(point.time, |it| it.min(point.time)));
            *last = Some(last.map_or(point.time, |it| it.max(point.time)));
        }
    }

    fn finish(self) -> Summary {
        Summary {
            checksum: format!("{:032x}", self.sum),
            ..self.summary
        }
    }
}

fn key_bytes(key: &SeriesKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    text_bytes(&mut bytes, &key.measurement);
    for (name, value) in &key.tags {
        text_bytes(&mut bytes, name);
        text_bytes(&mut bytes, value);
    }
    // Ends the tags: no name has this length.
    bytes.extend_from_slice(&u64::MAX.to_le_bytes());
    bytes
}

fn text_bytes(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn value_bytes(bytes: &mut Vec<u8>, value: &FieldValue<'_>) {
    bytes.push(value.field_type() as u8);
    match value {
        FieldValue::Float(value) => bytes.extend_from_slice(&value.to_bits().to_le_bytes()),
        FieldValue::Integer(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        FieldValue::Unsigned(value) => bytes.extend_from_slice(&value.to_le_bytes()),
        FieldValue::Boolean(value) => bytes.push((*value).into()),
        FieldValue::String(text) => text_bytes(bytes, text),
    }
}

/// In what a restored database differs from what was noted, in words; empty when in nothing.
///
/// What was the same before and after the files were made must be the same again. Of what changed
/// meanwhile there must be as many values as before, as after, or a number between.
pub fn differences(
    before: Option<&Summaries>,
    after: Option<&Summaries>,
    found: &Summaries,
) -> Vec<String> {
    let (Some(low), Some(high)) = (before.or(after), after.or(before)) else {
        return Vec::new();
    };
    let nothing = Summary::default();
    let names = low.keys().chain(high.keys()).chain(found.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    let mut told = Vec::new();
    for name in names {
        let of = |of: &'_ Summaries| of.get(name).cloned().unwrap_or_else(|| nothing.clone());
        let (low, high, found) = (of(low), of(high), of(found));
        // Only after them was looked: anything up to that may have been in the files.
        let is_exact = before.is_some() && after.is_some() && low == high;
        if is_exact {
            if found != low {
                told.push(format!("{name}: {}", difference(&low, &found)));
            }
            continue;
        }
        let least = if before.is_some() {
            low.points.min(high.points)
        } else {
            0
        };
        let most = low.points.max(high.points);
        if found.points < least || found.points > most {
            told.push(format!(
                "{name}: {} points, where {least} to {most} were noted while it was written to",
                found.points
            ));
        }
    }
    told
}

fn difference(expected: &Summary, found: &Summary) -> String {
    if found.points != expected.points {
        return format!("{} points instead of {}", found.points, expected.points);
    }
    if found.fields != expected.fields {
        return format!(
            "values by field {:?} instead of {:?}",
            found.fields, expected.fields
        );
    }
    if (found.first, found.last) != (expected.first, expected.last) {
        return format!(
            "times {:?} to {:?} instead of {:?} to {:?}",
            found.first, found.last, expected.first, expected.last
        );
    }
    "as many points, but other values (the checksums differ)".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(points: &[(&str, i64, f64)]) -> Summary {
        let mut tally = Tally::default();
        for (tag, time, value) in points {
            let mut batch = PointBatch::new();
            let key = SeriesKey::new("m", [("t", *tag)]);
            batch.push(key, *time, [("v", FieldValue::Float(*value))]);
            tally.add(&batch);
        }
        tally.finish()
    }

    #[test]
    fn order_means_nothing_and_everything_else_something() {
        let one = summary(&[("a", 1, 1.0), ("b", 2, 2.0)]);
        assert_eq!(one, summary(&[("b", 2, 2.0), ("a", 1, 1.0)]));
        for other in [
            summary(&[("b", 1, 1.0), ("a", 2, 2.0)]),
            summary(&[("a", 1, 2.0), ("b", 2, 1.0)]),
            summary(&[("a", 1, 1.0), ("b", 2, 2.000_000_000_000_000_4)]),
        ] {
            assert_ne!(one.checksum, other.checksum);
        }
        assert_eq!((one.points, one.first, one.last), (2, Some(1), Some(2)));
    }

    #[test]
    fn what_changed_while_it_was_backed_up_may_lie_between() {
        let of =
            |points: &[(&str, i64, f64)]| BTreeMap::from([("p.m".to_owned(), summary(points))]);
        let one = of(&[("a", 1, 1.0)]);
        let two = of(&[("a", 1, 1.0), ("a", 2, 1.0)]);
        let other = of(&[("a", 1, 1.5)]);
        let none = BTreeMap::new();
        let told =
            |before: Option<&Summaries>, after, found| differences(before, after, found).len();
        assert_eq!(told(Some(&one), Some(&one), &one), 0);
        assert_eq!(told(Some(&one), Some(&one), &other), 1);
        assert_eq!(told(Some(&one), Some(&two), &two), 0);
        assert_eq!(told(Some(&two), Some(&two), &one), 1);
        assert_eq!(told(Some(&one), Some(&two), &none), 1);
        assert_eq!(told(None, Some(&one), &two), 1);
        assert_eq!(told(None, Some(&two), &one), 0);
        assert_eq!(told(None, None, &two), 0);
    }
}
