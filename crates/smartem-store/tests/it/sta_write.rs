//! What clients of SensorThings write.

use serde_json::{Value, json};
use smartem_model::Period;
use smartem_sta::{
    Answer, OnDuplicate, Operation, Outcome, Property as P, Query, ResourcePath, ResultValue,
    TimeValue, Version,
};
use smartem_store::{ChangeMark, ReadLimits};

use crate::servers::{On, World};
use crate::sta_support::{
    E, With, anybody, at, attempt, below, create, create_at, create_once, delete, draft, make,
    moment, observe, observed, of_project, patch, refused, station, step, stream, write,
};
use crate::support::{hour, now, record, refine_all, sample, take_in};

const TABLES: [&str; 9] = [
    "thing",
    "location",
    "historical_location",
    "sensor",
    "observed_property",
    "datastream",
    "feature",
    "observation",
    "thing_location",
];

/// Rows of each table.
fn counts(world: &World) -> Vec<String> {
    TABLES
        .iter()
        .map(|table| {
            let rows = world.rows(&format!("SELECT count(*) FROM {{{table}}}"));
            format!("{table} {}", rows[0])
        })
        .filter(|it| !it.ends_with(" 0"))
        .collect()
}

async fn assert_whole(world: &World) {
    let problems = world.store.check().await.unwrap().problems;
    assert_eq!(problems, Vec::<String>::new());
}

/// The one id of a table.
fn only(world: &World, table: &str) -> i64 {
    let ids = world.rows(&format!("SELECT id FROM {{{table}}}"));
    assert_eq!(ids.len(), 1, "{table}");
    ids[0].parse().unwrap()
}

/// Count, extents in seconds, and box of the one datastream.
fn summary(world: &World) -> String {
    let rows = world.rows(
        "SELECT observations, {epoch:phenomenon_start} - 1460000000,
             {epoch:phenomenon_end} - 1460000000, {epoch:result_start} - 1460000000,
             {epoch:result_end} - 1460000000, west, south, east, north FROM {datastream}",
    );
    rows.join(";")
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(crate) async fn what_comes_with_an_entity_is_made_with_it(on: On) {
    let observation = || draft(E::Observation, "");
    let location = || draft(E::Location, "l").with(draft(E::Thing, "t"));
    let table: Vec<(&str, smartem_sta::Draft, &[&str])> = vec![
        ("a thing", draft(E::Thing, "t"), &["thing 1"]),
        (
            "a thing with all below it",
            draft(E::Thing, "t")
                .with(draft(E::Location, "l"))
                .with(stream("s").with(observation()).with(observation())),
            &[
                "thing 1",
                "location 1",
                "historical_location 1",
                "sensor 1",
                "observed_property 1",
                "datastream 1",
                "feature 1",
                "observation 2",
                "thing_location 1",
            ],
        ),
        (
            "a location with a thing",
            location(),
            &[
                "thing 1",
                "location 1",
                "historical_location 1",
                "thing_location 1",
            ],
        ),
        (
            "a sensor with a datastream",
            draft(E::Sensor, "s").with(
                draft(E::Datastream, "d")
                    .with(draft(E::Thing, "t"))
                    .with(draft(E::ObservedProperty, "p")),
            ),
            &["thing 1", "sensor 1", "observed_property 1", "datastream 1"],
        ),
        (
            "an observed property with a datastream",
            draft(E::ObservedProperty, "p").with(
                draft(E::Datastream, "d")
                    .with(draft(E::Thing, "t"))
                    .with(draft(E::Sensor, "s")),
            ),
            &["thing 1", "sensor 1", "observed_property 1", "datastream 1"],
        ),
        (
            "an observation with its datastream and feature",
            observation()
                .with(stream("s").with(draft(E::Thing, "t")))
                .with(draft(E::Feature, "f")),
            &[
                "thing 1",
                "sensor 1",
                "observed_property 1",
                "datastream 1",
                "feature 1",
                "observation 1",
            ],
        ),
        (
            "a feature with an observation",
            draft(E::Feature, "f").with(observation().with(stream("s").with(draft(E::Thing, "t")))),
            &[
                "thing 1",
                "sensor 1",
                "observed_property 1",
                "datastream 1",
                "feature 1",
                "observation 1",
            ],
        ),
        (
            "a historical location with thing and location",
            draft(E::HistoricalLocation, "")
                .with(draft(E::Thing, "t"))
                .with(draft(E::Location, "l")),
            &[
                "thing 1",
                "location 1",
                "historical_location 1",
                "thing_location 1",
            ],
        ),
        (
            "several properties at once",
            draft(E::MultiDatastream, "m")
                .with(draft(E::Thing, "t").with(draft(E::Location, "l")))
                .with(draft(E::Sensor, "s"))
                .with(draft(E::ObservedProperty, "p"))
                .with(draft(E::ObservedProperty, "q"))
                .with(observation().field(P::Result, json!([1, 2.5]))),
            &[
                "thing 1",
                "location 1",
                "historical_location 1",
                "sensor 1",
                "observed_property 2",
                "datastream 1",
                "feature 1",
                "observation 1",
                "thing_location 1",
            ],
        ),
    ];
    for (what, draft, expected) in table {
        let world = World::on(on).await;
        make(&world.store, create(draft)).await;
        assert_eq!(counts(&world), expected, "{what}");
        assert_whole(&world).await;
    }
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(crate) async fn what_makes_no_sense_is_refused_and_leaves_nothing(on: On) {
    let world = World::on(on).await;
    let thing = draft(E::Thing, "t");
    let sensor = draft(E::Sensor, "s");
    let property = draft(E::ObservedProperty, "p");
    let observation = draft(E::Observation, "");
    let with_all = |of: smartem_sta::Draft| {
        of.with(draft(E::Thing, "x"))
            .with(draft(E::Sensor, "x"))
            .with(draft(E::ObservedProperty, "x"))
    };
    let table: Vec<(Operation, &[&str])> =
        vec![
            (
                create(thing.clone().without(P::Name)),
                &["invalid", "`name`", "Thing"],
            ),
            (
                create(thing.clone().field(P::Name, json!("a\0b"))),
                &["invalid", "`name`", "U+0000"],
            ),
            (
                create(thing.clone().field(P::Name, json!("a".repeat(2001)))),
                &["invalid", "`name`", "2001 bytes"],
            ),
            (
                create(
                    draft(E::Datastream, "d")
                        .with(sensor.clone())
                        .with(property.clone()),
                ),
                &["invalid", "Thing is missing"],
            ),
            (
                create(
                    draft(E::Datastream, "d")
                        .with(thing.clone())
                        .with(property.clone()),
                ),
                &["invalid", "Sensor is missing"],
            ),
            (
                create(
                    draft(E::Datastream, "d")
                        .with(thing.clone())
                        .with(sensor.clone()),
                ),
                &["invalid", "ObservedProperty is missing"],
            ),
            (
                create(observation.clone()),
                &["invalid", "Datastream is missing"],
            ),
            (
                create(draft(E::HistoricalLocation, "").with(thing.clone())),
                &["invalid", "Locations is missing"],
            ),
            (
                create(draft(E::HistoricalLocation, "").with(draft(E::Location, "l"))),
                &["invalid", "Thing is missing"],
            ),
            (
                create(stream("d").link(E::Thing, 999)),
                &["invalid", "Things(999)", "link"],
            ),
            (
                create_at(below(E::Thing, 999, E::Location), draft(E::Location, "l")),
                &["not found", "Things(999)"],
            ),
            (
                create_at(
                    below(E::Datastream, 999, E::Observation),
                    observation.clone(),
                ),
                &["not found", "Datastreams(999)"],
            ),
            (
                create_at(
                    smartem_sta::ResourcePath::set(E::Thing),
                    draft(E::Location, "l"),
                ),
                &["invalid", "Location cannot be made here"],
            ),
            (
                create(thing.clone().with(stream("d").with(observation.clone()))),
                &["conflict", "no Location"],
            ),
            (
                create(
                    with_all(draft(E::MultiDatastream, "m"))
                        .with(property.clone())
                        .with(draft(E::ObservedProperty, "third")),
                ),
                &["invalid", "3 observed properties", "2"],
            ),
            (
                create(
                    with_all(draft(E::MultiDatastream, "m"))
                        .with(property.clone())
                        .with(observation.clone().with(draft(E::Feature, "f"))),
                ),
                &["invalid", "`result`", "array of 2"],
            ),
            (
                create(
                    station("t").with(
                        stream("u").with(
                            observation
                                .clone()
                                .field(P::PhenomenonTime, json!("yesterday")),
                        ),
                    ),
                ),
                &["invalid", "`phenomenonTime`", "yesterday"],
            ),
            (
                create(station("t").with(
                    stream("u").with(
                        observation.field(P::PhenomenonTime, json!("-009000-01-01T00:00:00Z")),
                    ),
                )),
                &["invalid", "`phenomenonTime`", "before"],
            ),
            (
                patch(E::Thing, 999, &[(P::Name, json!("u"))]),
                &["not found", "Things(999)"],
            ),
            (
                delete(E::Observation, 999),
                &["not found", "Observations(999)"],
            ),
            (
                delete(E::Observation, -5),
                &["not found", "Observations(-5)"],
            ),
        ];
    for (operation, expected) in table {
        let told = format!("{operation:?}");
        let reason = refused(&world.store, &anybody(), operation).await;
        for part in expected {
            assert!(reason.contains(part), "{reason} of {told}");
        }
        assert_eq!(counts(&world), Vec::<String>::new(), "{told}");
    }
}

pub(crate) async fn all_of_a_list_happens_or_nothing(on: On) {
    let world = World::on(on).await;
    let operations = vec![create(station("a")), delete(E::Thing, 4711)];
    let refused = world.store.sta_write(&anybody(), operations, now()).await;
    assert!(refused.is_err());
    assert_eq!(counts(&world), Vec::<String>::new());
    let mut linked = draft(E::Datastream, "d")
        .with(draft(E::Sensor, "s"))
        .with(draft(E::ObservedProperty, "p"));
    let thing = E::Datastream.relation_to(E::Thing).unwrap();
    let first = smartem_sta::Reference::Earlier(0);
    linked
        .related
        .push((thing, vec![smartem_sta::Related::Link(first)]));
    let below_first = Operation::Create {
        target: smartem_sta::WriteTarget::Earlier(0, E::Thing.relation_to(E::Location)),
        draft: draft(E::Location, "l"),
        on_duplicate: OnDuplicate::Keep,
    };
    let operations = vec![create(draft(E::Thing, "t")), create(linked), below_first];
    let done = world.store.sta_write(&anybody(), operations, now()).await;
    assert_eq!(done.unwrap().len(), 3);
    assert_eq!(
        world.rows(
            "SELECT t.name, d.name, l.name FROM {thing} t JOIN {datastream} d ON d.thing_id = t.id
             JOIN {thing_location} x ON x.thing_id = t.id JOIN {location} l ON l.id = x.location_id"
        ),
        ["t|d|l"]
    );
    assert_whole(&world).await;
}

pub(crate) async fn a_thing_that_moves_has_a_history(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let thing = make(store, create(station("t"))).await;
    let places = || {
        world.rows(
            "SELECT l.name FROM {thing_location} x JOIN {location} l ON l.id = x.location_id
             ORDER BY l.name",
        )
    };
    let history = || {
        world.rows(
            "SELECT l.name, {epoch:h.time} FROM {historical_location} h
             JOIN {historical_location_location} x ON x.historical_location_id = h.id
             JOIN {location} l ON l.id = x.location_id ORDER BY h.id, l.name",
        )
    };
    let at_now = now().as_second();
    assert_eq!(places(), ["t"]);
    let new = draft(E::Location, "u");
    let second = make(store, create_at(below(E::Thing, thing, E::Location), new)).await;
    assert_eq!(places(), ["u"]);
    assert_eq!(history(), [format!("t|{at_now}"), format!("u|{at_now}")]);
    // Two at once, as of different encodings, stay together.
    let both = Operation::Update {
        target: at(E::Thing, thing),
        fields: smartem_sta::Fields::new(),
        related: draft(E::Thing, "")
            .link(E::Location, second)
            .with(draft(E::Location, "v"))
            .related,
        replace: false,
    };
    write(store, both.clone()).await;
    assert_eq!(places(), ["u", "v"]);
    assert_eq!(history().len(), 4);
    // An older one is history only, a newer one moves the thing.
    let posted = |time: &str, name: &str| {
        create_at(
            below(E::Thing, thing, E::HistoricalLocation),
            draft(E::HistoricalLocation, "")
                .field(P::Time, json!(time))
                .with(draft(E::Location, name)),
        )
    };
    make(store, posted("2000-01-01T00:00:00Z", "old")).await;
    assert_eq!(places(), ["u", "v"]);
    let newest = make(store, posted("2030-01-01T00:00:00Z", "new")).await;
    assert_eq!(places(), ["new"]);
    assert_eq!(history().len(), 6);
    // One whose time goes back is not the newest any more.
    write(
        store,
        patch(
            E::HistoricalLocation,
            newest,
            &[(P::Time, json!("2001-01-01T00:00:00Z"))],
        ),
    )
    .await;
    assert_eq!(places(), ["new"]);
    assert_whole(&world).await;
}

pub(crate) async fn observations_are_of_the_feature_of_the_newest_location(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let thing = make(store, create(station("t"))).await;
    let stream = only(&world, "datastream");
    write(
        store,
        observe(vec![observed(stream, 1, 1.0), observed(stream, 2, 2.0)]),
    )
    .await;
    write(store, observe(vec![observed(stream, 3, 1.0)])).await;
    let features = || {
        world.rows(
            "SELECT f.name, count(*) FROM {observation} o JOIN {feature} f ON f.id = o.feature_id
             GROUP BY f.id, f.name ORDER BY f.id",
        )
    };
    assert_eq!(features(), ["t|3"], "made once for a location");
    let elsewhere = draft(E::Location, "u").field(
        P::Location,
        json!({"type": "Point", "coordinates": [4.0, 51.0]}),
    );
    let location = make(
        store,
        create_at(below(E::Thing, thing, E::Location), elsewhere),
    )
    .await;
    write(store, observe(vec![observed(stream, 4, 1.0)])).await;
    assert_eq!(features(), ["t|3", "u|1"]);
    assert_eq!(summary(&world), "4|1|4|||4|51|5.5|52.25");
    // The location itself is elsewhere: what was observed stays where it was.
    let moved = json!({"type": "Point", "coordinates": [3.0, 50.0]});
    write(store, patch(E::Location, location, &[(P::Location, moved)])).await;
    write(store, observe(vec![observed(stream, 5, 1.0)])).await;
    assert_eq!(features(), ["t|3", "u|1", "u|1"]);
    assert_whole(&world).await;
}

pub(crate) async fn counts_and_extents_are_exact_after_every_change(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    make(store, create(station("t"))).await;
    let stream = only(&world, "datastream");
    let far = draft(E::Feature, "far").field(
        P::Feature,
        json!({"type": "Point", "coordinates": [-1.0, 10.0]}),
    );
    let far = make(store, create(far)).await;
    assert_eq!(summary(&world), "0||||||||");
    let mut first = observed(stream, 10, 1.0);
    first.result_time = Some(moment(100));
    let mut last = observed(stream, 30, 1.0);
    last.phenomenon_time = Some(TimeValue::Interval(Period {
        start: moment(20),
        end: moment(50),
    }));
    last.result_time = Some(moment(90));
    last.feature = Some(far);
    let ids = write(store, observe(vec![first, last, observed(stream, 40, 2.0)])).await;
    let Outcome::Observations(ids) = ids else {
        panic!("{ids:?}")
    };
    let ids: Vec<i64> = ids.into_iter().map(Result::unwrap).collect();
    assert_eq!(ids, [1, 2, 3].map(|n| (stream << 32) | n));
    assert_eq!(summary(&world), "3|10|50|90|100|-1|10|5.5|52.25");
    // The interval goes: the end is that of the last instant, and nothing is far away.
    write(store, delete(E::Observation, ids[1])).await;
    assert_eq!(summary(&world), "2|10|40|100|100|5.5|52.25|5.5|52.25");
    write(
        store,
        patch(
            E::Observation,
            ids[0],
            &[
                (P::PhenomenonTime, json!(moment(35).to_string())),
                (P::ResultTime, Value::Null),
            ],
        ),
    )
    .await;
    assert_eq!(summary(&world), "2|35|40|||5.5|52.25|5.5|52.25");
    // A feature that is elsewhere takes the area of its observations along.
    let moved = Operation::Link {
        path: below(E::Observation, ids[0], E::Feature),
        id: far,
    };
    write(store, moved).await;
    assert_eq!(summary(&world), "2|35|40|||-1|10|5.5|52.25");
    let place = json!({"type": "Point", "coordinates": [2.0, 60.0]});
    write(store, patch(E::Feature, far, &[(P::Feature, place)])).await;
    assert_eq!(summary(&world), "2|35|40|||2|52.25|5.5|60");
    write(store, delete(E::Feature, far)).await;
    assert_eq!(summary(&world), "1|40|40|||5.5|52.25|5.5|52.25");
    write(store, delete(E::Observation, ids[2])).await;
    assert_eq!(summary(&world), "0||||||||");
    // Numbers are never given again.
    let again = write(store, observe(vec![observed(stream, 1, 1.0)])).await;
    assert_eq!(again, Outcome::Observations(vec![Ok((stream << 32) | 4)]));
    assert_whole(&world).await;
}

pub(crate) async fn a_patch_merges_and_a_put_replaces(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let full = draft(E::Thing, "t").field(P::Properties, json!({"a": 1}));
    let thing = make(store, create(full)).await;
    let shown = || world.rows("SELECT name, description, properties IS NULL FROM {thing}");
    write(store, patch(E::Thing, thing, &[(P::Name, json!("u"))])).await;
    assert!(shown()[0].starts_with("u|about t|"), "{:?}", shown());
    let put = |fields: &[(P, Value)]| Operation::Update {
        target: at(E::Thing, thing),
        fields: fields.iter().cloned().collect(),
        related: Vec::new(),
        replace: true,
    };
    write(
        store,
        put(&[(P::Name, json!("v")), (P::Description, json!("d"))]),
    )
    .await;
    assert_eq!(shown().len(), 1);
    assert!(
        shown()[0] == "v|d|1" || shown()[0] == "v|d|t",
        "{:?}",
        shown()
    );
    let reason = refused(store, &anybody(), put(&[(P::Description, json!("d"))])).await;
    assert!(reason.contains("`name`"), "{reason}");
    let emptied = patch(E::Thing, thing, &[(P::Name, Value::Null)]);
    let reason = refused(store, &anybody(), emptied).await;
    assert!(reason.contains("`name`"), "{reason}");
    // Of observations.
    make(store, create(station("s"))).await;
    let stream = only(&world, "datastream");
    let mut whole = observed(stream, 5, 1.0);
    whole.result_quality = Some(json!("good"));
    whole.parameters = Some(json!({"by": "hand"}));
    write(store, observe(vec![whole])).await;
    let id = (stream << 32) | 1;
    let kept = || {
        world.rows(
            "SELECT {epoch:start_time} - 1460000000, result, result_json, quality, parameters
             FROM {observation}",
        )
    };
    write(
        store,
        patch(E::Observation, id, &[(P::Result, json!("high"))]),
    )
    .await;
    let row = kept()[0].replace(": ", ":");
    assert_eq!(row, "5||\"high\"|\"good\"|{\"by\":\"hand\"}");
    let replaced = Operation::Update {
        target: at(E::Observation, id),
        fields: [(P::Result, json!(7))].into(),
        related: Vec::new(),
        replace: true,
    };
    write(store, replaced).await;
    assert_eq!(kept(), ["5|7|||"]);
    assert_whole(&world).await;
}

pub(crate) async fn results_are_kept_as_they_are(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    make(store, create(station("t"))).await;
    let stream = only(&world, "datastream");
    let table: [(Value, &str); 8] = [
        (json!(1.5), "1.5|"),
        (json!(7), "7|"),
        (json!(9_007_199_254_740_993_i64), "|9007199254740993"),
        (json!("text"), "|\"text\""),
        (json!(true), "|true"),
        (json!(null), "|null"),
        (json!([1, 2]), "|[1,2]"),
        (json!({"a": {"b": []}}), "|{\"a\":{\"b\":[]}}"),
    ];
    for (result, expected) in table {
        let one = draft(E::Observation, "").field(P::Result, result.clone());
        let path = below(E::Datastream, stream, E::Observation);
        let id = make(store, create_at(path, one)).await;
        let n = id & 0xffff;
        let rows = world.rows(&format!(
            "SELECT result, result_json FROM {{observation}} WHERE n = {n}"
        ));
        assert_eq!(
            rows[0].replace(": ", ":").replace(", ", ","),
            expected,
            "{result}"
        );
    }
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(crate) async fn what_cannot_be_without_an_entity_goes_with_it(on: On) {
    // What is removed, and what is left of two stations that share nothing but a location.
    let table: [(smartem_sta::EntityType, &str, &[&str]); 7] = [
        (
            E::Thing,
            "thing",
            &[
                "thing 1",
                "location 2",
                "historical_location 1",
                "sensor 2",
                "observed_property 2",
                "datastream 1",
                "feature 2",
                "observation 3",
                "thing_location 1",
            ],
        ),
        (
            E::Location,
            "location",
            &[
                "thing 2",
                "location 1",
                "historical_location 1",
                "sensor 2",
                "observed_property 2",
                "datastream 2",
                "feature 2",
                "observation 6",
                "thing_location 1",
            ],
        ),
        (
            E::HistoricalLocation,
            "historical_location",
            &[
                "thing 2",
                "location 2",
                "historical_location 1",
                "sensor 2",
                "observed_property 2",
                "datastream 2",
                "feature 2",
                "observation 6",
                "thing_location 2",
            ],
        ),
        (
            E::Sensor,
            "sensor",
            &[
                "thing 2",
                "location 2",
                "historical_location 2",
                "sensor 1",
                "observed_property 2",
                "datastream 1",
                "feature 2",
                "observation 3",
                "thing_location 2",
            ],
        ),
        (
            E::ObservedProperty,
            "observed_property",
            &[
                "thing 2",
                "location 2",
                "historical_location 2",
                "sensor 2",
                "observed_property 1",
                "datastream 1",
                "feature 2",
                "observation 3",
                "thing_location 2",
            ],
        ),
        (
            E::Datastream,
            "datastream",
            &[
                "thing 2",
                "location 2",
                "historical_location 2",
                "sensor 2",
                "observed_property 2",
                "datastream 1",
                "feature 2",
                "observation 3",
                "thing_location 2",
            ],
        ),
        (
            E::Feature,
            "feature",
            &[
                "thing 2",
                "location 2",
                "historical_location 2",
                "sensor 2",
                "observed_property 2",
                "datastream 2",
                "feature 1",
                "observation 3",
                "thing_location 2",
            ],
        ),
    ];
    for (of, name, expected) in table {
        let world = World::on(on).await;
        for thing in ["a", "b"] {
            make(&world.store, create(station(thing))).await;
        }
        for stream in world.rows("SELECT id FROM {datastream}") {
            let stream: i64 = stream.parse().unwrap();
            let all = (0..3).map(|n| observed(stream, n, 1.0)).collect();
            write(&world.store, observe(all)).await;
        }
        let id = &world.rows(&format!("SELECT min(id) FROM {{{name}}}"))[0];
        let id: i64 = id.parse().unwrap();
        let done = write(&world.store, delete(of, id)).await;
        assert_eq!(done, Outcome::Deleted(1));
        assert_eq!(counts(&world), expected, "{name}");
        assert_whole(&world).await;
        let reason = refused(&world.store, &anybody(), delete(of, id)).await;
        assert!(reason.starts_with("not found"), "{reason}");
    }
}

pub(crate) async fn ids_are_never_given_again(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let thing = make(store, create(station("a"))).await;
    let before = only(&world, "datastream");
    write(store, delete(E::Thing, thing)).await;
    let again = make(store, create(station("b"))).await;
    assert!(again > thing);
    assert!(only(&world, "datastream") > before);
    // Series are numbered together with datastreams, also with those that are gone.
    write(store, delete(E::Thing, again)).await;
    take_in(store, vec![record("23", 0, &sample(1, 0.0))]).await;
    refine_all(store).await;
    let series = only(&world, "datastream");
    assert!(series > before + 1, "{series}");
    make(store, create(station("c"))).await;
    let all = world.rows("SELECT max(id) FROM {datastream}");
    assert!(all[0].parse::<i64>().unwrap() > series);
    assert_whole(&world).await;
}

pub(crate) async fn what_the_pipeline_keeps_is_not_changed(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    take_in(store, vec![record("23", 0, &sample(1, 0.0))]).await;
    refine_all(store).await;
    let before = counts(&world);
    let id = |table: &str| only(&world, table);
    let stream = id("datastream");
    let refined = (stream << 32) | crate::support::hour(0).index();
    let name = [(P::Name, json!("mine"))];
    let table = [
        patch(E::Thing, id("thing"), &name),
        patch(E::Location, id("location"), &name),
        patch(E::Sensor, id("sensor"), &name),
        patch(E::ObservedProperty, id("observed_property"), &name),
        patch(E::Datastream, stream, &name),
        patch(E::Feature, id("feature"), &name),
        patch(
            E::HistoricalLocation,
            id("historical_location"),
            &[(P::Time, json!("2000-01-01T00:00:00Z"))],
        ),
        delete(E::Thing, id("thing")),
        delete(E::Location, id("location")),
        delete(E::HistoricalLocation, id("historical_location")),
        delete(E::Sensor, id("sensor")),
        delete(E::ObservedProperty, id("observed_property")),
        delete(E::Datastream, stream),
        delete(E::Feature, id("feature")),
        delete(E::Observation, refined),
        patch(E::Observation, refined, &[(P::Result, json!(1))]),
        create_at(
            below(E::Datastream, stream, E::Observation),
            draft(E::Observation, ""),
        ),
        create_at(
            below(E::Thing, id("thing"), E::Location),
            draft(E::Location, "l"),
        ),
    ];
    for operation in table {
        let told = format!("{operation:?}");
        let reason = refused(store, &anybody(), operation).await;
        assert!(reason.starts_with("conflict"), "{reason} of {told}");
    }
    let missing = delete(E::Observation, refined + 1);
    assert!(
        refused(store, &anybody(), missing)
            .await
            .starts_with("not found")
    );
    assert_eq!(counts(&world), before);
    // What clients make may be linked to it.
    let own = draft(E::Datastream, "own")
        .link(E::Sensor, id("sensor"))
        .link(E::ObservedProperty, id("observed_property"));
    let own = make(
        store,
        create_at(below(E::Thing, id("thing"), E::Datastream), own),
    )
    .await;
    write(store, observe(vec![observed(own, 1, 1.0)])).await;
    assert_eq!(counts(&world).last(), before.last());
    // The feature of the location is that of the observation too, and stays when the track leaves it.
    for n in [-3, -2] {
        take_in(store, vec![record("23", n, &sample(1, 5000.0))]).await;
        refine_all(store).await;
    }
    assert_whole(&world).await;
    write(store, delete(E::Datastream, own)).await;
    assert_whole(&world).await;
}

pub(crate) async fn who_is_of_a_project_changes_only_what_is_of_it(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let (ours, theirs) = (of_project("ours"), of_project("theirs"));
    let made = attempt(store, &ours, create(station("t"))).await.unwrap();
    let [Outcome::Created { id: thing, .. }] = made[..] else {
        panic!("{made:?}")
    };
    let stream_id = only(&world, "datastream");
    let (sensor, location) = (only(&world, "sensor"), only(&world, "location"));
    attempt(store, &ours, observe(vec![observed(stream_id, 1, 1.0)]))
        .await
        .unwrap();
    let observation = (stream_id << 32) | 1;
    let name = [(P::Name, json!("x"))];
    let table = [
        patch(E::Thing, thing, &name),
        patch(E::Datastream, stream_id, &name),
        patch(E::Sensor, sensor, &name),
        patch(E::Observation, observation, &[(P::Result, json!(2))]),
        delete(E::Thing, thing),
        delete(E::Location, location),
        delete(E::Sensor, sensor),
        delete(E::Observation, observation),
        create_at(below(E::Thing, thing, E::Location), draft(E::Location, "l")),
        create_at(below(E::Thing, thing, E::Datastream), stream("d")),
        create_at(
            below(E::Datastream, stream_id, E::Observation),
            draft(E::Observation, ""),
        ),
    ];
    for operation in table {
        let told = format!("{operation:?}");
        let reason = refused(store, &theirs, operation).await;
        assert!(
            reason.starts_with("forbidden") && reason.contains("ours") && reason.contains("theirs"),
            "{reason} of {told}"
        );
    }
    // What each row of a list is refused for is told in its place.
    let list = attempt(store, &theirs, observe(vec![observed(stream_id, 2, 1.0)])).await;
    let list = list.unwrap();
    assert!(
        matches!(&list[..], [Outcome::Observations(all)]
            if all[0].as_ref().is_err_and(|it| it.contains("theirs"))),
        "{list:?}"
    );
    // Linking to it is open, and a cascade into it is not.
    let with_their_sensor = draft(E::Thing, "u").with(
        draft(E::Datastream, "d")
            .link(E::Sensor, sensor)
            .with(draft(E::ObservedProperty, "p")),
    );
    attempt(store, &theirs, create(with_their_sensor))
        .await
        .unwrap();
    let reason = refused(store, &ours, delete(E::Sensor, sensor)).await;
    assert!(reason.starts_with("forbidden"), "{reason}");
    attempt(store, &anybody(), delete(E::Sensor, sensor))
        .await
        .unwrap();
    assert_whole(&world).await;
}

pub(crate) async fn the_same_again_is_found_by_its_name(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let whole = || {
        draft(E::Thing, "t")
            .with(draft(E::Location, "l"))
            .with(stream("s").with(
                draft(E::Observation, "").field(P::PhenomenonTime, json!("2016-01-01T00:00:00Z")),
            ))
    };
    let first = write(store, create_once(whole(), OnDuplicate::Update)).await;
    let before = counts(&world);
    let again = whole().field(P::Description, json!("other"));
    let second = write(store, create_once(again, OnDuplicate::Update)).await;
    let (
        Outcome::Created { id, updated, .. },
        Outcome::Created {
            id: same,
            updated: now_there,
            ..
        },
    ) = (first, second)
    else {
        panic!("nothing was made")
    };
    assert_eq!((id, updated, now_there), (same, false, true));
    assert_eq!(counts(&world), before);
    assert_eq!(world.rows("SELECT description FROM {thing}"), ["other"]);
    // Of another project it is another.
    let theirs = of_project("theirs");
    let made = attempt(
        store,
        &theirs,
        create_once(draft(E::Thing, "t"), OnDuplicate::Update),
    );
    assert!(matches!(
        made.await.unwrap()[..],
        [Outcome::Created { updated: false, .. }]
    ));
    for (of, name) in [
        (E::Thing, "t"),
        (E::Location, "l"),
        (E::Sensor, "s"),
        (E::ObservedProperty, "s"),
    ] {
        let once = create_once(draft(of, name), OnDuplicate::Refuse);
        let reason = refused(store, &anybody(), once).await;
        let set = of.set_name(smartem_sta::Version::V1_1);
        assert!(
            reason.starts_with("conflict") && reason.contains(&format!("{set}(")),
            "{reason}"
        );
    }
    // Of observations, by time; the rest of a list goes on.
    let stream = only(&world, "datastream");
    let list = |on_duplicate, values: [f64; 3]| Operation::CreateObservations {
        observations: (5..)
            .zip(values)
            .map(|(second, value)| observed(stream, second / 2 * 2, value))
            .collect(),
        on_duplicate,
    };
    let Outcome::Observations(ids) = write(store, list(OnDuplicate::Refuse, [1.0, 2.0, 3.0])).await
    else {
        panic!("no list")
    };
    assert!(ids[0].is_ok() && ids[1].is_ok(), "{ids:?}");
    let reason = ids[2].as_ref().unwrap_err();
    assert!(reason.contains("Observations("), "{reason}");
    let Outcome::Observations(same) =
        write(store, list(OnDuplicate::Update, [4.0, 5.0, 6.0])).await
    else {
        panic!("no list")
    };
    assert_eq!((&same[0], &same[1], &same[2]), (&ids[0], &ids[1], &ids[1]));
    let values = world.rows("SELECT result FROM {observation} WHERE n > 1 ORDER BY n");
    assert_eq!(values, ["4", "6"]);
    assert_whole(&world).await;
}

pub(crate) async fn entities_are_linked_and_unlinked(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let thing = make(store, create(station("t"))).await;
    let stream = only(&world, "datastream");
    let link = |path, id| Operation::Link { path, id };
    let sensor = make(store, create(draft(E::Sensor, "other"))).await;
    write(store, link(below(E::Datastream, stream, E::Sensor), sensor)).await;
    let property = make(store, create(draft(E::ObservedProperty, "other"))).await;
    write(
        store,
        link(below(E::ObservedProperty, property, E::Datastream), stream),
    )
    .await;
    let location = make(store, create(draft(E::Location, "other"))).await;
    write(store, link(below(E::Thing, thing, E::Location), location)).await;
    assert_eq!(
        world.rows(
            "SELECT s.name, p.name, l.name FROM {datastream} d JOIN {sensor} s ON s.id = d.sensor_id
             JOIN {datastream_property} x ON x.datastream_id = d.id
             JOIN {observed_property} p ON p.id = x.observed_property_id
             JOIN {thing_location} y ON y.thing_id = d.thing_id
             JOIN {location} l ON l.id = y.location_id"
        ),
        ["other|other|other"]
    );
    let unlink = |path, id| Operation::Unlink { path, id };
    let reason = refused(
        store,
        &anybody(),
        unlink(below(E::Datastream, stream, E::Sensor), None),
    )
    .await;
    assert!(
        reason.starts_with("conflict") && reason.contains("Sensor"),
        "{reason}"
    );
    write(
        store,
        unlink(step(E::Thing, thing, E::Location, Some(location)), None),
    )
    .await;
    assert_eq!(
        world.rows("SELECT * FROM {thing_location}"),
        Vec::<String>::new()
    );
    let reason = refused(
        store,
        &anybody(),
        unlink(below(E::Thing, thing, E::Location), Some(location)),
    )
    .await;
    assert!(reason.starts_with("not found"), "{reason}");
    let wrong = link(below(E::Thing, thing, E::Location), 999);
    let reason = refused(store, &anybody(), wrong).await;
    assert!(reason.contains("Locations(999)"), "{reason}");
    assert_whole(&world).await;
}

pub(crate) async fn changes_are_told_once_in_their_order(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let before = store.change().await.unwrap();
    let thing = make(store, create(station("t"))).await;
    let stream = only(&world, "datastream");
    let all = (0..5).map(|n| observed(stream, n, 1.0)).collect();
    write(store, observe(all)).await;
    write(store, delete(E::Observation, (stream << 32) | 3)).await;
    write(store, patch(E::Thing, thing, &[(P::Name, json!("u"))])).await;
    assert_eq!(store.change().await.unwrap(), before + 4);
    let told = store.sta_changes(0, 100).await.unwrap();
    let words: Vec<String> = told
        .iter()
        .map(|it| format!("{:?} {:?} {:?}", it.kind, it.entity_type, it.span))
        .collect();
    assert_eq!(
        words,
        [
            "Created Thing None",
            "Created Location None",
            "Created HistoricalLocation None",
            "Created Datastream None",
            "Created Sensor None",
            "Created ObservedProperty None",
            "Created Feature None",
            "Created Observation Some((1, 5))",
            "Deleted Observation Some((3, 3))",
            "Updated Thing None",
        ]
    );
    assert!(told.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    let rest = store.sta_changes(told[7].seq, 1).await.unwrap();
    assert_eq!(rest, told[8..9]);
    assert_eq!(store.sta_newest_change().await.unwrap(), told[9].seq);
    // A refused change is none.
    refused(store, &anybody(), delete(E::Thing, 4711)).await;
    assert_eq!(store.change().await.unwrap(), before + 4);
}

pub(crate) async fn refined_hours_are_told_with_the_ids_of_their_observations(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    let begin = ChangeMark::after_change(store.change().await.unwrap());
    let records = (0..3).map(|n| record("s", n, &sample(n, 0.0))).collect();
    take_in(store, records).await;
    refine_all(store).await;
    let told = store.sta_refined(begin, 100).await.unwrap();
    let stream = only(&world, "datastream");
    let ids: Vec<Vec<i64>> = told.iter().map(|it| it.observations.clone()).collect();
    let id = |n| (stream << 32) | hour(n).index();
    assert_eq!(ids, [vec![id(0)], vec![id(1)], vec![id(2)]]);
    // Each is there under its id.
    for id in ids.into_iter().flatten() {
        let path = ResourcePath::entity(E::Observation, id);
        let limits = ReadLimits::at(now());
        let answer = store.sta_read(&path, &Query::default(), &limits).await;
        assert!(matches!(answer, Ok(Answer::One(Some(it))) if it.id == id));
    }
    assert_eq!(
        store.sta_refined(told[0].mark, 1).await.unwrap(),
        told[1..2]
    );
    assert_eq!(store.sta_refined(told[2].mark, 1).await.unwrap(), []);
}

/// Whoever has read a change has missed none before it: a number is never less than one that was committed
/// earlier, however the writers stand in each other's way.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_changes_are_in_the_order_of_commits() {
    const OTHER: &str = "BEGIN;
        UPDATE smartem.meta SET value = value + 1 WHERE key = 'change';
        SELECT pg_sleep(1.5);
        INSERT INTO smartem_sta.change (entity_type, id, kind, at) VALUES (0, 4711, 1, now());
        COMMIT";
    let world = World::on(On::Postgres).await;
    let (database, store) = (world.database(), &world.store);
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let own = std::thread::scope(|scope| {
        // It has the lock, and its row only later.
        let other = scope.spawn(|| database.lines(OTHER));
        while database.lines(waiting) != ["1"] {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let handle = tokio::runtime::Handle::current();
        let own = tokio::task::block_in_place(|| {
            handle.block_on(make(store, create(draft(E::Thing, "t"))))
        });
        other.join().unwrap();
        own
    });
    let told = store.sta_changes(0, 100).await.unwrap();
    let ids: Vec<i64> = told.iter().map(|it| it.id).collect();
    assert_eq!(ids, [4711, own]);
}

pub(crate) async fn one_refused_row_does_not_hold_up_the_others(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    make(store, create(station("t"))).await;
    let stream = only(&world, "datastream");
    let mut rows: Vec<_> = (0..100).map(|n| observed(stream, n, 1.0)).collect();
    rows[10].datastream = 4711;
    rows[20].feature = Some(4711);
    rows[30].result = ResultValue::Json(json!("a\0"));
    let Outcome::Observations(ids) = write(store, observe(rows)).await else {
        panic!("no list")
    };
    let refused: Vec<(usize, &String)> = ids
        .iter()
        .enumerate()
        .filter_map(|(at, id)| id.as_ref().err().map(|it| (at, it)))
        .collect();
    let places: Vec<usize> = refused.iter().map(|it| it.0).collect();
    assert_eq!(places, [10, 20, 30]);
    assert!(refused[0].1.contains("Datastreams(4711)"), "{refused:?}");
    assert!(
        refused[1].1.contains("FeaturesOfInterest(4711)"),
        "{refused:?}"
    );
    assert!(refused[2].1.contains("`result`"), "{refused:?}");
    assert_eq!(world.rows("SELECT count(*) FROM {observation}"), ["97"]);
    assert_eq!(summary(&world), "97|0|99|||5.5|52.25|5.5|52.25");
    assert_whole(&world).await;
}

pub(crate) async fn what_a_filter_selects_is_removed(on: On) {
    let world = World::on(on).await;
    let store = &world.store;
    make(store, create(station("t"))).await;
    let stream = only(&world, "datastream");
    let rows = (0..2500).map(|n| observed(stream, n, (n % 5) as f64));
    write(store, observe(rows.collect())).await;
    let filter = |text: &str, of| {
        let query = Query::parse(&format!("$filter={text}"), of, Version::V1_1, false).unwrap();
        query.filter.unwrap()
    };
    let many = |path: ResourcePath, text: &str| {
        let filter = filter(text, path.entity_type());
        Operation::DeleteMany { path, filter }
    };
    let path = || below(E::Datastream, stream, E::Observation);
    let done = write(store, many(path(), "result gt 1")).await;
    assert_eq!(done, Outcome::Deleted(1500));
    assert_eq!(summary(&world), "1000|0|2496|||5.5|52.25|5.5|52.25");
    assert_eq!(
        world.rows("SELECT max(result), count(*) FROM {observation}"),
        ["1|1000"]
    );
    let done = write(store, many(path(), "result gt 1")).await;
    assert_eq!(done, Outcome::Deleted(0));
    for name in ["a", "b", "keep"] {
        make(store, create(station(name))).await;
    }
    let things = ResourcePath::set(E::Thing);
    let done = write(store, many(things, "name ne 'keep'")).await;
    assert_eq!(done, Outcome::Deleted(3));
    assert_eq!(world.rows("SELECT name FROM {thing}"), ["keep"]);
    assert_whole(&world).await;
}

pub(crate) async fn what_is_not_whole_is_found(on: On) {
    let table = [
        (
            "UPDATE {datastream} SET observations = 7",
            "the total of observations",
        ),
        (
            "UPDATE {datastream} SET phenomenon_start = NULL",
            "begin or end elsewhere",
        ),
        ("UPDATE {datastream} SET west = 1", "of features elsewhere"),
        (
            "UPDATE {datastream} SET next_n = 2",
            "a number would be given again",
        ),
        (
            "DELETE FROM {datastream_property}",
            "nothing is observed by",
        ),
        (
            "DELETE FROM {historical_location_location}",
            "no locations are of",
        ),
    ];
    for (damage, told) in table {
        let world = World::on(on).await;
        make(&world.store, create(station("t"))).await;
        let stream = only(&world, "datastream");
        let all = (0..3).map(|n| observed(stream, n, 1.0)).collect();
        write(&world.store, observe(all)).await;
        assert_whole(&world).await;
        world.damage(damage);
        let problems = world.store.check().await.unwrap().problems;
        assert!(
            problems.len() == 1 && problems[0].contains(told),
            "{problems:?} of {damage}"
        );
    }
}

/// Sixteen at once, each making observations and things of its own in lists and one by one.
pub(crate) async fn many_write_at_once_and_nothing_is_lost(on: On) {
    const CALLERS: i64 = 16;
    const EACH: i64 = 12;
    let world = World::on(on).await;
    make(&world.store, create(station("shared"))).await;
    let stream_id = only(&world, "datastream");
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let store = match caller % 2 {
            0 => world.store.clone(),
            _ => world.another().await,
        };
        callers.spawn(async move {
            let mut ids = Vec::new();
            for n in 0..EACH {
                let at = caller * 1000 + n * 10;
                let one = draft(E::Observation, "")
                    .field(P::PhenomenonTime, json!(moment(at).to_string()));
                let path = below(E::Datastream, stream_id, E::Observation);
                ids.push(make(&store, create_at(path, one)).await);
                let two = observe(vec![
                    observed(stream_id, at + 1, 1.0),
                    observed(stream_id, at + 2, 1.0),
                ]);
                let Outcome::Observations(more) = write(&store, two).await else {
                    panic!("no list")
                };
                ids.extend(more.into_iter().map(Result::unwrap));
                // One of them is refused, and nothing of its list stays.
                let bad = vec![
                    create(draft(E::Thing, "refused")),
                    delete(E::Thing, 999_999),
                ];
                assert!(store.sta_write(&anybody(), bad, now()).await.is_err());
                // All make the same thing, once.
                let same = create_once(station("same"), OnDuplicate::Update);
                write(&store, same).await;
            }
            ids
        });
    }
    let mut ids: Vec<i64> = callers.join_all().await.concat();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id was given twice");
    assert_eq!(i64::try_from(count).unwrap(), CALLERS * EACH * 3);
    let kept = world.rows("SELECT count(*) FROM {observation}");
    assert_eq!(kept, [count.to_string()]);
    assert_eq!(
        world.rows("SELECT name, count(*) FROM {thing} GROUP BY name ORDER BY name"),
        ["same|1", "shared|1"]
    );
    assert_whole(&world).await;
}

/// Two that write to the same datastreams in opposite orders come to an end.
pub(crate) async fn opposite_orders_do_not_stop_anybody(on: On) {
    let world = World::on(on).await;
    for name in ["a", "b"] {
        make(&world.store, create(station(name))).await;
    }
    let streams = world.rows("SELECT id FROM {datastream} ORDER BY id");
    let streams: Vec<i64> = streams.iter().map(|it| it.parse().unwrap()).collect();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..4_usize {
        let store = world.another().await;
        let order = match caller % 2 {
            0 => [streams[0], streams[1]],
            _ => [streams[1], streams[0]],
        };
        callers.spawn(async move {
            for n in 0..8 {
                let single = |stream| {
                    let path = below(E::Datastream, stream, E::Observation);
                    create_at(path, draft(E::Observation, ""))
                };
                let operations = order.map(single).to_vec();
                store
                    .sta_write(&anybody(), operations, now())
                    .await
                    .unwrap();
                let rows = order.map(|stream| observed(stream, n, 1.0)).to_vec();
                write(&store, observe(rows)).await;
            }
        });
    }
    let all = tokio::time::timeout(std::time::Duration::from_secs(60), callers.join_all());
    all.await.unwrap();
    let counted = world.rows("SELECT observations FROM {datastream} ORDER BY id");
    assert_eq!(counted, ["64", "64"]);
    assert_whole(&world).await;
}
