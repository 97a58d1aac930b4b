//! PATCH, PUT and JSON Patch.

use reqwest::Method;
use serde_json::{Value, json};

use super::{as_sent, body, dropped, made};
use crate::bench::Bench;
use crate::cases::data_model::kind;
use crate::cases::resource_path::absent;
use crate::client::{Answer, equal, member, same};
use crate::model::Kind;
use crate::outcome::{Check, ensure, skip};
use crate::own::{Own, sensor};

pub(super) async fn patch(bench: &Bench<'_>, kind: &'static Kind) -> Check {
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

pub(super) async fn patch_several(bench: &Bench<'_>) -> Check {
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

pub(super) async fn patch_link(bench: &Bench<'_>) -> Check {
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

pub(super) async fn patch_links(bench: &Bench<'_>) -> Check {
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

pub(super) async fn patch_inline(bench: &Bench<'_>) -> Check {
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

pub(super) async fn patch_link_to_none(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("relinked to nothing").await?;
    let mut none = station.thing.clone();
    none.path = absent(&station.thing);
    let change = json!({ "Thing": none.reference() });
    let path = &station.datastream.path;
    bench
        .client
        .json(Method::PATCH, path, &change)
        .await?
        .refused()?;
    let thing = bench.read(&format!("{path}/Thing")).await?;
    same("Thing", &station.thing.id(), member(&thing, "@iot.id")?)
}

pub(super) async fn patch_wrong(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("patched wrong").await?;
    for (path, change) in [
        (
            &station.thing.path,
            json!({ "description": "changed", "name": { "a": 1 } }),
        ),
        (
            &station.thing.path,
            json!({ "description": "changed", "properties": "text" }),
        ),
        (
            &station.datastream.path,
            json!({ "description": "changed", "unitOfMeasurement": 1 }),
        ),
    ] {
        let before = bench.read(path).await?;
        bench
            .client
            .json(Method::PATCH, path, &change)
            .await?
            .refused()?;
        let after = bench.read(path).await?;
        same(path, &before, &after)?;
    }
    Ok(())
}

pub(super) async fn patch_id(bench: &Bench<'_>) -> Check {
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

pub(super) async fn patch_none(bench: &Bench<'_>) -> Check {
    let path = absent(bench.own.thing("alpha")?);
    let change = json!({ "description": "patched" });
    bench
        .client
        .json(Method::PATCH, &path, &change)
        .await?
        .expect(&[404])
        .map(drop)
}

pub(super) async fn patch_no_json(bench: &Bench<'_>) -> Check {
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

pub(super) async fn patch_null(bench: &Bench<'_>) -> Check {
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

pub(super) async fn put(bench: &Bench<'_>) -> Check {
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

pub(super) async fn put_relations(bench: &Bench<'_>) -> Check {
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

pub(super) async fn put_without(bench: &Bench<'_>) -> Check {
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

pub(super) async fn json_patch(bench: &Bench<'_>) -> Check {
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

pub(super) async fn json_patch_test(bench: &Bench<'_>) -> Check {
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

pub(super) async fn json_patch_move(bench: &Bench<'_>) -> Check {
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

pub(super) async fn json_patch_broken(bench: &Bench<'_>) -> Check {
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
