//! Things, locations and datastreams of stations, compared with what they are to be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use smartem_sta::EntityType;

use super::shared::Shared;
use super::wanted::{GEO_JSON, MEASUREMENT, Place, Station, hour_of, hour_param, start_of};
use crate::sta::changes::{ChangeKind, Changes};
use crate::sta::error::Fault;
use crate::sta::sql::{Param, Sql};

/// Brings the entities of stations in line that the stations do not share.
pub(super) async fn align(
    sql: &mut dyn Sql,
    stations: &[Station],
    shared: &Shared,
    changes: &mut Changes,
) -> Result<(), Fault> {
    let keys = [Param::Ints(stations.iter().map(|it| it.key).collect())];
    let things = things(sql, stations, &keys, changes).await?;
    let locations = locations(sql, stations, &keys, changes).await?;
    features(sql, stations, &locations, changes).await?;
    history(sql, &things, &locations, changes).await?;
    current(sql, stations, &things, &locations).await?;
    gone(sql, &locations.gone, changes).await?;
    datastreams(sql, stations, &things, shared, changes).await
}

/// Ids of things by the key of their station.
type Things = BTreeMap<i64, i64>;

async fn things(
    sql: &mut dyn Sql,
    stations: &[Station],
    keys: &[Param],
    changes: &mut Changes,
) -> Result<Things, Fault> {
    let dialect = sql.dialect();
    let (table, among) = (dialect.table("thing"), dialect.among(&dialect.place(1)));
    let question = format!(
        "SELECT station_key, id, project, name, description, properties FROM {table}
         WHERE station_key {among}"
    );
    let mut known = BTreeMap::new();
    for row in sql.query(&question, keys).await? {
        let values: [Option<String>; 3] = [
            row.optional_text(2)?,
            row.optional_text(3)?,
            row.optional_text(4)?,
        ];
        known.insert(row.int(0)?, (row.int(1)?, values, row.optional_json(5)?));
    }
    let mut ids = Things::new();
    let mut missing = Vec::new();
    for station in stations {
        let (description, properties) = (station.description(), station.properties());
        let Some((id, values, stored)) = known.remove(&station.key) else {
            missing.push(vec![
                Param::int(station.key),
                Param::Text(station.project.clone()),
                Param::text(&station.id),
                Param::text(description),
                Param::json(&properties),
            ]);
            continue;
        };
        ids.insert(station.key, id);
        let wanted = [
            station.project.clone(),
            Some(station.id.clone()),
            Some(description),
        ];
        if values == wanted && stored.as_ref() == Some(&properties) {
            continue;
        }
        let update = format!(
            "UPDATE {table} SET project = {}, name = {}, description = {}, properties = {}
             WHERE id = {}",
            dialect.place(2),
            dialect.place(3),
            dialect.place(4),
            dialect.place(5),
            dialect.place(1),
        );
        let mut params = vec![Param::int(id)];
        params.extend(wanted.into_iter().map(Param::Text));
        params.push(Param::json(&properties));
        sql.execute(&update, &params).await?;
        changes.note(EntityType::Thing, id, ChangeKind::Updated);
    }
    let head = format!("INSERT INTO {table} (station_key, project, name, description, properties)");
    for row in sql
        .insert(&head, &missing, "RETURNING station_key, id")
        .await?
    {
        let id = row.int(1)?;
        ids.insert(row.int(0)?, id);
        changes.note(EntityType::Thing, id, ChangeKind::Created);
    }
    Ok(ids)
}

/// A location as it is stored.
struct Stored {
    id: i64,
    hour: i64,
    project: Option<String>,
    geometry: Value,
}

/// The locations of stations, as they are now.
#[derive(Default)]
struct Locations {
    /// By the key of the station, in the order of its track: id and where.
    ids: BTreeMap<i64, Vec<(i64, Place)>>,
    /// Ids of those that are no longer in a track, and are still there.
    gone: Vec<i64>,
}

/// What becomes of the locations of a station.
struct Match<'a> {
    /// The stored location of each place, if one can stand for it.
    places: Vec<(&'a Place, Option<Stored>)>,
    gone: Vec<i64>,
}

/// A stored location stands for the place of its hour; one whose hour is in the track no more for the same
/// place from another hour on.
fn matched(track: &[Place], mut stored: Vec<Stored>) -> Match<'_> {
    let mut places: Vec<(&Place, Option<Stored>)> = Vec::with_capacity(track.len());
    for place in track {
        let at = stored.iter().position(|it| it.hour == place.hour);
        places.push((place, at.map(|at| stored.swap_remove(at))));
    }
    for (place, found) in places.iter_mut().filter(|(_, found)| found.is_none()) {
        let geometry = place.geometry();
        let at = stored.iter().position(|it| it.geometry == geometry);
        *found = at.map(|at| stored.swap_remove(at));
    }
    let gone = stored.iter().map(|it| it.id).collect();
    Match { places, gone }
}

async fn locations(
    sql: &mut dyn Sql,
    stations: &[Station],
    keys: &[Param],
    changes: &mut Changes,
) -> Result<Locations, Fault> {
    let dialect = sql.dialect();
    let table = dialect.table("location");
    let mut stored = stored_locations(sql, keys).await?;
    let mut locations = Locations::default();
    let mut missing = Vec::new();
    let (mut moved, mut updates) = (Vec::new(), Vec::new());
    for station in stations {
        let matched = matched(
            &station.track,
            stored.remove(&station.key).unwrap_or_default(),
        );
        locations.gone.extend(matched.gone);
        let ids = locations.ids.entry(station.key).or_default();
        for (place, stored) in matched.places {
            let Some(stored) = stored else {
                // The id is filled in below.
                ids.push((0, place.clone()));
                missing.push(new_location(
                    station,
                    place,
                    hour_param(dialect, place.hour),
                ));
                continue;
            };
            ids.push((stored.id, place.clone()));
            let geometry = place.geometry();
            if stored.hour == place.hour
                && stored.geometry == geometry
                && stored.project == station.project
            {
                continue;
            }
            if stored.hour != place.hour {
                moved.push(stored.id);
            }
            updates.push(vec![
                Param::int(stored.id),
                hour_param(dialect, place.hour),
                Param::Text(station.project.clone()),
                Param::json(&geometry),
                Param::Real(Some(place.lon)),
                Param::Real(Some(place.lat)),
            ]);
            changes.note(EntityType::Location, stored.id, ChangeKind::Updated);
        }
    }
    // Hours are unique within a station: those that change are set free first.
    let (among, gone) = (dialect.among(&dialect.place(1)), &locations.gone);
    let free = [moved.as_slice(), gone.as_slice()].concat();
    if !free.is_empty() {
        let statement = format!("UPDATE {table} SET valid_from = NULL WHERE id {among}");
        sql.execute(&statement, &[Param::Ints(free)]).await?;
    }
    let place = |number| dialect.place(number);
    let update = format!(
        "UPDATE {table} SET valid_from = {}, project = {}, location = {}, west = {lon}, east = {lon},
             south = {lat}, north = {lat}
         WHERE id = {}",
        place(2),
        place(3),
        place(4),
        place(1),
        lon = place(5),
        lat = place(6),
    );
    for params in &updates {
        sql.execute(&update, params).await?;
    }
    let head = format!(
        "INSERT INTO {table} (station_key, valid_from, project, name, description, encoding_type,
             location, west, south, east, north)"
    );
    let made = sql
        .insert(&head, &missing, "RETURNING station_key, valid_from, id")
        .await?;
    for row in made {
        let (hour, id) = (hour_of(dialect, &row, 1)?, row.int(2)?);
        let ids = locations.ids.entry(row.int(0)?).or_default();
        for (known, _) in ids.iter_mut().filter(|(_, place)| place.hour == hour) {
            *known = id;
        }
        changes.note(EntityType::Location, id, ChangeKind::Created);
    }
    Ok(locations)
}

async fn stored_locations(
    sql: &mut dyn Sql,
    keys: &[Param],
) -> Result<BTreeMap<i64, Vec<Stored>>, Fault> {
    let dialect = sql.dialect();
    let (table, among) = (dialect.table("location"), dialect.among(&dialect.place(1)));
    let question = format!(
        "SELECT station_key, valid_from, id, project, location FROM {table}
         WHERE station_key {among} ORDER BY station_key, valid_from"
    );
    let mut stored: BTreeMap<i64, Vec<Stored>> = BTreeMap::new();
    for row in sql.query(&question, keys).await? {
        let location = Stored {
            hour: hour_of(dialect, &row, 1)?,
            id: row.int(2)?,
            project: row.optional_text(3)?,
            geometry: row.json(4)?,
        };
        stored.entry(row.int(0)?).or_default().push(location);
    }
    Ok(stored)
}

fn new_location(station: &Station, place: &Place, hour: Param) -> Vec<Param> {
    let mut row = vec![Param::int(station.key), hour];
    row.extend(located(station, place));
    row
}

/// What a location and its feature have in common: from the project to the bounding box.
fn located(station: &Station, place: &Place) -> [Param; 9] {
    [
        Param::Text(station.project.clone()),
        Param::text(&station.id),
        Param::text(station.location_description()),
        Param::text(GEO_JSON),
        Param::json(&place.geometry()),
        Param::Real(Some(place.lon)),
        Param::Real(Some(place.lat)),
        Param::Real(Some(place.lon)),
        Param::Real(Some(place.lat)),
    ]
}

/// The feature of each location.
async fn features(
    sql: &mut dyn Sql,
    stations: &[Station],
    locations: &Locations,
    changes: &mut Changes,
) -> Result<(), Fault> {
    let dialect = sql.dialect();
    let (table, among) = (dialect.table("feature"), dialect.among(&dialect.place(1)));
    let all = locations.ids.values().flatten().map(|(id, _)| *id);
    let question =
        format!("SELECT location_id, id, project, feature FROM {table} WHERE location_id {among}");
    let mut known = BTreeMap::new();
    let rows = sql.query(&question, &[Param::Ints(all.collect())]).await?;
    for row in rows {
        let stored = (row.int(1)?, row.optional_text(2)?, row.json(3)?);
        known.insert(row.int(0)?, stored);
    }
    let place = |number| dialect.place(number);
    let update = format!(
        "UPDATE {table} SET project = {}, feature = {}, west = {lon}, east = {lon}, south = {lat},
             north = {lat}
         WHERE id = {}",
        place(2),
        place(3),
        place(1),
        lon = place(4),
        lat = place(5),
    );
    let mut missing = Vec::new();
    for station in stations {
        for (location, place) in locations.ids.get(&station.key).into_iter().flatten() {
            let geometry = place.geometry();
            match known.get(location) {
                None => {
                    let mut row = vec![Param::int(*location)];
                    row.extend(located(station, place));
                    missing.push(row);
                }
                Some((_, project, stored))
                    if *project == station.project && *stored == geometry => {}
                Some((id, ..)) => {
                    let params = [
                        Param::int(*id),
                        Param::Text(station.project.clone()),
                        Param::json(&geometry),
                        Param::Real(Some(place.lon)),
                        Param::Real(Some(place.lat)),
                    ];
                    sql.execute(&update, &params).await?;
                    changes.note(EntityType::Feature, *id, ChangeKind::Updated);
                }
            }
        }
    }
    let head = format!(
        "INSERT INTO {table} (location_id, project, name, description, encoding_type, feature, west,
             south, east, north)"
    );
    let tail = "ON CONFLICT (location_id) DO NOTHING RETURNING id";
    for row in sql.insert(&head, &missing, tail).await? {
        changes.note(EntityType::Feature, row.int(0)?, ChangeKind::Created);
    }
    Ok(())
}

/// A historical location for each location, at the start of its hour.
async fn history(
    sql: &mut dyn Sql,
    things: &Things,
    locations: &Locations,
    changes: &mut Changes,
) -> Result<(), Fault> {
    let dialect = sql.dialect();
    let (table, links) = (
        dialect.table("historical_location"),
        dialect.table("historical_location_location"),
    );
    let among = dialect.among(&dialect.place(1));
    let question = format!(
        "SELECT h.id, h.time, l.location_id FROM {table} h
         JOIN {links} l ON l.historical_location_id = h.id
         WHERE h.thing_id {among}"
    );
    let ids = [Param::Ints(things.values().copied().collect())];
    let mut known = BTreeMap::new();
    for row in sql.query(&question, &ids).await? {
        known.insert(row.int(2)?, (row.int(0)?, row.int(1)?));
    }
    let update = format!(
        "UPDATE {table} SET time = {} WHERE id = {}",
        dialect.place(2),
        dialect.place(1)
    );
    let mut missing = Vec::new();
    let mut made_for = BTreeMap::new();
    for (station, ids) in &locations.ids {
        let Some(&thing) = things.get(station) else {
            continue;
        };
        for (location, place) in ids {
            let start = start_of(place.hour);
            match known.get(location) {
                Some((_, time)) if *time == start => {}
                Some((id, _)) => {
                    let params = [Param::int(*id), Param::Time(Some(start))];
                    sql.execute(&update, &params).await?;
                    changes.note(EntityType::HistoricalLocation, *id, ChangeKind::Updated);
                }
                None => {
                    made_for.insert((thing, start), *location);
                    missing.push(vec![Param::int(thing), Param::Time(Some(start))]);
                }
            }
        }
    }
    let head = format!("INSERT INTO {table} (thing_id, time)");
    let made = sql
        .insert(&head, &missing, "RETURNING thing_id, time, id")
        .await?;
    let mut rows = Vec::new();
    for row in made {
        let id = row.int(2)?;
        let location = made_for.get(&(row.int(0)?, row.int(1)?));
        rows.extend(location.map(|location| vec![Param::int(id), Param::int(*location)]));
        changes.note(EntityType::HistoricalLocation, id, ChangeKind::Created);
    }
    let head = format!("INSERT INTO {links} (historical_location_id, location_id)");
    sql.insert(&head, &rows, "").await?;
    Ok(())
}

/// A thing is at the newest location of its station.
async fn current(
    sql: &mut dyn Sql,
    stations: &[Station],
    things: &Things,
    locations: &Locations,
) -> Result<(), Fault> {
    let dialect = sql.dialect();
    let (links, among) = (
        dialect.table("thing_location"),
        dialect.among(&dialect.place(1)),
    );
    let question = format!("SELECT thing_id, location_id FROM {links} WHERE thing_id {among}");
    let ids = [Param::Ints(things.values().copied().collect())];
    let mut known: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for row in sql.query(&question, &ids).await? {
        known.entry(row.int(0)?).or_default().insert(row.int(1)?);
    }
    let (mut left, mut reached) = (Vec::new(), Vec::new());
    for station in stations {
        let Some(&thing) = things.get(&station.key) else {
            continue;
        };
        let newest = locations.ids.get(&station.key).and_then(|ids| ids.last());
        let wanted: BTreeSet<i64> = newest.iter().map(|(id, _)| *id).collect();
        if known.remove(&thing).unwrap_or_default() == wanted {
            continue;
        }
        left.push(thing);
        reached.extend(
            wanted
                .iter()
                .map(|id| vec![Param::int(thing), Param::int(*id)]),
        );
    }
    if left.is_empty() {
        return Ok(());
    }
    let statement = format!("DELETE FROM {links} WHERE thing_id {among}");
    sql.execute(&statement, &[Param::Ints(left)]).await?;
    let head = format!("INSERT INTO {links} (thing_id, location_id)");
    sql.insert(&head, &reached, "").await?;
    Ok(())
}

/// Removes locations that are in no track, with what is of them. A feature that a client's observation is of
/// stays, and is of no location then.
async fn gone(sql: &mut dyn Sql, ids: &[i64], changes: &mut Changes) -> Result<(), Fault> {
    if ids.is_empty() {
        return Ok(());
    }
    let dialect = sql.dialect();
    let among = dialect.among(&dialect.place(1));
    let params = [Param::Ints(ids.to_vec())];
    let (features, observations) = (dialect.table("feature"), dialect.table("observation"));
    let used =
        format!("EXISTS (SELECT 1 FROM {observations} o WHERE o.feature_id = {features}.id)");
    let keep =
        format!("UPDATE {features} SET location_id = NULL WHERE location_id {among} AND {used}");
    sql.execute(&keep, &params).await?;
    let drop = format!("DELETE FROM {features} WHERE location_id {among} RETURNING id");
    for row in sql.query(&drop, &params).await? {
        changes.note(EntityType::Feature, row.int(0)?, ChangeKind::Deleted);
    }
    let (links, history) = (
        dialect.table("historical_location_location"),
        dialect.table("historical_location"),
    );
    let unlink =
        format!("DELETE FROM {links} WHERE location_id {among} RETURNING historical_location_id");
    let unlinked: Vec<i64> = sql
        .query(&unlink, &params)
        .await?
        .iter()
        .map(|row| row.int(0))
        .collect::<Result<_, _>>()?;
    let empty = format!(
        "DELETE FROM {history} WHERE id {among} AND NOT EXISTS
             (SELECT 1 FROM {links} l WHERE l.historical_location_id = {history}.id)
         RETURNING id"
    );
    for row in sql.query(&empty, &[Param::Ints(unlinked)]).await? {
        let id = row.int(0)?;
        changes.note(EntityType::HistoricalLocation, id, ChangeKind::Deleted);
    }
    let current = dialect.table("thing_location");
    let leave = format!("DELETE FROM {current} WHERE location_id {among}");
    sql.execute(&leave, &params).await?;
    let table = dialect.table("location");
    let remove = format!("DELETE FROM {table} WHERE id {among}");
    sql.execute(&remove, &params).await?;
    for id in ids {
        changes.note(EntityType::Location, *id, ChangeKind::Deleted);
    }
    Ok(())
}

/// West, south, east, north of a track.
fn extent(track: &[Place]) -> [Option<f64>; 4] {
    let all =
        |pick: fn(&Place) -> f64, fold: fn(f64, f64) -> f64| track.iter().map(pick).reduce(fold);
    [
        all(|it| it.lon, f64::min),
        all(|it| it.lat, f64::min),
        all(|it| it.lon, f64::max),
        all(|it| it.lat, f64::max),
    ]
}

async fn datastreams(
    sql: &mut dyn Sql,
    stations: &[Station],
    things: &Things,
    shared: &Shared,
    changes: &mut Changes,
) -> Result<(), Fault> {
    let dialect = sql.dialect();
    let (table, among) = (
        dialect.table("datastream"),
        dialect.among(&dialect.place(1)),
    );
    let question =
        format!("SELECT id, description, west, south, east, north FROM {table} WHERE id {among}");
    let ids = stations
        .iter()
        .flat_map(|station| station.series.iter().map(|it| it.key));
    let mut known = BTreeMap::new();
    let rows = sql.query(&question, &[Param::Ints(ids.collect())]).await?;
    for row in rows {
        let mut extent = [None; 4];
        for (at, value) in extent.iter_mut().enumerate() {
            *value = row.optional_real(at + 2)?;
        }
        known.insert(row.int(0)?, (row.text(1)?, extent));
    }
    let place = |number| dialect.place(number);
    let update = format!(
        "UPDATE {table} SET description = {}, west = {}, south = {}, east = {}, north = {}
         WHERE id = {}",
        place(2),
        place(3),
        place(4),
        place(5),
        place(6),
        place(1),
    );
    let (mut missing, mut observed) = (Vec::new(), Vec::new());
    for station in stations {
        let extent = extent(&station.track);
        for series in &station.series {
            let description = series.description(station);
            match known.get(&series.key) {
                Some(stored) if *stored == (description.clone(), extent) => {}
                Some(_) => {
                    let mut params = vec![Param::int(series.key), Param::text(description)];
                    params.extend(extent.map(Param::Real));
                    sql.execute(&update, &params).await?;
                    changes.note(EntityType::Datastream, series.key, ChangeKind::Updated);
                }
                None => {
                    let found = |ids: &BTreeMap<String, i64>, name: &str| {
                        let id = ids.get(name).copied();
                        id.ok_or_else(|| Fault::unknown("what a series is linked to", name))
                    };
                    let thing = things.get(&station.key).copied();
                    let thing = thing
                        .ok_or_else(|| Fault::unknown("a station without a thing", &station.id))?;
                    let mut row = vec![
                        Param::int(series.key),
                        Param::Bool(true),
                        Param::int(thing),
                        Param::int(found(&shared.sensors, &series.sensor)?),
                        Param::text(&series.indicator),
                        Param::text(description),
                        Param::text(MEASUREMENT),
                        Param::json(&series.unit_of_measurement()),
                    ];
                    row.extend(extent.map(Param::Real));
                    missing.push(row);
                    let property = found(&shared.properties, &series.indicator)?;
                    observed.push(vec![
                        Param::int(series.key),
                        Param::int(0),
                        Param::int(property),
                    ]);
                    changes.note(EntityType::Datastream, series.key, ChangeKind::Created);
                }
            }
        }
    }
    let head = format!(
        "INSERT INTO {table} (id, is_refined, thing_id, sensor_id, name, description,
             observation_type, unit, west, south, east, north)"
    );
    sql.insert(&head, &missing, "").await?;
    let observes = dialect.table("datastream_property");
    let head = format!("INSERT INTO {observes} (datastream_id, position, observed_property_id)");
    sql.insert(&head, &observed, "").await?;
    Ok(())
}
