//! The SensorThings entities that the store keeps of stations.

use serde_json::json;
use smartem_model::Position;
use smartem_store::{DEFAULT_MOVE_M, StationDeclaration, Store};

use crate::servers::{On, World};
use crate::support::{hour, id, now, record, refine_all, sample, take_in};

const TABLES: [&str; 10] = [
    "{thing}",
    "{location}",
    "{historical_location}",
    "{historical_location_location}",
    "{thing_location}",
    "{sensor}",
    "{observed_property}",
    "{datastream}",
    "{datastream_property}",
    "{feature}",
];

/// Takes in an hour of station 23 so many metres north and refines it.
async fn put(store: &Store, station: &str, n: i64, metres: f64) {
    take_in(store, vec![record(station, n, &sample(1, metres))]).await;
    refine_all(store).await;
}

fn count(world: &World, table: &str) -> i64 {
    let rows = world.rows(&format!("SELECT count(*) FROM {table}"));
    rows[0].parse().unwrap()
}

/// Everything that is kept, as text.
fn all(world: &World) -> Vec<String> {
    let tables = TABLES.iter();
    tables
        .flat_map(|table| world.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2")))
        .collect()
}

/// Hours of the history of the only thing, and the latitude of the location of each.
fn history(world: &World) -> Vec<(i64, i64)> {
    let rows = world.rows(
        "SELECT {epoch:h.time}, l.south, l.west, l.north - l.south, f.south
         FROM {historical_location} h
         JOIN {historical_location_location} x ON x.historical_location_id = h.id
         JOIN {location} l ON l.id = x.location_id
         JOIN {feature} f ON f.location_id = l.id ORDER BY 1",
    );
    let metres = |lat: &str| {
        let lat: f64 = lat.parse().unwrap();
        format!("{:.0}", (lat - 51.84) * 111_195.0).parse().unwrap()
    };
    rows.iter()
        .map(|row| {
            let cells: Vec<&str> = row.split('|').collect();
            assert_eq!((cells[2], cells[1]), ("5.86", cells[4]), "{row}");
            let time: i64 = cells[0].parse().unwrap();
            (time / 3600 - hour(0).index(), metres(cells[1]))
        })
        .collect()
}

/// Where the only thing is now, in whole metres north.
fn place(world: &World) -> Vec<String> {
    world.rows(
        "SELECT round((l.south - 51.84) * 111195) FROM {thing_location} t
         JOIN {location} l ON l.id = t.location_id",
    )
}

async fn assert_whole(world: &World) {
    let problems = world.store.check().await.unwrap().problems;
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(count(world, "{stale}"), 0);
}

pub(crate) async fn a_station_has_all_its_entities(on: On) {
    let world = World::on(on).await;
    put(&world.store, "23", 0, 0.0).await;
    assert_eq!(
        world.rows("SELECT name, description, project FROM {thing}"),
        ["23|Station of type jose in network josene|nijmegen"]
    );
    let properties = &world.rows("SELECT properties FROM {thing}")[0];
    let properties: serde_json::Value = serde_json::from_str(properties).unwrap();
    assert_eq!(
        properties,
        json!({"stationType": "jose", "network": "josene", "project": "nijmegen"})
    );
    assert_eq!(
        world.rows("SELECT name, description, encoding_type FROM {location}"),
        ["23|Location of 23|application/geo+json"]
    );
    let location = &world.rows("SELECT location FROM {location}")[0];
    let location: serde_json::Value = serde_json::from_str(location).unwrap();
    assert_eq!(
        location,
        json!({"type": "Point", "coordinates": [5.86, 51.84]})
    );
    assert_eq!(
        world.rows("SELECT name, instrument, encoding_type FROM {sensor}"),
        ["no2-S27|no2-S27|text/plain"]
    );
    assert_eq!(
        world.rows("SELECT name, indicator, definition FROM {observed_property}"),
        ["no2|no2|urn:smartem:indicator:no2"]
    );
    assert_eq!(
        world.rows("SELECT d.name, d.description, d.observations FROM {datastream} d"),
        ["no2|NO2 at 23|0"]
    );
    let series = match on {
        On::Sqlite => "SELECT key FROM series",
        _ => "SELECT key FROM smartem_refined.series",
    };
    assert_eq!(
        world.rows(series),
        world.rows("SELECT id FROM {datastream}")
    );
    assert_eq!(history(&world), [(0, 0)]);
    assert_eq!(place(&world), ["0"]);
    assert_whole(&world).await;
}

pub(crate) async fn a_station_that_is_renamed_is_described_anew(on: On) {
    let world = World::on(on).await;
    put(&world.store, "23", 0, 0.0).await;
    let before = world.rows("SELECT id FROM {thing}");
    world
        .store
        .describe_station(&id("23"), Some("Roof".into()), Some(60.0))
        .await
        .unwrap();
    assert_eq!(world.rows("SELECT description FROM {thing}"), ["Roof"]);
    assert!(world.rows("SELECT properties FROM {thing}")[0].contains("cadence"));
    assert_eq!(world.rows("SELECT id FROM {thing}"), before);
    assert_whole(&world).await;
}

pub(crate) async fn a_station_that_moves_has_a_history(on: On) {
    let world = World::on(on).await;
    for (n, metres) in [(0, 0.0), (3, 2000.0), (5, 2000.0)] {
        put(&world.store, "23", n, metres).await;
    }
    assert_eq!(history(&world), [(0, 0), (3, 2000)]);
    assert_eq!(place(&world).len(), 1);
    assert!(place(&world)[0].starts_with("2000"), "{:?}", place(&world));
    assert_whole(&world).await;
}

pub(crate) async fn a_track_that_is_recomputed_leaves_nothing_behind(on: On) {
    let world = World::on(on).await;
    for (n, metres) in [(0, 0.0), (3, 2000.0), (5, 2000.0)] {
        put(&world.store, "23", n, metres).await;
    }
    let first = world.rows("SELECT min(id) FROM {location}");
    // The two are no longer consecutive: it never moved.
    put(&world.store, "23", 4, 20.0).await;
    assert_eq!(history(&world), [(0, 0)]);
    for table in ["{location}", "{feature}", "{historical_location}"] {
        assert_eq!(count(&world, table), 1, "{table}");
    }
    assert!(!place(&world)[0].starts_with("2000"), "{:?}", place(&world));
    // It moved later, and was at its first place earlier.
    put(&world.store, "23", 6, 2000.0).await;
    put(&world.store, "23", -2, 0.0).await;
    assert_eq!(history(&world), [(-2, 0), (5, 2000)]);
    // A location that begins earlier is the same.
    assert_eq!(world.rows("SELECT min(id) FROM {location}"), first);
    assert_whole(&world).await;
}

pub(crate) async fn a_declared_location_comes_first(on: On) {
    let world = World::on(on).await;
    let declaration = StationDeclaration {
        id: id("23"),
        station_type: "jose".into(),
        name: None,
        network: None,
        project: None,
        cadence_s: None,
        location: Position::horizontal(5.86, 51.84),
        move_m: DEFAULT_MOVE_M,
        now: now(),
    };
    world.store.declare_station(declaration).await.unwrap();
    assert_eq!(history(&world).len(), 1);
    assert_eq!(place(&world).len(), 1);
    for n in [2, 3] {
        put(&world.store, "23", n, 2000.0).await;
    }
    let history = history(&world);
    assert_eq!(history.len(), 2);
    assert_eq!((history[0].1, history[1]), (0, (2, 2000)));
    assert!(place(&world)[0].starts_with("2000"));
    assert_whole(&world).await;
}

pub(crate) async fn series_that_come_later_are_datastreams_of_the_same_thing(on: On) {
    let world = World::on(on).await;
    put(&world.store, "23", 0, 0.0).await;
    let more = record("23", 1, &json!({"a": 1, "b": 1, "lat": 51.84}));
    take_in(&world.store, vec![more]).await;
    refine_all(&world.store).await;
    assert_eq!(
        world.rows(
            "SELECT d.name, t.name, s.name, p.name FROM {datastream} d
             JOIN {thing} t ON t.id = d.thing_id JOIN {sensor} s ON s.id = d.sensor_id
             JOIN {datastream_property} x ON x.datastream_id = d.id
             JOIN {observed_property} p ON p.id = x.observed_property_id ORDER BY 1"
        ),
        ["no2|23|no2-S27|no2", "pm10|23|pm10-S27|pm10"]
    );
    assert_whole(&world).await;
}

pub(crate) async fn stations_share_sensors_and_observed_properties(on: On) {
    let world = World::on(on).await;
    for station in ["23", "24", "25"] {
        put(&world.store, station, 0, 0.0).await;
    }
    let counts = TABLES.map(|table| count(&world, table));
    assert_eq!(counts, [3, 3, 3, 3, 3, 1, 1, 3, 3, 3]);
    assert_whole(&world).await;
}

pub(crate) async fn bringing_in_line_again_changes_nothing(on: On) {
    let world = World::on(on).await;
    for (n, metres) in [(0, 0.0), (3, 2000.0), (4, 2000.0)] {
        put(&world.store, "23", n, metres).await;
        put(&world.store, "24", n, metres + 100.0).await;
    }
    let before = all(&world);
    let told = count(&world, "{change}");
    let stations = match on {
        On::Sqlite => "station",
        _ => "smartem.station",
    };
    world.damage(&format!(
        "INSERT INTO {{stale}} (station_key) SELECT key FROM {stations}"
    ));
    world
        .store
        .describe_station(&id("23"), None, None)
        .await
        .unwrap();
    assert_eq!(count(&world, "{stale}"), 0);
    assert_eq!(all(&world), before);
    assert_eq!(count(&world, "{change}"), told);
}

pub(crate) async fn the_entities_of_an_older_store_are_made_when_it_is_opened(on: On) {
    let world = World::on(on).await;
    for n in 0..130 {
        put(&world.store, &format!("station-{n}"), 0, f64::from(n)).await;
    }
    let names = || world.rows("SELECT name FROM {thing} ORDER BY name");
    let before = names();
    assert_eq!(before.len(), 130);
    // As if the tables had just been made.
    for table in [
        "{datastream_property}",
        "{datastream}",
        "{thing_location}",
        "{historical_location_location}",
        "{historical_location}",
        "{feature}",
        "{location}",
        "{thing}",
        "{change}",
    ] {
        world.damage(&format!("DELETE FROM {table}"));
    }
    let stations = match on {
        On::Sqlite => "station",
        _ => "smartem.station",
    };
    world.damage(&format!(
        "INSERT INTO {{stale}} (station_key) SELECT key FROM {stations}"
    ));
    if let On::Sqlite = on {
        drop(world.another().await);
    } else {
        let settings = world.database().settings();
        Store::migrate_postgres(settings).await.unwrap();
    }
    assert_eq!(names(), before);
    assert_eq!(count(&world, "{datastream}"), 130);
    assert_eq!(count(&world, "{change}"), 0, "nobody waits for all of them");
    assert_whole(&world).await;
}
