//! `$orderby`, `$top`, `$skip`, `$count`, next links, and wrong options.

use serde_json::{Value, json};

use super::{WRONG, lists, next_of, numbers, results};
use crate::bench::Bench;
use crate::client::{Answer, equal};
use crate::model::Kind;
use crate::outcome::{Check, ensure, fault, skip};
use crate::own::unmade;

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

pub(super) async fn order_ascending(bench: &Bench<'_>) -> Check {
    ordered(bench, &[("$orderby", "phenomenonTime")], &BY_TIME).await?;
    ordered(bench, &[("$orderby", "phenomenonTime asc")], &BY_TIME).await
}

pub(super) async fn order_descending(bench: &Bench<'_>) -> Check {
    ordered(
        bench,
        &[("$orderby", "phenomenonTime desc")],
        &reversed(&BY_TIME),
    )
    .await
}

pub(super) async fn order_numbers(bench: &Bench<'_>) -> Check {
    ordered(bench, &[("$orderby", "result")], &BY_RESULT).await?;
    ordered(bench, &[("$orderby", "result desc")], &reversed(&BY_RESULT)).await
}

pub(super) async fn order_several(bench: &Bench<'_>) -> Check {
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

pub(super) async fn order_path(bench: &Bench<'_>) -> Check {
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

pub(super) async fn order_id(bench: &Bench<'_>) -> Check {
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

pub(super) async fn order_unknown(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$orderby", "nosuchproperty"), &[400])
        .await
}

pub(super) async fn order_broken(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$orderby", "name sideways"), &[400])
        .await
}

pub(super) async fn top(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$top", "3")];
    ordered(bench, &options, &BY_RESULT[..3]).await
}

pub(super) async fn top_beyond(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$top", "50")];
    let answer = bench.client.query(&numbers(bench)?, &options).await?.ok()?;
    lists(&answer, &BY_RESULT)?;
    no_next(&answer)
}

pub(super) async fn top_exact(bench: &Bench<'_>) -> Check {
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

pub(super) async fn top_zero(bench: &Bench<'_>) -> Check {
    let answer = bench.client.query("Things", &[("$top", "0")]).await?.ok()?;
    let list = answer.list()?;
    answer.ensure(list.is_empty(), || "an empty list was expected".to_owned())
}

pub(super) async fn top_broken(bench: &Bench<'_>) -> Check {
    for top in ["-1", "many", "1.5"] {
        bench.wrong("Things", ("$top", top), WRONG).await?;
    }
    Ok(())
}

pub(super) async fn skip_some(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$skip", "5")];
    ordered(bench, &options, &BY_RESULT[5..]).await
}

pub(super) async fn skip_beyond(bench: &Bench<'_>) -> Check {
    let answer = bench
        .client
        .query(&numbers(bench)?, &[("$skip", "8")])
        .await?
        .ok()?;
    lists(&answer, &[])?;
    no_next(&answer)
}

pub(super) async fn skip_broken(bench: &Bench<'_>) -> Check {
    for skip in ["-1", "many", "1.5"] {
        bench.wrong("Things", ("$skip", skip), WRONG).await?;
    }
    Ok(())
}

pub(super) async fn count_each(bench: &Bench<'_>, kind: &'static Kind) -> Check {
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

pub(super) async fn count_paging(bench: &Bench<'_>) -> Check {
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

pub(super) async fn count_filter(bench: &Bench<'_>) -> Check {
    let count = bench.count(&numbers(bench)?, Some("result gt 10")).await?;
    ensure(count == 2, || {
        format!("a count of 2 was expected, not {count}")
    })
}

pub(super) async fn count_broken(bench: &Bench<'_>) -> Check {
    bench.wrong("Things", ("$count", "maybe"), WRONG).await
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

pub(super) async fn next_link(bench: &Bench<'_>) -> Check {
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

pub(super) async fn next_link_options(bench: &Bench<'_>) -> Check {
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

pub(super) async fn next_link_skip(bench: &Bench<'_>) -> Check {
    let options = [("$top", "2"), ("$skip", "3"), ("$orderby", "result")];
    paged(bench, &options, &BY_RESULT[3..]).await.map(drop)
}

pub(super) async fn next_link_downwards(bench: &Bench<'_>) -> Check {
    let options = [("$top", "3"), ("$orderby", "phenomenonTime desc")];
    paged(bench, &options, &reversed(&BY_TIME)).await.map(drop)
}

pub(super) async fn next_link_ties(bench: &Bench<'_>) -> Check {
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

pub(super) async fn next_link_nulls(bench: &Bench<'_>) -> Check {
    // All but the last have a resultTime; where those without come is left to the server.
    let timed = &BY_TIME[..7];
    for (order, expected) in [
        ("resultTime", timed.to_vec()),
        ("resultTime desc", reversed(timed)),
    ] {
        let (all, _) = pages(
            bench,
            &numbers(bench)?,
            &[("$top", "2"), ("$orderby", order)],
        )
        .await?;
        let got = results(&all);
        let without: Vec<_> = got.iter().filter(|label| *label != "7").collect();
        ensure(got.len() == 8 && without == expected, || {
            format!(
                "by {order} the pages lead to {got:?}; {expected:?} was expected, and 7 first or last"
            )
        })?;
        let ends = got.first().is_some_and(|l| l == "7") || got.last().is_some_and(|l| l == "7");
        ensure(ends, || {
            format!("by {order} what has no resultTime stands within the others: {got:?}")
        })?;
    }
    Ok(())
}

pub(super) async fn next_link_mixed(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("mixed results").await?;
    let mixed = [
        json!(10),
        json!("b"),
        json!(true),
        json!({ "x": 1 }),
        json!([1, 2]),
        json!(9.5),
        json!("a"),
        json!(false),
    ];
    for result in &mixed {
        bench.observe(&station.datastream, result.clone()).await?;
    }
    let path = format!("{}/Observations", station.datastream.path);
    for order in ["result", "result desc"] {
        let (all, _) = pages(bench, &path, &[("$top", "1"), ("$orderby", order)]).await?;
        let got: Vec<_> = all
            .iter()
            .filter_map(|o| o.get("result").cloned())
            .collect();
        let each_once = mixed
            .iter()
            .all(|result| got.iter().filter(|g| equal(g, result)).count() == 1);
        ensure(each_once && got.len() == mixed.len(), || {
            format!("by {order} the pages lead to {got:?}, not to each of {mixed:?} once")
        })?;
        let numbers: Vec<_> = got.iter().filter_map(Value::as_f64).collect();
        let rising = numbers == [9.5, 10.0];
        ensure(rising == (order == "result"), || {
            format!("by {order} numbers come as {numbers:?}")
        })?;
    }
    Ok(())
}

pub(super) async fn next_link_path(bench: &Bench<'_>) -> Check {
    bench.own.datastream("spans")?;
    let names =
        ["numbers", "words", "spans"].map(|n| format!("name eq '{}'", bench.scribe.name(n)));
    let filter = names.join(" or ");
    for (order, first, last) in [
        ("Thing/name", "", "spans"),
        ("Thing/name desc", "spans", ""),
    ] {
        let options = [
            ("$filter", filter.as_str()),
            ("$orderby", order),
            ("$top", "1"),
        ];
        let (all, _) = pages(bench, "Datastreams", &options).await?;
        let mut got = Vec::new();
        for entity in &all {
            got.push(bench.scribe.own("Datastreams", entity)?.label);
        }
        let fits = |wanted: &str, label: Option<&String>| {
            wanted.is_empty() || label.is_some_and(|label| label == wanted)
        };
        let mut sorted = got.clone();
        sorted.sort();
        let each_once = sorted == ["numbers", "spans", "words"];
        ensure(
            each_once && fits(first, got.first()) && fits(last, got.last()),
            || format!("by {order} the pages lead to {got:?}"),
        )?;
    }
    Ok(())
}

pub(super) async fn next_link_unselected(bench: &Bench<'_>) -> Check {
    for (order, expected) in [
        ("phenomenonTime", BY_TIME.to_vec()),
        ("phenomenonTime desc", reversed(&BY_TIME)),
    ] {
        let options = [("$select", "result"), ("$orderby", order), ("$top", "3")];
        let all = paged(bench, &options, &expected).await?;
        let shown = all
            .iter()
            .any(|entity| entity.get("phenomenonTime").is_some());
        ensure(!shown, || {
            "phenomenonTime was not selected, but shown".to_owned()
        })?;
    }
    Ok(())
}

pub(super) async fn next_link_signs(bench: &Bench<'_>) -> Check {
    bench.own.words.as_ref().map_err(unmade)?;
    let path = format!("{}/Observations", bench.own.datastream("words")?.path);
    let filter = "result ne 'it''s wet' and result ne 'snow & ice' and result ne 'zon + wolken' \
                  and result ne '100% fog' and result ne 'überfroren'";
    let options = [
        ("$filter", filter),
        ("$orderby", "phenomenonTime"),
        ("$top", "1"),
    ];
    let (all, count) = pages(bench, &path, &options).await?;
    let got: Vec<_> = all
        .iter()
        .filter_map(|o| o.get("result")?.as_str())
        .collect();
    ensure(got == ["clear", "rain", "Rain"] && count == 3, || {
        format!("with `{filter}` the {count} pages lead to {got:?}")
    })
}

pub(super) async fn evaluation(bench: &Bench<'_>) -> Check {
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

pub(super) async fn unknown_option(bench: &Bench<'_>) -> Check {
    bench
        .wrong("Things", ("$nosuchoption", "1"), &[400, 501])
        .await
}

pub(super) async fn encoded_option(bench: &Bench<'_>) -> Check {
    let path = numbers(bench)?;
    let address = format!("{path}?%24orderby=result+desc&%24top=2&%24filter=result+gt+1");
    let answer = bench.client.get(&address).await?;
    if answer.status == 501 {
        return Err(skip("not offered: answered with 501"));
    }
    lists(&answer.ok()?, &["100", "20.7"])
}
