//! What servers commonly offer beyond the standard. A case whose expression is answered with 400 or 501 is skipped: the
//! server does not offer it; one that does must be right.

use reqwest::Method;
use serde_json::json;

use crate::bench::{Bench, own_of};
use crate::cases::probes::Over::{Numbers, Spans, Things, Words};
use crate::cases::{Probe, Row, check};
use crate::client::{Answer, member, same};
use crate::outcome::{Check, skip};

const BEYOND: &str = "beyond the standard";

pub(crate) const CASES: &[Row] = &[
    Row::write(
        "select-within-properties",
        BEYOND,
        "`$select=properties/level` leaves that member of `properties`.",
        check!(deep_select),
    ),
    Row::write(
        "encoding-type-of-1-0",
        BEYOND,
        "Locations may be encoded as `application/vnd.geo+json`, the name that 1.0 has for GeoJSON.",
        check!(old_geojson),
    )
    .since_1_1(),
    Row::write(
        "csv",
        BEYOND,
        "`$resultFormat=CSV` gives a table with a header.",
        check!(csv),
    ),
    Row::write(
        "geojson",
        BEYOND,
        "`$resultFormat=GeoJSON` gives a FeatureCollection.",
        check!(geojson),
    ),
];

/// Filters that a server may know.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new(
        "before",
        BEYOND,
        "`before` asks for intervals that end before another begins.",
        Spans,
        "before(phenomenonTime,2021-01-03T06:00:00Z/2021-01-03T12:00:00Z)",
        &["a", "b", "c"],
    )
    .optional(),
    Probe::new(
        "after",
        BEYOND,
        "`after` asks for intervals that begin after another ends.",
        Spans,
        "after(phenomenonTime,2021-01-01T00:00:00Z/2021-01-01T18:00:00Z)",
        &["b"],
    )
    .optional(),
    Probe::new(
        "meets",
        BEYOND,
        "`meets` asks for intervals that end where another begins.",
        Spans,
        "meets(phenomenonTime,2021-01-02T00:00:00Z/2021-01-05T00:00:00Z)",
        &["a"],
    )
    .optional(),
    Probe::new(
        "during",
        BEYOND,
        "`during` asks for intervals within another.",
        Spans,
        "during(phenomenonTime,2021-01-01T06:00:00Z/2021-01-03T06:00:00Z)",
        &["b", "c"],
    )
    .optional(),
    Probe::new(
        "overlaps",
        BEYOND,
        "`overlaps` asks for intervals that share time with another.",
        Spans,
        "overlaps(phenomenonTime,2021-01-02T06:00:00Z/2021-01-05T00:00:00Z)",
        &["b", "c", "d"],
    )
    .optional(),
    Probe::new(
        "starts",
        BEYOND,
        "`starts` asks for intervals that begin with another.",
        Spans,
        "starts(phenomenonTime,2021-01-01T00:00:00Z/2021-01-10T00:00:00Z)",
        &["a", "d"],
    )
    .optional(),
    Probe::new(
        "finishes",
        BEYOND,
        "`finishes` asks for intervals that end with another.",
        Spans,
        "finishes(phenomenonTime,2020-12-01T00:00:00Z/2021-01-03T00:00:00Z)",
        &["b"],
    )
    .optional(),
    Probe::new(
        "during-for-instants",
        BEYOND,
        "`during` asks for instants within an interval.",
        Numbers,
        "during(phenomenonTime,2021-01-10T00:00:00Z/2021-03-01T06:00:00Z)",
        &["0", "1"],
    )
    .optional(),
    Probe::new(
        "interval-eq",
        BEYOND,
        "An interval equals the same interval.",
        Spans,
        "phenomenonTime eq 2021-01-02T00:00:00Z/2021-01-03T00:00:00Z",
        &["b"],
    )
    .optional(),
    Probe::new(
        "in",
        BEYOND,
        "`in` asks for one of a list.",
        Numbers,
        "result in (10,100,3)",
        &["10", "100"],
    )
    .optional(),
    Probe::new(
        "in-texts",
        BEYOND,
        "`in` asks for one of a list of texts.",
        Words,
        "result in ('rain','clear')",
        &["rain", "clear"],
    )
    .optional(),
    Probe::new(
        "any",
        BEYOND,
        "`any` asks whether one of many fits.",
        Things,
        "Datastreams/any(d:d/name eq '{mark} spans')",
        &["beta"],
    )
    .optional(),
    Probe::new(
        "contains",
        BEYOND,
        "`contains(text, part)` is `substringof` as in OData 4.",
        Words,
        "contains(result,'ai')",
        &["rain", "Rain"],
    )
    .optional(),
    Probe::new(
        "duration",
        BEYOND,
        "Durations are added to times.",
        Numbers,
        "phenomenonTime gt 2022-01-01T00:00:00Z add duration'P1D'",
        &["100", "7"],
    )
    .optional(),
    Probe::new(
        "date-literal",
        BEYOND,
        "A day may be written without time.",
        Numbers,
        "date(phenomenonTime) eq 2022-01-01",
        &["20.7"],
    )
    .optional(),
];

/// A skip where a server does not know what it was asked for.
fn offered(answer: &Answer) -> Check {
    if matches!(answer.status, 400 | 404 | 406 | 422 | 501) {
        return Err(skip(format!(
            "not offered: answered with {}",
            answer.status
        )));
    }
    Ok(())
}

async fn deep_select(bench: &Bench<'_>) -> Check {
    let alpha = &bench.own.thing("alpha")?.path;
    let answer = bench
        .client
        .query(alpha, &[("$select", "name,properties/level")])
        .await?;
    offered(&answer)?;
    let got = answer.ok()?;
    let entity = got.value()?;
    let level = entity.pointer("/properties/level").is_some();
    let nested = entity.pointer("/properties/nested").is_some();
    got.ensure(level && !nested, || {
        "only `level` was expected within `properties`".to_owned()
    })
}

async fn old_geojson(bench: &Bench<'_>) -> Check {
    let mut body = crate::own::location(&bench.scribe, "old name", &bench.spot());
    body["encodingType"] = json!("application/vnd.geo+json");
    let answer = bench.client.json(Method::POST, "Locations", &body).await?;
    offered(&answer)?;
    let own = own_of("Locations", &answer.clone().expect(&[201])?);
    let own = own.ok_or_else(|| answer.fault("a header `Location` was expected"))?;
    bench.scribe.adopt(&own.path);
    let got = bench.read(&own.path).await?;
    same(
        "encodingType",
        &body["encodingType"],
        member(&got, "encodingType")?,
    )
}

async fn csv(bench: &Bench<'_>) -> Check {
    bench.own.number("7")?;
    let path = format!("{}/Observations", bench.own.datastream("numbers")?.path);
    let options = [
        ("$select", "phenomenonTime,result"),
        ("$resultFormat", "CSV"),
    ];
    let answer = bench.client.query(&path, &options).await?;
    offered(&answer)?;
    let answer = answer.ok()?;
    answer.ensure(answer.content_type.contains("csv"), || {
        format!("the content type is `{}`", answer.content_type)
    })?;
    let lines: Vec<_> = answer.text.lines().collect();
    let header = lines.first().copied().unwrap_or_default();
    answer.ensure(lines.len() == 9 && header.contains("result"), || {
        "a header and 8 rows were expected".to_owned()
    })
}

async fn geojson(bench: &Bench<'_>) -> Check {
    let path = format!("{}/Locations", bench.own.thing("alpha")?.path);
    let answer = bench
        .client
        .query(&path, &[("$resultFormat", "GeoJSON")])
        .await?;
    offered(&answer)?;
    let answer = answer.ok()?;
    let collection = answer.member("type")? == "FeatureCollection";
    let features = answer.member("features")?.as_array().map(Vec::len);
    answer.ensure(collection && features == Some(1), || {
        "a FeatureCollection with one Feature was expected".to_owned()
    })
}
