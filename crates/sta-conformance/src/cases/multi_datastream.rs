//! Datastreams with several observed properties.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::cases::{Row, check};
use crate::client::{member, same};
use crate::model::MULTI_DATASTREAMS;
use crate::outcome::{Check, ensure, fault, skip};
use crate::own::{Own, observed_property, sensor};
use crate::server::Declared;

const ENTITY: &str = "12.1";
const RULES: &str = "12.2";

/// Two measured values.
const MEASUREMENT: &str = "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement";

pub(crate) const CASES: &[Row] = &[
    Row::read(
        "root-lists-it",
        ENTITY,
        "The root lists the set MultiDatastreams.",
        check!(listed),
    ),
    Row::read(
        "set",
        ENTITY,
        "MultiDatastreams are a set like the others.",
        check!(set),
    ),
    Row::write(
        "create",
        ENTITY,
        "A MultiDatastream is made with its ObservedProperties, units and types, which come back in their order.",
        check!(create),
    ),
    Row::write(
        "properties-and-relations",
        ENTITY,
        "It shows its mandatory properties and a link for each relation.",
        check!(properties),
    ),
    Row::write(
        "observed-properties-in-order",
        ENTITY,
        "Its ObservedProperties come in the order of its units.",
        check!(order),
    ),
    Row::write(
        "navigation-from-others",
        ENTITY,
        "Thing, Sensor and ObservedProperty lead to their MultiDatastreams.",
        check!(navigation),
    ),
    Row::write(
        "deep-insert-into-a-thing",
        ENTITY,
        "MultiDatastreams within the body of a Thing are made with it.",
        check!(deep),
    ),
    Row::write(
        "observation",
        ENTITY,
        "An Observation of a MultiDatastream has a list with a value for each property.",
        check!(observation),
    ),
    Row::write(
        "observation-leads-to-it",
        ENTITY,
        "An Observation leads to its MultiDatastream, and back.",
        check!(observation_link),
    ),
    Row::write(
        "result-of-another-length",
        RULES,
        "A result with too few or too many values, or without a list, is refused.",
        check!(wrong_length),
    ),
    Row::write(
        "units-of-another-number",
        RULES,
        "As many units and types as ObservedProperties must be given.",
        check!(wrong_units),
    ),
    Row::write(
        "observation-type",
        RULES,
        "Its observationType is that of complex observations; another is refused.",
        check!(wrong_type),
    ),
    Row::write(
        "needs-its-relations",
        RULES,
        "Without Thing, Sensor or ObservedProperties it is refused.",
        check!(needs),
    ),
    Row::write(
        "observation-of-two-streams",
        RULES,
        "An Observation of both a Datastream and a MultiDatastream is refused.",
        check!(two_streams),
    ),
    Row::write(
        "expand",
        ENTITY,
        "It expands, and is expanded, like other entities.",
        check!(expand),
    ),
    Row::write(
        "select-and-filter",
        ENTITY,
        "It is selected and filtered like other entities, by its properties and relations.",
        check!(filter),
    ),
    Row::write(
        "null-within-a-result",
        ENTITY,
        "A value that is missing in a result is null and comes back so.",
        check!(null_value),
    ),
    Row::write(
        "rows",
        "13.2",
        "Where data arrays are taken, rows may hold Observations of a MultiDatastream.",
        check!(rows),
    ),
    Row::write(
        "patch",
        "10.3",
        "A PATCH changes what it names and leaves the rest.",
        check!(patch),
    ),
    Row::write(
        "delete",
        "10.4",
        "With a MultiDatastream go its Observations, and not its ObservedProperties.",
        check!(delete),
    ),
    Row::write(
        "delete-observed-property",
        "10.4",
        "With an ObservedProperty goes a MultiDatastream that has it.",
        check!(delete_property),
    ),
];

/// The body of a MultiDatastream of wind: direction and speed.
fn wind(bench: &Bench<'_>, label: &str) -> Check<Value> {
    let scribe = &bench.scribe;
    Ok(json!({
        "name": scribe.name(label),
        "description": "direction and speed of the wind",
        "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_ComplexObservation",
        "multiObservationDataTypes": [MEASUREMENT, MEASUREMENT],
        "unitOfMeasurements": [
            { "name": "degree", "symbol": "deg", "definition": "ucum:deg" },
            { "name": "metre per second", "symbol": "m/s", "definition": "ucum:m/s" },
        ],
        "Thing": bench.own.thing("beta")?.reference(),
        "Sensor": sensor(scribe, label),
        "ObservedProperties": [
            observed_property(scribe, &format!("{label}-direction")),
            observed_property(scribe, &format!("{label}-speed")),
        ],
    }))
}

/// Makes a MultiDatastream.
async fn made(bench: &Bench<'_>, label: &str) -> Check<Own> {
    let body = wind(bench, label)?;
    bench.scribe.post("MultiDatastreams", &body).await
}

/// Makes an Observation of a MultiDatastream.
async fn observed(bench: &Bench<'_>, stream: &Own, result: &Value) -> Check<Own> {
    let body = observation_body(bench, stream, result)?;
    bench.scribe.post("Observations", &body).await
}

fn observation_body(bench: &Bench<'_>, stream: &Own, result: &Value) -> Check<Value> {
    Ok(json!({
        "phenomenonTime": "2021-03-04T05:06:07Z",
        "result": result,
        "MultiDatastream": stream.reference(),
        "FeatureOfInterest": bench.own.feature()?.reference(),
    }))
}

async fn listed(bench: &Bench<'_>) -> Check {
    let list = bench.server.root.list()?;
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
    let found = list
        .iter()
        .filter_map(name)
        .any(|n| n == "MultiDatastreams");
    bench
        .server
        .root
        .ensure(found, || "MultiDatastreams is not listed".to_owned())
}

async fn set(bench: &Bench<'_>) -> Check {
    bench
        .client
        .get("MultiDatastreams")
        .await?
        .ok()?
        .list()
        .map(drop)
}

async fn create(bench: &Bench<'_>) -> Check {
    let sent = wind(bench, "wind")?;
    let own = bench.scribe.post("MultiDatastreams", &sent).await?;
    let got = bench.read(&own.path).await?;
    for (name, _) in MULTI_DATASTREAMS.properties {
        same(name, &sent[name], member(&got, name)?)?;
    }
    Ok(())
}

async fn properties(bench: &Bench<'_>) -> Check {
    let own = made(bench, "wind properties").await?;
    let answer = bench.client.get(&own.path).await?.ok()?;
    let entity = answer.value()?;
    for (name, shape) in MULTI_DATASTREAMS.properties {
        let value = member(&entity, name)?;
        answer.ensure(shape.fits(value), || format!("`{name}` is {value}"))?;
    }
    for relation in MULTI_DATASTREAMS.relations() {
        answer.member(&format!("{relation}@iot.navigationLink"))?;
        bench.there(&format!("{}/{relation}", own.path)).await?;
    }
    Ok(())
}

async fn order(bench: &Bench<'_>) -> Check {
    let own = made(bench, "wind order").await?;
    let answer = bench
        .client
        .get(&format!("{}/ObservedProperties", own.path))
        .await?
        .ok()?;
    let list = answer.list()?;
    let names: Vec<_> = list
        .iter()
        .filter_map(|p| p.get("name")?.as_str())
        .collect();
    let expected = ["wind order-direction", "wind order-speed"].map(|n| bench.scribe.name(n));
    answer.ensure(names == expected, || {
        format!("{expected:?} was expected, not {names:?}")
    })
}

async fn navigation(bench: &Bench<'_>) -> Check {
    let own = made(bench, "wind navigation").await?;
    let sensor = bench.read(&format!("{}/Sensor", own.path)).await?;
    let properties = bench
        .list(&format!("{}/ObservedProperties", own.path), &[])
        .await?;
    let property = properties
        .first()
        .ok_or_else(|| fault("ObservedProperties were expected"))?;
    for from in [
        bench.own.thing("beta")?.clone(),
        bench.scribe.own("Sensors", &sensor)?,
        bench.scribe.own("ObservedProperties", property)?,
    ] {
        let path = format!("{}/MultiDatastreams", from.path);
        let list = bench.list(&path, &[]).await?;
        let found = list
            .iter()
            .any(|stream| stream.get("@iot.id") == Some(&own.id()));
        ensure(found, || format!("{path} lacks {}", own.path))?;
    }
    Ok(())
}

async fn deep(bench: &Bench<'_>) -> Check {
    let mut stream = wind(bench, "wind deep")?;
    if let Some(stream) = stream.as_object_mut() {
        stream.remove("Thing");
    }
    let thing = json!({
        "name": bench.scribe.name("with wind"),
        "description": "made with a MultiDatastream",
        "MultiDatastreams": [stream],
    });
    let thing = bench.scribe.post("Things", &thing).await?;
    let list = bench
        .list(&format!("{}/MultiDatastreams", thing.path), &[])
        .await?;
    let inner = list
        .first()
        .ok_or_else(|| fault("a MultiDatastream was expected"))?;
    same(
        "unitOfMeasurements",
        &stream["unitOfMeasurements"],
        member(inner, "unitOfMeasurements")?,
    )
}

async fn observation(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind observed").await?;
    let own = observed(bench, &stream, &json!([225, 3.5])).await?;
    let got = bench.read(&own.path).await?;
    same("result", &json!([225, 3.5]), member(&got, "result")?)?;
    let path = format!("{}/Observations", stream.path);
    let body = json!({
        "phenomenonTime": "2021-03-04T05:06:08Z",
        "result": [226, 3.6],
        "FeatureOfInterest": bench.own.feature()?.reference(),
    });
    bench.scribe.post(&path, &body).await?;
    let list = bench.list(&path, &[]).await?;
    ensure(list.len() == 2, || {
        format!("2 Observations were expected, not {}", list.len())
    })
}

async fn observation_link(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind linked").await?;
    let own = observed(bench, &stream, &json!([225, 3.5])).await?;
    let got = bench.read(&format!("{}/MultiDatastream", own.path)).await?;
    same("MultiDatastream", &stream.id(), member(&got, "@iot.id")?)?;
    let answer = bench
        .client
        .get(&format!("{}/Datastream", own.path))
        .await?;
    answer.ensure(matches!(answer.status, 204 | 404), || {
        "it has no Datastream, so 204 or 404 was expected".to_owned()
    })?;
    let list = bench
        .list(&format!("{}/Observations", stream.path), &[])
        .await?;
    let found = list.iter().any(|o| o.get("@iot.id") == Some(&own.id()));
    ensure(found, || {
        format!("{} does not lead to its Observation", stream.path)
    })
}

async fn wrong_length(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind wrong").await?;
    for result in [json!([1]), json!([1, 2, 3]), json!([]), json!(1)] {
        let body = observation_body(bench, &stream, &result)?;
        bench.scribe.refused("Observations", &body).await?;
    }
    Ok(())
}

async fn wrong_units(bench: &Bench<'_>) -> Check {
    for name in [
        "unitOfMeasurements",
        "multiObservationDataTypes",
        "ObservedProperties",
    ] {
        let mut body = wind(bench, "wind units")?;
        if let Some(list) = body[name].as_array_mut() {
            list.pop();
        }
        bench.scribe.refused("MultiDatastreams", &body).await?;
    }
    Ok(())
}

async fn wrong_type(bench: &Bench<'_>) -> Check {
    let mut body = wind(bench, "wind type")?;
    body["observationType"] = json!(MEASUREMENT);
    bench
        .scribe
        .refused("MultiDatastreams", &body)
        .await
        .map(drop)
}

async fn needs(bench: &Bench<'_>) -> Check {
    for relation in ["Thing", "Sensor", "ObservedProperties"] {
        let mut body = wind(bench, "wind needs")?;
        if let Some(body) = body.as_object_mut() {
            body.remove(relation);
        }
        bench.scribe.refused("MultiDatastreams", &body).await?;
    }
    Ok(())
}

async fn two_streams(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind twice").await?;
    let mut body = observation_body(bench, &stream, &json!([1, 2]))?;
    body["Datastream"] = bench.own.datastream("spans")?.reference();
    bench.scribe.refused("Observations", &body).await.map(drop)
}

async fn expand(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind expanded").await?;
    observed(bench, &stream, &json!([225, 3.5])).await?;
    let options = [(
        "$expand",
        "ObservedProperties,Observations,Thing($expand=MultiDatastreams)",
    )];
    let answer = bench.client.query(&stream.path, &options).await?.ok()?;
    let got = answer.value()?;
    let length = |path: &str| got.pointer(path).and_then(Value::as_array).map(Vec::len);
    answer.ensure(length("/ObservedProperties") == Some(2), || {
        "2 ObservedProperties were expected".to_owned()
    })?;
    answer.ensure(length("/Observations") == Some(1), || {
        "an Observation was expected".to_owned()
    })?;
    let back = length("/Thing/MultiDatastreams").is_some_and(|l| l > 0);
    answer.ensure(back, || {
        "the MultiDatastreams of the Thing were expected".to_owned()
    })
}

async fn filter(bench: &Bench<'_>) -> Check {
    made(bench, "wind filtered").await?;
    let mark = bench.scribe.mark();
    for filter in [
        format!("name eq '{mark} wind filtered'"),
        format!("ObservedProperties/name eq '{mark} wind filtered-speed'"),
        format!("Sensor/name eq '{mark} wind filtered' and Thing/name eq '{mark} beta'"),
    ] {
        let options = [("$filter", filter.as_str()), ("$select", "name")];
        let answer = bench
            .client
            .query("MultiDatastreams", &options)
            .await?
            .ok()?;
        let list = answer.list()?;
        let alone = list.len() == 1 && list[0].get("description").is_none();
        answer.ensure(alone, || {
            "one MultiDatastream, only with its name, was expected".to_owned()
        })?;
    }
    Ok(())
}

async fn null_value(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind null").await?;
    let own = observed(bench, &stream, &json!([null, 3.5])).await?;
    let got = bench.read(&own.path).await?;
    same("result", &json!([null, 3.5]), member(&got, "result")?)
}

async fn rows(bench: &Bench<'_>) -> Check {
    if bench.server.declares_class("data-array") == Declared::No {
        return Err(skip("the server does not declare data arrays"));
    }
    let stream = made(bench, "wind rows").await?;
    let body = json!([{
        "MultiDatastream": stream.reference(),
        "components": ["phenomenonTime", "result", "FeatureOfInterest/id"],
        "dataArray@iot.count": 1,
        "dataArray": [["2021-03-04T05:06:07Z", [225, 3.5], bench.own.feature()?.id()]],
    }]);
    let answer = bench
        .client
        .json(Method::POST, "CreateObservations", &body)
        .await?;
    if matches!(answer.status, 404 | 405 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    answer.expect(&[201])?;
    let list = bench
        .list(&format!("{}/Observations", stream.path), &[])
        .await?;
    let result = list.first().and_then(|o| o.get("result")).cloned();
    ensure(list.len() == 1 && result.is_some(), || {
        format!("one Observation was expected, not {}", list.len())
    })?;
    same("result", &json!([225, 3.5]), &result.unwrap_or_default())
}

async fn patch(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind patched").await?;
    let before = bench.read(&stream.path).await?;
    let change = json!({ "description": "patched" });
    let answer = bench
        .client
        .json(Method::PATCH, &stream.path, &change)
        .await?;
    answer.expect(&[200, 204])?;
    let after = bench.read(&stream.path).await?;
    same(
        "description",
        &json!("patched"),
        member(&after, "description")?,
    )?;
    same(
        "unitOfMeasurements",
        &before["unitOfMeasurements"],
        member(&after, "unitOfMeasurements")?,
    )
}

async fn delete(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind deleted").await?;
    let observation = observed(bench, &stream, &json!([225, 3.5])).await?;
    let properties = bench
        .list(&format!("{}/ObservedProperties", stream.path), &[])
        .await?;
    bench
        .client
        .delete(&stream.path)
        .await?
        .expect(&[200, 204])?;
    bench.gone(&stream.path).await?;
    bench.gone(&observation.path).await?;
    for property in &properties {
        bench
            .there(&bench.scribe.own("ObservedProperties", property)?.path)
            .await?;
    }
    Ok(())
}

async fn delete_property(bench: &Bench<'_>) -> Check {
    let stream = made(bench, "wind without").await?;
    let properties = bench
        .list(&format!("{}/ObservedProperties", stream.path), &[])
        .await?;
    let property = properties
        .first()
        .ok_or_else(|| fault("ObservedProperties were expected"))?;
    let property = bench.scribe.own("ObservedProperties", property)?;
    bench
        .client
        .delete(&property.path)
        .await?
        .expect(&[200, 204])?;
    bench.gone(&stream.path).await
}
