//! Observations as rows: read with `$resultFormat=dataArray`, made with `CreateObservations`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::cases::{Row, check};
use crate::client::{Answer, equal, member};
use crate::outcome::{Check, ensure, skip};
use crate::own::Own;
use crate::server::Version;

const READ: &str = "13.1";
const CREATE: &str = "13.2";

pub(crate) const CASES: &[Row] = &[
    Row::read(
        "set",
        READ,
        "`$resultFormat=dataArray` gives the Observations of the service grouped by Datastream, as components and rows.",
        check!(set),
    ),
    Row::write(
        "datastream",
        READ,
        "It gives those of a Datastream with the values that the plain form has.",
        check!(datastream),
    ),
    Row::write(
        "count-of-rows",
        READ,
        "`dataArray@iot.count` is the number of rows.",
        check!(rows),
    ),
    Row::write(
        "select",
        READ,
        "`$select` says which components there are.",
        check!(select),
    ),
    Row::write(
        "order-top-filter",
        READ,
        "Filter, order and limit apply to the rows.",
        check!(options),
    ),
    Row::write(
        "next-link",
        READ,
        "Next links lead through all rows, in the same form.",
        check!(next_link),
    ),
    Row::read(
        "unknown-format",
        READ,
        "A result format that does not exist is refused.",
        check!(unknown_format),
    ),
    Row::write(
        "create",
        CREATE,
        "A POST to CreateObservations makes an Observation of each row and answers 201 with their addresses in order.",
        check!(create),
    ),
    Row::write(
        "create-for-several-datastreams",
        CREATE,
        "One request may hold rows for several Datastreams.",
        check!(create_several),
    ),
    Row::write(
        "create-with-feature",
        CREATE,
        "The component FeatureOfInterest/id relates each row to its feature.",
        check!(create_feature),
    ),
    Row::write(
        "create-with-all-components",
        CREATE,
        "Rows may hold resultTime, validTime, resultQuality and parameters.",
        check!(create_all),
    ),
    Row::write(
        "create-with-an-error",
        CREATE,
        "A row that cannot be made is answered with an error in its place, and the others are made.",
        check!(create_error),
    ),
    Row::write(
        "create-for-no-datastream",
        CREATE,
        "Rows for a Datastream that does not exist are no Observations: errors, or the whole is refused.",
        check!(create_for_none),
    ),
    Row::write(
        "create-from-no-list",
        CREATE,
        "A body that is no list of data arrays is answered with 400.",
        check!(create_no_list),
    ),
];

const FORM: (&str, &str) = ("$resultFormat", "dataArray");

/// Asks for rows; a server of 1.0 need not offer them.
async fn asked(bench: &Bench<'_>, path: &str, options: &[(&str, &str)]) -> Check<Answer> {
    let mut all = options.to_vec();
    all.push(FORM);
    let answer = bench.client.query(path, &all).await?;
    if bench.server.version == Version::V10 && matches!(answer.status, 400 | 404 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    answer.ok()
}

/// The groups of an answer: components and rows.
fn groups(answer: &Answer) -> Check<Vec<(Vec<String>, Vec<Value>)>> {
    let mut found = Vec::new();
    for group in answer.list()? {
        let link = group.get("Datastream@iot.navigationLink");
        let link = link.or_else(|| group.get("MultiDatastream@iot.navigationLink"));
        answer.ensure(link.is_some_and(Value::is_string), || {
            "a group without the link to its Datastream".to_owned()
        })?;
        let components = group.get("components").and_then(Value::as_array);
        let components = components.ok_or_else(|| answer.fault("no list `components`"))?;
        let components: Vec<String> = components
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        let rows = group.get("dataArray").and_then(Value::as_array).cloned();
        let rows = rows.ok_or_else(|| answer.fault("no list `dataArray`"))?;
        for row in &rows {
            let width = row.as_array().map(Vec::len);
            answer.ensure(width == Some(components.len()), || {
                format!("a row of another width than {components:?}: {row}")
            })?;
        }
        found.push((components, rows));
    }
    Ok(found)
}

/// The path of the Observations of *numbers*.
fn numbers(bench: &Bench<'_>) -> Check<String> {
    bench.own.number("7")?;
    Ok(format!(
        "{}/Observations",
        bench.own.datastream("numbers")?.path
    ))
}

/// The values of a component in all rows.
fn column(groups: &[(Vec<String>, Vec<Value>)], name: &str) -> Check<Vec<Value>> {
    let mut values = Vec::new();
    for (components, rows) in groups {
        let at = components.iter().position(|c| c == name);
        ensure(at.is_some(), || {
            format!("no component `{name}` in {components:?}")
        })?;
        let at = at.unwrap_or_default();
        values.extend(rows.iter().filter_map(|row| row.get(at).cloned()));
    }
    Ok(values)
}

async fn set(bench: &Bench<'_>) -> Check {
    let answer = asked(bench, "Observations", &[("$top", "5")]).await?;
    if groups(&answer)?.is_empty() {
        return Err(skip("the service has no Observations"));
    }
    Ok(())
}

async fn datastream(bench: &Bench<'_>) -> Check {
    let path = numbers(bench)?;
    let order = ("$orderby", "phenomenonTime");
    let answer = asked(bench, &path, &[order]).await?;
    let groups = groups(&answer)?;
    let plain = bench.list(&path, &[order]).await?;
    for name in ["phenomenonTime", "result", "resultTime"] {
        let values = column(&groups, name)?;
        let expected: Vec<_> = plain.iter().filter_map(|e| e.get(name).cloned()).collect();
        answer.ensure(values == expected, || {
            format!("`{name}` is {values:?} in rows and {expected:?} in the plain form")
        })?;
    }
    Ok(())
}

async fn rows(bench: &Bench<'_>) -> Check {
    let answer = asked(bench, &numbers(bench)?, &[]).await?;
    let list = answer.list()?;
    answer.ensure(list.len() == 1, || "one group was expected".to_owned())?;
    let count = list[0].get("dataArray@iot.count").cloned();
    answer.ensure(count == Some(json!(8)), || {
        format!("a count of 8 was expected, not {count:?}")
    })
}

async fn select(bench: &Bench<'_>) -> Check {
    let options = [("$select", "phenomenonTime,result")];
    let answer = asked(bench, &numbers(bench)?, &options).await?;
    let groups = groups(&answer)?;
    answer.ensure(groups.len() == 1, || "one group was expected".to_owned())?;
    let mut components = groups[0].0.clone();
    components.sort();
    answer.ensure(components == ["phenomenonTime", "result"], || {
        format!("only what was selected was expected, not {components:?}")
    })
}

async fn options(bench: &Bench<'_>) -> Check {
    let options = [
        ("$filter", "result gt 0"),
        ("$orderby", "result desc"),
        ("$top", "3"),
    ];
    let answer = asked(bench, &numbers(bench)?, &options).await?;
    let results = column(&groups(&answer)?, "result")?;
    let expected = json!([100, 20.7, 10]);
    let results = json!(results);
    answer.ensure(equal(&results, &expected), || {
        format!("the results {expected} were expected, not {results}")
    })
}

async fn next_link(bench: &Bench<'_>) -> Check {
    let options = [("$orderby", "result"), ("$top", "3")];
    let mut answer = asked(bench, &numbers(bench)?, &options).await?;
    let mut results = Vec::new();
    for _ in 0..8 {
        results.extend(column(&groups(&answer)?, "result")?);
        match answer.value()?.get("@iot.nextLink").and_then(Value::as_str) {
            Some(link) => answer = bench.client.get(link).await?.ok()?,
            None => break,
        }
    }
    let expected = json!([-3.6, 0, 1, 2.4, 7, 10, 20.7, 100]);
    let results = json!(results);
    ensure(equal(&results, &expected), || {
        format!("the results {expected} were expected, not {results}")
    })
}

async fn unknown_format(bench: &Bench<'_>) -> Check {
    let format = ("$resultFormat", "nosuchformat");
    bench
        .wrong("Observations", format, &[400, 406, 422, 501])
        .await
}

/// Posts data arrays; a server of 1.0 need not take them.
async fn posted(bench: &Bench<'_>, body: &Value) -> Check<Answer> {
    let answer = bench
        .client
        .json(Method::POST, "CreateObservations", body)
        .await?;
    if bench.server.version == Version::V10 && matches!(answer.status, 404 | 405 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    Ok(answer)
}

/// The entries of an answer: an address, or nothing where there was an error.
fn created(bench: &Bench<'_>, answer: &Answer) -> Check<Vec<Option<Own>>> {
    let value = answer.value()?;
    let entries = value
        .as_array()
        .ok_or_else(|| answer.fault("a list was expected"))?;
    let mut made = Vec::new();
    for entry in entries {
        let text = entry.as_str().unwrap_or("error");
        let own = text.rfind("Observations(").map(|at| Own {
            label: String::new(),
            path: text[at..].trim_end_matches('/').to_owned(),
        });
        if let Some(own) = &own {
            bench.scribe.adopt(&own.path);
        }
        made.push(own);
    }
    Ok(made)
}

/// A data array for a Datastream, with the feature of the run.
fn array(bench: &Bench<'_>, stream: &Own, results: &[Value]) -> Check<Value> {
    let feature = bench.own.feature()?.id();
    let rows: Vec<Value> = results
        .iter()
        .enumerate()
        .map(|(n, result)| {
            let time = format!("2021-03-04T05:06:{n:02}Z");
            json!([time, result, feature])
        })
        .collect();
    Ok(json!({
        "Datastream": stream.reference(),
        "components": ["phenomenonTime", "result", "FeatureOfInterest/id"],
        "dataArray@iot.count": rows.len(),
        "dataArray": rows,
    }))
}

async fn create(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("rows").await?;
    let results = [json!(1.5), json!(2), json!("three")];
    let body = json!([array(bench, &station.datastream, &results)?]);
    let answer = posted(bench, &body).await?.expect(&[201])?;
    let made = created(bench, &answer)?;
    answer.ensure(made.len() == 3, || "3 addresses were expected".to_owned())?;
    for (own, result) in made.iter().zip(&results) {
        let own = own
            .as_ref()
            .ok_or_else(|| answer.fault("an error in place of an address"))?;
        let got = bench.read(&own.path).await?;
        answer.ensure(equal(result, member(&got, "result")?), || {
            format!("{} is not the Observation of its row", own.path)
        })?;
    }
    Ok(())
}

async fn create_several(bench: &Bench<'_>) -> Check {
    let one = bench.small_station("rows one").await?;
    let two = bench.small_station("rows two").await?;
    let body = json!([
        array(bench, &one.datastream, &[json!(1), json!(2)])?,
        array(bench, &two.datastream, &[json!(3)])?,
    ]);
    let answer = posted(bench, &body).await?.expect(&[201])?;
    let made = created(bench, &answer)?;
    answer.ensure(made.iter().flatten().count() == 3, || {
        "3 addresses were expected".to_owned()
    })?;
    for (stream, expected) in [(&one.datastream, 2), (&two.datastream, 1)] {
        let list = bench
            .list(&format!("{}/Observations", stream.path), &[])
            .await?;
        ensure(list.len() == expected, || {
            format!(
                "{} has {} Observations, not {expected}",
                stream.path,
                list.len()
            )
        })?;
    }
    Ok(())
}

async fn create_feature(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("rows feature").await?;
    let body = json!([array(bench, &station.datastream, &[json!(1)])?]);
    let answer = posted(bench, &body).await?.expect(&[201])?;
    let made = created(bench, &answer)?;
    let own = made.into_iter().flatten().next();
    let own = own.ok_or_else(|| answer.fault("an address was expected"))?;
    let (feature, _) = bench.feature_of(&own).await?;
    ensure(feature.path == bench.own.feature()?.path, || {
        format!("{} has another feature than was named", own.path)
    })
}

async fn create_all(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("rows complete").await?;
    let body = json!([{
        "Datastream": station.datastream.reference(),
        "components": [
            "phenomenonTime", "resultTime", "validTime", "result", "parameters", "FeatureOfInterest/id",
        ],
        "dataArray@iot.count": 1,
        "dataArray": [[
            "2021-03-04T05:00:00Z/2021-03-04T06:00:00Z",
            "2021-03-04T06:00:00Z",
            "2021-03-04T00:00:00Z/2021-03-05T00:00:00Z",
            { "a": 1 },
            { "height": 2 },
            bench.own.feature()?.id(),
        ]],
    }]);
    let answer = posted(bench, &body).await?.expect(&[201])?;
    let made = created(bench, &answer)?;
    let own = made.into_iter().flatten().next();
    let own = own.ok_or_else(|| answer.fault("an address was expected"))?;
    let got = bench.read(&own.path).await?;
    let expected = [
        ("result", json!({ "a": 1 })),
        ("parameters", json!({ "height": 2 })),
    ];
    for (name, value) in expected {
        crate::client::same(name, &value, member(&got, name)?)?;
    }
    for name in ["resultTime", "validTime"] {
        ensure(!member(&got, name)?.is_null(), || {
            format!("`{name}` has no value")
        })?;
    }
    let span = json!("2021-03-04T05:00:00Z/2021-03-04T06:00:00Z");
    super::data_model::same_times("phenomenonTime", &span, member(&got, "phenomenonTime")?)
}

async fn create_error(bench: &Bench<'_>) -> Check {
    let station = bench.small_station("rows error").await?;
    let mut group = array(bench, &station.datastream, &[json!(1), json!(2), json!(3)])?;
    group["dataArray"][1][0] = json!("no time");
    let answer = posted(bench, &json!([group])).await?.expect(&[201])?;
    let made = created(bench, &answer)?;
    let shape: Vec<_> = made.iter().map(Option::is_some).collect();
    answer.ensure(shape == [true, false, true], || {
        "an address, an error and an address were expected".to_owned()
    })?;
    let list = bench
        .list(&format!("{}/Observations", station.datastream.path), &[])
        .await?;
    ensure(list.len() == 2, || {
        format!("2 Observations were expected, not {}", list.len())
    })
}

async fn create_for_none(bench: &Bench<'_>) -> Check {
    let mut none = bench.own.datastream("numbers")?.clone();
    none.path = super::resource_path::absent(&none);
    let body = json!([array(bench, &none, &[json!(1)])?]);
    let answer = posted(bench, &body)
        .await?
        .expect(&[201, 400, 404, 409, 422])?;
    if answer.status == 201 {
        let made = created(bench, &answer)?;
        answer.ensure(made.len() == 1 && made[0].is_none(), || {
            "an error was expected".to_owned()
        })?;
    }
    Ok(())
}

async fn create_no_list(bench: &Bench<'_>) -> Check {
    for body in [
        json!({}),
        json!("text"),
        json!([1]),
        json!([{ "components": [] }]),
    ] {
        posted(bench, &body).await?.expect(&[400, 422])?;
    }
    Ok(())
}
