//! `$select` and `$expand`.

use serde_json::{Value, json};

use super::{WRONG, next_of, numbers, results};
use crate::bench::Bench;
use crate::cases::data_model::kind;
use crate::client::{Answer, member};
use crate::model::Kind;
use crate::outcome::{Check, ensure};

pub(super) async fn select_one(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    bench.sample(kind).await?;
    for (name, _) in kind.properties {
        let options = [("$select", *name), ("$top", "2")];
        let answer = bench.client.query(kind.set, &options).await?.ok()?;
        let list = answer.list()?;
        answer.ensure(!list.is_empty(), || "entities were expected".to_owned())?;
        for entity in list {
            only_selected(&answer, &entity, kind, &[name])?;
        }
    }
    Ok(())
}

/// Ends the case unless an entity has these properties and no others of its kind, and no links that were not named.
fn only_selected(answer: &Answer, entity: &Value, kind: &Kind, selected: &[&str]) -> Check {
    for (name, _) in kind.properties {
        let there = entity.get(*name).is_some();
        let wanted = selected.contains(name);
        answer.ensure(there == wanted, || {
            let word = if wanted { "missing" } else { "not selected" };
            format!("`{name}` is {word}")
        })?;
    }
    for relation in kind.relations() {
        let link = entity
            .get(format!("{relation}@iot.navigationLink"))
            .is_some();
        answer.ensure(link == selected.contains(&relation), || {
            format!("the link to {relation} is shown, or not, against the selection")
        })?;
    }
    Ok(())
}

pub(super) async fn select_several(bench: &Bench<'_>) -> Check {
    let kind = kind("Observations")?;
    let options = [("$select", "result,phenomenonTime")];
    let answer = bench.client.query(&numbers(bench)?, &options).await?.ok()?;
    let list = answer.list()?;
    answer.ensure(list.len() == 8, || "8 entities were expected".to_owned())?;
    for entity in list {
        only_selected(&answer, &entity, kind, &["result", "phenomenonTime"])?;
    }
    Ok(())
}

pub(super) async fn select_id(bench: &Bench<'_>) -> Check {
    let answer = bench
        .client
        .query(&numbers(bench)?, &[("$select", "id")])
        .await?
        .ok()?;
    let list = answer.list()?;
    answer.ensure(!list.is_empty(), || "entities were expected".to_owned())?;
    for entity in list {
        let id = entity.get("@iot.id").is_some();
        answer.ensure(id && entity.get("result").is_none(), || {
            format!("only the identifier was expected, not {entity}")
        })?;
    }
    Ok(())
}

pub(super) async fn select_entity(bench: &Bench<'_>) -> Check {
    let kind = kind("Things")?;
    let alpha = &bench.own.thing("alpha")?.path;
    let answer = bench
        .client
        .query(alpha, &[("$select", "name")])
        .await?
        .ok()?;
    only_selected(&answer, &answer.value()?, kind, &["name"])?;
    let path = format!("{}/Thing", bench.own.datastream("numbers")?.path);
    let answer = bench
        .client
        .query(&path, &[("$select", "description")])
        .await?
        .ok()?;
    only_selected(&answer, &answer.value()?, kind, &["description"])
}

pub(super) async fn select_navigation(bench: &Bench<'_>) -> Check {
    let kind = kind("Things")?;
    let alpha = &bench.own.thing("alpha")?.path;
    let answer = bench
        .client
        .query(alpha, &[("$select", "name,Datastreams")])
        .await?
        .ok()?;
    only_selected(&answer, &answer.value()?, kind, &["name", "Datastreams"])
}

pub(super) async fn select_unknown(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$select", "nosuchproperty"), &[400])
        .await
}

pub(super) async fn expand_each(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    for (name, set) in kind.to_one {
        let answer = bench
            .client
            .query(&own.path, &[("$expand", name)])
            .await?
            .ok()?;
        let inner = answer.member(name)?;
        let id = inner.get("@iot.id");
        let direct = bench.read(&format!("{}/{name}", own.path)).await?;
        answer.ensure(id.is_some() && id == direct.get("@iot.id"), || {
            format!("`{name}` was expected to be the {set} behind the navigation")
        })?;
    }
    for set in kind.to_many {
        let answer = bench
            .client
            .query(&own.path, &[("$expand", set)])
            .await?
            .ok()?;
        let inner = answer.member(set)?;
        let direct = bench.list(&format!("{}/{set}", own.path), &[]).await?;
        let count = inner.as_array().map(Vec::len);
        answer.ensure(count.is_some_and(|c| c > 0 || direct.is_empty()), || {
            format!("`{set}` was expected to be the list behind the navigation")
        })?;
    }
    Ok(())
}

/// An entity with `$expand`.
async fn expanded(bench: &Bench<'_>, path: &str, expand: &str) -> Check<Answer> {
    bench.client.query(path, &[("$expand", expand)]).await?.ok()
}

pub(super) async fn expand_several(bench: &Bench<'_>) -> Check {
    let path = &bench.own.datastream("numbers")?.path;
    let answer = expanded(bench, path, "Thing,Sensor,ObservedProperty").await?;
    for (name, label) in [
        ("Thing", "alpha"),
        ("Sensor", "thermometer"),
        ("ObservedProperty", "temperature"),
    ] {
        let inner = answer.member(name)?;
        let name = member(&inner, "name")?.as_str();
        answer.ensure(name == Some(&bench.scribe.name(label)), || {
            format!("{label} was expected")
        })?;
    }
    Ok(())
}

/// The Sensor of *numbers* within an expanded Thing.
fn thermometer_within(bench: &Bench<'_>, answer: &Answer) -> Check {
    let streams = answer.member("Datastreams")?;
    let streams = streams.as_array().cloned().unwrap_or_default();
    answer.ensure(streams.len() == 2, || {
        "2 Datastreams were expected".to_owned()
    })?;
    let names: Vec<_> = streams
        .iter()
        .filter_map(|stream| stream.pointer("/Sensor/name")?.as_str())
        .collect();
    let expected = bench.scribe.name("thermometer");
    answer.ensure(
        names.len() == 2 && names.contains(&expected.as_str()),
        || format!("the Sensors within the Datastreams were expected, not {names:?}"),
    )
}

pub(super) async fn expand_path(bench: &Bench<'_>) -> Check {
    let alpha = &bench.own.thing("alpha")?.path;
    let answer = expanded(
        bench,
        alpha,
        "Datastreams/Sensor,Datastreams/ObservedProperty",
    )
    .await?;
    thermometer_within(bench, &answer)?;
    let property = answer
        .value()?
        .pointer("/Datastreams/0/ObservedProperty/name")
        .cloned();
    answer.ensure(property.is_some(), || {
        "ObservedProperty within Datastreams was expected as well".to_owned()
    })
}

pub(super) async fn expand_within(bench: &Bench<'_>) -> Check {
    let alpha = &bench.own.thing("alpha")?.path;
    let answer = expanded(bench, alpha, "Datastreams($expand=Sensor,Observations)").await?;
    thermometer_within(bench, &answer)?;
    let observations = answer
        .value()?
        .pointer("/Datastreams/0/Observations")
        .cloned();
    answer.ensure(observations.is_some_and(|o| o.is_array()), || {
        "Observations within Datastreams were expected as well".to_owned()
    })
}

pub(super) async fn expand_three(bench: &Bench<'_>) -> Check {
    numbers(bench)?;
    let alpha = &bench.own.thing("alpha")?.path;
    let options =
        "Datastreams($orderby=name;$expand=Observations($top=1;$expand=FeatureOfInterest))";
    let answer = expanded(bench, alpha, options).await?;
    let path = "/Datastreams/0/Observations/0/FeatureOfInterest/name";
    let name = answer.value()?.pointer(path).cloned();
    let expected = bench.scribe.name("spot");
    answer.ensure(name == Some(json!(expected)), || {
        format!("the feature was expected at the third level, not {name:?}")
    })
}

pub(super) async fn expand_beside_select(bench: &Bench<'_>) -> Check {
    let alpha = &bench.own.thing("alpha")?.path;
    let options = [("$select", "name"), ("$expand", "Locations($select=name)")];
    let answer = bench.client.query(alpha, &options).await?.ok()?;
    let got = answer.value()?;
    let selected = got.get("name").is_some() && got.get("description").is_none();
    let place = got.pointer("/Locations/0/name").is_some();
    answer.ensure(selected && place, || {
        "the name and the expanded Locations were expected, and no description".to_owned()
    })
}

pub(super) async fn expand_select(bench: &Bench<'_>) -> Check {
    let kind = kind("Datastreams")?;
    let alpha = &bench.own.thing("alpha")?.path;
    let answer = expanded(bench, alpha, "Datastreams($select=name)").await?;
    let streams = answer.member("Datastreams")?;
    let streams = streams.as_array().cloned().unwrap_or_default();
    answer.ensure(streams.len() == 2, || {
        "2 Datastreams were expected".to_owned()
    })?;
    for stream in &streams {
        only_selected(&answer, stream, kind, &["name"])?;
    }
    Ok(())
}

/// Ends the case unless the expanded Observations have these results, in this order.
async fn expands_to(bench: &Bench<'_>, options: &str, expected: &[&str]) -> Check<Answer> {
    numbers(bench)?;
    let path = &bench.own.datastream("numbers")?.path;
    let answer = expanded(bench, path, &format!("Observations({options})")).await?;
    let list = answer.member("Observations")?;
    let got = results(list.as_array().map_or(&[], Vec::as_slice));
    answer.ensure(got == expected, || {
        format!("the results {expected:?} were expected, not {got:?}")
    })?;
    Ok(answer)
}

pub(super) async fn expand_filter(bench: &Bench<'_>) -> Check {
    let options = "$filter=result gt 10;$orderby=result";
    expands_to(bench, options, &["20.7", "100"]).await.map(drop)
}

pub(super) async fn expand_order(bench: &Bench<'_>) -> Check {
    let options = "$orderby=phenomenonTime desc;$top=2";
    expands_to(bench, options, &["7", "100"]).await.map(drop)
}

pub(super) async fn expand_skip(bench: &Bench<'_>) -> Check {
    let options = "$orderby=result;$skip=5";
    expands_to(bench, options, &["10", "20.7", "100"])
        .await
        .map(drop)
}

pub(super) async fn expand_count(bench: &Bench<'_>) -> Check {
    let answer = expands_to(bench, "$count=true;$top=1;$orderby=result", &["-3.6"]).await?;
    let count = answer.member("Observations@iot.count")?;
    answer.ensure(count == json!(8), || {
        format!("a count of 8 was expected, not {count}")
    })
}

pub(super) async fn expand_next(bench: &Bench<'_>) -> Check {
    let answer = expands_to(bench, "$top=3;$orderby=result", &["-3.6", "0", "1"]).await?;
    let link = answer.member("Observations@iot.nextLink")?;
    let mut got = Vec::new();
    let mut next = link.as_str().map(str::to_owned);
    while let Some(link) = next.take() {
        let page = bench.client.get(&link).await?.ok()?;
        got.extend(results(&page.list()?));
        ensure(got.len() <= 8, || {
            format!("the next links do not end: {got:?}")
        })?;
        next = next_of(&page)?;
    }
    let expected = ["2.4", "7", "10", "20.7", "100"];
    answer.ensure(got == expected, || {
        format!("the next links lead to {got:?}, not to {expected:?}")
    })
}

pub(super) async fn expand_entity(bench: &Bench<'_>) -> Check {
    let path = format!("{}/Datastream", bench.own.number("10")?.path);
    let answer = expanded(bench, &path, "Thing").await?;
    let thing = answer.member("Thing")?;
    let name = bench.scribe.name("alpha");
    answer.ensure(
        thing.get("name").and_then(Value::as_str) == Some(&name),
        || "the Thing was expected within the Datastream".to_owned(),
    )?;
    let path = format!("{}/Datastreams", bench.own.thing("alpha")?.path);
    for stream in expanded(bench, &path, "Thing").await?.list()? {
        member(&stream, "Thing")?;
    }
    Ok(())
}

pub(super) async fn expand_nothing(bench: &Bench<'_>) -> Check {
    let gamma = &bench.own.thing("gamma")?.path;
    let answer = expanded(bench, gamma, "Datastreams").await?;
    let streams = answer.member("Datastreams")?;
    answer.ensure(streams == json!([]), || {
        format!("an empty list was expected, not {streams}")
    })
}

pub(super) async fn expand_unknown(bench: &Bench<'_>) -> Check {
    for expand in ["NoSuchRelation", "Sensor", "Datastreams/NoSuchRelation"] {
        bench.wrong("Things", ("$expand", expand), WRONG).await?;
    }
    Ok(())
}
