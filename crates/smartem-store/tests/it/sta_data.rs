//! Entities for tests of reading, put into the tables of both backends as they are.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::servers::{On, World};

/// A value of a column.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    Null,
    Int(i64),
    Bool(bool),
    Real(f64),
    Text(String),
    Json(Value),
    /// Microseconds since 1970.
    Time(i64),
}

impl From<i64> for Val {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<&str> for Val {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<Value> for Val {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl<T: Into<Val>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A time in microseconds since 1970.
pub(crate) fn time(micros: i64) -> Val {
    Val::Time(micros)
}

/// A row of a table, named as on SQLite; points are `lon` and `lat`.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(crate) &'static str, pub(crate) Vec<(&'static str, Val)>);

/// `row!("sta_thing", id = 1, name = "a")`.
macro_rules! row {
    ($table:literal, $($column:ident = $value:expr),+ $(,)?) => {
        $crate::sta_data::Row($table, vec![$((stringify!($column), $crate::sta_data::Val::from($value))),+])
    };
}
pub(crate) use row;

/// Puts rows into the tables of a store.
pub(crate) fn fill(world: &World, rows: &[Row]) {
    let mut script = String::new();
    if world.kind() == On::Sqlite {
        for Row(table, columns) in rows {
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            let values: Vec<String> = columns.iter().map(|(_, it)| sqlite(it)).collect();
            insert(&mut script, table, &names, &values);
        }
        let file = world.store.dir().join("smartem.sqlite");
        let connection = rusqlite::Connection::open(file).unwrap();
        connection
            .execute_batch(&format!("BEGIN; {script} COMMIT;"))
            .unwrap();
        return;
    }
    for Row(table, columns) in rows {
        if *table == "observation" {
            observation(&mut script, columns);
            continue;
        }
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let values: Vec<String> = columns.iter().map(|(_, it)| postgres(it)).collect();
        insert(&mut script, &postgres_table(table), &names, &values);
    }
    world.database().lines(&script);
}

fn insert(script: &mut String, table: &str, names: &[&str], values: &[String]) {
    writeln!(
        script,
        "INSERT INTO {table} ({}) VALUES ({});",
        names.join(", "),
        values.join(", ")
    )
    .unwrap();
}

fn postgres_table(table: &str) -> String {
    match table.strip_prefix("sta_") {
        Some(name) => format!("smartem_sta.{name}"),
        None if table == "series" => "smartem_refined.series".to_owned(),
        None => format!("smartem.{table}"),
    }
}

/// With its partition; longitude and latitude become a point.
fn observation(script: &mut String, columns: &[(&'static str, Val)]) {
    let of = |wanted: &str| {
        let found = columns.iter().find(|(name, _)| *name == wanted);
        postgres(&found.unwrap().1)
    };
    writeln!(
        script,
        "SELECT smartem_refined.ensure_month({});",
        of("start_time")
    )
    .unwrap();
    let mut names = vec!["point"];
    let mut values = vec![format!(
        "ST_SetSRID(ST_MakePoint({}, {}), 4326)",
        of("lon"),
        of("lat")
    )];
    for (name, value) in columns {
        if *name != "lon" && *name != "lat" {
            names.push(name);
            values.push(postgres(value));
        }
    }
    insert(script, "smartem_refined.observation", &names, &values);
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn sqlite(value: &Val) -> String {
    match value {
        Val::Null => "NULL".to_owned(),
        Val::Int(value) | Val::Time(value) => value.to_string(),
        Val::Bool(value) => i64::from(*value).to_string(),
        Val::Real(value) => format!("{value:?}"),
        Val::Text(text) => quoted(text),
        Val::Json(value) => quoted(&value.to_string()),
    }
}

fn postgres(value: &Val) -> String {
    match value {
        Val::Bool(value) => value.to_string(),
        Val::Time(micros) => {
            format!("(timestamptz 'epoch' + {micros} * interval '1 microsecond')")
        }
        Val::Real(value) => format!("'{value:?}'::float8"),
        other => sqlite(other),
    }
}

/// Microseconds of an hour.
pub(crate) const HOUR: i64 = 3_600_000_000;
/// 2024-01-01T00:00:00Z, in hours since 1970.
pub(crate) const FIRST: i64 = 473_352;

/// An hour after [`FIRST`], in microseconds.
pub(crate) fn hour(n: i64) -> i64 {
    (FIRST + n) * HOUR
}

fn point(lon: f64, lat: f64) -> Value {
    json!({"type": "Point", "coordinates": [lon, lat]})
}

/// Two stations with two refined datastreams each, a thing of a client with four datastreams: of numbers, of
/// texts and other JSON, an empty one, and one of two observed properties.
pub(crate) fn town() -> Vec<Row> {
    let mut rows = vec![
        row!("term", key = 1, text = "jose/1"),
        row!("term", key = 2, text = "Ohm"),
    ];
    for station in 1..=2_i64 {
        rows.extend(a_station(station));
    }
    rows.extend(shared());
    for station in 1..=2_i64 {
        rows.extend(refined(station));
    }
    rows.extend(made());
    rows
}

fn a_station(key: i64) -> Vec<Row> {
    let (lon, lat) = (5.0 + key as f64, 51.5);
    let id = format!("2000{key}");
    let mut rows = vec![
        row!(
            "station",
            key = key,
            id = id.as_str(),
            station_type = "jose",
            network = "josene",
            first_seen = time(hour(0))
        ),
        row!(
            "sta_thing",
            id = key,
            station_key = key,
            name = id.as_str(),
            description = "Station of type jose in network josene",
            properties = json!({"stationType": "jose", "network": "josene", "cadence": 300 * key})
        ),
    ];
    // The second station moved.
    for at in 0..key {
        let location = key * 10 + at;
        let lon = lon + at as f64 / 10.0;
        rows.push(row!(
            "sta_location",
            id = location,
            station_key = key,
            valid_from = time(hour(at * 5)),
            name = id.as_str(),
            description = "Where it is",
            encoding_type = "application/geo+json",
            location = point(lon, lat),
            west = lon,
            east = lon,
            south = lat,
            north = lat
        ));
        rows.push(row!(
            "sta_feature",
            id = location,
            location_id = location,
            name = id.as_str(),
            description = "Where it is",
            encoding_type = "application/geo+json",
            feature = point(lon, lat),
            west = lon,
            east = lon,
            south = lat,
            north = lat
        ));
        rows.push(row!(
            "sta_historical_location",
            id = location,
            thing_id = key,
            time = time(hour(at * 5))
        ));
        rows.push(row!(
            "sta_historical_location_location",
            historical_location_id = location,
            location_id = location
        ));
        if at == key - 1 {
            rows.push(row!(
                "sta_thing_location",
                thing_id = key,
                location_id = location
            ));
        }
    }
    rows
}

fn shared() -> Vec<Row> {
    let sensor = |id: i64, name: &str| {
        row!(
            "sta_sensor",
            id = id,
            instrument = name,
            name = name,
            description = "A sensor",
            encoding_type = "text/plain",
            metadata = json!(name)
        )
    };
    let property = |id: i64, name: &str, label: &str| {
        row!(
            "sta_observed_property",
            id = id,
            indicator = name,
            name = name,
            definition = format!("urn:smartem:indicator:{name}").as_str(),
            description = label
        )
    };
    vec![
        sensor(1, "no2-S27"),
        sensor(2, "noise-S1"),
        row!(
            "sta_sensor",
            id = 3,
            name = "Thermometer",
            description = "Éénvoudig",
            encoding_type = "application/json",
            metadata = json!({"maker": {"name": "ACME"}, "year": 2020}),
            properties = json!({"exact": true, "tags": ["a", "b"]})
        ),
        property(1, "no2", "Nitrogen dioxide"),
        property(2, "noiseavg", "Average noise"),
        property(3, "temperature", "Temperature"),
    ]
}

/// Ten hours of nitrogen dioxide and five of noise at a station, `is_refined`.
fn refined(station: i64) -> Vec<Row> {
    let mut rows = Vec::new();
    let lon = 5.0 + station as f64;
    for (nth, indicator, unit, symbol, count, sensor) in [
        (0, "no2", "ug/m3", "µg/m³", 10, "no2-S27"),
        (1, "noiseavg", "dB[SPL]{A}", "dB(A)", 5, "noise-S1"),
    ] {
        let key = (station - 1) * 2 + nth + 1;
        rows.push(row!(
            "series",
            key = key,
            station_key = station,
            indicator = indicator,
            sensor = sensor,
            unit = unit,
            label = indicator,
            observations = count,
            first_time = time(hour(0)),
            last_time = time(hour(count))
        ));
        rows.push(row!("sta_datastream", id = key, is_refined = Val::Bool(true), thing_id = station,
            sensor_id = nth + 1, name = indicator, description = "of a station",
            observation_type = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
            unit = json!({"name": unit, "symbol": symbol, "definition": format!("https://ucum.org/ucum#{unit}")}),
            west = lon, east = lon, south = 51.5, north = 51.5));
        rows.push(row!(
            "sta_datastream_property",
            datastream_id = key,
            position = 0,
            observed_property_id = nth + 1
        ));
        for n in 0..count {
            let value = (station * 100 + n * 10) as f64 + 0.5;
            rows.push(row!(
                "observation",
                series_key = key,
                start_time = time(hour(n)),
                end_time = time(hour(n + 1)),
                value = value,
                min = value - 1.0,
                max = value + 1.0,
                raw = 12.25,
                raw_unit = 2,
                accepted = 3,
                rejected = 1,
                coverage = 0.5,
                flags = 4,
                lon = lon,
                lat = 51.5,
                definition = 1
            ));
        }
    }
    rows
}

/// The id of the thing of a client.
pub(crate) const GARDEN: i64 = 10;

#[expect(clippy::too_many_lines, reason = "a table of rows")]
fn made() -> Vec<Row> {
    let area = json!({"type": "Polygon", "coordinates":
        [[[4.0, 50.0], [8.0, 50.0], [8.0, 53.0], [4.0, 53.0], [4.0, 50.0]]]});
    let mut rows = vec![
        row!(
            "sta_thing",
            id = GARDEN,
            name = "Garden",
            description = "Überall",
            properties = json!({"owner": {"name": "Ada"}, "size": 12.5, "open": true, "odd": null})
        ),
        row!(
            "sta_location",
            id = 100,
            name = "Garden",
            description = "A field",
            encoding_type = "application/geo+json",
            location = area.clone(),
            west = 4.0,
            east = 8.0,
            south = 50.0,
            north = 53.0
        ),
        row!("sta_thing_location", thing_id = GARDEN, location_id = 100),
        row!(
            "sta_feature",
            id = 100,
            name = "Field",
            description = "All of it",
            encoding_type = "application/geo+json",
            feature = area
        ),
        row!(
            "sta_feature",
            id = 101,
            name = "Label",
            description = "no geometry",
            encoding_type = "text/plain",
            feature = json!("in the shed")
        ),
    ];
    let datastream = |id: i64, name: &str, count: i64, multi: Option<Value>| {
        let unit = match &multi {
            Some(_) => json!([{"name": "a"}, {"name": "b"}]),
            None => {
                json!({"name": "degree Celsius", "symbol": "°C", "definition": "https://ucum.org/ucum#Cel"})
            }
        };
        let extent = |at: i64| (count > 0).then(|| time(hour(at)));
        row!(
            "sta_datastream",
            id = id,
            is_refined = Val::Bool(false),
            thing_id = GARDEN,
            sensor_id = 3,
            name = name,
            description = "of a client",
            observation_type = "any",
            unit = unit,
            multi_types = multi,
            observations = count,
            next_n = count + 1,
            phenomenon_start = extent(0),
            phenomenon_end = extent(count)
        )
    };
    rows.push(datastream(11, "numbers", 6, None));
    rows.push(datastream(12, "anything", 6, None));
    rows.push(datastream(13, "empty", 0, None));
    rows.push(datastream(14, "both", 3, Some(json!(["x", "y"]))));
    for (id, position, property) in [(11, 0, 3), (12, 0, 3), (13, 0, 3), (14, 0, 3), (14, 1, 1)] {
        rows.push(row!(
            "sta_datastream_property",
            datastream_id = id,
            position = position,
            observed_property_id = property
        ));
    }
    for n in 0..6_i64 {
        // Numbers come late and in another order than their times.
        rows.push(row!(
            "sta_observation",
            datastream_id = 11,
            start_time = time(hour(n)),
            n = 6 - n,
            end_time = (n % 2 == 1).then(|| time(hour(n) + HOUR / 2)),
            result = n as f64 / 4.0,
            result_time = (n != 2).then(|| time(hour(n + 1))),
            feature_id = (n > 0).then_some(100 + n % 2),
            valid_start = (n == 4).then(|| time(hour(0))),
            valid_end = (n == 4).then(|| time(hour(9))),
            quality = (n == 1).then(|| json!({"good": "yes"})),
            parameters = (n == 3).then(|| json!({"wind": 4, "from": "NW"}))
        ));
    }
    let results = [
        json!("rain"),
        json!(true),
        json!({"a": 5}),
        json!([1, 2]),
        Value::Null,
        json!(12_345_678_901_234_567_890_u64),
    ];
    for (n, result) in (0..).zip(results) {
        rows.push(row!(
            "sta_observation",
            datastream_id = 12,
            start_time = time(hour(n)),
            n = n + 1,
            result_json = result
        ));
    }
    for n in 0..3_i64 {
        rows.push(row!(
            "sta_observation",
            datastream_id = 14,
            start_time = time(hour(n)),
            n = n + 1,
            result_json = json!([n, 2 * n])
        ));
    }
    rows
}
