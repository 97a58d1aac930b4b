//! Query options but `$filter`: what is selected, expanded, ordered and counted, and how a list goes on.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::cases::{Row, check, each};
use crate::client::{Answer, member};
use crate::model::Kind;
use crate::outcome::{Check, ensure, fault, skip};
use crate::own::unmade;

const SELECT: &str = "9.3.2.2";
const EXPAND: &str = "9.3.2.1";
const ORDER: &str = "9.3.3.1";
const TOP: &str = "9.3.3.2";
const SKIP: &str = "9.3.3.3";
const COUNT: &str = "9.3.3.4";
const PAGES: &str = "9.3.3.6";

/// What a wrong value of an option is answered with.
const WRONG: &[u16] = &[400, 422];

pub(crate) const CASES: &[Row] = &[
    Row::read_each(
        "select-one",
        SELECT,
        "`$select` leaves the property that is named and no other.",
        each!(select_one),
    ),
    Row::write(
        "select-several",
        SELECT,
        "`$select` takes several properties, separated by commas.",
        check!(select_several),
    ),
    Row::write(
        "select-id",
        SELECT,
        "`$select=id` leaves the identifier.",
        check!(select_id),
    ),
    Row::write(
        "select-of-an-entity",
        SELECT,
        "`$select` works on a single entity and behind navigation.",
        check!(select_entity),
    ),
    Row::write(
        "select-navigation",
        SELECT,
        "A relation that is selected is shown as its link.",
        check!(select_navigation),
    ),
    Row::read(
        "select-unknown",
        SELECT,
        "Selecting a property that does not exist is answered with 400.",
        check!(select_unknown),
    ),
    Row::read_each(
        "expand",
        EXPAND,
        "`$expand` puts related entities into their entity, for each relation.",
        each!(expand_each),
    ),
    Row::write(
        "expand-several",
        EXPAND,
        "`$expand` takes several relations, separated by commas.",
        check!(expand_several),
    ),
    Row::write(
        "expand-path",
        EXPAND,
        "`$expand=A/B` expands B within A.",
        check!(expand_path),
    ),
    Row::write(
        "expand-within-expand",
        EXPAND,
        "`$expand=A($expand=B)` expands B within A.",
        check!(expand_within),
    ),
    Row::write(
        "expand-three-levels",
        EXPAND,
        "Expansions are nested over three levels.",
        check!(expand_three),
    ),
    Row::write(
        "expand-beside-select",
        EXPAND,
        "What is expanded is shown beside what is selected.",
        check!(expand_beside_select),
    ),
    Row::write(
        "expand-with-select",
        EXPAND,
        "`$select` within `$expand` applies to what is expanded.",
        check!(expand_select),
    ),
    Row::write(
        "expand-with-filter",
        EXPAND,
        "`$filter` within `$expand` applies to what is expanded.",
        check!(expand_filter),
    ),
    Row::write(
        "expand-with-order-and-top",
        EXPAND,
        "`$orderby` and `$top` within `$expand` apply to what is expanded.",
        check!(expand_order),
    ),
    Row::write(
        "expand-with-skip",
        EXPAND,
        "`$skip` within `$expand` applies to what is expanded.",
        check!(expand_skip),
    ),
    Row::write(
        "expand-with-count",
        EXPAND,
        "`$count` within `$expand` counts what could be expanded.",
        check!(expand_count),
    ),
    Row::write(
        "next-link-within-expand",
        PAGES,
        "An expanded list that is cut has a next link that leads to the rest.",
        check!(expand_next),
    ),
    Row::write(
        "expand-of-an-entity",
        EXPAND,
        "`$expand` works on a single entity and behind navigation.",
        check!(expand_entity),
    ),
    Row::write(
        "expand-of-nothing",
        EXPAND,
        "A relation to many that has none is expanded to an empty list.",
        check!(expand_nothing),
    ),
    Row::read(
        "expand-unknown",
        EXPAND,
        "Expanding a relation that does not exist is answered with 400.",
        check!(expand_unknown),
    ),
    Row::write(
        "orderby-ascending",
        ORDER,
        "`$orderby` sorts upwards when nothing else is said.",
        check!(order_ascending),
    ),
    Row::write(
        "orderby-descending",
        ORDER,
        "`desc` sorts downwards.",
        check!(order_descending),
    ),
    Row::write(
        "orderby-numbers",
        ORDER,
        "Results that are numbers are sorted as numbers.",
        check!(order_numbers),
    ),
    Row::write(
        "orderby-several",
        ORDER,
        "A second criterion sorts what the first leaves equal.",
        check!(order_several),
    ),
    Row::write(
        "orderby-path",
        ORDER,
        "`$orderby` may follow navigation to one.",
        check!(order_path),
    ),
    Row::write(
        "orderby-id",
        ORDER,
        "`$orderby=id` sorts by the identifier, and upside down with `desc`.",
        check!(order_id),
    ),
    Row::read(
        "orderby-unknown",
        ORDER,
        "Sorting by a property that does not exist is answered with 400.",
        check!(order_unknown),
    ),
    Row::read(
        "orderby-broken",
        ORDER,
        "A direction that does not exist is answered with 400.",
        check!(order_broken),
    ),
    Row::write("top", TOP, "`$top` limits the list.", check!(top)),
    Row::write(
        "top-beyond",
        TOP,
        "`$top` above the number of entities gives all of them and no next link.",
        check!(top_beyond),
    ),
    Row::write(
        "top-exact",
        TOP,
        "`$top` of just the number of entities gives no next link.",
        check!(top_exact),
    ),
    Row::read(
        "top-zero",
        TOP,
        "`$top=0` gives an empty list.",
        check!(top_zero),
    ),
    Row::read(
        "top-broken",
        TOP,
        "`$top` below zero or without a number is answered with 400.",
        check!(top_broken),
    ),
    Row::write(
        "skip",
        SKIP,
        "`$skip` leaves out the first of the list.",
        check!(skip_some),
    ),
    Row::write(
        "skip-beyond",
        SKIP,
        "`$skip` above the number of entities gives an empty list.",
        check!(skip_beyond),
    ),
    Row::read(
        "skip-broken",
        SKIP,
        "`$skip` below zero or without a number is answered with 400.",
        check!(skip_broken),
    ),
    Row::read_each(
        "count",
        COUNT,
        "`$count=true` adds `@iot.count`, and `$count=false` does not.",
        each!(count_each),
    ),
    Row::write(
        "count-before-paging",
        COUNT,
        "The count is that of all entities, whatever `$top` and `$skip` say.",
        check!(count_paging),
    ),
    Row::write(
        "count-behind-filter",
        COUNT,
        "The count is that of the entities that the filter leaves.",
        check!(count_filter),
    ),
    Row::read(
        "count-broken",
        COUNT,
        "`$count` with neither true nor false is answered with 400.",
        check!(count_broken),
    ),
    Row::write(
        "next-link",
        PAGES,
        "Next links lead through all entities, each once, and end.",
        check!(next_link),
    ),
    Row::write(
        "next-link-keeps-options",
        PAGES,
        "A next link keeps filter, order, selection and expansion.",
        check!(next_link_options),
    ),
    Row::write(
        "next-link-behind-skip",
        PAGES,
        "Paging goes on where `$skip` began.",
        check!(next_link_skip),
    ),
    Row::write(
        "next-link-downwards",
        PAGES,
        "Next links lead through a list that is sorted downwards.",
        check!(next_link_downwards),
    ),
    Row::write(
        "next-link-with-ties",
        PAGES,
        "Next links lead through entities whose sort values are equal, each once.",
        check!(next_link_ties),
    ),
    Row::write(
        "order-of-evaluation",
        "9.3.1",
        "Options are evaluated in the order filter, count, order, skip, top, whatever their order in the address.",
        check!(evaluation),
    ),
    Row::read(
        "unknown-option",
        "9.3",
        "A system query option that does not exist is refused.",
        check!(unknown_option),
    ),
    Row::write(
        "encoded-option",
        "9.1",
        "Names of options may be percent-encoded, and blanks may be written as plus.",
        check!(encoded_option),
    ),
];

/// The path of the Observations of *numbers*.
fn numbers(bench: &Bench<'_>) -> Check<String> {
    bench.own.number("7")?;
    Ok(format!(
        "{}/Observations",
        bench.own.datastream("numbers")?.path
    ))
}

/// The results of a list of Observations, as they are labelled.
fn results(list: &[Value]) -> Vec<String> {
    let result = |entity: &Value| {
        let result = entity.get("result").cloned().unwrap_or_default();
        // A whole number may come with a fraction of nothing.
        let text = result.to_string();
        text.strip_suffix(".0").unwrap_or(&text).to_owned()
    };
    list.iter().map(result).collect()
}

/// Ends the case unless an answer lists Observations with these results, in this order.
fn lists(answer: &Answer, expected: &[&str]) -> Check {
    let got = results(&answer.list()?);
    answer.ensure(got == expected, || {
        format!("the results {expected:?} were expected, not {got:?}")
    })
}

async fn select_one(bench: &Bench<'_>, kind: &'static Kind) -> Check {
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

async fn select_several(bench: &Bench<'_>) -> Check {
    let kind = super::data_model::kind("Observations")?;
    let options = [("$select", "result,phenomenonTime")];
    let answer = bench.client.query(&numbers(bench)?, &options).await?.ok()?;
    let list = answer.list()?;
    answer.ensure(list.len() == 8, || "8 entities were expected".to_owned())?;
    for entity in list {
        only_selected(&answer, &entity, kind, &["result", "phenomenonTime"])?;
    }
    Ok(())
}

async fn select_id(bench: &Bench<'_>) -> Check {
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

async fn select_entity(bench: &Bench<'_>) -> Check {
    let kind = super::data_model::kind("Things")?;
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

async fn select_navigation(bench: &Bench<'_>) -> Check {
    let kind = super::data_model::kind("Things")?;
    let alpha = &bench.own.thing("alpha")?.path;
    let answer = bench
        .client
        .query(alpha, &[("$select", "name,Datastreams")])
        .await?
        .ok()?;
    only_selected(&answer, &answer.value()?, kind, &["name", "Datastreams"])
}

async fn select_unknown(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$select", "nosuchproperty"), &[400])
        .await
}

async fn expand_each(bench: &Bench<'_>, kind: &'static Kind) -> Check {
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

async fn expand_several(bench: &Bench<'_>) -> Check {
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

async fn expand_path(bench: &Bench<'_>) -> Check {
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

async fn expand_within(bench: &Bench<'_>) -> Check {
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

async fn expand_three(bench: &Bench<'_>) -> Check {
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

async fn expand_beside_select(bench: &Bench<'_>) -> Check {
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

async fn expand_select(bench: &Bench<'_>) -> Check {
    let kind = super::data_model::kind("Datastreams")?;
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

async fn expand_filter(bench: &Bench<'_>) -> Check {
    let options = "$filter=result gt 10;$orderby=result";
    expands_to(bench, options, &["20.7", "100"]).await.map(drop)
}

async fn expand_order(bench: &Bench<'_>) -> Check {
    let options = "$orderby=phenomenonTime desc;$top=2";
    expands_to(bench, options, &["7", "100"]).await.map(drop)
}

async fn expand_skip(bench: &Bench<'_>) -> Check {
    let options = "$orderby=result;$skip=5";
    expands_to(bench, options, &["10", "20.7", "100"])
        .await
        .map(drop)
}

async fn expand_count(bench: &Bench<'_>) -> Check {
    let answer = expands_to(bench, "$count=true;$top=1;$orderby=result", &["-3.6"]).await?;
    let count = answer.member("Observations@iot.count")?;
    answer.ensure(count == json!(8), || {
        format!("a count of 8 was expected, not {count}")
    })
}

async fn expand_next(bench: &Bench<'_>) -> Check {
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

async fn expand_entity(bench: &Bench<'_>) -> Check {
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

async fn expand_nothing(bench: &Bench<'_>) -> Check {
    let gamma = &bench.own.thing("gamma")?.path;
    let answer = expanded(bench, gamma, "Datastreams").await?;
    let streams = answer.member("Datastreams")?;
    answer.ensure(streams == json!([]), || {
        format!("an empty list was expected, not {streams}")
    })
}

async fn expand_unknown(bench: &Bench<'_>) -> Check {
    for expand in ["NoSuchRelation", "Sensor", "Datastreams/NoSuchRelation"] {
        bench.wrong("Things", ("$expand", expand), WRONG).await?;
    }
    Ok(())
}

/// *numbers* with options, and the results in the order of the list.
async fn ordered(bench: &Bench<'_>, options: &[(&str, &str)], expected: &[&str]) -> Check {
    let answer = bench.client.query(&numbers(bench)?, options).await?.ok()?;
    lists(&answer, expected)
}

const BY_TIME: [&str; 8] = ["-3.6", "0", "1", "2.4", "10", "20.7", "100", "7"];
const BY_RESULT: [&str; 8] = ["-3.6", "0", "1", "2.4", "7", "10", "20.7", "100"];

/// A list the other way round.
fn reversed(list: &[&'static str]) -> Vec<&'static str> {
    list.iter().rev().copied().collect()
}

async fn order_ascending(bench: &Bench<'_>) -> Check {
    ordered(bench, &[("$orderby", "phenomenonTime")], &BY_TIME).await?;
    ordered(bench, &[("$orderby", "phenomenonTime asc")], &BY_TIME).await
}

async fn order_descending(bench: &Bench<'_>) -> Check {
    ordered(
        bench,
        &[("$orderby", "phenomenonTime desc")],
        &reversed(&BY_TIME),
    )
    .await
}

async fn order_numbers(bench: &Bench<'_>) -> Check {
    ordered(bench, &[("$orderby", "result")], &BY_RESULT).await?;
    ordered(bench, &[("$orderby", "result desc")], &reversed(&BY_RESULT)).await
}

async fn order_several(bench: &Bench<'_>) -> Check {
    let stream = bench.own.datastream("spans")?;
    let path = format!("{}/Observations", stream.path);
    let spans = bench.own.spans.as_ref().map_err(unmade)?;
    // All have the same result and resultTime, so the third criterion decides.
    for (order, expected) in [
        ("result,resultTime desc,id asc", [0, 1, 2, 3]),
        ("result desc,resultTime,id desc", [3, 2, 1, 0]),
    ] {
        let answer = bench
            .client
            .query(&path, &[("$orderby", order)])
            .await?
            .ok()?;
        let got: Vec<_> = answer
            .list()?
            .iter()
            .filter_map(|e| e.get("@iot.id").cloned())
            .collect();
        let mut ids: Vec<_> = spans.iter().map(crate::own::Own::id).collect();
        // Identifiers need not grow with time.
        ids.sort_by_key(|id| (id.as_i64(), id.to_string()));
        let expected: Vec<_> = expected
            .iter()
            .filter_map(|&at| ids.get(at).cloned())
            .collect();
        answer.ensure(got == expected, || {
            format!("{expected:?} was expected, not {got:?}")
        })?;
    }
    Ok(())
}

async fn order_path(bench: &Bench<'_>) -> Check {
    let names =
        ["numbers", "words", "spans"].map(|n| format!("name eq '{}'", bench.scribe.name(n)));
    let filter = names.join(" or ");
    for (order, expected) in [
        ("Thing/name,name", ["numbers", "words", "spans"]),
        ("Thing/name desc,name desc", ["spans", "words", "numbers"]),
    ] {
        bench.own.datastream("spans")?;
        let options = [("$filter", filter.as_str()), ("$orderby", order)];
        let answer = bench.client.query("Datastreams", &options).await?.ok()?;
        let mut got = Vec::new();
        for entity in answer.list()? {
            got.push(bench.scribe.own("Datastreams", &entity)?.label);
        }
        answer.ensure(got == expected, || {
            format!("{expected:?} was expected, not {got:?}")
        })?;
    }
    Ok(())
}

async fn order_id(bench: &Bench<'_>) -> Check {
    let mut orders = Vec::new();
    for order in ["id", "id desc"] {
        let list = bench.list(&numbers(bench)?, &[("$orderby", order)]).await?;
        orders.push(results(&list));
    }
    let upwards: Vec<_> = orders[0].iter().rev().cloned().collect();
    ensure(orders[0].len() == 8 && upwards == orders[1], || {
        format!("`id desc` is not `id` upside down: {orders:?}")
    })
}

async fn order_unknown(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$orderby", "nosuchproperty"), &[400])
        .await
}

async fn order_broken(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$orderby", "name sideways"), &[400])
        .await
}

async fn top(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$top", "3")];
    ordered(bench, &options, &BY_RESULT[..3]).await
}

async fn top_beyond(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$top", "50")];
    let answer = bench.client.query(&numbers(bench)?, &options).await?.ok()?;
    lists(&answer, &BY_RESULT)?;
    no_next(&answer)
}

async fn top_exact(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$top", "8")];
    let answer = bench.client.query(&numbers(bench)?, &options).await?.ok()?;
    lists(&answer, &BY_RESULT)?;
    no_next(&answer)
}

/// Ends the case if an answer goes on.
fn no_next(answer: &Answer) -> Check {
    answer.ensure(!answer.has("@iot.nextLink")?, || {
        "there is nothing more, so no `@iot.nextLink` was expected".to_owned()
    })
}

async fn top_zero(bench: &Bench<'_>) -> Check {
    let answer = bench.client.query("Things", &[("$top", "0")]).await?.ok()?;
    let list = answer.list()?;
    answer.ensure(list.is_empty(), || "an empty list was expected".to_owned())
}

async fn top_broken(bench: &Bench<'_>) -> Check {
    for top in ["-1", "many", "1.5"] {
        bench.wrong("Things", ("$top", top), WRONG).await?;
    }
    Ok(())
}

async fn skip_some(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$skip", "5")];
    ordered(bench, &options, &BY_RESULT[5..]).await
}

async fn skip_beyond(bench: &Bench<'_>) -> Check {
    let answer = bench
        .client
        .query(&numbers(bench)?, &[("$skip", "8")])
        .await?
        .ok()?;
    lists(&answer, &[])?;
    no_next(&answer)
}

async fn skip_broken(bench: &Bench<'_>) -> Check {
    for skip in ["-1", "many", "1.5"] {
        bench.wrong("Things", ("$skip", skip), WRONG).await?;
    }
    Ok(())
}

async fn count_each(bench: &Bench<'_>, kind: &'static Kind) -> Check {
    let answer = bench
        .client
        .query(kind.set, &[("$count", "true")])
        .await?
        .ok()?;
    let count = answer.member("@iot.count")?;
    let listed = answer.list()?.len() as u64;
    let whole = !answer.has("@iot.nextLink")?;
    answer.ensure(
        count
            .as_u64()
            .is_some_and(|c| if whole { c == listed } else { c > listed }),
        || format!("the count {count} does not fit the {listed} entities of the page"),
    )?;
    let answer = bench
        .client
        .query(kind.set, &[("$count", "false")])
        .await?
        .ok()?;
    answer.list()?;
    answer.ensure(!answer.has("@iot.count")?, || {
        "no count was expected".to_owned()
    })
}

async fn count_paging(bench: &Bench<'_>) -> Check {
    let options = [
        ("$count", "true"),
        ("$top", "2"),
        ("$skip", "3"),
        ("$orderby", "result"),
    ];
    let answer = bench.client.query(&numbers(bench)?, &options).await?.ok()?;
    let count = answer.member("@iot.count")?;
    answer.ensure(count == json!(8), || {
        format!("a count of 8 was expected, not {count}")
    })?;
    lists(&answer, &BY_RESULT[3..5])
}

async fn count_filter(bench: &Bench<'_>) -> Check {
    let count = bench.count(&numbers(bench)?, Some("result gt 10")).await?;
    ensure(count == 2, || {
        format!("a count of 2 was expected, not {count}")
    })
}

async fn count_broken(bench: &Bench<'_>) -> Check {
    bench.wrong("Things", ("$count", "maybe"), WRONG).await
}

/// The next link of a page.
fn next_of(page: &Answer) -> Check<Option<String>> {
    match page.value()?.get("@iot.nextLink") {
        None => Ok(None),
        Some(Value::String(link)) => Ok(Some(link.clone())),
        Some(other) => Err(page.fault(format!("`@iot.nextLink` is no address: {other}"))),
    }
}

/// Follows next links to the end and gives the entities, and how many pages they came in.
async fn pages(
    bench: &Bench<'_>,
    path: &str,
    options: &[(&str, &str)],
) -> Check<(Vec<Value>, usize)> {
    let mut all = Vec::new();
    let mut page = bench.client.query(path, options).await?.ok()?;
    for number in 1..=50 {
        all.extend(page.list()?);
        match next_of(&page)? {
            None => return Ok((all, number)),
            Some(link) => {
                page.ensure(link.starts_with("http"), || {
                    format!("`@iot.nextLink` is no absolute address: {link}")
                })?;
                page = bench.client.get(&link).await?.ok()?;
            }
        }
    }
    Err(fault("the next links do not end within 50 pages"))
}

/// Ends the case unless the pages of *numbers* have these results.
async fn paged(
    bench: &Bench<'_>,
    options: &[(&str, &str)],
    expected: &[&str],
) -> Check<Vec<Value>> {
    let (all, count) = pages(bench, &numbers(bench)?, options).await?;
    let got = results(&all);
    ensure(got == expected, || {
        format!("with {options:?} the pages lead to {got:?}, not to {expected:?}")
    })?;
    ensure(count > 1, || {
        format!("with {options:?} several pages were expected")
    })?;
    Ok(all)
}

async fn next_link(bench: &Bench<'_>) -> Check {
    paged(
        bench,
        &[("$top", "3"), ("$orderby", "phenomenonTime")],
        &BY_TIME,
    )
    .await?;
    paged(bench, &[("$top", "1"), ("$orderby", "result")], &BY_RESULT).await?;
    let (all, count) = pages(bench, &numbers(bench)?, &[("$top", "3")]).await?;
    let mut got = results(&all);
    got.sort();
    let mut expected = BY_RESULT.to_vec();
    expected.sort_unstable();
    ensure(got == expected && count == 3, || {
        format!("without an order, {count} pages lead to {got:?}")
    })
}

async fn next_link_options(bench: &Bench<'_>) -> Check {
    let options = [
        ("$filter", "result gt 0 and result ne 7"),
        ("$orderby", "result desc"),
        ("$select", "result"),
        ("$expand", "Datastream($select=name)"),
        ("$count", "true"),
        ("$top", "2"),
    ];
    let all = paged(bench, &options, &["100", "20.7", "10", "2.4", "1"]).await?;
    for entity in all {
        let plain = entity.get("phenomenonTime").is_none();
        let inner = entity.pointer("/Datastream/name").is_some();
        ensure(plain && inner, || {
            format!("selection and expansion were expected on every page, not {entity}")
        })?;
    }
    Ok(())
}

async fn next_link_skip(bench: &Bench<'_>) -> Check {
    let options = [("$top", "2"), ("$skip", "3"), ("$orderby", "result")];
    paged(bench, &options, &BY_RESULT[3..]).await.map(drop)
}

async fn next_link_downwards(bench: &Bench<'_>) -> Check {
    let options = [("$top", "3"), ("$orderby", "phenomenonTime desc")];
    paged(bench, &options, &reversed(&BY_TIME)).await.map(drop)
}

async fn next_link_ties(bench: &Bench<'_>) -> Check {
    let spans = bench.own.spans.as_ref().map_err(unmade)?;
    let path = format!("{}/Observations", bench.own.datastream("spans")?.path);
    for order in ["result", "result desc", "resultTime", "resultTime desc"] {
        let (all, _) = pages(bench, &path, &[("$top", "1"), ("$orderby", order)]).await?;
        let mut ids: Vec<_> = all
            .iter()
            .filter_map(|e| e.get("@iot.id"))
            .map(Value::to_string)
            .collect();
        ids.sort();
        let mut expected: Vec<_> = spans.iter().map(|own| own.id().to_string()).collect();
        expected.sort();
        ensure(ids == expected, || {
            format!("by {order} the pages lead to {ids:?}, not to {expected:?}")
        })?;
    }
    Ok(())
}

async fn evaluation(bench: &Bench<'_>) -> Check {
    let options = [
        ("$top", "2"),
        ("$skip", "1"),
        ("$orderby", "result desc"),
        ("$count", "true"),
        ("$filter", "result ge 1"),
    ];
    let answer = bench.client.query(&numbers(bench)?, &options).await?.ok()?;
    let count = answer.member("@iot.count")?;
    answer.ensure(count == json!(6), || {
        format!("a count of 6 was expected, not {count}")
    })?;
    lists(&answer, &["20.7", "10"])
}

async fn unknown_option(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$nosuchoption", "1"), &[400, 501])
        .await
}

async fn encoded_option(bench: &Bench<'_>) -> Check {
    let path = numbers(bench)?;
    let address = format!("{path}?%24orderby=result+desc&%24top=2&%24filter=result+gt+1");
    let answer = bench.client.get(&address).await?;
    if answer.status == 501 {
        return Err(skip("not offered: answered with 501"));
    }
    lists(&answer.ok()?, &["100", "20.7"])
}
