//! Entities of the service: found by their names, made where they are missing.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_etl::{OutputError, Run};
use smartem_model::{Position, StationId};
use smartem_store::{StationLocation, StationView};

use super::client::{Client, Id};
use super::observations::Reach;

/// The type of numeric observations (10-025r1, table 1).
const MEASUREMENT: &str = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement";

/// What is known of the service in this run.
#[derive(Default)]
pub(super) struct Known {
    things: HashMap<StationId, Thing>,
    sensors: HashMap<String, Id>,
    observed_properties: HashMap<String, Id>,
    features: HashMap<String, Id>,
}

struct Thing {
    id: Id,
    name: String,
    locations: Vec<StationLocation>,
    /// By indicator, sensor and unit.
    datastreams: HashMap<Series, (Id, Reach)>,
}

/// What of a station a datastream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Series {
    /// Whose.
    pub(super) station: StationId,
    /// What is observed.
    pub(super) indicator: String,
    /// By which instrument.
    pub(super) sensor: String,
    /// UCUM code.
    pub(super) unit: String,
}

/// Where an observation goes.
pub(super) struct Place {
    /// The datastream.
    pub(super) datastream: Id,
    /// What is known of its observations.
    pub(super) reach: Reach,
}

/// A text literal of a filter.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The URN by which OGC names UCUM units.
fn unit_definition(code: &str) -> String {
    format!("urn:ogc:def:uom:UCUM::{code}")
}

fn point(position: Position) -> Value {
    let mut coordinates = vec![position.lon, position.lat];
    coordinates.extend(position.alt);
    json!({"type": "Point", "coordinates": coordinates})
}

impl Known {
    /// The datastream of a series, which is made when it is missing.
    pub(super) async fn place(
        &mut self,
        client: &Client,
        run: &Run,
        series: &Series,
        label: &str,
    ) -> Result<Place, OutputError> {
        self.thing(client, run, &series.station).await?;
        if let Some(place) = self.known_place(series) {
            return Ok(place);
        }
        let sensor = self.sensor(client, run, &series.sensor).await?;
        let observed_property = self
            .observed_property(client, run, &series.indicator, label)
            .await?;
        let Some(thing) = self.things.get_mut(&series.station) else {
            return Err(client.unreachable("a thing was lost".to_owned()));
        };
        let datastream = json!({
            "name": series.indicator,
            "description": format!("{label} at {}", thing.name),
            "observationType": MEASUREMENT,
            "unitOfMeasurement": {
                "name": series.unit, "symbol": series.unit,
                "definition": unit_definition(&series.unit),
            },
            "Thing": {"@iot.id": thing.id.0},
            "Sensor": {"@iot.id": sensor.0},
            "ObservedProperty": {"@iot.id": observed_property.0},
        });
        for attempt in 1.. {
            let made = client.create(run, "Datastreams", &datastream, attempt);
            if let Some(id) = made.await? {
                let made = (id, Reach::Empty);
                thing.datastreams.insert(series.clone(), made);
                break;
            }
            thing.datastreams = datastreams(client, run, &thing.id, &series.station).await?;
            if thing.datastreams.contains_key(series) {
                break;
            }
        }
        self.known_place(series)
            .ok_or_else(|| client.unreachable("a datastream was lost".to_owned()))
    }

    fn known_place(&self, series: &Series) -> Option<Place> {
        let thing = self.things.get(&series.station)?;
        let (id, reach) = thing.datastreams.get(series)?;
        Some(Place {
            datastream: id.clone(),
            reach: *reach,
        })
    }

    /// Notes how far the observations of a series reach now.
    pub(super) fn note(&mut self, series: &Series, reach: Reach) {
        let thing = self.things.get_mut(&series.station);
        if let Some((_, held)) = thing.and_then(|it| it.datastreams.get_mut(series)) {
            *held = reach;
        }
    }

    async fn thing(
        &mut self,
        client: &Client,
        run: &Run,
        station: &StationId,
    ) -> Result<(), OutputError> {
        if self.things.contains_key(station) {
            return Ok(());
        }
        let fault = |error: smartem_store::StoreError| client.unreachable(error.to_string());
        let view = run.store.station(station).await.map_err(fault)?;
        let locations = run.store.locations(station).await.map_err(fault)?;
        let name = station.to_string();
        let newest = locations.last().map(|it| it.position);
        let new = new_thing(&name, view.as_ref(), newest);
        let (id, is_new) = found_or_made(client, run, "Things", &name, &new).await?;
        let datastreams = if is_new {
            HashMap::new()
        } else {
            if let Some(position) = newest {
                moved(client, run, &id, &name, position).await?;
            }
            datastreams(client, run, &id, station).await?
        };
        let thing = Thing {
            id,
            name,
            locations,
            datastreams,
        };
        self.things.insert(station.clone(), thing);
        Ok(())
    }

    async fn sensor(&mut self, client: &Client, run: &Run, name: &str) -> Result<Id, OutputError> {
        if let Some(id) = self.sensors.get(name) {
            return Ok(id.clone());
        }
        let sensor = json!({
            "name": name, "description": format!("The instrument {name}"),
            // The standard names three encodings (18-088, table 15); some services take no others.
            "encodingType": "text/html", "metadata": name,
        });
        let (id, _) = found_or_made(client, run, "Sensors", name, &sensor).await?;
        self.sensors.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    async fn observed_property(
        &mut self,
        client: &Client,
        run: &Run,
        name: &str,
        label: &str,
    ) -> Result<Id, OutputError> {
        if let Some(id) = self.observed_properties.get(name) {
            return Ok(id.clone());
        }
        let property = json!({
            "name": name, "description": label,
            "definition": format!("urn:smartem:indicator:{name}"),
        });
        let (id, _) = found_or_made(client, run, "ObservedProperties", name, &property).await?;
        self.observed_properties.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    /// The feature of an observation: where the station was then; where that is not known, where the
    /// observation was made.
    pub(super) async fn feature(
        &mut self,
        client: &Client,
        run: &Run,
        series: &Series,
        start: Timestamp,
        own: Option<Position>,
    ) -> Result<Option<Id>, OutputError> {
        let thing = self.things.get(&series.station);
        let track = thing.map_or(&[][..], |thing| &thing.locations);
        let then = track
            .iter()
            .rev()
            .find(|it| it.from.period().start <= start);
        let position = then.or(track.first()).map(|it| it.position).or(own);
        let Some(position) = position else {
            return Ok(None);
        };
        let name = format!("{} at {}, {}", series.station, position.lon, position.lat);
        if let Some(id) = self.features.get(&name) {
            return Ok(Some(id.clone()));
        }
        let feature = json!({
            "name": name, "description": format!("Where the station {} was", series.station),
            "encodingType": "application/geo+json", "feature": point(position),
        });
        let (id, _) = found_or_made(client, run, "FeaturesOfInterest", &name, &feature).await?;
        self.features.insert(name, id.clone());
        Ok(Some(id))
    }
}

/// The entity of this name that was made first.
async fn find(
    client: &Client,
    run: &Run,
    set: &str,
    name: &str,
) -> Result<Option<Value>, OutputError> {
    let options = [
        ("$filter", format!("name eq {}", literal(name))),
        ("$top", "1".to_owned()),
    ];
    let page = client.get(run, &client.address(set, &options)).await?;
    let first = page["value"].as_array().and_then(|found| found.first());
    // A service that does not filter gives any entity.
    Ok(first.filter(|entity| entity["name"] == *name).cloned())
}

/// The entity of this name, and whether it was made now.
async fn found_or_made(
    client: &Client,
    run: &Run,
    set: &str,
    name: &str,
    entity: &Value,
) -> Result<(Id, bool), OutputError> {
    let mut attempt = 1;
    loop {
        if let Some(id) = find(client, run, set, name)
            .await?
            .as_ref()
            .and_then(Id::of)
        {
            return Ok((id, false));
        }
        if let Some(id) = client.create(run, set, entity, attempt).await? {
            return Ok((id, true));
        }
        attempt += 1;
    }
}

fn new_thing(name: &str, view: Option<&StationView>, position: Option<Position>) -> Value {
    let described = view.map(|view| {
        let told = view.name.as_deref().map(str::to_owned);
        let told = told.unwrap_or_else(|| {
            format!(
                "Station of type {} in network {}",
                view.station_type, view.network
            )
        });
        let properties = json!({
            "stationType": *view.station_type, "network": *view.network,
            "project": view.project.as_deref(),
        });
        (told, properties)
    });
    let (description, properties) = described.unwrap_or_else(|| (name.to_owned(), json!({})));
    let mut thing = json!({"name": name, "description": description, "properties": properties});
    if let Some(position) = position {
        thing["Locations"] = json!([new_location(name, position)]);
    }
    thing
}

fn new_location(name: &str, position: Position) -> Value {
    json!({
        "name": name, "description": format!("Where the station {name} is"),
        "encodingType": "application/geo+json", "location": point(position),
    })
}

/// Gives a thing its location where it has another one.
async fn moved(
    client: &Client,
    run: &Run,
    thing: &Id,
    name: &str,
    position: Position,
) -> Result<(), OutputError> {
    let path = format!("Things{thing}/Locations");
    let here = point(position);
    let mut attempt = 1;
    loop {
        let held = client.list(run, client.address(&path, &[])).await?;
        if held.iter().any(|it| is_same_place(&it["location"], &here)) {
            return Ok(());
        }
        let location = new_location(name, position);
        if client
            .create(run, &path, &location, attempt)
            .await?
            .is_some()
        {
            return Ok(());
        }
        attempt += 1;
    }
}

/// Whether two points have the same coordinates; some services leave out the altitude.
fn is_same_place(held: &Value, here: &Value) -> bool {
    let held = held.get("geometry").unwrap_or(held);
    let at = |point: &Value, axis: usize| point["coordinates"][axis].as_f64();
    [0, 1]
        .into_iter()
        .all(|axis| at(held, axis).is_some() && at(held, axis) == at(here, axis))
}

/// The datastreams of a thing by what they are of.
async fn datastreams(
    client: &Client,
    run: &Run,
    thing: &Id,
    station: &StationId,
) -> Result<HashMap<Series, (Id, Reach)>, OutputError> {
    let path = format!("Things{thing}/Datastreams");
    let options = [("$expand", "Sensor".to_owned())];
    let found = client.list(run, client.address(&path, &options)).await?;
    let mut known = HashMap::new();
    for datastream in &found {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let unit = &datastream["unitOfMeasurement"];
        let code = text(&unit["definition"]);
        let code = code
            .as_deref()
            .and_then(|it| it.strip_prefix(&unit_definition("")))
            .map(str::to_owned);
        let parts = (
            Id::of(datastream),
            text(&datastream["name"]),
            text(&datastream["Sensor"]["name"]),
            code.or_else(|| text(&unit["symbol"])),
        );
        let (Some(id), Some(indicator), Some(sensor), Some(unit)) = parts else {
            continue;
        };
        let series = Series {
            station: station.clone(),
            indicator,
            sensor,
            unit,
        };
        // Of two of the same the first: the listing is in the order of making.
        known.entry(series).or_insert((id, Reach::Unknown));
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_same_whatever_is_around_its_coordinates() {
        let here = json!({"type": "Point", "coordinates": [5.8, 51.8, 30.0]});
        for (held, same) in [
            (json!({"type": "Point", "coordinates": [5.8, 51.8]}), true),
            (
                json!({"type": "Feature", "geometry": {"type": "Point", "coordinates": [5.8, 51.8, 1]}}),
                true,
            ),
            (json!({"type": "Point", "coordinates": [5.8, 51.9]}), false),
            (json!("somewhere"), false),
            (Value::Null, false),
        ] {
            assert_eq!(is_same_place(&held, &here), same, "{held}");
        }
    }

    #[test]
    fn a_quote_in_a_name_stays_in_the_literal() {
        assert_eq!(literal("it's"), "'it''s'");
    }
}
