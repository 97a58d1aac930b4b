//! Raw values of station-hours as rows, for outputs outside the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Number, Value};
use smartem_model::raw::{Cell, RawRecord};
use smartem_model::{StationId, parse_timestamp};
use smartem_refine::{Catalogue, Definition};

use crate::batch::{Batch, Row};
use crate::chain::Filter;
use crate::component::{About, Kind};
use crate::process::Counters;

/// What the reference says of this filter.
const ABOUT: About = About {
    name: "extract",
    summary: "Raw values of station-hours, one row for each sample and key, unconverted.",
    text: "For every sample that has a time and a position of its own, and every key of `keys`, makes a row \
        of the number as the station sent it, if it lies within the bounds that the station type's \
        definition sets for that input. A key that the definition does not know has no bounds. Where \
        samples hold one reading each (AirSensEUR), keys are the names of the sensors.\n\n\
        A row has the time of the sample, in full, its position, and the attributes `station`, `device_id` \
        (the same), `station_type`, `name` (the key) and `value`. Rows are in order of time, then of \
        `keys`. The hours go on unchanged.\n\n\
        Counted: `rows_extracted`; `samples_skipped` by reason (`missing_time`, `invalid_time`, \
        `no_position`); `values_skipped` by reason (`not_a_number`, `out_of_bounds`); absent values are \
        not counted.",
    checkpoint: "None of its own: a filter keeps nothing, and the same hour gives the same rows.",
    example: r#"
[process.extractor]
input = "store.raw"
filter = ["extract"]
output = ["influxdb"]
schedule = "7,27,47 * * * *"
budget = "280s"

[process.extractor.extract]
stations = ["12", "14", "45"]

[process.extractor.influxdb]
url = "http://localhost:8086"
database = "smartemission"
measurement = "joseextract"
tags = { station = "device_id", component = "name" }
fields = { value = "value" }
geohash_tag = true
geohash_field = true
"#,
};

/// Settings of the filter, `[process.<name>.extract]`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ExtractSettings {
    /// Only of these stations; empty: of all.
    pub stations: Vec<String>,
    /// The keys of the samples that become rows.
    pub keys: Vec<String>,
}

/// What the gas models of the Josene are trained on.
const GAS_INPUTS: [&str; 8] = [
    "s_lightsensortop",
    "s_o3resistance",
    "s_no2resistance",
    "s_coresistance",
    "s_temperatureunit",
    "s_temperatureambient",
    "s_barometer",
    "s_humidity",
];

impl Default for ExtractSettings {
    fn default() -> Self {
        Self {
            stations: Vec::new(),
            keys: GAS_INPUTS.map(str::to_owned).to_vec(),
        }
    }
}

/// This kind of filter.
pub fn kind() -> Kind<Box<dyn Filter>> {
    Kind::new(ABOUT, |settings: ExtractSettings, site| {
        Ok(Box::new(Extract::new(settings, site.catalogue.clone())))
    })
}

/// Makes rows of raw values.
pub struct Extract {
    catalogue: Arc<Catalogue>,
    /// Empty: all.
    stations: BTreeSet<String>,
    keys: Vec<String>,
}

impl Extract {
    /// A filter with these settings over stations of these types.
    pub fn new(settings: ExtractSettings, catalogue: Arc<Catalogue>) -> Self {
        Self {
            catalogue,
            stations: settings.stations.into_iter().collect(),
            keys: settings.keys,
        }
    }

    fn wants(&self, station: &StationId) -> bool {
        self.stations.is_empty() || self.stations.contains(station.as_str())
    }

    fn rows(&self, record: &RawRecord, counters: &Counters) -> Vec<Row> {
        let Some(definition) = self.catalogue.get(&record.station_type) else {
            let skipped = record.samples.len() as u64;
            counters.add_labelled("samples_skipped", "unknown_station_type", skipped);
            return Vec::new();
        };
        let keys = self.keys.iter().enumerate();
        let keys: Vec<Key<'_>> = keys
            .map(|(order, name)| Key {
                order,
                name,
                bounds: definition.input_bounds(name),
            })
            .collect();
        let mut rows: Vec<(Timestamp, usize, Row)> = Vec::new();
        for sample in 0..record.samples.len() {
            match rows_of_sample(record, sample, definition, &keys, counters) {
                Ok(found) => rows.extend(found),
                Err(reason) => counters.add_labelled("samples_skipped", reason, 1),
            }
        }
        // Stable: what shares time and key stays in the order of the record.
        rows.sort_by_key(|(time, key, _)| (*time, *key));
        rows.into_iter().map(|(_, _, row)| row).collect()
    }
}

impl Filter for Extract {
    fn apply(&self, batch: &mut Batch, counters: &Counters) {
        for received in &batch.hours {
            if self.wants(&received.record.station) {
                let rows = self.rows(&received.record, counters);
                counters.add("rows_extracted", rows.len() as u64);
                batch.rows.extend(rows);
            }
        }
    }
}

struct Key<'a> {
    /// Its place among the keys.
    order: usize,
    name: &'a str,
    bounds: Option<(f64, f64)>,
}

/// The rows of one sample with time and place among the keys, or why the sample gives none.
fn rows_of_sample(
    record: &RawRecord,
    sample: usize,
    definition: &Definition,
    keys: &[Key<'_>],
    counters: &Counters,
) -> Result<Vec<(Timestamp, usize, Row)>, &'static str> {
    let samples = &record.samples;
    let time = time_of(
        samples
            .column("time")
            .map_or(Cell::Absent, |c| c.cell(sample)),
    )?;
    let position = definition
        .position_of(samples, sample)
        .ok_or("no_position")?;
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        match value(definition.reading_of(samples, sample, key.name), key.bounds) {
            Ok(Some(value)) => {
                let row = Row {
                    time,
                    position: Some(position),
                    attributes: attributes(record, key.name, value).into(),
                };
                rows.push((time, key.order, row));
            }
            Ok(None) => {}
            Err(reason) => counters.add_labelled("values_skipped", reason, 1),
        }
    }
    Ok(rows)
}

fn attributes(record: &RawRecord, name: &str, value: Number) -> [(&'static str, Value); 5] {
    [
        ("station", record.station.as_str().into()),
        ("device_id", record.station.as_str().into()),
        ("station_type", record.station_type.as_ref().into()),
        ("name", name.into()),
        ("value", Value::Number(value)),
    ]
}

fn time_of(cell: Cell<'_>) -> Result<Timestamp, &'static str> {
    match cell {
        Cell::Time(time, _) => Ok(time),
        Cell::Text(text) => parse_timestamp(text).ok_or("invalid_time"),
        Cell::Absent | Cell::Null => Err("missing_time"),
        _ => Err("invalid_time"),
    }
}

/// The number as it was sent; `None` where there is none.
fn value(cell: Cell<'_>, bounds: Option<(f64, f64)>) -> Result<Option<Number>, &'static str> {
    if cell.is_absent() {
        return Ok(None);
    }
    let number = cell.number().ok_or("not_a_number")?;
    if bounds.is_some_and(|(min, max)| !(min..=max).contains(&number)) {
        return Err("out_of_bounds");
    }
    match cell {
        Cell::Integer(integer) => Ok(Some(integer.into())),
        _ => Number::from_f64(number).map(Some).ok_or("not_a_number"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use smartem_model::Vocabulary;
    use smartem_store::ReceivedRecord;

    use super::*;

    fn catalogue() -> Arc<Catalogue> {
        let vocabulary = Vocabulary::from_toml(
            include_str!("../../../vocabulary/indicators.toml"),
            include_str!("../../../vocabulary/units.toml"),
        )
        .unwrap();
        let mut catalogue = Catalogue::default();
        for text in [
            include_str!("../../../devices/jose.toml"),
            include_str!("../../../devices/ase.toml"),
        ] {
            catalogue.insert(Definition::from_toml(text, &vocabulary).unwrap());
        }
        Arc::new(catalogue)
    }

    fn extract(settings: Value, station_type: &str, samples: &Value) -> (Vec<Row>, String) {
        let record = json!({"device_id": "23", "device_type": station_type, "device_version": "1",
            "day": 20_261_120, "hour": 11, "data": {"timeseries": samples}});
        let record = RawRecord::from_json(&record.to_string(), &|_| true).unwrap();
        let filter = Extract::new(serde_json::from_value(settings).unwrap(), catalogue());
        let counters = Counters::default();
        let mut batch = Batch {
            hours: vec![ReceivedRecord::whole(record, "here")],
            ..Batch::default()
        };
        filter.apply(&mut batch, &counters);
        assert_eq!(batch.hours.len(), 1, "the hours go on");
        (batch.rows, counters.to_string())
    }

    fn told(rows: &[Row]) -> Vec<(String, &str, Value)> {
        rows.iter()
            .map(|row| {
                let name = row.attributes["name"].as_str().unwrap();
                (row.time.to_string(), name, row.attributes["value"].clone())
            })
            .collect()
    }

    #[test]
    fn rows_come_by_time_then_key_with_the_value_and_position_as_sent() {
        let at = |time: &str, humidity: Value| {
            json!({"time": time, "s_humidity": humidity, "s_barometer": 101_300, "s_co2": 400_000,
                "s_longitude": 5_914_103, "s_latitude": 53_949_937})
        };
        let samples = json!([
            at("2026-11-20T10:00:11.123456789Z", json!(40_000.5)),
            at("2026-11-20T10:00:00Z", json!(40_000))
        ]);
        let settings = json!({"keys": ["s_humidity", "s_barometer"]});
        let (rows, counted) = extract(settings, "jose", &samples);
        assert_eq!(counted, "rows_extracted 4");
        assert_eq!(
            told(&rows),
            [
                (
                    "2026-11-20T10:00:00Z".to_owned(),
                    "s_humidity",
                    json!(40_000)
                ),
                (
                    "2026-11-20T10:00:00Z".to_owned(),
                    "s_barometer",
                    json!(101_300)
                ),
                (
                    "2026-11-20T10:00:11.123456789Z".to_owned(),
                    "s_humidity",
                    json!(40_000.5)
                ),
                (
                    "2026-11-20T10:00:11.123456789Z".to_owned(),
                    "s_barometer",
                    json!(101_300)
                ),
            ]
        );
        let position = rows[0].position.unwrap();
        assert_eq!((position.lon, position.lat), (5.671_223, 51.472_561));
        assert_eq!(rows[0].attributes["station"], "23");
        assert_eq!(rows[0].attributes["device_id"], "23");
        assert_eq!(rows[0].attributes["station_type"], "jose");
    }

    #[test]
    fn what_has_no_time_position_or_valid_number_is_counted() {
        let place = json!({"s_longitude": 5_914_103, "s_latitude": 53_949_937});
        let with = |more: Value| {
            let mut sample = place.clone();
            let members = more.as_object().unwrap().clone();
            sample.as_object_mut().unwrap().extend(members);
            sample
        };
        let samples = json!([
            with(json!({"s_humidity": 40_000})),
            with(json!({"time": "yesterday", "s_humidity": 40_000})),
            {"time": "2026-11-20T10:00:00Z", "s_humidity": 40_000},
            {"time": "2026-11-20T10:00:00Z", "s_humidity": 40_000, "s_longitude": 0, "s_latitude": 0},
            with(json!({"time": "2026-11-20T10:00:01Z", "s_humidity": "40000"})),
            // Between the bounds of the indicator (100 %) and those of the network (120 %).
            with(json!({"time": "2026-11-20T10:00:02Z", "s_humidity": 110_000})),
            with(json!({"time": "2026-11-20T10:00:03Z", "s_humidity": 120_001})),
            with(json!({"time": "2026-11-20T10:00:04Z", "s_humidity": null})),
        ]);
        let (rows, counted) = extract(json!({"keys": ["s_humidity"]}), "jose", &samples);
        assert_eq!(told(&rows).len(), 1);
        assert_eq!(rows[0].attributes["value"], 110_000);
        assert_eq!(
            counted,
            "rows_extracted 1, samples_skipped 4 (invalid_time 1, missing_time 1, no_position 2), \
             values_skipped 2 (not_a_number 1, out_of_bounds 1)"
        );
    }

    #[test]
    fn other_stations_give_no_rows_and_all_do_without_a_list() {
        let samples = json!([{"time": "2026-11-20T10:00:00Z", "s_barometer": 101_300,
            "s_longitude": 5_914_103, "s_latitude": 53_949_937}]);
        let (rows, counted) = extract(json!({"stations": ["12", "55"]}), "jose", &samples);
        assert_eq!((rows.len(), &*counted), (0, "nothing to do"));
        let (rows, _) = extract(json!({"stations": ["23"]}), "jose", &samples);
        assert_eq!(rows.len(), 1);
        let (rows, _) = extract(json!({}), "jose", &samples);
        assert_eq!(rows.len(), 1);
    }

    #[test]
    fn of_stations_with_one_reading_in_a_sample_keys_are_sensors() {
        let at = |name: &str, value: f64| {
            json!({"time": "2026-11-20T10:00:00Z", "name": name, "sampleEvaluatedVal": value,
                "longitude": 5.1, "latitude": 52.2})
        };
        let samples = json!([at("COA4", 3000.0), at("NOB4", 70_000.0), at("Tempe", 12.5)]);
        let (rows, counted) = extract(json!({"keys": ["NOB4", "COA4"]}), "ase", &samples);
        assert_eq!(
            told(&rows),
            [("2026-11-20T10:00:00Z".to_owned(), "COA4", json!(3000.0))]
        );
        assert!(counted.contains("out_of_bounds 1"), "{counted}");
    }
}
