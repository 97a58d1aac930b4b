//! Addresses: the root, sets, entities, properties, navigation, links, and what is not there.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::cases::data_model::kind;
use crate::cases::{Row, check, each};
use crate::client::member;
use crate::model::{KINDS, Kind};
use crate::outcome::{Check, ensure, skip};
use crate::own::{Own, key_of};
use crate::server::Version;

pub(crate) const CASES: &[Row] = &[
    Row::read(
        "root",
        "9.2.2",
        "The root of the service is a JSON object whose `value` lists the sets with name and address.",
        check!(root),
    ),
    Row::read(
        "root-lists-all-sets",
        "9.2.2",
        "The root lists all eight sets.",
        check!(root_lists_all),
    ),
    Row::read(
        "addresses-of-the-root",
        "9.2.2",
        "Each address in the root is absolute and leads to its set.",
        check!(root_addresses),
    ),
    Row::read(
        "root-with-a-slash",
        "9.2.2",
        "The root answers with and without a slash at its end.",
        check!(root_slash),
    ),
    Row::read(
        "root-declares-conformance",
        "9.2.2",
        "The root lists the requirements that the server meets in `serverSettings.conformance`.",
        check!(root_conformance),
    )
    .since_1_1(),
    Row::read_each(
        "set",
        "9.2.3",
        "A set is a JSON object with the list `value`.",
        each!(set),
    ),
    Row::read_each(
        "entity",
        "9.2.4",
        "An entity is found by its key.",
        each!(entity),
    ),
    Row::read_each(
        "no-such-entity",
        "9.2.4",
        "An entity that does not exist is answered with 404.",
        each!(no_such_entity),
    ),
    Row::read_each(
        "property",
        "9.2.5",
        "A property is found behind its entity, as an object with that one member.",
        each!(property),
    ),
    Row::read_each(
        "value-of-a-property",
        "9.2.6",
        "`$value` is the bare value of a property.",
        each!(property_value),
    ),
    Row::write(
        "property-without-value",
        "9.2.5",
        "A property that has no value is answered with 204.",
        check!(null_property),
    ),
    Row::read(
        "no-such-property",
        "9.2.5",
        "A property that entities of the set do not have is answered with 404.",
        check!(no_such_property),
    ),
    Row::read_each(
        "navigation",
        "9.2.7",
        "What is related to an entity is found behind the name of the relation.",
        each!(navigation),
    ),
    Row::write(
        "navigation-is-limited-to-its-entity",
        "9.2.7",
        "Behind a navigation are the entities related to that entity, and no others.",
        check!(navigation_limited),
    ),
    Row::read_each(
        "association-link",
        "9.2.8",
        "`$ref` behind a navigation gives self-links and nothing else.",
        each!(association_link),
    ),
    Row::read(
        "association-link-of-a-set",
        "9.2.8",
        "`$ref` behind a set gives the self-links of its entities.",
        check!(set_ref),
    ),
    Row::write(
        "nested-paths",
        "9.2.9",
        "Paths follow several relations, to one without a key, and may end with a property.",
        check!(nested),
    ),
    Row::write(
        "key-within-a-navigation",
        "9.2.9",
        "A key behind a navigation to many picks one of the related entities.",
        check!(key_within),
    ),
    Row::write(
        "key-of-an-unrelated-entity",
        "9.2.9",
        "A key behind a navigation does not find entities that are not related.",
        check!(unrelated_key),
    ),
    Row::read(
        "navigation-of-no-entity",
        "9.2.7",
        "Behind an entity that does not exist there is nothing: 404.",
        check!(navigation_of_none),
    ),
    Row::read(
        "no-such-set",
        "9.2.3",
        "A set that does not exist is answered with 404.",
        check!(no_such_set),
    ),
    Row::read(
        "broken-path",
        "9.2",
        "An address that is no resource path is answered with 400 or 404.",
        check!(broken_path),
    ),
];

async fn root(bench: &Bench<'_>) -> Check {
    let answer = bench.server.root.clone().ok()?;
    let list = answer.list()?;
    answer.ensure(!list.is_empty(), || "the root lists no set".to_owned())?;
    for entry in &list {
        for name in ["name", "url"] {
            let text = entry.get(name).and_then(Value::as_str);
            answer.ensure(text.is_some(), || format!("`{name}` is missing in {entry}"))?;
        }
    }
    Ok(())
}

async fn root_lists_all(bench: &Bench<'_>) -> Check {
    let answer = &bench.server.root;
    let list = answer.list()?;
    for kind in &KINDS {
        let listed = list
            .iter()
            .any(|e| e.get("name").and_then(Value::as_str) == Some(kind.set));
        answer.ensure(listed, || format!("{} is not listed", kind.set))?;
    }
    Ok(())
}

async fn root_addresses(bench: &Bench<'_>) -> Check {
    let list = bench.server.root.list()?;
    ensure(!list.is_empty(), || "the root lists no set".to_owned())?;
    for entry in &list {
        let url = member(entry, "url")?.as_str().unwrap_or_default();
        ensure(url.starts_with("http"), || {
            format!("no absolute address: {url}")
        })?;
        bench.client.get(url).await?.ok()?.list()?;
    }
    Ok(())
}

async fn root_slash(bench: &Bench<'_>) -> Check {
    bench.client.get(bench.client.root()).await?.ok()?.list()?;
    let slash = format!("{}/", bench.client.root());
    bench.client.get(&slash).await?.ok()?.list().map(drop)
}

async fn root_conformance(bench: &Bench<'_>) -> Check {
    let answer = &bench.server.root;
    let settings = answer.member("serverSettings")?;
    let list = settings.get("conformance").and_then(Value::as_array);
    let list = list.ok_or_else(|| answer.fault("`serverSettings.conformance` is no list"))?;
    let known = |uri: &Value| {
        uri.as_str()
            .is_some_and(|uri| uri.starts_with("http://www.opengis.net/spec/iot_sensing/1.1/"))
    };
    answer.ensure(list.iter().any(known), || {
        "no requirement of SensorThings 1.1 is declared".to_owned()
    })
}

async fn set(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    bench.client.get(kind.set).await?.ok()?.list().map(drop)
}

async fn entity(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    let answer = bench.client.get(&own.path).await?.ok()?;
    let id = answer.member("@iot.id")?;
    answer.ensure(key_of(&id) == own.key(), || {
        format!("{} gives another entity", own.path)
    })
}

/// The path of an entity of the same set that does not exist.
pub(super) fn absent(own: &Own) -> String {
    let set = own.path.split('(').next().unwrap_or_default();
    let key = own.key();
    if !key.starts_with('\'') {
        return format!("{set}({})", i64::MAX);
    }
    // Of the same length and characters, so that it is well formed where keys are UUIDs.
    let other: String = key
        .chars()
        .map(|c| if c.is_ascii_hexdigit() { '0' } else { c })
        .collect();
    format!("{set}({other})")
}

async fn no_such_entity(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    bench
        .client
        .get(&absent(&own))
        .await?
        .expect(&[404])
        .map(drop)
}

async fn property(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    let whole = bench.read(&own.path).await?;
    for (name, _) in kind.properties {
        let value = member(&whole, name)?;
        if value.is_null() {
            continue;
        }
        let answer = bench
            .client
            .get(&format!("{}/{name}", own.path))
            .await?
            .ok()?;
        let got = answer.value()?;
        let alone = got.as_object().is_some_and(|object| object.len() == 1);
        answer.ensure(alone && got.get(*name) == Some(value), || {
            format!("an object with only `{name}` and its value was expected")
        })?;
    }
    Ok(())
}

async fn property_value(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    let whole = bench.read(&own.path).await?;
    for (name, _) in kind.properties {
        let value = member(&whole, name)?;
        if value.is_null() {
            continue;
        }
        let path = format!("{}/{name}/$value", own.path);
        let answer = bench.client.get(&path).await?.ok()?;
        let fits = match value {
            Value::String(text) => {
                answer.text.trim_end_matches('\n') == text.trim_end_matches('\n')
            }
            _ => answer.value()? == *value,
        };
        answer.ensure(fits, || format!("the bare value {value} was expected"))?;
    }
    Ok(())
}

async fn null_property(bench: &Bench<'_>) -> Check {
    let path = format!("{}/resultTime", bench.own.number("7")?.path);
    let answer = bench.client.get(&path).await?;
    // The official tests of 1.0 want to see the null.
    let shown = bench.server.version == Version::V10
        && answer.status == 200
        && answer.value()? == json!({ "resultTime": null });
    if shown {
        return Ok(());
    }
    answer.expect(&[204]).map(drop)
}

async fn no_such_property(bench: &Bench<'_>) -> Check {
    let own = bench.sample(kind("Things")?).await?;
    let path = format!("{}/nosuchproperty", own.path);
    bench.client.get(&path).await?.expect(&[404, 400]).map(drop)
}

async fn navigation(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    for (name, set) in kind.to_one {
        let answer = bench
            .client
            .get(&format!("{}/{name}", own.path))
            .await?
            .ok()?;
        let id = answer.member("@iot.id")?;
        bench.there(&format!("{set}({})", key_of(&id))).await?;
    }
    for set in kind.to_many {
        let answer = bench
            .client
            .get(&format!("{}/{set}", own.path))
            .await?
            .ok()?;
        if let Some(first) = answer.list()?.first() {
            let id = member(first, "@iot.id")?;
            bench.there(&format!("{set}({})", key_of(id))).await?;
        }
    }
    Ok(())
}

async fn navigation_limited(bench: &Bench<'_>) -> Check {
    for (thing, expected) in [
        ("alpha", &["numbers", "words"] as &[&str]),
        ("beta", &["spans"]),
        ("gamma", &[]),
    ] {
        let path = format!("{}/Datastreams", bench.own.thing(thing)?.path);
        let answer = bench.client.get(&path).await?.ok()?;
        let mut labels = Vec::new();
        for entity in answer.list()? {
            labels.push(bench.scribe.own("Datastreams", &entity)?.label);
        }
        labels.sort();
        answer.ensure(labels == expected, || {
            format!("the Datastreams {expected:?} were expected, not {labels:?}")
        })?;
    }
    Ok(())
}

async fn association_link(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let own = bench.sample(kind).await?;
    for (name, _) in kind.to_one {
        let answer = bench
            .client
            .get(&format!("{}/{name}/$ref", own.path))
            .await?
            .ok()?;
        only_link(&answer.value()?)?;
    }
    for set in kind.to_many {
        let answer = bench
            .client
            .get(&format!("{}/{set}/$ref", own.path))
            .await?
            .ok()?;
        answer.list()?.iter().try_for_each(only_link)?;
    }
    Ok(())
}

/// Ends the case unless an object is a self-link and nothing else.
fn only_link(object: &Value) -> Check {
    let link = object.get("@iot.selfLink").and_then(Value::as_str);
    let alone = object.as_object().is_some_and(|o| o.len() == 1);
    ensure(link.is_some() && alone, || {
        format!("an object with only `@iot.selfLink` was expected, not {object}")
    })
}

async fn set_ref(bench: &Bench<'_>) -> Check {
    let answer = bench.client.get("Things/$ref").await?.ok()?;
    let links = answer.list()?;
    if links.is_empty() {
        return Err(skip("the service has no Things"));
    }
    links.iter().try_for_each(only_link)
}

async fn nested(bench: &Bench<'_>) -> Check {
    let observation = &bench.own.number("10")?.path;
    let alpha = bench.own.thing("alpha")?;
    let answer = bench
        .client
        .get(&format!("{observation}/Datastream/Thing"))
        .await?
        .ok()?;
    let id = answer.member("@iot.id")?;
    answer.ensure(id == alpha.id(), || "another Thing".to_owned())?;
    let path = format!("{observation}/Datastream/Thing/Locations");
    let answer = bench.client.get(&path).await?.ok()?;
    let id = answer
        .list()?
        .first()
        .and_then(|e| e.get("@iot.id"))
        .cloned();
    let harbour = bench.own.location("harbour")?.id();
    answer.ensure(id == Some(harbour), || "another Location".to_owned())?;
    let path = format!("{observation}/Datastream/Sensor/name/$value");
    let answer = bench.client.get(&path).await?.ok()?;
    answer.ensure(
        answer.text.trim() == bench.scribe.name("thermometer"),
        || "the name of the Sensor was expected".to_owned(),
    )
}

async fn key_within(bench: &Bench<'_>) -> Check {
    let alpha = bench.own.thing("alpha")?;
    let words = bench.own.datastream("words")?;
    let answer = bench
        .client
        .get(&format!("{}/{}", alpha.path, words.path))
        .await?
        .ok()?;
    let id = answer.member("@iot.id")?;
    answer.ensure(id == words.id(), || "another Datastream".to_owned())?;
    let path = format!("{}/{}/Thing/name", alpha.path, words.path);
    let name = bench.client.get(&path).await?.ok()?.member("name")?;
    ensure(name == bench.scribe.name("alpha"), || {
        format!("another Thing: {name}")
    })
}

async fn unrelated_key(bench: &Bench<'_>) -> Check {
    let beta = bench.own.thing("beta")?;
    let words = bench.own.datastream("words")?;
    let path = format!("{}/{}", beta.path, words.path);
    bench.client.get(&path).await?.expect(&[404]).map(drop)
}

async fn navigation_of_none(bench: &Bench<'_>) -> Check {
    let own = bench.sample(kind("Things")?).await?;
    let path = format!("{}/Datastreams", absent(&own));
    bench.client.get(&path).await?.expect(&[404]).map(drop)
}

async fn no_such_set(bench: &Bench<'_>) -> Check {
    bench.answers("Things").await?;
    bench
        .client
        .get("NoSuchThings")
        .await?
        .expect(&[404, 400])
        .map(drop)
}

async fn broken_path(bench: &Bench<'_>) -> Check {
    bench.answers("Things").await?;
    for path in [
        "Things(",
        "Things()",
        "Things(1",
        "Things(1)(2)",
        "Things(1)/Things(2)",
    ] {
        bench.client.get(path).await?.expect(&[400, 404])?;
    }
    Ok(())
}
