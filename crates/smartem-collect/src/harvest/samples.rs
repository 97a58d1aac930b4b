//! Samples of many stations, gathered to records of station-hours and snapshots.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use smartem_model::raw::RawRecord;
use smartem_model::{Hour, Quarantine, StationId};

/// One sample as it stands in a raw record; the order is that of a record: time, stream, content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sample {
    time: Timestamp,
    stream: String,
    json: String,
}

impl Sample {
    /// A sample with these fields; `time` and, where the instrument is known, `meta_id` are added.
    pub(super) fn new(
        time: Timestamp,
        stream: Option<String>,
        mut fields: BTreeMap<String, Value>,
    ) -> Self {
        fields.insert("time".to_owned(), time.to_string().into());
        if let Some(stream) = &stream {
            fields.insert("meta_id".to_owned(), stream.as_str().into());
        }
        Self {
            time,
            stream: stream.unwrap_or_default(),
            // A map of texts and JSON values is always JSON.
            json: serde_json::to_string(&fields).unwrap_or_default(),
        }
    }

    pub(super) fn time(&self) -> Timestamp {
        self.time
    }

    /// Latitude and longitude in degrees, where it has both.
    pub(super) fn position(&self) -> Option<(f64, f64)> {
        #[derive(Deserialize)]
        struct Position {
            latitude: f64,
            longitude: f64,
        }
        let position: Position = serde_json::from_str(&self.json).ok()?;
        Some((position.latitude, position.longitude))
    }
}

/// A finite number with its point moved by so many places, `shifted("96913.02", -2)` being 969.1302.
///
/// Moved in the text, since 96913.02 / 100 is another number in the last digit.
pub(super) fn shifted(text: &str, places: i32) -> Option<f64> {
    let text = text.trim();
    let moved: f64 = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => {
            let exponent = exponent.parse::<i32>().ok()?.checked_add(places)?;
            format!("{digits}e{exponent}").parse().ok()?
        }
        None if places == 0 => text.parse().ok()?,
        None => format!("{text}e{places}").parse().ok()?,
    };
    moved.is_finite().then_some(moved)
}

/// Station-hours under way, each sample once however often it came.
#[derive(Debug, Default)]
pub(super) struct Hours {
    by_station: BTreeMap<(StationId, Hour), BTreeSet<Sample>>,
    samples: usize,
}

impl Hours {
    /// Adds a sample to the hour of its own time; false when it lies outside the calendar.
    pub(super) fn add(&mut self, station: StationId, sample: Sample) -> bool {
        let Some(hour) = Hour::containing(sample.time) else {
            return false;
        };
        let samples = self.by_station.entry((station, hour)).or_default();
        self.samples += usize::from(samples.insert(sample));
        true
    }

    /// How many hours.
    pub(super) fn len(&self) -> usize {
        self.by_station.len()
    }

    /// Samples in all hours.
    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    /// Keeps only these hours.
    pub(super) fn retain(&mut self, keep: impl Fn(&StationId, Hour) -> bool) {
        self.by_station
            .retain(|(station, hour), _| keep(station, *hour));
    }

    /// The records, each station's hours one after the other.
    pub(super) fn into_records(
        self,
        station_type: &str,
    ) -> impl Iterator<Item = Result<RawRecord, Quarantine>> {
        self.by_station
            .into_iter()
            .map(move |((station, hour), samples)| {
                record(&station, station_type, Some(hour), &samples)
            })
    }
}

/// Of each station the newest sample of each of its instruments.
#[derive(Debug, Default)]
pub(super) struct Newest(BTreeMap<StationId, BTreeMap<String, Sample>>);

impl Newest {
    /// Takes a sample unless a newer one of the same instrument is there.
    pub(super) fn add(&mut self, station: StationId, sample: Sample) {
        match self
            .0
            .entry(station)
            .or_default()
            .entry(sample.stream.clone())
        {
            Entry::Vacant(place) => {
                place.insert(sample);
            }
            Entry::Occupied(mut known) if *known.get() < sample => {
                known.insert(sample);
            }
            Entry::Occupied(_) => {}
        }
    }

    /// One snapshot for each station.
    pub(super) fn into_records(
        self,
        station_type: &str,
    ) -> impl Iterator<Item = Result<RawRecord, Quarantine>> {
        self.0.into_iter().map(move |(station, samples)| {
            let samples: BTreeSet<Sample> = samples.into_values().collect();
            record(&station, station_type, None, &samples)
        })
    }
}

fn record(
    station: &StationId,
    station_type: &str,
    hour: Option<Hour>,
    samples: &BTreeSet<Sample>,
) -> Result<RawRecord, Quarantine> {
    let samples: Vec<&str> = samples.iter().map(|sample| sample.json.as_str()).collect();
    let when = hour.map_or_else(String::new, |hour| {
        let day = hour.day();
        format!(
            r#""day":{:04}{:02}{:02},"hour":{},"#,
            day.year(),
            day.month(),
            day.day(),
            hour.of_day()
        )
    });
    let text = format!(
        r#"{{"device_id":{},"device_type":{},"device_version":"1",{when}"data":{{"timeseries":[{}]}}}}"#,
        json!(station.as_str()),
        json!(station_type),
        samples.join(",")
    );
    RawRecord::from_json(&text, &|name| name == station_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time: &str, stream: &str, pm10: f64) -> Sample {
        let fields = BTreeMap::from([("pm10".to_owned(), json!(pm10))]);
        Sample::new(time.parse().unwrap(), Some(stream.to_owned()), fields)
    }

    fn texts(hours: Hours) -> Vec<String> {
        hours
            .into_records("luftdaten")
            .map(|record| record.unwrap().to_json())
            .collect()
    }

    #[test]
    fn the_order_of_arrival_and_repetitions_leave_no_trace() {
        let station = StationId::new("49311").unwrap();
        let samples = [
            sample("2026-11-22T10:59:59Z", "a", 1.0),
            sample("2026-11-22T11:00:00Z", "b", 2.5),
            sample("2026-11-22T11:00:00Z", "a", 2.0),
        ];
        let mut forth = Hours::default();
        let mut back = Hours::default();
        for sample in &samples {
            forth.add(station.clone(), sample.clone());
        }
        for sample in samples.iter().rev().chain(&samples) {
            back.add(station.clone(), sample.clone());
        }
        assert_eq!(back.samples(), 3);
        let (forth, back) = (texts(forth), texts(back));
        assert_eq!(forth, back);
        assert_eq!(forth.len(), 2);
        let second: Value = serde_json::from_str(&forth[1]).unwrap();
        assert_eq!(second["hour"], 12);
        assert_eq!(
            second["data"]["timeseries"],
            json!([
                {"time": "2026-11-22T11:00:00Z", "meta_id": "a", "pm10": 2.0},
                {"time": "2026-11-22T11:00:00Z", "meta_id": "b", "pm10": 2.5},
            ])
        );
    }

    #[test]
    fn a_point_is_moved_without_touching_the_digits() {
        let hundredth = |text| shifted(text, -2);
        assert_eq!(hundredth("96913.02"), Some(969.1302));
        assert_eq!(hundredth("-5"), Some(-0.05));
        assert_eq!(hundredth("1.5e3"), Some(15.0));
        assert_eq!(shifted("2.675", 3), Some(2675.0));
        assert_eq!(shifted(" 12.30 ", 0), Some(12.3));
        for text in ["", "nan", "inf", "1e999", "x"] {
            assert_eq!(hundredth(text), None, "{text}");
            assert_eq!(shifted(text, 0), None, "{text}");
        }
    }

    #[test]
    fn an_older_sample_takes_no_newer_ones_place() {
        let station = StationId::new("49311").unwrap();
        let mut newest = Newest::default();
        for (minute, value) in [(3, 3.0), (1, 1.0), (2, 2.0)] {
            let time = format!("2026-11-22T11:0{minute}:00Z");
            newest.add(station.clone(), sample(&time, "a", value));
        }
        newest.add(station, sample("2026-11-22T10:00:00Z", "b", 9.0));
        let records: Vec<_> = newest.into_records("luftdaten").collect();
        let [Ok(record)] = records.as_slice() else {
            panic!("{records:?}")
        };
        let record: Value = serde_json::from_str(&record.to_json()).unwrap();
        let values: Vec<f64> = record["data"]["timeseries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|sample| sample["pm10"].as_f64().unwrap())
            .collect();
        assert_eq!(values, [9.0, 3.0]);
        assert!(record.get("hour").is_none());
    }
}
