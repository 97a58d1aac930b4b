//! Making, changing and removing entities.

mod create;
mod delete;
mod update;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::cases::data_model::same_times;
use crate::cases::{Row, check, each};
use crate::client::{member, same};
use crate::model::Kind;
use crate::outcome::{Check, fault};
use crate::own::{Own, datastream, location, observed_property, sensor};

const CREATE: &str = "10.2";
const LINK: &str = "10.2.1.1";
const DEEP: &str = "10.2.1.2";
const UPDATE: &str = "10.3";
const DELETE: &str = "10.4";

pub(crate) const CASES: &[Row] = &[
    Row::write_each(
        "create",
        CREATE,
        "A POST to a set makes an entity with every value as sent, and answers 201.",
        each!(create::create),
    ),
    Row::write(
        "address-of-the-new-entity",
        CREATE,
        "The header `Location` of a creation is the self-link of the new entity.",
        check!(create::address),
    ),
    Row::write_each(
        "create-without-a-mandatory-property",
        CREATE,
        "A POST without a mandatory property is refused.",
        each!(create::create_without),
    ),
    Row::write(
        "create-behind-a-navigation",
        CREATE,
        "A POST behind a navigation makes an entity that is related to the one in the path.",
        check!(create::create_behind),
    ),
    Row::write(
        "create-behind-no-entity",
        CREATE,
        "A POST behind an entity that does not exist is refused.",
        check!(create::create_behind_none),
    ),
    Row::write(
        "create-in-no-set",
        CREATE,
        "A POST to a set that does not exist is refused.",
        check!(create::create_in_none),
    ),
    Row::write(
        "create-from-no-json",
        CREATE,
        "A body that is no JSON object is answered with 400.",
        check!(create::create_from_no_json),
    ),
    Row::write(
        "create-with-a-wrong-type",
        CREATE,
        "A property with a value of a wrong kind is refused.",
        check!(create::create_wrong_type),
    ),
    Row::write(
        "create-with-a-broken-time",
        CREATE,
        "A time that is none is refused.",
        check!(create::create_broken_time),
    ),
    Row::write(
        "create-with-times-far-away",
        CREATE,
        "A time at the ends of the calendar comes back or is refused, and spoils no list.",
        check!(create::far_times),
    ),
    Row::write(
        "datastream-needs-its-relations",
        CREATE,
        "A Datastream without Thing, Sensor or ObservedProperty is refused.",
        check!(create::stream_needs),
    ),
    Row::write(
        "observation-needs-a-datastream",
        CREATE,
        "An Observation without Datastream is refused.",
        check!(create::observation_needs),
    ),
    Row::write(
        "link-to-existing",
        LINK,
        "A reference by `@iot.id` relates the new entity to one that exists.",
        check!(create::link),
    ),
    Row::write(
        "link-to-many",
        LINK,
        "References in a list relate the new entity to each of them.",
        check!(create::link_many),
    ),
    Row::write(
        "link-to-nothing",
        LINK,
        "A reference to an entity that does not exist is refused.",
        check!(create::link_to_none),
    ),
    Row::write(
        "deep-insert",
        DEEP,
        "Related entities within the body of a Thing are made with it, over several levels.",
        check!(create::deep),
    ),
    Row::write(
        "deep-insert-into-a-location",
        DEEP,
        "Things within the body of a Location are made with it and related both ways.",
        check!(create::deep_location),
    ),
    Row::write(
        "deep-insert-into-a-sensor",
        DEEP,
        "Datastreams within the body of a Sensor are made with it.",
        check!(create::deep_sensor),
    ),
    Row::write(
        "deep-insert-into-an-observation",
        DEEP,
        "A FeatureOfInterest within the body of an Observation is made with it.",
        check!(create::deep_observation),
    ),
    Row::write(
        "deep-insert-mixed-with-links",
        DEEP,
        "A body may hold references and new entities side by side.",
        check!(create::deep_mixed),
    ),
    Row::write(
        "deep-insert-all-or-nothing",
        DEEP,
        "When one entity of a deep insert is wrong, none of it is made.",
        check!(create::deep_atomic),
    ),
    Row::write(
        "feature-from-the-location",
        CREATE,
        "An Observation without FeatureOfInterest gets one with the Location of its Thing.",
        check!(create::auto_feature),
    ),
    Row::write(
        "feature-from-the-location-is-shared",
        CREATE,
        "Further Observations at the same Location get the same FeatureOfInterest.",
        check!(create::auto_feature_shared),
    ),
    Row::write(
        "feature-from-the-location-at-once",
        CREATE,
        "Observations that come at the same time get the same FeatureOfInterest, too.",
        check!(create::auto_feature_at_once),
    ),
    Row::write(
        "no-feature-without-location",
        CREATE,
        "An Observation without FeatureOfInterest whose Thing has no Location is refused.",
        check!(create::no_feature),
    ),
    Row::write(
        "default-times",
        CREATE,
        "An Observation without times gets the present as phenomenonTime and no resultTime.",
        check!(create::default_times),
    ),
    Row::write(
        "historical-location-at-creation",
        "10.2.2.2",
        "A Thing made with a Location has a HistoricalLocation with it.",
        check!(create::history_at_creation),
    ),
    Row::write(
        "historical-location-at-change",
        "10.2.2.2",
        "A Thing that gets another Location has that one alone, and another HistoricalLocation.",
        check!(create::history_at_change),
    ),
    Row::write(
        "historical-location-behind-navigation",
        "10.2.2.2",
        "A Location that is made behind a Thing becomes its Location, with a HistoricalLocation.",
        check!(create::history_behind),
    ),
    Row::write(
        "historical-location-made-by-hand",
        "10.2.2.2",
        "A HistoricalLocation moves its Thing only when it is the latest of that Thing.",
        check!(create::history_by_hand),
    )
    .since_1_1()
    .requires("create-update-delete/historical-location-manual-creation"),
    Row::write_each(
        "patch",
        UPDATE,
        "A PATCH changes what it names and leaves the rest.",
        each!(update::patch),
    ),
    Row::write(
        "patch-of-several",
        UPDATE,
        "A PATCH may change several properties at once.",
        check!(update::patch_several),
    ),
    Row::write(
        "patch-links-to-one",
        UPDATE,
        "A PATCH with a reference relates an entity to another one.",
        check!(update::patch_link),
    ),
    Row::write(
        "patch-links-to-many",
        UPDATE,
        "A PATCH with references in a list relates an entity to each of them.",
        check!(update::patch_links),
    ),
    Row::write(
        "patch-with-new-entities",
        UPDATE,
        "A PATCH with related entities in place of references is answered with 400.",
        check!(update::patch_inline),
    ),
    Row::write(
        "patch-links-to-nothing",
        UPDATE,
        "A PATCH with a reference to an entity that does not exist is refused.",
        check!(update::patch_link_to_none),
    ),
    Row::write(
        "patch-with-a-wrong-value",
        UPDATE,
        "A PATCH with a value of a wrong kind is refused and changes nothing.",
        check!(update::patch_wrong),
    ),
    Row::write(
        "patch-ignores-the-identifier",
        UPDATE,
        "An identifier in the body of a PATCH changes nothing.",
        check!(update::patch_id),
    ),
    Row::write(
        "patch-of-nothing",
        UPDATE,
        "A PATCH of an entity that does not exist is answered with 404.",
        check!(update::patch_none),
    ),
    Row::write(
        "patch-with-no-json",
        UPDATE,
        "A PATCH whose body is no JSON is answered with 400.",
        check!(update::patch_no_json),
    ),
    Row::write(
        "patch-takes-no-mandatory-property",
        UPDATE,
        "A PATCH that sets a mandatory property to null is refused.",
        check!(update::patch_null),
    ),
    Row::write(
        "put",
        UPDATE,
        "A PUT replaces all properties; what it does not name has no value any more.",
        check!(update::put),
    )
    .requires("create-update-delete/update-entity-put"),
    Row::write(
        "put-keeps-relations",
        UPDATE,
        "A PUT leaves relations as they are.",
        check!(update::put_relations),
    )
    .requires("create-update-delete/update-entity-put"),
    Row::write(
        "put-without-a-mandatory-property",
        UPDATE,
        "A PUT without a mandatory property is refused.",
        check!(update::put_without),
    )
    .requires("create-update-delete/update-entity-put"),
    Row::write(
        "json-patch",
        UPDATE,
        "A JSON Patch replaces, adds and removes.",
        check!(update::json_patch),
    )
    .since_1_1()
    .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write(
        "json-patch-test",
        UPDATE,
        "A JSON Patch whose test fails changes nothing.",
        check!(update::json_patch_test),
    )
    .since_1_1()
    .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write(
        "json-patch-move-and-copy",
        UPDATE,
        "A JSON Patch moves and copies.",
        check!(update::json_patch_move),
    )
    .since_1_1()
    .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write(
        "json-patch-broken",
        UPDATE,
        "A JSON Patch to a place that does not exist is refused.",
        check!(update::json_patch_broken),
    )
    .since_1_1()
    .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write(
        "delete",
        DELETE,
        "A deleted entity is gone.",
        check!(delete::delete),
    ),
    Row::write_each(
        "delete-of-nothing",
        DELETE,
        "Deleting an entity that does not exist is answered with 404.",
        each!(delete::delete_none),
    ),
    Row::write(
        "delete-at-once",
        DELETE,
        "Of several who delete an entity at the same time one does, and the others find it gone.",
        check!(delete::delete_at_once),
    ),
    Row::write(
        "delete-thing",
        DELETE,
        "With a Thing go its Datastreams, their Observations and its history, and nothing else.",
        check!(delete::delete_thing),
    ),
    Row::write(
        "delete-location",
        DELETE,
        "With a Location go its HistoricalLocations, and nothing else.",
        check!(delete::delete_location),
    ),
    Row::write(
        "delete-datastream",
        DELETE,
        "With a Datastream go its Observations, and nothing else.",
        check!(delete::delete_datastream),
    ),
    Row::write(
        "delete-sensor",
        DELETE,
        "With a Sensor go its Datastreams and their Observations, and nothing else.",
        check!(delete::delete_sensor),
    ),
    Row::write(
        "delete-observed-property",
        DELETE,
        "With an ObservedProperty go its Datastreams and their Observations, and nothing else.",
        check!(delete::delete_property),
    ),
    Row::write(
        "delete-feature",
        DELETE,
        "With a FeatureOfInterest go its Observations, and nothing else.",
        check!(delete::delete_feature),
    ),
    Row::write(
        "delete-observation",
        DELETE,
        "With an Observation goes nothing else.",
        check!(delete::delete_observation),
    ),
    Row::write(
        "delete-historical-location",
        DELETE,
        "With a HistoricalLocation goes nothing else.",
        check!(delete::delete_history),
    ),
];

/// A complete body for an entity of a set, without what the server adds.
fn body(bench: &Bench<'_>, set: &str, label: &str) -> Check<Value> {
    let scribe = &bench.scribe;
    let own = &bench.own;
    Ok(match set {
        "Things" => json!({
            "name": scribe.name(label),
            "description": "made by itself",
            "properties": { "a": 1 },
        }),
        "Locations" => location(scribe, label, &bench.spot()),
        "Sensors" => sensor(scribe, label),
        "ObservedProperties" => observed_property(scribe, &label.replace(' ', "-")),
        "FeaturesOfInterest" => json!({
            "name": scribe.name(label),
            "description": "made by itself",
            "encodingType": scribe.geojson(),
            "feature": bench.spot(),
        }),
        "Datastreams" => {
            let sensor = own.sensor()?.reference();
            let mut body = datastream(scribe, label, &sensor, &own.property()?.reference());
            body["Thing"] = own.thing("gamma")?.reference();
            body
        }
        "Observations" => json!({
            "phenomenonTime": "2020-02-03T04:05:06Z",
            "resultTime": "2020-02-03T04:05:07Z",
            "result": 12.5,
            "Datastream": own.datastream("spans")?.reference(),
            "FeatureOfInterest": own.feature()?.reference(),
        }),
        "HistoricalLocations" => json!({
            "time": "2001-02-03T04:05:06Z",
            "Thing": own.thing("gamma")?.reference(),
            "Locations": [own.location("road")?.reference()],
        }),
        other => return Err(fault(format!("no body for {other}"))),
    })
}

/// Makes an entity that a case changes or deletes; what is attached to the data of the run is removed at once.
async fn made(bench: &Bench<'_>, kind: &Kind, label: &str) -> Check<(Own, Value)> {
    let body = body(bench, kind.set, label)?;
    let own = bench.scribe.post(kind.set, &body).await?;
    Ok((own, body))
}

/// Takes an entity away that would stand in the way of others.
async fn dropped(bench: &Bench<'_>, own: &Own) -> Check {
    bench
        .client
        .delete(&own.path)
        .await?
        .expect(&[200, 204])
        .map(drop)
}

/// Ends the case unless an entity has the properties that were sent.
fn as_sent(kind: &Kind, sent: &Value, got: &Value) -> Check {
    for (name, _) in kind.properties {
        let (Some(sent), got) = (sent.get(*name), member(got, name)?) else {
            continue;
        };
        if name.to_lowercase().contains("time") {
            same_times(name, sent, got)?;
        } else {
            same(name, sent, got)?;
        }
    }
    Ok(())
}
