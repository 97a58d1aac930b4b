//! POST: one entity, links, deep inserts, and what the server makes beside.

use reqwest::Method;
use serde_json::{Value, json};

use super::{as_sent, body, dropped, made};
use crate::bench::{Bench, SmallStation};
use crate::cases::data_model::kind;
use crate::cases::resource_path::absent;
use crate::client::{member, same};
use crate::model::Kind;
use crate::outcome::{Check, ensure, fault};
use crate::own::{Own, datastream, location, observed_property, sensor};

pub(super) async fn create(bench: &Bench<'_>, kind: &'static Kind) -> Check {
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

pub(super) async fn address(bench: &Bench<'_>) -> Check {
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

pub(super) async fn create_without(bench: &Bench<'_>, kind: &'static Kind) -> Check {
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

pub(super) async fn create_behind(bench: &Bench<'_>) -> Check {
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

pub(super) async fn create_behind_none(bench: &Bench<'_>) -> Check {
    let path = format!("{}/Locations", absent(bench.own.thing("alpha")?));
    let body = body(bench, "Locations", "behind nothing")?;
    bench.scribe.refused(&path, &body).await.map(drop)
}

pub(super) async fn create_in_none(bench: &Bench<'_>) -> Check {
    let answer = bench
        .client
        .json(Method::POST, "NoSuchThings", &json!({}))
        .await?;
    answer.expect(&[400, 404, 405]).map(drop)
}

pub(super) async fn create_from_no_json(bench: &Bench<'_>) -> Check {
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

pub(super) async fn create_wrong_type(bench: &Bench<'_>) -> Check {
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

pub(super) async fn create_broken_time(bench: &Bench<'_>) -> Check {
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

pub(super) async fn far_times(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("far times").await?;
    let result = far_times_of(bench, &station.datastream).await;
    // At once: where such a time spoils lists, it would spoil those of other cases.
    bench.client.delete(&station.thing.path).await?;
    result
}

async fn far_times_of(bench: &Bench<'_>, stream: &Own) -> Check {
    for time in [
        "0001-01-01T00:00:00Z",
        "1900-01-01T00:00:00Z",
        "2999-12-31T23:59:59Z",
        "9999-12-31T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        let body = json!({
            "phenomenonTime": time,
            "result": 1,
            "Datastream": stream.reference(),
            "FeatureOfInterest": bench.own.feature()?.reference(),
        });
        let answer = bench
            .client
            .json(Method::POST, "Observations", &body)
            .await?;
        let answer = answer.expect(&[201, 400, 422])?;
        if answer.status == 201 {
            let path = answer.location.clone().unwrap_or_default();
            let got = bench.read(&path).await?;
            let got = member(&got, "phenomenonTime")?;
            let begin = got.as_str().is_some_and(|got| got.starts_with(&time[..19]));
            answer.ensure(begin, || format!("{time} came back as {got}"))?;
        }
        bench
            .list(&format!("{}/Observations", stream.path), &[])
            .await?;
    }
    Ok(())
}

pub(super) async fn stream_needs(bench: &Bench<'_>) -> Check {
    for relation in ["Thing", "Sensor", "ObservedProperty"] {
        let mut body = body(bench, "Datastreams", "incomplete")?;
        if let Some(body) = body.as_object_mut() {
            body.remove(relation);
        }
        bench.scribe.refused("Datastreams", &body).await?;
    }
    Ok(())
}

pub(super) async fn observation_needs(bench: &Bench<'_>) -> Check {
    let mut body = body(bench, "Observations", "incomplete")?;
    if let Some(body) = body.as_object_mut() {
        body.remove("Datastream");
    }
    bench.scribe.refused("Observations", &body).await.map(drop)
}

pub(super) async fn link(bench: &Bench<'_>) -> Check {
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

pub(super) async fn link_many(bench: &Bench<'_>) -> Check {
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

pub(super) async fn link_to_none(bench: &Bench<'_>) -> Check {
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

pub(super) async fn deep(bench: &Bench<'_>) -> Check {
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

pub(super) async fn deep_location(bench: &Bench<'_>) -> Check {
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

pub(super) async fn deep_sensor(bench: &Bench<'_>) -> Check {
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

pub(super) async fn deep_observation(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("deep observation").await?;
    let feature = body(bench, "FeaturesOfInterest", "deep feature")?;
    let mut observation = body(bench, "Observations", "")?;
    observation["Datastream"] = station.datastream.reference();
    observation["FeatureOfInterest"] = feature.clone();
    let own = bench.scribe.post("Observations", &observation).await?;
    let (_, got) = bench.feature_of(&own).await?;
    as_sent(kind("FeaturesOfInterest")?, &feature, &got)
}

pub(super) async fn deep_mixed(bench: &Bench<'_>) -> Check {
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

pub(super) async fn deep_atomic(bench: &Bench<'_>) -> Check {
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

pub(super) async fn auto_feature(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("auto feature").await?;
    let observation = observe_somewhere(bench, &station.datastream).await?;
    let (_, feature) = bench.feature_of(&observation).await?;
    same("feature", &bench.spot(), member(&feature, "feature")?)
}

pub(super) async fn auto_feature_shared(bench: &Bench<'_>) -> Check {
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

pub(super) async fn auto_feature_at_once(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("feature at once").await?;
    let stream = &station.datastream;
    let made = tokio::join!(
        observe_somewhere(bench, stream),
        observe_somewhere(bench, stream),
        observe_somewhere(bench, stream),
        observe_somewhere(bench, stream),
    );
    let mut features = Vec::new();
    for observation in [made.0?, made.1?, made.2?, made.3?] {
        features.push(bench.feature_of(&observation).await?.0.path);
    }
    features.sort();
    features.dedup();
    ensure(features.len() == 1, || {
        format!("four Observations at one Location have the features {features:?}")
    })
}

pub(super) async fn no_feature(bench: &Bench<'_>) -> Check {
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

pub(super) async fn default_times(bench: &Bench<'_>) -> Check {
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

pub(super) async fn history_at_creation(bench: &Bench<'_>) -> Check {
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

pub(super) async fn history_at_change(bench: &Bench<'_>) -> Check {
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

pub(super) async fn history_behind(bench: &Bench<'_>) -> Check {
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

pub(super) async fn history_by_hand(bench: &Bench<'_>) -> Check {
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
