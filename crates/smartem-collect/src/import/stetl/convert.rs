//! A row of the original's tables as a record or an observation of this platform.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::json;
use serde_json::value::RawValue;
use smartem_model::raw::RawRecord;
use smartem_model::{
    Flag, Hour, Observation, Position, Quality, Quarantine, QuarantineReason, StationId, Vocabulary,
};
use smartem_store::{ImportedHour, ImportedStation, StetlRaw, StetlRefined};

/// The units of the original and their UCUM codes.
const UNITS: [(&str, &str); 14] = [
    ("ug/m3", "ug/m3"),
    ("ppm", "[ppm]"),
    ("ppb", "[ppb]"),
    ("kOhm", "kOhm"),
    ("Ohm", "Ohm"),
    ("nanoAmpere", "nA"),
    ("nA", "nA"),
    ("dB(A)", "dB[SPL]{A}"),
    ("int", "1"),
    ("Celsius", "Cel"),
    ("Procent", "%"),
    ("HectoPascal", "hPa"),
    ("hPa", "hPa"),
    ("%", "%"),
];

/// A row that cannot be taken in, and why.
pub(super) fn malformed(detail: impl Into<String>) -> Quarantine {
    Quarantine::new(QuarantineReason::MalformedRecord, detail)
}

/// The id that a station of the original has here.
pub(super) fn station(device_id: i64) -> Result<StationId, Quarantine> {
    let id = StationId::new(&device_id.to_string()).filter(|_| device_id >= 0);
    id.ok_or_else(|| malformed(format!("device_id is {device_id}, below 0")))
}

/// `jose-1` as the type `jose`: what comes before the version.
pub(super) fn type_of(device_meta: &str) -> &str {
    device_meta
        .rsplit_once('-')
        .map_or(device_meta, |(name, _)| name)
}

pub(super) fn day(number: i32) -> Option<Date> {
    let year = i16::try_from(number / 10_000).ok()?;
    let month = i8::try_from(number / 100 % 100).ok()?;
    let day = i8::try_from(number % 100).ok()?;
    Date::new(year, month, day).ok()
}

fn hour(of_day: i32, hour: i32) -> Result<Hour, Quarantine> {
    let found = day(of_day).and_then(|day| Hour::new(day, hour.into()));
    found.ok_or_else(|| {
        let detail =
            format!("day {of_day}, hour {hour} is no hour; hours are 1 to 24 of a day yyyymmdd");
        Quarantine::new(QuarantineReason::InvalidHour, detail)
    })
}

/// The row as the record that a harvester would have made of it, in JSON.
pub(super) fn document(row: &StetlRaw) -> String {
    let data = row.data.as_deref().unwrap_or("null");
    // What is no JSON stays a text, so that the record is refused and not the program.
    let data = match RawValue::from_string(data.to_owned()) {
        Ok(data) => data.get().to_owned(),
        Err(_) => json!(data).to_string(),
    };
    format!(
        r#"{{"device_id":{},"device_type":{},"device_version":{},"day":{},"hour":{},"data":{data}}}"#,
        json!(row.device_id.to_string()),
        json!(row.device_type),
        json!(row.device_version),
        row.day,
        row.hour,
    )
}

pub(super) fn record(text: &str, is_known: &dyn Fn(&str) -> bool) -> Result<RawRecord, Quarantine> {
    RawRecord::from_json(text, is_known)
}

/// Makes observations of rows.
pub(super) struct Converter<'a> {
    pub(super) vocabulary: &'a Vocabulary,
}

/// An observation and its hour.
pub(super) struct Converted {
    pub(super) station_type: String,
    pub(super) hour: Hour,
    pub(super) observation: Observation,
}

impl Converter<'_> {
    pub(super) fn observation(&self, row: &StetlRefined) -> Result<Converted, Quarantine> {
        let device = row.device_id.ok_or_else(|| malformed("no device_id"))?;
        let station = station(device)?;
        let hour = hour(row.day, row.hour)?;
        let meta = text(row.device_meta.as_deref(), "device_meta")?;
        let sensor = text(row.sensor_meta.as_deref(), "sensor_meta")?;
        let name = text(row.name.as_deref(), "name")?;
        let indicator = self
            .vocabulary
            .get(name)
            .ok_or_else(|| malformed(format!("the indicator `{name}` is not in the vocabulary")))?;
        let unit = text(row.unit.as_deref(), "unit")?;
        let unit = UNITS.iter().find(|(theirs, _)| *theirs == unit);
        let Some((_, unit)) = unit else {
            let unit = row.unit.as_deref().unwrap_or_default();
            return Err(malformed(format!(
                "the unit `{unit}` of {name} is not known"
            )));
        };
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let value = finite(row.value).ok_or_else(|| malformed(format!("no value of {name}")))?;
        let samples = row.sample_count.unwrap_or(1);
        let samples = u64::try_from(samples)
            .map_err(|_| malformed(format!("sample_count of {name} is {samples}, below 0")))?;
        let location = position(row)?;
        let station_type: Arc<str> = type_of(meta).into();
        let observation = Observation {
            station,
            station_type: Arc::clone(&station_type),
            indicator: Arc::clone(&indicator.name),
            label: Arc::clone(&indicator.label.en),
            unit: (*unit).into(),
            phenomenon_time: hour.period(),
            value,
            min: finite(row.value_min).unwrap_or(value),
            max: finite(row.value_max).unwrap_or(value),
            raw: finite(row.value_raw),
            // Its unit was not kept.
            raw_unit: None,
            accepted_count: samples.max(1),
            rejected_count: 0,
            quality: Quality {
                fraction: 1.0,
                coverage: None,
                flags: vec![Flag::Imported],
            },
            location,
            sensor: sensor.into(),
            definition: format!("stetl {meta}").into(),
            model: None,
        };
        Ok(Converted {
            station_type: station_type.to_string(),
            hour,
            observation,
        })
    }
}

fn text<'a>(value: Option<&'a str>, column: &str) -> Result<&'a str, Quarantine> {
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| malformed(format!("no {column}")))
}

fn position(row: &StetlRefined) -> Result<Position, Quarantine> {
    let place = row.lon.zip(row.lat);
    let horizontal = place.and_then(|(lon, lat)| Position::horizontal(lon, lat));
    let Some(position) = horizontal else {
        let detail = match place {
            None => "no point".to_owned(),
            Some((lon, lat)) => format!("the point {lon} {lat} is no place"),
        };
        return Err(Quarantine::new(QuarantineReason::NoLocation, detail));
    };
    // 0 is what the column holds where nothing was known.
    let believable = |alt: &f64| *alt != 0.0 && (-500.0..=9000.0).contains(alt);
    let alt = row.altitude.filter(believable);
    Ok(Position { alt, ..position })
}

/// Converted rows by station and hour.
#[derive(Default)]
pub(super) struct Hours(BTreeMap<StationId, (String, BTreeMap<Hour, ImportedHour>)>);

impl Hours {
    pub(super) fn add(&mut self, converted: Converted) {
        let Converted {
            station_type,
            hour,
            observation,
        } = converted;
        let station = self.0.entry(observation.station.clone()).or_default();
        station.0 = station_type;
        let of_hour = station.1.entry(hour).or_insert_with(|| ImportedHour {
            hour,
            position: observation.location,
            observations: Vec::new(),
        });
        of_hour.observations.push(observation);
    }

    pub(super) fn into_stations(self) -> Vec<ImportedStation> {
        let stations = self.0.into_iter();
        stations
            .map(|(id, (station_type, hours))| ImportedStation {
                id,
                station_type,
                hours: hours.into_values().collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> StetlRefined {
        StetlRefined {
            gid: 1,
            device_id: Some(23),
            device_meta: Some("sds011-bme280-1".into()),
            sensor_meta: Some("temp-S12".into()),
            name: Some("temperature".into()),
            label: Some("Temperatuur".into()),
            unit: Some("Celsius".into()),
            day: 20_161_231,
            hour: 24,
            value_min: Some(3.0),
            value_max: Some(5.0),
            value_raw: Some(277_150.0),
            value: Some(4.0),
            sample_count: Some(198),
            altitude: Some(0.0),
            lon: Some(5.86),
            lat: Some(51.84),
        }
    }

    fn vocabulary() -> Vocabulary {
        let file = |name: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vocabulary/");
            std::fs::read_to_string(format!("{folder}{name}.toml")).unwrap()
        };
        Vocabulary::from_toml(&file("indicators"), &file("units")).unwrap()
    }

    fn convert(row: &StetlRefined) -> Result<Converted, Quarantine> {
        let vocabulary = vocabulary();
        Converter {
            vocabulary: &vocabulary,
        }
        .observation(row)
    }

    #[test]
    fn a_row_is_an_observation_of_its_hour_in_the_words_of_here() {
        let converted = convert(&row()).unwrap();
        assert_eq!(converted.station_type, "sds011-bme280");
        let it = converted.observation;
        assert_eq!(
            (&*it.unit, &*it.label, &*it.definition),
            ("Cel", "Temperature", "stetl sds011-bme280-1")
        );
        assert_eq!(it.phenomenon_time.end.to_string(), "2017-01-01T00:00:00Z");
        assert_eq!((it.value, it.min, it.max), (4.0, 3.0, 5.0));
        assert_eq!((it.raw, it.location.alt), (Some(277_150.0), None));
        assert_eq!(it.quality.flags, [Flag::Imported]);
    }

    #[test]
    fn a_row_that_is_no_observation_is_told_why() {
        let told = |change: fn(&mut StetlRefined)| {
            let mut row = row();
            change(&mut row);
            convert(&row).err().unwrap().to_string()
        };
        assert!(told(|it| it.value = None).contains("no value of temperature"));
        assert!(told(|it| it.hour = 25).starts_with("invalid_hour: day 20161231, hour 25"));
        assert!(told(|it| it.day = 20_161_301).starts_with("invalid_hour"));
        assert!(told(|it| it.lat = None).starts_with("no_location"));
        assert!(told(|it| it.unit = Some("furlong".into())).contains("`furlong`"));
        assert!(told(|it| it.name = Some("smell".into())).contains("`smell`"));
        assert!(told(|it| it.device_id = None).contains("no device_id"));
        assert!(told(|it| it.device_id = Some(-1)).contains("-1"));
    }

    #[test]
    fn data_that_is_no_json_is_refused_as_a_record() {
        let mut row = StetlRaw {
            gid: 1,
            device_id: 23,
            day: 20_160_108,
            hour: 1,
            data: Some("{".into()),
            device_type: "jose".into(),
            device_version: "1".into(),
        };
        assert!(record(&document(&row), &|_| true).is_err());
        row.data = None;
        assert!(record(&document(&row), &|_| true).is_err());
        row.data = Some(r#"{"id":23,"timeseries":[{"time":"2016-01-08T00:10:00Z"}]}"#.into());
        let record = record(&document(&row), &|_| true).unwrap();
        assert_eq!(record.station.as_str(), "23");
    }
}
