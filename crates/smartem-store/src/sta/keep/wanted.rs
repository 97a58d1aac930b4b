//! What the entities of stations are to be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use smartem_model::Vocabulary;

use crate::postgres::text;
use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Param, Row, Sql};

/// The media type of GeoJSON (RFC 7946, section 12).
pub(super) const GEO_JSON: &str = "application/geo+json";
/// The media type of the name of an instrument.
pub(super) const PLAIN_TEXT: &str = "text/plain";
/// 18-088, table 15.
pub(super) const MEASUREMENT: &str =
    "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement";
/// What a code of the Unified Code for Units of Measure follows to make a URI.
const UCUM: &str = "https://ucum.org/ucum#";

/// A station as far as its entities tell of it.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) key: i64,
    pub(super) id: String,
    /// The station type.
    pub(super) kind: String,
    pub(super) network: String,
    pub(super) project: Option<String>,
    pub(super) name: Option<String>,
    pub(super) cadence_s: Option<f64>,
    /// In order of time.
    pub(super) track: Vec<Place>,
    pub(super) series: Vec<Series>,
}

/// Where a station is from an hour on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// Hours since 1970.
    pub(super) hour: i64,
    pub(super) lon: f64,
    pub(super) lat: f64,
    pub(super) alt: Option<f64>,
}

#[derive(Debug)]
pub(super) struct Series {
    pub(super) key: i64,
    pub(super) indicator: String,
    pub(super) sensor: String,
    pub(super) unit: String,
    pub(super) label: String,
}

impl Station {
    pub(super) fn description(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("Station of type {} in network {}", self.kind, self.network))
    }

    pub(super) fn properties(&self) -> Value {
        // PostgreSQL has no JSON with the character of number 0.
        let mut properties =
            json!({"stationType": text(&self.kind), "network": text(&self.network)});
        if let Some(project) = &self.project {
            properties["project"] = json!(text(project));
        }
        if let Some(cadence_s) = self.cadence_s {
            // Seconds.
            properties["cadence"] = json!(cadence_s);
        }
        properties
    }

    pub(super) fn location_description(&self) -> String {
        format!("Location of {}", self.id)
    }
}

impl Place {
    /// A GeoJSON point.
    pub(super) fn geometry(&self) -> Value {
        let mut coordinates = vec![self.lon, self.lat];
        coordinates.extend(self.alt);
        json!({"type": "Point", "coordinates": coordinates})
    }
}

impl Series {
    pub(super) fn description(&self, station: &Station) -> String {
        format!("{} at {}", self.label, station.id)
    }

    /// Name, symbol and definition of its unit.
    pub(super) fn unit_of_measurement(&self) -> Value {
        let unit = Vocabulary::builtin().units().get(&self.unit);
        let (name, symbol) = match unit {
            Some(unit) => (&*unit.label.en, &*unit.symbol),
            None => (&*self.unit, &*self.unit),
        };
        json!({"name": text(name), "symbol": text(symbol),
            "definition": definition_of(&self.unit)})
    }
}

/// The URI of a unit; what may not stand in a fragment is encoded (RFC 3986, section 3.5).
fn definition_of(code: &str) -> String {
    let mut uri = UCUM.to_owned();
    for byte in code.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// The label of an indicator: of the vocabulary, else of a series.
pub(super) fn label_of(series: &Series) -> String {
    match Vocabulary::builtin().get(&series.indicator) {
        Some(indicator) => indicator.label.en.to_string(),
        None => series.label.clone(),
    }
}

/// An hour as a parameter: its number on SQLite, its start on PostgreSQL.
pub(super) fn hour_param(dialect: Dialect, hour: i64) -> Param {
    match dialect {
        Dialect::Sqlite => Param::int(hour),
        Dialect::Postgres => Param::Time(Some(start_of(hour))),
    }
}

/// An hour of a row.
pub(super) fn hour_of(dialect: Dialect, row: &Row, at: usize) -> Result<i64, Fault> {
    let value = row.int(at)?;
    Ok(match dialect {
        Dialect::Sqlite => value,
        Dialect::Postgres => value.div_euclid(HOUR),
    })
}

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// When an hour begins, microseconds since 1970.
pub(super) fn start_of(hour: i64) -> i64 {
    hour * HOUR
}

/// Stations by their keys, in that order.
pub(super) async fn stations(sql: &mut dyn Sql, keys: &[i64]) -> Result<Vec<Station>, Fault> {
    let dialect = sql.dialect();
    let among = dialect.among(&dialect.place(1));
    let keys = [Param::Ints(keys.to_vec())];
    let table = dialect.other_table("smartem", "station");
    let question = format!(
        "SELECT key, id, station_type, network, project, name, cadence_s, declared_lon, declared_lat,
             declared_alt, first_seen
         FROM {table} WHERE key {among} ORDER BY key"
    );
    let rows = sql.query(&question, &keys).await?;
    let mut tracks = tracks(sql, &among, &keys).await?;
    let mut series = series(sql, &among, &keys).await?;
    let mut stations = Vec::with_capacity(rows.len());
    for row in &rows {
        let key = row.int(0)?;
        let mut track = tracks.remove(&key).unwrap_or_default();
        let declared = declared(row, track.first())?;
        track.splice(0..0, declared);
        stations.push(Station {
            key,
            id: row.text(1)?,
            kind: row.text(2)?,
            network: row.text(3)?,
            project: row.optional_text(4)?,
            name: row.optional_text(5)?,
            cadence_s: row.optional_real(6)?,
            track,
            series: series.remove(&key).unwrap_or_default(),
        });
    }
    Ok(stations)
}

/// The declared location: from when the station was first seen on, and at any rate before its first fix
/// elsewhere. That it holds before any hour cannot be said of a moment.
fn declared(row: &Row, first: Option<&Place>) -> Result<Option<Place>, Fault> {
    let Some((lon, lat)) = row.optional_real(7)?.zip(row.optional_real(8)?) else {
        return Ok(None);
    };
    let seen = row.int(10)?.div_euclid(HOUR);
    let hour = first.map_or(seen, |first| seen.min(first.hour - 1));
    let alt = row.optional_real(9)?;
    Ok(Some(Place {
        hour,
        lon,
        lat,
        alt,
    }))
}

async fn tracks(
    sql: &mut dyn Sql,
    among: &str,
    keys: &[Param],
) -> Result<BTreeMap<i64, Vec<Place>>, Fault> {
    let dialect = sql.dialect();
    let table = dialect.other_table("smartem", "location");
    let question = format!(
        "SELECT station_key, valid_from, lon, lat, alt FROM {table}
         WHERE station_key {among} ORDER BY station_key, valid_from"
    );
    let mut tracks: BTreeMap<i64, Vec<Place>> = BTreeMap::new();
    for row in sql.query(&question, keys).await? {
        let place = Place {
            hour: hour_of(dialect, &row, 1)?,
            lon: row.real(2)?,
            lat: row.real(3)?,
            alt: row.optional_real(4)?,
        };
        tracks.entry(row.int(0)?).or_default().push(place);
    }
    Ok(tracks)
}

async fn series(
    sql: &mut dyn Sql,
    among: &str,
    keys: &[Param],
) -> Result<BTreeMap<i64, Vec<Series>>, Fault> {
    let table = sql.dialect().other_table("smartem_refined", "series");
    let question = format!(
        "SELECT station_key, key, indicator, sensor, unit, label FROM {table}
         WHERE station_key {among} ORDER BY key"
    );
    let mut all: BTreeMap<i64, Vec<Series>> = BTreeMap::new();
    for row in sql.query(&question, keys).await? {
        let series = Series {
            key: row.int(1)?,
            indicator: row.text(2)?,
            sensor: row.text(3)?,
            unit: row.text(4)?,
            label: row.text(5)?,
        };
        all.entry(row.int(0)?).or_default().push(series);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_the_name_of_the_vocabulary_and_a_uri() {
        let series = |unit: &str| Series {
            key: 1,
            indicator: "no2".into(),
            sensor: "no2-S27".into(),
            unit: unit.into(),
            label: "NO2".into(),
        };
        let unit = series("ug/m3").unit_of_measurement();
        assert_eq!(unit["definition"], "https://ucum.org/ucum#ug/m3");
        assert_ne!(unit["name"], "ug/m3", "{unit}");
        let unit = series("{florp}%").unit_of_measurement();
        assert_eq!(
            unit,
            json!({"name": "{florp}%", "symbol": "{florp}%",
                "definition": "https://ucum.org/ucum#%7Bflorp%7D%25"})
        );
    }
}
