//! Items of the feeds: from the JSON of a sensor's measurement to a sample of a station.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use smartem_model::{StationId, parse_timestamp};

use super::values::{Values, number, text_of, whole};
use crate::harvest::samples::Sample;

/// The ids of stations begin with the number of the project, as they always did.
const PROJECT: &str = "4931";

/// A measurement of a sensor.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub station: StationId,
    pub location: u64,
    pub sensor: u64,
    pub sensor_type: String,
    pub country: String,
    pub is_indoor: bool,
    /// Latitude and longitude, where they are told.
    pub position: Option<(f64, f64)>,
    /// `None` when not a single value is a number.
    pub sample: Option<Sample>,
    /// Values that are left out, by reason.
    pub skipped: Vec<&'static str>,
    /// Value types that no table knows; kept under their own name.
    pub unknown: Vec<String>,
}

/// An item that cannot be used.
#[derive(Debug)]
pub(super) struct BadItem {
    /// The sensor, where the item tells.
    pub sensor: Option<u64>,
    pub detail: String,
    pub text: String,
}

/// The number of the location of a station.
pub(super) fn location_of(station: &StationId) -> Option<u64> {
    station.as_str().strip_prefix(PROJECT)?.parse().ok()
}

/// All items of a body, each good or bad.
///
/// # Errors
/// When the body is no list of JSON values; says why.
pub(super) fn items(body: &[u8]) -> Result<Vec<Result<Item, BadItem>>, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("not UTF-8: {error}"))?;
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(items.into_iter().map(|item| read(item.get())).collect())
}

fn read(text: &str) -> Result<Item, BadItem> {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let sensor = whole(&document["sensor"]["id"]);
    item(&document).map_err(|detail| BadItem {
        sensor,
        detail,
        text: text.to_owned(),
    })
}

fn item(document: &Value) -> Result<Item, String> {
    let needed = |value: &Value, name: &str| {
        whole(value).ok_or_else(|| format!("`{name}` is {value}, not a whole number"))
    };
    let place = &document["location"];
    let sensor = needed(&document["sensor"]["id"], "sensor.id")?;
    let location = needed(&place["id"], "location.id")?;
    let station = StationId::new(&format!("{PROJECT}{location}"))
        .ok_or_else(|| "no station id".to_owned())?;
    let timestamp = &document["timestamp"];
    let time = timestamp
        .as_str()
        .and_then(|text| parse_timestamp(text.trim()))
        .ok_or_else(|| format!("`timestamp` is {timestamp}, not `YYYY-MM-DD hh:mm:ss`"))?;
    let sensor_type = text_of(&document["sensor"]["sensor_type"]["name"]);
    let values = document["sensordatavalues"]
        .as_array()
        .ok_or_else(|| "no list `sensordatavalues`".to_owned())?;

    let mut read = Values::default();
    for value in values {
        read.take(value);
    }
    let fields = read.fields.into_iter();
    let mut fields: BTreeMap<String, Value> =
        fields.map(|(key, number)| (key, number.into())).collect();
    let sample = (!fields.is_empty()).then(|| {
        if let Some(id) = whole(&document["id"]) {
            // The same id can come with two sensors.
            fields.insert("_id".to_owned(), format!("{id}-{sensor}").into());
        }
        for key in ["longitude", "latitude", "altitude"] {
            if let Some(number) = number(&place[key]) {
                fields.insert(key.to_owned(), number.into());
            }
        }
        Sample::new(time, Some(format!("{sensor_type}-{sensor}")), fields)
    });
    Ok(Item {
        station,
        location,
        sensor,
        sensor_type,
        country: text_of(&place["country"]),
        is_indoor: is_set(&place["indoor"]),
        position: number(&place["latitude"]).zip(number(&place["longitude"])),
        sample,
        skipped: read.skipped,
        unknown: read.unknown,
    })
}

/// Whether a flag is set, as a number or as a truth value.
fn is_set(value: &Value) -> bool {
    value
        .as_bool()
        .unwrap_or_else(|| number(value).is_some_and(|number| number > 0.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::harvest::samples::Hours;

    fn sample_of(item: Item) -> Value {
        let mut hours = Hours::default();
        hours.add(item.station, item.sample.unwrap());
        let record = hours.into_records("luftdaten").next().unwrap().unwrap();
        let record: Value = serde_json::from_str(&record.to_json()).unwrap();
        record["data"]["timeseries"][0].clone()
    }

    fn bme280() -> Value {
        json!({
            "id": 23_720_599_478_u64,
            "timestamp": "2025-02-02 17:28:13",
            "location": {"id": 777_629, "latitude": "45.63", "longitude": "11.704",
                "altitude": "46.3", "country": "IT", "indoor": 0},
            "sensor": {"id": 62574, "pin": "11", "sensor_type": {"name": "BME280", "id": 17}},
            "sensordatavalues": [
                {"value_type": "temperature", "value": "12.30"},
                {"value_type": "pressure", "value": "96913.02"},
                {"value_type": "pressure_at_sealevel", "value": "101325.00"},
                {"value_type": "humidity", "value": "nan"},
                {"value_type": "P0", "value": "2.4"},
                {"value_type": "noise_LAeq", "value": 51.25},
                {"value_type": "N05", "value": "7"},
            ],
        })
    }

    #[test]
    fn values_come_to_their_keys_and_to_no_other_number() {
        let item = item(&bme280()).unwrap();
        assert_eq!(item.skipped, ["not_a_number"]);
        assert_eq!(item.unknown, ["N05"]);
        assert_eq!(
            sample_of(item),
            json!({
                "_id": "23720599478-62574", "meta_id": "BME280-62574",
                "time": "2025-02-02T17:28:13Z",
                "longitude": 11.704, "latitude": 45.63, "altitude": 46.3,
                "temperature": 12.3, "pressure": 969.1302, "pm1": 2.4,
                "noise_LAeq": 51.25, "N05": 7.0,
            })
        );
    }

    #[test]
    fn an_item_of_a_large_location_keeps_its_whole_id() {
        assert_eq!(item(&bme280()).unwrap().station.as_str(), "4931777629");
    }

    #[test]
    fn a_time_stands_with_a_blank_or_a_t() {
        let with_blank = sample_of(item(&bme280()).unwrap());
        for text in ["2025-02-02T17:28:13", "2025-02-02T17:28:13Z"] {
            let mut document = bme280();
            document["timestamp"] = json!(text);
            assert_eq!(sample_of(item(&document).unwrap()), with_blank, "{text}");
        }
    }

    #[test]
    fn indoors_is_a_number_or_a_truth_value() {
        for (flag, expected) in [
            (json!(true), true),
            (json!(1), true),
            (json!("1"), true),
            (json!(false), false),
            (json!(0), false),
            (Value::Null, false),
        ] {
            let mut document = bme280();
            document["location"]["indoor"] = flag.clone();
            assert_eq!(item(&document).unwrap().is_indoor, expected, "{flag}");
        }
    }

    #[test]
    fn an_item_without_the_needful_is_bad_and_says_what_is_missing() {
        for (pointer, word) in [
            ("/location/id", "location.id"),
            ("/sensor/id", "sensor.id"),
            ("/timestamp", "timestamp"),
            ("/sensordatavalues", "sensordatavalues"),
        ] {
            let mut bad = bme280();
            *bad.pointer_mut(pointer).unwrap() = json!("soon");
            let read = items(json!([bad, bme280()]).to_string().as_bytes()).unwrap();
            let error = read[0].as_ref().unwrap_err();
            assert!(error.detail.contains(word), "{error:?}");
            assert!(read[1].is_ok());
        }
        assert!(items(b"{\"error\": 1}").is_err());
        assert!(items(b"[{]").is_err());
    }

    #[test]
    fn recorded_answers_are_read() {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/samples/sensor-community-api/"
        );
        for (file, expected) in [
            ("data_v1_2017.json", 2),
            ("data_dust_2020.json", 4),
            ("airrohr_v1_sensor_62574_2025.json", 1),
        ] {
            let Ok(body) = std::fs::read(format!("{folder}{file}")) else {
                println!("skipped: {file} is not at hand");
                continue;
            };
            let read = items(&body).unwrap();
            let good: Vec<Item> = read.into_iter().map(|item| item.unwrap()).collect();
            assert_eq!(good.len(), expected, "{file}");
            assert!(good.iter().all(|item| item.sample.is_some()), "{file}");
        }
    }
}
