//! Making, changing and removing entities.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, SmallStation};
use crate::cases::data_model::{kind, same_times};
use crate::cases::resource_path::absent;
use crate::cases::{Row, check, each};
use crate::client::{Answer, equal, member, same};
use crate::model::Kind;
use crate::outcome::{Check, Stop, ensure, fault, skip};
use crate::own::{Own, datastream, location, observed_property, sensor};

const CREATE: &str = "10.2";
const LINK: &str = "10.2.1.1";
const DEEP: &str = "10.2.1.2";
const UPDATE: &str = "10.3";
const DELETE: &str = "10.4";

pub(crate) const CASES: &[Row] = &[
    Row::write_each("create", CREATE, "A POST to a set makes an entity: 201, its address in `Location`, and every value as sent.", each!(create)),
    Row::write("address-of-the-new-entity", CREATE, "The header `Location` of a creation is the self-link of the new entity.", check!(address)),
    Row::write_each("create-without-a-mandatory-property", CREATE, "A POST without a mandatory property is refused.", each!(create_without)),
    Row::write("create-behind-a-navigation", CREATE, "A POST behind a navigation makes an entity that is related to the one in the path.", check!(create_behind)),
    Row::write("create-behind-no-entity", CREATE, "A POST behind an entity that does not exist is refused.", check!(create_behind_none)),
    Row::write("create-in-no-set", CREATE, "A POST to a set that does not exist is refused.", check!(create_in_none)),
    Row::write("create-from-no-json", CREATE, "A body that is no JSON object is answered with 400.", check!(create_from_no_json)),
    Row::write("create-with-a-wrong-type", CREATE, "A property with a value of a wrong kind is refused.", check!(create_wrong_type)),
    Row::write("create-with-a-broken-time", CREATE, "A time that is none is refused.", check!(create_broken_time)),
    Row::write("datastream-needs-its-relations", CREATE, "A Datastream without Thing, Sensor or ObservedProperty is refused.", check!(stream_needs)),
    Row::write("observation-needs-a-datastream", CREATE, "An Observation without Datastream is refused.", check!(observation_needs)),
    Row::write("link-to-existing", LINK, "A reference by `@iot.id` relates the new entity to one that exists.", check!(link)),
    Row::write("link-to-many", LINK, "References in a list relate the new entity to each of them.", check!(link_many)),
    Row::write("link-to-nothing", LINK, "A reference to an entity that does not exist is refused.", check!(link_to_none)),
    Row::write("deep-insert", DEEP, "Related entities within the body of a Thing are made with it, over several levels.", check!(deep)),
    Row::write("deep-insert-into-a-location", DEEP, "Things within the body of a Location are made with it and related both ways.", check!(deep_location)),
    Row::write("deep-insert-into-a-sensor", DEEP, "Datastreams within the body of a Sensor are made with it.", check!(deep_sensor)),
    Row::write("deep-insert-into-an-observation", DEEP, "A FeatureOfInterest within the body of an Observation is made with it.", check!(deep_observation)),
    Row::write("deep-insert-mixed-with-links", DEEP, "A body may hold references and new entities side by side.", check!(deep_mixed)),
    Row::write("deep-insert-all-or-nothing", DEEP, "When one entity of a deep insert is wrong, none of it is made.", check!(deep_atomic)),
    Row::write("feature-from-the-location", CREATE, "An Observation without FeatureOfInterest gets one with the Location of its Thing.", check!(auto_feature)),
    Row::write("feature-from-the-location-is-shared", CREATE, "Further Observations at the same Location get the same FeatureOfInterest.", check!(auto_feature_shared)),
    Row::write("no-feature-without-location", CREATE, "An Observation without FeatureOfInterest whose Thing has no Location is refused.", check!(no_feature)),
    Row::write("default-times", CREATE, "An Observation without times gets the present as phenomenonTime and no resultTime.", check!(default_times)),
    Row::write("historical-location-at-creation", "10.2.2.2", "A Thing made with a Location has a HistoricalLocation with it.", check!(history_at_creation)),
    Row::write("historical-location-at-change", "10.2.2.2", "A Thing that gets another Location gets another HistoricalLocation, and only the new Location.", check!(history_at_change)),
    Row::write("historical-location-behind-navigation", "10.2.2.2", "A Location that is made behind a Thing becomes its Location, with a HistoricalLocation.", check!(history_behind)),
    Row::write("historical-location-made-by-hand", "10.2.2.2", "A HistoricalLocation that is the latest of its Thing gives the Thing its Locations; an older one does not.", check!(history_by_hand))
        .since_1_1()
        .requires("create-update-delete/historical-location-manual-creation"),
    Row::write_each("patch", UPDATE, "A PATCH changes what it names and leaves the rest.", each!(patch)),
    Row::write("patch-of-several", UPDATE, "A PATCH may change several properties at once.", check!(patch_several)),
    Row::write("patch-links-to-one", UPDATE, "A PATCH with a reference relates an entity to another one.", check!(patch_link)),
    Row::write("patch-links-to-many", UPDATE, "A PATCH with references in a list relates an entity to each of them.", check!(patch_links)),
    Row::write("patch-with-new-entities", UPDATE, "A PATCH with related entities in place of references is answered with 400.", check!(patch_inline)),
    Row::write("patch-ignores-the-identifier", UPDATE, "An identifier in the body of a PATCH changes nothing.", check!(patch_id)),
    Row::write("patch-of-nothing", UPDATE, "A PATCH of an entity that does not exist is answered with 404.", check!(patch_none)),
    Row::write("patch-with-no-json", UPDATE, "A PATCH whose body is no JSON is answered with 400.", check!(patch_no_json)),
    Row::write("patch-takes-no-mandatory-property", UPDATE, "A PATCH that sets a mandatory property to null is refused.", check!(patch_null)),
    Row::write("put", UPDATE, "A PUT replaces the properties of an entity, and what it does not name has no value any more.", check!(put))
        .requires("create-update-delete/update-entity-put"),
    Row::write("put-keeps-relations", UPDATE, "A PUT leaves relations as they are.", check!(put_relations))
        .requires("create-update-delete/update-entity-put"),
    Row::write("put-without-a-mandatory-property", UPDATE, "A PUT without a mandatory property is refused.", check!(put_without))
        .requires("create-update-delete/update-entity-put"),
    Row::write("json-patch", UPDATE, "A JSON Patch replaces, adds and removes.", check!(json_patch))
        .since_1_1()
        .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write("json-patch-test", UPDATE, "A JSON Patch whose test fails changes nothing.", check!(json_patch_test))
        .since_1_1()
        .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write("json-patch-move-and-copy", UPDATE, "A JSON Patch moves and copies.", check!(json_patch_move))
        .since_1_1()
        .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write("json-patch-broken", UPDATE, "A JSON Patch to a place that does not exist is refused.", check!(json_patch_broken))
        .since_1_1()
        .requires("create-update-delete/update-entity-jsonpatch"),
    Row::write("delete", DELETE, "A deleted entity is gone.", check!(delete)),
    Row::write_each("delete-of-nothing", DELETE, "Deleting an entity that does not exist is answered with 404.", each!(delete_none)),
    Row::write("delete-thing", DELETE, "With a Thing go its Datastreams, Observations and HistoricalLocations, and nothing else.", check!(delete_thing)),
    Row::write("delete-location", DELETE, "With a Location go its HistoricalLocations, and nothing else.", check!(delete_location)),
    Row::write("delete-datastream", DELETE, "With a Datastream go its Observations, and nothing else.", check!(delete_datastream)),
    Row::write("delete-sensor", DELETE, "With a Sensor go its Datastreams and their Observations, and nothing else.", check!(delete_sensor)),
    Row::write("delete-observed-property", DELETE, "With an ObservedProperty go its Datastreams and their Observations, and nothing else.", check!(delete_property)),
    Row::write("delete-feature", DELETE, "With a FeatureOfInterest go its Observations, and nothing else.", check!(delete_feature)),
    Row::write("delete-observation", DELETE, "With an Observation goes nothing else.", check!(delete_observation)),
    Row::write("delete-historical-location", DELETE, "With a HistoricalLocation goes nothing else.", check!(delete_history)),
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

async fn create(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let (own, sent) = made(bench, kind, "created").await?;
    let got = bench.read(&own.path).await?;
    as_sent(kind, &sent, &got)?;
    for (relation, _) in kind.to_one {
        let other = bench.read(&format!("{}/{relation}", own.path)).await?;
        let expected = sent.pointer(&format!("/{relation}/@iot.id"));
        ensure(expected == other.get("@iot.id"), || {
            format!("{}/{relation} is another one than was named", own.path)
        })?;
    }
    dropped(bench, &own).await
}

async fn address(bench: &Bench<'_>) -> Check {
    let body = body(bench, "Things", "addressed")?;
    let answer = bench.client.json(Method::POST, "Things", &body).await?;
    let answer = answer.expect(&[201])?;
    let location = answer.location.clone().unwrap_or_default();
    let got = bench.read(&location).await?;
    bench.scribe.adopt(&bench.scribe.own("Things", &got)?.path);
    let link = member(&got, "@iot.selfLink")?;
    answer.ensure(link == &json!(location), || {
        format!("`Location` is {location}, but the self-link {link}")
    })
}

async fn create_without(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let whole = body(bench, kind.set, "incomplete")?;
    for (name, _) in kind.properties {
        // Those have defaults.
        if matches!(*name, "phenomenonTime" | "resultTime") {
            continue;
        }
        let mut part = whole.clone();
        if let Some(object) = part.as_object_mut() {
            object.remove(*name);
        }
        bench.scribe.refused(kind.set, &part).await?;
    }
    Ok(())
}

async fn create_behind(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("behind").await?;
    let scribe = &bench.scribe;
    let mut stream = body(bench, "Datastreams", "behind a thing")?;
    if let Some(stream) = stream.as_object_mut() {
        stream.remove("Thing");
    }
    let path = format!("{}/Datastreams", station.thing.path);
    let stream = scribe.post(&path, &stream).await?;
    let thing = bench.read(&format!("{}/Thing", stream.path)).await?;
    same("Thing", &station.thing.id(), member(&thing, "@iot.id")?)?;
    let path = format!("{}/Observations", stream.path);
    let observation = json!({
        "phenomenonTime": "2021-03-04T05:06:07Z",
        "result": 3,
        "FeatureOfInterest": bench.own.feature()?.reference(),
    });
    let observation = scribe.post(&path, &observation).await?;
    let of = bench
        .read(&format!("{}/Datastream", observation.path))
        .await?;
    same("Datastream", &stream.id(), member(&of, "@iot.id")?)
}

async fn create_behind_none(bench: &Bench<'_>) -> Check {
    let path = format!("{}/Locations", absent(bench.own.thing("alpha")?));
    let body = body(bench, "Locations", "behind nothing")?;
    bench.scribe.refused(&path, &body).await.map(drop)
}

async fn create_in_none(bench: &Bench<'_>) -> Check {
    let answer = bench
        .client
        .json(Method::POST, "NoSuchThings", &json!({}))
        .await?;
    answer.expect(&[400, 404, 405]).map(drop)
}

async fn create_from_no_json(bench: &Bench<'_>) -> Check {
    for body in ["", "{", "no json", "{\"name\": }", "[]", "5", "null"] {
        let body = Some(("application/json", body.to_owned()));
        bench
            .client
            .send(Method::POST, "Things", body)
            .await?
            .expect(&[400, 422])?;
    }
    Ok(())
}

async fn create_wrong_type(bench: &Bench<'_>) -> Check {
    for (set, name, value) in [
        ("Things", "name", json!({ "a": 1 })),
        ("Things", "properties", json!("text")),
        ("Datastreams", "unitOfMeasurement", json!("text")),
        ("Datastreams", "Thing", json!("text")),
        ("Things", "Locations", json!("text")),
    ] {
        let mut body = body(bench, set, "wrong type")?;
        body[name] = value;
        bench.scribe.refused(set, &body).await?;
    }
    Ok(())
}

async fn create_broken_time(bench: &Bench<'_>) -> Check {
    for (name, value) in [
        ("phenomenonTime", "yesterday"),
        ("phenomenonTime", "2021-13-01T00:00:00Z"),
        (
            "phenomenonTime",
            "2021-01-02T00:00:00Z/2021-01-01T00:00:00Z",
        ),
        ("resultTime", "2021-01-01T25:00:00Z"),
    ] {
        let mut body = body(bench, "Observations", "broken time")?;
        body[name] = json!(value);
        bench.scribe.refused("Observations", &body).await?;
    }
    Ok(())
}

async fn stream_needs(bench: &Bench<'_>) -> Check {
    for relation in ["Thing", "Sensor", "ObservedProperty"] {
        let mut body = body(bench, "Datastreams", "incomplete")?;
        if let Some(body) = body.as_object_mut() {
            body.remove(relation);
        }
        bench.scribe.refused("Datastreams", &body).await?;
    }
    Ok(())
}

async fn observation_needs(bench: &Bench<'_>) -> Check {
    let mut body = body(bench, "Observations", "incomplete")?;
    if let Some(body) = body.as_object_mut() {
        body.remove("Datastream");
    }
    bench.scribe.refused("Observations", &body).await.map(drop)
}

async fn link(bench: &Bench<'_>) -> Check {
    let (own, _) = made(bench, kind("Datastreams")?, "linked").await?;
    let sensor = bench.own.sensor()?;
    let streams = bench
        .list(&format!("{}/Datastreams", sensor.path), &[])
        .await?;
    let found = streams
        .iter()
        .any(|stream| stream.get("@iot.id") == Some(&own.id()));
    ensure(found, || {
        format!("{} does not lead to {}", sensor.path, own.path)
    })?;
    dropped(bench, &own).await
}

async fn link_many(bench: &Bench<'_>) -> Check {
    let first = bench
        .scribe
        .post("Locations", &body(bench, "Locations", "many one")?)
        .await?;
    let second = body(bench, "Locations", "many two")?;
    let second = bench.scribe.post("Locations", &second).await?;
    let mut thing = body(bench, "Things", "many")?;
    thing["Locations"] = json!([first.reference(), second.reference()]);
    let thing = bench.scribe.post("Things", &thing).await?;
    let places = bench
        .list(&format!("{}/Locations", thing.path), &[])
        .await?;
    ensure(places.len() == 2, || {
        format!("2 Locations were expected, not {}", places.len())
    })
}

async fn link_to_none(bench: &Bench<'_>) -> Check {
    for (relation, other) in [
        ("Thing", bench.own.thing("alpha")?),
        ("Sensor", bench.own.sensor()?),
        ("ObservedProperty", bench.own.property()?),
    ] {
        let mut none = other.clone();
        none.path = absent(other);
        let mut body = body(bench, "Datastreams", "linked to nothing")?;
        body[relation] = none.reference();
        bench.scribe.refused("Datastreams", &body).await?;
    }
    Ok(())
}

async fn deep(bench: &Bench<'_>) -> Check {
    let scribe = &bench.scribe;
    let mut stream = datastream(
        scribe,
        "deep",
        &sensor(scribe, "deep"),
        &observed_property(scribe, "deep"),
    );
    stream["Observations"] = json!([
        { "phenomenonTime": "2021-03-04T05:06:07Z", "result": 1 },
        { "phenomenonTime": "2021-03-04T05:06:08Z", "result": 2 },
    ]);
    let mut thing = body(bench, "Things", "deep")?;
    thing["Locations"] = json!([location(scribe, "deep", &bench.spot())]);
    thing["Datastreams"] = json!([stream]);
    let thing = scribe.post("Things", &thing).await?;
    let places = bench
        .list(&format!("{}/Locations", thing.path), &[])
        .await?;
    ensure(places.len() == 1, || "a Location was expected".to_owned())?;
    let streams = bench
        .list(&format!("{}/Datastreams", thing.path), &[])
        .await?;
    let inner = streams
        .first()
        .ok_or_else(|| fault("a Datastream was expected"))?;
    as_sent(kind("Datastreams")?, &stream, inner)?;
    let inner = scribe.own("Datastreams", inner)?;
    for (relation, set) in [
        ("Sensor", "Sensors"),
        ("ObservedProperty", "ObservedProperties"),
    ] {
        let got = bench.read(&format!("{}/{relation}", inner.path)).await?;
        as_sent(kind(set)?, &stream[relation], &got)?;
    }
    let observations = bench
        .list(&format!("{}/Observations", inner.path), &[])
        .await?;
    ensure(observations.len() == 2, || {
        format!("2 Observations were expected, not {}", observations.len())
    })?;
    for observation in &observations {
        bench
            .feature_of(&scribe.own("Observations", observation)?)
            .await?;
    }
    Ok(())
}

async fn deep_location(bench: &Bench<'_>) -> Check {
    let mut place = body(bench, "Locations", "deep location")?;
    place["Things"] = json!([
        body(bench, "Things", "deep thing one")?,
        body(bench, "Things", "deep thing two")?,
    ]);
    let place = bench.scribe.post("Locations", &place).await?;
    let things = bench.list(&format!("{}/Things", place.path), &[]).await?;
    ensure(things.len() == 2, || {
        format!("2 Things were expected, not {}", things.len())
    })?;
    for thing in &things {
        let thing = bench.scribe.own("Things", thing)?;
        let places = bench
            .list(&format!("{}/Locations", thing.path), &[])
            .await?;
        let found = places.iter().any(|p| p.get("@iot.id") == Some(&place.id()));
        ensure(found, || {
            format!("{} does not lead back to {}", thing.path, place.path)
        })?;
    }
    Ok(())
}

async fn deep_sensor(bench: &Bench<'_>) -> Check {
    let mut stream = body(bench, "Datastreams", "deep in a sensor")?;
    if let Some(stream) = stream.as_object_mut() {
        stream.remove("Sensor");
    }
    let mut sensor = body(bench, "Sensors", "deep sensor")?;
    sensor["Datastreams"] = json!([stream]);
    let sensor = bench.scribe.post("Sensors", &sensor).await?;
    let streams = bench
        .list(&format!("{}/Datastreams", sensor.path), &[])
        .await?;
    let inner = streams
        .first()
        .ok_or_else(|| fault("a Datastream was expected"))?;
    as_sent(kind("Datastreams")?, &stream, inner)?;
    dropped(bench, &bench.scribe.own("Datastreams", inner)?).await
}

async fn deep_observation(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("deep observation").await?;
    let feature = body(bench, "FeaturesOfInterest", "deep feature")?;
    let mut observation = body(bench, "Observations", "")?;
    observation["Datastream"] = station.datastream.reference();
    observation["FeatureOfInterest"] = feature.clone();
    let own = bench.scribe.post("Observations", &observation).await?;
    let (_, got) = bench.feature_of(&own).await?;
    as_sent(kind("FeaturesOfInterest")?, &feature, &got)
}

async fn deep_mixed(bench: &Bench<'_>) -> Check {
    let mut stream = body(bench, "Datastreams", "mixed")?;
    stream["Sensor"] = sensor(&bench.scribe, "mixed");
    let own = bench.scribe.post("Datastreams", &stream).await?;
    let got = bench.read(&format!("{}/Sensor", own.path)).await?;
    as_sent(kind("Sensors")?, &stream["Sensor"], &got)?;
    let got = bench
        .read(&format!("{}/ObservedProperty", own.path))
        .await?;
    same(
        "ObservedProperty",
        &bench.own.property()?.id(),
        member(&got, "@iot.id")?,
    )?;
    dropped(bench, &own).await
}

async fn deep_atomic(bench: &Bench<'_>) -> Check {
    let scribe = &bench.scribe;
    let mut stream = datastream(
        scribe,
        "nothing",
        &sensor(scribe, "nothing"),
        &observed_property(scribe, "nothing"),
    );
    if let Some(sensor) = stream.get_mut("Sensor").and_then(Value::as_object_mut) {
        sensor.remove("name");
    }
    let mut thing = body(bench, "Things", "nothing")?;
    thing["Locations"] = json!([location(scribe, "nothing", &bench.spot())]);
    thing["Datastreams"] = json!([stream]);
    scribe.refused("Things", &thing).await?;
    for set in ["Things", "Locations", "Datastreams", "ObservedProperties"] {
        let left = bench.named(set, "nothing").await?;
        ensure(left == 0, || {
            format!("{left} of {set} are left of a deep insert that was refused")
        })?;
    }
    Ok(())
}

/// An Observation of a Datastream that names no feature.
async fn observe_somewhere(bench: &Bench<'_>, stream: &Own) -> Check<Own> {
    let body = json!({
        "phenomenonTime": "2021-03-04T05:06:07Z",
        "result": 1,
        "Datastream": stream.reference(),
    });
    bench.scribe.post("Observations", &body).await
}

async fn auto_feature(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("auto feature").await?;
    let observation = observe_somewhere(bench, &station.datastream).await?;
    let (_, feature) = bench.feature_of(&observation).await?;
    same("feature", &bench.spot(), member(&feature, "feature")?)
}

async fn auto_feature_shared(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("shared feature").await?;
    let mut features = Vec::new();
    for _ in 0..2 {
        let observation = observe_somewhere(bench, &station.datastream).await?;
        features.push(bench.feature_of(&observation).await?.0.path);
    }
    ensure(features[0] == features[1], || {
        format!("two Observations of one Thing at one Location have the features {features:?}")
    })
}

async fn no_feature(bench: &Bench<'_>) -> Check {
    let thing = bench
        .scribe
        .post("Things", &body(bench, "Things", "nowhere")?)
        .await?;
    let mut stream = body(bench, "Datastreams", "nowhere")?;
    stream["Thing"] = thing.reference();
    let stream = bench.scribe.post("Datastreams", &stream).await?;
    let body = json!({
        "phenomenonTime": "2021-03-04T05:06:07Z",
        "result": 1,
        "Datastream": stream.reference(),
    });
    bench.scribe.refused("Observations", &body).await.map(drop)
}

async fn default_times(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("default times").await?;
    let body = json!({
        "result": 1,
        "Datastream": station.datastream.reference(),
        "FeatureOfInterest": bench.own.feature()?.reference(),
    });
    let own = bench.scribe.post("Observations", &body).await?;
    let answer = bench.client.get(&own.path).await?.ok()?;
    let result_time = answer.member("resultTime")?;
    answer.ensure(result_time.is_null(), || {
        format!("no resultTime was sent, so null was expected, not {result_time}")
    })?;
    let filter = format!(
        "id eq {} and phenomenonTime gt 2024-01-01T00:00:00Z",
        own.key()
    );
    let path = format!("{}/Observations", station.datastream.path);
    let found = bench.list(&path, &[("$filter", &filter)]).await?;
    answer.ensure(found.len() == 1, || {
        "the present was expected as phenomenonTime".to_owned()
    })
}

/// The HistoricalLocations of a Thing, with their Locations.
async fn history(bench: &Bench<'_>, thing: &Own) -> Check<Vec<Value>> {
    let path = format!("{}/HistoricalLocations", thing.path);
    bench
        .list(&path, &[("$expand", "Locations"), ("$orderby", "time")])
        .await
}

async fn history_at_creation(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("history").await?;
    let history = history(bench, &station.thing).await?;
    let place = history
        .first()
        .and_then(|h| h.pointer("/Locations/0/@iot.id"))
        .cloned();
    ensure(
        history.len() == 1 && place == Some(station.location.id()),
        || format!("one HistoricalLocation with the Location was expected, not {history:?}"),
    )
}

async fn history_at_change(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("moved").await?;
    let place = bench
        .scribe
        .post("Locations", &body(bench, "Locations", "moved to")?)
        .await?;
    let change = json!({ "Locations": [place.reference()] });
    let path = &station.thing.path;
    bench
        .client
        .json(Method::PATCH, path, &change)
        .await?
        .expect(&[200, 204])?;
    moved(bench, &station, &place).await
}

async fn history_behind(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("moved behind").await?;
    let path = format!("{}/Locations", station.thing.path);
    let place = bench
        .scribe
        .post(&path, &body(bench, "Locations", "moved here")?)
        .await?;
    moved(bench, &station, &place).await
}

/// Ends the case unless a Thing is now at another Location and was at its first one.
async fn moved(bench: &Bench<'_>, station: &SmallStation, to: &Own) -> Check {
    let places = bench
        .list(&format!("{}/Locations", station.thing.path), &[])
        .await?;
    let ids: Vec<_> = places.iter().filter_map(|p| p.get("@iot.id")).collect();
    ensure(ids == [&to.id()], || {
        format!(
            "the Thing was expected at {} alone, not at {ids:?}",
            to.path
        )
    })?;
    let history = history(bench, &station.thing).await?;
    ensure(history.len() == 2, || {
        format!("2 HistoricalLocations were expected, not {}", history.len())
    })
}

async fn history_by_hand(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("by hand").await?;
    let place = bench
        .scribe
        .post("Locations", &body(bench, "Locations", "by hand")?)
        .await?;
    for (time, at) in [
        ("2001-01-01T00:00:00Z", &station.location),
        ("2101-01-01T00:00:00Z", &place),
    ] {
        let body = json!({
            "time": time,
            "Thing": station.thing.reference(),
            "Locations": [place.reference()],
        });
        bench.scribe.post("HistoricalLocations", &body).await?;
        let places = bench
            .list(&format!("{}/Locations", station.thing.path), &[])
            .await?;
        let ids: Vec<_> = places.iter().filter_map(|p| p.get("@iot.id")).collect();
        ensure(ids == [&at.id()], || {
            format!(
                "after a HistoricalLocation of {time} the Thing was expected at {}, not at {ids:?}",
                at.path
            )
        })?;
    }
    Ok(())
}

async fn patch(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let (own, mut expected) = made(bench, kind, "to be patched").await?;
    let (name, value) = match kind.set {
        "Observations" => ("result", json!(99)),
        "HistoricalLocations" => ("time", json!("2002-02-03T04:05:06Z")),
        _ => ("description", json!("patched")),
    };
    expected[name] = value.clone();
    let change = json!({ name: value });
    let before = bench.read(&own.path).await?;
    bench
        .client
        .json(Method::PATCH, &own.path, &change)
        .await?
        .expect(&[200, 204])?;
    let after = bench.read(&own.path).await?;
    as_sent(kind, &expected, &after)?;
    for relation in kind.relations() {
        let link = format!("{relation}@iot.navigationLink");
        ensure(before.get(&link) == after.get(&link), || {
            format!("`{link}` has changed")
        })?;
    }
    dropped(bench, &own).await
}

async fn patch_several(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("patched").await?;
    let change = json!({
        "description": "patched",
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
        "unitOfMeasurement": { "name": "Kelvin", "symbol": "K", "definition": "ucum:K" },
    });
    let path = &station.datastream.path;
    bench
        .client
        .json(Method::PATCH, path, &change)
        .await?
        .expect(&[200, 204])?;
    let got = bench.read(path).await?;
    for name in ["description", "observationType", "unitOfMeasurement"] {
        same(name, &change[name], member(&got, name)?)?;
    }
    Ok(())
}

async fn patch_link(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("relinked").await?;
    let other = bench
        .scribe
        .post("Things", &body(bench, "Things", "new owner")?)
        .await?;
    let change = json!({ "Thing": other.reference() });
    let path = &station.datastream.path;
    bench
        .client
        .json(Method::PATCH, path, &change)
        .await?
        .expect(&[200, 204])?;
    let thing = bench.read(&format!("{path}/Thing")).await?;
    same("Thing", &other.id(), member(&thing, "@iot.id")?)?;
    let left = bench
        .list(&format!("{}/Datastreams", station.thing.path), &[])
        .await?;
    ensure(left.is_empty(), || {
        format!("the Thing before has still {} Datastreams", left.len())
    })
}

async fn patch_links(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("relinked many").await?;
    let mut streams = Vec::new();
    for label in ["of another one", "of another two"] {
        let stream = body(bench, "Datastreams", label)?;
        streams.push(bench.scribe.post("Datastreams", &stream).await?);
    }
    let references: Vec<_> = streams.iter().map(Own::reference).collect();
    let change = json!({ "Datastreams": references });
    let path = &station.thing.path;
    let answer = bench.client.json(Method::PATCH, path, &change).await?;
    answer.expect(&[200, 204])?;
    for stream in &streams {
        let thing = bench.read(&format!("{}/Thing", stream.path)).await?;
        same("Thing", &station.thing.id(), member(&thing, "@iot.id")?)?;
    }
    Ok(())
}

async fn patch_inline(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("inline").await?;
    let scribe = &bench.scribe;
    for (path, change) in [
        (
            &station.datastream.path,
            json!({ "Sensor": sensor(scribe, "inline") }),
        ),
        (
            &station.datastream.path,
            json!({ "Thing": body(bench, "Things", "inline")? }),
        ),
        (
            &station.thing.path,
            json!({ "Locations": [body(bench, "Locations", "inline")?] }),
        ),
    ] {
        bench
            .client
            .json(Method::PATCH, path, &change)
            .await?
            .expect(&[400])?;
    }
    Ok(())
}

async fn patch_id(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("identity").await?;
    let other = bench.own.thing("alpha")?.id();
    let change = json!({ "@iot.id": other, "description": "patched" });
    let path = &station.thing.path;
    bench
        .client
        .json(Method::PATCH, path, &change)
        .await?
        .expect(&[200, 204])?;
    let got = bench.read(path).await?;
    same("@iot.id", &station.thing.id(), member(&got, "@iot.id")?)?;
    same(
        "description",
        &json!("patched"),
        member(&got, "description")?,
    )
}

async fn patch_none(bench: &Bench<'_>) -> Check {
    let path = absent(bench.own.thing("alpha")?);
    let change = json!({ "description": "patched" });
    bench
        .client
        .json(Method::PATCH, &path, &change)
        .await?
        .expect(&[404])
        .map(drop)
}

async fn patch_no_json(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("no json").await?;
    for body in ["", "{", "[]", "5"] {
        let body = Some(("application/json", body.to_owned()));
        let path = &station.thing.path;
        bench
            .client
            .send(Method::PATCH, path, body)
            .await?
            .expect(&[400, 422])?;
    }
    Ok(())
}

async fn patch_null(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("null").await?;
    for (path, name) in [
        (&station.thing.path, "name"),
        (&station.location.path, "location"),
    ] {
        let change = json!({ name: null });
        bench
            .client
            .json(Method::PATCH, path, &change)
            .await?
            .refused()?;
        let got = bench.read(path).await?;
        ensure(!member(&got, name)?.is_null(), || {
            format!("{path} has lost `{name}`")
        })?;
    }
    Ok(())
}

/// A PUT; in 1.0 it need not be offered.
async fn put_to(bench: &Bench<'_>, path: &str, body: &Value) -> Check<Answer> {
    let answer = bench.client.json(Method::PUT, path, body).await?;
    if bench.server.conformance.is_none() && matches!(answer.status, 405 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    Ok(answer)
}

async fn put(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("put").await?;
    let body = json!({ "name": bench.scribe.name("put instead"), "description": "replaced" });
    put_to(bench, &station.thing.path, &body)
        .await?
        .expect(&[200, 204])?;
    let got = bench.read(&station.thing.path).await?;
    as_sent(kind("Things")?, &body, &got)?;
    let properties = got.get("properties").unwrap_or(&Value::Null);
    let empty = properties.is_null() || equal(properties, &json!({}));
    ensure(empty, || {
        format!("no `properties` were sent, but they are {properties}")
    })?;
    same("@iot.id", &station.thing.id(), member(&got, "@iot.id")?)
}

async fn put_relations(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("put relations").await?;
    let body = json!({ "name": bench.scribe.name("put relations"), "description": "replaced" });
    put_to(bench, &station.thing.path, &body)
        .await?
        .expect(&[200, 204])?;
    for set in ["Datastreams", "Locations"] {
        let list = bench
            .list(&format!("{}/{set}", station.thing.path), &[])
            .await?;
        ensure(list.len() == 1, || {
            format!("the {set} of the Thing are {}", list.len())
        })?;
    }
    Ok(())
}

async fn put_without(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("put without").await?;
    let body = json!({ "description": "replaced" });
    put_to(bench, &station.thing.path, &body)
        .await?
        .refused()
        .map(drop)
}

/// Sends a JSON Patch.
async fn patched(bench: &Bench<'_>, path: &str, patch: &Value) -> Check<Answer> {
    let body = Some(("application/json-patch+json", patch.to_string()));
    bench.client.send(Method::PATCH, path, body).await
}

async fn json_patch(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("json patch").await?;
    let path = &station.thing.path;
    let patch = json!([
        { "op": "test", "path": "/properties/a", "value": 1 },
        { "op": "replace", "path": "/description", "value": "patched" },
        { "op": "add", "path": "/properties/c", "value": [1, 2] },
        { "op": "add", "path": "/properties/c/-", "value": 3 },
        { "op": "remove", "path": "/properties/b" },
    ]);
    patched(bench, path, &patch).await?.expect(&[200, 204])?;
    let got = bench.read(path).await?;
    same(
        "description",
        &json!("patched"),
        member(&got, "description")?,
    )?;
    same(
        "properties",
        &json!({ "a": 1, "c": [1, 2, 3] }),
        member(&got, "properties")?,
    )
}

async fn json_patch_test(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("json patch test").await?;
    let path = &station.thing.path;
    let patch = json!([
        { "op": "replace", "path": "/description", "value": "patched" },
        { "op": "test", "path": "/properties/a", "value": 2 },
    ]);
    patched(bench, path, &patch).await?.refused()?;
    let got = bench.read(path).await?;
    same(
        "description",
        &json!("a thing to be changed"),
        member(&got, "description")?,
    )
}

async fn json_patch_move(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("json patch move").await?;
    let path = &station.thing.path;
    let patch = json!([
        { "op": "copy", "from": "/properties/a", "path": "/properties/c" },
        { "op": "move", "from": "/properties/b", "path": "/properties/d" },
    ]);
    patched(bench, path, &patch).await?.expect(&[200, 204])?;
    let got = bench.read(path).await?;
    same(
        "properties",
        &json!({ "a": 1, "c": 1, "d": "two" }),
        member(&got, "properties")?,
    )
}

async fn json_patch_broken(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("json patch broken").await?;
    for patch in [
        json!([{ "op": "remove", "path": "/properties/none" }]),
        json!([{ "op": "replace", "path": "/properties/none/deeper", "value": 1 }]),
        json!([{ "op": "turn", "path": "/description" }]),
        json!({ "op": "remove", "path": "/properties/a" }),
    ] {
        patched(bench, &station.thing.path, &patch)
            .await?
            .refused()?;
    }
    Ok(())
}

async fn delete(bench: &Bench<'_>) -> Check {
    for set in [
        "Things",
        "Locations",
        "Sensors",
        "ObservedProperties",
        "FeaturesOfInterest",
    ] {
        let (own, _) = made(bench, kind(set)?, "to be deleted").await?;
        dropped(bench, &own).await?;
        bench.gone(&own.path).await?;
        bench.client.delete(&own.path).await?.expect(&[404])?;
    }
    Ok(())
}

async fn delete_none(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    bench
        .client
        .delete(&absent(&own))
        .await?
        .expect(&[404])
        .map(drop)
}

/// A station with everything that a deletion can touch.
struct Doomed {
    station: SmallStation,
    sensor: Own,
    property: Own,
    feature: Own,
    observation: Own,
    history: Own,
}

impl Doomed {
    async fn make(bench: &Bench<'_>, label: &str) -> Check<Self> {
        let station = bench.small_station(label).await?;
        let scribe = &bench.scribe;
        let feature = body(bench, "FeaturesOfInterest", label)?;
        let feature = scribe.post("FeaturesOfInterest", &feature).await?;
        let observation = json!({
            "phenomenonTime": "2021-03-04T05:06:07Z",
            "result": 1,
            "Datastream": station.datastream.reference(),
            "FeatureOfInterest": feature.reference(),
        });
        let observation = scribe.post("Observations", &observation).await?;
        let path = &station.datastream.path;
        let sensor = bench.read(&format!("{path}/Sensor")).await?;
        let property = bench.read(&format!("{path}/ObservedProperty")).await?;
        let history = bench
            .list(&format!("{}/HistoricalLocations", station.thing.path), &[])
            .await?;
        let history = history
            .first()
            .ok_or_else(|| fault("a HistoricalLocation was expected"))?;
        Ok(Self {
            sensor: scribe.own("Sensors", &sensor)?,
            property: scribe.own("ObservedProperties", &property)?,
            history: scribe.own("HistoricalLocations", history)?,
            feature,
            observation,
            station,
        })
    }

    /// All of it.
    fn all(&self) -> [&Own; 8] {
        [
            &self.station.thing,
            &self.station.location,
            &self.history,
            &self.station.datastream,
            &self.sensor,
            &self.property,
            &self.observation,
            &self.feature,
        ]
    }
}

/// Deletes one part of a station and looks what is gone: that part and `with_it`, and nothing else.
async fn deletes(
    bench: &Bench<'_>,
    label: &str,
    part: impl Fn(&Doomed) -> &Own,
    with_it: &[&str],
) -> Check {
    let doomed = Doomed::make(bench, label).await?;
    let part = part(&doomed);
    dropped(bench, part).await?;
    for own in doomed.all() {
        let set = own.path.split('(').next().unwrap_or_default();
        let state = if own.path == part.path || with_it.contains(&set) {
            bench.gone(&own.path).await
        } else {
            bench.there(&own.path).await
        };
        state.map_err(|stop| behind(stop, &part.path))?;
    }
    Ok(())
}

/// The same stop, said to come after a deletion.
fn behind(stop: Stop, deleted: &str) -> Stop {
    match stop {
        Stop::Fault(mut fault) => {
            fault.what = format!("after {deleted} was deleted: {}", fault.what);
            Stop::Fault(fault)
        }
        Stop::Skip(why) => Stop::Skip(why),
    }
}

async fn delete_thing(bench: &Bench<'_>) -> Check {
    let with_it = ["Datastreams", "Observations", "HistoricalLocations"];
    deletes(bench, "doomed thing", |d| &d.station.thing, &with_it).await
}

async fn delete_location(bench: &Bench<'_>) -> Check {
    deletes(
        bench,
        "doomed location",
        |d| &d.station.location,
        &["HistoricalLocations"],
    )
    .await
}

async fn delete_datastream(bench: &Bench<'_>) -> Check {
    deletes(
        bench,
        "doomed datastream",
        |d| &d.station.datastream,
        &["Observations"],
    )
    .await
}

async fn delete_sensor(bench: &Bench<'_>) -> Check {
    let with_it = ["Datastreams", "Observations"];
    deletes(bench, "doomed sensor", |d| &d.sensor, &with_it).await
}

async fn delete_property(bench: &Bench<'_>) -> Check {
    let with_it = ["Datastreams", "Observations"];
    deletes(bench, "doomed property", |d| &d.property, &with_it).await
}

async fn delete_feature(bench: &Bench<'_>) -> Check {
    deletes(bench, "doomed feature", |d| &d.feature, &["Observations"]).await
}

async fn delete_observation(bench: &Bench<'_>) -> Check {
    deletes(bench, "doomed observation", |d| &d.observation, &[]).await
}

async fn delete_history(bench: &Bench<'_>) -> Check {
    deletes(bench, "doomed history", |d| &d.history, &[]).await
}
